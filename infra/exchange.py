"""Several statements in one round trip: libpq's own pipeline, over statements that a connection prepares once.

psycopg's pipeline sends each statement alone, and asks for the interpreter lock again before and after each.
"""

import select
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from psycopg import Connection, OperationalError, pq
from psycopg.errors import error_from_result

Asked: TypeAlias = tuple[str, Sequence[bytes]]
"""A prepared statement's name, and its parameters in PostgreSQL's text."""

LONGEST_SILENCE = 45.0
"""Seconds after which a server that says nothing is taken for gone: longer than anybody waits for the append lock.

A session may be stuck while its connection stays open: no other sign of it ever comes.
"""
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_ENDS = (pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.PIPELINE_ABORTED)


class Exchange:
    """A connection that is spoken to in prepared statements only, from then on; ours alone, by one thread."""

    def __init__(self, connection: Connection[Any], statements: Mapping[str, str]) -> None:
        """`statements`: their SQL by name. Raises psycopg's errors."""
        self._connection, self._pg = connection, connection.pgconn
        self._pg.enter_pipeline_mode()
        self._socket = select.poll()
        for name, sql in statements.items():
            self._pg.send_prepare(name.encode(), sql.encode())
        self._answers()

    def run(self, *asked: Asked) -> list[pq.abc.PGresult]:
        """Run statements one after another; their results. Where one fails, none after it is run.

        Each sees what was committed before it began. Raises psycopg's errors.
        """
        for name, parameters in asked:
            self._pg.send_query_prepared(name.encode(), parameters)
        return self._answers()

    def close(self) -> None:
        """Close the connection, and with it a transaction that is open."""
        self._connection.close()

    def _answers(self) -> list[pq.abc.PGresult]:
        self._pg.pipeline_sync()
        self._send()
        answers, failed = list[pq.abc.PGresult](), None
        while (result := self._next()).status != pq.ExecStatus.PIPELINE_SYNC:
            if result.status in _GOOD:
                answers.append(result)
            elif failed is None and result.status not in _ENDS:
                failed = result
        if failed is not None:
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
