"""Statements in libpq's own words: prepared once on a connection, and several of them in one round trip.

psycopg's pipeline sends each statement alone, and asks for the interpreter lock again before and after each. What it
does around a statement, whatever that may be, also costs more than to send one of an append or of a posting.
"""

import asyncio
import select
from collections.abc import Callable, Generator, Sequence
from datetime import timedelta
from itertools import compress, count
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from psycopg import Connection, DataError, OperationalError, pq
from psycopg.adapt import Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result

from domain.steps import Step
from infra.silence import LONGEST_SILENCE, SILENT
from infra.times import hold_times

MOST_PREPARED = 1_000
"""Statements that a connection keeps prepared; those beyond are planned each time."""
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_ENDS = (pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.PIPELINE_ABORTED)


_Row = TypeVar("_Row")


Talk: TypeAlias = Generator[int, None, list[pq.abc.PGresult]]
"""What is said to the server and heard from it: waits for each of these events of its socket, and gives the results."""
Value: TypeAlias = int | str | bytes | timedelta | list[int] | list[str]


def in_text(*values: Value) -> list[bytes]:
    """Values as PostgreSQL's text of them; bytes are taken for such a text already."""
    return [*map(_in_text, values)]


def _in_text(value: Value) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            return value.encode()
        case int():
            return b"%d" % value
        case timedelta():
            return b"%d microseconds" % (value // timedelta(microseconds=1))
        case list():
            return b"{%b}" % b",".join(map(_quoted, map(_in_text, value)))


def _quoted(element: bytes) -> bytes:
    return b'"%b"' % element.replace(b"\\", rb"\\").replace(b'"', rb"\"")


class Asked(NamedTuple):
    """A statement, with $1 for its first parameter; the parameters are PostgreSQL's text."""

    sql: bytes
    parameters: Sequence[bytes] = ()
    comes_again: bool = True
    """So that it is worth keeping prepared."""


class Exchange:
    """A connection spoken to in prepared statements, by one at a time, who may use psycopg in between."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection, self._pg = connection, connection.pgconn
        self._transformer = Transformer(connection)
        self._prepared: dict[bytes, bytes] = {}
        """The names of what was prepared, by its SQL. A second Exchange on one connection would give them again."""
        self._numbers = count(1)

    def run(self, *asked: Asked, binary: bool = False) -> list[pq.abc.PGresult]:
        """Run statements one after another; their results, as text or binary. Where one fails, none after it is run.

        Each sees what was committed before it began. Raises psycopg's errors.
        """
        return self.ask(*asked, binary=binary).wait()

    def ask(self, *asked: Asked, binary: bool = False) -> Step[list[pq.abc.PGresult]]:
        """The same as a step."""
        return _RoundTrip(self._pg.socket, self._talk(asked, binary=binary))

    def rows(self, result: pq.abc.PGresult, make: Callable[[Sequence[Any]], _Row]) -> list[_Row]:
        """The rows of a result, as psycopg reads their columns, and each time that is out of reach too."""
        self._transformer.set_pgresult(result)
        try:
            return self._transformer.load_rows(0, result.ntuples, make)
        except DataError:  # a time out of reach: to read all of them so takes longer, and hardly any book has one
            hold_times(self.connection)
            self._transformer = Transformer(self.connection)
            self._transformer.set_pgresult(result)
            return self._transformer.load_rows(0, result.ntuples, make)

    def is_free(self) -> bool:
        """Whether the connection is there, and all that was asked is answered."""
        return self._pg.status == pq.ConnStatus.OK and self._pg.pipeline_status == pq.PipelineStatus.OFF

    def close(self) -> None:
        """Close the connection, and with it a transaction that is open."""
        self.connection.close()

    def _talk(self, asked: Sequence[Asked], *, binary: bool) -> Talk:
        new, wanted = dict[bytes, bytes](), list[bool]()
        self._pg.enter_pipeline_mode()
        for sql, parameters, comes_again in asked:
            name = self._prepared.get(sql) or new.get(sql)
            if name is None:
                name = b""
                if comes_again and len(self._prepared) < MOST_PREPARED:
                    name = new[sql] = b"exchanged %d" % next(self._numbers)
                self._pg.send_prepare(name, sql)
                wanted.append(False)
            self._pg.send_query_prepared(name, parameters, result_format=pq.Format(binary))
            wanted.append(True)
        self._pg.pipeline_sync()
        yield from self._send()
        answers = yield from self._answers()
        self._pg.exit_pipeline_mode()
        self._prepared |= new
        return [*compress(answers, wanted)]

    def _send(self) -> Generator[int, None, None]:
        """Send what was asked; the answers to its first part are taken in meanwhile, or both sides would wait."""
        while self._pg.flush():
            yield select.POLLIN | select.POLLOUT
            self._pg.consume_input()

    def _answers(self) -> Talk:
        answers, failed = list[pq.abc.PGresult](), None
        while (result := (yield from self._next())).status != pq.ExecStatus.PIPELINE_SYNC:
            if result.status in _GOOD:
                answers.append(result)
            elif failed is None and result.status not in _ENDS:
                failed = result
        if failed is not None:
            self._pg.exit_pipeline_mode()
            error = error_from_result(failed)
            if isinstance(error, InvalidSqlStatementName):  # psycopg deallocates all after a rollback
                self._prepared.clear()
            raise error
        return answers

    def _next(self) -> Generator[int, None, pq.abc.PGresult]:
        """The next result; between those of two statements libpq says that there is none. Raises OperationalError."""
        nothing = 0
        while True:
            while self._pg.is_busy():
                yield select.POLLIN
                self._pg.consume_input()
            if (result := self._pg.get_result()) is not None:
                return result
            nothing += 1
            if nothing > 1:
                raise OperationalError("PostgreSQL sent no answer")


class _RoundTrip(Step[list[pq.abc.PGresult]]):
    """Waits for the events of a socket that a talk asks for. Where it raises, the connection is of no more use."""

    def __init__(self, socket: int, talk: Talk) -> None:
        self._socket, self._talk = socket, talk

    def wait(self) -> list[pq.abc.PGresult]:
        ready = select.poll()
        try:
            while True:
                ready.register(self._socket, next(self._talk))
                if not ready.poll(LONGEST_SILENCE * 1000):
                    raise OperationalError(SILENT)
        except StopIteration as done:
            return cast("list[pq.abc.PGresult]", done.value)

    async def follow(self) -> list[pq.abc.PGresult]:
        try:
            while True:
                await self._ready(next(self._talk))
        except StopIteration as done:
            return cast("list[pq.abc.PGresult]", done.value)

    async def _ready(self, events: int) -> None:
        # The socket is watched only while libpq does not have it: libpq closes it as soon as the connection is lost.
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        silence = loop.call_later(LONGEST_SILENCE, _settle, ready, OperationalError(SILENT))
        loop.add_reader(self._socket, _settle, ready)
        if events & select.POLLOUT:
            loop.add_writer(self._socket, _settle, ready)
        try:
            await ready
        finally:
            silence.cancel()
            loop.remove_reader(self._socket)
            if events & select.POLLOUT:
                loop.remove_writer(self._socket)


def _settle(ready: "asyncio.Future[None]", error: OperationalError | None = None) -> None:
    if ready.done():
        return
    if error is None:
        ready.set_result(None)
    else:
        ready.set_exception(error)
