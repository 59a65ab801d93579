"""The real server on a loopback port, and a client of the protocol graphql-transport-ws."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
import uvicorn
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from api.departure import cut_stalled
from api.receiving import Conversing, Receiving
from api.server import MOST_MESSAGE_BYTES
from tests.api.book import HEADERS, TOKEN, make_app, why

PATIENCE = 20.0
"""Seconds that a test waits for a message before it fails."""


def until(true: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.01)


class Operator:
    """What the administrator's token says to a server that listens on this host."""

    def __init__(self, port: int, headers: Mapping[str, str] = HEADERS) -> None:
        self.port, self.origin, self._headers = port, f"http://127.0.0.1:{port}", headers

    def post(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._asked(query, variables or {})
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def _asked(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = httpx.post(
            f"{self.origin}/graphql", json=body, headers=self._headers, timeout=PATIENCE
        ).json()
        return answer

    def mutate(self, mutation: str, selection: str = "position userErrors { message }", **given: Any) -> dict[str, Any]:
        name = mutation[0].upper() + mutation[1:] + "Input"
        document = f"mutation M($input: {name}!) {{ {mutation}(input: $input) {{ {selection} }} }}"
        data = self.post(document, {"input": {"idempotencyKey": str(uuid4()), **why(mutation), **given}})
        payload: dict[str, Any] = data[mutation]
        assert not payload.get("userErrors"), payload
        return payload

    def until_answered(self) -> None:
        """Ask until connections to the database that are broken were found out."""
        until(lambda: "errors" not in self._asked("{ position }", {}))

    def token(self, *permissions: str) -> dict[str, str]:
        """Headers of somebody who may do this everywhere."""
        grants = [{"permission": one, "scope": "ALL"} for one in permissions]
        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        payload = self.mutate("apiTokenIssue", "secret", name="somebody", grants=grants, expiresAt=until)
        return {"Authorization": f"Bearer {payload['secret']}"}

    def customer(self, name: str) -> str:
        """A new person; returns the id."""
        payload = self.mutate("customerRegister", "customer { id }", kind="PERSON", name=name)
        id: str = payload["customer"]["id"]
        return id


class Server(Operator):
    """A running server."""

    def __init__(self, port: int, server: uvicorn.Server) -> None:
        super().__init__(port)
        self.uvicorn = server

    def socket(self, **options: Any) -> ClientConnection:
        options.setdefault("subprotocols", [Subprotocol("graphql-transport-ws")])
        websocket: ClientConnection = connect(f"ws://127.0.0.1:{self.port}/graphql", open_timeout=PATIENCE, **options)
        return websocket

    @contextmanager
    def connected(self) -> Iterator["Socket"]:
        with self.socket() as websocket:
            client = Socket(websocket)
            client.send(type="connection_init", payload={"Authorization": f"Bearer {TOKEN}"})
            assert client.receive() == {"type": "connection_ack"}
            yield client


class Socket:
    """One connection; operations are told apart by their ids."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket

    def send(self, **message: Any) -> Self:
        self.websocket.send(json.dumps(message))
        return self

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.websocket.recv(timeout=PATIENCE))
        return message

    def subscribe(self, query: str, variables: dict[str, Any] | None = None, *, id: str = "1") -> Self:
        return self.send(id=id, type="subscribe", payload={"query": query, "variables": variables})

    def next(self, field: str) -> Any:
        """What the next message says of a subscription's field."""
        message = self.receive()
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"][field]


@contextmanager
def listening(database: str, directory: Path, **options: Any) -> Iterator[Server]:
    """The application behind uvicorn, in a thread, on a free port. Whoever connects early waits until it has begun."""
    app = make_app(database, directory, **options)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cut_stalled(listener)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=Receiving,
                ws=Conversing,
                log_config=None,
                ws_max_size=MOST_MESSAGE_BYTES,
                ws_per_message_deflate=False,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield Server(listener.getsockname()[1], server)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the server did not stop"
