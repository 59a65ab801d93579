"""Server-sent events: an operation's answers over plain HTTP, by the protocol GraphQL over SSE, distinct connections
(https://github.com/graphql/graphql-over-http, https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md).
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, aclosing, nullcontext

import anyio
from starlette.types import Receive, Scope, Send

from api.execution import Answer

EVENTS = "text/event-stream"
KEEP_ALIVE = 12.0
"""Seconds of silence after which a comment is sent, so that nobody on the way takes the stream for dead."""

Watched = Callable[[Callable[[Answer], None]], AbstractContextManager[object]]
"""What watches over whether the client is still let in: it ends the stream with a last answer where not."""

_COMPLETE = b"event: complete\ndata:\n\n"
_COMMENT = b":\n\n"


class EventStream:
    """A response that begins with an answer that is there, and goes on until its stream or its client has gone."""

    def __init__(
        self,
        first: Answer,
        rest: AsyncGenerator[Answer, None] | None,
        headers: Iterable[tuple[bytes, bytes]],
        watched: Watched = lambda _end: nullcontext(),
    ) -> None:
        self._first, self._rest, self._watched = [first], rest, watched
        media_type = (b"content-type", f"{EVENTS}; charset=utf-8".encode())
        self._headers = [media_type, (b"x-accel-buffering", b"no"), *headers]
        self._sent_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        async with aclosing(self._answers()) as answers, anyio.create_task_group() as group:
            group.start_soon(self._until_gone, receive, group.cancel_scope)
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            group.start_soon(self._keep_alive, send)
            last: list[Answer] = []
            with anyio.CancelScope() as answering:

                def end(answer: Answer) -> None:
                    last.append(answer)
                    answering.cancel()

                with self._watched(end):
                    async for answer in answers:
                        await self._next(send, answer)
            for answer in last:
                await self._next(send, answer)
            await send({"type": "http.response.body", "body": _COMPLETE})
            group.cancel_scope.cancel()

    async def _answers(self) -> AsyncGenerator[Answer, None]:
        yield self._first.pop()  # a stream may last for days, and what it began with be erased meanwhile
        if self._rest is not None:
            async with aclosing(self._rest) as rest:
                async for answer in rest:
                    yield answer

    async def _next(self, send: Send, answer: Answer) -> None:
        await self._send(send, b"event: next\ndata: " + answer.encoded + b"\n\n")

    async def _send(self, send: Send, event: bytes) -> None:
        await send({"type": "http.response.body", "body": event, "more_body": True})
        self._sent_at = time.monotonic()

    async def _keep_alive(self, send: Send) -> None:
        while True:
            silent = time.monotonic() - self._sent_at
            if silent >= KEEP_ALIVE:
                await self._send(send, _COMMENT)
                silent = 0.0
            await anyio.sleep(KEEP_ALIVE - silent)

    async def _until_gone(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()
