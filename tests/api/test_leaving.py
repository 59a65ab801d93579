"""Clients that leave while their mutation is under way: it takes effect all the same, once, and the server goes on."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.api.listening import Server, Socket, listening, until
from tests.api.test_live import request
from tests.held import POINTS, held

REGISTER = """mutation Register($new: CustomerRegisterInput!) {
  customerRegister(input: $new) { customer { id name } position userErrors { code } }
}"""


def complete(server: Server, stack: ExitStack, variables: dict[str, Any]) -> Callable[[], object]:
    client = stack.enter_context(server.connected()).subscribe(REGISTER, variables)

    def leave() -> None:
        client.send(id="1", type="complete")
        # Messages are taken in their order: the answer to this one says that the last was taken.
        client.subscribe("{ __typename }", id="2")
        assert client.next("__typename") == "Query"

    return leave


def close(server: Server, stack: ExitStack, variables: dict[str, Any]) -> Callable[[], object]:
    client = stack.enter_context(server.connected()).subscribe(REGISTER, variables)
    return partial(gone, server, client.websocket.close)


def drop(server: Server, stack: ExitStack, variables: dict[str, Any]) -> Callable[[], object]:
    """Without a word, as a laptop that is shut."""
    client: Socket = stack.enter_context(server.connected()).subscribe(REGISTER, variables)
    return partial(gone, server, lambda: client.websocket.socket.shutdown(socket.SHUT_RDWR))


def hang_up(server: Server, stack: ExitStack, variables: dict[str, Any], *, accept: str) -> Callable[[], object]:
    tcp = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
    tcp.sendall(request(REGISTER, variables, Accept=accept))
    return partial(gone, server, tcp.close)


def gone(server: Server, leave: Callable[[], object]) -> None:
    leave()
    until(lambda: not server.uvicorn.server_state.connections)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    "ask",
    [complete, close, drop, partial(hang_up, accept="text/event-stream"), partial(hang_up, accept="application/json")],
    ids=["complete", "close", "drop", "sse", "http"],
)
def test_a_mutation_whose_client_leaves_takes_effect_once(
    database: str,
    tmp_path: Path,
    ask: Callable[[Server, ExitStack, dict[str, Any]], Callable[[], object]],
    point: str,
) -> None:
    variables = {"new": {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": "Ada"}}
    with listening(database, tmp_path) as server, psycopg.connect(database, autocommit=True) as db:
        with ExitStack() as stack:
            with held(database, point) as waits:
                leave = ask(server, stack, variables)
                until(waits)
                leave()
            until(lambda: entries(db) == 1)
        again = server.post(REGISTER, variables)["customerRegister"]
        assert (again["position"], again["customer"]["name"], again["userErrors"]) == ("1", "Ada", [])
        assert entries(db) == 1, "the same key: the first receipt"
        server.customer("Grace")
        assert entries(db) == 2


def test_a_server_that_stops_finishes_the_mutation_first(database: str, tmp_path: Path) -> None:
    variables = {"new": {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": "Ada"}}
    with listening(database, tmp_path) as server, held(database, "it is decided") as waits:
        with server.connected() as client:
            client.subscribe(REGISTER, variables)
            until(waits)
            server.uvicorn.should_exit = True
            until(lambda: not server.uvicorn.server_state.connections)
    with psycopg.connect(database) as db:
        assert entries(db) == 1


def entries(db: psycopg.Connection[Any]) -> int:
    [(count,)] = db.execute("SELECT count(*) FROM daybook.events").fetchall()
    return int(count)
