"""The library's contract suites for recorders, run against the book's event store.

Left out, and why:
- AggregateRecorderTestCase: its recorder returns no positions on insert; ours is an application recorder.
- ProcessRecorderTestCase: no recorder of ours writes events and tracking together; projections keep rows and positions.
- InfrastructureFactoryTestCase: its mapper and cipher cases don't fit a closed mapper, which the properties in
  test_sealing.py test instead; the factory has nothing else to make.
- the two `test_performance`: they time and assert nothing; benchmarks/ measures.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
from psycopg import Connection
from psycopg_pool import ConnectionPool

from infra.committer import Committer
from infra.event_store import EventStore
from infra.master_key import MasterKey
from infra.vault import Vault


@pytest.fixture
def store(database: str) -> Iterator[EventStore]:
    with ConnectionPool[Connection[tuple[Any, ...]]](
        database, min_size=1, max_size=12, kwargs={"autocommit": True}
    ) as pool:
        vault = Vault(MasterKey(lambda: {1: bytes(32)}), pool)
        committer = Committer(database, vault, lambda _: None)
        yield EventStore(pool, committer, vault)
        committer.close()


class OfTheBook:
    """Gives a contract suite, which pytest runs as a unittest case, the recorder of the fixture."""

    @pytest.fixture(autouse=True)
    def _given(self, store: EventStore) -> None:
        self.store = store

    def create_recorder(self) -> EventStore:
        return self.store


class TestApplicationRecorder(OfTheBook, ApplicationRecorderTestCase[Any]):
    def test_performance(self) -> None:
        """Timed, asserts nothing: see the module."""

    def test_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsDoNotInterleave(OfTheBook, NonInterleavingNotificationIDsBaseCase):
    pass


def test_the_book_can_not_be_edited(store: EventStore, database: str) -> None:
    with psycopg.connect(database) as db, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        db.execute("DELETE FROM daybook.events")
