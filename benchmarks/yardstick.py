"""How fast this machine is just now. Neighbours on the same host slow everything down, CPU time included."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

TURNS = 15
WITHIN = 1.15
"""Of the fastest. A turn beside a neighbour takes nearly twice as long as one without."""


class Machine:
    """Its pace since the process began. `yardstick`: milliseconds that each core takes now."""

    fastest = float("inf")
    """Milliseconds that any core ever took."""

    def __init__(self, yardstick: Callable[[], Sequence[float]]) -> None:
        self._yardstick = yardstick

    @property
    def limit(self) -> float:
        """Milliseconds; a core that takes longer has not its full pace."""
        return self.fastest * WITHIN

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


class Yardstick:
    """A fixed piece of Python, which knows nothing of Daybook. Figures of two runs compare as far as it is alike.

    Called, it tells milliseconds on each core, on all of them at once: the median of its turns. By the clock, so that
    it is slower beside a neighbour on the same host, and beside other work on this machine as well.
    """

    def __init__(self, turns: int = TURNS) -> None:
        self._turns, context = turns, multiprocessing.get_context("spawn")
        # A process stays on each core: other work could go out of the way of one that looks at core after core.
        self._cores = [ProcessPoolExecutor(1, context, _stay, (core,)) for core in sorted(os.sched_getaffinity(0))]

    def __call__(self) -> list[float]:
        asked = [core.submit(_milliseconds, self._turns) for core in self._cores]
        return [one.result() for one in asked]

    def close(self) -> None:
        for core in self._cores:
            core.shutdown()


def _stay(core: int) -> None:
    os.sched_setaffinity(0, {core})


def _milliseconds(turns: int) -> float:
    return 1000 * statistics.median(_turn() for _ in range(turns))


def _turn() -> float:
    began, kept = time.perf_counter(), dict[int, str]()
    for number in range(60_000):
        kept[number % 997] = f"{number}x"
    return time.perf_counter() - began
