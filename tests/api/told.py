"""Somebody who asks and follows, and what they are told, written without what may differ between two worlds."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Queue
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from graphql import GraphQLObjectType

from api.schema import the_schema
from domain.kernel import parse_type_id
from tests.api.attempts import everything
from tests.api.listening import PATIENCE, Socket

LEFT_OUT = {
    "eventId", "correlationId", "causationId", "requestId",  # made anew for each entry and request
    "recordedAt", "occurredAt",  # the worlds are told one after the other
    "number",  # of a ticket; declared: one sequence for all
}  # fmt: skip
"""Fields that may differ, by name. Versions may not: a record's own entries are as many in both worlds."""
SAID_TO_BE_THERE = {"position"}
"""Declared, too: the book is longer where more happened. That there is a position, or none, is told alike."""

SCHEMA = the_schema()._schema


def reads(depth: int) -> tuple[str, ...]:
    """Queries for whatever is listed or counted, with all that it tells, so many levels down."""
    assert SCHEMA.query_type is not None
    fields = SCHEMA.query_type.fields
    return tuple(f"{{ {asked} {everything(fields[asked.partition('(')[0]].type, depth)} }}" for asked in _LISTED)


_LISTED = (
    "customers(first: 50)", "opportunities(first: 50)", "tickets(first: 50)", "staffMembers(first: 50)",
    "teams(first: 50)", "queues(first: 50)", "roles(first: 50)", "apiTokens(first: 50)",
    "customerTotals", "opportunityTotals", "ticketTotals", "history(last: 40)",
)  # fmt: skip


class Plainly:
    """Writes what A is told without what may differ."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def written(self, told: Any) -> str:
        text = json.dumps(self._kept(told), sort_keys=True)
        return re.sub(r"[a-z_]+_[0-7][0-9a-hjkmnp-tv-z]{25}", lambda found: self._id(found[0]), text)

    def _kept(self, told: Any) -> Any:
        match told:
            case dict():
                return {
                    name: value is not None if name in SAID_TO_BE_THERE else self._kept(value)
                    for name, value in told.items()
                    if name not in LEFT_OUT
                } | ({"cursor": _opened(told["cursor"])} if "cursor" in told else {})
            case list():
                return [self._kept(one) for one in told]
            case _:
                return told

    def _id(self, id: str) -> str:
        """Ids of new records are random, and those of their parts are made of them, so they are named by their order;
        all others are the same in both worlds."""
        prefix, uuid = parse_type_id(id)
        return self._made.setdefault(id, f"{prefix} made {len(self._made)}") if uuid.version in _MADE else id


_MADE = (7, 8)
"""The versions of ids of new records, and of parts."""


def _opened(cursor: str) -> str:
    """What a cursor says: it ends with an id."""
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("latin-1")


class EventStreams:
    """Subscriptions over server-sent events, each by a request of its own; otherwise as a Socket."""

    def __init__(self, portal: BlockingPortal, http: httpx.AsyncClient) -> None:
        self._portal, self._http = portal, http
        self._messages = Queue[dict[str, Any]]()
        self._under_way = list[Future[None]]()

    def subscribe(self, query: str, *, id: str) -> None:
        self._under_way.append(self._portal.start_task_soon(self._follow, query, id))

    def receive(self) -> dict[str, Any]:
        return self._messages.get(timeout=PATIENCE)

    def end(self) -> None:
        for each in self._under_way:
            each.cancel()

    async def _follow(self, query: str, id: str) -> None:
        headers = {"Accept": "text/event-stream"}
        async with self._http.stream("POST", "/graphql", json={"query": query}, headers=headers) as response:
            async for line in response.aiter_lines():
                field, _, data = line.partition(": ")
                if field == "data" and data:
                    told = json.loads(data)
                    self._messages.put(
                        {"type": "next", "id": id, "payload": told if "data" in told else told["errors"]}
                    )


@contextmanager
def event_streams(origin: str, headers: httpx.Headers, cookies: httpx.Cookies) -> Iterator[EventStreams]:
    """For subscriptions of whoever has these cookies; they end with the block."""
    patience = httpx.Timeout(PATIENCE, read=None)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            httpx.AsyncClient(base_url=origin, headers=headers, cookies=cookies, timeout=patience)
        ) as http,
    ):
        streams = EventStreams(portal, http)
        try:
            yield streams
        finally:
            streams.end()


class A:
    """Signed in, with a connection, or several, on which everything is followed."""

    def __init__(self, http: httpx.Client, socket: Socket | EventStreams) -> None:
        self.http, self.socket = http, socket
        self.plainly, self.answers, self.streams = Plainly(), list[str](), dict[str, list[Any]]()

    def ask(self, query: str, variables: Any = None, at_least: str | None = None) -> dict[str, Any]:
        extensions = {"atLeast": at_least} if at_least else {}
        body = {"query": query, "variables": variables, "extensions": extensions}
        answer: dict[str, Any] = self.http.post("/graphql", json=body, timeout=PATIENCE).json()
        told = {name: answer[name] for name in ("data", "errors") if name in answer}
        self.answers.append(f"{query[:60]} {self.plainly.written([variables, told])}")
        return answer

    def follow(self, what: str, query: str) -> None:
        self.streams[what] = []
        self.socket.subscribe(query, id=what)
        self.hear(lambda: self.streams[what])

    def follow_record(self, kind: str, id: str) -> None:
        of = SCHEMA.subscription_type.fields[f"{kind}Changed"].type if SCHEMA.subscription_type else None
        assert isinstance(of, GraphQLObjectType)
        self.follow(id, f'subscription {{ told: {kind}Changed(id: "{id}") {everything(of, 1)} }}')

    def hear(self, enough: Callable[[], object]) -> None:
        """Take messages until there are enough."""
        while not enough():
            message = self.socket.receive()
            if message["type"] != "complete":
                self.streams[message["id"]].append(message["payload"])

    def heard_of(self, id: str, position: int) -> None:
        """Wait for what is to be told of a record after something happened to it: how it stands now, or null."""
        versions = " ".join(f"... on {name} {{ version }}" for name in ("Customer", "Opportunity", "Ticket"))
        query = f"query($id: ID!) {{ node(id: $id) {{ id {versions} }} }}"
        found = self.ask(query, {"id": id}, str(position))["data"]["node"]
        if id in self.streams:
            self.hear(lambda: self._is_told(self.streams[id][-1], found))
        if isinstance(self.streams["changes"][0], dict):  # else A may not follow all changes
            self.hear(lambda: int(self.streams["changes"][-1]["data"]["told"]["position"]) >= position)

    @staticmethod
    def _is_told(message: dict[str, Any], found: dict[str, Any] | None) -> bool:
        told = message["data"]["told"]
        return told is None if found is None else told is not None and told["version"] >= found["version"]
