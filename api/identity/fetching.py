"""Fetching a small JSON document of the identity provider."""

import http.client
import urllib.error
import urllib.request
from typing import Any, cast

import anyio
import anyio.to_thread
import msgspec

MOST_BYTES = 256 * 1024
SECONDS = 5.0

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class NotFetched(Exception):
    """The document can't be had; the message says why, for the operator's log."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to another scheme or into the operator's own network."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def is_safe(url: str) -> bool:
    """Whether an address is one of HTTPS, or of this machine itself."""
    scheme, separator, rest = url.partition("://")
    host = rest.partition("/")[0]
    name = host if host.startswith("[") and host.endswith("]") else host.rpartition(":")[0] or host
    return bool(
        separator and host and "@" not in host and (scheme == "https" or (scheme == "http" and name in LOOPBACK))
    )


async def fetched(url: str) -> dict[str, Any]:
    """The JSON object at an address. Raises NotFetched."""
    try:
        with anyio.fail_after(2 * SECONDS):
            return await anyio.to_thread.run_sync(_fetched, url, abandon_on_cancel=True)
    except TimeoutError:
        raise NotFetched(f"{url} did not answer in time.") from None


def _fetched(url: str) -> dict[str, Any]:
    if not is_safe(url):
        raise NotFetched(f"{url} is no HTTPS address.")
    opener = urllib.request.build_opener(_NoRedirects)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310  # checked above
    try:
        with opener.open(request, timeout=SECONDS) as response:
            content = cast("bytes", response.read(MOST_BYTES + 1))
        if len(content) > MOST_BYTES:
            raise NotFetched(f"{url} answers with more than {MOST_BYTES:,} bytes.")
        return msgspec.json.decode(content, type=dict[str, Any])
    except urllib.error.HTTPError as error:
        error.close()
        raise NotFetched(f"{url} answers with {error.code}.") from None
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        # msgspec's errors are ValueErrors too.
        raise NotFetched(f"{url} could not be read ({type(error).__name__}: {error}).") from None
