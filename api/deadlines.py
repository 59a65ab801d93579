"""Deadlines of one length, to which one timer sees: with a timer for each, most of what they cost would be timers."""

import asyncio
import time
from collections.abc import Callable

_GRAIN = 0.001
"""Seconds that one may be early: the loop's timers are no finer."""


class Deadlines:
    """Calls those who have waited for too long. For one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[Callable[[], None], float] = {}
        """By what is called then; as all wait equally long, the first one is the next one."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, late: Callable[[], None]) -> None:
        """Have `late` called in so many seconds, once; it does not wait already."""
        self._due[late] = time.monotonic() + self._seconds
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def end(self, late: Callable[[], None]) -> None:
        """Have it not called any more; it may have been."""
        self._due.pop(late, None)

    def close(self) -> None:
        """Call nobody any more, and let go of the timer."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer, now = None, time.monotonic() + _GRAIN
        while self._due:
            late, due = next(iter(self._due.items()))
            if due > now:
                self._timer = asyncio.get_running_loop().call_later(due - now, self._look)
                return
            del self._due[late]
            late()
