"""Steps: what a command waits for on its way. A thread stands still for one; an event loop goes on with other commands.

The door is written once, in coroutines that await nothing but steps, and knows of neither. `blocking` runs one of them
in the thread that calls it; `following` runs it in an event loop.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar, cast

T = TypeVar("T")


class Step(ABC, Generic[T]):
    """Something to wait for: awaiting it hands it to whoever runs the coroutine."""

    def __await__(self) -> Generator["Step[Any]", T, T]:
        return (yield self)

    @abstractmethod
    def wait(self) -> T:
        """Stand still until it is there."""

    @abstractmethod
    async def follow(self) -> T:
        """Let the event loop go on until it is there."""


Steps: TypeAlias = Coroutine[Step[Any], Any, T]
"""What a coroutine that awaits steps only is."""


def blocking(steps: Steps[T]) -> T:
    """Run a coroutine of steps in this thread."""
    try:
        step = steps.send(None)
        while True:
            try:
                answer = step.wait()
            except Exception as error:  # noqa: BLE001 - the coroutine's to handle
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        return cast("T", done.value)
    finally:
        steps.close()


async def following(steps: Steps[T]) -> T:
    """Run a coroutine of steps in the event loop that runs."""
    try:
        step = steps.send(None)
        while True:
            try:
                answer = await step.follow()
            except BaseException as error:  # noqa: BLE001 - the coroutine's to handle; a cancellation too
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        return cast("T", done.value)
    finally:
        steps.close()


class Look(Step[T]):
    """A look at the store, which takes its time; beside an event loop it is taken in a thread."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look

    def wait(self) -> T:
        return self._look()

    async def follow(self) -> T:
        return await asyncio.to_thread(self._look)


class Signal(Step[T]):
    """A value, or an exception, that another thread or another command gives, once."""

    def __init__(self) -> None:
        self._given: list[T | Exception] = []
        self._asleep: threading.Lock | None = None
        self._followed: asyncio.Future[None] | None = None

    def give(self, value: T | Exception) -> None:
        give_all([(self, value)])

    def put(self, value: T | Exception) -> "asyncio.Future[None] | None":
        """Put the value there and wake who stands still for it; what is left to do is to wake who follows, if anybody.

        Put before looking who waits, as the waiting say so before they look what was put: no wake-up is lost.
        """
        self._given.append(value)
        if self._asleep is not None:
            self._asleep.release()
        return self._followed

    def wait(self) -> T:
        self.stood()
        return self.taken()

    def stood(self, seconds: float = -1) -> bool:
        """Stand still until it is given, or for so many seconds; whether it is."""
        # A bare lock: a condition variable costs three times as much, 32 times in each batch of the committer.
        asleep = threading.Lock()
        asleep.acquire()
        self._asleep = asleep
        if not self._given:
            asleep.acquire(timeout=seconds)
        return bool(self._given)

    async def follow(self) -> T:
        self._followed = asyncio.get_running_loop().create_future()
        if not self._given:
            await self._followed
        return self.taken()

    def taken(self) -> T:
        """What was given."""
        value = self._given[0]
        if isinstance(value, Exception):
            raise value
        return value


def give_all(given: Iterable[tuple[Signal[T], T | Exception]]) -> None:
    """Give each signal its value. An event loop that follows many of them is woken once, not once for each."""
    followed = defaultdict[asyncio.AbstractEventLoop, list["asyncio.Future[None]"]](list)
    for signal, value in given:
        if (future := signal.put(value)) is not None:
            followed[future.get_loop()].append(future)
    here = _loop_here() if followed else None
    for loop, futures in followed.items():
        if loop is here:
            _settle(futures)
        else:
            with suppress(RuntimeError):  # a loop that is closed waits for nothing
                loop.call_soon_threadsafe(_settle, futures)


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _settle(futures: "Iterable[asyncio.Future[None]]") -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
