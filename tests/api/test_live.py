"""Many who follow the same: one reading for all, no gap, no buffer for each; and nobody works for who has left."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from eventsourcing.domain import DomainEventProtocol
from websockets.exceptions import ConnectionClosed

from api import departure, following, live
from api.composition import assembled
from api.reading.reader import Reader
from domain.appending import Draft
from domain.customer import CustomerKind, CustomerRegistered, Relationship
from domain.kernel import new_id
from domain.kernel.recorded import Context
from infra.event_store import EventStore
from tests.api.book import HEADERS, TOKEN
from tests.api.listening import PATIENCE, Server, Socket, listening, until

CHANGES = "subscription($after: Position) { changes(after: $after) { position change { type aggregateId data } } }"
_ALIKE = " ".join(f"a{at}: data" for at in range(60))
LARGE = f"subscription($after: Position) {{ changes(after: $after) {{ position change {{ {_ALIKE} }} }} }}"
ENTRIES = 2_000
"""Told of in LARGE messages, more than 30 MB: sockets hold a part of it."""
FOLLOW = "subscription($id: ID!) { customerChanged(id: $id) { name version } }"


def counted(monkeypatch: pytest.MonkeyPatch, kind: type[Any], name: str) -> list[object]:
    """Calls of a method, which goes on doing what it does."""
    calls: list[object] = []
    original = getattr(kind, name)

    def call(self: object, *args: Any, **named: Any) -> Any:
        calls.append(args)
        return original(self, *args, **named)

    monkeypatch.setattr(kind, name, call)
    return calls


def fill(database: str, folder: Path, entries: int) -> None:
    """Customers straight into the book."""
    with assembled(database, folder / "master.key") as parts:
        for begin in range(0, entries, 500):
            drafts = [registered() for _ in range(begin, min(begin + 500, entries))]
            parts.daybook.events.put(cast("Sequence[DomainEventProtocol[UUID]]", drafts))


def registered() -> Draft:
    id = new_id()
    event = CustomerRegistered(
        kind=CustomerKind.PERSON, name="x" * 100, contact_points=(), owner=None, team=None, source=None,
        external_ids=(), language=None, relationship=Relationship.PROSPECT, parent=None, shared_email_reason=None,
    )  # fmt: skip
    context = Context(actor="test", idempotency_key=uuid4(), correlation_id=uuid4())
    return Draft(originator_id=id, originator_version=1, subject=id, event=event, context=context)


def test_the_feed_is_read_once_for_all_who_follow_it(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(database, tmp_path) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connected()) for _ in range(20)]
        for client in clients:
            for id in ("a", "b"):
                client.subscribe(CHANGES, {"after": "0" if id == "a" else None}, id=id)
                assert client.next("changes")["position"] == "0"
        reads = counted(monkeypatch, EventStore, "entries")
        for at in range(5):
            server.customer(f"Person {at}")
        for client in clients:
            told = [client.next("changes")["position"] for _ in range(10)]
            assert sorted(told) == sorted(2 * [str(at) for at in range(1, 6)])
        assert 1 <= len(reads) <= 5, "forty subscribers, and no stretch was read twice"


def test_a_record_is_read_once_for_all_who_follow_it(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(database, tmp_path) as server, ExitStack() as stack:
        id = server.customer("Ada")
        reads = counted(monkeypatch, Reader, "select")
        clients = [stack.enter_context(server.connected()) for _ in range(20)]
        for client in clients:
            client.subscribe(FOLLOW, {"id": id})
            assert client.next("customerChanged") == {"name": "Ada", "version": 1}
        assert len(reads) == 1, "who comes later and nothing has happened gets what is there"
        server.mutate("customerRename", "position", id=id, name="Ada King")
        for client in clients:
            assert client.next("customerChanged") == {"name": "Ada King", "version": 2}
        assert len(reads) == 2
        clients[0].subscribe("subscription($id: ID!) { customerChanged(id: $id) { version } }", {"id": id}, id="2")
        assert clients[0].next("customerChanged") == {"version": 2}, "another selection is another evaluation"
        assert len(reads) == 3


def test_messages_bear_the_id_of_their_own_operation(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, server.connected() as client:
        ids = ['"', "\\", "\n", "ß 東京 \U0001f9ff", "{}", ""]
        for id in ids:
            client.subscribe(CHANGES, id=id)
        assert [client.receive()["id"] for _ in ids] == ids
        server.customer("Ada")
        assert sorted(client.receive()["id"] for _ in ids) == sorted(ids)


@pytest.mark.parametrize("kept", [1, 2**20], ids=["little-kept", "much-kept"])
def test_whoever_comes_while_entries_come_sees_each_once(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(following, "KEPT", kept)
    monkeypatch.setattr(following, "AT_ONCE", 3)
    numbers, each, writers = Random(20261126), 40, 3
    with listening(database, tmp_path) as server:
        head, last = [0], each * writers

        def write(_: int) -> None:
            for _ in range(each):
                server.customer("Somebody")
                head[0] += 1

        def follow(seed: int) -> None:
            random = Random(seed)
            position = random.choice([0, head[0] // 2, head[0]])
            while position < last:
                with server.connected() as client:
                    client.subscribe(CHANGES, {"after": str(position)})
                    leaves_at = min(last, position + random.randint(1, 60))
                    assert client.next("changes") == {"position": str(position), "change": None}
                    while position < leaves_at:
                        message = client.receive()
                        if message["type"] == "error":  # told where to go on
                            (error,) = message["payload"]
                            assert error["extensions"]["code"] == "SLOW_CONSUMER"
                            assert error["extensions"]["after"] == str(position)
                            break
                        told = message["payload"]["data"]["changes"]
                        assert told["position"] == str(position + 1), "none skipped, none twice"
                        assert told["change"] is not None
                        position += 1

        with ThreadPoolExecutor(writers + 8) as pool:
            writing = [pool.submit(write, at) for at in range(writers)]
            following_ = [pool.submit(follow, numbers.randrange(2**32)) for _ in range(8)]
            for task in (*writing, *following_):
                task.result()


@contextmanager
def deaf(server: Server) -> Iterator[Socket]:
    """A client whose machine takes little ahead of what it reads."""
    with socket.socket() as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        tcp.connect(("127.0.0.1", server.port))
        with server.socket(sock=tcp, max_queue=1, ping_interval=None, close_timeout=1) as websocket:
            client = Socket(websocket).send(type="connection_init", payload={"Authorization": f"Bearer {TOKEN}"})
            assert client.receive() == {"type": "connection_ack"}
            yield client


def test_who_reads_nothing_costs_little_and_is_told_where_to_go_on(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, ExitStack() as stack:
        clients = [stack.enter_context(deaf(server)) for _ in range(8)]
        for client in clients:
            client.subscribe(LARGE, {"after": "0"})
            assert client.next("changes")["position"] == "0"
        with server.connected() as other:
            other.subscribe(LARGE, {"after": "0"})
            other.next("changes")
            before = psutil.Process().memory_info().rss
            writing = threading.Thread(target=partial(fill, database, tmp_path, ENTRIES))
            writing.start()
            position = 0
            while position < ENTRIES:
                position = int(other.next("changes")["position"])
            writing.join()
        grown = psutil.Process().memory_info().rss - before
        assert grown < 100 * 2**20, f"{grown / 2**20:.0f} MB for clients that were sent 30 MB each"
        taken, client = 0, clients[0]
        while (message := client.receive())["type"] == "next":
            assert int(message["payload"]["data"]["changes"]["position"]) == taken + 1
            taken += 1
        assert message["type"] == "error"
        (error,) = message["payload"]
        assert (error["extensions"]["code"], error["extensions"]["after"]) == ("SLOW_CONSUMER", str(taken))
        assert 0 < taken < ENTRIES
        client.subscribe(LARGE, {"after": error["extensions"]["after"]}, id="again")
        assert client.next("changes")["position"] == str(taken)
        while taken < ENTRIES:
            assert int(client.next("changes")["position"]) == taken + 1
            taken += 1


def test_a_connection_that_takes_nothing_is_cut(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "STALLED", 1)
    with listening(database, tmp_path) as server:
        with ExitStack() as stack:
            websockets = [stack.enter_context(deaf(server)) for _ in range(2)]
            for client in websockets:
                client.subscribe(LARGE, {"after": "0"})
            tcp = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            tcp.sendall(request(LARGE, {"after": "0"}, Accept="text/event-stream"))
            until(lambda: len(server.uvicorn.server_state.connections) >= 3)
            fill(database, tmp_path, ENTRIES)
            until(lambda: not server.uvicorn.server_state.connections)
            until(lambda: not server.uvicorn.server_state.tasks)


def request(query: str, variables: dict[str, Any] | None = None, **headers: str) -> bytes:
    sent = httpx.Request("POST", "http://127.0.0.1/graphql", json={"query": query, "variables": variables})
    lines = [f"{name}: {value}" for name, value in {**sent.headers, **HEADERS, **headers}.items()]
    return "\r\n".join(["POST /graphql HTTP/1.1", *lines, "", ""]).encode() + sent.read()


SLOW = "query Slow($n: Int!) { customers(first: $n) { nodes { name opportunities(first: 2) { nodes { title } } } } }"


@contextmanager
def locked(database: str) -> Iterator[Callable[[], bool]]:
    """Whoever reads customers waits; tells whether somebody does."""
    with psycopg.connect(database) as holder, psycopg.connect(database, autocommit=True) as watcher:
        holder.execute("LOCK TABLE daybook_read.customers IN ACCESS EXCLUSIVE MODE")

        def waits() -> bool:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event_type = 'Lock'"
            return bool(
                watcher.execute(asked + " AND query LIKE 'select%' AND datname = current_database()").fetchone() != (0,)
            )

        yield waits


def ask_over_http(server: Server, stack: ExitStack, accept: str) -> Callable[[], object]:
    tcp = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
    tcp.sendall(request(SLOW, {"n": 5}, Accept=accept))
    return tcp.close


def ask_over_a_websocket(
    server: Server, stack: ExitStack, *, query: str = SLOW, complete: bool
) -> Callable[[], object]:
    client = stack.enter_context(server.connected())
    client.subscribe(query, {"n": 5, "id": "cus_01h455vb4pex5vsknk084sn02q"})
    return partial(client.send, id="1", type="complete") if complete else client.websocket.close


@pytest.mark.parametrize(
    "ask",
    [
        partial(ask_over_http, accept="application/json"),
        partial(ask_over_http, accept="text/event-stream"),
        partial(ask_over_a_websocket, complete=False),
        partial(ask_over_a_websocket, complete=True),
        partial(ask_over_a_websocket, query=FOLLOW, complete=False),
        partial(ask_over_a_websocket, query=FOLLOW, complete=True),
    ],
    ids=["http", "sse", "websocket", "complete", "followed-websocket", "followed-complete"],
)
def test_who_leaves_cancels_what_runs_in_the_database(
    database: str, tmp_path: Path, ask: Callable[[Server, ExitStack], Callable[[], object]]
) -> None:
    with listening(database, tmp_path) as server:
        server.customer("Ada")
        with locked(database) as waits, ExitStack() as stack:
            for _ in range(12):  # more often than the pool has connections: none is lost
                leave = ask(server, stack)
                until(waits)
                began = time.monotonic()
                leave()
                until(lambda: not waits())
                assert time.monotonic() - began < 5, "long before the statement's deadline"
        assert server.post(SLOW, {"n": 5})["customers"]["nodes"][0]["name"] == "Ada"


def test_a_connection_has_so_many_operations_and_is_told_so(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server, server.connected() as client:
        for at in range(live.MOST_SUBSCRIPTIONS):
            client.subscribe(CHANGES, id=str(at))
            client.receive()
        message = client.subscribe(CHANGES, id="one more").receive()
        assert (message["id"], message["type"]) == ("one more", "error")
        assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
        client.send(type="complete", id="0")
        client.subscribe("{ __typename }", id="now")
        assert client.next("__typename") == "Query"


def test_who_does_not_say_who_it_is_in_time_is_sent_away(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE", timedelta(seconds=0.05))
    with listening(database, tmp_path, projections=False) as server, server.socket() as websocket:
        with pytest.raises(ConnectionClosed, match="4408"):
            websocket.recv(timeout=PATIENCE)
