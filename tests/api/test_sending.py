"""How responses leave: to the byte as uvicorn alone would send them, and whole ones with one system call."""

import asyncio
import logging
from itertools import product
from typing import Any, cast

import pytest
from starlette.types import Message
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.sending import Sending

pytestmark = pytest.mark.anyio

Header = tuple[bytes, bytes]
LENGTH: Header = (b"content-length", b"5")
BODY = {"type": "http.response.body", "body": b"hello"}
HEADERS: tuple[list[Header], ...] = (
    [LENGTH],
    [LENGTH, (b"content-type", b"application/json"), (b"vary", b"Accept, Authorization")],
    [(b"x-tab", b"a\tb"), (b"x-latin", "é".encode("latin-1")), LENGTH, (b"x-empty", b"")],
    [LENGTH, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")],
    [(b"Content-Type", b"text/plain"), LENGTH],
    [LENGTH, (b"connection", b"close")],
    [LENGTH, (b"connection", b"keep-alive, close")],
    [(b"content-length", b"4")],
    [(b"content-length", b"6")],
    [(b"content-length", b"05")],
    [(b"transfer-encoding", b"chunked")],
    [(b"content-length", b"4"), (b"content-length", b"5")],
    [],
)
FORBIDDEN: tuple[Header, ...] = (
    *((b"x-value", b"a%cb" % control) for control in (*range(9), *range(10, 32), 127)),
    *((b"x%cname" % letter, b"value") for letter in b'\0\r\n\t ()<>@,;:\\[]={}"'),
    (b"x-value", b"a\r\nset-cookie: b"),
    (b"x-value", b"a\n"),
)


class Wire(asyncio.Transport):
    """Notes what is written to it; a list for each system call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.closed = list[bytes](), False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        if self.closed:
            raise RuntimeError("unable to perform operation; the handler is closed")  # as uvloop has it
        self.calls.append(b"".join(list_of_data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Exchange:
    """One request, and what is said in answer to it."""

    def __init__(self, method: str = "GET", *, keep_alive: bool = True) -> None:
        self.wire, self.completed, log = Wire(), list[bool](), logging.getLogger("nobody")
        self.cycle = RequestResponseCycle(
            scope=cast("Any", {"type": "http", "method": method, "http_version": "1.1"}),
            transport=self.wire,
            flow=FlowControl(self.wire),
            logger=log,
            access_logger=log,
            access_log=False,
            default_headers=[(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=lambda: self.completed.append(True),
        )

    async def told(self, send: Any, messages: list[Message]) -> object:
        """All that can be seen of it from outside."""
        refused = None
        try:
            for message in messages:
                await send(dict(message))
        except RuntimeError as error:
            refused = str(error)
        cycle = self.cycle
        sent = (b"".join(self.wire.calls), self.wire.closed, len(self.completed), cycle.message_event.is_set())
        return refused, sent, cycle.response_started, cycle.response_complete


def start(headers: list[Header], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


async def by_uvicorn(messages: list[Message], *args: Any, **named: Any) -> object:
    alone = Exchange(*args, **named)
    return await alone.told(alone.cycle.send, messages)


async def by_us(messages: list[Message], *args: Any, **named: Any) -> object:
    ours = Exchange(*args, **named)
    return await ours.told(Sending(ours.cycle, cast("Any", ours.cycle.send)), messages)


ENDINGS: tuple[list[Message], ...] = (
    [BODY],
    [{**BODY, "body": b"he", "more_body": True}, {**BODY, "body": b"llo"}],
    [{**BODY, "more_body": True}, {**BODY, "body": b""}],
    [BODY, BODY],
    [{"type": "http.response.body"}],
    [start([LENGTH]), BODY],
)


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_is_sent_is_what_uvicorn_sends(headers: list[Header], ending: list[Message]) -> None:
    for method, keep_alive, status in product(("GET", "POST", "HEAD"), (True, False), (200, 404, 503)):
        messages = [start(headers, status), *ending]
        expected = await by_uvicorn(messages, method, keep_alive=keep_alive)
        assert await by_us(messages, method, keep_alive=keep_alive) == expected


@pytest.mark.parametrize("header", FORBIDDEN)
async def test_what_may_not_stand_in_a_header_is_refused(header: Header) -> None:
    messages = [start([LENGTH, header]), BODY]
    refused, (sent, *_), *_ = cast("Any", await by_us(messages))
    assert refused in ("Invalid HTTP header name.", "Invalid HTTP header value.")
    assert sent == b""


async def test_a_whole_response_takes_one_system_call() -> None:
    ours = Exchange("POST")
    await ours.told(Sending(ours.cycle, cast("Any", ours.cycle.send)), [start(HEADERS[1]), BODY])
    assert len(ours.wire.calls) == 1


async def test_the_head_of_a_stream_does_not_wait_for_its_body() -> None:
    ours = Exchange()
    await ours.told(Sending(ours.cycle, cast("Any", ours.cycle.send)), [start([(b"content-type", b"text/x")])])
    assert ours.wire.calls


async def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    ours = Exchange()
    ours.cycle.disconnected = True
    await ours.told(Sending(ours.cycle, cast("Any", ours.cycle.send)), [start([LENGTH]), BODY])
    assert (ours.wire.calls, ours.completed) == ([], [])


async def test_nothing_is_written_on_a_connection_that_is_being_closed(caplog: pytest.LogCaptureFixture) -> None:
    """As where something that is no HTTP came behind the request."""
    ours = Exchange()
    ours.wire.close()

    async def answering(_scope: object, _receive: object, send: Any) -> None:
        await ours.told(Sending(ours.cycle, send), [start([LENGTH]), BODY])

    with caplog.at_level(logging.ERROR):
        await ours.cycle.run_asgi(cast("Any", answering))
    assert (caplog.records, ours.wire.calls, ours.completed) == ([], [], [])


async def test_a_slow_client_is_waited_for() -> None:
    ours = Exchange()
    ours.cycle.flow.pause_writing()
    sending = Sending(ours.cycle, cast("Any", ours.cycle.send))
    told = asyncio.create_task(ours.told(sending, [start([LENGTH]), BODY]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ours.wire.calls == []
    ours.cycle.flow.resume_writing()
    await told
    assert len(ours.wire.calls) == 1
