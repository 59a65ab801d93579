"""Times that queries ask about, and where they lie in the book."""

from datetime import datetime

import anyio
import anyio.to_thread

from infra.event_store import EventStore
from projections.progress import Progress

MOST = 1_000
"""Times that are remembered."""


class Times:
    """Remembers what was found for times that stay so: screens ask for the same one again and again. Used within one
    event loop."""

    def __init__(self, store: EventStore, progress: Progress, limiter: anyio.CapacityLimiter) -> None:
        """`limiter`: of the threads that look."""
        self._store, self._progress, self._limiter = store, progress, limiter
        self._known: dict[datetime, int] = {}
        self._losses = progress.losses

    async def position_at(self, time: datetime) -> int | None:
        """As `EventStore.position_at`."""
        losses = self._progress.losses
        if losses != self._losses:  # a server may have taken over without the last entries: others stand there by now
            self._known.clear()
            self._losses = losses
        if (known := self._known.get(time)) is not None:
            return known
        found = await anyio.to_thread.run_sync(self._store.found_at, time, limiter=self._limiter)
        if found is None:
            return None
        position, last = found
        if position < last and self._progress.losses == losses:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[time] = position
        return position
