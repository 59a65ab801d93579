"""Steps: what a command waits for on its way. A thread stands still for one; an event loop goes on with other commands.

The door is written once, in coroutines that await nothing but steps, and knows of neither. `blocking` runs one of them
in the thread that calls it; `following` runs it in an event loop.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
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
        self._wake: Callable[[], object] | None = None

    def give(self, value: T | Exception) -> None:
        # Given before looking who waits, as the waiting say so before they look what was given: no wake-up is lost.
        self._given.append(value)
        if self._wake is not None:
            self._wake()

    def wait(self) -> T:
        # A bare lock: a condition variable costs three times as much, 32 times in each batch of the committer.
        asleep = threading.Lock()
        asleep.acquire()
        self._wake = asleep.release
        if not self._given:
            asleep.acquire()
        return self._taken()

    async def follow(self) -> T:
        loop = asyncio.get_running_loop()
        given = loop.create_future()
        self._wake = partial(_call, loop, given)
        if not self._given:
            await given
        return self._taken()

    def _taken(self) -> T:
        value = self._given[0]
        if isinstance(value, Exception):
            raise value
        return value


def _call(loop: asyncio.AbstractEventLoop, given: "asyncio.Future[None]") -> None:
    with suppress(RuntimeError):  # a loop that is closed waits for nothing
        loop.call_soon_threadsafe(_settle, given)


def _settle(given: "asyncio.Future[None]") -> None:
    if not given.done():
        given.set_result(None)
