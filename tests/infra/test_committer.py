"""The committer: whoever submits is answered, whatever another one submits, and whatever the database is set to."""

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, LiteralString, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from api.composition import Parts
from domain.appending import (
    AlreadyHandled,
    BookUnavailable,
    ClaimTaken,
    Conditions,
    Entry,
    IdempotencyKeyReused,
)
from domain.kernel import Claim, Refused, new_id
from domain.kernel.recorded import Receipt
from infra.append import APPEND_LOCK, Append
from infra.committer import MOST_ENTRIES, Committer
from infra.event_store import EventStore
from infra.submissions import Submission
from tests.infra.submissions import conditions, entry
from tests.toy import BeginDiary, MoveDiary, WritePage, asking, handled, toy_book

SECONDS = 8.0
"""Less than the patience with a database that is away: nobody here has reason to take it for away."""

Call = Callable[[], object]


class Desk(NamedTuple):
    """A committer, with what looks into the book beside it."""

    committer: Committer
    db: psycopg.Connection[Any]

    def column(self, query: str) -> list[Any]:
        return [row[0] for row in self.db.execute(query.encode())]

    def append(self, entries: Sequence[Entry], conditions: Conditions | None) -> Sequence[int]:
        return self.committer.submit(entries, conditions).wait()

    def waiting(self, number: int) -> bool:
        """Whether so many wait for the committer; whoever wants to close it counts as one."""
        committer = self.committer
        waiting = len(committer._queue) + committer._closing.is_set()  # pyright: ignore[reportPrivateUsage]
        return waiting == number

    def together(self, *appends: Call) -> list[object]:
        """The outcomes of appends in one batch, in this order: they queue up while another one waits for the lock."""
        with self.db.transaction():
            self.db.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
            started = [begun(partial(self.append, [entry()], None))]
            until(lambda: self.column("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
            for number, append in enumerate(appends, start=1):
                started.append(begun(append))
                until(partial(self.waiting, number))
        return [outcome(one) for one in started[1:]]


@pytest.fixture
def desk(book: Parts, database: str) -> Iterator[Desk]:
    committer = Committer(database, book.vault, lambda _: None)
    with psycopg.connect(database, autocommit=True) as db:
        yield Desk(committer, db)
    committer.close()


def begun(call: Call) -> "queue.SimpleQueue[object]":
    """Where the outcome of a call will stand: what it returns, or the exception that it raises."""
    found: queue.SimpleQueue[object] = queue.SimpleQueue()

    def run() -> None:
        try:
            found.put(call())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test asks for it
            found.put(error)

    threading.Thread(target=run, daemon=True).start()
    return found


def outcome(found: "queue.SimpleQueue[object]") -> object:
    return found.get(timeout=SECONDS)


def until(reached: Callable[[], object]) -> None:
    deadline = monotonic() + SECONDS
    while not reached():
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.005)


def submission(desk: Desk, id: UUID, version: int = 1, **other: Any) -> Call:
    return partial(desk.append, [entry(id, version)], conditions(id, version, **other))


POISONS: dict[str, Callable[[], tuple[Sequence[Entry], Conditions | None]]] = {
    "a time without its zone": lambda: ([entry(occurred_at=datetime(2020, 1, 1))], None),  # noqa: DTZ001
    "half a surrogate pair": lambda: ([entry(actor="\ud800")], None),
    "half a surrogate pair in a claim": lambda: ([], conditions(new_id(), takes=[Claim("address", "\ud800")])),
    "no byte that text may hold": lambda: ([entry(actor="\0")], None),
    "no key that text may hold": lambda: ([], conditions(new_id(), actor="\0")),
    "a number beyond 64 bits": lambda: ([entry(version=2**63)], None),
    "a key too large for its index": lambda: ([], conditions(new_id(), actor=repr([uuid4() for _ in range(500)]))),
    "a name that is none": lambda: ([entry(topic=None)], None),
    "what nobody can encode": lambda: ([entry(topic=object())], None),
    "a version that is there": lambda: ([entry(one := new_id()), entry(one)], None),
}


@pytest.mark.parametrize("poison", POISONS)
def test_one_that_can_not_be_appended_is_told_and_the_others_are_appended(desk: Desk, poison: str) -> None:
    before, after = new_id(), new_id()
    outcomes = desk.together(
        submission(desk, before), partial(desk.append, *POISONS[poison]()), submission(desk, after)
    )
    assert outcomes[0] == [2]
    assert isinstance(outcomes[1], Exception)
    assert not isinstance(outcomes[1], BookUnavailable)
    assert outcomes[2] == [3]
    assert outcome(begun(submission(desk, before, 2))) == [4], "the committer goes on"


@pytest.mark.parametrize("poison", POISONS)
def test_beside_one_that_can_not_be_appended_nobody_has_to_decide_anew(desk: Desk, poison: str) -> None:
    """What was decided in a former lineage has to be: then all of them would, and meet the same one again."""
    before, after = new_id(), new_id()
    outcome(begun(submission(desk, new_id())))
    lineage = desk.committer.lineage
    outcomes = desk.together(
        submission(desk, before, lineage=lineage),
        partial(desk.append, *POISONS[poison]()),
        submission(desk, after, lineage=lineage),
    )
    assert (outcomes[0], outcomes[2]) == ([3], [4])


def test_while_the_disk_is_full_nobody_has_to_decide_anew(desk: Desk) -> None:
    """What there is no room for is tried again over the same connection: another one would begin another lineage."""
    assert outcome(begun(submission(desk, new_id()))) == [1]
    lineage = desk.committer.lineage
    desk.db.execute("""
        CREATE SEQUENCE public.tries;
        CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM nextval('public.tries');
            RAISE 'no space left on device' USING ERRCODE = 'disk_full';
        END $$;
        CREATE TRIGGER no_room BEFORE INSERT ON daybook.events FOR EACH ROW EXECUTE FUNCTION public.no_room()
    """)
    appending = begun(submission(desk, new_id(), lineage=lineage))
    until(lambda: desk.column("SELECT last_value FROM public.tries")[0] >= 3)
    desk.db.execute("DROP TRIGGER no_room ON daybook.events")
    assert outcome(appending) == [2]
    assert desk.committer.lineage == lineage


def test_whoever_is_told_of_commits_may_fail(book: Parts, database: str, caplog: pytest.LogCaptureFixture) -> None:
    def told(_: object) -> None:
        raise ValueError("secret")

    committer = Committer(database, book.vault, told)
    try:
        for position in (1, 2):
            assert outcome(begun(committer.submit([entry()], None).wait)) == [position]
    finally:
        committer.close()
    assert "Who is told of commits failed (ValueError); the book goes on." in caplog.text
    assert "secret" not in caplog.text


def test_whoever_comes_at_the_last_moment_is_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class LastMoment(list[Submission]):
        """Closing begins between the look whether it has and the queueing."""

        def append(self, item: Submission) -> None:
            closing = threading.Thread(target=desk.committer.close)
            closing.start()
            closing.join(1.0)  # it may have to wait for this one; if it does not, it is through by now
            super().append(item)

    monkeypatch.setattr(desk.committer, "_queue", LastMoment())
    answer = outcome(begun(submission(desk, new_id())))
    assert isinstance(answer, BookUnavailable) or answer == [1]
    assert isinstance(outcome(begun(submission(desk, new_id()))), BookUnavailable)


def test_closing_finishes_what_is_queued(desk: Desk) -> None:
    assert desk.together(submission(desk, new_id()), desk.committer.close) == [[2], None]


def test_a_commit_that_the_database_refuses_is_not_reported_as_done(desk: Desk) -> None:
    desk.db.execute(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not at the end'; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON daybook.events INITIALLY DEFERRED
        FOR EACH ROW WHEN (new.actor = 'late') EXECUTE FUNCTION refuse()"""
    )
    good, late = new_id(), new_id()
    outcomes = desk.together(
        submission(desk, good), partial(desk.append, [entry(late, actor="late")], conditions(late))
    )
    assert outcomes[0] == [2]
    assert isinstance(outcomes[1], psycopg.errors.RaiseException)
    assert desk.column("SELECT count(*) FROM daybook.receipts") == [1]
    assert desk.column("SELECT position FROM daybook.events ORDER BY position") == [1, 2]


def test_what_is_taken_and_given_back_in_one_batch_is_free(desk: Desk) -> None:
    one, other, claim = new_id(), new_id(), Claim("address", "here")
    outcomes = desk.together(
        submission(desk, one, takes=[claim]),
        submission(desk, other, takes=[claim]),
        submission(desk, one, 2, gives_back=[claim]),
    )
    assert isinstance(outcomes[1], ClaimTaken)
    assert [outcomes[0], outcomes[2]] == [[2], [3]]
    assert outcome(begun(submission(desk, other, takes=[claim]))) == [4]


def test_what_was_held_is_given_back_and_taken_in_one_batch(desk: Desk) -> None:
    one, other, claim = new_id(), new_id(), Claim("address", "here")
    outcome(begun(submission(desk, one, takes=[claim])))
    outcomes = desk.together(
        submission(desk, one, 2, gives_back=[claim]),
        submission(desk, other, takes=[claim]),
        submission(desk, one, 3, takes=[Claim("address", "here", shared=True)]),
    )
    assert outcomes == [[3], [4], [5]]
    assert desk.db.execute("SELECT slot, holder FROM daybook.reservations ORDER BY slot").fetchall() == [
        (0, other),
        (1, one),
    ]


def test_one_key_with_two_inputs_in_one_batch(desk: Desk) -> None:
    one, other, key = new_id(), new_id(), uuid4()
    outcomes = desk.together(
        submission(desk, one, idempotency_key=key), submission(desk, other, idempotency_key=key, fingerprint=b"g" * 32)
    )
    assert outcomes[0] == [2]
    assert isinstance(outcomes[1], AlreadyHandled)
    assert outcomes[1].kept.receipt == Receipt(one, 1, 2)
    assert outcomes[1].kept.fingerprint == b"f" * 32


def test_the_same_through_the_door(book: Parts) -> None:
    context = asking(uuid4())
    gate = threading.Barrier(2)

    def begin(owner: str) -> object:
        gate.wait()
        return handled(book, BeginDiary(id=new_id(), owner=owner), context)

    outcomes = [outcome(one) for one in [begun(partial(begin, name)) for name in ("Ada", "Bob")]]
    [refused] = [one for one in outcomes if isinstance(one, Refused)]
    assert isinstance(refused.broken[0], IdempotencyKeyReused)
    assert sum(isinstance(one, Receipt) for one in outcomes) == 1


def test_a_batch_of_many_entries(desk: Desk) -> None:
    id = new_id()
    many = [entry(id, version) for version in range(1, MOST_ENTRIES + 1)]
    outcomes = desk.together(
        partial(desk.append, many, conditions(id, receipt=Receipt(id, len(many), 0))),
        submission(desk, new_id()),
    )
    assert outcomes == [list(range(2, MOST_ENTRIES + 2)), [MOST_ENTRIES + 2]]


@pytest.mark.parametrize(
    "setting",
    ["timezone = 'Europe/Zurich'", "default_transaction_isolation = 'repeatable read'"],
)
def test_the_databases_defaults_change_nothing(database: str, tmp_path: Path, setting: LiteralString) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        name = sql.Identifier(db.info.dbname)
        db.execute(sql.SQL("ALTER DATABASE {} SET ").format(name) + sql.SQL(setting))
    with toy_book(database, tmp_path) as one, toy_book(database, tmp_path) as two:
        then = datetime(1850, 1, 1, tzinfo=UTC)  # when Zurich's clocks went by the sun, 34 minutes and 8 seconds ahead
        id = handled(one, BeginDiary(id=new_id(), owner="Ada"), asking(occurred_at=then)).id
        calls = list[Call]()
        for book in [one, two] * 10:
            calls.append(partial(handled, book, WritePage(id=id, page=new_id(), text="page"), asking()))
            calls.append(partial(book.store.insert_events, [entry()]))
        outcomes = [outcome(each) for each in [begun(call) for call in calls]]
        assert not [each for each in outcomes if isinstance(each, Exception)]
        [first] = one.store.entries(0, 1)
        assert first.occurred_at.isoformat() == "1850-01-01T00:00:00+00:00"


def test_a_process_that_stands_still_under_the_lock_loses_it(
    desk: Desk, book: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing, on, accept = threading.Event(), threading.Event(), Append.accept
    slow = new_id()

    def accepted(self: Append, entries: Sequence[Entry], conditions: Conditions | None) -> list[int]:
        if entries[0].originator_id == slow and not standing.is_set():
            standing.set()
            on.wait()
        return accept(self, entries, conditions)

    monkeypatch.setattr(Append, "accept", accepted)
    stands = begun(submission(desk, slow))
    assert standing.wait(SECONDS)
    try:
        assert outcome(begun(partial(book.store.insert_events, [entry()]))) == [1]
    finally:
        on.set()
    assert outcome(stands) == [2], "it is appended once the process goes on"


def test_a_server_that_only_reads_is_one_that_is_away(desk: Desk) -> None:
    """As after a failover: what was sent to the old server is appended by the new one."""
    name = sql.Identifier(desk.db.info.dbname)
    desk.db.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    appending = begun(submission(desk, new_id()))  # for its first append it connects
    until(lambda: desk.column("SELECT 1 FROM pg_stat_activity WHERE application_name = 'daybook committer'"))
    desk.db.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
    assert outcome(appending) == [1]


def test_readers_never_wait_for_each_other(book: Parts, database: str, tmp_path: Path) -> None:
    """To open a history takes a connection for its keys: not while one is held for the history itself."""
    id = handled(book, BeginDiary(id=new_id(), owner="Ada"), asking()).id
    with toy_book(database, tmp_path) as another:
        held = [another.pool.getconn() for _ in range(another.pool.max_size - 1)]
        fold = outcome(begun(partial(another.daybook.fold, id)))
        for connection in held:
            another.pool.putconn(connection)
    assert not isinstance(fold, Exception)


def test_a_connection_lost_before_the_sealing_is_made_anew(
    book: Parts, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = handled(book, BeginDiary(id=new_id(), owner="Ada", address="Here"), asking()).id
    with toy_book(database, tmp_path) as another:
        histories = EventStore.histories

        def lost(self: EventStore, *args: Any, **kwargs: Any) -> Any:
            rows = histories(self, *args, **kwargs)
            monkeypatch.undo()
            another.vault.forget(id)
            with psycopg.connect(database, autocommit=True) as db:
                db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            return rows

        monkeypatch.setattr(EventStore, "histories", lost)
        receipt = outcome(begun(partial(handled, another, MoveDiary(id=id, address="There"), asking())))
    assert isinstance(receipt, Receipt)
    assert receipt.version == 2


def test_a_server_that_says_nothing_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is stuck, its connection open: the batch is appended over a new one."""
    assert outcome(begun(submission(desk, new_id()))) == [1]
    monkeypatch.setattr("infra.exchange.LONGEST_SILENCE", 0.5)
    [pid] = desk.column("SELECT pid FROM pg_stat_activity WHERE application_name = 'daybook committer'")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert outcome(begun(submission(desk, new_id()))) == [2]
    finally:
        os.kill(pid, signal.SIGCONT)
