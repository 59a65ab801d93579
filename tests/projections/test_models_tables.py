"""The read models in a real database: from sealed entries, through the statements, in batches of any size."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest
from eventsourcing.domain import DomainEventProtocol

from api.composition import Parts, assembled
from domain.appending import Draft
from domain.kernel.recorded import Context, Recorded
from infra.entries import EntryNotification
from projections.flush import Flush
from projections.ledger import LISTEN
from projections.model import Key, Posting
from projections.past import At
from projections.registry import models
from projections.runner import ProjectionRunner
from projections.tables import READ, Change, create, index, install
from tests.projections.books import made_up_book
from tests.projections.comparison import TABLES, complete, rows_in
from tests.projections.fold_oracle import expected_rows


@pytest.fixture
def parts(migrated_database: str, tmp_path: Path) -> Iterator[Parts]:
    with assembled(migrated_database, tmp_path / "master.key") as found:
        yield found


def appended(parts: Parts, book: list[Recorded[Any]], after: int = 0) -> list[Recorded[Any]]:
    """The book's entries sealed into the store, behind those that it holds already; returns all that it holds then."""
    append_recorded(parts, book)
    found = parts.store.select_notifications(1, after + len(book))
    return parts.mapper.recorded([cast("EntryNotification", one).entry for one in found])


def append_recorded(parts: Parts, book: list[Recorded[Any]]) -> None:
    """Seal the entries into the store."""
    drafts = [
        Draft(
            originator_id=entry.originator_id,
            originator_version=entry.originator_version,
            subject=entry.subject,
            event=entry.event,
            context=Context(
                actor=entry.actor,
                idempotency_key=cast("Any", entry.idempotency_key),
                correlation_id=entry.correlation_id,
                causation_id=entry.causation_id,
                on_behalf_of=entry.on_behalf_of,
                reason=entry.reason,
            ),
        )
        for entry in book
    ]
    parts.store.insert_events([parts.mapper.to_stored_event(cast("DomainEventProtocol[Any]", one)) for one in drafts])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_tables_hold_what_the_plain_fold_holds(parts: Parts, seed: int) -> None:
    recorded = appended(parts, made_up_book(seed, wishes=800))
    random, flush = Random(seed), Flush(READ)
    with psycopg.connect(parts.conninfo, autocommit=True) as db:
        create(db, READ, TABLES.values())
        index(db, READ, TABLES.values())
        left = list(recorded)
        while left:
            batch = random.choice((1, 7, 200))
            flush.write(db, flush.statements((At(one.position, one.occurred_at), changes(one)) for one in left[:batch]))
            left = left[batch:]
        assert rows_in(db) == complete(expected_rows(recorded))


def changes(recorded: Recorded[Any]) -> list[Change]:
    posting = Posting()
    for model in models:
        if model.kinds is None or recorded.kind in model.kinds:
            model.post(posting, recorded)
    return posting.changes


def test_a_row_is_changed_by_the_entries_of_one_record_alone() -> None:
    """What the past of a row depends on: whenever they were entered, their times never decrease."""
    by: dict[tuple[str, Key], set[UUID]] = defaultdict(set)
    for entry in made_up_book(1, wishes=2_000):
        for _, table, key, _ in changes(entry):
            by[table.name, key].add(entry.originator_id)
    assert len({name for name, _ in by}) > len(TABLES) * 3 / 4
    assert [row for row, several in by.items() if len(several) > 1] == []


def test_the_runner_posts_what_the_plain_fold_holds(parts: Parts) -> None:
    first, later = made_up_book(3)[:400], made_up_book(3)[400:]
    appended(parts, first)
    with psycopg.connect(parts.conninfo, autocommit=True) as db:
        db.execute(LISTEN)
        install(db, models)
        runner = ProjectionRunner(parts.logins.posting, parts.mapper, models, batch=50)
        runner.start()
        try:
            recorded = appended(parts, later, after=len(first))
            runner.wake()
            wait_until_posted(db, recorded[-1].position)
        finally:
            runner.stop()
        assert db.execute("SELECT count(*) FROM daybook_projections.parked").fetchone() == (0,)
        assert rows_in(db) == complete(expected_rows(recorded))


def wait_until_posted(db: psycopg.Connection[Any], position: int, seconds: float = 60) -> None:
    """Return once every model stands at the position; fail when that takes too long."""
    deadline = monotonic() + seconds
    while behind := db.execute(
        "SELECT name, position FROM daybook_projections.models WHERE position < %s", (position,)
    ).fetchall():
        assert monotonic() < deadline, f"behind {position}: {behind}"
        list(db.notifies(timeout=1, stop_after=1))


def test_every_index_is_made_and_none_twice(parts: Parts) -> None:
    with psycopg.connect(parts.conninfo, autocommit=True) as db:
        create(db, READ, TABLES.values())
        index(db, READ, TABLES.values())
        for name, table in TABLES.items():
            found = db.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = %s", (READ, name))
            definitions = [definition.split(" USING ")[1] for (definition,) in found]
            assert len(definitions) >= 1 + len(table.indexes) + len(table.hashes) + len(table.gin)
            assert len(set(definitions)) == len(definitions)
