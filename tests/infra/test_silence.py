"""A server that says nothing, its connections open: it is taken for gone, by whoever has asked it something."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from infra import silence
from infra.silence import AsyncConnection, Connection, unhurried

pytestmark = pytest.mark.anyio


@contextmanager
def stuck(pid: int) -> Iterator[None]:
    """A session whose process stands still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_it_is_given_up_and_the_connection_closed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LONGEST_SILENCE", 0.3)
    with Connection.connect(database, autocommit=True) as db, stuck(db.info.backend_pid):
        with pytest.raises(psycopg.OperationalError, match="does not answer"):
            db.execute("SELECT 1")
        assert db.closed


def test_the_end_of_a_transaction_is_not_waited_for_either(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def given_up_within(db: Connection) -> None:
        with db.transaction():
            db.execute("SELECT 1")
            with stuck(db.info.backend_pid), monkeypatch.context() as patched:
                patched.setattr(silence, "LONGEST_SILENCE", 0.3)
                db.execute("SELECT 2")

    with Connection.connect(database, autocommit=True) as db:
        with pytest.raises(psycopg.OperationalError, match="does not answer"):
            given_up_within(db)
        assert db.closed


def test_an_error_is_no_silence(database: str) -> None:
    with Connection.connect(database, autocommit=True) as db:
        db.execute("SET statement_timeout = 50")
        with pytest.raises(psycopg.errors.QueryCanceled):
            db.execute("SELECT pg_sleep(60)")
        assert not db.closed


def test_what_reads_the_whole_book_takes_as_long_as_it_takes(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LONGEST_SILENCE", 0.3)
    with Connection.connect(database, autocommit=True) as db:
        with unhurried(db):
            assert db.execute("SELECT 1 FROM pg_sleep(0.6)").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="does not answer"):
            db.execute("SELECT pg_sleep(60)")


async def test_it_is_given_up_in_an_event_loop(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LONGEST_SILENCE", 0.3)
    async with await AsyncConnection.connect(database, autocommit=True) as db:
        with stuck(db.info.backend_pid):
            with pytest.raises(psycopg.OperationalError, match="does not answer"):
                await db.execute("SELECT 1")
            assert db.closed
