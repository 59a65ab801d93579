"""The feed: one watch on the read models for each process, fanned out to every subscriber."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Self
from uuid import UUID

import anyio
import anyio.to_thread

from api.errors import RequestError, RequestErrorCode
from api.sharing import Shared
from domain.appending import BookUnavailable
from domain.customer import PERSONAL_DATA_ERASED
from infra.event_store import EventStore
from projections.background import ended
from projections.progress import Progress

STRETCH = 1_000
"""Entries that are looked through at once for the records that somebody follows."""

READERS = 4
"""Reads of the book for subscribers that may be under way at once."""
PAUSE = 1.0
"""Seconds until a database that did not answer is asked again."""


SET_BACK = RequestError(
    RequestErrorCode.UNAVAILABLE,
    "The database came back without what it had shown last. Subscribe again: what was entered is there; where another"
    " server has taken over, entries may be lost, and others stand at their positions.",
    status=503,
)


class Watch:
    """Somebody follows one record."""

    def __init__(self) -> None:
        self.changed = 0
        """The position of the record's last entry that was told."""
        self._told, self._moved, self._over = 0, asyncio.Event(), False

    def wake(self, position: int, *, changed: bool) -> None:
        """There is an entry at this position that the record may show; `changed`: one of its own."""
        if changed:
            self.changed = position
        self._told = max(self._told, position)
        self._moved.set()

    def end(self) -> None:
        """What was told may be lost."""
        self._over = True
        self._moved.set()

    async def beyond(self, position: int) -> int:
        """Wait for such an entry beyond a position; the position of the last one. Raises SET_BACK."""
        while self._told <= position:
            if self._over:
                raise SET_BACK
            self._moved.clear()
            await self._moved.wait()
        return self._told


class Feed:
    """Knows how far the read models are, and which records somebody follows. Used within one event loop:

    `async with Feed(progress, store, forgotten) as feed`."""

    def __init__(self, progress: Progress, store: EventStore, forgotten: Callable[[], int]) -> None:
        """`forgotten`: how often this process has forgotten what was erased."""
        self._progress, self._store, self.forgotten = progress, store, forgotten
        self.erased = 0
        """The position of the last receipt of an erasure that was come across while somebody followed a record."""
        self._watches: dict[UUID, set[Watch]] = {}
        self._followed, self._since = asyncio.Event(), 0
        """Set once somebody follows a record, after nobody has; the position of then."""
        self.readers = anyio.CapacityLimiter(READERS)
        """What reads the book for subscribers takes a thread of these."""
        self.shared = Shared()
        """What subscribers who ask the same are answered with."""
        self.sweeps: set[Callable[[], object]] = set()
        """Who keeps what was opened, and is called as soon as this process has forgotten what was erased."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="feed")
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._task)

    def forget(self) -> None:
        """Something was erased. Call it from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and what was kept with it
            self._loop.call_soon_threadsafe(self._sweep)

    def _sweep(self) -> None:
        for sweep in self.sweeps:
            sweep()

    @property
    def position(self) -> int:
        """The position that every read model has reached."""
        return self._progress.position

    @property
    def set_back(self) -> int:
        """How often the read models were set back: what one was told before is nothing to go on from."""
        return self._progress.set_back

    async def beyond(self, position: int, set_back: int) -> int:
        """Wait until the read models are beyond a position; the one that they have reached then.

        Raises SET_BACK where they were set back, since that was so often.
        """
        reached = await self._progress.beyond(position) if set_back == self.set_back else 0
        if set_back != self.set_back:
            raise SET_BACK
        return reached

    @contextmanager
    def watch(self, id: UUID) -> Generator[Watch]:
        """Follow a record for as long as the block lasts."""
        watch = Watch()
        if not self._watches and not self._followed.is_set():
            self._since = self.position
            self._followed.set()
        self._watches.setdefault(id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[id].discard(watch)
            if not self._watches[id]:
                del self._watches[id]

    async def _run(self) -> None:
        """Wake who follows a record that has changed; where somebody was erased, whoever follows any."""
        while True:
            # Where nobody follows any, it is not woken by each commit.
            await self._followed.wait()
            position, set_back = self._since, self.set_back
            while self._watches:
                reached = await self._progress.beyond(position)
                if set_back != self.set_back:
                    set_back, position = self.set_back, self.position
                    for watch in chain.from_iterable(self._watches.values()):
                        watch.end()
                while position < reached:
                    position = await self._tell(position, reached) if self._watches else reached
            self._followed.clear()

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
                watch.wake(position, changed=True)
        # Of which records a selection shows the person, over whatever relations, only an evaluation says.
        if erased := [entry.position for entry in entries if entry.topic in PERSONAL_DATA_ERASED]:
            self.erased = erased[-1]
            for watch in chain.from_iterable(self._watches.values()):
                watch.wake(self.erased, changed=False)
        return stop
