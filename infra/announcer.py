"""Tells who posts the book to the read models that it grew: by a call where that is this process, else by a NOTIFY.

The call hands over what was committed. The notice is a statement of its own, after the commit; many appends share one.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

import psycopg

from infra.entries import StoredEntry
from infra.exchange import Asked, Exchange
from infra.silence import Connection

Committed: TypeAlias = Callable[[], Sequence[StoredEntry]]
"""What a transaction has committed to the book; made for those who want it."""

APPENDED = "daybook_appended"
"""The channel on which appends are announced. A notice may be lost: listeners poll with a bound beside it."""


class Announcer:
    """Sends notices from a thread of its own; `announce` never blocks."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._also: list[Callable[[Sequence[StoredEntry]], None]] = []
        self.heard_here = False
        """Whether who listens is in this process, and called: then nobody is sent a notice."""
        self._wanted, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
        self._thread.start()

    def announce(self, committed: Committed) -> None:
        entries = committed() if self.heard_here else ()
        for wake in self._also:
            wake(entries)
        if not self.heard_here:
            self._wanted.set()

    def also(self, wake: Callable[[Sequence[StoredEntry]], None]) -> None:
        """Call this at each announcement too, with the entries where the listener is in this process: it need not wait
        for the notice, nor read them.

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
                with Connection.connect(self._conninfo, autocommit=True, application_name="daybook announcer") as db:
                    # A notice needs no flush to disk: whoever misses it polls.
                    db.execute("SET synchronous_commit = off")
                    self._send(db)
            except psycopg.Error:
                self._closing.wait(1.0)

    def _send(self, db: psycopg.Connection[tuple[object, ...]]) -> None:
        exchange, notice = Exchange(db), Asked(b"NOTIFY %b" % APPENDED.encode())
        while self._wanted.wait() and not self._closing.is_set():
            self._wanted.clear()
            exchange.run(notice)
