"""The lines that queries are read over, whatever becomes of the statement, the caller or the server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec
import psycopg
import pytest
from graphql.execution.values import VariableValues
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from api.reading import lines as module
from api.reading.lines import Line, Lines
from api.reading.reader import read_pool
from api.reading.statement import Plan

pytestmark = pytest.mark.anyio
WHO = "select pg_backend_pid()::text"
SLOW = "select pg_sleep(30)::text"


@asynccontextmanager
async def lines_to(database: str, size: int = 1, seconds: float = 20) -> AsyncIterator[Lines]:
    async with read_pool(database, size=size, seconds=seconds) as lines:
        yield lines


async def one(lines: Lines, sql: str, parameters: Sequence[bytes | None]) -> bytes | None:
    """The value of a statement that has one."""
    [value] = await lines.fetch(sql, parameters)
    return value


class Onlooker:
    """Sees from outside what the server does."""

    def __init__(self, database: str) -> None:
        self._db = psycopg.connect(database, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def running(self, statement: str) -> list[int]:
        rows = self._db.execute(
            "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query = %s", (statement,)
        ).fetchall()
        return [pid for (pid,) in rows]

    def terminate(self, pid: int) -> None:
        self._db.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def until(seen: Callable[[], Any]) -> Any:
    async with asyncio.timeout(20):
        while True:
            if found := seen():
                return found
            await asyncio.sleep(0.01)


async def begun(work: Awaitable[Any], onlooker: Onlooker, statement: str) -> tuple["asyncio.Task[Any]", int]:
    task = asyncio.ensure_future(work)
    pids = await until(lambda: onlooker.running(statement))
    return task, pids[0]


async def test_a_cancelled_caller_s_statement_is_cancelled_and_its_line_goes_on(database: str) -> None:
    async with lines_to(database) as lines:
        with Onlooker(database) as onlooker:
            task, pid = await begun(one(lines, SLOW, []), onlooker, SLOW)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: not onlooker.running(SLOW))
            assert await one(lines, WHO, []) == str(pid).encode()


async def test_a_caller_that_is_cancelled_while_it_waits_takes_no_line(database: str) -> None:
    async with lines_to(database) as lines:
        with Onlooker(database) as onlooker:
            slow, _ = await begun(one(lines, SLOW, []), onlooker, SLOW)
            waiting = asyncio.ensure_future(one(lines, WHO, []))
            await asyncio.sleep(0)
            for each in (waiting, slow):
                each.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await each
            assert await one(lines, WHO, [])


async def test_a_line_is_not_lost_on_one_who_leaves_just_as_it_is_handed_over(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lines_to(database) as lines:
        first, leaving, staying = (asyncio.ensure_future(one(lines, WHO, [])) for _ in range(3))
        await asyncio.sleep(0)
        assert len(lines._waiting) == 2
        hand_over = lines._give_back

        def hand_over_to_one_who_leaves(line: Line | None) -> None:
            hand_over(line)
            leaving.cancel()  # it has its line, and has not heard of it yet

        monkeypatch.setattr(lines, "_give_back", hand_over_to_one_who_leaves)
        assert await first == await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving


async def test_a_line_that_broke_under_a_statement_is_replaced(database: str) -> None:
    async with lines_to(database) as lines:
        with Onlooker(database) as onlooker:
            task, pid = await begun(one(lines, SLOW, []), onlooker, SLOW)
            onlooker.terminate(pid)
            with pytest.raises(psycopg.OperationalError):
                await task
            assert await one(lines, WHO, []) != str(pid).encode()


async def test_a_line_that_broke_while_idle_is_replaced_before_anybody_uses_it(database: str) -> None:
    async with lines_to(database) as lines:
        pid = await one(lines, WHO, [])
        assert pid is not None
        with Onlooker(database) as onlooker:
            onlooker.terminate(int(pid))
        [line] = lines._free
        assert line is not None
        await until(lambda: not line.works)
        assert await one(lines, WHO, []) != pid


async def test_an_error_leaves_the_line_as_it_was(database: str) -> None:
    async with lines_to(database) as lines:
        pid = await one(lines, WHO, [])
        for _ in range(3):  # at first sight, while it is prepared, prepared
            with pytest.raises(psycopg.DataError):
                await one(lines, "select $1::integer::text", [b"x"])
            with pytest.raises(psycopg.ProgrammingError):
                await one(lines, "select nonsense", [])
        assert await one(lines, "select $1::integer::text", [b"7"]) == b"7"
        assert await one(lines, WHO, []) == pid


async def test_what_is_null_or_no_row_is_none(database: str) -> None:
    async with lines_to(database) as lines:
        for _ in range(3):
            assert await one(lines, "select $1::text", [None]) is None
            assert await one(lines, "select 'x' where false", []) is None


async def test_prepared_statements_are_bounded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PREPARED", 3)
    often, count = "select 'often'", "select count(*)::text from pg_prepared_statements where from_sql is false"
    async with lines_to(database) as lines:
        for n in range(10):
            for _ in range(2):
                assert await one(lines, f"select '{n}'", []) == str(n).encode()
                assert await one(lines, often, []) == b"often"
        assert int(await one(lines, count, []) or 0) <= 3
        names = "select string_agg(statement, '|') from pg_prepared_statements"
        assert often.encode() in (await one(lines, names, []) or b"")


async def test_the_text_of_prepared_statements_is_bounded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred large ones, planned, took a quarter of a gigabyte of PostgreSQL's memory, for each line."""
    monkeypatch.setattr(module, "MOST_TEXT", 1_000)
    kept = "select sum(length(statement))::text from pg_prepared_statements"
    async with lines_to(database) as lines:
        for n in [*range(20), 3_000]:
            for _ in range(2):
                assert await one(lines, f"select '{n:0100}'", []) == f"{n:0100}".encode()
            assert int(await one(lines, kept, []) or 0) <= 1_000
        assert int(await one(lines, kept, []) or 0) > 800
        for _ in range(3):  # one that is larger than all of them may be
            assert await one(lines, f"select '{1:02000}'", []) == f"{1:02000}".encode()
        assert await one(lines, "select 'after'", []) == b"after"


async def test_who_leaves_while_a_statement_is_prepared_leaves_none_behind(database: str) -> None:
    count = "select count(*)::text from pg_prepared_statements"
    async with lines_to(database) as lines:
        pid = await one(lines, WHO, [])
        for n in range(20):
            await one(lines, f"select '{n}'", [])
            leaving = asyncio.ensure_future(one(lines, f"select '{n}'", []))
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
        assert int(await one(lines, count, []) or 0) <= 1
        assert await one(lines, WHO, []) == pid


async def test_a_statement_that_comes_once_is_not_prepared(database: str) -> None:
    async with lines_to(database) as lines:
        for n in range(5):
            await one(lines, f"select '{n}'", [])
        assert await one(lines, "select count(*)::text from pg_prepared_statements", []) == b"0"


async def test_what_is_kept_is_planned_once_for_all_parameters_the_rest_for_its_own(database: str) -> None:
    """Left to itself, PostgreSQL plans a statement for its parameters five times at least."""
    mode = "select current_setting('plan_cache_mode') || $1::text"
    plans = "select generic_plans || ' ' || custom_plans from pg_prepared_statements where statement = $1::text"
    async with lines_to(database) as lines:
        for n in range(4):
            assert await lines.fetch(mode, [b"%d" % n], anew=True) == [b"force_custom_plan%d" % n]
            assert await one(lines, mode, [b"%d" % n]) == b"force_generic_plan%d" % n
        assert await one(lines, plans, [mode.encode()]) == b"3 0"  # at first sight it is not kept


async def test_who_is_cancelled_before_its_statement_leaves_no_doubt_how_the_next_is_planned(database: str) -> None:
    mode = "select current_setting('plan_cache_mode')"
    async with lines_to(database) as lines:
        await one(lines, WHO, [])
        cancelled = asyncio.ensure_future(lines.fetch(SLOW, [], anew=True))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await one(lines, mode, []) == b"force_generic_plan"
        assert await lines.fetch(mode, [], anew=True) == [b"force_custom_plan"]


async def test_more_than_a_socket_takes_at_once_goes_there_and_back(database: str) -> None:
    text = ("Ünïcode 漢字 " * 700_000).encode()
    async with lines_to(database) as lines:
        for _ in range(3):
            assert await one(lines, "select $1::text", [text]) == text


async def test_many_wait_in_turn_for_few_lines(database: str) -> None:
    async with lines_to(database, size=2) as lines:
        answers = await asyncio.gather(*(one(lines, "select $1::text", [b"%d" % n]) for n in range(200)))
        assert answers == [b"%d" % n for n in range(200)]
        assert len(set(await asyncio.gather(*(one(lines, WHO, []) for _ in range(50))))) <= 2


async def test_who_waits_too_long_is_told(database: str) -> None:
    async with lines_to(database, seconds=0.2) as lines:
        slow = asyncio.ensure_future(one(lines, "select pg_sleep(0.19)::text", []))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(one(lines, "select pg_sleep(0.19)::text", [])) for _ in range(4)]
        with pytest.raises(PoolTimeout):
            await asyncio.gather(*waiting)
        await asyncio.gather(slow, *waiting, return_exceptions=True)


@pytest.mark.parametrize("texts", [[], [""], ["a", 'with "quotes"', "and \\ a {brace, comma}", "NULL", "\n\t ü漢"]])
async def test_a_list_of_texts_arrives_as_it_was_sent(database: str, texts: list[str]) -> None:
    plan = Plan("select array_to_json($1::text[])::text", (), ((0, lambda given: given["texts"]),))
    parameters = plan.parameters(VariableValues({}, {}), {"texts": texts})
    async with lines_to(database) as lines:
        assert msgspec.json.decode(await one(lines, plan.sql, parameters) or b"") == texts


async def test_a_server_that_says_nothing_is_given_up_and_the_line_replaced(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reading.lines.LONGEST_SILENCE", 0.3)
    async with lines_to(database) as lines:
        assert await one(lines, "SELECT 'before'", []) == b"before"
        with pytest.raises(OperationalError, match="does not answer"):
            await one(lines, "SELECT pg_sleep(60)::text", [])
        assert await one(lines, "SELECT 'after'", []) == b"after"
