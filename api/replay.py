"""Replay: the story of a record in its order, in words, with its personal values opened."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast
from unicodedata import normalize
from uuid import UUID

import msgspec

from api.composition import Parts
from domain.catalogue import catalogue
from domain.daybook import Unfoldable
from domain.kernel import Claim, Withheld, parse_type_id, type_id
from domain.kernel.composing import fault_of
from domain.kernel.identifiers import NotATypeId
from domain.kernel.recorded import Recorded
from infra.entries import COLUMNS, EntryNotification, StoredEntry
from infra.log.store import LogError
from infra.mapper import Unread
from infra.reservations import Reservations


class NobodyCalledThat(LookupError):
    """Nothing in the book has the id that was given."""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a record's story. `values` are the event's fields, records in them by name."""

    occurred_at: datetime
    recorded_at: datetime
    position: int
    record: str
    version: int
    event: str
    what: str
    """What happened, in a sentence."""
    words: str
    """The same, and what the event says."""
    actor: str
    on_behalf_of: str | None
    reason: str | None
    values: Mapping[str, Any]
    read: bool = True
    """False where the entry can't be read, or does not open: `what` says so, and `values` are empty."""


class Record(NamedTuple):
    """A record, by its kind."""

    kind: str
    id: UUID


def replay(parts: Parts, name: str, *, everything: bool = False) -> Iterator[Happening]:
    """The story of the record called `name`: an id such as cus_..., or a customer's external id as `source:id`.

    `everything`: with all entries about it in other records, such as its deals and tickets, by when they happened.
    Raises NobodyCalledThat.
    """
    record = record_called(parts, name)
    entries = entries_of(parts, record.id)
    if everything:
        own = {one.position for one in entries}
        about = (one for one in _about(parts, record.id) if one.position not in own)
        entries = sorted([*entries, *about], key=lambda one: (one.occurred_at, one.position))
    names = Called(parts)
    for one in parts.mapper.read(entries):
        yield _unread(one, names) if isinstance(one, Unread) else _happening(one, names)


def called(parts: Parts, name: str) -> str:
    """What the record of this id is called now. Raises NobodyCalledThat."""
    return Called(parts).of(record_called(parts, name).id) or name


def record_called(parts: Parts, name: str) -> Record:
    """The record of an id such as cus_..., or a customer's external id as `source:id`. Raises NobodyCalledThat."""
    prefixes = {prefix: kind for kind, prefix in catalogue.prefixes.items()}
    try:
        prefix, id = parse_type_id(name)
    except NotATypeId:
        holder = None if fault_of(name, len(name)) else _holder(parts, normalize("NFC", name))
        record = None if holder is None else Record("customer", holder)
    else:
        record = Record(prefixes[prefix], id) if prefix in prefixes else None
    if record is None or not _is_there(parts, record):
        raise NobodyCalledThat(
            f"Nothing in the book is called {name!r}. Give an id such as {type_id('cus', UUID(int=0))}, or a customer's"
            " external id with the system that it comes from, such as old-crm:4711."
        )
    return record


def _holder(parts: Parts, external_id: str) -> UUID | None:
    claim = Claim("external_id", external_id)
    return Reservations(parts.pool, parts.vault).holders([claim]).get(claim)


def _is_there(parts: Parts, record: Record) -> bool:
    try:
        return parts.daybook.fold(record.id).kind == record.kind
    except Unfoldable as stopped:
        return stopped.decider is None or stopped.decider.kind == record.kind


def entries_of(parts: Parts, id: UUID) -> list[StoredEntry]:
    """All entries of a record, in their order. Raises LogError where one of them is no part of the book."""
    entries = [cast("EntryNotification", one).entry for one in parts.store.select_events(id)]
    places: list[Any] = [one.position for one in entries]  # the table takes no NULL, unless somebody has altered it
    if any(place is None or place < 1 for place in places):
        raise LogError(
            "An entry of this record stands at a position where none may: it was put there past Daybook."
            " `daybook verify` says more."
        )
    return entries


def _about(parts: Parts, subject: UUID) -> list[StoredEntry]:
    """Every entry sealed under the subject's key, in whatever record. Reads the whole book."""
    with parts.pool.connection() as db:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM daybook.events WHERE subject = %s", (subject,), binary=True
        ).fetchall()
    return [StoredEntry(*row) for row in rows]


class Called:
    """What the records that events speak of are called now."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._found: dict[UUID, tuple[str | None, object]] = {}

    def of(self, id: UUID) -> str | None:
        """Name and id of a record; None where the id is that of a part, such as a line."""
        kind, state = self._kind_and_state(id)
        return None if kind is None else _called(kind, id, state)

    def id(self, id: UUID) -> str:
        """The public id of a record; a bare UUID where it begins with an entry that can't be read."""
        kind, _ = self._kind_and_state(id)
        return str(id) if kind is None else type_id(catalogue.prefixes[kind], id)

    def _kind_and_state(self, id: UUID) -> tuple[str | None, object]:
        if id not in self._found:
            try:
                fold = self._parts.daybook.fold(id)
                self._found[id] = fold.kind, fold.state
            except Unfoldable as stopped:  # after that entry it may be called something else
                self._found[id] = None if stopped.decider is None else stopped.decider.kind, stopped.before
        return self._found[id]


def _called(kind: str, id: UUID, state: object) -> str:
    public = type_id(catalogue.prefixes[kind], id)
    for field in ("name", "title", "subject"):
        name = getattr(state, field, None)
        if isinstance(name, str) and name:
            return f"{name} ({public})"
    return public


def _happening(one: Recorded[Any], names: Called) -> Happening:
    fields = ((field, getattr(one.event, field)) for field in one.event.__struct_fields__)
    values = {field: _plain(value, names) for field, value in fields}
    # Of the event's description its first clause: the rest explains fields to programmers.
    what = re.split(r"[.;:](?:\s|$)", " ".join((type(one.event).__doc__ or one.name).split()))[0] + "."
    said = "; ".join(f"{field}: {phrase}" for field, phrase in phrases(values))
    return Happening(
        occurred_at=one.occurred_at,
        recorded_at=one.recorded_at,
        position=one.position,
        record=type_id(catalogue.prefixes[one.kind], one.originator_id),
        version=one.originator_version,
        event=one.name,
        what=what,
        words=f"{what} {said}" if said else what,
        actor=one.actor,
        on_behalf_of=one.on_behalf_of,
        reason=one.reason,
        values=values,
    )


def _unread(unread: Unread, names: Called) -> Happening:
    one, what = unread.entry, str(unread.why)
    return Happening(
        occurred_at=one.occurred_at,
        recorded_at=one.recorded_at,
        position=one.position,
        record=names.id(one.originator_id),
        version=one.originator_version,
        event=one.topic,
        what=what,
        words=what,
        actor=one.actor,
        on_behalf_of=one.on_behalf_of,
        reason=None,
        values={},
        read=False,
    )


def _plain(value: Any, names: Called) -> Any:
    """The value for people and JSON: records by name, what is gone as such."""
    if isinstance(value, Withheld):
        return "(erased)"
    if isinstance(value, UUID):
        return names.of(value) or str(value)
    if isinstance(value, msgspec.Struct):
        return {field: _plain(getattr(value, field), names) for field in value.__struct_fields__}
    if isinstance(value, dict):
        return {str(key): _plain(one, names) for key, one in cast("dict[object, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(one, names) for one in cast("Iterable[Any]", value)]
    return value


def phrases(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What an event says, by field: empty values left out, and ids of parts, which only programs need."""
    for field, value in values.items():
        if said := _said(value):
            yield field.replace("_", " "), said


def _said(value: object) -> str:
    if value is None or value == "" or _is_part(value):
        return ""
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        if set(named) == {"old", "new"}:
            return f"{_said(named['old']) or 'nothing'} → {_said(named['new']) or 'nothing'}"
        return ", ".join(f"{name.replace('_', ' ')} {said}" for name, one in named.items() if (said := _said(one)))
    if isinstance(value, list):
        return " | ".join(said for one in cast("list[object]", value) if (said := _said(one)))
    return " ".join(str(value).split())


def _is_part(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        UUID(value)
    except ValueError:
        return False
    return True
