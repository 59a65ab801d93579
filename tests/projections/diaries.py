"""A small read model of the toy diaries, the plain fold that it must equal, and a way to append entries of any kind."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import psycopg
from eventsourcing.domain import DomainEventProtocol

from api.composition import Parts
from domain.appending import Draft, Entry
from domain.kernel import Event, opened
from domain.kernel.recorded import Recorded
from projections.model import STAMP, Model, Posting, Table, stamp
from tests.toy import DiaryBegun, DiaryClosed, DiaryEnclosed, DiaryMoved, PageWritten, asking

DIARIES = Table(
    name="diaries",
    columns={
        "id": "uuid NOT NULL",
        "owner": "text",
        "address": "text CHECK (address <> 'nowhere')",
        "closed": "boolean NOT NULL",
        "seen": "integer[]",
        "more": "jsonb",
        **STAMP,
    },
    indexes=("owner, id",),
)
PAGES = Table(
    name="diary_pages",
    columns={"diary": "uuid NOT NULL", "page": "uuid NOT NULL", "text": "varchar(20)"},
    key=("diary", "page"),
)


def post(posting: Posting, recorded: Recorded[Any]) -> None:
    id, event = recorded.originator_id, recorded.event
    match event:
        case DiaryBegun():
            more = {"name": recorded.name, "at": [recorded.originator_version]}
            owner, address = opened(event.owner), opened(event.address)
            posting.insert(
                DIARIES, id=id, owner=owner, address=address, closed=False, seen=[1, 2], more=more, **stamp(recorded)
            )
        case DiaryMoved():
            if event.address == "bug":
                raise LookupError(f"no way to {event.address}, says {id}")
            posting.change(DIARIES, id, address=opened(event.address), **stamp(recorded))
        case PageWritten():
            posting.insert(PAGES, diary=id, page=event.page, text=opened(event.text))
            posting.change(DIARIES, id, **stamp(recorded))
        case DiaryClosed():
            posting.change(DIARIES, id, closed=True, **stamp(recorded))
        case _:
            assert isinstance(event, DiaryEnclosed)
            posting.remove(DIARIES, id)


diaries = Model(name="diaries", version=1, tables=(DIARIES, PAGES), post=post)

COUNTED = Table(name="counted", columns={"position": "bigint NOT NULL"}, key=("position",), grows=True)


def count(posting: Posting, recorded: Recorded[Any]) -> None:
    posting.insert(COUNTED, position=recorded.position)


counted = Model(name="counted", version=1, tables=(COUNTED,), post=count)
"""A second model, which takes every event: what parks a lane in the first must not touch it."""


def append(book: Parts, id: UUID, first: int, *events: Event) -> int:
    """Append events to an aggregate, from this version on and past every rule; returns the last position."""
    return _insert(book, [_entry(book, id, first + n, event) for n, event in enumerate(events)])


def append_raw(book: Parts, id: UUID, version: int, name: str, state: bytes, sealed: bytes | None = None) -> int:
    """Append an entry of any stored name and any bytes; returns its position."""
    commitment = None if sealed is None else b""
    entry = _entry(book, id, version, DiaryClosed())
    return _insert(book, [replace(entry, topic=name, state=state, sealed=sealed, commitment=commitment)])


def append_of(book: Parts, id: UUID, event: Event, occurred_at: datetime) -> int:
    """Append the first event of an aggregate, as of that time; returns its position."""
    return _insert(book, [replace(_entry(book, id, 1, event), occurred_at=occurred_at)])


def _entry(book: Parts, id: UUID, version: int, event: Event) -> Entry:
    draft = Draft(originator_id=id, originator_version=version, subject=id, event=event, context=asking())
    return book.mapper.to_stored_event(cast("DomainEventProtocol[UUID]", draft))


def _insert(book: Parts, entries: Sequence[Entry]) -> int:
    positions = book.store.insert_events(entries)
    assert positions is not None
    return positions[-1]


def rows(db: psycopg.Connection[Any]) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in the toy tables, in order; and every row that ever was, with the positions it was so between."""
    return {
        "diaries": db.execute(f"SELECT {_DIARY} FROM daybook_read.diaries ORDER BY id".encode()).fetchall(),
        "pages": db.execute("SELECT diary, page, text FROM daybook_read.diary_pages ORDER BY diary, page").fetchall(),
        "diaries of all times": db.execute(
            f"SELECT {_DIARY}, since_occurred_at, NULL AS until_position, NULL AS until_occurred_at"
            " FROM daybook_read.diaries UNION ALL"
            f" SELECT {_DIARY}, since_occurred_at, until_position, until_occurred_at"
            " FROM daybook_read.diaries_past ORDER BY id, position".encode()
        ).fetchall(),
        "pages of all times": db.execute(
            "SELECT *, NULL AS until_position, NULL AS until_occurred_at FROM daybook_read.diary_pages"
            " UNION ALL SELECT * FROM daybook_read.diary_pages_past ORDER BY diary, page, since_position"
        ).fetchall(),
    }


_DIARY = ", ".join(DIARIES.columns)


def plain_fold(recorded: Iterable[Recorded[Any]]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows that the events leave, applied one after the other to dicts."""
    found: dict[UUID, dict[str, Any]] = {}
    pages: dict[tuple[UUID, UUID], str | None] = {}
    diaries_then: dict[UUID, list[tuple[Any, ...]]] = {}
    pages_then: dict[tuple[UUID, UUID], list[tuple[Any, ...]]] = {}
    for one in recorded:
        id, event = one.originator_id, one.event
        mark = {"version": one.originator_version, "position": one.position, "recorded_at": one.recorded_at}
        before = found.get(id)
        match event:
            case DiaryBegun():
                more = {"name": one.name, "at": [one.originator_version]}
                known = {"id": id, "owner": event.owner, "address": event.address}
                found[id] = {**known, "closed": False, "seen": [1, 2], "more": more, **mark}
            case DiaryMoved() if id in found:
                found[id] = found[id] | {"address": event.address, **mark}
            case PageWritten():
                pages[id, event.page] = opened(event.text)
                _end(pages_then.setdefault((id, event.page), []), one)
                since = one.position, one.occurred_at
                pages_then[id, event.page].append((id, event.page, opened(event.text), *since, None, None))
                if id in found:
                    found[id] = found[id] | mark
            case DiaryClosed() if id in found:
                found[id] = found[id] | {"closed": True, **mark}
            case DiaryEnclosed():
                found.pop(id, None)
            case _:
                pass
        if (now := found.get(id)) is not before:
            _end(diaries_then.setdefault(id, []), one)
            diaries_then[id] += [(*now.values(), one.occurred_at, None, None)] if now else []
    return {
        "diaries": [tuple(found[id].values()) for id in sorted(found)],
        "pages": [(*key, pages[key]) for key in sorted(pages)],
        "diaries of all times": [row for id in sorted(diaries_then) for row in diaries_then[id]],
        "pages of all times": [row for key in sorted(pages_then) for row in pages_then[key]],
    }


def _end(rows: list[tuple[Any, ...]], by: Recorded[Any]) -> None:
    """The last of these is not so any more from this entry on, if it was until then."""
    if rows and rows[-1][-1] is None:
        rows[-1] = (*rows[-1][:-2], by.position, by.occurred_at)
