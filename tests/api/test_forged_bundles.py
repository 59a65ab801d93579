"""Bundles by somebody who signs whatever they like: a clear error in each case, and no traceback."""

import base64
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.kernel import type_id
from infra.log.checkpoint import checkpoint
from infra.log.note import Signer
from tests.api.test_bundle import signed_off
from verifier import daybook_verify_bundle as verifier
from verifier.daybook_verify_bundle import NoKey, Wrong, verify

SIGNER = Signer("daybook/forged", bytes(32))
VKEY = str(SIGNER.verifier)
CUSTOMER = UUID(int=5)
KEYS = {name: base64.b64encode(bytes(32)).decode() for name in ("event_key", "commitment_key")}
TOLD = "1. 1970-01-01 00:00:00 UTC, Told: Something.\n   by → me, recorded 1970-01-01 00:00:00 UTC as entry 1\n   a: 1"


def bundle(state: bytes = b'{"a": 1}', at: int = 0, sealed: bytes | None = None, **others: Any) -> bytes:
    """A bundle of one entry, which is the whole of its log."""

    def field(value: bytes | int | None) -> bytes:
        raw = value.to_bytes(8, "big", signed=True) if isinstance(value, int) else value
        return b"\xff" * 4 if raw is None else len(raw).to_bytes(4, "big") + raw

    id = CUSTOMER.bytes
    columns = (1, id, 1, id, b"Told", at, at, id, "→ me".encode(), None, id, None, None, state, sealed, sealed)
    leaf = b"daybook leaf 1" + b"".join(map(field, columns))
    body: dict[str, Any] = {
        "format": verifier.FORMAT,
        "warning": "",
        "made_at": "2026-11-27T03:00:00Z",
        "customer": type_id("cus", CUSTOMER),
        "through": 1,
        "checkpoint": checkpoint(1, sha256(b"\0" + leaf).digest(), SIGNER),
        "story": [TOLD],
        "entries": [
            {"leaf": base64.b64encode(leaf).decode(), "proof": [], "personal": None if sealed is None else KEYS}
        ],
        "catalogue": {
            "Told": {
                "meaning": "Something.",
                "personal": [],
                "schema": {"$ref": "#/$defs/Told", "$defs": {"Told": {"properties": {"a": {}}}}},
            }
        },
    }
    return signed_off({**body, **others})


def nested(depth: int, opens: str, closes: str) -> bytes:
    return f'{{"a": {opens * depth}2{closes * depth}}}'.encode()


def test_the_one_that_the_others_are_made_from_holds() -> None:
    assert verify(bundle(), VKEY).entries == 1


@pytest.mark.parametrize(
    "forged",
    [
        *(bundle(nested(depth, "[", "]")) for depth in (300, 480, 700, 900, 2_000)),
        *(bundle(nested(depth, '{"x": ', "}")) for depth in (300, 480, 700, 900, 2_000)),
        bundle(b'{"a": 2, "a": 1}'),
        bundle('{"a": 1}'.encode("utf-16")),
        bundle(b'\xef\xbb\xbf{"a": 1}'),
        bundle(b'{"a": "\\ud800"}'),
        bundle(b'{"a": NaN}'),
        bundle(b'{"a": 1e999}'),
        bundle(b'{"a": ' + b"9" * 5_000 + b"}"),
        bundle(at=2**63 - 1),
        bundle(at=-(2**63)),
        bundle(sealed=b""),
        bundle(sealed=b"short"),
        bundle(through=True),
        bundle(through=2**70),
        bundle(through=1.0),
        bundle(made_at="٢٠٢٦-11-27T03:00:00Z"),
        bundle(catalogue=[]),
        bundle(catalogue={"Told": {"meaning": "Something.", "personal": [[]], "schema": 7}}),
        bundle(customer=type_id("cus", CUSTOMER).upper()),
        bundle().replace(b'"through": 1', b'"through": 1, "through": 1'),
        bundle().replace(b'"through": 1', b'"through": ' + b"[" * 100_000),
        bundle().replace(b'"through": 1', b'"through": NaN'),
    ],
)
def test_what_is_forged_is_told_in_a_sentence(forged: bytes) -> None:
    with pytest.raises(Wrong):
        verify(forged, VKEY)


@pytest.mark.parametrize("depth", range(940, 1_000, 3))
def test_what_is_read_but_nested_too_deeply_to_be_written_is_told_too(depth: int) -> None:
    """Reading and writing JSON may end at different depths."""
    deep = "[" * depth + "]" * depth
    with pytest.raises(Wrong):
        verify(bundle().replace(b'"catalogue": {', b'"catalogue": {"deep": ' + deep.encode() + b","), VKEY)


@pytest.mark.parametrize(
    "key", ["", "+", "x" * 100_000, f"{VKEY}x", f"\udc80+00000000+{base64.b64encode(bytes([1] * 33)).decode()}"]
)
def test_what_is_no_key_is_told_in_a_sentence(key: str) -> None:
    with pytest.raises(NoKey):
        verify(bundle(), key)


def test_it_is_told_to_every_terminal(tmp_path: Path) -> None:
    """Also to one that has no arrows, such as Windows' where it writes into a file."""
    file, key = tmp_path / "bundle.json", tmp_path / "key.txt"
    file.write_bytes(bundle())
    key.write_text(VKEY)

    def told(*options: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-I", "-X", "utf8=0", verifier.__file__, str(file), "--vkey", str(key), *options]
        return subprocess.run(
            command, capture_output=True, env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, check=False
        )

    for option in ("--story", "--json"):
        done = told(option)
        assert (done.returncode, done.stderr, b"by \\u2192 me" in done.stdout) == (0, b"", True)
    assert json.loads(told("--json").stdout)["story"] == [TOLD]
    key.write_bytes(b"\xff\xfe")
    assert (told().returncode, told().stderr.count(b"\n")) == (2, 1)
