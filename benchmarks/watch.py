"""Which measurements count: those just before and after which the machine had its full pace.

What was measured is never looked at. A disturbed measurement is made again, and stays among those that are told.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

from benchmarks.results import Figure
from benchmarks.yardstick import WITHIN, Machine

K = TypeVar("K")
T = TypeVar("T")

_AGAIN = 1.0
"""Seconds from look to look while it waits."""


class Attempt(NamedTuple, Generic[T]):
    found: T
    ms: float
    """The slower one of the looks before and after."""
    counts: bool


class Taken(Generic[K, T]):
    """What was found of each contender."""

    def __init__(self, attempts: Mapping[K, Sequence[Attempt[T]]]) -> None:
        self.counted = {each: [one.found for one in some if one.counts] for each, some in attempts.items()}
        self.every = {each: [one.found for one in some] for each, some in attempts.items()}

    def figures(self, made: Callable[[Mapping[K, Sequence[T]]], Sequence[Figure]]) -> list[Figure]:
        """The figures of what counts, and in each the value that every measurement gives, disturbed ones too."""
        both = zip(made(self.counted), made(self.every), strict=True)
        return [figure._replace(of_all=other.value) for figure, other in both]


class Watch:
    """Over the measurements of one section. `patience`: seconds in all for waiting and for measuring again."""

    def __init__(
        self,
        machine: Machine,
        patience: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.machine, self._patience, self.left = machine, patience, patience
        self._now, self._sleep = now, sleep
        self._counted = list[float]()
        """Milliseconds of the yardstick, of each that counts."""
        self._again = 0

    def rounds(self, measure: Callable[[K, "Window"], T], contenders: Iterable[K], rounds: int) -> Taken[K, T]:
        """So many measurements of each that count, in turns."""
        turns = list(contenders)
        attempts: dict[K, list[Attempt[T]]] = {each: [] for each in turns}
        for _ in range(rounds):
            for each in turns:
                attempts[each] += self._until_one_counts(partial(measure, each))
        return Taken(attempts)

    def _until_one_counts(self, measure: Callable[["Window"], T]) -> list[Attempt[T]]:
        attempts: list[Attempt[T]] = []
        while not (attempts and attempts[-1].counts):
            window, began = Window(self), self._now()
            found = measure(window)
            ms = max(window.before, window.after)
            attempts.append(Attempt(found, ms, counts=ms <= self.machine.limit or self.left <= 0))
            if attempts[-1].counts:
                self._counted.append(ms)
            else:
                self._again += 1
                # What was waited for it has been taken off already.
                self.left -= self._now() - began - window.waited
        return attempts

    def wait(self) -> float:
        """Until the machine has its full pace, or patience ends. Gives the last look's milliseconds."""
        while True:
            began = self._now()
            ms = self.machine.look()
            if ms <= self.machine.limit or self.left <= 0:
                return ms
            self._sleep(_AGAIN)
            self.left -= self._now() - began

    def said(self) -> str:
        """What became of the measurements, by the limit that is known now: it may have been a higher one before."""
        limit, fastest, counted = self.machine.limit, self.machine.fastest, len(self._counted)
        told = (
            f"A measurement counts if the yardstick took at most {limit:.2f} ms on every core just before and just"
            f" after it, {WITHIN - 1:.0%} more than the fastest that it ever was in this run ({fastest:.2f} ms); if"
            f" not, it is made again, whatever its figure. {counted} count, {self._again} were disturbed and made"
            " again. `All` is of every measurement, the disturbed ones too."
        )
        if disturbed := sum(ms > limit for ms in self._counted):
            ended = f"the patience of {self._patience / 60:.3g} minutes was at its end"
            why = ended if self.left <= 0 else "this limit was not known yet"
            told += f" **{disturbed} of the {counted} that count are disturbed ones**, from when {why}."
        return told


class Window:
    """The time in which something is measured: from `open` to `close`, or `with window:`. The set-up is outside."""

    before = after = float("inf")
    waited = 0.0

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def open(self) -> None:
        left = self._watch.left
        self.before = self._watch.wait()
        self.waited = left - self._watch.left

    def close(self) -> None:
        self.after = self._watch.machine.look()

    def __enter__(self) -> None:
        self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
