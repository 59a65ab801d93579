"""Entries as the feed tells them, each as far as whoever follows it may see its record."""

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import anyio.to_thread
import psycopg
import strawberry
from strawberry.scalars import JSON

from api.reading.sight import Sight
from api.scalars import Position
from api.serving import Serving
from api.words import ACTOR
from domain.catalogue import catalogue
from domain.kernel import type_id
from infra.entries import StoredEntry
from infra.master_key import MasterKeyError
from projections.event_data import event_data, facts_of

_log = logging.getLogger("daybook.api")

PAGE = 100
"""Entries that are read at once for a subscriber; the next ones are read when it has taken these."""


@strawberry.type(description="An entry of the book.")
class Change:
    position: Position = strawberry.field(description="Its place in the book.")
    type: str = strawberry.field(description="What happened: the event's name, such as `CustomerRenamed`.")
    aggregate_kind: str | None = strawberry.field(
        description="The kind of record, such as `customer`; null where this Daybook does not know the event."
    )
    aggregate_id: strawberry.ID = strawberry.field(description="The record that it happened to.")
    version: int = strawberry.field(description="The record's version after it.")
    event_id: strawberry.ID = strawberry.field(description="The entry's own id, to recognise it when it comes again.")
    recorded_at: datetime = strawberry.field(description="When it was written down.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    actor: str = strawberry.field(description=ACTOR)
    on_behalf_of: str | None = strawberry.field(
        description="The staff member on whose behalf it was done, where on somebody's."
    )
    subject_id: strawberry.ID = strawberry.field(description="Whose key seals its personal part: a person or record.")
    correlation_id: strawberry.ID = strawberry.field(description="The request that it came from.")
    causation_id: strawberry.ID | None = strawberry.field(description="The event that caused it, where one did.")
    reason: str | None = strawberry.field(
        description="Why, where somebody said so; null once it is erased, or where it is hidden from you."
    )
    data: JSON | None = strawberry.field(
        description=(
            "The event's fields; what was erased, or is hidden from you, is null, and so is each of them where you may"
            " not see the record. Null as a whole where this version can't read the entry."
        )
    )
    withheld: list[str] = strawberry.field(
        description="The names in `data` whose values were erased or are hidden from you."
    )
    hidden_fields: list[str] = strawberry.field(
        description="The names of this object's fields that are null because you may not see them."
    )


async def told(
    serving: Serving, sight: Sight, after: int, stop: int, names: Sequence[str], subject: UUID | None
) -> Sequence[Change]:
    """The first PAGE of the entries above a position, up to another, of these stored names and about this subject."""
    read = partial(serving.store.entries, after, PAGE, stop=stop, names=names, subject=subject)
    entries = await anyio.to_thread.run_sync(read, limiter=serving.readers)
    seen = await _seen(serving, sight, entries)

    def changes() -> Sequence[Change]:
        return [_change(serving, sight, entry, seen) for entry in entries]

    return await anyio.to_thread.run_sync(changes, limiter=serving.readers)


async def _seen(serving: Serving, sight: Sight, entries: Sequence[StoredEntry]) -> Collection[str]:
    """Of the records whose rows, as they are now, say whether they are seen: the ids of those that are."""
    asked = defaultdict[str, set[str]](set)
    for entry in entries:
        kind = _kind(_name(entry))
        if kind is not None and sight.sees_records(kind) is None:
            asked[kind].add(_public(kind, entry.originator_id))
    found = [await serving.reader.seen(catalogue.prefixes[kind], sorted(ids), sight) for kind, ids in asked.items()]
    return frozenset[str]().union(*found)


def _change(serving: Serving, sight: Sight, entry: StoredEntry, seen: Collection[str]) -> Change:
    name = _name(entry)
    kind = _kind(name)
    id = _public(kind, entry.originator_id)
    is_seen = kind is None or sight.sees_records(kind) or id in seen
    reason, data, withheld = _said(serving, sight, entry) if is_seen else (None, *_unsaid(name))
    return Change(
        position=Position(str(entry.position)),
        type=name,
        aggregate_kind=kind,
        aggregate_id=id,
        version=entry.originator_version,
        event_id=strawberry.ID(type_id("evt", entry.event_id)),
        recorded_at=entry.recorded_at,
        occurred_at=entry.occurred_at,
        actor=entry.actor,
        on_behalf_of=entry.on_behalf_of,
        subject_id=_public(kind if entry.subject == entry.originator_id else "customer", entry.subject),
        correlation_id=strawberry.ID(str(entry.correlation_id)),
        causation_id=None if entry.causation_id is None else strawberry.ID(type_id("evt", entry.causation_id)),
        reason=reason,
        data=data,
        withheld=withheld,
        hidden_fields=[] if is_seen and sight.personal else ["reason"],
    )


def _said(serving: Serving, sight: Sight, entry: StoredEntry) -> tuple[str | None, JSON | None, list[str]]:
    """What an entry of a record that is seen says: its reason, its data, and the names of what is null in it."""
    try:
        (recorded,) = serving.mapper.recorded([entry])
        data, gone = event_data(recorded.event)
    except (psycopg.Error, MasterKeyError):  # no fault of the entry's: who follows begins anew after the last one
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with an entry, it is told of and never skipped
        _log.warning("The feed can't read entry %s (%s).", entry.position, type(error).__name__)
        return None, None, []
    hidden = sight.hidden_fields.get(recorded.name, ())
    withheld = list(dict.fromkeys((*gone, *hidden)))
    return recorded.reason_given if sight.personal else None, JSON(data | dict.fromkeys(hidden)), withheld


def _unsaid(name: str) -> tuple[JSON, list[str]]:
    """The data of an entry of a record that is not seen: every event of its name has these fields."""
    names = facts_of(catalogue.shapes[name].type)
    return JSON(dict.fromkeys(names)), names


def _name(entry: StoredEntry) -> str:
    older = catalogue.older.get(entry.topic)
    return older.into if older else entry.topic


def _kind(name: str) -> str | None:
    shape = catalogue.shapes.get(name)
    return shape.kind if shape else None


def _public(kind: str | None, id: UUID) -> strawberry.ID:
    return strawberry.ID(str(id) if kind is None else type_id(catalogue.prefixes[kind], id))
