"""What one actor may take of this process: points of cost a second, and places for what stays open.

In memory, so each worker counts for itself (ADR 24).
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from api.errors import RequestError, RequestErrorCode

FULL = 20
"""Seconds in which an empty bucket is full again: what may be asked at once is so many seconds' worth."""
FAULTY_COST = 500
"""What a document costs that is refused: at worst we have worked 5 ms to find out."""
_NOTHING = 1e-3
"""A part of a point: times are not kept more exactly than that."""
_FEW = 1_000
"""Buckets that nobody looks through for full ones."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What each actor may take of one process. 0: as much as it likes."""

    cost_per_second: int = 0
    connections: int = 0
    """WebSocket connections at once."""
    subscriptions: int = 0
    """Subscriptions at once, over WebSockets and as server-sent events together."""


class Standing(NamedTuple):
    """How much an actor may ask at the moment, in points of cost."""

    available: int
    restored_per_second: int


class Throttled(RequestError):
    """The actor has too little left for this."""

    def __init__(self, cost: int, standing: Standing, seconds: int) -> None:
        self.cost, self.standing = cost, standing
        super().__init__(
            RequestErrorCode.THROTTLED,
            f"This costs {cost:,} points, and {standing.available:,} are left to you at the moment;"
            f" {standing.restored_per_second:,} come back a second. Send it again in {seconds} s.",
            status=429,
            headers={"Retry-After": str(seconds)},
            extensions={"retryAfter": seconds},
        )


class Buckets:
    """A leaky bucket for each actor. Kept is the moment at which it will be full again; full ones are forgotten."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_second`: points of cost that come back to each; 0: nobody is throttled."""
        self._rate, self._capacity, self._clock = per_second, per_second * FULL, clock
        self._full_at: dict[str, float] = {}
        self._many = _FEW

    def take(self, actor: str, cost: int, *, paid: int = 0) -> Standing | None:
        """Take points out of the actor's bucket, but for those `paid` already; None where nobody is throttled.

        Raises Throttled. What costs more than a bucket holds is let through when it is full, and paid off afterwards.
        """
        if not self._rate:
            return None
        missing = min(cost, self._capacity) - paid - self._available(actor)
        if missing > _NOTHING:
            seconds = math.ceil(missing / self._rate)
            raise Throttled(cost, self._standing(actor), seconds)
        self.charge(actor, max(cost - paid, 0))
        return self._standing(actor)

    def charge(self, actor: str, cost: int) -> None:
        """Take points for what has been done already, whether they are there or not."""
        if not self._rate:
            return
        now = self._clock()
        self._full_at[actor] = max(self._full_at.get(actor, now), now) + cost / self._rate
        if len(self._full_at) > self._many:
            self._full_at = {one: full_at for one, full_at in self._full_at.items() if full_at > now}
            self._many = max(_FEW, 2 * len(self._full_at))

    def __len__(self) -> int:
        """Buckets that are remembered."""
        return len(self._full_at)

    def _available(self, actor: str) -> float:
        return self._capacity - max(self._full_at.get(actor, 0.0) - self._clock(), 0.0) * self._rate

    def _standing(self, actor: str) -> Standing:
        return Standing(max(math.floor(self._available(actor)), 0), self._rate)


class Full(Exception):
    """The actor has every place that there is for it."""


class Places:
    """Places of which each actor may take so many at once."""

    def __init__(self, most: int) -> None:
        """`most`: for each actor; 0: as many as it likes."""
        self._most = most
        self._actors: dict[Hashable, str] = {}
        self._taken = Counter[str]()

    def take(self, actor: str, holder: Hashable) -> None:
        """Take a place until `leave`. Raises Full."""
        if self._most and self._taken[actor] >= self._most:
            raise Full
        self._actors[holder] = actor
        self._taken[actor] += 1

    def leave(self, holder: Hashable) -> None:
        """Give a place back, if the holder has one."""
        if (actor := self._actors.pop(holder, None)) is not None:
            self._taken[actor] -= 1
            if not self._taken[actor]:
                del self._taken[actor]

    @contextmanager
    def taken(self, actor: str) -> Generator[None]:
        """A place for as long as the block lasts. Raises RequestError."""
        holder = object()
        try:
            self.take(actor, holder)
        except Full:
            raise RequestError(
                RequestErrorCode.TOO_MANY_SUBSCRIPTIONS,
                f"You have {self._most:,} subscriptions under way, and that is all you may have: complete one first.",
                status=429,
            ) from None
        try:
            yield
        finally:
            self.leave(holder)
