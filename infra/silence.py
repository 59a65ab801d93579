"""Connections of psycopg's that do not wait for ever: a server that says nothing is taken for gone.

A session may be stuck while its connection stays open, or something on the way may keep a connection open whose other
end is lost: no other sign of it ever comes. Where statements go in libpq's own words, `infra/exchange.py` and
`api/reading/lines.py` see to it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import OperationalError, pq
from psycopg.abc import PQGen

RV = TypeVar("RV")

LONGEST_SILENCE = 45.0
"""Seconds after which a server that says nothing is taken for gone: longer than anybody waits for the append lock."""
SILENT = "PostgreSQL does not answer"
_INTERVAL = 0.1
"""Seconds between two looks for a signal; psycopg's own."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """Closed, with OperationalError, where the server says nothing for too long."""

    hurried = True

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:
        try:
            longest = LONGEST_SILENCE if timeout is None and self.hurried else timeout
            return super().wait(gen, interval, longest)
        except OperationalError:
            if timeout is None and _owes_an_answer(self.pgconn):
                self.close()  # or a rollback would wait as long
                raise OperationalError(SILENT) from None
            raise


class AsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """The same in an event loop."""

    async def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:  # noqa: ASYNC109
        try:
            return await super().wait(gen, interval, LONGEST_SILENCE if timeout is None else timeout)
        except OperationalError:
            if timeout is None and _owes_an_answer(self.pgconn):
                await self.close()
                raise OperationalError(SILENT) from None
            raise


@contextmanager
def unhurried(db: psycopg.Connection[Any]) -> Generator[None]:
    """What is asked in the block reads the whole book, and may take as long as that takes."""
    if not isinstance(db, Connection):
        yield
        return
    db.hurried = False
    try:
        yield
    finally:
        db.hurried = True


def _owes_an_answer(connection: pq.abc.PGconn) -> bool:
    return connection.transaction_status == pq.TransactionStatus.ACTIVE
