"""WebSockets and event streams: they are let in like requests, and end when their credential does."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.typing import Origin

from api.identity import presences
from domain.kernel.permissions import Permission
from tests.api.book import HEADERS, TOKEN
from tests.api.identity.issuer import AUDIENCE, issuing
from tests.api.identity.signing_in import (
    CHANGE,
    EMAIL,
    ISSUE,
    NEXT,
    PASSWORD,
    RESET,
    SIGN_IN,
    SIGN_OUT,
    SIGN_OUT_EVERYWHERE,
)
from tests.api.listening import PATIENCE, Server, Socket, listening, until
from tests.api.test_event_stream import told
from tests.held import held

CHANGES = "subscription { changes { position } }"
LAST = """
mutation ($i: CustomerRegisterInput!) {
  signOutEverywhere(input: {}) { staffMemberId }
  customerRegister(input: $i) { customer { name } }
}
"""
GRANTS = [{"permission": each.name, "scope": "ALL"} for each in Permission]


@contextmanager
def following(server: Server, *, token: str | None = None, **options: Any) -> Iterator[Socket]:
    """A connection with a subscription under way."""
    with server.socket(**options) as websocket:
        client = Socket(websocket)
        client.send(type="connection_init", payload={} if token is None else {"Authorization": f"Bearer {token}"})
        assert client.receive() == {"type": "connection_ack"}
        client.subscribe(CHANGES)
        assert client.next("changes")
        yield client


def closed_with(websocket: ClientConnection) -> tuple[int, str]:
    """How the server closes a connection, after which nothing else comes."""
    try:
        while True:
            assert json.loads(websocket.recv(timeout=PATIENCE))["type"] == "next"
    except ConnectionClosed as closed:
        caught = closed
    assert caught.rcvd is not None
    return caught.rcvd.code, caught.rcvd.reason


def issue(server: Server, lasts: timedelta = timedelta(hours=1)) -> tuple[str, str]:
    expires = (datetime.now(UTC) + lasts).isoformat()
    selection = "secret apiToken { id } userErrors { code message }"
    payload = server.mutate("apiTokenIssue", selection, name="Shop", grants=GRANTS, expiresAt=expires)
    return payload["secret"], payload["apiToken"]["id"]


def hire(server: Server) -> tuple[str, str]:
    """Rosa and her role."""
    member = server.mutate("staffMemberRegister", "staffMember { id }", name="Rosa", email=EMAIL)["staffMember"]["id"]
    role = server.mutate("roleDefine", "role { id }", name="All", grants=GRANTS)["role"]["id"]
    server.mutate("staffMemberGrantRole", id=member, role=role)
    return member, role


@contextmanager
def browser(server: Server) -> Iterator[httpx.Client]:
    """Rosa's browser, signed in."""
    member, _ = hire(server)
    origin = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=origin, headers={"Daybook-CSRF": "1", "Origin": origin}) as http:
        set_password(server, http, member, PASSWORD)
        send(http, SIGN_IN, {"email": EMAIL, "password": PASSWORD})
        yield http


def set_password(server: Server, http: httpx.Client, member: str, password: str) -> None:
    """With a one-time token."""
    token = server.post(ISSUE, {"i": {"staffMember": member}})["passwordResetIssue"]["token"]
    assert send(http, RESET, {"token": token, "password": password})["passwordReset"]["userErrors"] == []


def only_member(server: Server) -> str:
    (one,) = server.post("{ staffMembers(first: 2) { nodes { id } } }")["staffMembers"]["nodes"]
    id: str = one["id"]
    return id


def send(http: httpx.Client, query: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = http.post("/graphql", json={"query": query, "variables": {"i": given}}, timeout=PATIENCE).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def cookie(http: httpx.Client) -> dict[str, str]:
    return {"Cookie": f"daybook-session={http.cookies['daybook-session']}"}


def test_a_revoked_token_closes_what_it_opened_and_nothing_else(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        (token, id), (other, _) = issue(server), issue(server)
        with following(server, token=token) as one, following(server, token=other) as two, server.connected() as three:
            began = time.monotonic()
            server.mutate("apiTokenRevoke", id=id)
            assert closed_with(one.websocket) == (
                4401,
                "The credential that this connection was opened with was revoked.",
            )
            assert time.monotonic() - began < 5
            server.customer("Ada")
            assert two.next("changes")
            assert three.subscribe("{ __typename }").next("__typename") == "Query"


def test_nothing_is_done_for_a_connection_that_is_to_be_closed(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        token, id = issue(server)
        with following(server, token=token) as client:
            mutation = "mutation($i: ProductAddInput!) { productAdd(input: $i) { position } }"
            server.mutate("apiTokenRevoke", id=id)
            told: list[str] = []

            def go_on() -> None:
                for at in range(100_000):
                    key = f"6f1c1e0e-52c5-4f0a-9c39-{at:012x}"
                    given = {"idempotencyKey": key, "name": f"Late {at}"}
                    client.subscribe(mutation, {"i": given}, id=f"m{at}")
                    told.append(client.receive()["type"])

            with pytest.raises(ConnectionClosed, match="4401"):
                go_on()
            assert told.count("next") < 5, "a revocation is answered when it is in force; the rest was on its way"
        with pytest.raises(ConnectionClosed, match="4401"), server.socket() as websocket:
            Socket(websocket).send(type="connection_init", payload={"Authorization": f"Bearer {token}"}).receive()


def test_a_token_that_expires_closes_what_it_opened(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        token, _ = issue(server, timedelta(seconds=4))
        with following(server, token=token) as client:
            code, reason = closed_with(client.websocket)
            assert (code, "expired" in reason) == (4401, True)


def test_the_providers_token_expires_too(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.identity.provider.SKEW", 0)
    with issuing() as issuer, listening(database, tmp_path, oidc=(issuer.address, AUDIENCE)) as server:
        hire(server)
        with following(server, token=issuer.token(exp=int(time.time()) + 3)) as client:
            assert closed_with(client.websocket)[0] == 4401


def test_what_one_may_do_has_changed_so_one_connects_again(database: str, tmp_path: Path) -> None:
    with issuing() as issuer, listening(database, tmp_path, oidc=(issuer.address, AUDIENCE)) as server:
        member, role = hire(server)
        with following(server, token=issuer.token()) as client:
            few = [{"permission": "READ_BOOK", "scope": "ALL"}]
            server.mutate("roleChangeGrants", id=role, grants=few)
            assert closed_with(client.websocket)[0] == 4205
        with following(server, token=issuer.token()) as client:
            server.mutate("staffMemberDeactivate", id=member)
            assert closed_with(client.websocket)[0] == 4401


def test_a_token_for_an_address_that_is_somebodys_no_more_closes_what_it_opened(database: str, tmp_path: Path) -> None:
    with issuing() as issuer, listening(database, tmp_path, oidc=(issuer.address, AUDIENCE)) as server:
        member, _ = hire(server)
        other = server.mutate("staffMemberRegister", "staffMember { id }", name="Bea", email="bea@acme.example")
        with following(server, token=issuer.token()) as client, following(server, token=TOKEN) as unmoved:
            server.mutate("staffMemberChangeEmail", id=other["staffMember"]["id"], email="b@acme.example")
            assert client.next("changes"), "it is told of somebody else's new address"
            server.mutate("staffMemberChangeEmail", id=member, email="rosa.luz@acme.example")
            assert closed_with(client.websocket)[0] == 4401
            assert unmoved.next("changes")
        with following(server, token=issuer.token(email="rosa.luz@acme.example")):
            pass


@pytest.mark.parametrize("how", ["here", "everywhere", "by the operator", "password changed", "password reset", "idle"])
def test_a_session_that_ends_closes_what_it_opened(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how != "idle":  # what ends a session in this process is not found out by looking from time to time
        monkeypatch.setattr(presences, "LOOK_AT_SESSIONS", 600.0)
    with listening(database, tmp_path) as server, browser(server) as http:
        origin = Origin(f"http://127.0.0.1:{server.port}")
        with following(server, additional_headers=cookie(http), origin=origin) as client:
            match how:
                case "here":
                    send(http, SIGN_OUT)
                case "everywhere":
                    send(http, SIGN_OUT_EVERYWHERE, {})
                case "by the operator":
                    server.post(SIGN_OUT_EVERYWHERE, {"i": {"staffMember": only_member(server)}})
                case "password changed":
                    send(http, CHANGE, {"oldPassword": PASSWORD, "password": NEXT})
                case "password reset":
                    set_password(server, http, only_member(server), NEXT)
                case _:
                    with psycopg.connect(database, autocommit=True) as db:
                        db.execute("UPDATE daybook_access.sessions SET used_at = now() - interval '13 hours'")
            assert closed_with(client.websocket)[0] == 4401


def test_who_signs_out_is_answered_whole_before_the_connection_ends(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, browser(server) as http:
        opened: dict[str, Any] = {
            "additional_headers": cookie(http),
            "origin": Origin(f"http://127.0.0.1:{server.port}"),
        }
        with following(server, **opened) as client, following(server, **opened) as other:
            with held(database, "it is posted") as waits:
                given = {"kind": "PERSON", "name": "Ada", "idempotencyKey": str(uuid4())}
                client.subscribe(LAST, {"i": given}, id="last")
                assert closed_with(other.websocket)[0] == 4401
                until(waits)
            message = client.receive()
            assert (message["id"], message["type"]) == ("last", "next"), "nothing else is told any more"
            assert message["payload"]["data"]["customerRegister"] == {"customer": {"name": "Ada"}}
            assert message["payload"]["data"]["signOutEverywhere"] == {"staffMemberId": only_member(server)}
            assert client.receive() == {"id": "last", "type": "complete"}
            assert closed_with(client.websocket)[0] == 4401


def test_a_foreign_page_can_open_no_websocket_with_the_cookie(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, browser(server) as http:
        own = f"http://127.0.0.1:{server.port}"
        for origin in ("https://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1:1", None):
            given = None if origin is None else Origin(origin)
            with (
                pytest.raises((ConnectionClosed, InvalidStatus), match=r"4403|HTTP 403"),
                server.socket(additional_headers=cookie(http), origin=given) as websocket,
            ):
                Socket(websocket).send(type="connection_init").receive()
        with following(server, additional_headers=cookie(http), origin=Origin(own)):
            pass
        with (
            pytest.raises(ConnectionClosed, match="4401"),
            server.socket(additional_headers={"Cookie": "daybook-session=x"}, origin=Origin(own)) as websocket,
        ):
            Socket(websocket).send(type="connection_init").receive()


def test_nobody_signs_in_over_a_websocket(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, server.connected() as client:
        for query, given in ((SIGN_IN, {"email": EMAIL, "password": PASSWORD}), (SIGN_OUT, None)):
            message = client.subscribe(query, {"i": given}, id=query[:20]).receive()
            (error,) = message["payload"]["errors"]
            assert error["extensions"]["code"] == "BAD_REQUEST"
            assert client.receive()["type"] == "complete"


def test_an_event_stream_ends_with_why(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        token, id = issue(server)
        headers = {**HEADERS, "Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{server.port}/graphql"
        with httpx.stream("POST", url, json={"query": CHANGES}, headers=headers, timeout=PATIENCE) as response:
            events = told(response)
            assert next(events)[0] == "next"
            server.mutate("apiTokenRevoke", id=id)
            last = list(events)
    *before, (event, answer), end = last
    assert all("errors" not in each["data"] for kind, each in before if kind == "next")
    assert (event, answer["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")
    assert "data" not in answer
    assert end == ("complete", None)
