"""The invariants of the campaigns complain: each of them, of a whole book in which just one thing is not as it was."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from tests.databases import Databases
from tests.faults.commands import Acknowledged
from tests.faults.follower import Follower
from tests.faults.invariants import (
    acknowledged_are_there,
    book_holds,
    hold,
    nothing_else_is_there,
    read_models_and_reservations_follow,
    the_feed_was_the_book,
)
from tests.faults.load import Load
from tests.faults.processes import Server, stopped_at_the_end, until
from tests.faults.tail import Tail

Db = psycopg.Connection[Any]


class Book:
    """A book that a short campaign without any fault has left."""

    def __init__(self, conninfo: str, directory: Path) -> None:
        server = Server(conninfo, directory)
        self.load, self.follower = Load([server.url], seed=1, clients=2), Follower([server.url])
        with stopped_at_the_end(server):
            server.start()
            server.wait_alive()
            with self.follower.following():
                with self.load.under_way():
                    self.load.wait_for_more(60)
                hold(conninfo, directory, self.load, self.follower)
        self.told, self.refused = self.load.known(), self.load.refused
        self.conninfo, self.directory = conninfo, directory


@pytest.fixture(scope="module")
def book(module_database: str) -> Iterator[Book]:
    with TemporaryDirectory(prefix="daybook-test-") as directory:
        yield Book(module_database, Path(directory))


@pytest.fixture
def database(_databases: Databases, book: Book) -> Iterator[str]:
    """A copy of the book, to be damaged."""
    with _databases.copy(book.conninfo) as conninfo:
        yield conninfo


LAST = "position = (SELECT max(position) FROM daybook.events)"
AGAIN = (
    "INSERT INTO daybook.events SELECT (r).* FROM (SELECT jsonb_populate_record(e, jsonb_build_object('position',"
    " position + 1000, 'originator_version', originator_version + 1000)) AS r FROM daybook.events AS e"
    " WHERE position = 15) AS copies"
)


def test_every_invariant_of_the_book_notices_its_damage(book: Book, database: str) -> None:
    def acknowledged(db: Db) -> None:
        acknowledged_are_there(db, book.told)

    def nothing_else(db: Db) -> None:
        nothing_else_is_there(db, book.told, book.refused)

    def feed(db: Db) -> None:
        the_feed_was_the_book(db, book.follower)

    damages: list[tuple[str, Callable[[Db], object]]] = [
        ("DELETE FROM daybook.events WHERE position = 15", book_holds),
        ("UPDATE daybook.events SET recorded_at = recorded_at - interval '1 hour' WHERE position = 15", book_holds),
        ("UPDATE daybook.events SET originator_version = 900 WHERE position = 15", book_holds),
        ("DELETE FROM daybook_keys.subjects", book_holds),
        (f"DELETE FROM daybook.events WHERE {LAST}", acknowledged),
        (f"UPDATE daybook.events SET idempotency_key = gen_random_uuid() WHERE {LAST}", acknowledged),
        ("DELETE FROM daybook.receipts WHERE position = 15", acknowledged),
        ("UPDATE daybook.receipts SET position = 16 WHERE position = 15", acknowledged),
        ("UPDATE daybook.receipts SET version = version + 1 WHERE position = 15", acknowledged),
        (AGAIN, acknowledged),
        (AGAIN, nothing_else),
        (f"UPDATE daybook.events SET event_id = gen_random_uuid() WHERE {LAST}", feed),
    ]
    with psycopg.connect(database, autocommit=True) as db:
        for statement, invariant in damages:
            invariant(db)
            with db.transaction(force_rollback=True):
                db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
                assert db.execute(statement.encode()).rowcount > 0, "no damage done"
                with pytest.raises(AssertionError):
                    invariant(db)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE daybook_read.customers SET name = 'Somebody else'",
        "DELETE FROM daybook_read.customers WHERE id = (SELECT min(id) FROM daybook_read.customers)",
        "UPDATE daybook_read.timeline SET position = position + 1000 WHERE position = 15",
        "DELETE FROM daybook.reservations WHERE fingerprint = (SELECT min(fingerprint) FROM daybook.reservations)",
        "UPDATE daybook.reservations SET holder = gen_random_uuid() WHERE slot = 0",
    ],
)
def test_read_models_and_reservations_are_held_against_the_book(book: Book, database: str, statement: str) -> None:
    follow = partial(read_models_and_reservations_follow, conninfo=database, directory=book.directory)
    with psycopg.connect(database, autocommit=True) as db:
        follow(db)
        assert db.execute(statement.encode()).rowcount > 0, "no damage done"
        with pytest.raises(AssertionError):
            follow(db)


def test_a_client_that_was_told_something_else_is_believed(book: Book, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        asked, answer = book.told[5]
        for wrong in (Acknowledged(answer.id, answer.position + 1), Acknowledged(book.told[6][1].id, answer.position)):
            if wrong != answer:
                with pytest.raises(AssertionError):
                    acknowledged_are_there(db, [(asked, wrong)])
        with pytest.raises(AssertionError):
            nothing_else_is_there(db, book.told[1:], book.refused)


def test_a_tailing_reader_notices_what_becomes_visible_behind_it(bare_database: str) -> None:
    tail = Tail(bare_database)

    def read_3_before_2() -> None:
        with psycopg.connect(bare_database, autocommit=True) as db:
            db.execute("CREATE SCHEMA daybook")
            db.execute("CREATE TABLE daybook.events (position bigint)")
            with tail.reading():
                for position in (1, 3):
                    db.execute("INSERT INTO daybook.events VALUES (%s)", (position,))
                    until(lambda: tail.complaints or tail.position == position, "the reader has seen it")  # noqa: B023

    with pytest.raises(AssertionError, match=r"above position 1 stand \[3\]"):
        read_3_before_2()


@pytest.mark.parametrize(
    ("position", "entry"), [(5, 5), (3, 3), (5, None), (4, None)], ids=["skipped", "twice", "passed over", "mark ahead"]
)
def test_a_subscriber_notices_what_is_skipped_or_comes_twice(position: int, entry: int | None) -> None:
    change = {"eventId": "evt_1", "aggregateId": "cus_1", "version": 1}
    follower = Follower([])
    for told in (1, 2, 3):
        follower.take({"data": {"changes": {"position": str(told), "change": {**change, "position": str(told)}}}})
    follower.take({"data": {"changes": {"position": "3", "change": None}}})
    assert (follower.cursor, follower.complaints) == (3, [])
    again = {"position": str(position), "change": None if entry is None else {**change, "position": str(entry)}}
    follower.take({"data": {"changes": again}})
    assert follower.complaints
