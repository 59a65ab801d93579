"""How a response leaves: one that is there as a whole with one system call, its headers looked at all together.

uvicorn writes head and body one by one, which wakes the client twice, and looks for what may not stand in a header in
the name and the value of each: with a dozen of them, that takes longer than reading the request.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from starlette.types import Message, Send
from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle

_CONTROLS: Final = bytes(byte for byte in (*range(0x20), 0x7F) if byte != ord("\t"))
"""What may not stand in the value of a header."""
_OF_CONNECTIONS: Final = frozenset((b"connection", b"transfer-encoding"))
"""Headers that uvicorn reads itself."""


class Sending:
    """What an application sends on one request: whole responses of a known length; all others leave as uvicorn has it.

    So does what may not be sent at all, which uvicorn refuses.
    """

    def __init__(self, cycle: RequestResponseCycle, by_uvicorn: Send) -> None:
        self._cycle, self._by_uvicorn = cycle, by_uvicorn
        self._begun: tuple[Message, dict[bytes, bytes]] | None = None
        """The start of a response of a known length, and its headers: it waits for the beginning of the body."""
        self._until_closed = False
        """Whether the end of the connection is that of the response."""

    async def __call__(self, message: Message) -> None:
        if self._begun is None:
            if message["type"] == "http.response.start" and b"content-length" in (
                named := dict(message.get("headers", ()))
            ):
                self._begun = message, named
            else:
                await self._in_pieces(message)
            return
        (start, named), self._begun = self._begun, None
        head = self._head(start, named, message)
        if head is None:
            await self._by_uvicorn(start)
            await self._by_uvicorn(message)
        else:
            await self._send(head, message["body"])

    async def _in_pieces(self, message: Message) -> None:
        """Of a length that nobody knows yet. uvicorn sends such a response in chunks, which HTTP/1.0 does not know."""
        cycle = self._cycle
        if message["type"] == "http.response.start":
            self._until_closed = cycle.scope["http_version"] == "1.0" and cycle.scope["method"] != "HEAD"
            if self._until_closed:
                cycle.chunked_encoding = False
        elif self._until_closed:
            cycle.expected_content_length = len(message.get("body", b""))
        await self._by_uvicorn(message)

    def _head(self, start: Message, named: Mapping[bytes, bytes], message: Message) -> bytes | None:
        """The head of a response; None where it is not for us."""
        cycle, said = self._cycle, start["headers"]
        body = b"" if message.get("more_body") else message.get("body")
        if not body or len(named) < len(said) or named[b"content-length"] != b"%d" % len(body):
            return None
        if cycle.response_started or cycle.scope["method"] == "HEAD" or not _are_plain(tuple(named)):
            return None
        lines = [b": ".join(header) for header in (*cycle.default_headers, *said)]
        if not cycle.keep_alive:
            lines.append(b"connection: close")
        head = b"\r\n".join((*lines, b"\r\n"))
        ends = 2 * len(lines) + 2
        # Whatever else there is of control characters stands in a value.
        return None if len(head.translate(None, _CONTROLS)) + ends < len(head) else STATUS_LINE[start["status"]] + head

    async def _send(self, head: bytes, body: bytes) -> None:
        """Do as uvicorn does at a response's beginning and at its end."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        # Else uvicorn would miss the response, and write one of its own.
        cycle.disconnected = cycle.disconnected or cycle.transport.is_closing()
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.writelines((head, body))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


@lru_cache(64)
def _are_plain(names: tuple[bytes, ...]) -> bool:
    """Whether these names of headers may be sent as they are, and say nothing of the connection."""
    return not any(HEADER_RE.search(name) or name != name.lower() or name in _OF_CONNECTIONS for name in names)
