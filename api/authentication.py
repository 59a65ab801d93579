"""Which requests are heard at all: those addressed to a Host of ours. And the security headers of every response."""

from collections.abc import Awaitable, Iterable
from functools import lru_cache

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import request_id

OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by address, not by name, from the operator's own network; they tell no data."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SECURED = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
"""The same as ASGI has them; Starlette's own way with headers takes a twentieth of a small query's time."""
_NAMES = frozenset(name for name, _ in _SECURED)


class Doorkeeper:
    """Refuses a foreign Host, and puts the security headers on every response.

    A page of a foreign site can make a browser call us under its own name (DNS rebinding); it can't forge the Host.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        """`hosts`: names without port that a request may be addressed to."""
        self._app, self._hosts = app, frozenset(host.lower().strip("[]") for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # Two Host headers are nobody's honest request: which of them counts would be anybody's guess.
        named = [host_name(value.decode("latin-1")) for name, value in scope["headers"] if name == b"host"]
        if scope["path"] not in OPEN_PATHS and (len(named) != 1 or named[0] not in self._hosts):
            await _refuse(scope, receive, send)
            return

        def send_secured(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                given = dict(headers)
                missing = _SECURED if _NAMES.isdisjoint(given) else [one for one in _SECURED if one[0] not in given]
                message["headers"] = [*headers, *missing]
            return send(message)

        await self._app(scope, receive, send_secured)


@lru_cache(64)
def host_name(host: str) -> str:
    """The name of a Host header, without its port: `[::1]:8000` -> `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "foreign host"})
        return
    message = (
        "This server is not known under the name in the Host header. The operator lists further names in"
        " DAYBOOK_ALLOWED_HOSTS."
    )
    id = request_id()
    body = {"errors": [{"message": message, "extensions": {"code": "BAD_REQUEST", "requestId": id}}]}
    await JSONResponse(body, 421, headers={**SECURITY_HEADERS, "Daybook-Request-Id": id})(scope, receive, send)
