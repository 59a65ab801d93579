"""The processes that answer: what becomes of the server where its workers can't start, and when it is open."""

import os
import signal
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp
from uvicorn.supervisors.multiprocess import SIGNALS

from api.processes import answer


class Broken(Exception):
    """Why a worker can't start."""


def _refuse() -> None:
    raise Broken


@asynccontextmanager
async def _failing(_app: Starlette) -> AsyncGenerator[None]:
    _refuse()
    yield


def broken() -> ASGIApp:
    """An application whose beginning fails."""
    return Starlette(lifespan=_failing)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where to listen; the handlers of signals are put back."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_workers_that_cannot_start_are_no_success_and_nothing_is_announced(listener: socket.socket) -> None:
    said: list[str] = []
    assert not answer(broken, listener, (), 2, lambda: said.append("open"))
    assert said == []


def test_it_is_open_once_a_worker_answers_and_a_signal_ends_it_well(listener: socket.socket) -> None:
    said: list[str] = []

    def opened() -> None:
        said.append("open")
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said.append(client.recv(100).decode().splitlines()[0])
        os.kill(os.getpid(), signal.SIGTERM)

    assert answer(Starlette, listener, (), 2, opened)
    assert said == ["open", "HTTP/1.1 404 Not Found"]
