"""Steps: the same coroutine runs in a thread and in an event loop, and nobody who waits is forgotten."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from domain.folds import Turns
from domain.steps import Look, Signal, Steps, blocking, following, give_all

T = TypeVar("T")
Run = Callable[[Steps[Any]], Any]


def in_a_loop(steps: Steps[T]) -> T:
    return asyncio.run(following(steps))


RUNNERS: list[Run] = [blocking, in_a_loop]
PATIENCE = 10.0


async def sum_of(*looks: Look[int]) -> int:
    return sum([await look for look in looks])


def refusing() -> int:
    raise LookupError("not there")


@pytest.mark.parametrize("run", RUNNERS)
def test_looks_are_taken_one_after_another(run: Run) -> None:
    assert run(sum_of(Look(lambda: 1), Look(lambda: 2))) == 3


@pytest.mark.parametrize("run", RUNNERS)
def test_an_error_reaches_the_coroutine_and_may_be_caught_there(run: Run) -> None:
    async def caught() -> str:
        try:
            await Look(refusing)
        except LookupError as error:
            return str(error)
        return "nothing"

    assert run(caught()) == "not there"
    with pytest.raises(LookupError):
        run(sum_of(Look(refusing)))


def test_a_look_does_not_stop_the_event_loop() -> None:
    """The look only ends once the other coroutine has run."""
    moved = threading.Event()

    async def move() -> None:
        moved.set()

    async def both() -> bool:
        looked, _ = await asyncio.gather(following(look()), move())
        return looked

    async def look() -> bool:
        return await Look[bool](lambda: moved.wait(PATIENCE))

    assert asyncio.run(both())


async def value_of(signal: Signal[T]) -> T:
    return await signal


@pytest.mark.parametrize("run", RUNNERS)
def test_a_signal_that_was_given_before_is_not_waited_for(run: Run) -> None:
    signal = Signal[int]()
    signal.give(7)
    assert run(value_of(signal)) == 7


@pytest.mark.parametrize("run", RUNNERS)
def test_a_signal_is_given_by_another_thread_whenever_it_comes(run: Run) -> None:
    with ThreadPoolExecutor(2) as threads:
        for number in range(500):
            signal = Signal[int]()
            taken = threads.submit(run, value_of(signal))
            threads.submit(signal.give, number)
            assert taken.result(PATIENCE) == number


@pytest.mark.parametrize("run", RUNNERS)
def test_an_exception_is_raised_where_the_signal_is_waited_for(run: Run) -> None:
    signal = Signal[int]()
    signal.give(LookupError("gone"))
    with pytest.raises(LookupError, match="gone"):
        run(value_of(signal))


@pytest.mark.parametrize(("in_the_loop", "wakes"), [(False, 1), (True, 0)])
def test_many_that_are_given_at_once_reach_threads_and_loops_and_wake_a_loop_at_most_once(
    monkeypatch: pytest.MonkeyPatch, in_the_loop: bool, wakes: int
) -> None:
    signals, numbers = [Signal[int]() for _ in range(40)], range(40)
    woken = list[object]()

    async def follow(mine: list[Signal[int]]) -> list[int]:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(callback: Callable[..., object], *arguments: Any) -> asyncio.Handle:
            woken.append(callback)
            return wake(callback, *arguments)

        tasks = [asyncio.create_task(following(value_of(each))) for each in mine]
        await asyncio.sleep(0)  # now each of them follows
        give = partial(give_all, zip(signals, numbers, strict=True))
        with monkeypatch.context() as patched:
            patched.setattr(loop, "call_soon_threadsafe", counted)
            if in_the_loop:
                give()
            else:
                thread = threading.Thread(target=give)
                thread.start()
                thread.join()
        return await asyncio.gather(*tasks)

    with ThreadPoolExecutor(20) as threads:
        standing_still = [threads.submit(blocking, value_of(each)) for each in signals[::2]]
        assert asyncio.run(follow(signals[1::2])) == list(numbers[1::2])
        assert [each.result(PATIENCE) for each in standing_still] == list(numbers[::2])
    assert len(woken) == wakes


def test_a_signal_for_a_loop_that_is_closed_disturbs_nobody() -> None:
    signal = Signal[int]()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(following(value_of(signal)), 0.01)

    asyncio.run(give_up())
    signal.give(1)


class Counting:
    """Counts who is inside at once."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._id, self._inside = turns, uuid4(), 0
        self.done, self.most = 0, 0

    async def enter(self) -> None:
        await self._turns.take(self._id)
        try:
            self._inside += 1
            self.most = max(self.most, self._inside)
            await Look(lambda: None)
            self._inside -= 1
            self.done += 1
        finally:
            self._turns.give_back(self._id)


def test_turns_are_taken_one_at_a_time_by_threads_and_by_a_loop() -> None:
    counting = Counting(Turns())

    async def twenty() -> None:
        await asyncio.gather(*(following(counting.enter()) for _ in range(20)))

    with ThreadPoolExecutor(9) as threads:
        loop = threads.submit(asyncio.run, twenty())
        for each in [threads.submit(blocking, counting.enter()) for _ in range(20)]:
            each.result(PATIENCE)
        loop.result(PATIENCE)
    assert (counting.done, counting.most) == (40, 1)


def test_whoever_goes_away_passes_the_turn_on() -> None:
    turns, id = Turns(), uuid4()

    async def take() -> None:
        await turns.take(id)

    async def story() -> None:
        await following(take())
        leaving, staying = asyncio.create_task(following(take())), asyncio.create_task(following(take()))
        await asyncio.sleep(0)
        leaving.cancel()
        turns.give_back(id)  # given to the one that is leaving, who has not heard of it yet
        await asyncio.wait_for(staying, PATIENCE)
        with pytest.raises(asyncio.CancelledError):
            await leaving
        turns.give_back(id)
        await asyncio.wait_for(following(take()), PATIENCE)

    asyncio.run(story())
