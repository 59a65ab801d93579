"""Work that is done once for everybody who waits for it, as long as somebody does."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Protocol, TypeVar, cast


class Once:
    """A piece of work that may be under way once at a time; whoever wants it meanwhile waits for that one."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    async def done(self) -> None:
        """Wait for the work, begun now or before. Raises what it raised; whoever stops waiting disturbs nobody."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await asyncio.shield(self._task)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        await self._work()


class Stoppable(Protocol):
    def stop(self) -> None: ...


S = TypeVar("S", bound=Stoppable)


class Shared:
    """What is shared, by what it is for: made for the first who joins, stopped when the last has left."""

    def __init__(self) -> None:
        self._joined: dict[Hashable, tuple[Stoppable, int]] = {}

    @contextmanager
    def joined(self, key: Hashable, make: Callable[[], S]) -> Generator[S]:
        """Share the one of this key, which is always of one kind, for as long as the block lasts."""
        one, others = self._joined.get(key) or (make(), 0)
        self._joined[key] = one, others + 1
        try:
            yield cast("S", one)
        finally:
            _, listeners = self._joined.pop(key)
            if listeners > 1:
                self._joined[key] = one, listeners - 1
            else:
                one.stop()

    def __len__(self) -> int:
        return len(self._joined)
