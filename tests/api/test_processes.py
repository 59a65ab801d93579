"""The processes that answer: what becomes of the server where its workers can't start, and when it is open."""

import os
import signal
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from inspect import signature

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.supervisors.multiprocess import SIGNALS

from api.processes import answer
from tests.faults.processes import until


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


async def _outlast(request: Request) -> PlainTextResponse:
    address = request.scope["server"]
    os.kill(os.getppid(), signal.SIGTERM)
    await anyio.to_thread.run_sync(until, lambda: _refused(address), "who comes now is refused")
    return PlainTextResponse("done")


def _refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def outlasting() -> ASGIApp:
    """An application that tells its server to stop, and answers once nobody else can connect."""
    return Starlette(routes=[Route("/", _outlast)])


def test_while_workers_finish_what_is_under_way_nobody_waits_who_comes_later(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert answer(outlasting, listener, (), 2, lambda: client.sendall(request))
        said = client.recv(1000).decode()
    assert (said.splitlines()[0], said[-4:]) == ("HTTP/1.1 200 OK", "done")


class Late:
    """An application that a worker reads for longer than uvicorn waits for a word of it, as where it imports much on a
    busy machine. A third worker, where two were to be started, ends it all."""

    started = 0

    def __call__(self) -> ASGIApp:
        return Starlette()

    def __reduce__(self) -> tuple[object, ...]:
        self.started += 1
        if self.started > 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return _read_late, ()


def _read_late() -> Late:
    time.sleep(signature(uvicorn.Config).parameters["timeout_worker_healthcheck"].default + 2)
    return Late()


def test_workers_that_are_slow_to_start_are_waited_for(listener: socket.socket) -> None:
    said, late = list[str](), Late()

    def opened() -> None:
        said.append("open")
        os.kill(os.getpid(), signal.SIGTERM)

    assert answer(late, listener, (), 2, opened)
    assert (said, late.started) == (["open"], 2)
