"""Forgetting: a key that was destroyed, by whichever process, is in no other process's memory half a second later."""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout

from infra.beside import beside
from infra.vault import Vault

POLL = 0.25
"""Seconds between two looks for keys that were destroyed."""

_log = logging.getLogger("daybook.erasure")

Pool = ConnectionPool[Connection[tuple[Any, ...]]]

_DESTROYED = """
    SELECT subject, destroyed_at FROM daybook_keys.subjects
    WHERE wrapped IS NULL AND destroyed_at >= %s ORDER BY destroyed_at
"""


class Forgetting:
    """What one process knows of destroyed keys."""

    def __init__(self, pool: Pool, vault: Vault, forget: Callable[[], None]) -> None:
        """`forget`: whatever else may hold what such a key had sealed."""
        self._pool, self._vault, self._forget = pool, vault, [forget]
        self._known: set[UUID] = set()
        self._since = datetime.min.replace(tzinfo=UTC)

    def also(self, forget: Callable[[], None]) -> None:
        """Call this after the others too. It must neither block nor raise."""
        self._forget.append(forget)

    def look(self) -> None:
        with self._pool.connection() as db:
            rows: list[tuple[UUID, datetime]] = db.execute(_DESTROYED, (self._since,), prepare=True).fetchall()
        if rows:
            self._since = rows[-1][1]
            if news := {subject for subject, _ in rows} - self._known:
                self._known |= news
                self._vault.destroyed(news)
                for forget in self._forget:
                    forget()


@contextmanager
def forgetting(pool: Pool, vault: Vault, forget: Callable[[], None]) -> Generator[Forgetting]:
    """While the block lasts, a thread looks; before it begins, what was destroyed so far is known."""
    one = Forgetting(pool, vault, forget)
    one.look()
    with beside("forgetting", partial(_run, one), patience=None):
        yield one


def _run(one: Forgetting, stopping: threading.Event) -> None:
    while not stopping.wait(POLL):
        try:
            one.look()
        except (psycopg.Error, PoolTimeout) as error:
            # Without the database there is nothing to open either.
            _log.warning("No look for destroyed keys, because of the database: %s", type(error).__name__)
