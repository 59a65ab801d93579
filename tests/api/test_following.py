"""What was evaluated before an erasure is told to nobody after it, wherever it was on its way just then."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import NamedTuple, cast

import pytest

from api.errors import RequestError
from api.execution import Answer
from api.feed import Feed
from api.following import BookSource, Latest, Message, Stretch
from api.ready import Ready
from api.sharing import Shared

pytestmark = pytest.mark.anyio


class Entry(NamedTuple):
    position: str
    name: str


class Told(NamedTuple):
    """As much of an answer as is looked at here."""

    name: str
    encoded: bytes = b""


class Growing:
    """A feed whose process can be made to forget."""

    def __init__(self, position: int) -> None:
        self.position, self.times, self.erased, self.set_back = position, 0, 0, 0
        self.shared, self._grown = Shared(), asyncio.Event()
        self.sweeps = set[Callable[[], object]]()

    def forgotten(self) -> int:
        return self.times

    async def beyond(self, position: int, _: int) -> int:
        while self.position <= position:
            self._grown.clear()
            await self._grown.wait()
        return self.position

    def grow(self, position: int) -> None:
        self.position = position
        self._grown.set()


def following(feed: Growing, stretch: Stretch, after: int) -> AsyncGenerator[Answer, None]:
    async def evaluate(message: object) -> Answer:
        return cast("Answer", Told(cast("Entry", message).name))

    begin = cast("Message", Entry(str(after), "begin"))
    return BookSource(cast("Feed", feed), after, begin, stretch, "key").answers(evaluate)


def read(feed: Growing) -> Stretch:
    async def stretch(after: int, upto: int) -> Sequence[Message]:
        name = "erased" if feed.times else "Ada"
        return [Entry(str(at), name) for at in range(after + 1, min(upto, after + 100) + 1)]

    return stretch


async def names(told: AsyncGenerator[Answer, None], many: int) -> list[str]:
    return [cast("Told", await anext(told)).name for _ in range(many)]


async def test_who_catches_up_slowly() -> None:
    feed = Growing(100)
    told = following(feed, read(feed), 0)
    assert await names(told, 3) == ["begin", "Ada", "Ada"]
    feed.times += 1
    assert await names(told, 98) == ["erased"] * 98
    await told.aclose()


async def test_who_takes_slowly_what_is_shared() -> None:
    feed = Growing(0)
    quick, slow = following(feed, read(feed), 0), following(feed, read(feed), 0)
    assert await names(quick, 1) == await names(slow, 1) == ["begin"]
    first = [asyncio.ensure_future(names(told, 1)) for told in (quick, slow)]
    await asyncio.sleep(0)  # both wait at the end of the book, where what comes is shared
    feed.grow(5)
    assert await asyncio.gather(*first) == [["Ada"], ["Ada"]]
    assert await names(quick, 4) == ["Ada"] * 4
    assert await names(slow, 1) == ["Ada"]
    feed.times += 1
    assert await names(slow, 3) == ["erased"] * 3
    feed.grow(6)
    assert await names(quick, 1) == await names(slow, 1) == ["erased"]
    for told in (quick, slow):
        await told.aclose()


@pytest.mark.parametrize("noticed", [False, True])
async def test_an_erasure_while_the_shared_stretch_is_read(*, noticed: bool) -> None:
    feed = Growing(0)
    plain = read(feed)

    async def overtaken(after: int, upto: int) -> Sequence[Message]:
        found = await plain(after, upto)
        if after == 1 and not feed.times:
            feed.times += 1
            for sweep in feed.sweeps if noticed else ():
                sweep()
        return found

    told = following(feed, overtaken, 0)
    assert await names(told, 1) == ["begin"]
    feed.grow(1)
    assert await names(told, 1) == ["Ada"]
    feed.grow(3)
    assert await names(told, 2) == ["erased"] * 2
    await told.aclose()


async def test_who_joins_further_on_than_what_is_shared_loses_nothing_by_an_erasure() -> None:
    feed, begun, done = Growing(0), asyncio.Event(), asyncio.Event()
    plain = read(feed)

    async def slowly(after: int, upto: int) -> Sequence[Message]:
        found = await plain(after, upto)
        if not feed.times:
            begun.set()
            await done.wait()
        return found

    first, late = following(feed, slowly, 0), following(feed, slowly, 3)
    assert await names(first, 1) == await names(late, 1) == ["begin"]
    asked = asyncio.ensure_future(names(first, 5))
    await asyncio.sleep(0)  # it waits at the beginning of the book, and what comes is shared from there on
    feed.grow(5)
    await begun.wait()
    joined = asyncio.ensure_future(names(late, 2))
    await asyncio.sleep(0)
    feed.times += 1
    done.set()
    assert await asked == ["erased"] * 5
    assert await asyncio.wait_for(joined, 10) == ["erased"] * 2
    for told in (first, late):
        await told.aclose()


async def test_an_erasure_while_a_record_is_read() -> None:
    feed, begun, done = Growing(1), asyncio.Event(), asyncio.Event()

    async def read() -> Ready:
        name = b"erased" if feed.erased else b"Ada"
        begun.set()
        await done.wait()
        return Ready(name)

    async def evaluate(found: object) -> Answer:
        return cast("Answer", Told(bytes(cast("Ready", found).json).decode()))

    asked = asyncio.ensure_future(Latest(cast("Feed", feed), read, evaluate).at(1))
    await begun.wait()
    feed.position = feed.erased = 2
    done.set()
    assert cast("Told", (await asked).answer).name == "erased"


async def test_a_receipt_that_is_lost_is_not_waited_for() -> None:
    """An erasure was come across, and then another server has taken over without it."""
    feed, reads = Growing(100), list[int]()

    async def selected() -> Ready:
        reads.append(feed.position)
        await asyncio.sleep(0)
        return Ready(b"{}")

    async def evaluate(_: object) -> Answer:
        return cast("Answer", Told("Ada"))

    feed.erased = 110
    async with asyncio.timeout(5):
        assert (await Latest(cast("Feed", feed), selected, evaluate).at(100)).position == 100
    assert reads == [100]


async def test_who_waits_for_what_is_lost_is_told() -> None:
    feed = Growing(100)

    async def selected() -> Ready:
        feed.set_back = 1
        return Ready(b"{}")

    async def evaluate(_: object) -> Answer:
        return cast("Answer", Told("Ada"))

    async with asyncio.timeout(5):
        with pytest.raises(RequestError):
            await Latest(cast("Feed", feed), selected, evaluate).at(105)


class Kept:
    """An answer of which one sees whether anybody keeps it."""

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is part of a cycle stays: a process that serves collects rarely."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_what_was_kept_goes_with_the_last_who_follows() -> None:
    feed, kept = Growing(0), list["weakref.ref[Kept]"]()

    async def evaluate(message: object) -> Answer:
        answer = Kept(cast("Entry", message).name.encode())
        kept.append(weakref.ref(answer))
        return cast("Answer", answer)

    begin = cast("Message", Entry("0", "begin"))
    one, other = (BookSource(cast("Feed", feed), 0, begin, read(feed), "key").answers(evaluate) for _ in range(2))
    await anext(one)
    await anext(other)
    following = [asyncio.ensure_future(anext(each)) for each in (one, other)]
    await asyncio.sleep(0)
    feed.grow(50)
    while following:
        await following.pop()
    assert sum(each() is not None for each in kept) >= 50
    await one.aclose()
    await other.aclose()
    await asyncio.sleep(0)  # the loop lets go of what it has done last
    assert [each for each in kept if each() is not None] == []


@pytest.mark.usefixtures("no_collector")
async def test_a_record_as_it_was_read_goes_with_the_last_who_follows() -> None:
    feed, kept = Growing(0), list["weakref.ref[Kept]"]()

    async def evaluate(_: object) -> Answer:
        answer = Kept(b"Ada")
        kept.append(weakref.ref(answer))
        return cast("Answer", answer)

    async def now() -> Ready:
        return Ready(b'{"name": "Ada"}')

    latest = Latest(cast("Feed", feed), now, evaluate)
    await latest.at(0)
    assert [each() is not None for each in kept] == [True]
    latest.stop()
    assert [each() is not None for each in kept] == [False]
