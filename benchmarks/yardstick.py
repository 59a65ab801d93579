"""How fast this machine is just now. Neighbours on the same host slow everything down, CPU time included."""

import os
import statistics
import time
from collections.abc import Callable, Sequence

TURNS = 15
_WITHIN = 1.1
"""Of the fastest: a turn beside a neighbour takes nearly twice as long as one without."""


class Machine:
    """Its pace since the process began. `yardstick`: milliseconds that each core takes now."""

    fastest = float("inf")
    """Milliseconds that any core ever took."""

    def __init__(self, yardstick: Callable[[], Sequence[float]]) -> None:
        self._yardstick = yardstick

    @property
    def limit(self) -> float:
        """Milliseconds; a core that takes longer has not its full pace."""
        return self.fastest * _WITHIN

    def watch(self, seconds: float) -> None:
        """Look for some time, so that it is known what the full pace is."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()

    def look(self) -> float:
        """Milliseconds of the slowest core, just now."""
        each = self._yardstick()
        self.fastest = min(self.fastest, *each)
        return max(each)


def yardstick(turns: int = TURNS) -> Sequence[float]:
    """Milliseconds of CPU, on each core, that a fixed piece of Python takes, which knows nothing of Daybook.

    The median of its turns. Figures of two runs can be compared as far as these are alike.
    """
    # Each core has neighbours of its own. Only the calling thread is pinned, to one after the other.
    cores = os.sched_getaffinity(0)
    try:
        return [_on(core, turns) for core in sorted(cores)]
    finally:
        os.sched_setaffinity(0, cores)


def _on(core: int, turns: int) -> float:
    os.sched_setaffinity(0, {core})
    return 1000 * statistics.median(_turn() for _ in range(turns))


def _turn() -> float:
    began, kept = time.thread_time(), dict[int, str]()
    for number in range(60_000):
        kept[number % 997] = f"{number}x"
    return time.thread_time() - began
