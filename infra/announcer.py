"""Tells other processes that the book grew: a NOTIFY of its own, after the commit, many appends to one notice."""

import threading
from collections.abc import Callable

import psycopg

APPENDED = "daybook_appended"
"""The channel on which appends are announced. A notice may be lost: listeners poll with a bound beside it."""


class Announcer:
    """Sends notices from a thread of its own; `announce` never blocks."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._also: list[Callable[[], None]] = []
        self.pid: int | None = None
        """PostgreSQL's process that sends the notices: a listener that is called already can tell them from others'."""
        self._wanted, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
        self._thread.start()

    def announce(self) -> None:
        for wake in self._also:
            wake()
        self._wanted.set()

    def also(self, wake: Callable[[], None]) -> None:
        """Call this at each announcement too: a listener in this process need not wait for the notice.

        It is called by the committer, so it must neither block nor raise.
        """
        self._also.append(wake)

    def close(self) -> None:
        self._closing.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True, application_name="daybook announcer") as db:
                    # A notice needs no flush to disk: whoever misses it polls.
                    db.execute("SET synchronous_commit = off")
                    self.pid = db.info.backend_pid
                    self._send(db)
            except psycopg.Error:
                self._closing.wait(1.0)

    def _send(self, db: psycopg.Connection[tuple[object, ...]]) -> None:
        while self._wanted.wait() and not self._closing.is_set():
            self._wanted.clear()
            db.execute(f"NOTIFY {APPENDED}")
