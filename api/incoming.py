"""A request as it comes in over HTTP: its head, read once, and its body.

Starlette's `Request` goes through all headers for each one that is asked for, and reads a body through two generators.
"""

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope

from api.errors import RequestError, RequestErrorCode

MOST_BYTES = 2 * 1024 * 1024
"""Of a request's body."""


class Incoming:
    """One request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.receive = receive
        self.query: bytes = scope["query_string"]
        said: list[tuple[bytes, bytes]] = scope["headers"]
        self._headers = dict(said)
        if len(self._headers) < len(said):  # a header in several lines is one list (RFC 9110, 5.3)
            lines: dict[bytes, list[bytes]] = {}
            for name, value in said:
                lines.setdefault(name, []).append(value)
            self._headers = {name: b", ".join(values) for name, values in lines.items()}

    def header(self, name: bytes) -> str | None:
        """A header's value; its name in small letters."""
        value = self._headers.get(name)
        # The parser leaves blanks behind a value, which do not belong to it (RFC 9110, 5.5).
        return None if value is None else value.decode("latin-1").rstrip(" \t")

    @property
    def query_params(self) -> QueryParams:
        """What stands in the address behind `?`, as far as it can be read."""
        return QueryParams(self.query)

    async def body(self, most: int = MOST_BYTES) -> bytes:
        """All of it. Raises RequestError where it has more bytes, or its client went away before its end."""
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                said = "The client went away before its request was complete."
                raise RequestError(RequestErrorCode.BAD_REQUEST, said)
            piece: bytes = message.get("body", b"")
            if len(body) + len(piece) > most:
                said = f"The body has more than {most:,} bytes."
                raise RequestError(RequestErrorCode.REQUEST_TOO_LARGE, said, status=413)
            if not message.get("more_body", False):
                return bytes(body + piece) if body else piece
            body += piece
