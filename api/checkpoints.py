"""The checkpoints that are signed over the book, as one process of those that serve learns of them."""

import asyncio
from collections.abc import Callable
from typing import Self

import anyio
import anyio.to_thread
import psycopg
from psycopg_pool import PoolTimeout

from api.sharing import Once
from infra.event_store import Pool
from infra.log.note import Verifier
from infra.log.proving import last_checkpoint
from infra.log.store import Kept, latest
from projections.progress import Progress

PAUSE = 0.5
"""Seconds between two looks for a checkpoint that is to come: one process of all signs one every two seconds."""


class Checkpoints:
    """Knows the last one, and looks for the next while somebody waits for it. Used within one event loop:

    `async with Checkpoints(progress, pool, limiter) as checkpoints`."""

    def __init__(
        self, progress: Progress, pool: Pool, limiter: anyio.CapacityLimiter, own: Callable[[], Verifier | None]
    ) -> None:
        """`limiter`: of the threads that look. `own`: the key that what is signed here is verified with, where there is
        one here.
        """
        self._progress, self._pool, self._limiter, self._own = progress, pool, limiter, own
        self._last: Kept | None = None
        self._next = Once(self._looked)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._next.stop()

    async def latest(self) -> Kept | None:
        """The last one that is signed by now; None: there is none yet. Raises LogError where it can't be believed."""
        await self._look()
        return self._last

    async def beyond(self, size: int) -> Kept:
        """Wait for a checkpoint over more entries than so many; the last one then. Raises LogError as `latest`."""
        while self._last is None or self._last.size <= size:
            await self._next.done()
        return self._last

    async def _looked(self) -> None:
        """The next one is there, or was not yet."""
        known = 0 if self._last is None else self._last.size
        await self._progress.beyond(known)  # nothing is signed where nothing was entered
        await self._look()
        if self._last is None or self._last.size == known:
            await asyncio.sleep(PAUSE)

    async def _look(self) -> None:
        try:
            # A former one too: a server that has taken over may have lost what was signed last.
            self._last = await anyio.to_thread.run_sync(self._read, limiter=self._limiter)
        except (psycopg.OperationalError, PoolTimeout):
            return  # the database is away for a moment: the next look finds it

    def _read(self) -> Kept | None:
        with self._pool.connection() as db:
            found = latest(db)
            if found is None or found == self._last:
                return found
            note, checkpoint = last_checkpoint(db, self._own())
            return Kept(checkpoint.size, note)
