"""Commands on their way to the committer: where each of them waits, and how a batch comes together."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol, TypeAlias

from domain.appending import Conditions, Entry
from domain.steps import Signal

LONG = 1.0
"""Seconds after which who stands still looks after whom it stands still for."""

Home: TypeAlias = asyncio.AbstractEventLoop | None
"""Where a command waits: in an event loop, or, None, in a thread that stands still."""


class Queueing(Protocol):
    """The committer, as a submission knows it."""

    def enqueue(self, submission: "Submission") -> None: ...

    def look_after(self) -> None: ...


class Submission(Signal[Sequence[int]]):
    """One command's entries on their way into a batch; what is given back are their positions.

    It goes on its way when somebody waits for it; not to be waited for by a thread whose event loop runs.
    """

    def __init__(self, committer: Queueing, entries: Sequence[Entry], conditions: Conditions | None) -> None:
        super().__init__()
        self._committer, self.entries, self.conditions = committer, entries, conditions
        self.home: Home = None
        # Taken here: what has no size is its submitter's error, and never gets into the queue.
        self.size = sum(len(one.state) + len(one.sealed or b"") for one in entries)
        """Bytes."""

    def wait(self) -> Sequence[int]:
        self._committer.enqueue(self)
        while not self.stood(LONG):
            self._committer.look_after()
        return self.taken()

    async def follow(self) -> Sequence[int]:
        self.home = asyncio.get_running_loop()
        self._committer.enqueue(self)
        try:
            return await super().follow()
        except asyncio.CancelledError:
            self.home = None  # it may be the loop that ends
            raise


class Gathering(Signal[None]):
    """Waits until so many commands are queued, or so many seconds."""

    def __init__(self, many: int, seconds: float) -> None:
        super().__init__()
        self.many, self._seconds = many, seconds

    def wait(self) -> None:
        self.stood(self._seconds)

    async def follow(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await super().follow()


class Turn:
    """Whose it is to serve the queue: one after another's, never two."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.batch: list[Submission] = []
        """What a loop appends just now."""
        self.task: asyncio.Task[None] | None = None


class LeftOver(NamedTuple):
    """A batch that an event loop could not append."""

    batch: list[Submission]
    error: Exception | None
    """None: it takes a look at the book."""
    deadline: float
