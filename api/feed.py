"""The feed: one watch on the read models for each process, fanned out to every subscriber."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Self
from uuid import UUID

import anyio
import anyio.to_thread

from api.sharing import Shared
from domain.appending import BookUnavailable
from infra.event_store import EventStore
from projections.background import ended
from projections.progress import Progress

STRETCH = 1_000
"""Entries that are looked through at once for the records that somebody follows."""

READERS = 4
"""Reads of the book for subscribers that may be under way at once."""
PAUSE = 1.0
"""Seconds until a database that did not answer is asked again."""


class Watch:
    """Somebody follows one record."""

    def __init__(self) -> None:
        self._position, self._moved = 0, asyncio.Event()

    def wake(self, position: int) -> None:
        """There is an entry of the record at this position."""
        self._position = position
        self._moved.set()

    async def beyond(self, position: int) -> int:
        """Wait for an entry of the record beyond a position; the position of the last one."""
        while self._position <= position:
            self._moved.clear()
            await self._moved.wait()
        return self._position


class Feed:
    """Knows how far the read models are, and which records somebody follows. Used within one event loop:

    `async with Feed(progress, store, forgotten) as feed`."""

    def __init__(self, progress: Progress, store: EventStore, forgotten: Callable[[], int]) -> None:
        """`forgotten`: how often this process has forgotten what was erased."""
        self._progress, self._store, self.forgotten = progress, store, forgotten
        self._watches: dict[UUID, set[Watch]] = {}
        self.readers = anyio.CapacityLimiter(READERS)
        """What reads the book for subscribers takes a thread of these."""
        self.shared = Shared()
        """What subscribers who ask the same are answered with."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="feed")
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._task)

    @property
    def position(self) -> int:
        """The position that every read model has reached."""
        return self._progress.position

    async def beyond(self, position: int) -> int:
        """Wait until the read models are beyond a position; the one that they have reached then."""
        return await self._progress.beyond(position)

    @contextmanager
    def watch(self, id: UUID) -> Generator[Watch]:
        """Follow a record for as long as the block lasts."""
        watch = Watch()
        self._watches.setdefault(id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[id].discard(watch)
            if not self._watches[id]:
                del self._watches[id]

    async def _run(self) -> None:
        """Wake who follows a record that has changed."""
        position = self.position
        while True:
            reached = await self.beyond(position)
            while position < reached:
                position = await self._tell(position, reached) if self._watches else reached

    async def _tell(self, after: int, reached: int) -> int:
        stop = min(reached, after + STRETCH)
        read = partial(self._store.entries, after, STRETCH, stop=stop)
        try:
            entries = await anyio.to_thread.run_sync(read, limiter=self.readers)
        except BookUnavailable:
            await anyio.sleep(PAUSE)
            return after
        for id, position in {entry.originator_id: entry.position for entry in entries}.items():
            for watch in self._watches.get(id, ()):
                watch.wake(position)
        return stop
