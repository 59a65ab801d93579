"""The runner: every entry once, in any batching, whoever runs, whatever dies."""

import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.kernel import new_id
from domain.kernel.recorded import Recorded
from infra.exchange import Exchange
from infra.rotation import rotate
from projections.flush import Flush, Statement
from projections.lanes import Unit
from projections.lease import Lease, LeaseLost
from projections.ledger import Batch, Superseded, commit, standing
from projections.model import Model, Posting, Table
from projections.past import At
from projections.runner import POLL, STAND_BY, ProjectionRunner
from projections.tables import READ, Db, install
from tests.projections.conftest import Diaries, until
from tests.projections.diaries import COUNTED, DIARIES, append, diaries, plain_fold, rows
from tests.toy import DiaryBegun, DiaryClosed, DiaryEnclosed, DiaryMoved, PageWritten, toy_book


def scribble(book: Diaries, many: int) -> int:
    """Diaries with pages, moves, ends; returns the last position."""
    last = 0
    for n in range(many):
        id = new_id()
        last = append(
            book.parts, id, 1, DiaryBegun(owner=f"Owner {n}", address=None), PageWritten(page=new_id(), text="a"),
            DiaryMoved(address=f"Street {n}"), PageWritten(page=new_id(), text="b"),
            *([DiaryEnclosed(into=id)] if n % 3 == 0 else [DiaryClosed()] if n % 3 == 1 else []),
        )  # fmt: skip
    return last


def recorded(book: Diaries) -> list[Recorded[Any]]:
    return book.parts.mapper.recorded(book.parts.store.entries(0, 1_000_000))


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_the_rows_are_what_a_plain_fold_gives(book: Diaries, batch: int) -> None:
    last = scribble(book, 40)
    with book.running(batch=batch):
        book.wait(last)
        last = scribble(book, 10)  # found by notice or poll: nobody calls wake()
        book.wait(last)
    assert rows(book.db) == plain_fold(recorded(book))
    assert book.db.execute("SELECT array_agg(position ORDER BY position) FROM daybook_read.counted").fetchone() == (
        list(range(1, last + 1)),
    )


def test_it_moves_past_entries_that_nobody_takes(book: Diaries) -> None:
    def refuse(posting: Posting, recorded: Recorded[Any]) -> None:
        raise AssertionError("not of its kind")

    table = Table(name="others", columns={"id": "uuid NOT NULL"})
    other = Model(name="others", version=1, tables=(table,), post=refuse, kinds=frozenset({"customer"}))
    alone = book._replace(models=(other,))
    install(book.db, alone.models)
    last = scribble(book, 5)
    with alone.running(batch=2):
        alone.wait(last)
    assert book.parked() == []


def test_what_stop_is_asked_for_is_posted_first(book: Diaries) -> None:
    with book.running(batch=3):
        last = scribble(book, 30)
    assert book.position() == last
    assert book.db.execute("SELECT holder FROM daybook_projections.lease").fetchone() == (None,)


def test_a_new_model_catches_up_and_holds_nobody_back(book: Diaries) -> None:
    """It stands at 0 behind a long book and takes its time; what is new reaches the other model all the same."""
    last = scribble(book, 60)
    only = book._replace(models=(diaries,))
    gate = threading.Event()

    def slow(posting: Posting, recorded: Recorded[Any]) -> None:
        if recorded.position <= last:
            gate.wait(0.05)
        posting.insert(numbers, position=recorded.position)

    numbers = Table(name="slow", columns={"position": "bigint NOT NULL"}, key=("position",), grows=True)
    late = Model(name="slow", version=1, tables=(numbers,), post=slow)
    install(book.db, (diaries,))
    with only.running():
        only.wait(last)
    both = book._replace(models=(diaries, late))
    install(book.db, both.models)
    with both.running(batch=5):
        until(lambda: both.position("slow") > 0)
        newest = scribble(book, 1)
        until(lambda: both.position("diaries") == newest)
        assert both.position("slow") < last
        gate.set()
        both.wait(newest)
    assert book.db.execute("SELECT count(*), max(position) FROM daybook_read.slow").fetchone() == (newest, newest)


KILLED = """
import os, signal, sys
from pathlib import Path
import psycopg
from projections import ledger, runner
from projections.runner import ProjectionRunner
from tests.held import die_in_the_next_statement
from tests.projections.diaries import counted, diaries
from tests.toy import toy_book

conninfo, folder, point, batches = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
seen = 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying(module, name, *, after, die=die):
    was = getattr(module, name)
    def call(*args, **kwargs):
        global seen
        seen += 1
        if not after and seen == batches:
            die()
        result = was(*args, **kwargs)
        if after and seen == batches:
            die()
        return result
    setattr(module, name, call)

def refuse(*_):
    raise psycopg.DataError

if point.startswith("with care"):
    ledger._commit_at_once = refuse

match point:
    case "before the statement": dying(ledger, "_commit_at_once", after=False)
    case "in the statement":
        dying(ledger, "_commit_at_once", after=False, die=lambda: die_in_the_next_statement(conninfo))
    case "after the statement": dying(ledger, "_commit_at_once", after=True)
    case "with care, before rows": dying(ledger, "_move", after=False)
    case "with care, between rows and position": dying(ledger, "_finish", after=False)
    case "with care, before commit": dying(ledger, "_finish", after=True)
    case "after commit": dying(runner, "commit", after=True)

with toy_book(conninfo, folder) as parts:
    one = ProjectionRunner(conninfo, parts.mapper, (diaries, counted), batch=4, lease_seconds=0.5)
    one.start()
    one._thread.join()
"""

POINTS = (
    "before the statement",
    "in the statement",
    "after the statement",
    "with care, before rows",
    "with care, between rows and position",
    "with care, before commit",
    "after commit",
)

AUDITED = """
    CREATE TABLE daybook.audit (position bigint);
    CREATE FUNCTION audit() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO daybook.audit VALUES (NEW.position); RETURN NEW; END $$;
    CREATE TRIGGER audit BEFORE INSERT ON daybook_read.counted FOR EACH ROW EXECUTE FUNCTION audit();
"""


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_every_entry_is_posted_once(book: Diaries, tmp_path: Path, point: str) -> None:
    book.db.execute(AUDITED)  # counts what is written, however often a row is written over
    last = scribble(book, 8)
    for batches in (1, 2, 3):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, book.parts.conninfo, str(tmp_path), point, str(batches)],
            timeout=60, cwd=Path(__file__).parents[2], check=False, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    with book.running(lease_seconds=0.5):
        book.wait(last)
    assert rows(book.db) == plain_fold(recorded(book))
    written = [position for (position,) in book.db.execute("SELECT position FROM daybook.audit ORDER BY position")]
    assert written == list(range(1, last + 1))


def test_a_batch_may_be_larger_than_every_buffer_on_the_way(book: Diaries) -> None:
    """Pipelined, such a batch stood still for ever: server and client each waited for the other to take something."""
    last = 0
    for _ in range(3):
        last = append(book.parts, new_id(), 1, DiaryBegun(owner="Ada", address="x" * 2_000_000))
    with book.running():
        book.wait(last)
    assert rows(book.db) == plain_fold(recorded(book))


def test_it_goes_on_when_its_connections_are_cut(book: Diaries) -> None:
    book.db.execute(AUDITED)
    last = 0
    with book.running(batch=2):
        for _ in range(5):
            last = scribble(book, 6)
            book.db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'daybook projections%' AND datname = current_database()"
            )
        book.wait(last)
    written = [position for (position,) in book.db.execute("SELECT position FROM daybook.audit ORDER BY position")]
    assert written == list(range(1, last + 1))
    assert rows(book.db) == plain_fold(recorded(book))


def test_it_waits_on_descriptors_of_any_number(book: Diaries) -> None:
    """A server with a thousand connections has them: `select` knows those below 1,024 alone."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], min(limit[1], 2_048)), limit[1]))
    try:
        with ExitStack() as stack:
            for _ in range(1_100):
                stack.enter_context(socket.socket())
            with book.running() as runner:
                for _ in range(3):
                    book.wait(scribble(book, 1))
                assert runner.running
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize("comes", [True, False])
def test_a_key_file_that_is_of_before_a_rotation(book: Diaries, tmp_path: Path, comes: bool) -> None:
    """The master key was rotated on another host. The file comes late, or the other host takes over the lead."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    shutil.copy(tmp_path / "master.key", other)
    tries = "SELECT token FROM daybook_projections.lease"
    with book.running() as runner:
        book.wait(scribble(book, 1))
        rotate(book.parts.conninfo, other / "master.key")
        with toy_book(book.parts.conninfo, other) as elsewhere:
            last = append(elsewhere, new_id(), 1, DiaryBegun(owner="Ada"))
            [(before,)] = book.db.execute(tries)
            until(lambda: book.db.execute(tries).fetchall()[0][0] > before + 1)
            assert (runner.running, book.parked()) == (True, [])
            if comes:
                shutil.copy(other / "master.key", tmp_path)
                book.wait(last)
            else:
                with book._replace(parts=elsewhere).running(name="elsewhere"):
                    book.wait(last)
    assert book.parked() == []


def test_one_leads_and_the_other_takes_over(book: Diaries) -> None:
    book.db.execute(AUDITED)

    def leader() -> object:
        return book.db.execute("SELECT holder FROM daybook_projections.lease").fetchall()[0][0]

    one, two = book.runner(name="one", batch=3), book.runner(name="two", batch=3)
    one.start()
    until(lambda: leader() == "one")
    two.start()
    book.wait(scribble(book, 10))
    assert leader() == "one"
    one.stop()
    last = scribble(book, 10)
    book.wait(last)
    assert leader() == "two"
    two.stop()
    written = [position for (position,) in book.db.execute("SELECT position FROM daybook.audit ORDER BY position")]
    assert written == list(range(1, last + 1))


def test_a_leader_that_fell_silent_is_succeeded_and_can_not_commit(book: Diaries) -> None:
    last = scribble(book, 3)
    silent = Lease("silent", seconds=0.3)
    with psycopg.connect(book.parts.conninfo, autocommit=True) as db:
        assert silent.take(db)
        where = standing(db, book.models)
        with book.running(lease_seconds=0.3):
            book.wait(last)
            before = rows(book.db)
            stale = Batch(book.models, 0, last, False, [], [], [])
            exchange = Exchange(db)
            with pytest.raises(LeaseLost):
                commit(exchange, Flush(READ), silent, stale, where)
            with pytest.raises(LeaseLost):
                commit(exchange, Flush(READ), silent, stale._replace(upto=1), where)
            with pytest.raises(LeaseLost):
                commit(exchange, Flush(READ), silent, stale._replace(statements=None), where)
            with pytest.raises(LeaseLost):
                silent.hold(silent.renew(db))
    assert rows(book.db) == before
    assert book.position() == last


def test_nobody_takes_a_lease_that_is_held(book: Diaries) -> None:
    one, two = Lease("one", seconds=60), Lease("two", seconds=60)
    with psycopg.connect(book.parts.conninfo, autocommit=True) as db:
        assert one.take(book.db)
        assert not two.take(db)
        # Locked by the leader's transaction: nobody waits for it.
        book.db.execute("UPDATE daybook_projections.lease SET expires_at = now() - interval '1 s'")
        with book.db.transaction():
            one.hold(one.renew(book.db))
            assert not two.take(db)
        one.give_back(book.db)
        assert two.take(db)
        with pytest.raises(LeaseLost):
            one.hold(one.renew(book.db))


def test_a_lease_of_before_the_clock_was_set_back_is_taken(book: Diaries) -> None:
    """By the clock that is now, the leader that is gone has hours left. One that lasts as long as another's is held."""
    gone, longer, shorter = Lease("gone", seconds=3_600), Lease("longer", seconds=30), Lease("shorter", seconds=5)
    assert gone.take(book.db)
    assert longer.take(book.db)
    with pytest.raises(LeaseLost):
        gone.hold(gone.renew(book.db))
    assert not shorter.take(book.db)


@pytest.mark.parametrize("entries", [1, 3])
def test_a_batch_for_a_model_that_somebody_else_changed_is_not_committed(book: Diaries, entries: int) -> None:
    scribble(book, 1)
    lease = Lease("test", seconds=60)
    lease.take(book.db)
    where = standing(book.db, book.models)
    book.db.execute("UPDATE daybook_projections.models SET edition = edition + 1 WHERE name = 'counted'")
    with pytest.raises(Superseded):
        commit(Exchange(book.db), Flush(READ), lease, Batch(book.models, 0, entries, False, [], [], []), where)
    assert (book.position("diaries"), book.position("counted")) == (0, 0)


def test_what_is_cleared_and_written_anew_is_prepared_before_the_transaction(book: Diaries) -> None:
    """Of an erasure it may take longer than a transaction may be idle."""

    class Ready(Flush):
        def statements(self, postings: Any) -> list[Statement]:
            raise AssertionError(f"the model's row is locked already, and these are made only now: {postings}")

    position, id = scribble(book, 1), new_id()
    posting = Posting()
    posting.clear(DIARIES, str(id))
    posting.insert(DIARIES, id=id, closed=False, version=1, position=1, recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    units = [Unit(("diaries", id), At(1, datetime(2026, 1, 1, tzinfo=UTC)), "DiaryBegun", posting.changes)]
    statements = Flush(READ).statements((unit.at, unit.changes) for unit in units)
    lease = Lease("test", seconds=60)
    lease.take(book.db)
    batch = Batch(book.models, 0, position, False, units, [], statements)
    assert commit(Exchange(book.db), Ready(READ), lease, batch, standing(book.db, book.models)) == []
    assert book.db.execute("SELECT id FROM daybook_read.diaries").fetchall() == [(id,)]
    assert book.position() == position


class Units(list[Unit]):
    """A list that can be watched until it is freed."""


def test_nothing_of_a_batch_stays_while_the_book_is_quiet(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was opened would stay in memory, and the next change would wait until a thousand of them are freed."""
    made, held = list[weakref.ref[Units]](), list[int]()
    hear = ProjectionRunner._hear  # pyright: ignore[reportPrivateUsage]

    def watched(*parts: Any) -> Batch:
        batch = Batch(*parts)
        units = Units(batch.units)
        made.append(weakref.ref(units))
        return batch._replace(units=units)

    def noted(runner: ProjectionRunner, writer: Db) -> None:
        held.append(sum(one() is not None for one in made))
        hear(runner, writer)

    monkeypatch.setattr("projections.runner.Batch", watched)
    monkeypatch.setattr(ProjectionRunner, "_hear", noted)
    last = scribble(book, 5)
    with book.running():
        book.wait(last)
        until(lambda: bool(held))
    assert made
    assert not any(held)


def test_receipts_are_kept_for_thirty_days(book: Diaries) -> None:
    def receipt(age: str) -> UUID:
        key = new_id()
        book.db.execute(
            "INSERT INTO daybook.receipts SELECT 'test', %s, '', %s, 1, 1, now() - %s::interval", (key, key, age)
        )
        return key

    old, young = [receipt("30 days 1 minute") for _ in range(5)], receipt("29 days 23 hours")
    with book.running():
        until(lambda: book.db.execute("SELECT count(*) FROM daybook.receipts").fetchone() == (1,))
    kept = book.db.execute("SELECT idempotency_key FROM daybook.receipts").fetchall()
    assert kept == [(young,)]
    assert young not in old


def test_a_notice_wakes_it(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.runner.POLL", 300.0)
    with book.running():
        for _ in range(3):
            book.wait(scribble(book, 1))


def test_a_call_wakes_it_and_so_does_the_poll(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.runner.APPENDED", "nobody_speaks_here")
    with book.running():
        book.wait(scribble(book, 1))
        monkeypatch.setattr("projections.runner.POLL", 300.0)
    with book.running() as runner:
        for _ in range(3):
            last = scribble(book, 1)
            runner.wake()
            book.wait(last)


def test_what_its_own_process_appends_it_is_told_by_a_call(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.runner.POLL", 300.0)
    monkeypatch.setattr("projections.runner.APPENDED", "nobody_speaks_here")
    with book.running(announcer=book.parts.announcer):
        for _ in range(3):
            book.wait(scribble(book, 1))


def test_a_notice_is_sent_where_another_process_leads_and_there_alone(
    book: Diaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.runner.POLL", 300.0)
    own = book.parts.announcer
    with psycopg.connect(book.parts.conninfo, autocommit=True) as listener:
        listener.execute("LISTEN daybook_appended")
        with book.running(announcer=own):
            until(lambda: own.heard_here)
            book.wait(scribble(book, 3))
        assert not own.heard_here
        assert not list(listener.notifies(timeout=0))
    with toy_book(book.parts.conninfo, tmp_path) as elsewhere, book.running(announcer=elsewhere.announcer):
        until(lambda: elsewhere.announcer.heard_here)
        for _ in range(3):
            book.wait(scribble(book, 1))


def test_wake_never_blocks_and_may_come_at_any_time(book: Diaries) -> None:
    runner = book.runner()
    for _ in range(100_000):
        runner.wake()
    runner.start()
    book.wait(scribble(book, 1))
    runner.stop()
    runner.wake()
    assert not runner.running


@pytest.mark.parametrize("batch", [3, 500])
def test_it_keeps_its_lease_while_a_batch_is_prepared(book: Diaries, batch: int) -> None:
    """Each of two runners lost it to the other, who began anew and lost it too."""

    def token() -> int:
        return int(book.db.execute("SELECT token FROM daybook_projections.lease").fetchall()[0][0])

    last, tokens, lease = scribble(book, 1), list[int](), 0.5

    def slow(posting: Posting, recorded: Recorded[Any]) -> None:
        """The first entry is posted when the lease would be over and another runner would have taken it."""
        if recorded.position == 1:
            tokens.append(token())
            ends = monotonic() + 2 * lease + STAND_BY
            until(lambda: monotonic() > ends)
            tokens.append(token())
        posting.insert(COUNTED, position=recorded.position)

    slowly = Model(name="counted", version=1, tables=(COUNTED,), post=slow)
    alone = book._replace(models=(slowly,))
    with alone.running(name="one", batch=batch, lease_seconds=lease):
        until(lambda: tokens)
        with alone.running(name="two", batch=batch, lease_seconds=lease):
            alone.wait(last)
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize("entries", [1, 3])
def test_what_is_handed_over_alone_is_posted_by_the_same_thread(
    book: Diaries, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.scanning.LITTLE", 2)
    threads, last = dict[int, str](), 0

    def noted(posting: Posting, recorded: Recorded[Any]) -> None:
        threads[recorded.position] = threading.current_thread().name
        posting.insert(COUNTED, position=recorded.position)

    alone = book._replace(models=(Model(name="counted", version=1, tables=(COUNTED,), post=noted),))
    with alone.running(announcer=book.parts.announcer):
        until(lambda: book.parts.announcer.heard_here)
        for _ in range(20):  # the first ones are read
            pages = [PageWritten(page=new_id(), text="a") for _ in range(entries - 1)]
            last = append(book.parts, new_id(), 1, DiaryBegun(owner="Ada"), *pages)
            alone.wait(last)
    here = {thread for position, thread in threads.items() if position > last - entries}
    assert here == ({"projections"} if entries == 1 else {"projections-ahead_0"})


def test_an_idle_runner_keeps_its_lease(book: Diaries) -> None:
    with book.running(lease_seconds=3 * POLL):
        until(lambda: book.db.execute("SELECT holder FROM daybook_projections.lease").fetchone() == ("test",))
        [(token, before)] = book.db.execute("SELECT token, expires_at FROM daybook_projections.lease")
        until(
            lambda: (
                book.db.execute("SELECT expires_at > %s FROM daybook_projections.lease", (before,)).fetchone()
                == (True,)
            )
        )
        assert book.db.execute("SELECT token FROM daybook_projections.lease").fetchone() == (token,)
