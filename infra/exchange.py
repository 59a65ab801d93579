"""Statements in libpq's own words: prepared once on a connection, and several of them in one round trip.

psycopg's pipeline sends each statement alone, and asks for the interpreter lock again before and after each. What it
does around a statement, whatever that may be, also costs more than to send one of an append or of a posting.
"""

import select
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import compress, count
from typing import Any, NamedTuple, TypeAlias, TypeVar

from psycopg import Connection, OperationalError, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

LONGEST_SILENCE = 45.0
"""Seconds after which a server that says nothing is taken for gone: longer than anybody waits for the append lock.

A session may be stuck while its connection stays open: no other sign of it ever comes.
"""
MOST_PREPARED = 1_000
"""Statements that a connection keeps prepared; those beyond are planned each time."""
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_ENDS = (pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.PIPELINE_ABORTED)


_Row = TypeVar("_Row")


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
    """A connection spoken to in prepared statements, by one thread at a time, which may use psycopg in between."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection, self._pg = connection, connection.pgconn
        self._transformer = Transformer(connection)
        self._prepared: dict[bytes, bytes] = {}
        """The names of what was prepared, by its SQL. A second Exchange on one connection would give them again."""
        self._numbers = count(1)
        self._socket = select.poll()

    def run(self, *asked: Asked, binary: bool = False) -> list[pq.abc.PGresult]:
        """Run statements one after another; their results, as text or binary. Where one fails, none after it is run.

        Each sees what was committed before it began. Raises psycopg's errors.
        """
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
        answers = self._answers()
        self._pg.exit_pipeline_mode()
        self._prepared |= new
        return [*compress(answers, wanted)]

    def rows(self, result: pq.abc.PGresult, make: Callable[[Sequence[Any]], _Row]) -> list[_Row]:
        """The rows of a result, as psycopg reads their columns."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, make)

    def close(self) -> None:
        """Close the connection, and with it a transaction that is open."""
        self.connection.close()

    def _answers(self) -> list[pq.abc.PGresult]:
        self._send()
        answers, failed = list[pq.abc.PGresult](), None
        while (result := self._next()).status != pq.ExecStatus.PIPELINE_SYNC:
            if result.status in _GOOD:
                answers.append(result)
            elif failed is None and result.status not in _ENDS:
                failed = result
        if failed is not None:
            self._pg.exit_pipeline_mode()
            raise error_from_result(failed)
        return answers

    def _send(self) -> None:
        """Send what was asked; the answers to its first part are taken in meanwhile, or both sides would wait."""
        while self._pg.flush():
            self._wait(select.POLLIN | select.POLLOUT)

    def _next(self) -> pq.abc.PGresult:
        """The next result; between those of two statements libpq says that there is none. Raises OperationalError."""
        nothing = 0
        while True:
            while self._pg.is_busy():
                self._wait(select.POLLIN)
            if (result := self._pg.get_result()) is not None:
                return result
            nothing += 1
            if nothing > 1:
                raise OperationalError("PostgreSQL sent no answer")

    def _wait(self, events: int) -> None:
        self._socket.register(self._pg.socket, events)
        ready = self._socket.poll(LONGEST_SILENCE * 1000)
        if not ready:
            raise OperationalError("PostgreSQL does not answer")
        for _, event in ready:
            if event & ~select.POLLOUT:
                self._pg.consume_input()
