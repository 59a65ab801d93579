"""Somebody is deactivated and active again at once: what they had open has ended for good, in every process."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from domain.kernel import parse_type_id
from domain.staff_member import StaffMemberDeactivated, StaffMemberReactivated
from tests.api.book import HEADERS
from tests.api.filled import opened
from tests.api.identity.issuer import AUDIENCE, issuing
from tests.api.identity.signing_in import ASK, EMAIL, PASSWORD, SIGN_IN
from tests.api.identity.test_staying_connected import (
    CHANGES,
    browser,
    closed_with,
    cookie,
    following,
    hire,
    only_member,
    send,
)
from tests.api.listening import PATIENCE, Server, Socket, listening, until
from tests.api.test_event_stream import told
from tests.projections.diaries import append

REVOKED = (4401, "The credential that this connection was opened with was revoked.")


def away_and_back(server: Server, member: str) -> None:
    server.mutate("staffMemberDeactivate", id=member)
    server.mutate("staffMemberReactivate", id=member)


def unseen(server: Server, member: str, database: str, directory: Path) -> None:
    """The same, posted at once: no process ever sees her away."""
    version = server.post("query($i: ID!) { staffMember(id: $i) { version } }", {"i": member})["staffMember"]["version"]
    with opened(database, directory) as parts:
        events = (StaffMemberDeactivated(), StaffMemberReactivated())
        append(parts, parse_type_id(member)[1], version + 1, *events)


def answer(server: Server, cookies: dict[str, str]) -> tuple[int, str | None]:
    """What a browser with this cookie gets: the status, and the code where it is an error."""
    own = {"Daybook-CSRF": "1", "Origin": f"http://127.0.0.1:{server.port}"}
    url = f"http://127.0.0.1:{server.port}/graphql"
    headers = {**HEADERS, **own, **cookies}
    del headers["Authorization"]
    given = httpx.post(url, json={"query": ASK}, headers=headers, timeout=PATIENCE)
    body = given.json()
    return given.status_code, body["errors"][0]["extensions"]["code"] if "errors" in body else None


GOOD, GONE = (200, None), (401, "UNAUTHENTICATED")


@contextmanager
def signed_in_anew(server: Server) -> Iterator[dict[str, str]]:
    origin = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=origin, headers={"Daybook-CSRF": "1", "Origin": origin}) as http:
        assert send(http, SIGN_IN, {"email": EMAIL, "password": PASSWORD})["signIn"]["userErrors"] == []
        yield cookie(http)


@pytest.mark.parametrize("seen", [True, False])
def test_her_sessions_have_ended_in_every_process_and_after_a_restart(
    database: str, tmp_path: Path, *, seen: bool
) -> None:
    with listening(database, tmp_path) as one:
        with listening(database, tmp_path) as two, browser(one) as http:
            old, member = cookie(http), only_member(one)
            until(lambda: answer(two, old) == GOOD)
            origins = [Origin(f"http://127.0.0.1:{server.port}") for server in (one, two)]
            with (
                following(one, additional_headers=old, origin=origins[0]) as here,
                following(two, additional_headers=old, origin=origins[1]) as there,
            ):
                if seen:
                    away_and_back(one, member)
                    assert answer(one, old) == GONE
                else:
                    unseen(one, member, database, tmp_path)
                assert closed_with(here.websocket) == REVOKED
                assert closed_with(there.websocket) == REVOKED
                assert [answer(server, old) for server in (one, two)] == [GONE, GONE]
            with signed_in_anew(one) as new:
                assert [answer(server, new) for server in (one, two)] == [GOOD, GOOD]
                with following(two, additional_headers=new, origin=origins[1]):
                    pass
        with listening(database, tmp_path) as three:
            assert [answer(server, old) for server in (one, three)] == [GONE, GONE]
            assert answer(three, new) == GOOD
            with (
                pytest.raises(ConnectionClosed, match="4401"),
                three.socket(additional_headers=old, origin=Origin(f"http://127.0.0.1:{three.port}")) as websocket,
            ):
                Socket(websocket).send(type="connection_init").receive()


def test_who_was_about_to_sign_in_meanwhile_signs_in_anew(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, browser(server) as http:
        member = only_member(server)
        with psycopg.connect(database) as db:
            # The password has been found right, and the session is about to begin.
            db.execute("SELECT FROM daybook_access.passwords FOR UPDATE")
            thread = Thread(target=send, args=(http, SIGN_IN, {"email": EMAIL, "password": PASSWORD}))
            thread.start()
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%FOR SHARE%%'"
            with psycopg.connect(database, autocommit=True) as other:
                until(lambda: other.execute(waiting).fetchone())
            away_and_back(server, member)
        thread.join(PATIENCE)
        assert answer(server, cookie(http)) == GONE
        with signed_in_anew(server) as new:
            assert answer(server, new) == GOOD


def test_what_the_providers_token_has_opened_ends_too(database: str, tmp_path: Path) -> None:
    with issuing() as issuer, listening(database, tmp_path, oidc=(issuer.address, AUDIENCE)) as server:
        member, _ = hire(server)
        token = issuer.token()
        url = f"http://127.0.0.1:{server.port}/graphql"
        headers = {**HEADERS, "Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
        with (
            following(server, token=token) as client,
            httpx.stream("POST", url, json={"query": CHANGES}, headers=headers, timeout=PATIENCE) as response,
        ):
            events = told(response)
            assert next(events)[0] == "next"
            unseen(server, member, database, tmp_path)
            assert closed_with(client.websocket) == REVOKED
            *_, (_, last), end = events
            assert last["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED", json.dumps(last)
            assert end == ("complete", None)
        with following(server, token=token):
            pass  # she is active, and the provider's token is good until it expires


def test_a_role_taken_and_given_back_ends_no_session(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, browser(server) as http:
        member, own = only_member(server), cookie(http)
        (role,) = [
            each["id"]
            for each in server.post("{ roles(first: 100) { nodes { id name } } }")["roles"]["nodes"]
            if each["name"] == "All"
        ]
        origin = Origin(f"http://127.0.0.1:{server.port}")
        with following(server, additional_headers=own, origin=origin) as client:
            server.mutate("staffMemberRevokeRole", id=member, role=role)
            assert answer(server, own) == (403, "FORBIDDEN")
            assert closed_with(client.websocket)[0] == 4205
        server.mutate("staffMemberGrantRole", id=member, role=role)
        assert answer(server, own) == GOOD
