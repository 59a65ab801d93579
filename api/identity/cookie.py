"""The cookie of a session, and what a request that comes with it must show: that our own page has sent it."""

from typing import Final

from starlette.datastructures import Headers

from api.errors import RequestError, RequestErrorCode
from api.identity.sessions import LIFETIME

NAME: Final = "daybook-session"
CSRF: Final = "daybook-csrf"
"""A header that a foreign page, or a form, can't send without our leave."""
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def cookie_value(headers: Headers) -> str | None:
    """What the session's cookie holds, where there is one."""
    given, wanted = headers.get("cookie"), _name(headers)
    if given is None or wanted not in given:
        return None
    # Ours has no quotes. Unquoting takes older Pythons' `http.cookies` time by the square of backslashes.
    pairs = (pair.partition("=") for pair in given.split(";"))
    found = [value.strip() for name, _, value in pairs if name.strip() == wanted]
    return found[-1] if found else None


def cookie(headers: Headers, value: str | None) -> str:
    """`Set-Cookie` for a new session; None: the cookie goes."""
    age = 0 if value is None else int(LIFETIME.total_seconds())
    secure = "" if _is_loopback(headers) else "; Secure"
    return f"{_name(headers)}={value or ''}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"


def check_own_page(headers: Headers) -> None:
    """That a request with a cookie comes from our own page. Raises RequestError."""
    if not headers.get(CSRF):
        raise RequestError(
            RequestErrorCode.CSRF_HEADER_MISSING,
            "A request with a session's cookie needs the header `Daybook-CSRF: 1`.",
        )
    if not (is_own(headers, headers.get("origin")) or "origin" not in headers) or headers.get("sec-fetch-site") in (
        "cross-site",
        "same-site",
    ):
        raise FOREIGN


def check_own_socket(headers: Headers) -> None:
    """The same of a WebSocket, with which no header can be sent but which always has an Origin. Raises RequestError."""
    if not is_own(headers, headers.get("origin")):
        raise FOREIGN


def is_own(headers: Headers, origin: str | None) -> bool:
    """Whether an Origin is that of the host which is asked: HTTPS, but on loopback."""
    scheme, _, place = (origin or "").lower().partition("://")
    return place == headers.get("host", "").lower() and (
        scheme == "https" or (scheme == "http" and _is_loopback(headers))
    )


def _is_loopback(headers: Headers) -> bool:
    host = headers.get("host", "").lower()
    return (host if host.endswith("]") else host.rpartition(":")[0] or host) in LOOPBACK


def _name(headers: Headers) -> str:
    # With this prefix a browser takes the cookie over HTTPS only, and no neighbouring host can plant one.
    return NAME if _is_loopback(headers) else f"__Host-{NAME}"


FOREIGN: Final = RequestError(
    RequestErrorCode.FORBIDDEN,
    "A session's cookie is good for pages of this server alone, and this request comes from another origin.",
    status=403,
)
