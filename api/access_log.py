"""The access log: a line of JSON for each request and each operation over a WebSocket, on standard error.

It says who asked for what kind of thing and how it went; never the document, its variables, a header or an answer.
"""

import logging
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.serving import Request

REQUEST = "daybook.request"
"""Where in its scope a request of ours is found, once there is one."""
WEBSOCKET = "WEBSOCKET"
"""The method of a connection, and of what is sent over it."""

_LOG = logging.getLogger("daybook.access")
_PATHS = frozenset(("/graphql", "/healthz", "/readyz", "/metrics"))
"""Other paths are not written down: nothing is there, and whoever asks may have put anything into them."""
_LONGEST_NAME = 80
"""Characters of an operation's name, which clients choose."""


class Line(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is told of a request; null is what there was none of."""

    time: str
    """Of its end, in UTC."""
    request_id: str | None = None
    actor: str | None = None
    """Null: nobody whom we know."""
    on_behalf_of: str | None = None
    """For whom a mutation was, where it was for somebody else."""
    method: str
    path: str
    operation: str | None = None
    """query, mutation or subscription."""
    name: str | None = None
    """Of the operation."""
    codes: Sequence[str] = ()
    """Of the errors that were answered."""
    status: int | None = None
    """Null: an operation over a WebSocket, which has none."""
    closed: int | None = None
    """The code that a WebSocket was closed with, by whichever side."""
    ms: float
    cost: int | None = None
    position: str | None = None
    """That the answer reflects."""


class AccessLog:
    """Writes the line of each HTTP request, and of each WebSocket when it is closed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun, websocket = time.perf_counter(), scope["type"] == "websocket"
        status = 403 if websocket else 500  # what the server answers where nobody else has
        closed: int | None = None

        async def hearing() -> Message:
            nonlocal closed
            message = await receive()
            if message["type"] == "websocket.disconnect" and closed is None:
                closed = message["code"]
            return message

        async def noting(message: Message) -> None:
            nonlocal status, closed
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            elif message["type"] == "websocket.close" and status == 101:  # before that, it refuses the handshake
                closed = message["code"]
            await send(message)

        try:
            await self._app(scope, hearing if websocket else receive, noting)
        finally:
            method = WEBSOCKET if websocket else scope["method"]
            write(scope.get(REQUEST), begun, method, scope["path"], status, closed)


def write(
    request: Request | None,
    begun: float,
    method: str = WEBSOCKET,
    path: str = "/graphql",
    status: int | None = None,
    closed: int | None = None,
) -> None:
    """A request has ended, or an operation over a WebSocket; `begun` by the performance counter."""
    if not _LOG.isEnabledFor(logging.INFO):
        return
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    ms = round((time.perf_counter() - begun) * 1000, 1)
    where = path if path in _PATHS else "(another)"
    if request is None:
        line = Line(time=now, method=method, path=where, status=status, closed=closed, ms=ms)
    else:
        operation = request.operation
        line = Line(
            time=now,
            request_id=request.id,
            actor=request.actor if request.authorised else None,
            on_behalf_of=request.on_behalf_of,
            method=method,
            path=where,
            operation=operation.operation.value if operation else None,
            name=operation.name.value[:_LONGEST_NAME] if operation and operation.name else None,
            codes=request.codes,
            status=status,
            closed=closed,
            ms=ms,
            cost=request.cost,
            position=request.position,
        )
    _LOG.info(msgspec.json.encode(line).decode())


@asynccontextmanager
async def opened_access_log(*, wanted: bool) -> AsyncGenerator[None]:
    """The log, open for as long as the block lasts, where it is wanted."""
    if not wanted:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level, propagate = _LOG.level, _LOG.propagate
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False  # whoever formats other lines may do as they please
    try:
        yield
    finally:
        _LOG.removeHandler(handler)
        _LOG.setLevel(level)
        _LOG.propagate = propagate
