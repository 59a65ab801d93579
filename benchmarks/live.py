"""Live: a thousand subscriptions on one server process while commands run; evaluated once for all, or for each."""

import asyncio
import re
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import NamedTuple
from uuid import uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Goal, Section
from benchmarks.server import TOKEN, Client, Served, cpu_seconds, serving, settings
from domain.catalogue import catalogue

_RECORDS = 20
_WRITERS = 2
_PER_CONNECTION = 20
_PAUSE = 0.25
"""Seconds that a client that writes leaves between its commands."""

_FEED = "subscription($types: [String!]) { changes(types: $types) { position change { type aggregateId actor data } } }"
_RECORD = (
    "subscription($id: ID!, $a: Boolean!, $b: Boolean!, $c: Boolean!, $d: Boolean!) { customerChanged(id: $id) {"
    " id name version contactPoints { value }"
    " a: version @include(if: $a) b: version @include(if: $b) c: version @include(if: $c) d: version @include(if: $d)"
    " } }"
)
_OTHERS = sorted(catalogue.shapes.keys() - {"CustomerRenamed"})[:10]
"""Events that nobody causes here: which of them somebody asks for makes a feed of its own."""
_RENAME = "mutation($input: CustomerRenameInput!) { customerRename(input: $input) { position } }"
_REGISTER = "mutation($input: CustomerRegisterInput!) { customerRegister(input: $input) { customer { id } } }"
_SENT = re.compile(r"at (\d+\.\d+)")
"""Each command renames a record to the moment that it was sent at."""


class Round(NamedTuple):
    took: list[float]
    """Seconds from the sending of a command until a subscriber had been told, of each message."""
    cpu: float
    """Seconds of the server process."""
    resident: float


def run(laboratory: Laboratory) -> Section:
    subscribers, commands = (1_000, 40) if laboratory.scale.rounds > 1 else (100, 4)
    found: dict[str, list[Round]] = {"shared": [], "apart": []}
    with laboratory.database() as conninfo, serving(settings(laboratory.folder / "live", conninfo)) as served:
        client, before = Client(served.port), served.resident
        records = [_register(client, number) for number in range(_RECORDS)]
        for turn in range(laboratory.scale.rounds):
            for way, rounds in found.items():
                laboratory.say(f"live: round {turn + 1}, {way}")
                apart = way == "apart"
                audience = _Audience(served, records, subscribers // 5 if apart else subscribers, apart=apart)
                rounds.append(asyncio.run(audience.listen(commands // 2 if apart else commands)))
    figures: list[Figure] = []
    for way, name in (("shared", "evaluated once for all"), ("apart", "evaluated for each of a fifth of them")):
        rounds = found[way]
        took = sorted(1000 * one for each in rounds for one in each.took)
        figures += [
            Figure(f"{name}: p50", statistics.median(took), "ms"),
            Figure(f"{name}: p95", took[int(0.95 * len(took))], "ms"),
            Figure(f"{name}: CPU of a message", 1e6 * _cpu(rounds), "µs"),
            Figure(f"{name}: memory", statistics.median(one.resident for one in rounds), "MB"),
        ]
    ratio = _cpu(found["apart"]) / _cpu(found["shared"])
    return Section(
        "Live",
        [*figures, Figure("CPU of a message, for each against once for all", ratio, "x", Goal(5, "at least"))],
        [
            (
                f"{subscribers:,} WebSocket subscriptions, {_PER_CONNECTION} a connection: four in five follow the same"
                f" `changes`, the others one of {_RECORDS} customers, while {_WRITERS} clients rename these,"
                f" {_PAUSE} s apart. From the"
                " sending of the mutation to the arrival of each message; the listening client is one Python process"
                " on the same cores, and its time is in these figures. CPU is the server's, commands and projections"
                " included. Evaluated for each, as it was before, is what happens where each asks for something else; a"
                f" thousand of these bring the server down. Before anybody subscribed the server held {before:.0f} MB."
            )
        ],
    )


class _Audience:
    """So many subscribers, each asking for something else or all the same."""

    def __init__(self, served: Served, records: Sequence[str], subscribers: int, *, apart: bool) -> None:
        self._served, self._records, self._subscribers, self._apart = served, records, subscribers, apart
        self._took: list[float] = []
        self._from_feed = 0
        self._failure: str | None = None
        self._begun = set[str]()
        """What messages of subscriptions begin with that have told where they begin."""
        self._numbers, self._news = count(), asyncio.Event()

    async def listen(self, commands: int) -> Round:
        async with AsyncExitStack() as stack:
            sockets = [await self._connected(stack) for _ in range(self._subscribers // _PER_CONNECTION)]
            listening = [asyncio.create_task(self._hear(socket)) for socket in sockets]
            feeds = 0
            for socket in sockets:
                for _ in range(_PER_CONNECTION):
                    feeds += await self._subscribe(socket)
            await self._heard(lambda: len(self._begun) == self._subscribers)
            before = cpu_seconds(self._served.process)
            await asyncio.gather(*(asyncio.to_thread(self._write, commands) for _ in range(_WRITERS)))
            await self._heard(lambda: self._from_feed >= feeds * _WRITERS * commands)
            after = cpu_seconds(self._served.process)
            resident = self._served.resident
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
        return Round(self._took, sum(after.values()) - sum(before.values()), resident)

    async def _connected(self, stack: AsyncExitStack) -> ClientConnection:
        address = f"ws://127.0.0.1:{self._served.port}/graphql"
        socket = await stack.enter_async_context(
            connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], max_queue=None, compression=None)
        )
        await socket.send(msgspec.json.encode(_INIT).decode())
        await socket.recv()
        return socket

    async def _subscribe(self, socket: ClientConnection) -> bool:
        """Whether it is the feed that is followed."""
        number = next(self._numbers)
        own = number if self._apart else 0
        feed = number % 5 != 0
        if feed:
            others = [name for bit, name in enumerate(_OTHERS) if own >> bit & 1]
            payload = {"query": _FEED, "variables": {"types": ["CustomerRenamed", *others]}}
        else:
            chosen = {name: bool(own // 5 // _RECORDS >> bit & 1) for bit, name in enumerate("abcd")}
            payload = {"query": _RECORD, "variables": {"id": self._records[number // 5 % _RECORDS], **chosen}}
        await socket.send(msgspec.json.encode({"type": "subscribe", "id": str(number), "payload": payload}).decode())
        return feed

    async def _hear(self, socket: ClientConnection) -> None:
        async for text in socket:
            now = time.perf_counter()
            assert isinstance(text, str)
            if '"type":"next"' not in text:
                self._failure = text
            if "CustomerRenamed" in text:
                self._from_feed += 1
                self._took.append(now - float(_SENT.findall(text)[-1]))
            elif (id := text.partition(",")[0]) in self._begun:
                self._took.append(now - float(_SENT.findall(text)[-1]))
            else:
                self._begun.add(id)
            self._news.set()

    async def _heard(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(300):
            while not enough():
                if self._failure is not None:
                    raise RuntimeError(f"a subscriber was told: {self._failure}")
                self._news.clear()
                await self._news.wait()

    def _write(self, commands: int) -> None:
        client = Client(self._served.port)
        for at in range(commands):
            name = f"at {time.perf_counter():.6f}"
            renamed = {"idempotencyKey": str(uuid4()), "id": self._records[at % _RECORDS], "name": name}
            client.ask(_RENAME, {"input": renamed})
            time.sleep(_PAUSE)


_INIT = {"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}}


def _register(client: Client, number: int) -> str:
    new = {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": f"Person {number}"}
    registered: str = client.ask(_REGISTER, {"input": new})["customerRegister"]["customer"]["id"]
    return registered


def _cpu(rounds: Sequence[Round]) -> float:
    return statistics.median(one.cpu / len(one.took) for one in rounds)
