"""Pages of other origins: none may call us from a browser but those that the operator lists.

WebSockets are not under CORS; for them Strawberry's handler compares the Origin with the host and the same list.
"""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

ALLOWED_HEADERS = ("Authorization", "Content-Type", "Daybook-CSRF", "Daybook-At-Least", "Daybook-On-Behalf-Of")
EXPOSED_HEADERS = ("Daybook-Request-Id", "Retry-After")
REMEMBERED = 600
"""Seconds for which a browser need not ask again whether it may."""


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """What answers pages of these origins. Without any, nothing does, and their browsers keep our answers from them."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=tuple(origins),
            allow_methods=("GET", "POST"),
            allow_headers=ALLOWED_HEADERS,
            allow_credentials=True,
            expose_headers=EXPOSED_HEADERS,
            max_age=REMEMBERED,
        )
    ]
