"""A subscriber of `changes` that reconnects with its last cursor, and notices whatever is skipped or comes twice."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.faults.processes import TOKEN, until

FEED = """
    subscription ($after: Position) {
        changes(after: $after) { position change { position eventId aggregateId version } }
    }
"""


class Follower:
    """Follows the whole book through one of several servers, the next one each time that it has to reconnect."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = [url.replace("http://", "ws://") for url in urls]
        self.cursor = 0
        self.connections = 0
        self.complaints: list[str] = []
        self.seen: list[tuple[int, str, str, int]] = []
        """Position, event id, aggregate id and version of each entry, as they came."""
        self._closing = threading.Event()
        self._socket: ClientConnection | None = None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @contextmanager
    def following(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._closing.set()
            if self._socket is not None:
                self._socket.close()
            self._thread.join()
        assert not self.complaints, "\n".join(self.complaints)

    def wait_for(self, position: int) -> None:
        """Wait until it has seen the entry at a position."""
        until(lambda: self.complaints or self.cursor >= position, f"the subscriber has seen position {position}")
        assert not self.complaints, "\n".join(self.complaints)

    def _run(self) -> None:
        while not self._closing.is_set() and not self.complaints:
            url = self._urls[self.connections % len(self._urls)]
            self.connections += 1
            try:
                with connect(
                    url, subprotocols=[Subprotocol("graphql-transport-ws")], open_timeout=10, ping_interval=5
                ) as socket:
                    self._socket = socket
                    self._follow(socket)
            except (OSError, WebSocketException, InvalidHandshake, EOFError):
                self._closing.wait(0.1)

    def _follow(self, socket: ClientConnection) -> None:
        payload = {"Authorization": f"Bearer {TOKEN}"}
        socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        asked = {"query": FEED, "variables": {"after": str(self.cursor)}}
        for text in socket:
            message: dict[str, Any] = json.loads(text)
            match message["type"]:
                case "connection_ack":
                    socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": asked}))
                case "next":
                    self.take(message["payload"])
                case "ping":
                    socket.send(json.dumps({"type": "pong"}))
                case "error":
                    if any(one["extensions"]["code"] != "UNAVAILABLE" for one in message["payload"]):
                        self.complaints.append(f"after {self.cursor}: {message}")
                    return
                case _:
                    return
            if self.complaints:
                return

    def take(self, payload: dict[str, Any]) -> None:
        """Judge one message of the feed."""
        if payload.get("errors"):
            self.complaints.append(f"after {self.cursor}: {payload}")
            return
        told = payload["data"]["changes"]
        position, change = int(told["position"]), told["change"]
        # Nothing is filtered, so an entry is the next one, and a mark passes nothing.
        if position != self.cursor + (change is not None):
            self.complaints.append(f"after position {self.cursor} came {told}")
        elif change is not None:
            self.seen.append((position, change["eventId"], change["aggregateId"], change["version"]))
            self.cursor = position
