"""What a WebSocket is closed with tells its client what to do, and its line in the access log who it was and why."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.api.book import TOKEN
from tests.api.identity.issuer import AUDIENCE, issuing
from tests.api.identity.signing_in import EMAIL
from tests.api.identity.test_staying_connected import (
    browser,
    closed_with,
    cookie,
    following,
    issue,
)
from tests.api.listening import Server, Socket, listening, until

LOG = logging.getLogger("daybook.access")
SIGN_IN_ANEW, OPENS_NOTHING, CONNECT_AGAIN = 4401, 4403, 4205


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The lines of WebSockets and of what was sent over them, as they are written."""
    written: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = json.loads(record.getMessage())
            if line["method"] == "WEBSOCKET":
                written.append(line)

    handler = Kept()
    LOG.addHandler(handler)
    yield written
    LOG.removeHandler(handler)


def refused(server: Server, payload: object = None, **options: Any) -> int:
    """What `connection_init` is answered with by whom it does not let in."""
    with server.socket(**options) as websocket:
        Socket(websocket).send(type="connection_init", payload=payload or {})
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason
    return closed.value.rcvd.code


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def next_line(lines: list[dict[str, Any]], many: int = 1) -> Iterator[list[dict[str, Any]]]:
    """What has been written once the block is left, however long it takes the server."""
    before, told = len(lines), list[dict[str, Any]]()
    yield told
    until(lambda: len(lines) >= before + many)
    told += lines[before:]


def test_who_is_not_let_in_is_told_whether_to_come_back(
    database: str, tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    with (
        issuing() as issuer,
        listening(database, tmp_path, oidc=(issuer.address, AUDIENCE), log_access=True) as server,
    ):
        (revoked, id), (expired, _) = issue(server), issue(server, timedelta(seconds=1))
        server.mutate("apiTokenRevoke", id=id)
        until(lambda: httpx.post(f"{server.origin}/graphql", headers=bearer(expired)).status_code == 401)
        own = Origin(server.origin)
        none: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("no credential", {}, {}),
            ("no text", {"Authorization": 5}, {}),
            ("garbage", bearer("garbage"), {}),
            ("revoked", bearer(revoked), {}),
            ("expired", bearer(expired), {}),
            ("the provider's, expired", bearer(issuer.token(exp=1_000_000_000)), {}),
            ("a cookie of no session", {}, {"additional_headers": {"Cookie": "daybook-session=x"}, "origin": own}),
        ]
        for what, payload, options in none:
            with next_line(lines) as told:
                assert refused(server, payload, **options) == SIGN_IN_ANEW, what
            (line,) = told
            assert (line["status"], line["closed"]) == (101, SIGN_IN_ANEW), what
            assert (line["actor"], line["codes"]) == (None, ["UNAUTHENTICATED"]), what
            assert len(line["requestId"]) == 36
        stranger = issuer.token(email="nobody@acme.example")
        server.mutate("staffMemberRegister", name="Rosa", email=EMAIL)
        for what, token in (("not of the staff", stranger), ("without a role", issuer.token())):
            with next_line(lines) as told:
                assert refused(server, bearer(token)) == OPENS_NOTHING, what
            assert (told[0]["closed"], told[0]["codes"]) == (OPENS_NOTHING, ["FORBIDDEN"]), what
        with next_line(lines) as told:
            with pytest.raises(InvalidStatus):
                server.socket(origin=Origin("https://evil.example"))
        assert (told[0]["status"], told[0]["closed"], told[0]["codes"]) == (403, None, ["FORBIDDEN"])


def test_a_connection_s_line_says_who_it_was_and_what_ended_it(
    database: str, tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    with listening(database, tmp_path, log_access=True) as server:
        token, id = issue(server)
        with next_line(lines, 2) as told, following(server, token=token) as client:
            server.mutate("apiTokenRevoke", id=id)
            assert closed_with(client.websocket)[0] == SIGN_IN_ANEW
        assert [(line["operation"], line["closed"], line["actor"], line["codes"]) for line in told] == [
            ("subscription", None, f"token:{id}", ["UNAUTHENTICATED"]),
            (None, SIGN_IN_ANEW, f"token:{id}", ["UNAUTHENTICATED"]),
        ]
        assert told[0]["requestId"] != told[1]["requestId"]
        with next_line(lines, 2) as told, following(server, token=TOKEN):
            pass
        assert [(line["operation"], line["closed"], line["actor"], line["codes"]) for line in told] == [
            ("subscription", None, "administrator", []),
            (None, 1000, "administrator", []),
        ]


def test_a_change_of_what_one_may_do_is_told_from_having_no_access(
    database: str, tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    with listening(database, tmp_path, log_access=True) as server, browser(server) as http:
        (member,) = server.post("{ staffMembers(first: 2) { nodes { id roles(first: 1) { nodes { id } } } } }")[
            "staffMembers"
        ]["nodes"]
        (role,) = [each["id"] for each in member["roles"]["nodes"]]
        own: dict[str, Any] = {"additional_headers": cookie(http), "origin": Origin(server.origin)}
        few = [{"permission": "READ_BOOK", "scope": "ALL"}]
        with next_line(lines, 2) as told, following(server, **own) as client:
            server.mutate("roleChangeGrants", id=role, grants=few)
            assert closed_with(client.websocket)[0] == CONNECT_AGAIN
        assert [(line["closed"], line["codes"]) for line in told] == [(None, ["FORBIDDEN"]), (4205, ["FORBIDDEN"])]
        with following(server, **own) as client:
            server.mutate("staffMemberRevokeRole", id=member["id"], role=role)
            assert closed_with(client.websocket)[0] == CONNECT_AGAIN
        assert refused(server, **own) == OPENS_NOTHING, "who follows the former code comes to an end here"
