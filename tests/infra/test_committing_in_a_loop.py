"""Commands that wait in an event loop are committed by it where they are supposed, whoever else waits beside them, and
however it ends.
"""

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import CoroutineType
from typing import Any, TypeVar, cast
from uuid import UUID

import psycopg
import pytest
import uvloop

from api.composition import Parts
from domain.appending import AlreadyHandled, BookUnavailable, ClaimTaken, Entry
from domain.kernel import Claim, new_id
from infra.append import APPEND_LOCK, Append
from infra.committer import FEW, MOST_ENTRIES, Committer
from infra.exchange import Asked, Exchange
from tests.infra.submissions import conditions, entry
from tests.infra.test_committer import POISONS, SECONDS, until

T = TypeVar("T")
Loops = Callable[[Coroutine[Any, Any, T]], T]

LOOPS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


@pytest.fixture
def committer(book: Parts, database: str) -> Iterator[Committer]:
    """It has appended three times, and supposes from now on that it is alone."""
    committer = Committer(database, book.vault, lambda _: None)
    for _ in range(3):
        committer.submit([entry()], None).wait()
    yield committer
    committer.close()


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each batch that was tried: the thread, and how many entries."""
    begun: list[tuple[int, int]] = []
    for name in ("begin", "suppose"):
        original = getattr(Append, name)

        def noted(self: Append, entries: Sequence[Entry], *rest: Any, original: Callable[..., Any] = original) -> Any:
            begun.append((threading.get_ident(), len(entries)))
            return original(self, entries, *rest)

        monkeypatch.setattr(Append, name, noted)
    return begun


def followed(committer: Committer, id: UUID, version: int = 1, **other: Any) -> Awaitable[Sequence[int]]:
    return committer.submit([entry(id, version)], conditions(id, version, **other)).follow()


async def together(*waiting: Awaitable[Sequence[int]]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), SECONDS)


@pytest.mark.parametrize("run", LOOPS)
def test_it_is_committed_in_the_loop(committer: Committer, batches: list[tuple[int, int]], run: Loops[Any]) -> None:
    async def several() -> list[Any]:
        return [await followed(committer, new_id()) for _ in range(5)]

    assert run(several()) == [[position] for position in range(4, 9)]
    assert {thread for thread, _ in batches} == {threading.get_ident()}


def test_half_of_many_decide_while_the_others_are_appended(
    committer: Committer, batches: list[tuple[int, int]]
) -> None:
    async def writing(number: int) -> None:
        for _ in range(number):
            await followed(committer, new_id())

    async def many() -> None:
        await asyncio.gather(*(writing(20) for _ in range(2 * FEW)))

    uvloop.run(many())
    sizes = [size for _, size in batches]
    assert sum(sizes) == 20 * 2 * FEW
    assert max(sizes) == FEW


@pytest.mark.parametrize("run", LOOPS)
def test_loops_and_threads_are_all_answered_once(book: Parts, database: str, run: Loops[Any]) -> None:
    """Two committers, as of two processes; in each of them two loops, and threads that stand still."""
    each, found = 25, list[int]()
    committers = [Committer(database, book.vault, lambda _: None) for _ in range(2)]

    def standing(committer: Committer) -> None:
        for _ in range(each):
            id = new_id()
            found.extend(committer.submit([entry(id)], conditions(id)).wait())

    async def one(committer: Committer) -> None:
        for _ in range(each):
            found.extend(await followed(committer, new_id()))

    def looping(committer: Committer) -> None:
        async def several() -> None:
            await asyncio.gather(*(one(committer) for _ in range(5)))

        run(several())

    work = [partial(what, one) for one in committers for what in (standing, looping) * 2]
    with ThreadPoolExecutor(len(work)) as threads:
        for begun in [threads.submit(each) for each in work]:
            begun.result(60)
    for committer in committers:
        committer.close()
    assert sorted(found) == list(range(1, 2 * 2 * 6 * each + 1))


@pytest.mark.parametrize("poison", POISONS)
def test_one_that_can_not_be_appended_is_told_and_the_others_are_appended(committer: Committer, poison: str) -> None:
    before, after = new_id(), new_id()

    async def three() -> list[Any]:
        return await together(
            followed(committer, before), committer.submit(*POISONS[poison]()).follow(), followed(committer, after)
        )

    outcomes = uvloop.run(three())
    assert [outcomes[0], outcomes[2]] == [[4], [5]]
    assert isinstance(outcomes[1], Exception)
    assert not isinstance(outcomes[1], BookUnavailable)
    assert uvloop.run(together(followed(committer, before, 2))) == [[6]], "the committer goes on"


def test_what_has_no_size_is_told_and_the_others_are_appended(committer: Committer) -> None:
    async def none_and_one() -> list[Any]:
        with pytest.raises(TypeError):
            await committer.submit([entry(state=None)], conditions(new_id())).follow()
        return await together(followed(committer, new_id()))

    assert uvloop.run(none_and_one()) == [[4]]
    with pytest.raises(TypeError):
        committer.submit([entry(state=None)], None).wait()
    assert committer.submit([entry()], None).wait() == [5]


def test_what_is_refused_in_a_batch_is_told(committer: Committer) -> None:
    one, other, claim, key = new_id(), new_id(), Claim("address", "here"), new_id()

    async def four() -> list[Any]:
        return await together(
            followed(committer, one, takes=[claim], idempotency_key=key),
            followed(committer, other, takes=[claim]),
            followed(committer, one, idempotency_key=key),
            followed(committer, one, 2, gives_back=[claim]),
        )

    first, second, third, last = uvloop.run(four())
    assert (first, last) == ([4], [5])
    assert isinstance(second, ClaimTaken)
    assert isinstance(third, AlreadyHandled)


@pytest.mark.parametrize("run", LOOPS)
def test_a_connection_that_is_lost_is_made_anew(committer: Committer, database: str, run: Loops[Any]) -> None:
    async def several(db: psycopg.AsyncConnection[Any]) -> list[Any]:
        found = await together(followed(committer, new_id()))
        await db.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'daybook committer'"
            " AND datname = current_database()"
        )
        return found + [await followed(committer, new_id()) for _ in range(3)]

    async def connected() -> list[Any]:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as db:
            return await several(db)

    assert run(connected()) == [[4], [5], [6], [7]]


@pytest.mark.parametrize("run", LOOPS)
def test_a_server_that_says_nothing_is_given_up(
    committer: Committer, database: str, monkeypatch: pytest.MonkeyPatch, run: Loops[Any]
) -> None:
    monkeypatch.setattr("infra.exchange.LONGEST_SILENCE", 0.5)
    with psycopg.connect(database, autocommit=True) as db:
        row = db.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'daybook committer'"
            " AND datname = current_database()"
        ).fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)
    try:
        [answer] = run(together(followed(committer, new_id())))
    finally:
        os.kill(row[0], signal.SIGCONT)
    # On a slow disk the next connection may be taken for a silent one as well, after its commit.
    assert answer == [4] or (isinstance(answer, AlreadyHandled) and answer.kept.receipt.position == 4)


@pytest.mark.parametrize("run", LOOPS)
def test_a_batch_of_many_entries(committer: Committer, run: Loops[Any]) -> None:
    id = new_id()
    many = [entry(id, version, state=bytes(4_000)) for version in range(1, MOST_ENTRIES + 1)]

    async def two() -> list[Any]:
        return await together(committer.submit(many, None).follow(), followed(committer, new_id()))

    assert run(two()) == [list(range(4, MOST_ENTRIES + 4)), [MOST_ENTRIES + 4]]


@pytest.mark.parametrize("run", LOOPS)
def test_more_than_a_socket_takes_at_once(database: str, run: Loops[Any]) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        exchange, much = Exchange(db), b"x" * 20_000_000
        echo = exchange.ask(*[Asked(b"SELECT $1::text", [much])] * 3)
        answers = run(asyncio.wait_for(echo.follow(), SECONDS))
    assert [one.get_value(0, 0) == much for one in answers] == [True] * 3


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("with_key", [True, False])
def test_a_loop_that_ends_in_the_middle_leaves_what_others_wait_for_to_the_thread(
    committer: Committer, database: str, run: Loops[Any], with_key: bool
) -> None:
    """Behind the loop's batch or in it, as far as that may be sent again."""
    id, first, second = new_id(), new_id(), new_id()

    async def ends(threads: ThreadPoolExecutor) -> list[Future[Any]]:
        mine = asyncio.ensure_future(followed(committer, first))
        await asyncio.sleep(0)
        standing = [threads.submit(committer.submit([entry(id)], conditions(id) if with_key else None).wait)]
        # The loop commits when it goes on: by then both are queued.
        until(lambda: len(committer._queue) == 2)  # pyright: ignore[reportPrivateUsage]
        await asyncio.to_thread(until, partial(_waits_for_the_lock, database))
        standing.append(threads.submit(committer.submit([entry(second)], None).wait))
        queued = 1 if with_key else 2
        await asyncio.to_thread(until, lambda: len(committer._queue) == queued)  # pyright: ignore[reportPrivateUsage]
        mine.cancel()
        return standing

    with psycopg.connect(database) as holder, ThreadPoolExecutor(2) as threads:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        standing = run(ends(threads))
        holder.rollback()
        positions = [_position(one) for one in standing]
        held = holder.execute(
            "SELECT originator_id FROM daybook.events WHERE position > 3 ORDER BY position"
        ).fetchall()
    assert sorted(one for [one] in held) == sorted([id, first, second]), "PostgreSQL goes on with what it was sent"
    assert [held[position - 4][0] for position in positions] == [id, second]


def test_a_task_that_is_cancelled_before_its_first_step_is_not_the_end_of_the_queue(committer: Committer) -> None:
    async def begins() -> Sequence[int]:
        mine = asyncio.ensure_future(followed(committer, new_id()))
        await asyncio.sleep(0)
        turn = committer._turn  # pyright: ignore[reportPrivateUsage]
        assert turn is not None
        assert turn.task is not None
        assert inspect.getcoroutinestate(cast("CoroutineType[Any, Any, None]", turn.task.get_coro())) == "CORO_CREATED"
        turn.task.cancel()
        return await asyncio.wait_for(mine, SECONDS)

    assert asyncio.run(begins()) == [4]


def test_a_batch_of_which_some_has_no_key_is_sent_again_as_far_as_it_has(committer: Committer, database: str) -> None:
    """What is known is told, and what may have been committed is not committed again."""
    keyed, keyless = new_id(), new_id()

    async def two() -> list[Any]:
        waiting = asyncio.ensure_future(
            together(committer.submit([entry(keyless)], None).follow(), followed(committer, keyed))
        )
        await asyncio.to_thread(until, partial(_waits_for_the_lock, database))
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'daybook committer' AND datname = current_database()"
            )
        holder.rollback()
        return await waiting

    with psycopg.connect(database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        unknown, known = uvloop.run(two())
    assert isinstance(unknown, BookUnavailable)
    assert known == [4]


@pytest.mark.parametrize("stands", [True, False])
@pytest.mark.parametrize("in_the_middle", [True, False])
def test_a_loop_that_stopped_is_not_waited_for(
    book: Parts, database: str, batches: list[tuple[int, int]], stands: bool, in_the_middle: bool
) -> None:
    """Before it could commit, or while it waits for PostgreSQL."""
    committer = Committer(database, book.vault, lambda _: None)
    for _ in range(3):
        committer.submit([entry()], None).wait()
    loop = asyncio.new_event_loop()

    async def gone() -> None:
        if in_the_middle:
            loop.call_soon(loop.stop)
        else:
            loop.stop()
        await followed(committer, new_id())

    task = loop.create_task(gone())
    loop.run_forever()
    assert not task.done()
    assert (threading.get_ident() in {thread for thread, _ in batches}) is in_the_middle
    id = new_id()
    with ThreadPoolExecutor(1) as threads:
        if stands:
            assert threads.submit(committer.submit([entry(id)], conditions(id)).wait).result(SECONDS) == [5]
        threads.submit(committer.close).result(SECONDS)
    for left in asyncio.all_tasks(loop):
        left.cancel()
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def _position(standing: Future[Any]) -> int:
    try:
        return int(standing.result(SECONDS)[0])
    except AlreadyHandled as handled:  # it was sent again, as the door sends a retry
        return handled.kept.receipt.position


def _waits_for_the_lock(database: str) -> bool:
    with psycopg.connect(database) as db:
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = ("
        return bool(db.execute(waits + "SELECT oid FROM pg_database WHERE datname = current_database())").fetchone())
