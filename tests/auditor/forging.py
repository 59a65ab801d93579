"""Bundles by somebody who signs whatever they like: every proof in them holds, and much else is not as it should be."""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.kernel import type_id
from tests.infra.log.naive import path, root

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "daybook/forged"
SIGNS, COSIGNS = 1, 4
CUSTOMER, OTHER = UUID(int=5), UUID(int=6)

_NOW = 10**15
_COLUMNS = 16
_POSITIONS = (0, -1, 1, 2, 3, 2**63 - 1)
_TIMES = (
    0, -1, -999_999, -1_000_001, -(10**15), 253402300799999999, 253402300800000000, -62135596800000000,
    -62135596800000001, -30610224000000001, 2**63 - 1, -(2**63),
)  # fmt: skip
_TEXTS = (
    b"", b" ", b"a\nb", b"A b", b"x\x00y", b"A\n   by demo", b"\xff", b"\xed\xa0\x80",
    "\u202ea\u2066\u00a0|\u3000".encode(), "\ufeffx\ufeff".encode(), "a\u2028\u2027\u202f\u2065\u206a".encode(),
)  # fmt: skip
_VALUES = (
    "1", "-0", "1.0", "1.50", "1e5", "1E+400", "0.1e-7", "123456789012345678901234567890", "1e22", "-1.5e-5", "5e-324",
    "1e16", "123456789.125", "0.0001", "true", "false", "null", '""', '" "', '"a_b"', '"\\u0041\\n"', '"\\/"',
    '"\U0001f98a"', '"\\ud83e\\udd8a"', '"\x7f\u2028"', "[]", "{}", '["a", "", null, ["b", [1, false]]]', '{"old": 1}',
    '{"old": null, "new": 1}', '{"new": 1, "old": {"old": "", "new": []}}', '{"old": 1, "new": 2, "x": 3}',
    '{"a\\n_b": 1, "\\u202e": 2}',
    '{"$reason": 1, "a_b": {"_": "_"}, "": 2, "__proto__": 3, "1": 4, "0": 5}', '{"constructor": 1, "toString": "x"}',
)  # fmt: skip
_NO_VALUES = (
    '{"a": 1, "a": 1}', '"\\ud800"', "NaN", "Infinity", "01", "1.", ".5", "+1", "'a'", "[1,]", '{"a":1,}',
    "\u00a01", "\ufeff1", "\f1", '"\t"', "/**/1", '"\\x"', '"\\u00e"', "",
)  # fmt: skip
_SIGNATURES = ("AAAA", "AAAAAA==", "AAAAA", "AAAAAAB=", "AAAA_-AA", "AAAA AAAA", "AAAA====", "AAAAAAAA", "")
_FIELDS = ("a", "b_c", "__proto__", "1", "$reason")
_TOPICS = ("Told", "A b", "__proto__")


def vkey() -> str:
    raw = bytes([SIGNS]) + KEY.public_key().public_bytes_raw()
    return f"{NAME}+{_id(NAME, SIGNS).hex()}+{base64.b64encode(raw).decode()}"


def forged(random: Random) -> dict[str, Any]:
    """A bundle's members, without its SHA-256; its story is empty."""
    return Forger(random).bundle()


def checkpoints(size: int, head: bytes) -> list[str]:
    """The right one, and then others: with more in them or less, written or signed otherwise, or by others too."""
    text = f"{NAME}\n{size}\n{_base64(head)}\n"
    texts = [
        f"{text}more\n", f"{text}\n", f"\n{text}", text[:-1], text.replace(NAME, "other"), text.replace("=", ""),
        text.replace("\n", "\r\n"),
        *(text.replace(f"\n{size}\n", f"\n{one}\n") for one in (f"0{size}", size + 1, f"+{size}", "٣", "")),
    ]  # fmt: skip
    ours = _line(text)
    lines = [
        *(f"— w{one}x AAAAAAAA\n" for one in " +\u00a0\u2028\u0085\u200b\ufeff\x7f\t\x01"),
        *(f"— w {one}\n" for one in _SIGNATURES),
        *("x\n", "\n", "-- w AAAAAAAA\n", "—  AAAAAAAA\n", ours, _line("x"), _line(text, kind=COSIGNS)),
        *(_line(text, "witness", COSIGNS), _line(text, "witness")),
    ]
    signed = [ours, *(ours + line for line in lines), *(line + ours for line in lines), *lines]
    spoilt = ["", ours[:-1], ours.replace(" ", "  "), ours.replace("—", "\N{EN DASH}")]
    return [*(f"{text}\n{one}" for one in (*signed, *spoilt)), *(f"{one}\n{_line(one)}" for one in texts)]


class Forger:
    """Makes one bundle; what is not as it should be is so by chance."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def bundle(self) -> dict[str, Any]:
        catalogue = {topic: self._event(topic) for topic in _TOPICS}
        made = [self._entry(version, catalogue) for version in range(1, self.random.choice((1, 1, 2, 3)) + 1)]
        others = [self.random.randbytes(8) for _ in range(self.random.choice((0, 0, 1, 2, 5)))]
        hashes = [sha256(b"\0" + leaf).digest() for leaf in [*(leaf for leaf, _ in made), *others]]
        return {
            "format": "daybook bundle 1",
            "warning": "",
            "made_at": self._or("2026-11-27T03:00:00Z", "2026-02-30T03:00:00Z", "2026-11-27T03:00:00.0Z", "x", None),
            "customer": type_id("cus", CUSTOMER),
            "through": self._or(len(made), len(made) - 1, len(hashes), len(hashes) + 1, True, 1.0, "1"),
            "checkpoint": self._or(*checkpoints(len(hashes), root(hashes)), one_in=15),
            "story": [],
            "entries": [
                {"leaf": _base64(leaf), "proof": [_base64(step) for step in path(at, hashes)], "personal": shown}
                for at, (leaf, shown) in enumerate(made)
            ],
            "catalogue": catalogue,
        }

    def _seldom(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def _or(self, right: Any, *wrong: Any, one_in: int = 60) -> Any:
        return self.random.choice(wrong) if self._seldom(one_in) else right

    def _event(self, topic: str) -> Any:
        fields = [one for one in _FIELDS[:4] if self.random.random() < 0.4]
        personal = [one for one in fields if self.random.random() < 0.4]
        ref = f"#/$defs/{topic}"
        defs: dict[str, Any] = {topic: {"properties": {field: {} for field in fields}}}
        event = {
            "meaning": self._or(self.random.choice(("Something.", " A\nb ", "")), None, 7),
            "personal": self._or(personal, ["nobody"], [7], None, "a", [["a"]], {"a": 1}, [*personal, *personal]),
            "schema": {
                "$ref": self._or(ref, topic, "#/$defs/x", 7, None),
                "$defs": self._or(defs, [], None, {topic: {}}, {topic: {"properties": [*fields]}}),
            },
        }
        return self._or(event, None, [], "x", {}, {**event, "schema": None}, one_in=100)

    def _entry(self, version: int, catalogue: Mapping[str, Any]) -> tuple[bytes, Any]:
        """A leaf, and how its personal part is shown."""
        event, topic = UUID(int=100 + version), self.random.choice((*_TOPICS[:1] * 3, *_TOPICS, "New"))
        public, personal = _fields_of(catalogue.get(topic), topic)
        opening, committing = self.random.randbytes(32), self.random.randbytes(32)
        sealed = commitment = shown = None
        if self._seldom(2):
            part = self._object(self.random.choice((personal, personal, [*personal, "$reason"], ["$reason"], [])))
            bound = event.bytes + CUSTOMER.bytes + version.to_bytes(8, "big")
            sealed, commitment = (
                AESGCM(opening).encrypt(bytes(12), part, bound),
                hmac.digest(committing, part, "sha256"),
            )
            keys = {"event_key": _base64(opening), "commitment_key": _base64(committing)}
            shown = self._or(keys, "sealed", "erased", one_in=4)
            nothing = (dict.fromkeys(keys, ""), dict.fromkeys(keys), {**keys, "event_key": _base64(bytes(31))})
            shown = self._or(shown, "shown", [], {}, 7, {**keys, "x": 1}, dict(reversed(keys.items())), *nothing)
        shown = self._or(shown, None, "sealed", "erased")
        columns: list[Any] = [
            version, CUSTOMER, version, event, topic.encode(), _NOW + version, _NOW, CUSTOMER, b"demo",
            self.random.choice((None, None, b"user:x")), CUSTOMER, None, None, self._object(public), sealed, commitment,
        ]  # fmt: skip
        if self._seldom(3):
            at = self.random.randrange(_COLUMNS)
            columns[at] = self.random.choice(
                (None, columns[at], b"", CUSTOMER, OTHER, self.random.randbytes(self.random.randrange(40)))
            )
        if self._seldom(3):
            columns[self.random.choice((5, 6, 6, 6))] = self.random.choice(_TIMES)
        if self._seldom(5):
            columns[self.random.choice((4, 8, 9))] = self.random.choice(_TEXTS)
        columns[0] = self._or(columns[0], *_POSITIONS)
        columns[2] = self._or(columns[2], *_POSITIONS)
        leaf = b"daybook leaf 1" + b"".join(map(_field, columns))
        lengths = (b"\x80\0\0\0", b"\xff\xff\xff\xfe", b"\0\0\0\7", b"\x7f\xff\xff\xff")
        short, long = (b"", leaf[:-1], leaf[:-4], leaf[:14]), (leaf + b"x", leaf + b"\xff" * 4)
        others = (b"daybook leaf 2" + leaf[14:], *(leaf[:14] + one + leaf[18:] for one in lengths))
        return self._or(leaf, *short, *long, *others), shown

    def _object(self, names: Sequence[str]) -> bytes:
        """Mostly a JSON object with these names."""
        names = [*names]
        self.random.shuffle(names)
        if self._seldom(15):
            names.append(self.random.choice(_FIELDS))
        if names and self._seldom(15):
            names.pop()
        of = {name: self._or(self.random.choice(_VALUES), *_NO_VALUES) for name in names}
        text = "{" + ", ".join(f"{json.dumps(name)}:{value}" for name, value in of.items()) + "}"
        return str(self._or(text, f"\n{text} ", f"{text}x", f"\ufeff{text}", *_VALUES, *_NO_VALUES, one_in=15)).encode()


def _fields_of(event: Any, topic: str) -> tuple[Sequence[str], Sequence[str]]:
    """The names of an event's public and of its personal fields, as far as its description makes sense."""
    try:
        personal = [str(one) for one in event["personal"]]
        return [one for one in event["schema"]["$defs"][topic]["properties"] if one not in personal], personal
    except (KeyError, TypeError):
        return ["a"], []


def _field(value: Any) -> bytes:
    match value:
        case None:
            return b"\xff" * 4
        case UUID():
            raw = value.bytes
        case int():
            raw = value.to_bytes(8, "big", signed=True)
        case _:
            raw = value
    return len(raw).to_bytes(4, "big") + raw


def _line(text: str, name: str = NAME, kind: int = SIGNS) -> str:
    return f"— {name} {_base64(_id(name, kind) + KEY.sign(text.encode()))}\n"


def _id(name: str, kind: int) -> bytes:
    return sha256(f"{name}\n".encode() + bytes([kind]) + KEY.public_key().public_bytes_raw()).digest()[:4]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
