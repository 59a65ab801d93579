"""Dying in the middle of a statement: it is held up at a row lock, and the process kills itself once it waits there."""

import os
import signal
import threading
from time import sleep
from typing import Any

import psycopg

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
