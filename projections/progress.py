"""Waiting for the read models, in the event loop of a process that serves: whoever wrote something reads it back.

Waiting holds no thread, transaction or connection: one connection listens for everybody, or none where the runner that
leads is of this process, and tells.
"""

import asyncio
import heapq
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias
from uuid import UUID

import msgspec
import psycopg
from psycopg import pq

from infra.silence import AsyncConnection
from projections.background import ended
from projections.ledger import LISTEN, UNLISTEN, Moved
from projections.model import Model

Outcome: TypeAlias = Literal["REACHED", "BEHIND", "PARKED"]

POLL = 0.25
"""Seconds after which somebody waits in vain for a notice, and the positions are read instead."""

ANSWER = 10.0
"""Seconds that the database may take to answer before the connection is given up for dead."""

PAUSE = 0.2
"""Seconds between two tries to reach a database that is away."""

_decode = msgspec.json.Decoder(Moved).decode


class _Waiter:
    """Somebody waits for models to reach a position, perhaps for an aggregate's sake."""

    def __init__(
        self, position: int, models: frozenset[str], aggregate: UUID | None, *, or_set_back: bool = False
    ) -> None:
        self.position, self.models, self.aggregate = position, models, aggregate
        self.or_set_back = or_set_back
        self.answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: Outcome) -> None:
        if not self.answer.done():
            self.answer.set_result(outcome)


class Progress:
    """How far the read models are. Used within one event loop: `async with Progress(conninfo, models) as progress`."""

    def __init__(self, conninfo: str, models: Sequence[Model]) -> None:
        self._conninfo = conninfo
        self._versions = {model.name: model.version for model in models}
        self._all = frozenset(self._versions)
        self._positions, self._lowest = dict.fromkeys(self._all, 0), 0
        self._parked: dict[UUID, list[tuple[str, int]]] = {}
        self._queues: dict[frozenset[str], list[tuple[int, int, _Waiter]]] = {}
        self._numbers, self._waiting = count(), 0
        self._known = asyncio.Event()
        self._late: list[Moved] = []
        """What was heard while the positions were read."""
        self._reading, self._lost = False, True
        self.losses = 0
        """How often the connection was lost: a database that crashed may come back without what was posted last."""
        self.set_back = 0
        """How often the models were found further back than they had been."""
        self._heard, self._unsure = False, True
        """Whether anything was heard of late; whether the positions must be read, for lanes changed or nothing was."""
        self._at_first_hand = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gone: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Returns once the positions are known. Raises TimeoutError where the database does not answer."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._follow(), name="projections' progress")
        try:
            async with asyncio.timeout(ANSWER):
                await self._known.wait()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    def lead(self, here: bool) -> None:
        """The runner that leads is of this process from now on, and tells; or it is not. Call it from any thread."""
        self._at_first_hand = here
        self._soon(self._doubt)

    def doubt(self) -> None:
        """Somebody else has changed rows or lanes. Call it from any thread."""
        self._soon(self._doubt)

    def tell(self, moved: Moved) -> None:
        """What the runner of this process has committed. Call it from any thread."""
        self._soon(self._hear, moved)

    @property
    def position(self) -> int:
        """The position that every read model has reached."""
        return self._lowest

    def is_at(self, position: int) -> bool:
        """Whether every read model is known to have reached a position."""
        return self.position >= position and not self._lost

    def stands_at(self, model: str, aggregate: UUID) -> int:
        """The position up to which a model's rows show an aggregate: before the entry at which its lane is parked."""
        lanes = (at - 1 for name, at in self._parked.get(aggregate, ()) if name == model)
        return min([self.position, *lanes])

    async def reached(
        self,
        position: int,
        timeout: float,  # noqa: ASYNC109  # one timer, not a scope around: a thousand may wait
        aggregate_id: UUID | None = None,
        models: Collection[str] | None = None,
    ) -> Outcome:
        """Wait until these models (None: all) have reached a position, for at most `timeout` seconds.

        PARKED, at once, where one of them has stopped following this aggregate at that position or before it.
        """
        wanted = self._all if models is None else frozenset(models)
        if self._stopped(aggregate_id, position, wanted):
            return "PARKED"
        if self._low(wanted) >= position and not self._lost:
            return "REACHED"
        waiter = _Waiter(position, wanted, aggregate_id)
        timer = asyncio.get_running_loop().call_later(timeout, waiter.settle, "BEHIND")
        try:
            return await self._queued(waiter)
        finally:
            timer.cancel()

    async def beyond(self, position: int) -> int:
        """Wait, however long, until every read model is beyond a position, or one was set back; the one that all have
        reached then.
        """
        set_back = self.set_back
        while self.position <= position and self.set_back == set_back:
            await self._queued(_Waiter(position + 1, self._all, None, or_set_back=True))
        return self.position

    async def _queued(self, waiter: _Waiter) -> Outcome:
        queue = self._queues.setdefault(waiter.models, [])
        heapq.heappush(queue, (waiter.position, next(self._numbers), waiter))
        self._waiting += 1
        try:
            return await waiter.answer
        finally:
            self._waiting -= 1
            if len(queue) > 2 * self._waiting + 100:
                # Those who gave up while nothing moved.
                queue[:] = [entry for entry in queue if not entry[2].answer.done()]
                heapq.heapify(queue)

    def _low(self, models: Iterable[str]) -> int:
        if models is self._all:  # as nearly everybody asks, several times for each commit
            return self._lowest
        return min((self._positions.get(name, 0) for name in models), default=2**63)

    def _measure(self) -> None:
        """Find the position that every read model has reached, once it may have changed."""
        self._lowest = min((self._positions.get(name, 0) for name in self._all), default=2**63)

    def _stopped(self, aggregate: UUID | None, position: int, models: frozenset[str]) -> bool:
        lanes = self._parked.get(aggregate, ()) if aggregate is not None else ()
        return any(name in models and at <= position for name, at in lanes)

    def _settle(self) -> None:
        """Answer those whose position is reached."""
        for models, queue in self._queues.items():
            low = self._low(models)
            while queue and queue[0][0] <= low:
                heapq.heappop(queue)[2].settle("REACHED")

    def _settle_those_who_look_on(self) -> None:
        for queue in self._queues.values():
            for _, _, waiter in queue:
                if waiter.or_set_back:
                    waiter.settle("BEHIND")

    async def _follow(self) -> None:
        while True:
            # OSError: there is no descriptor left to duplicate. MsgspecError: a notice of another version.
            with suppress(psycopg.Error, TimeoutError, OSError, msgspec.MsgspecError):
                async with asyncio.timeout(ANSWER):
                    db = await AsyncConnection.connect(
                        self._conninfo, autocommit=True, application_name="daybook progress"
                    )
                async with db:
                    self._late.clear()
                    db.add_notify_handler(lambda notice: self._hear(_decode(notice.payload)))
                    listens = False
                    await self._read(db)  # to begin to listen may take as long as a commit hangs
                    while True:
                        self._unsure = False  # who leads is looked at below; where that changes from here on, again
                        if listens is self._at_first_hand:
                            listens = not listens
                            await db.execute(LISTEN if listens else UNLISTEN)
                        await self._read(db)
                        await self._listen(db.pgconn)
            self._lost = True
            self.losses += 1
            await asyncio.sleep(PAUSE)

    async def _listen(self, pg: pq.abc.PGconn) -> None:
        """Hear notices until the positions must be read. Raises OperationalError where the connection is lost."""
        # psycopg's own generator of notices costs several times as much, for every mutation that a client waits for.
        # A descriptor of our own: that of a connection which is lost may be another's by the time we let go of it.
        loop, socket = asyncio.get_running_loop(), os.dup(pg.socket)
        self._gone = gone = loop.create_future()

        def receive() -> None:
            try:
                pg.consume_input()
                while (notice := pg.notifies()) is not None:
                    self._hear(_decode(notice.extra))
            except (psycopg.Error, msgspec.MsgspecError) as error:
                loop.remove_reader(socket)
                if not gone.done():
                    gone.set_exception(error)

        loop.add_reader(socket, receive)
        try:
            while not self._unsure:
                self._heard = False
                await asyncio.wait({gone}, timeout=POLL)
                if gone.done():
                    gone.result()
                self._unsure |= bool(self._waiting) and not self._heard
        finally:
            loop.remove_reader(socket)
            os.close(socket)

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call it in the loop; what is not heard because there is none yet, or none any more, is read."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call, *arguments)

    def _hear(self, moved: Moved) -> None:
        if self._reading:
            self._late.append(moved)
            return
        self._heard = True
        # Lanes come before positions: nobody may hear REACHED of a lane that has just been parked.
        if moved.lanes:
            self._doubt()
        if not self._unsure:
            for name in self._positions.keys() & moved.models:  # those of another version are not among them
                self._positions[name] = max(moved.position, self._positions.get(name, 0))
            self._measure()
            self._settle()

    def _doubt(self) -> None:
        """Have the positions read."""
        self._unsure = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    async def _read(self, db: AsyncConnection) -> None:
        """Read the positions, which a crash may have set back, and the parked lanes."""
        self._reading = True
        try:
            async with asyncio.timeout(ANSWER):
                rows = await (await db.execute(_STANDING, prepare=True)).fetchall()
        finally:
            self._reading = False
        self._positions = {
            name: position for name, version, position, _, _ in rows if self._versions.get(name) == version
        }
        former = self._lowest
        self._measure()
        if self._lowest < former:
            self.set_back += 1
            self._settle_those_who_look_on()
        self._parked = {}
        for name, _, _, aggregate, parked_at in rows:
            if aggregate is not None:
                self._parked.setdefault(aggregate, []).append((name, parked_at))
        if self._parked:
            for queue in self._queues.values():
                for _, _, waiter in queue:
                    if self._stopped(waiter.aggregate, waiter.position, waiter.models):
                        waiter.settle("PARKED")
        self._lost = False
        self._settle()
        self._known.set()
        late, self._late = self._late, []
        for moved in late:
            self._hear(moved)

    async def _end(self) -> None:
        await ended(self._task)


# One statement, one snapshot: positions and lanes of the same moment.
_STANDING = """
    SELECT name, version, models.position, aggregate_id, parked.position
    FROM daybook_projections.models LEFT JOIN daybook_projections.parked ON model = name
"""
