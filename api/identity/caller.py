"""Who asks: what they may do, until when, and how to find out whether that still holds."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec
from starlette.datastructures import Headers
from starlette.types import Scope

from domain.access import Authority, unlimited

ADMINISTRATOR: Final = unlimited("administrator")
"""Who has the operator's token."""
NOBODY: Final = Authority(actor="nobody")


class Arrival(msgspec.Struct, frozen=True):
    """How a request came."""

    headers: Headers
    address: str
    """Of the client, as the connection or a proxy that is trusted says it."""
    takes_cookies: bool
    """Whether the answer can set a cookie: over HTTP, not over a WebSocket."""


def arrival(scope: Scope) -> Arrival:
    """How a request or a WebSocket came."""
    client = scope.get("client")
    return Arrival(Headers(raw=scope["headers"]), client[0] if client else "", scope["type"] == "http")


class Session(msgspec.Struct, frozen=True):
    """A browser that has signed in."""

    hash: bytes
    """SHA-256 of the cookie's value."""
    staff_member: UUID
    since: int
    """The staff member's last deactivation when the session began, by its position."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks."""

    authority: Authority
    again: Callable[[], Authority | None]
    """What they may do as of now; None: the credential is good for nothing any more."""
    until: float = float("inf")
    """When the credential expires, in seconds of the epoch."""
    session: Session | None = None
    """The session, where the credential is its cookie."""


STRANGER: Final = Caller(NOBODY, lambda: NOBODY)
"""Who shows no credential."""
OPERATOR: Final = Caller(ADMINISTRATOR, lambda: ADMINISTRATOR)
