"""Load: many connections that send one request again and again, driven by one thread that does next to nothing else."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import NamedTuple

import msgspec

_CHUNK = 256 * 1024
_LONGEST = 60.0


class Post(NamedTuple):
    """A request, and what its answer must be."""

    port: int
    head: bytes
    body: bytes
    right: Callable[[bytes], bool]
    """Whether the body of an answer is the right one."""

    @property
    def bytes(self) -> bytes:
        return self.head + self.body


class Loaded(NamedTuple):
    """What the clients saw."""

    answers: int
    seconds: float
    p50_ms: float
    p95_ms: float

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def post(
    port: int, path: str, asked: Mapping[str, object], headers: Mapping[str, str], right: Callable[[bytes], bool]
) -> Post:
    """A POST of JSON."""
    body = msgspec.json.encode(asked)
    named = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return Post(port, "\r\n".join([*lines, "", ""]).encode(), body, right)


class Connection:
    """A connection that stays open, for one request after the other."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=_LONGEST)

    def close(self) -> None:
        self._connection.close()

    def ask(self, one: Post) -> bytes:
        """The body of one answer. Raises RuntimeError where its status is not 200."""
        self._connection.sendall(one.bytes)
        received = bytearray()
        while (body := _body(received)) is None:
            _receive(self._connection, received)
        return body


def ask(one: Post) -> bytes:
    """The body of one answer. Raises RuntimeError where its status is not 200."""
    with closing(Connection(one.port)) as connection:
        return connection.ask(one)


def load(one: Post, clients: int, seconds: float, pace: float = 0) -> Loaded:
    """Every client sends as soon as it has its answer; or all together so many requests a second, `pace`, evenly, each
    by one that has its answer. Raises RuntimeError at the first answer that is not the right one.
    """
    took: list[float] = []
    # What waits in microseconds: where requests are paced, they are fractions of a millisecond apart.
    with selectors.SelectSelector() if pace else selectors.DefaultSelector() as selector:
        connections = [socket.create_connection(("127.0.0.1", one.port), timeout=_LONGEST) for _ in range(clients)]
        try:
            free = deque(_Client(connection, one) for connection in connections)
            for connection, client in zip(connections, free, strict=True):
                selector.register(connection, selectors.EVENT_READ, client)
            began = now = time.perf_counter()
            sent, until = 0, began + seconds
            while now < until or len(free) < clients:
                while free and now < until and (not pace or sent < (now - began) * pace):
                    free.popleft().send()
                    sent += 1
                wait = max(began + sent / pace - now, 0) if pace and free and now < until else _LONGEST
                ready = selector.select(wait)
                if not ready and wait == _LONGEST:
                    raise RuntimeError(f"{clients - len(free)} answers did not come within {_LONGEST:.0f} seconds")
                now = time.perf_counter()
                for key, _ in ready:
                    answered: _Client = key.data
                    if answered.receive():
                        took.append(time.perf_counter() - answered.sent)
                        free.append(answered)
            elapsed = time.perf_counter() - began
        finally:
            for connection in connections:
                connection.close()
    took.sort()
    return Loaded(len(took), elapsed, 1000 * took[len(took) // 2], 1000 * took[int(len(took) * 0.95)])


class _Client:
    """One connection that stays open."""

    def __init__(self, connection: socket.socket, one: Post) -> None:
        self._connection, self._one, self._bytes = connection, one, one.bytes
        self._received = bytearray()
        self.sent = 0.0

    def send(self) -> None:
        self._received.clear()
        self.sent = time.perf_counter()
        self._connection.sendall(self._bytes)

    def receive(self) -> bool:
        """Take what has come; whether the answer is complete."""
        _receive(self._connection, self._received)
        body = _body(self._received)
        if body is None:
            return False
        if not self._one.right(body):
            raise RuntimeError(f"not the right answer: {body[:500]!r}")
        return True


def _receive(connection: socket.socket, received: bytearray) -> None:
    some = connection.recv(_CHUNK)
    if not some:
        raise ConnectionError(f"the server closed a connection: {bytes(received[:500])!r}")
    received += some


def _body(received: bytearray) -> bytes | None:
    """The body of an answer that is complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    _, _, rest = head.partition(b"\r\ncontent-length:")
    if not head.startswith(b"http/1.1 200") or not rest:
        raise RuntimeError(f"the server said {bytes(received[:1_000])!r}")
    length = int(rest.partition(b"\r\n")[0])
    return bytes(received[end + 4 :]) if len(received) == end + 4 + length else None
