"""Lines to PostgreSQL: psycopg's connections, over which one prepared statement after another fetches one row.

psycopg's pool makes and replaces them; here they are kept at hand, and spoken to through psycopg's own view of libpq.
Its cursors and its checkout take as much CPU as all else that a small query needs: docs/adr/0019.
"""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self, TypeAlias

from psycopg import AsyncConnection, Error, OperationalError, pq
from psycopg.errors import error_from_result
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from api.deadlines import Deadlines

Connections: TypeAlias = AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]

Row: TypeAlias = list[bytes | None]

MOST_PREPARED = 100
"""Statements that PostgreSQL keeps prepared for one line."""
MOST_TEXT = 250_000
"""Bytes of SQL that they have together: once it is planned, each takes a hundred of PostgreSQL's memory."""
LONGEST_SILENCE = 15.0
"""Seconds after which a server that says nothing is taken for gone: longer than it may take for a statement."""
_CANCELLING = 5.0
"""Seconds that PostgreSQL gets to give up what nobody waits for any more."""
_BINARY = 1
"""Of a text: its bytes in UTF-8, as they are."""
_IDLE, _GOOD = int(pq.TransactionStatus.IDLE), (int(pq.ExecStatus.TUPLES_OK), int(pq.ExecStatus.COMMAND_OK))
"""As libpq says them: looking an enumeration's member up and comparing it takes longer than asking libpq."""


class Lines:
    """As many lines as the pool may have connections; who finds none free waits in turn. For one event loop."""

    def __init__(self, pool: Connections) -> None:
        """`pool`: not open yet; ours alone."""
        self._pool = pool
        self._free: list[Line | None] = [None] * pool.max_size
        """Lines that nobody uses; None in the place of one that is still to be made."""
        self._waiting = deque[asyncio.Future[Line | None]]()
        self._silences = Deadlines(LONGEST_SILENCE)
        self._mending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        """Hang up, and close the pool."""
        if self._mending:
            await asyncio.wait(self._mending)
        for line in self._free:
            if line is not None:
                await self._pool.putconn(line.hung_up())
        self._silences.close()
        await self._pool.close()

    async def fetch(self, sql: str, parameters: Sequence[bytes | None], *, anew: bool = False) -> Row:
        """The values of a statement's one row; one that is None where there is no row.

        `anew`: it is planned for its parameters each time, not prepared. All others are planned once, for whichever.

        Where the caller is cancelled, so is the statement. Raises PoolTimeout where no line gets free in time, and
        psycopg's errors.
        """
        line = self._free.pop() if self._free else await self._turn()
        if line is None or not line.works:
            line = await self._made(line)
        try:
            return await line.fetch(sql, parameters, anew=anew)
        finally:
            if line.works:
                self._give_back(line)
            else:
                # Nobody waits for this: the caller may be cancelled, and cancelled again.
                mending = asyncio.create_task(self._mend(line))
                self._mending.add(mending)
                mending.add_done_callback(self._mending.discard)

    async def _turn(self) -> "Line | None":
        """The line, or its place, that gets free after all who wait already have theirs."""
        waiting: asyncio.Future[Line | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(self._pool.timeout):
                return await waiting
        except BaseException as error:
            if waiting.done() and not waiting.cancelled():
                self._give_back(waiting.result())  # given to one who was just then leaving
            if isinstance(error, TimeoutError):
                raise PoolTimeout(f"no line got free within {self._pool.timeout} s") from None
            raise

    def _give_back(self, line: "Line | None") -> None:
        """To the first who waits for it, if anybody does."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(line)
                return
        self._free.append(line)

    async def _made(self, lost: "Line | None") -> "Line":
        """A line for a place that has none, or one that was lost."""
        try:
            if lost is not None:
                await self._pool.putconn(lost.hung_up())
            connection = await self._pool.getconn()
            try:
                return Line(connection, self._silences)
            except OperationalError:  # it was lost meanwhile
                await self._pool.putconn(connection)
                raise
        except BaseException:
            self._give_back(None)
            raise

    async def _mend(self, line: "Line") -> None:
        """End the statement that nobody waits for any more; the pool replaces a line that is past mending."""
        mended = None
        try:
            await line.cancel()
            if line.works:
                mended = line
            else:
                await self._pool.putconn(line.hung_up())
        finally:
            self._give_back(mended)


def _settled(writable: asyncio.Future[None]) -> None:
    if not writable.done():
        writable.set_result(None)


class Line:
    """One connection, which the event loop watches as long as it is ours."""

    def __init__(self, connection: AsyncConnection[tuple[Any, ...]], silences: Deadlines) -> None:
        """`silences`: what PostgreSQL may say nothing for."""
        self._connection, self._pg, self._silences = connection, connection.pgconn, silences
        # A descriptor of our own: libpq closes its one as soon as a connection is lost, and who connects next gets the
        # same number, whose events we would then put an end to.
        self._loop, self._socket = asyncio.get_running_loop(), os.dup(connection.pgconn.socket)
        self._answer: asyncio.Future[pq.abc.PGresult | None] | None = None
        self._result: pq.abc.PGresult | None = None
        self._statements: OrderedDict[str, bytes] = OrderedDict()
        """By their text, the names of those that are prepared; b"" where one ran once."""
        self._text = 0
        """Bytes of SQL that are prepared."""
        self._certain = True
        """Whether those are prepared and no others: who leaves while one is prepared, or given up, does not hear."""
        self._number = 0
        self._plans: str | None = None
        """The plan_cache_mode that was set last; None where it is not known."""
        self._loop.add_reader(self._socket, self._receive)

    @property
    def works(self) -> bool:
        """Whether it is connected, PostgreSQL owes it no answer, and it knows what is prepared."""
        return self._pg.transaction_status == _IDLE and self._certain

    def hung_up(self) -> AsyncConnection[tuple[Any, ...]]:
        """The connection, ours no more; closed where it does not work."""
        self._loop.remove_reader(self._socket)
        os.close(self._socket)
        if not self.works:
            self._pg.finish()
        return self._connection

    async def fetch(self, sql: str, parameters: Sequence[bytes | None], *, anew: bool) -> Row:
        """As `Lines.fetch`. A statement is prepared where it comes a second time: many come once."""
        # Left to itself, PostgreSQL takes a page for a tenth of its table, and plans each list of a large one anew.
        if self._plans != (mode := "force_custom_plan" if anew else "force_generic_plan"):
            await self._plan_by(mode)
        if anew or (name := self._statements.get(sql)) is None:
            if not anew:
                self._statements[sql] = b""
            self._pg.send_query_params(sql.encode(), parameters, result_format=_BINARY)
        else:
            if not name:
                name = await self._prepared(sql)
            self._statements.move_to_end(sql)
            self._pg.send_query_prepared(name, parameters, result_format=_BINARY)
        result = await self._answered()
        row: Row = [result.get_value(0, at) for at in range(result.nfields)] if result.ntuples else [None]
        if len(self._statements) > MOST_PREPARED or self._text > MOST_TEXT:
            await self._forget_oldest()
        return row

    async def cancel(self) -> None:
        """Have PostgreSQL give up the statement under way, and hear that it has; where it does not, never mind."""
        with suppress(Error, TimeoutError):  # `works` says how it went
            async with asyncio.timeout(_CANCELLING):
                await self._connection.cancel_safe(timeout=_CANCELLING)
                await self._answered()
        if not self._certain and self._pg.transaction_status == _IDLE:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(_CANCELLING):
                    await self._forget_all()

    async def _plan_by(self, mode: str) -> None:
        self._plans = None
        self._pg.send_query(b"SET plan_cache_mode = " + mode.encode())
        await self._answered()
        self._plans = mode

    async def _prepared(self, sql: str) -> bytes:
        self._number += 1
        name, text = b"read %d" % self._number, sql.encode()
        self._certain = False
        self._pg.send_prepare(name, text)
        try:
            await self._answered()
        except Error:  # it is not
            self._certain = True
            raise
        self._statements[sql], self._certain = name, True
        self._text += len(text)
        return name

    async def _forget_oldest(self) -> None:
        gone = list[bytes]()
        while len(self._statements) > MOST_PREPARED or self._text > MOST_TEXT:
            sql, name = self._statements.popitem(last=False)
            if name:
                self._text -= len(sql.encode())
                gone.append(b'DEALLOCATE "' + name + b'"')
        if gone:
            self._certain = False
            self._pg.send_query(b"; ".join(gone))
            await self._answered()
            self._certain = True

    async def _forget_all(self) -> None:
        self._pg.send_query(b"DEALLOCATE ALL")
        await self._answered()
        self._statements.clear()
        self._text, self._certain = 0, True

    async def _answered(self) -> pq.abc.PGresult:
        """The result of what was sent last. Raises psycopg's errors."""
        self._answer = self._loop.create_future()
        self._silences.begin(self._give_up)
        try:
            while self._pg.flush():
                await self._writable()  # it was more than the socket takes at once
            self._collect()
            result = await self._answer
        finally:
            self._silences.end(self._give_up)
            self._answer = None
        if result is None:
            raise OperationalError("PostgreSQL sent no answer")
        if result.status not in _GOOD:
            raise error_from_result(result)
        return result

    async def _writable(self) -> None:
        writable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._socket, _settled, writable)
        try:
            await writable
        finally:
            self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        """The socket has something to read: an answer, a piece of one, or the end of the connection."""
        try:
            self._pg.consume_input()
        except OperationalError as error:
            self._loop.remove_reader(self._socket)
            self._fail(error)
            return
        self._collect()

    def _give_up(self) -> None:
        self._fail(OperationalError("PostgreSQL does not answer"))

    def _fail(self, error: OperationalError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _collect(self) -> None:
        """Take the results that are complete; after the last one, that is the answer."""
        while self._answer is not None and not self._answer.done() and not self._pg.is_busy():
            result = self._pg.get_result()
            if result is None:
                self._answer.set_result(self._result)
                self._result = None
            else:
                self._result = result
