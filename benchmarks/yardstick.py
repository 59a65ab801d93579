"""How fast this machine is just now. Neighbours on the same host slow everything down, CPU time included."""

import statistics
import time

TURNS = 15


def yardstick() -> float:
    """Milliseconds of CPU that a fixed piece of Python takes, which knows nothing of Daybook: the median of its turns.

    Figures of two runs can be compared as far as these are alike.
    """
    return 1000 * statistics.median(_turn() for _ in range(TURNS))


def _turn() -> float:
    began, kept = time.thread_time(), dict[int, str]()
    for number in range(60_000):
        kept[number % 997] = f"{number}x"
    return time.thread_time() - began
