"""How things are measured: contenders take turns, so that whatever disturbs the machine disturbs all of them."""

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import uvloop

K = TypeVar("K")
Operation = Callable[[], object]
Followed = Callable[[], Awaitable[object]]


class Pace(NamedTuple):
    """What writers did in their time."""

    per_second: float
    median_ms: float


def drive(operations: Sequence[Operation], seconds: float, ready: Callable[[], object] = int) -> Pace:
    """Repeat each operation in a thread of its own, all of them at once. `ready` is called when all are warm."""
    stop, gate = threading.Event(), threading.Barrier(len(operations) + 1)
    times: list[list[float]] = [[] for _ in operations]
    failures: list[Exception] = []

    def run(operation: Operation, took: list[float]) -> None:
        try:
            operation()
            gate.wait()
            while not stop.is_set():
                began = time.perf_counter()
                operation()
                took.append(time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001  # raised again below, in the thread that measures
            failures.append(error)
            stop.set()
            gate.abort()

    threads = [threading.Thread(target=run, args=each) for each in zip(operations, times, strict=True)]
    for thread in threads:
        thread.start()
    try:
        ready()
        gate.wait()
        began = time.perf_counter()
        stop.wait(seconds)
        stop.set()
    except threading.BrokenBarrierError:
        began = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    if failures:
        raise failures[0]
    took = [one for each in times for one in each]
    return Pace(len(took) / elapsed, 1000 * statistics.median(took) if took else 0.0)


def drive_in_loop(operations: Sequence[Followed], seconds: float, ready: Callable[[], object] = int) -> Pace:
    """Repeat each operation in a task of its own, all of them in one event loop, which is the server's."""

    async def run() -> Pace:
        until = float("inf")

        async def repeat(operation: Followed) -> list[float]:
            took: list[float] = []
            while (began := time.perf_counter()) < until:
                await operation()
                took.append(time.perf_counter() - began)
            return took

        await asyncio.gather(*(operation() for operation in operations))
        ready()
        began = time.perf_counter()
        until = began + seconds
        times = await asyncio.gather(*map(repeat, operations))
        elapsed = time.perf_counter() - began
        took = [one for each in times for one in each]
        return Pace(len(took) / elapsed, 1000 * statistics.median(took))

    return uvloop.run(run())


def timed(operation: Operation) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    operation()
    return time.perf_counter() - began


def medians(measure: Callable[[K], float], contenders: Iterable[K], rounds: int) -> dict[K, float]:
    """The median of each contender's rounds, whatever the machine's pace was; `watch` has those that mind it."""
    turns = list(contenders)
    found: dict[K, list[float]] = {each: [] for each in turns}
    for _ in range(rounds):
        for each in turns:
            found[each].append(measure(each))
    return medians_of(found)


def medians_of(found: Mapping[K, Sequence[float]]) -> dict[K, float]:
    return {each: statistics.median(values) for each, values in found.items()}


def until(done: Callable[[], bool], patience: float = 600) -> None:
    """Wait for a condition. Raises TimeoutError after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.01)
