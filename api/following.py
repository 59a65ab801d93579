"""What subscriptions follow: the book, or one record. Whoever asks the same shares one evaluation and its bytes.

Nobody is sent anything: each subscriber takes the next answer when its connection has taken the last. So there is no
buffer for each of them; what is kept is kept once, for all.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from api.errors import RequestError, RequestErrorCode
from api.execution import Answer, Evaluate, Source
from api.feed import SET_BACK, Feed
from api.ready import Ready
from api.sharing import Once

KEPT = 2**20
"""Bytes of answers that are kept of one feed for those who follow it; who is further behind is a slow consumer."""
AT_ONCE = 50
"""Answers that one subscriber takes before others have a turn."""


class Message(Protocol):
    """An entry or a mark of the feed."""

    @property
    def position(self) -> str: ...


Stretch = Callable[[int, int], Awaitable[Sequence[Message]]]
"""The messages above a position, up to another or not as far: at least one, and the last says how far that was."""


class Told(NamedTuple):
    position: int
    answer: Answer
    there: bool = True
    """Whether there is anything to tell of."""


class Beside(Protocol):
    """Tells of something that is no entry and has no position: signed checkpoints."""

    async def next(self) -> Callable[[int], Message]:
        """Wait for it; the message of it at the position that the feed has reached by then."""
        ...


class BookSource(Source):
    """The feed from a position on; `key` is everything else that decides what it tells."""

    def __init__(
        self,
        feed: Feed,
        after: int,
        begin: Message,
        stretch: Stretch,
        key: Hashable,
        beside: Callable[[], Beside] | None = None,
    ) -> None:
        self._feed, self._position, self._begin, self._stretch, self._key = feed, after, begin, stretch, key
        self._beside = beside

    async def answers(self, evaluate: Evaluate) -> AsyncGenerator[Answer, None]:
        yield await evaluate(self._begin)
        position = self._position
        key = (self._key, self._feed.set_back)
        with self._feed.shared.joined(key, lambda: self._tape(evaluate)) as tape:
            while True:
                # The older stretches everybody reads for themselves, up to where the shared one begins.
                while position < tape.low:
                    forgotten = self._feed.forgotten()
                    messages = deque(await self._stretch(position, tape.low))
                    while messages:
                        answer = [await evaluate(messages[0])]
                        if self._feed.forgotten() != forgotten:
                            break
                        # What is told is not kept here: it may be erased before the next comes.
                        yield answer.pop()
                        position = int(messages.popleft().position)
                at = await tape.behind(position)
                if position < tape.low:
                    continue  # something was erased meanwhile, and what comes next is not on the tape any more
                while found := deque(await tape.since(at, position)):
                    while found and at >= tape.swept():
                        yield found[0].answer
                        position, at = found.popleft().position, at + 1

    def _tape(self, evaluate: Evaluate) -> "Tape":
        return Tape(self._feed, self._stretch, evaluate, None if self._beside is None else self._beside())


class Tape:
    """The end of the book, each stretch of it read and evaluated once for all who follow it.

    Who follows remembers a place on it: what is told beside the entries has no position of its own. Once this process
    has forgotten what was erased, nothing is told any more that was evaluated before.
    """

    def __init__(self, feed: Feed, stretch: Stretch, evaluate: Evaluate, beside: Beside | None) -> None:
        self._feed, self._stretch, self._evaluate, self._beside = feed, stretch, evaluate, beside
        self._set_back = feed.set_back
        self.low = self.high = feed.position
        """What is kept lies above `low` and reaches to `high`, without a gap."""
        self._told: list[Told] = []
        self._gone = 0
        """How many are no longer kept: the place of the first that is."""
        self._bytes = 0
        self._former = 0
        self._forgotten, self._swept = feed.forgotten(), 0
        self._advance = Once(self._advanced)
        self._coming: asyncio.Future[Callable[[int], Message]] | None = None
        feed.sweeps.add(self.swept)

    async def behind(self, position: int) -> int:
        """The place behind all that has been told up to a position, which is not below `low`."""
        while self.high < position:
            await self._advance.done()
        return self._gone + bisect_right(self._told, position, key=_position)

    async def since(self, at: int, position: int) -> Sequence[Told]:
        """What comes next at a place; nothing where it has to be evaluated anew, by whoever follows.

        `position`: of the one before. Raises RequestError where it is no longer kept for those who are so slow.
        """
        if at < self._end:
            await asyncio.sleep(0)
        while at >= self._end:
            await self._advance.done()
        if at < self.swept():
            return ()
        if at < self._gone:
            raise RequestError(
                RequestErrorCode.SLOW_CONSUMER,
                "The messages were taken too slowly, and later ones are not kept for this subscriber any longer."
                f' Nothing is lost: subscribe again with after: "{position}".',
                extensions={"after": str(position)},
            )
        return self._told[at - self._gone : at - self._gone + AT_ONCE]

    def swept(self) -> int:
        """The place below which nothing is told any more, for something in it may have been erased since."""
        if self._feed.forgotten() != self._forgotten:
            self._sweep()
        return self._swept

    def _sweep(self) -> None:
        self._forgotten, self._swept = self._feed.forgotten(), self._end
        self._gone, self.low = self._end, self.high
        self._told.clear()
        self._bytes = self._former = 0

    def stop(self) -> None:
        self._feed.sweeps.discard(self.swept)
        self._told.clear()  # it is part of a cycle, which Python may be long in finding
        self._advance.stop()
        if self._coming is not None:
            self._coming.cancel()

    @property
    def _end(self) -> int:
        return self._gone + len(self._told)

    async def _advanced(self) -> None:
        if self._beside is None:
            await self._stretched(await self._feed.beyond(self.high, self._set_back))
            return
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._beside.next())
        entered = asyncio.ensure_future(self._feed.beyond(self.high, self._set_back))
        try:
            await asyncio.wait((entered, self._coming), return_when=asyncio.FIRST_COMPLETED)
            if entered.done():
                await self._stretched(entered.result())
            else:
                message = self._coming.result()(self.high)
                self._coming = None
                self._keep([Told(self.high, await self._evaluate(message))])
                self._former += 1
        finally:
            entered.cancel()

    async def _stretched(self, reached: int) -> None:
        self.swept()
        forgotten = self._forgotten
        messages = await self._stretch(self.high, reached)
        told = [Told(int(message.position), await self._evaluate(message)) for message in messages]
        self._keep(told)
        self.high = told[-1].position
        if self._feed.forgotten() != forgotten:
            self._sweep()
            return
        # The last two stretches stay, however large: nobody has had the time to take them yet.
        gone, most = 0, len(self._told) - len(told) - self._former
        while self._bytes > KEPT and gone < most:
            self._bytes -= len(self._told[gone].answer.encoded)
            gone += 1
        if gone:
            self.low = self._told[gone - 1].position
            self._gone += gone
            del self._told[:gone]
        self._former = len(told)

    def _keep(self, told: Sequence[Told]) -> None:
        self._bytes += sum(len(one.answer.encoded) for one in told)
        self._told += told


class RecordSource(Source):
    """One record as it stands, and again after each of its entries, and where an erasure took something from it."""

    def __init__(self, feed: Feed, id: UUID, read: Callable[[], Awaitable[Ready]], key: Hashable) -> None:
        self._feed, self._id, self._read, self._key = feed, id, read, key

    async def answers(self, evaluate: Evaluate) -> AsyncGenerator[Answer, None]:
        feed = self._feed
        with (
            feed.watch(self._id) as watch,
            feed.shared.joined((self._key, feed.set_back), lambda: Latest(feed, self._read, evaluate)) as latest,
        ):
            told = await latest.at(feed.position)
            yield told.answer
            while True:
                now = await latest.at(await watch.beyond(told.position))
                # That something happened to a record that one does not see is nothing that one sees.
                seen = now.there or told.there
                news = watch.changed > told.position or now.answer.encoded != told.answer.encoded
                told = now
                if seen and news:
                    yield told.answer


class Latest:
    """A record as it was read last."""

    def __init__(self, feed: Feed, read: Callable[[], Awaitable[Ready]], evaluate: Evaluate) -> None:
        self._feed, self._read, self._evaluate = feed, read, evaluate
        self._told: Told | None = None
        self._set_back = feed.set_back
        self._reading = Once(self._read_now)

    async def at(self, position: int) -> Told:
        """The record as it stood at this position or later, read at most once for all who ask meanwhile.

        What was read before the last erasure is told to nobody after it. Raises SET_BACK.
        """
        feed = self._feed
        # A receipt that was come across may be lost since: what is further on than all there is would be read for ever.
        while self._told is None or self._told.position < max(position, min(feed.erased, feed.position)):
            if feed.set_back != self._set_back:
                raise SET_BACK
            await self._reading.done()
        return self._told

    def stop(self) -> None:
        self._told = None
        self._reading.stop()

    async def _read_now(self) -> None:
        position, found = self._feed.position, await self._read()
        self._told = Told(position, await self._evaluate(found), found.there)


def _position(told: Told) -> int:
    return told.position
