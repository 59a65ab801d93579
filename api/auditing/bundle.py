"""A bundle: one file with a customer's entries, the proof of each, and what is needed to understand them.

docs/auditor/bundle.md specifies it; verifier/daybook_verify_bundle.py checks it and shares no code with this.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any, NamedTuple, NoReturn, cast
from uuid import UUID

from api.auditing.telling import Told, told
from domain.catalogue import catalogue
from domain.customer import customer
from domain.encoding import REASON, NoSuchTime, Older, Part, SealBroken, UnknownEventName, UnreadableEntry
from domain.kernel import Withheld, type_id
from infra.entries import EntryNotification, StoredEntry, contact_of
from infra.event_store import EventStore, Pool
from infra.log.note import Verifier
from infra.log.proving import ProvenHistory, proven_history
from infra.log.store import LogError
from infra.patience import patient
from infra.times import is_out_of_reach
from infra.vault import EventKeys, Vault

FORMAT = "daybook bundle 1"

WARNING = (
    "With the keys in this file, whoever has it can read personal data. Copies of it outlive an erasure: where the"
    " person is erased from the book, they stay readable. Note who has one, and destroy it when it is needed no more."
)
WARNING_SEALED = (
    "This file holds no keys, but who did what with this customer, and when. Copies of it outlive an erasure: note who"
    " has one, and destroy it when it is needed no more."
)

_GAP = (
    "The versions of {customer} have a gap: {missing} is not there, and later ones are, and signed. One was altered or"
    " taken away: give a position before that as `--as-of`."
)


class NothingToShow(LookupError):
    """The customer had no entry in the book by then."""


class Bundle(NamedTuple):
    """A bundle as a file."""

    file: str
    """To be kept as it is, to the byte."""
    through: int
    """The position up to which it holds the customer's entries."""
    checkpoint: str
    """The signed note that they are proven against."""
    entries: int
    keys: int
    """Entries whose personal part can be read with a key in it."""
    untold: Sequence[UnreadableEntry]
    """Those that can't be read, or do not open with their keys: they are proven in it, and not told."""


class Bundles:
    """Makes bundles. Thread-safe."""

    def __init__(
        self, pool: Pool, store: EventStore, vault: Vault, own: Callable[[], Verifier | None] = lambda: None
    ) -> None:
        """`own`: the key that what is signed here is verified with, where there is one here."""
        self._pool, self._store, self._vault, self._own = pool, store, vault, own

    @patient
    def of(self, id: UUID, *, through: int | None = None, at_most: int | None = None, disclose: bool = False) -> Bundle:
        """The bundle of a customer's entries up to a position; by default, up to the last checkpoint, or `at_most`.

        `disclose`: with the keys of each entry's personal part, which is to be recorded before; but not of what an
        organisation says of its contacts, which is theirs. Never a person's key.
        Raises NothingToShow, NotYetSigned, LogError where the log does not lead to these entries, or UnreadableEntry
        where one has a time that no story can tell.
        """
        with self._pool.connection() as db:
            found = proven_history(db, id, through, at_most, self._own())
        stored = cast("Sequence[EntryNotification]", self._store.select_events(id, lte=len(found.entries)))
        if len(stored) < len(found.entries):
            versions = {one.originator_version for one in stored}
            missing = next(version for version in count(1) if version not in versions)
            raise LogError(_GAP.format(customer=type_id(customer.prefix, id), missing=missing))
        if not stored:
            raise NothingToShow(f"{type_id(customer.prefix, id)} was not in the book at position {found.through}.")
        entries = [one.entry for one in stored]
        for one in entries:
            if is_out_of_reach(one.recorded_at) or is_out_of_reach(one.occurred_at):
                raise UnreadableEntry(one.position, one.topic, NoSuchTime())
        opened = self._vault.open_entries(entries)
        keys, story, untold = list[EventKeys | Withheld | None](), list[Told](), list[UnreadableEntry]()
        for entry, key, personal in zip(entries, self._vault.event_keys(entries), opened, strict=True):
            may_show = not isinstance(key, EventKeys) or (entry.subject == id and contact_of(entry) is None)
            shown = _told(entry, key if may_show else Withheld.SEALED, personal if disclose else None)
            # What is not told is not disclosed either.
            keys.append(Withheld.SEALED if isinstance(key, EventKeys) and shown.personal is Withheld.SEALED else key)
            story.append(shown)
            if shown.meaning is None or isinstance(personal, SealBroken):
                why = personal if isinstance(personal, SealBroken) else UnknownEventName(entry.topic)
                untold.append(UnreadableEntry(entry.position, entry.topic, why))
        return _bundle(id, found, entries, keys, story, untold)


def _bundle(
    id: UUID,
    found: ProvenHistory,
    entries: Sequence[StoredEntry],
    keys: Sequence[EventKeys | Withheld | None],
    story: Sequence[Told],
    untold: Sequence[UnreadableEntry],
) -> Bundle:
    body = {
        "format": FORMAT,
        "warning": WARNING if any(isinstance(one, EventKeys) for one in keys) else WARNING_SEALED,
        "made_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "customer": type_id(customer.prefix, id),
        "through": found.through,
        "checkpoint": found.note,
        "story": [*map(told, story)],
        "entries": [
            {"leaf": _base64(one.leaf), "proof": [*map(_base64, one.proof)], "personal": _shown(key)}
            for one, key in zip(found.entries, keys, strict=True)
        ],
        "catalogue": {name: _catalogue()[name] for name in sorted({one.topic for one in entries} & {*_catalogue()})},
    }
    digest = sha256(_text(body).encode()).hexdigest()
    disclosed = sum(isinstance(one, EventKeys) for one in keys)
    return Bundle(_text({**body, "sha256": digest}), found.through, found.note, len(entries), disclosed, untold)


def _told(entry: StoredEntry, key: EventKeys | Withheld | None, opened: Part) -> Told:
    """What is told of an entry: a part only where its fields are those that the catalogue has of it."""
    shape = catalogue.shapes.get(entry.topic) or catalogue.older.get(entry.topic)
    public = None if shape is None else _fields(entry.state, {*shape.public})
    said: Mapping[str, Any] | Withheld | None = Withheld.SEALED if isinstance(key, EventKeys) else key
    if shape is None or public is None:
        return Told(entry, None, {}, said)
    if isinstance(key, EventKeys) and isinstance(opened, bytes):  # without its key, nothing is told either
        fields = _fields(opened, {*shape.personal, REASON}, {*shape.personal}, {REASON})
        said = said if fields is None else fields
    return Told(entry, _catalogue()[entry.topic]["meaning"], public, said)


def _fields(raw: bytes, *allowed: set[str]) -> Mapping[str, Any] | None:
    """A JSON object, where it has one of these sets of names, each of them once; None otherwise."""

    def once(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
        if len(found := dict(pairs)) != len(pairs):
            raise ValueError
        return found

    try:
        found = json.loads(raw.decode(), object_pairs_hook=once, parse_constant=_no_number)
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair can't be told
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    named = cast("Mapping[str, Any]", found)
    return named if {*named} in allowed else None


def _no_number(_: str) -> NoReturn:
    raise ValueError


def _shown(key: EventKeys | Withheld | None) -> Mapping[str, str] | str | None:
    if isinstance(key, EventKeys):
        return {"event_key": _base64(key.event), "commitment_key": _base64(key.commitment)}
    return None if key is None else key.name.lower()


@cache
def _catalogue() -> Mapping[str, Any]:
    """What every event means, those of older shapes included."""
    now = catalogue.schema()
    return {name: now[name] for name in catalogue.shapes} | {
        name: _older(now[older.into], older) for name, older in catalogue.older.items()
    }


def _older(newer: Mapping[str, Any], older: Older) -> Mapping[str, Any]:
    """An older shape has the newer one's meaning, and of its fields those that it had."""
    ref, defs = newer["schema"]["$ref"], newer["schema"]["$defs"]
    kind, own = ref.removeprefix("#/$defs/"), {*older.public, *older.personal}
    of = {
        **defs[kind],
        "properties": {name: one for name, one in defs[kind]["properties"].items() if name in own},
        "required": [name for name in defs[kind]["required"] if name in own],
    }
    schema = {"$ref": ref, "$defs": {**defs, kind: of}}
    return {**newer, "personal": sorted(older.personal), "schema": schema}


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
