"""A tailing reader of the book, by raw SQL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


class Tail:
    """Reads the book as a tailing reader does: what stands above the last position seen. Notices whatever it skips."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo, self._closing = conninfo, threading.Event()
        self.position, self.looks = 0, 0
        self.complaints: list[str] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="tail", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._closing.set()
            thread.join()
        assert not self.complaints, "\n".join(self.complaints)

    def _run(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as db:
            while not self._closing.is_set() and not self.complaints:
                rows = db.execute(
                    "SELECT position FROM daybook.events WHERE position > %s ORDER BY position", (self.position,)
                ).fetchall()
                found = [position for (position,) in rows]
                expected = list(range(self.position + 1, self.position + 1 + len(found)))
                if found != expected:
                    self.complaints.append(f"above position {self.position} stand {found}")
                self.position += len(found)
                self.looks += 1
                self._closing.wait(0.005)
