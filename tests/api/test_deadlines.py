"""Deadlines: each one's own time, though one timer sees to all of them."""

import asyncio
import time
import weakref

import pytest

from api.deadlines import Deadlines

pytestmark = pytest.mark.anyio

SECONDS = 0.1
SLACK = 0.002
"""Of a clock that counts milliseconds."""


class Waiting:
    """Notes when it was called."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines, self.called = deadlines, asyncio.Event()
        self.begin()

    def begin(self) -> None:
        self._begun, self.took = time.monotonic(), list[float]()
        self.called.clear()
        self._deadlines.begin(self.late)

    def end(self) -> None:
        self._deadlines.end(self.late)

    def late(self) -> None:
        self.took.append(time.monotonic() - self._begun)
        self.called.set()


async def test_each_is_called_once_when_its_own_time_is_over() -> None:
    deadlines, waiting = Deadlines(SECONDS), list[Waiting]()
    for _ in range(5):
        waiting.append(Waiting(deadlines))
        await asyncio.sleep(SECONDS / 4)
    for one in waiting:
        await one.called.wait()
    for one in waiting:
        (took,) = one.took
        assert SECONDS - SLACK <= took < 2 * SECONDS


async def test_who_has_ended_is_not_called_and_may_begin_anew() -> None:
    deadlines = Deadlines(SECONDS)
    ended, restless, last = Waiting(deadlines), Waiting(deadlines), Waiting(deadlines)
    await asyncio.sleep(SECONDS / 2)
    ended.end()
    ended.end()
    restless.end()
    restless.begin()
    await last.called.wait()
    assert restless.took == []
    await restless.called.wait()
    assert restless.took[0] >= SECONDS - SLACK
    assert ended.took == []


async def test_whoever_begins_after_all_are_over_waits_for_a_timer_of_its_own() -> None:
    deadlines = Deadlines(SECONDS)
    first = Waiting(deadlines)
    await first.called.wait()
    second = Waiting(deadlines)
    await second.called.wait()
    assert second.took[0] >= SECONDS - SLACK


async def test_one_that_is_late_may_end_the_others() -> None:
    deadlines = Deadlines(SECONDS)
    last = Waiting(deadlines)
    last.end()
    called = asyncio.Event()

    def late() -> None:
        last.end()
        called.set()

    deadlines.begin(late)
    last.begin()
    await called.wait()
    await asyncio.sleep(2 * SECONDS)
    assert last.took == []


async def test_the_end_calls_nobody_and_leaves_nothing_with_the_loop() -> None:
    deadlines = Deadlines(SECONDS)
    waiting, held = Waiting(deadlines), weakref.ref(deadlines)
    deadlines.close()
    await asyncio.sleep(2 * SECONDS)
    assert waiting.took == []
    waiting.begin()
    deadlines.close()
    del waiting, deadlines
    assert held() is None
