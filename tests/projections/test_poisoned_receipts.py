"""The receipt of an erasure that can't be decoded: it stops what is about that person, visibly, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from api.composition import Parts
from infra.marks import erased
from projections.attestation import Mismatch
from projections.attesting import Attestor
from projections.lanes import Lane
from projections.registry import models
from projections.retry import retry
from projections.runner import ProjectionRunner
from projections.tables import install
from tests.api.filled import opened
from tests.api.test_contacts_in_the_book import approved, doer
from tests.api.test_unreadable import spoil
from tests.projections.conftest import until

MALFORMED = """state = '{"ground":"person_asked","opportunities":"none","tickets":7,"keys":1,"entries":3}'"""
NO_JSON = r"state = '\xff'"


@contextmanager
def posting(parts: Parts, db: psycopg.Connection[Any]) -> Iterator[None]:
    """All of it is posted when the block ends."""
    runner = ProjectionRunner(parts.logins.posting, parts.mapper, models)
    runner.start()
    try:
        yield
        head = parts.store.max_notification_id()
        least = "SELECT min(position) FROM daybook_projections.models"
        until(lambda: db.execute(least).fetchone() == (head,), 5)
    finally:
        runner.stop()


def lanes(db: psycopg.Connection[Any]) -> set[Lane]:
    return {(model, id) for model, id in db.execute("SELECT model, aggregate_id FROM daybook_projections.parked")}


def mend(database: str, position: int, state: bytes) -> None:
    """Let an entry be again what it was."""
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("ALTER TABLE daybook.events DISABLE TRIGGER USER")
        owner.execute("UPDATE daybook.events SET state = %s WHERE position = %s", (state, position))


def mismatches(parts: Parts, db: psycopg.Connection[Any]) -> list[Mismatch]:
    """Where the rows, former ones too, are not what the book says."""
    return [one for _, looked in Attestor(parts.mapper, models).all(db) for one in looked.mismatches]


def personal(db: psycopg.Connection[Any]) -> list[tuple[str | None, str | None]]:
    """Names and subjects, of those erased and those who are not."""
    told = "SELECT customers.name, subject FROM daybook_read.customers LEFT JOIN daybook_read.tickets"
    return db.execute(f"{told} ON customer_id = customers.id ORDER BY customers.id").fetchall()


def test_it_parks_the_person_s_lanes_and_everything_else_goes_on(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts, psycopg.connect(database, autocommit=True) as db:
        install(db, models)
        do: Callable[..., Any] = doer(parts)
        people = [do("register", "import:old", kind="person", name=name).id for name in ("Ada", "Bob", "Eva")]
        ada = people[0]
        opens = doer(parts, "ticket")
        tickets = [
            opens("open", "import:old", customer=person, channel="email", subject=f"Subject {at}").id
            for at, person in enumerate(people)
        ]
        with posting(parts, db):
            pass
        for person in people[:2]:
            approved(do, person)
        assert parts.erasures.carry_out_approved() == people[:2]
        receipts = [(one.position, one.state) for one in parts.store.entries(0, 100) if "DataErased" in one.topic]
        spoil(database, receipts[0][0], MALFORMED)
        with posting(parts, db):
            opens("open", customer=people[2], channel="email", subject="Later")
            opens("changePriority", id=tickets[0], priority="urgent")

        # What tells of Ada stands still where it may have to be erased, and says so; of what is hers no name is left.
        assert lanes(db) == {(name, ada) for name in ("customers", "opportunities", "tickets", "timeline")}
        assert personal(db) == [(None, "Subject 0"), (None, None), ("Eva", "Subject 2"), ("Eva", "Later")]

        # No import is stopped by it either: Ada's own row stays out, her ticket's is not known.
        spoil(database, receipts[0][0], NO_JSON)
        assert len(erased(parts.pool, "import:old").requests) == 3

        mend(database, *receipts[0])
        tried = retry(parts.logins.posting, parts.mapper, models)
        assert {(one.model, one.aggregate_id, one.error) for one in tried} == {
            (name, ada, None) for name in ("customers", "opportunities", "tickets", "timeline")
        }
        assert lanes(db) == set()
        assert personal(db) == [(None, None), (None, None), ("Eva", "Subject 2"), ("Eva", "Later")]
        # And the rows are what the book says: with what was posted of her ticket since.
        assert mismatches(parts, db) == []
        assert db.execute("SELECT count(*) FROM daybook_read.tickets WHERE priority = 'urgent'").fetchone() == (1,)


def one_ticket(parts: Parts) -> tuple[Callable[..., Any], Callable[..., Any], UUID, UUID]:
    """What gives commands on customers and on tickets, a customer, and her ticket."""
    do, works = doer(parts), doer(parts, "ticket")
    ada = do("register", kind="person", name="Ada").id
    return do, works, ada, works("open", customer=ada, channel="email", subject="Subject").id


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_record_that_waits_itself_is_posted_anew_no_further_and_no_entry_twice(
    database: str, tmp_path: Path, poisoned: bool
) -> None:
    """By then its own entry can be read again, as after a rollback that was taken back."""
    with opened(database, tmp_path) as parts, psycopg.connect(database, autocommit=True) as db:
        install(db, models)
        do, works, ada, ticket = one_ticket(parts)
        raised = works("changePriority", id=ticket, priority="urgent").position
        works("changePriority", id=ticket, priority="low")
        works("addNote", id=ticket, text="Note")
        [state] = [one.state for one in parts.store.entries(raised - 1, 1)]
        spoil(database, raised, NO_JSON)
        with posting(parts, db):
            pass
        assert lanes(db) == {("tickets", ticket), ("timeline", ticket)}
        mend(database, raised, state)

        approved(do, ada)
        assert parts.erasures.carry_out_approved() == [ada]
        [receipt] = [(one.position, one.state) for one in parts.store.entries(0, 100) if "DataErased" in one.topic]
        if poisoned:
            spoil(database, receipt[0], MALFORMED)
        with posting(parts, db):
            pass
        mend(database, *receipt)
        if not poisoned:
            assert personal(db) == [(None, None)]
            assert mismatches(parts, db) == []
        assert all(one.error is None for one in retry(parts.logins.posting, parts.mapper, models))
        assert (lanes(db), personal(db), mismatches(parts, db)) == (set(), [(None, None)], [])


def test_what_the_database_refuses_in_the_same_batch_keeps_nothing_from_being_erased(
    database: str, tmp_path: Path
) -> None:
    with opened(database, tmp_path) as parts, psycopg.connect(database, autocommit=True) as db:
        install(db, models)
        do, works, ada, ticket = one_ticket(parts)
        with posting(parts, db):
            pass
        assert personal(db) == [("Ada", "Subject")]
        db.execute("ALTER TABLE daybook_read.tickets ADD CONSTRAINT calm CHECK (priority <> 'urgent')")
        works("changePriority", id=ticket, priority="urgent")
        approved(do, ada)
        assert parts.erasures.carry_out_approved() == [ada]
        with posting(parts, db):
            pass
        assert (lanes(db), personal(db)) == ({("tickets", ticket)}, [(None, None)])
