"""A witness: what it cosigns, what it refuses, and that it never loses nor takes back what it keeps."""

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.log.checkpoint import checkpoint, read, verified
from infra.log.checkpointer import Growth
from infra.log.cosignature import Cosigner
from infra.log.note import NoteError, Signer, Verifier
from infra.log.proofs import consistency
from infra.log.proving import witness_request
from infra.log.store import StoredTree, latest
from infra.log.verifying import verify
from infra.log.witness import NotCosigned, Request, opened
from infra.private_files import PrivateFileError
from tests.infra.log import naive
from tests.infra.log.books import enter
from tests.infra.log.superuser import changed, disarm, rewrite_the_log
from tests.infra.log.test_tree import Tree, altered, flipped

SIGNER, THIEF = Signer("daybook/tested", bytes(32)), Signer("daybook/tested", b"\x01" * 32)
NOW = 1_700_000_000

# A checkpoint of a public log, and two of the witnesses that cosigned it; two of the three keys are published as such.
PUBLIC = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""  # noqa: E501
PUBLIC_LOG = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
STAGEMOLE = "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv"


def cosigned_at(note: str, witness: str) -> int:
    """When this witness cosigned the checkpoint: C2SP's tlog-cosignature, apart from the code under test."""
    name, id, encoded = witness.split("+", 2)
    key = base64.b64decode(encoded)
    assert key[0] == 4
    assert sha256(f"{name}\n".encode() + key).hexdigest()[:8] == id
    text, _, lines = note.rpartition("\n\n")
    [line] = [line for line in lines.splitlines() if line.startswith(f"— {name} ")]
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4].hex() == id
    time = int.from_bytes(signature[4:12], "big")
    signed = f"cosignature/v1\ntime {time}\n{text}\n".encode()
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[12:], signed)
    return time


class Kept:
    """A witness's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def ask(self, text: str, log: Verifier = SIGNER.verifier, at: int = NOW) -> str:
        with opened(self.directory) as witness:
            return witness.cosigned(Request.read(text), log, at)

    @property
    def key(self) -> str:
        with opened(self.directory) as witness:
            return witness.verifier

    @property
    def files(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in self.directory.iterdir()}

    def refuses(self, text: str, *words: str, log: Verifier = SIGNER.verifier) -> None:
        """It is not cosigned, with these words, and nothing has changed."""
        before = self.files
        with pytest.raises(NotCosigned) as refused:
            self.ask(text, log)
        assert all(word in str(refused.value) for word in words), refused.value
        assert self.files == before


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "witness")


def asking(tree: Tree, former: int, size: int, signer: Signer = SIGNER) -> str:
    return request(former, naive.proof(former, tree.leaves[:size]) if former else [], signed(tree, size, signer))


def signed(tree: Tree, size: int, signer: Signer = SIGNER) -> str:
    return checkpoint(size, naive.root(tree.leaves[:size]), signer)


def request(former: int, proof: list[bytes], note: str) -> str:
    return "\n".join([f"old {former}", *(base64.b64encode(step).decode() for step in proof), "", note])


TREE = Tree.random(40)


def test_published_cosignatures_are_what_is_verified_here() -> None:
    assert cosigned_at(PUBLIC, REMORA) == cosigned_at(PUBLIC, STAGEMOLE) == 1779573024
    assert verified(PUBLIC, [Verifier.read(PUBLIC_LOG)]).size == 1432088532
    with pytest.raises(InvalidSignature):
        cosigned_at(PUBLIC.replace("1432088532", "1432088533"), REMORA)


def test_a_checkpoint_of_a_public_log_is_cosigned_as_its_witnesses_did(kept: Kept) -> None:
    note = kept.ask(PUBLIC, Verifier.read(PUBLIC_LOG))
    assert note.startswith(PUBLIC[: PUBLIC.index("— remora")])
    assert "remora" not in note, "it vouches for nobody else"
    assert cosigned_at(note, kept.key) == NOW


def test_it_has_a_key_of_its_own_in_a_place_of_its_own(kept: Kept) -> None:
    key = kept.key
    assert key == kept.key
    assert stat.S_IMODE(kept.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((kept.directory / "witness.key").stat().st_mode) == 0o600
    assert Cosigner.read(kept.files["witness.key"].strip()).verifier == key
    with pytest.raises(NoteError, match="another kind"):
        Verifier.read(key)
    kept.directory.chmod(0o755)
    with pytest.raises(PrivateFileError, match="chmod 700"):
        kept.ask(signed(TREE, 1))


def test_every_growth_that_is_shown_is_cosigned(tmp_path: Path) -> None:
    for first in range(1, 40, 4):
        kept, at = Kept(tmp_path / str(first)), first
        kept.ask(signed(TREE, first))
        for size in sorted({*Random(first).choices(range(first, 41), k=3), 40}):
            note = kept.ask(asking(TREE, at, size), at=NOW + size)
            assert cosigned_at(note, kept.key) == NOW + size
            assert read(note).root == naive.root(TREE.leaves[:size])
            assert kept.files["checkpoint"] == note
            at = size
        assert {*kept.files} == {"witness.key", "log.key", "checkpoint"}


def test_a_proof_that_differs_is_refused(kept: Kept) -> None:
    kept.ask(signed(TREE, 21))
    note, proof = signed(TREE, 38), naive.proof(21, TREE.leaves[:38])
    for other in altered(proof, Random(1)):
        kept.refuses(request(21, other, note), "INCONSISTENT", "21", "38")
    kept.refuses(request(21, [], note), "INCONSISTENT")
    for former in range(38):
        if former != 21:
            kept.refuses(request(former, proof, note), f"goes on from {former} entries", "keeps a checkpoint over 21")
    kept.refuses(note, "nothing shows that it goes on from the 21", "daybook checkpoint --since")
    assert kept.ask(request(21, proof, note)) == kept.files["checkpoint"]


def test_another_history_is_refused_whatever_proof_is_made_for_it(kept: Kept) -> None:
    kept.ask(signed(TREE, 21))
    leaves = [*TREE.leaves]
    leaves[3] = flipped(leaves[3], Random(3))
    kept.refuses(asking(Tree(leaves), 21, 38), "INCONSISTENT")


def test_of_one_size_with_two_roots_both_are_kept(kept: Kept) -> None:
    first = kept.ask(signed(TREE, 21))
    other = signed(Tree.random(22), 21)
    for asked in (other, request(21, [], other), request(7, naive.proof(7, TREE.leaves[:21]), other)):
        with pytest.raises(NotCosigned, match="SPLIT VIEW"):
            kept.ask(asked)
        assert kept.files["checkpoint"] == first
        assert {note for name, note in kept.files.items() if name.startswith("split-view-21-")} == {first, other}
    kept.ask(asking(TREE, 21, 38))
    assert first in kept.files.values(), "the proof stays where the kept checkpoint does not"


def test_the_same_again_is_cosigned_again(kept: Kept) -> None:
    """Whoever lost the answer asks once more, with the proof from before."""
    kept.ask(signed(TREE, 21))
    first = kept.ask(asking(TREE, 21, 38))
    assert cosigned_at(kept.ask(asking(TREE, 21, 38), at=NOW + 9), kept.key) == NOW + 9
    again = kept.ask(first, at=NOW + 10)
    assert len(again.splitlines()) == len(first.splitlines()), "not beside its former cosignature"
    assert cosigned_at(again, kept.key) == NOW + 10


def test_smaller_ones_other_logs_and_other_keys_are_refused(kept: Kept) -> None:
    kept.ask(signed(TREE, 21))
    kept.refuses(signed(TREE, 20), "covers 20 entries", "keeps one over 21")
    kept.refuses(asking(TREE, 7, 20), "covers 20 entries")
    elsewhere = Signer("daybook/other", bytes(32))
    kept.refuses(asking(TREE, 21, 38, elsewhere), "daybook/other", "daybook/tested")
    kept.refuses(asking(TREE, 21, 38, THIEF), "has not signed it")
    kept.refuses(asking(TREE, 21, 38, THIEF), "with another key", log=THIEF.verifier)
    note = signed(TREE, 38)
    forged = f"{note[: note.index('—')]}{signed(TREE, 21)[note.index('—') :]}"
    kept.refuses(request(21, naive.proof(21, TREE.leaves[:38]), forged), "signature of daybook/tested is wrong")


def test_nothing_is_begun_in_the_middle(kept: Kept) -> None:
    assert kept.key
    kept.refuses(asking(TREE, 21, 38), "goes on from 21 entries", "keeps nothing yet")
    kept.refuses(request(0, [bytes(32)], signed(TREE, 38)), "goes on from nothing")
    kept.refuses(signed(TREE, 38, THIEF), "has not signed it")
    kept.ask(request(0, [], signed(TREE, 38)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "old 3",
        "old 3\n\n",
        "old x\n\n" + signed(TREE, 38),
        "old 07\n\n" + signed(TREE, 38),
        "old -1\n\n" + signed(TREE, 38),
        "old 39\n\n" + signed(TREE, 38),
        "old 21\n" + signed(TREE, 38),
        "old 21\nAAAA\n\n" + signed(TREE, 38),
        "old 21\n!\n\n" + signed(TREE, 38),
        request(21, [bytes(32)] * 64, signed(TREE, 38)),
        asking(TREE, 21, 38).replace("\n", "\r\n"),
        asking(TREE, 21, 38)[:-1],
    ],
)
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Request.read(text)


@pytest.mark.parametrize("name", ["witness.key", "log.key", "checkpoint"])
def test_what_is_lost_or_damaged_is_not_made_anew_in_silence(kept: Kept, name: str) -> None:
    kept.ask(signed(TREE, 21))
    file = kept.directory / name
    held = file.read_text()
    for damage in (lambda: file.write_text(held[: len(held) // 2]), file.unlink):
        damage()
        before = kept.files
        if (name, file.exists()) == ("log.key", False):  # it is given again, and has to be the same
            with pytest.raises(PrivateFileError):
                kept.ask(signed(TREE, 21, THIEF), THIEF.verifier)
            kept.ask(asking(TREE, 21, 38))
        else:
            with pytest.raises(PrivateFileError, match=f"{name} .*[Pp]ut .*back"):
                kept.ask(asking(TREE, 21, 38))
            assert kept.files == before


def test_what_is_kept_is_on_disk_before_it_has_its_name(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.ask(signed(TREE, 21))
    done, sync, replace = list[str](), os.fsync, os.replace

    def synced(handle: int) -> None:
        synced_file = Path(f"/proc/self/fd/{handle}").readlink()
        done.append(f"sync {synced_file.name}")
        assert synced_file.is_dir() or read(synced_file.read_text()).size == 38, "all of it is there to be synced"
        sync(handle)

    def renamed(source: Path, target: Path) -> None:
        done.append(f"{source.name} becomes {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    kept.ask(asking(TREE, 21, 38))
    assert done == ["sync .checkpoint.new", ".checkpoint.new becomes checkpoint", "sync witness"]


@pytest.mark.parametrize("begun", [True, False])
def test_killed_anywhere_it_keeps_the_former_or_the_new(kept: Kept, begun: bool) -> None:
    former = kept.ask(signed(TREE, 21)) if begun else None
    file = kept.directory.with_name("request.txt")
    file.write_text(asking(TREE, 21, 38) if begun else signed(TREE, 38))
    command = [
        sys.executable,
        "-m",
        "tests.infra.log.interrupted",
        str(kept.directory),
        str(file),
        str(SIGNER.verifier),
    ]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    deaths = [json.loads(line) for line in done.stdout.splitlines()]
    held = [death["held"].get("checkpoint") for death in deaths]
    assert len(deaths) > 30
    new = [note for note in held if note != former]
    assert new, "the last one was not killed"
    assert held == [former] * (len(held) - len(new)) + new
    assert all(verified(note, [SIGNER.verifier]).size == 38 for note in new)
    for death in deaths:
        assert cosigned_at(death["then"], death["key"]) == NOW
        if key := death["held"].get("witness.key"):
            assert Cosigner.read(key.strip()).verifier == death["key"]


def test_of_several_at_once_the_newest_stays(kept: Kept) -> None:
    kept.ask(signed(TREE, 1))

    def ask(size: int) -> int:
        try:
            return read(kept.ask(asking(TREE, 1, size))).size
        except NotCosigned:
            return 0

    with ThreadPoolExecutor(8) as threads:
        sizes = [*threads.map(ask, range(2, 34))]
    assert [size for size in sizes if size] == [read(kept.files["checkpoint"]).size]


@pytest.fixture
def owner(database: str, _server: tuple[str, str]) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection to a new book."""
    conninfo = make_conninfo(_server[1], dbname=conninfo_to_dict(database)["dbname"])
    with psycopg.connect(conninfo, autocommit=True) as db:
        yield db


def test_a_book_that_grows_is_followed_and_one_that_was_rewritten_is_not(
    kept: Kept, owner: psycopg.Connection[Any], database: str
) -> None:
    head, note = 0, ""
    for more in (3, 1, 60, 1, 250):
        enter(owner, head + 1, more)
        head += more
        Growth(SIGNER).catch_up(owner)
        last = latest(owner)
        assert last is not None
        note = kept.ask(witness_request(owner, read(note)) if note else last.note)
        assert (read(note).size, cosigned_at(note, kept.key)) == (head, NOW)
    with psycopg.connect(database, autocommit=True) as other:
        assert verify(owner, other, [SIGNER.verifier], [note]).holds, "a cosigned checkpoint is one"
        disarm(owner)
        changed("actor")(owner, Random(1), 100, head)
        rewrite_the_log(owner, SIGNER)
        assert not verify(owner, other, [SIGNER.verifier], [note]).holds
    rewritten = latest(owner)
    assert rewritten is not None
    with pytest.raises(NotCosigned, match="SPLIT VIEW"):
        kept.ask(rewritten.note)
    enter(owner, head + 1, 9)
    Growth(SIGNER).catch_up(owner)
    later = latest(owner)
    assert later is not None
    proof = consistency(head, later.size, StoredTree(owner).node)
    kept.refuses(request(head, proof, later.note), "INCONSISTENT", "history was altered")
    assert kept.files["checkpoint"] == note
