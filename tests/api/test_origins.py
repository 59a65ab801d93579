"""Pages of other origins: closed unless listed, over HTTP and over WebSockets."""

from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.api.book import HEADERS
from tests.api.listening import PATIENCE, Server, listening

LISTED, FOREIGN = "https://crm.example.com", "https://evil.example"
ASKED = "authorization,content-type,daybook-at-least,daybook-csrf,daybook-on-behalf-of"
QUERY = {"query": "{ __typename }"}


def preflight(server: Server, origin: str, *, method: str = "POST", headers: str = ASKED) -> httpx.Response:
    """What a browser asks before it sends a page's request."""
    asking = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    url = f"http://127.0.0.1:{server.port}/graphql"
    return httpx.options(url, headers={"Origin": origin, **asking}, timeout=PATIENCE)


def post(server: Server, origin: str) -> httpx.Response:
    url = f"http://127.0.0.1:{server.port}/graphql"
    return httpx.post(url, json=QUERY, headers={**HEADERS, "Origin": origin}, timeout=PATIENCE)


def granted(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def connects(server: Server, origin: str | None) -> bool:
    try:
        with server.socket(origin=None if origin is None else Origin(origin)):
            return True
    except InvalidStatus as refused:
        if refused.response.status_code != 403:
            raise
        return False


def test_by_default_no_other_origin_is_answered_so_that_a_browser_hands_it_over(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server:
        for origin in (FOREIGN, LISTED, "null", f"http://localhost:{server.port}"):
            for answer in (preflight(server, origin), post(server, origin)):
                assert granted(answer) == {}, origin
            assert preflight(server, origin).status_code == 405


def test_a_listed_origin_may_call_us_and_read_the_answer(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False, origins=(LISTED, "http://localhost:3000")) as server:
        for origin in (LISTED, "http://localhost:3000"):
            asked = preflight(server, origin)
            assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, origin)
            assert asked.headers["access-control-allow-credentials"] == "true"
            assert asked.headers["access-control-allow-methods"] == "GET, POST"
            allowed = asked.headers["access-control-allow-headers"].lower().split(", ")
            assert set(ASKED.split(",")) <= set(allowed)
            assert "Origin" in asked.headers["vary"]
            answer = post(server, origin)
            assert answer.json() == {"data": {"__typename": "Query"}, "extensions": answer.json()["extensions"]}
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["access-control-expose-headers"] == "Daybook-Request-Id, Retry-After"
            assert {"Origin", "Authorization"} <= set(answer.headers["vary"].split(", "))
        assert preflight(server, LISTED, method="DELETE").status_code == 400
        assert preflight(server, LISTED, headers="x-forwarded-for").status_code == 400


@pytest.mark.parametrize(
    "origin",
    [
        FOREIGN,
        "null",
        "http://crm.example.com",
        "https://crm.example.com:8443",
        "https://crm.example.com.evil.example",
        "https://evil.crm.example.com",
        "*",
    ],
)
def test_an_origin_that_is_not_listed_gets_nothing(database: str, tmp_path: Path, origin: str) -> None:
    with listening(database, tmp_path, projections=False, origins=(LISTED,)) as server:
        asked = preflight(server, origin)
        assert asked.status_code == 400
        for answer in (asked, post(server, origin)):
            assert "access-control-allow-origin" not in answer.headers
        assert not connects(server, origin)


def test_a_websocket_is_for_pages_of_the_host_of_listed_origins_and_for_what_is_no_browser(
    database: str, tmp_path: Path
) -> None:
    with listening(database, tmp_path, projections=False, origins=(LISTED,)) as server:
        for origin in (None, LISTED, f"http://127.0.0.1:{server.port}", f"https://127.0.0.1:{server.port}"):
            assert connects(server, origin), origin
        for origin in ("http://127.0.0.1:1", "http://127.0.0.1", f"http://localhost:{server.port}", ""):
            assert not connects(server, origin), origin
