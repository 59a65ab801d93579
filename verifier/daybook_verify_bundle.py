#!/usr/bin/env python3
"""Checks a customer's bundle from Daybook, without Daybook: Python 3.11 or later, and its library `cryptography`.

    python daybook_verify_bundle.py FILE --vkey KEY [--json] [--story]

KEY is the log's verifier key, `name+id+key`, which you were given once and keep apart from any bundle. Exit codes: 0
everything that can be proven is proven, 1 something is wrong, 2 wrong usage or a file that can't be read.

The formats are specified in docs/auditor/bundle.md and docs/auditor/proof.md. This file shares no code with Daybook, so
that a mistake there is not repeated here.
"""

import argparse
import base64
import hmac
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, cast

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = "daybook bundle 1"
MEMBERS = (
    "format", "warning", "made_at", "customer", "through", "checkpoint", "story", "entries", "catalogue", "sha256",
)  # fmt: skip
COLUMNS = (
    "position", "originator_id", "originator_version", "event_id", "topic", "recorded_at", "occurred_at", "subject",
    "actor", "on_behalf_of", "correlation_id", "causation_id", "idempotency_key", "state", "sealed", "commitment",
)  # fmt: skip
INTEGERS = ("position", "originator_version", "recorded_at", "occurred_at")
UUIDS = ("originator_id", "event_id", "subject", "correlation_id", "causation_id", "idempotency_key")
TEXTS = ("topic", "actor", "on_behalf_of")
NULLABLE = ("on_behalf_of", "causation_id", "idempotency_key", "sealed", "commitment")

NOT_PROVEN = (
    "That the customer's last entries are all here. Compare their number with the customer's `version`.",
    "That what was entered is true, and that times are: proven is that it was entered so, and not altered since.",
    (
        "What events and fields mean, when the file was made, up to where it goes: Daybook's words, protected against"
        " accidents only. Compare the catalogue with domain/events.json of the release."
    ),
    "That a personal part which is not opened was erased, or could not be shown: the file only says so.",
    "That the checkpoint is the one that others were shown. Compare it with one that you, or a witness, kept.",
)
WARNING = (
    "Copies of this file outlive an erasure of the person. Note who has one, and destroy it when it is needed no more."
)


UNTOLD = "not told, for the Daybook that made this file can't read it"


class Wrong(Exception):
    """Something in the bundle is not as it has to be; the message says what."""


class NoKey(Exception):
    """The verifier key can't be used; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes


@dataclass(frozen=True)
class Entry:
    """An entry as its leaf says it; times are microseconds since 1970-01-01 00:00 UTC."""

    position: int
    originator_id: bytes
    originator_version: int
    event_id: bytes
    topic: str
    recorded_at: int
    occurred_at: int
    subject: bytes
    actor: str
    on_behalf_of: str | None
    correlation_id: bytes
    causation_id: bytes | None
    idempotency_key: bytes | None
    state: bytes
    sealed: bytes | None
    commitment: bytes | None


@dataclass(frozen=True)
class Meaning:
    """What the catalogue says of an event, and the names of its fields."""

    words: str
    public: set[str]
    personal: set[str]


@dataclass(frozen=True)
class Verdict:
    """What was proven. `story` is told anew from the entries, and is the one in the file."""

    origin: str
    size: int
    customer: str
    through: int
    entries: int
    opened: int
    sealed: int
    erased: int
    untold: Sequence[str]
    """Entries that are proven, and of which the file can't tell what they say."""
    first: str
    last: str
    story: Sequence[str]


def verify(file: bytes, vkey: str) -> Verdict:
    """Check a bundle. Raises Wrong, or NoKey."""
    name, key = read_vkey(vkey)
    try:
        return check(read(file), name, key)
    except RecursionError:
        raise Wrong("something in the file is nested too deeply") from None


def check(body: Mapping[str, Any], name: str, key: Ed25519PublicKey) -> Verdict:
    """Check what is read of a bundle against the key of the log that is called so."""
    checkpoint = read_checkpoint(text(body["checkpoint"], "the checkpoint"), name, key)
    customer = read_id(text(body["customer"], "the customer"))
    catalogue = read_catalogue(body["catalogue"])
    untold = list[str]()
    entries, story, counts = list[Entry](), list[str](), {"opened": 0, "sealed": 0, "erased": 0, "nothing": 0}
    for number, raw in enumerate(sequence(body["entries"], "entries"), 1):
        where = f"entry {number} of the file"
        shown = members(raw, ("leaf", "proof", "personal"), where)
        leaf = binary(shown["leaf"], where)
        entry = read_leaf(leaf, where)
        proof = [binary(one, where) for one in sequence(shown["proof"], where)]
        check_inclusion(leaf, entry.position - 1, checkpoint, proof, where)
        check_place(entry, number, customer, entries[-1] if entries else None, where)
        how, personal = open_personal(entry, shown["personal"], where)
        if how == "opened" and entry.subject != customer:
            raise Wrong(f"{where} shows what is sealed under another's key, and not the customer's to show")
        counts[how] += 1
        known = understood(entry, how, personal, catalogue, where)
        if known is None:
            if how == "opened":
                raise Wrong(f"{where}: its personal part is opened, and the catalogue does not say what it means")
            untold.append(f"entry {entry.position}, {clean(entry.topic)}")
        story.append(tell(entry, how, personal, *(known or (UNTOLD, {}))))
        entries.append(entry)
    if not entries:
        raise Wrong("the bundle holds no entry")
    told = sequence(body["story"], "the story")
    for number, line in enumerate(story, 1):
        if number > len(told) or told[number - 1] != line:
            raise Wrong(f"the story says something else of entry {number} of the file than the entry does")
    if len(told) != len(story):
        raise Wrong("the story tells more than the entries do")
    through = body["through"]
    if type(through) is not int or not entries[-1].position <= through <= checkpoint.size:
        raise Wrong("`through` is no position between the last entry and the checkpoint")
    return Verdict(
        checkpoint.origin, checkpoint.size, body["customer"], through, len(entries), counts["opened"], counts["sealed"],
        counts["erased"], untold, moment(entries[0].recorded_at), moment(entries[-1].recorded_at), story,
    )  # fmt: skip


# The file


def read(file: bytes) -> Mapping[str, Any]:
    """The bundle of a file that is written in the one way in which it may be, and that no accident has changed."""
    try:
        whole = file.decode("utf-8")
        body = json.loads(whole, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Wrong("the file is no JSON document in UTF-8") from None
    body = members(body, MEMBERS, "the bundle")
    if body["format"] != FORMAT:
        raise Wrong(f"the file is no {FORMAT!r}")
    # One way only to write it: so no name stands twice, and nothing is hidden between what is read.
    if canonical(body) != whole:
        raise Wrong("the file is not written as the format demands: something was changed, or inserted")
    digest = sha256(canonical({name: body[name] for name in MEMBERS[:-1]}).encode("utf-8", "surrogatepass")).hexdigest()
    if body["sha256"] != digest:
        raise Wrong("the file was changed: its SHA-256 is another")
    text(body["warning"], "the warning")
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text(body["made_at"], "made_at")):
        raise Wrong("`made_at` is no time")
    return body


def canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def no_constant(_: str) -> NoReturn:
    raise ValueError


def unambiguous(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    """A JSON object in which no name stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def members(value: object, names: Sequence[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or [*cast("Mapping[str, Any]", value)] != [*names]:
        raise Wrong(f"{where} does not consist of {', '.join(names)}")
    return cast("Mapping[str, Any]", value)


def sequence(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise Wrong(f"{where}: there is no list where one belongs")
    return cast("Sequence[Any]", value)


def text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise Wrong(f"{where} is no text")
    return value


def binary(value: object, where: str) -> bytes:
    """Bytes from base64 in its one spelling."""
    try:
        raw = base64.b64decode(text(value, where), validate=True)
    except ValueError:
        raw = b""
    if not raw or base64.b64encode(raw).decode() != value:
        raise Wrong(f"{where}: what should be base64 is not")
    return raw


def read_id(id: str) -> bytes:
    """The UUID of a TypeID: 128 bits in 26 letters of a base32."""
    letters = "0123456789abcdefghjkmnpqrstvwxyz"
    found = re.fullmatch(f"cus_([0-7][{letters}]{{25}})", id)
    if found is None:
        raise Wrong("the customer is no id of a customer")
    value = 0
    for letter in found[1]:
        value = value << 5 | letters.index(letter)
    return value.to_bytes(16, "big")


# The checkpoint: C2SP signed-note and tlog-checkpoint


def read_vkey(vkey: str) -> tuple[str, Ed25519PublicKey]:
    name, _, rest = vkey.strip().partition("+")
    id, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if not name or len(raw) != 33 or raw[0] != 1 or key_id(name, raw) != id:
        raise NoKey("it is no Ed25519 key as name+id+key")
    return name, Ed25519PublicKey.from_public_bytes(raw[1:])


def key_id(name: str, raw: bytes) -> str:
    return sha256(name.encode("utf-8", "surrogateescape") + b"\n" + raw).hexdigest()[:8]


def read_checkpoint(note: str, name: str, key: Ed25519PublicKey) -> Checkpoint:
    signed, blank, rest = note.rpartition("\n\n")
    if not blank or not rest.endswith("\n") or any(one < " " and one != "\n" for one in note):
        raise Wrong("the checkpoint is no signed note")
    signed += "\n"
    id = key_id(name, b"\x01" + key.public_bytes_raw())
    mine = 0
    for line in rest[:-1].split("\n"):
        found = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/]+=*)", line)
        if found is None or len(signature := binary(found[2], "a signature of the checkpoint")) <= 4:
            raise Wrong("the checkpoint is no signed note: a signature is not one")
        if found[1] != name or signature[:4].hex() != id:
            continue  # another's, such as a witness's
        try:
            key.verify(signature[4:], signed.encode())
        except InvalidSignature:
            raise Wrong("the signature under the checkpoint is wrong") from None
        mine += 1
    if not mine:
        raise Wrong("the checkpoint is not signed with this key")
    lines = signed.split("\n")
    if len(lines) != 4 or lines[0] != name or not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]):
        raise Wrong("the checkpoint is none of this log")
    root = binary(lines[2], "the root of the checkpoint")
    if len(root) != 32:
        raise Wrong("the root of the checkpoint is none")
    return Checkpoint(name, int(lines[1]), root)


# The entries


def read_leaf(leaf: bytes, where: str) -> Entry:
    tag = b"daybook leaf 1"
    if not leaf.startswith(tag):
        raise Wrong(f"{where} is no leaf")
    found, at = dict[str, Any](), len(tag)
    for column in COLUMNS:
        length = int.from_bytes(leaf[at : at + 4], "big", signed=True)
        at += 4
        value = leaf[at : at + max(length, 0)]
        at += len(value)
        if at > len(leaf) or (length >= 0 and len(value) != length) or length < -1:
            raise Wrong(f"{where} is no leaf: it ends too early")
        if length == -1 and column not in NULLABLE:
            raise Wrong(f"{where} has no {column}")
        found[column] = None if length == -1 else read_column(column, value, where)
    if at != len(leaf):
        raise Wrong(f"{where} is no leaf: something follows it")
    return Entry(**found)


def read_column(column: str, value: bytes, where: str) -> Any:
    if column in INTEGERS:
        if len(value) != 8:
            raise Wrong(f"{where}: {column} is no integer")
        return int.from_bytes(value, "big", signed=True)
    if column in UUIDS and len(value) != 16:
        raise Wrong(f"{where}: {column} is no UUID")
    if column in TEXTS:
        try:
            return value.decode("utf-8")
        except ValueError:
            raise Wrong(f"{where}: {column} is no text") from None
    return value


def check_inclusion(leaf: bytes, index: int, checkpoint: Checkpoint, proof: Sequence[bytes], where: str) -> None:
    """RFC 9162, 2.1.3.2."""
    at, last, digest = index, checkpoint.size - 1, sha256(b"\x00" + leaf).digest()
    if not 0 <= at <= last:
        raise Wrong(f"{where} stands outside of what the checkpoint covers")
    for step in proof:
        if last == 0 or len(step) != 32:
            raise Wrong(f"{where}: its proof is too long, or none")
        if at & 1 or at == last:
            digest = sha256(b"\x01" + step + digest).digest()
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            digest = sha256(b"\x01" + digest + step).digest()
        at, last = at >> 1, last >> 1
    if last != 0 or digest != checkpoint.root:
        raise Wrong(f"{where} is not the one that the checkpoint was signed over, or its proof is wrong")


def check_place(entry: Entry, number: int, customer: bytes, before: Entry | None, where: str) -> None:
    if entry.originator_id != customer:
        raise Wrong(f"{where} is another record's")
    if entry.originator_version != number:
        raise Wrong(f"{where} is version {entry.originator_version} of the customer: one is missing, or out of order")
    if before is not None and (before.position >= entry.position or before.recorded_at > entry.recorded_at):
        raise Wrong(f"{where} was entered before the one that it follows")
    if (entry.sealed is None) != (entry.commitment is None):
        raise Wrong(f"{where} has a sealed part without a commitment, or the other way round")


def open_personal(entry: Entry, shown: object, where: str) -> tuple[str, Mapping[str, Any]]:
    """How the personal part is shown, and what it holds."""
    if entry.sealed is None or entry.commitment is None:
        if shown is not None:
            raise Wrong(f"{where} has no personal part, and the file says that it has one")
        return "nothing", {}
    if shown in ("sealed", "erased"):
        return str(shown), {}
    keys = members(shown, ("event_key", "commitment_key"), f"{where}: what opens its personal part")
    opening, committing = binary(keys["event_key"], where), binary(keys["commitment_key"], where)
    if len(opening) != 32 or len(committing) != 32:
        raise Wrong(f"{where}: its keys are none")
    bound = entry.event_id + entry.originator_id + entry.originator_version.to_bytes(8, "big")
    try:
        personal = AESGCM(opening).decrypt(bytes(12), entry.sealed, bound)
    except InvalidTag:
        raise Wrong(f"{where}: its personal part does not open with the key in the file") from None
    if not hmac.compare_digest(hmac.digest(committing, personal, "sha256"), entry.commitment):
        raise Wrong(f"{where}: what its personal part opens to is not what the entry is bound to")
    return "opened", read_object(personal, where)


def read_object(raw: bytes, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=no_constant, object_pairs_hook=unambiguous)
        canonical(value).encode("utf-8")  # half of a surrogate pair can't be told
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Wrong(f"{where}: what it holds is no JSON object")
    return cast("Mapping[str, Any]", value)


# What it means, and the story


def read_catalogue(value: object) -> Mapping[str, Meaning]:
    if not isinstance(value, dict):
        raise Wrong("the catalogue is none")
    return {topic: read_meaning(one, topic) for topic, one in cast("Mapping[str, Any]", value).items()}


def read_meaning(value: Any, topic: str) -> Meaning:
    where = f"the catalogue does not describe {topic}"
    try:
        secret = {text(one, where) for one in sequence(value["personal"], where)}
        ref = text(value["schema"]["$ref"], where)
        known: object = value["schema"]["$defs"][ref.removeprefix("#/$defs/")]["properties"]
        words = text(value["meaning"], where)
    except (KeyError, TypeError):
        raise Wrong(where) from None
    if not isinstance(known, dict) or not ref.startswith("#/$defs/"):
        raise Wrong(where)
    return Meaning(words, {*cast("Mapping[str, Any]", known)} - secret, secret)


def understood(
    entry: Entry, how: str, personal: Mapping[str, Any], catalogue: Mapping[str, Meaning], where: str
) -> tuple[str, Mapping[str, Any]] | None:
    """What an entry means, and the fields of its public part, where these are the ones in the catalogue."""
    meaning = catalogue.get(entry.topic)
    if meaning is None:
        return None
    try:
        public = read_object(entry.state, where)
    except Wrong:
        return None
    if {*public} != meaning.public:
        return None
    if how == "opened" and {*personal} - {"$reason"} not in ({*()}, meaning.personal):
        raise Wrong(f"{where}: its fields are not those of {entry.topic} in the catalogue")
    return meaning.words, public


def tell(entry: Entry, how: str, personal: Mapping[str, Any], meaning: str, public: Mapping[str, Any]) -> str:
    """The lines of the story about an entry."""
    by = clean(entry.actor) + ("" if entry.on_behalf_of is None else f" for {clean(entry.on_behalf_of)}")
    lines = [
        f"{entry.originator_version}. {moment(entry.occurred_at)}, {clean(entry.topic)}: {clean(meaning)}",
        f"   by {by}, recorded {moment(entry.recorded_at)} as entry {entry.position}",
        *fields(public),
    ]
    if how in ("sealed", "erased"):
        lines.append(f"   its personal part is {how}")
    return "\n".join([*lines, *fields(personal)])


def fields(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        said = spoken(value)
        if said:
            yield f"   {'reason' if name == '$reason' else plain(name)}: {said}"


def spoken(value: object) -> str:
    if value is None:
        return ""
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return " | ".join(said for said in [spoken(one) for one in cast("list[object]", value)] if said)
    if isinstance(value, dict):
        inner = cast("dict[str, object]", value)
        if {*inner} == {"old", "new"}:
            return f"{spoken(inner['old']) or 'nothing'} → {spoken(inner['new']) or 'nothing'}"
        pairs = [(plain(name), spoken(one)) for name, one in inner.items()]
        return ", ".join(f"{name}: {said}" for name, said in pairs if said)
    return json.dumps(value)


def plain(name: str) -> str:
    return clean(name.replace("_", " "))


def clean(value: str) -> str:
    """Without what moves a cursor or turns the direction of writing; runs of it and of spaces are one space."""
    return re.sub("[\x00-\x20\x7f-\x9f\u2028-\u202e\u2066-\u2069]+", " ", value).strip(" ")


def moment(microseconds: int) -> str:
    try:
        at = datetime(1970, 1, 1) + timedelta(microseconds=microseconds)  # noqa: DTZ001 - in UTC
    except OverflowError:
        raise Wrong("a time is none") from None
    return f"{at.replace(microsecond=0)} UTC"  # `%Y` has four digits not everywhere


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a customer's bundle from Daybook, offline.")
    parser.add_argument("file", type=Path, help="the bundle")
    parser.add_argument("--vkey", required=True, help="the log's verifier key: name+id+key, or a file that holds it")
    parser.add_argument("--json", action="store_true", help="print one JSON document, for programs")
    parser.add_argument("--story", action="store_true", help="tell the story too")
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # whatever they can't show is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        verdict = verify(given.file.read_bytes(), read_key_argument(given.vkey))
    except (OSError, NoKey) as error:
        print(f"can't be checked: {error}", file=sys.stderr)
        return 2
    except Wrong as error:
        if given.json:
            print(json.dumps({"holds": False, "wrong": str(error)}))
        else:
            print(f"NOT PROVEN: {printable(str(error))}.")
            print("Don't rely on anything in this file.")
        return 1
    if given.json:
        print(json.dumps({"holds": True, **verdict.__dict__, "not_proven": NOT_PROVEN}))
    else:
        show(verdict, story=given.story)
    return 0


def read_key_argument(given: str) -> str:
    try:
        return given if "+" in given else Path(given).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise NoKey("the file holds no text") from None


def show(verdict: Verdict, *, story: bool) -> None:
    print(f"PROVEN, for {verdict.customer}:")
    print(f"  The log {verdict.origin} signed a checkpoint over the first {verdict.size} entries of its book.")
    print(f"  All {verdict.entries} entries in this file stand there, in every column as they are here.")
    print(
        f"  They are the customer's versions 1 to {verdict.entries}, without a gap: nothing was left out between them."
    )
    print(f"  They were recorded from {verdict.first} to {verdict.last}, by the database's clock.")
    print(f"  {verdict.opened} personal parts open to exactly one content, which is the one that was sealed.")
    print("  The story in the file says what the entries say, and nothing else.")
    for count, what in ((verdict.sealed, "are sealed, and not shown here"), (verdict.erased, "were erased")):
        if count:
            print(f"  Of {count} entries the personal parts {what}, as the file says.")
    if verdict.untold:
        print(f"NOT TOLD, though it stands there: {printable('; '.join(verdict.untold))}.")
        print("  The Daybook that made the file can't read it. Ask for a bundle from the version that wrote it.")
    print("NOT PROVEN:")
    for one in NOT_PROVEN:
        print(f"  {one}")
    print(WARNING)
    for lines in verdict.story if story else ():
        print()
        print(printable(lines))


def printable(value: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in value)


if __name__ == "__main__":
    sys.exit(main())
