"""How a request arrives: how large its head may be, and how long it may take. uvicorn itself knows no end of either.

A client that sends a byte a minute would otherwise keep a connection, and what it has sent so far, for ever.
"""

import asyncio
import sys
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, cast

from httptools import HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

from api.authentication import SECURITY_HEADERS
from api.deadlines import Deadlines
from api.errors import RequestErrorCode, request_id
from api.sending import Sending

MOST_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers; a query over GET stands there too."""
DEADLINE = 30.0
"""Seconds from the opening of a connection, or from a request's first byte, until all of the request is there."""


LINGERING = 5.0
"""Seconds for which a WebSocket that broke the protocol may go on sending before it is cut."""


class Receiving(HttpToolsProtocol):
    """uvicorn's protocol, with an end to what it waits for. Give it to uvicorn as `http`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._silences = Deadlines(self.timeout_keep_alive)
        """Between two requests: uvicorn's own way takes a timer for each."""
        self._head = 0
        """Bytes of the head that have come."""
        self._head_ended = self._complete = self._handed_over = self._ends = False
        self._wish_ends: int | None = None
        """Where in what has come a head ends whose wish for another protocol is passed over."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handed_over = True
        self._wait()
        super().connection_lost(exc)
        self._silences.close()

    def data_received(self, data: bytes) -> None:
        while data:
            if not self._head_ended:
                self._head += len(data)
            self._wish_ends = None
            super().data_received(data)
            data = b"" if self._wish_ends is None else self._head_without_wish() + data[self._wish_ends :]
        # Headers are handed over one by one; of one that never ends, nothing is.
        if not self._head_ended and self._head > MOST_HEAD_BYTES:
            self.transport.close()
        self._wait()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn says one thing of all, in plain text
        unknown = isinstance(sys.exception(), HttpParserInvalidMethodError)
        response = _refusal(400, RequestErrorCode.BAD_REQUEST, _NO_METHOD if unknown else _NO_HTTP)
        lines = map(b": ".join, (*self.server_state.default_headers, *response.raw_headers))
        self.transport.write(STATUS_LINE[400] + b"\r\n".join((*lines, b"\r\n")) + bytes(response.body))
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_ended = self._complete = False

    def on_headers_complete(self) -> None:
        self._head_ended = True
        if self._passes_over():
            return
        app = self.app
        # What has come may hold some of the body too.
        if self._head > MOST_HEAD_BYTES and len(self.url) + sum(map(_length, self.headers)) > MOST_HEAD_BYTES:
            self.app = _too_large
        super().on_headers_complete()
        self.app = app

    def on_message_complete(self) -> None:
        self._complete, self._head, self._head_ended = True, 0, False
        if not self._passes_over():
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._handed_over = True  # the other protocol has deadlines of its own
        super().handle_websocket_upgrade()

    def _passes_over(self) -> bool:
        """Whether the client would like to go on in another protocol than ours, as Java's does in HTTP/2.

        HTTP has it that a server may pass that over. httptools reads no body then, so the request is read once more.
        """
        parser: HttpRequestParser = cast("Any", self.parser)  # uvicorn has none once the connection is lost
        return parser.should_upgrade() and parser.get_method() != b"CONNECT" and not self._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        if self._passes_over() and isinstance(found := sys.exception(), HttpParserUpgrade):
            self._wish_ends = found.args[0]

    def _head_without_wish(self) -> bytes:
        parser: HttpRequestParser = cast("Any", self.parser)
        first = b"%b %b HTTP/%b" % (parser.get_method(), self.url, parser.get_http_version().encode())
        lines = (b": ".join(header) for header in self.headers if header[0] != b"upgrade")
        # As uvicorn makes it. The former one reads nothing more where the client said that this was its last request.
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join((first, *lines, b"\r\n"))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        def answering(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            # Were the cycle to hold it, whatever belongs to the request would wait for the garbage collector.
            return app(scope, receive, Sending(cycle, send))

        super()._start_asgi_task(cycle, answering)  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            if self._ends:
                self._cut_off()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._silences.begin(self.timeout_keep_alive_handler)

    def shutdown(self) -> None:
        super().shutdown()
        self._ends = True
        self._cut_off()

    def _cut_off(self) -> None:
        """Where there is no end to wait for: of an event stream, which alone comes in pieces, and of who does not send
        all of a request. A request before that one is answered first.
        """
        cycle: RequestResponseCycle | None = self.cycle
        is_half = self._head_ended and not self.pipeline
        is_stream = cycle and cycle.response_started and not cycle.expected_content_length
        if cycle and not cycle.response_complete and (is_stream or is_half):
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        self._silences.end(self.timeout_keep_alive_handler)

    def _wait(self) -> None:
        """Have the deadline run while the next request, or the rest of this one, is to come; and then only."""
        if self._handed_over or (self._complete and not self.cycle.response_complete):
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            self._timer = self.loop.call_later(DEADLINE, self._too_late)

    def _too_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class Conversing(WebSocketsSansIOProtocol):
    """uvicorn's protocol of a WebSocket, whose client reads why it is sent away. Give it to uvicorn as `ws`.

    Closing a connection on which something unread has come makes TCP reset it, and the client loses the reason that was
    sent before. So what still comes is let go by until the client has read the end (RFC 9112, 9.6 has it of HTTP).
    """

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Of a request that can't be read, uvicorn is told nothing: it would wait for what never comes.
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            said = b"".join(self.conn.data_to_send())  # what it says of heads that are too large
            self.transport.write(said or self.conn.reject(HTTPStatus.BAD_REQUEST, _NO_HANDSHAKE).serialize())
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """uvicorn ends what is no UTF-8 too, and logs it as a fault of the server's, with a traceback."""
        data = b"".join(self.frames)
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(data):
            self.frames = []
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        failure = self.conn.close_sent
        if failure is None or self.close_sent:
            return
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": failure.code, "reason": failure.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.close_timer = self.loop.call_later(LINGERING, self.transport.close)


_NO_METHOD = "This is no method of HTTP. Send queries with GET or POST, all else with POST."
_NO_HTTP = "What was sent is no HTTP request that can be read."
_NO_HANDSHAKE = "Failed to open a WebSocket connection: the request is none that opens one.\n"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _length(header: tuple[bytes, bytes]) -> int:
    return len(header[0]) + len(header[1]) + len(b": \r\n")


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    message = f"The head of the request has more than {MOST_HEAD_BYTES:,} bytes. Send long queries with POST."
    await _refusal(431, RequestErrorCode.REQUEST_TOO_LARGE, message)(scope, receive, send)


def _refusal(status: int, code: RequestErrorCode, message: str) -> Response:
    """What is said of a request that reaches nobody else, and of the connection that it came over."""
    id = request_id()
    headers = {**SECURITY_HEADERS, "Daybook-Request-Id": id, "Connection": "close"}
    body = {"errors": [{"message": message, "extensions": {"code": code, "requestId": id}}]}
    return JSONResponse(body, status, headers=headers)
