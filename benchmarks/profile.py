"""Where the time of a `handle` goes: the CPU of each stage, by the clock of the thread that runs it."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from inspect import iscoroutinefunction
from types import coroutine
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.append import prepare, whole_handle
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Section
from benchmarks.server import cpu_seconds
from domain.daybook import Daybook
from infra.append import Append
from infra.appender import Appender
from infra.committer import Committer
from infra.mapper import SealingMapper
from infra.vault import Vault

STAGES: tuple[tuple[type, str, str], ...] = (
    (Daybook, "handle", "door: decide, evolve, claims, conditions"),
    (Daybook, "_read", "door: read what the decision knows"),
    (Daybook, "_fingerprint", "door: fingerprint of the command"),
    (SealingMapper, "to_stored_event", "mapper: encode, make the entry"),
    (Vault, "seal", "vault: seal, make a key"),
    (Committer, "enqueue", "door: hand over to the committer"),
    (Committer, "_gather", "committer: gather the batch"),
    (Appender, "suppose", "committer: gather the answers"),
    (Append, "suppose", "committer: suppose the head of the book"),
    (Append, "accept", "committer: check and accept"),
    (Append, "commit_if_so", "committer: write the batch as JSON, commit"),
    (Committer, "_reply", "committer: answer"),
)


def run(laboratory: Laboratory) -> Section:
    figures: list[Figure] = []
    said: list[str] = []
    for writers in (1, 32):
        laboratory.say(f"profile: {writers} writers")
        spent = _spent(laboratory, writers)
        total = sum(spent.values())
        who = f"{writers} writer{'s' if writers > 1 else ''}"
        figures += [Figure(f"{who}: {stage}", 1e6 * seconds, "µs") for stage, seconds in spent.items()]
        most = sorted(spent.items(), key=lambda each: -each[1])[:5]
        shares = ", ".join(f"{stage} ({100 * seconds / total:.0f} %)" for stage, seconds in most)
        said.append(f"With {who}, {1e6 * total:,.0f} µs of CPU for each `handle`. Most of it: {shares}.")
    said.append("A stage is without the stages that it calls. Counting costs some microseconds a stage itself.")
    return Section("Where the time of a handle goes", figures, said)


def _spent(laboratory: Laboratory, writers: int) -> dict[str, float]:
    """CPU seconds of one `handle`, by stage; PostgreSQL's last."""
    with laboratory.database() as conninfo:
        prepare(conninfo, laboratory.folder)
        with _counted() as stages, whole_handle(conninfo, laboratory.folder, writers) as driven:
            us, postgres = psutil.Process(), laboratory.postmaster
            began = [0.0, 0.0]

            def ready() -> None:
                stages.clear()
                began[:] = [_own(us), sum(cpu_seconds(postgres).values())]

            driven(laboratory.scale.seconds, ready)
            ours, theirs = _own(us) - began[0], sum(cpu_seconds(postgres).values()) - began[1]
    handled = stages.calls["door: decide, evolve, claims, conditions"]
    spent = {stage: stages.seconds[stage] / handled for _, _, stage in STAGES}
    return spent | {
        "all else in our process (the clients, the announcer, counting)": ours / handled - sum(spent.values()),
        "PostgreSQL": theirs / handled,
    }


def _own(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


class Stages:
    """CPU seconds and calls by stage, without what nested stages spent."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._lock, self._nested = threading.Lock(), threading.local()

    def clear(self) -> None:
        with self._lock:
            self.seconds.clear()
            self.calls.clear()

    def counting(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The function, or the coroutine function, its CPU and its calls counted."""

        @wraps(function)
        def counted(*args: Any, **named: Any) -> Any:
            self._count(stage)
            with self._timed(stage):
                return function(*args, **named)

        @wraps(function)
        @coroutine
        def counted_steps(*args: Any, **named: Any) -> Generator[Any, Any, Any]:
            self._count(stage)
            steps = function(*args, **named)
            go_on = partial(steps.send, None)
            while True:
                try:
                    with self._timed(stage):
                        step = go_on()
                except StopIteration as done:
                    return done.value
                try:
                    go_on = partial(steps.send, (yield step))
                except BaseException as error:  # noqa: BLE001  # the coroutine's own to handle
                    go_on = partial(steps.throw, error)

        return counted_steps if iscoroutinefunction(function) else counted

    def _count(self, stage: str) -> None:
        with self._lock:
            self.calls[stage] += 1

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        outer = getattr(self._nested, "seconds", 0.0)
        self._nested.seconds = 0.0
        began = time.thread_time()
        try:
            yield
        finally:
            took = time.thread_time() - began
            with self._lock:
                self.seconds[stage] += took - self._nested.seconds
            self._nested.seconds = outer + took


@contextmanager
def _counted() -> Iterator[Stages]:
    stages = Stages()
    plain = [(owner, name, getattr(owner, name)) for owner, name, _ in STAGES]
    for owner, name, stage in STAGES:
        setattr(owner, name, stages.counting(getattr(owner, name), stage))
    try:
        yield stages
    finally:
        for owner, name, function in plain:
            setattr(owner, name, function)
