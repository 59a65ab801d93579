"""Holding a process up where it takes a lock: for a while, or until it kills itself in the middle of a statement."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import sleep
from typing import Any, LiteralString

import psycopg

from infra.append import APPEND_LOCK

_WAITS = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'daybook projections' AND wait_event_type = 'Lock'
"""


def die_in_the_next_statement(conninfo: str) -> None:
    """SIGKILL for this process, as soon as a statement of its projections waits for the lease's row.

    The row is let go by the process's death; what the server then makes of the statement is its own affair.
    """
    holder: psycopg.Connection[Any] = psycopg.connect(conninfo)
    holder.execute("SELECT FROM daybook_projections.lease FOR UPDATE")

    def die() -> None:
        with psycopg.connect(conninfo, autocommit=True) as db:
            while db.execute(_WAITS).fetchone() is None:
                sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)
        holder.close()  # never reached: the thread keeps the connection open until then

    threading.Thread(target=die, daemon=True).start()


POINTS: Mapping[str, tuple[LiteralString, LiteralString]] = {
    "it is decided": ("LOCK TABLE daybook.events IN ACCESS EXCLUSIVE MODE", "%daybook.events%WHERE originator_id%"),
    "it is appended": ("SELECT pg_advisory_xact_lock(%(append)s)", "%pg_advisory_xact_lock%"),
    "it is posted": ("LOCK TABLE daybook_read.customers IN ACCESS EXCLUSIVE MODE", "%daybook_read%customers%"),
}
"""While what of a customer's command: the lock that stands in the way, and which statement then waits for it."""


@contextmanager
def held(conninfo: str, point: str) -> Iterator[Callable[[], bool]]:
    """While the block lasts, commands stop at this one of the POINTS; tells whether one has come there."""
    lock, statement = POINTS[point]
    with psycopg.connect(conninfo) as holder, psycopg.connect(conninfo, autocommit=True) as watcher:
        holder.execute(lock, {"append": APPEND_LOCK})

        def waits() -> bool:
            asked = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            return watcher.execute(asked + " AND query LIKE %s", (statement,)).fetchone() is not None

        yield waits
