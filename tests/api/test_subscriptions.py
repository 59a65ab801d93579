"""Subscriptions over a real WebSocket: from any position, nothing twice, nothing skipped."""

import json
from collections.abc import Hashable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from graphql import FieldNode, get_operation_ast, parse
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.subscriptions import _same
from tests.api.book import HEADERS
from tests.api.listening import Socket, listening, until
from tests.api.sights import ALL

CHANGES = """
subscription Feed($after: Position, $types: [String!], $subject: ID) {
  changes(after: $after, types: $types, subject: $subject) {
    position
    change { position type aggregateKind aggregateId version eventId subjectId actor reason data }
  }
}
"""


def taken(client: Socket, upto: int) -> list[dict[str, Any]]:
    """Messages of the feed until it has come to a position."""
    messages: list[dict[str, Any]] = []
    while not messages or int(messages[-1]["position"]) < upto:
        messages.append(client.next("changes"))
    return messages


def positions(messages: list[dict[str, Any]]) -> list[int]:
    return [int(message["position"]) for message in messages if message["change"] is not None]


def test_the_feed_tells_the_whole_book_and_goes_on(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        ids = [server.customer(f"Person {at}") for at in range(3)]
        with server.connected() as client:
            client.subscribe(CHANGES, {"after": "0"})
            messages = taken(client, 3)
            assert messages[0] == {"position": "0", "change": None}, "the first message says where it begins"
            assert positions(messages) == [1, 2, 3]
            first = messages[1]["change"]
            assert first["type"] == "CustomerRegistered"
            assert (first["aggregateKind"], first["aggregateId"], first["version"]) == ("customer", ids[0], 1)
            assert first["subjectId"] == ids[0]
            assert first["eventId"].startswith("evt_")
            assert first["actor"] == "administrator"
            assert first["data"]["name"] == "Person 0"
            server.mutate("customerRename", id=ids[1], name="Renamed", reason="a wedding")
            (message,) = taken(client, 4)
            assert (message["change"]["type"], message["change"]["reason"]) == ("CustomerRenamed", "a wedding")
            assert message["change"]["data"] == {"old": "Person 1", "new": "Renamed"}


def test_who_comes_after_an_erasure_is_not_told_what_others_were_told_before(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server, server.connected() as first:
        first.subscribe(CHANGES, {"after": "0"})
        first.next("changes")
        server.customer("Ada")
        assert taken(first, 1)[0]["change"]["data"]["name"] == "Ada"
        with psycopg.connect(database) as db:
            db.execute("UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now()")

        def told(query: str) -> Any:
            with server.connected() as later:
                later.subscribe(query, {"after": "0"})
                return taken(later, 1)[1]["change"]["data"]["name"]

        until(lambda: told(CHANGES + "# shared with nobody") is None)
        assert told(CHANGES) is None
        server.customer("Berta")
        assert [one["change"]["data"]["name"] for one in taken(first, 2)] == ["Berta"], "who was there goes on"


def test_it_resumes_at_every_position_without_a_gap(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        for at in range(6):
            server.customer(f"Person {at}")
        with server.connected() as client:
            for after in range(7):
                client.subscribe(CHANGES, {"after": str(after)}, id=str(after))
                assert positions(taken(client, 6)) == list(range(after + 1, 7))
                client.send(id=str(after), type="complete")


def test_without_a_position_it_begins_with_what_comes_next(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        server.customer("Before")
        with server.connected() as client:
            client.subscribe(CHANGES)
            assert client.next("changes") == {"position": "1", "change": None}
            server.customer("After")
            assert client.next("changes")["change"]["data"]["name"] == "After"


def test_a_quiet_subscriber_is_told_how_far_the_feed_is(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        ids = [server.customer(f"Person {at}") for at in range(2)]
        with server.connected() as client:
            client.subscribe(CHANGES, {"after": "0", "types": ["CustomerArchived"]}, id="quiet")
            assert positions(taken(client, 2)) == []
            server.customer("Another")
            assert client.next("changes") == {"position": "3", "change": None}
            client.send(id="quiet", type="complete")
            client.subscribe(CHANGES, {"after": "0", "subject": ids[1]}, id="person")
            assert positions(taken(client, 3)) == [2]


def test_a_record_is_followed_through_whoever_s_it_is(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        ada, bob, acme = (server.customer(name) for name in ("Ada", "Bob", "Acme"))
        ticket = server.mutate("ticketOpen", "ticket { id }", channel="EMAIL", subject="One", kind="QUESTION")
        id = ticket["ticket"]["id"]
        server.mutate("ticketAssignCustomer", id=id, customer=ada)
        server.mutate("ticketChangePriority", id=id, priority="HIGH")
        server.mutate("ticketAssignCustomer", id=id, customer=bob)
        server.mutate("customerArchive", id=acme)
        with server.connected() as client:
            for about, entries in ((id, [4, 5, 6, 7]), (ada, [1, 5, 6]), (bob, [2, 7]), (acme, [3, 8])):
                client.subscribe(CHANGES, {"after": "0", "subject": about}, id=about)
                assert positions(taken(client, 8)) == entries
                client.send(id=about, type="complete")


def test_an_entry_that_today_s_code_cannot_read_is_told_of_too(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        ids = [server.customer(f"Person {at}") for at in range(2)]
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
            db.execute("UPDATE daybook.events SET topic = 'FromTheFuture' WHERE position = 1")
            db.execute("UPDATE daybook.events SET sealed = sealed || '\\x00' WHERE position = 2")
            db.execute("ALTER TABLE daybook.events ENABLE TRIGGER append_only")
        with server.connected() as client:
            client.subscribe(CHANGES, {"after": "0"})
            future, altered = (message["change"] for message in taken(client, 2)[1:])
        assert (future["type"], future["aggregateKind"], future["data"]) == ("FromTheFuture", None, None)
        assert (altered["type"], altered["data"], altered["aggregateId"]) == ("CustomerRegistered", None, ids[1])


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"after": "99"}, "POSITION_UNKNOWN"),
        ({"after": "-1"}, "BAD_USER_INPUT"),
        ({"after": "x"}, "BAD_USER_INPUT"),
        ({"types": ["NoSuchEvent"]}, "BAD_USER_INPUT"),
        ({"types": []}, "BAD_USER_INPUT"),
        ({"subject": "x"}, "BAD_USER_INPUT"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_an_error_and_the_connection_stays(
    database: str, tmp_path: Path, variables: dict[str, Any], code: str
) -> None:
    with listening(database, tmp_path, projections=False) as server, server.connected() as client:
        client.subscribe(CHANGES, variables)
        message = client.receive()
        while message["type"] == "next":
            message = client.receive()
        assert message["type"] == "error"
        (error,) = message["payload"]
        assert error["extensions"]["code"] == code
        assert error["extensions"]["requestId"]
        client.subscribe("{ __typename }")
        assert client.next("__typename") == "Query"


def test_variables_that_would_be_kept_for_days_are_few(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server, server.connected() as client:
        for types in (["CustomerArchived" + "x" * 16_384], ["\U0001f600" * 4_200], ["\ud800"] * 3_000):
            client.subscribe(CHANGES, {"after": "0", "types": types})
            message = client.receive()
            assert message["type"] == "error"
            (error,) = message["payload"]
            assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
            assert "at most 16,384 are allowed" in error["message"]
        client.subscribe(CHANGES, {"after": "0", "types": ["CustomerArchived"] * 800})
        assert client.next("changes") == {"position": "0", "change": None}


def test_what_is_shared_is_found_by_no_more_than_a_digest_of_its_variables() -> None:
    document = parse(CHANGES)
    operation = get_operation_ast(document)
    assert operation is not None
    fields = [node for node in operation.selection_set.selections if isinstance(node, FieldNode)]

    def key(**coerced: object) -> Hashable:
        raw = SimpleNamespace(operation=operation, field_nodes=fields, variable_values=SimpleNamespace(coerced=coerced))
        return _same(cast("Any", SimpleNamespace(_raw_info=raw, context=SimpleNamespace(sight=ALL))), but="after")

    long = ["\U0001f600" * 1_000, "\ud800"]
    assert key(after="1", types=long) == key(after="2", types=list(long)) != key(after="1", types=long[:1])
    assert key(types=long) != key(types=None, subject=long)
    assert "\U0001f600" not in repr(key(types=long))


def test_a_record_is_told_as_it_stands_and_at_each_change(database: str, tmp_path: Path) -> None:
    query = "subscription Follow($id: ID!) { customerChanged(id: $id) { called: name version tags } }"
    with listening(database, tmp_path) as server:
        id, other = server.customer("Ada"), server.customer("Bob")
        with server.connected() as client:
            client.subscribe(query, {"id": id})
            assert client.next("customerChanged") == {"called": "Ada", "version": 1, "tags": []}
            server.mutate("customerRename", id=other, name="Robert")
            server.mutate("customerAddTag", id=id, tag="vip")
            assert client.next("customerChanged") == {"called": "Ada", "version": 2, "tags": ["vip"]}
            client.send(id="1", type="complete")
            client.subscribe(query, {"id": id[:-1] + ("0" if id[-1] != "0" else "1")}, id="2")
            assert client.next("customerChanged") is None


def test_queries_and_mutations_work_over_the_socket_too(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        id = server.customer("Ada")
        with server.connected() as client:
            client.subscribe("query A($id: ID!) { customer(id: $id) { name } }", {"id": id})
            assert client.next("customer") == {"name": "Ada"}
            assert client.receive() == {"id": "1", "type": "complete"}


def test_a_query_over_the_socket_can_wait_for_a_position(database: str, tmp_path: Path) -> None:
    query = "{ customers(first: 1) { nodes { name } } }"
    with listening(database, tmp_path) as server, server.connected() as client:
        position = server.mutate("customerRegister", kind="PERSON", name="Ada")["position"]
        for at_least, id in ((position, "1"), ("999", "2"), (7, "3")):
            payload = {"query": query, "extensions": {"atLeast": at_least}}
            client.send(id=id, type="subscribe", payload=payload)
            message = client.receive()
            if id == "1":
                assert message["payload"]["data"] == {"customers": {"nodes": [{"name": "Ada"}]}}
                assert message["payload"]["extensions"]["position"] == position
                assert client.receive() == {"id": "1", "type": "complete"}
            else:
                assert message["type"] == "error"
                assert message["payload"][0]["extensions"]["code"] == "POSITION_UNKNOWN"


def test_documents_are_limited_and_a_faulty_one_leaves_the_connection_open(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server, server.connected() as client:
        for query, code in (
            ("{", "GRAPHQL_PARSE_FAILED"),
            ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
            ("{ " + "__typename " * 1001 + "}", "QUERY_TOO_COMPLEX"),
            ("subscription { changes { position } a: changes { position } }", "GRAPHQL_VALIDATION_FAILED"),
            ("query A { __typename } query B { __typename }", "BAD_REQUEST"),
        ):
            message = client.subscribe(query).receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", code), query


def test_nobody_gets_in_without_the_token(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server:
        for payload in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": 5}):
            with server.socket() as websocket:
                Socket(websocket).send(type="connection_init", payload=payload)
                with pytest.raises(ConnectionClosed) as closed:
                    websocket.recv(timeout=10)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4401
        with server.socket() as websocket:
            Socket(websocket).subscribe("{ __typename }")
            with pytest.raises(ConnectionClosed, match="4401"):
                websocket.recv(timeout=10)
        for nothing in ({}, {"payload": None}):  # both are of the protocol
            with server.socket(additional_headers={"Authorization": HEADERS["Authorization"]}) as websocket:
                client = Socket(websocket).send(type="connection_init", **nothing)
                assert client.receive() == {"type": "connection_ack"}


def test_a_foreign_page_and_an_old_protocol_are_refused(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(InvalidStatus) as refused, server.socket(additional_headers=headers):
                pass
            assert refused.value.response.status_code == 403
        with server.socket(subprotocols=["graphql-ws"]) as websocket, pytest.raises(ConnectionClosed, match="4406"):
            websocket.recv(timeout=10)


@pytest.mark.parametrize(
    "message",
    [
        "x", "5", "null", "[]", '"x"', "{}", '{"type": 5}', '{"type": "next"}', "[" * 50_000,
        '{"type": "subscribe"}', '{"type": "subscribe", "id": []}', '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": "x"}', '{"type": "subscribe", "id": "1", "payload": {"query": 5}}',
        '{"type": "subscribe", "id": "\\ud800", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "variables": []}}',
    ],
    ids=lambda message: message[:48],
)  # fmt: skip
def test_a_malformed_message_closes_its_connection_and_no_other(database: str, tmp_path: Path, message: str) -> None:
    with listening(database, tmp_path, projections=False) as server, server.connected() as other:
        with server.connected() as client:
            client.websocket.send(message)
            with pytest.raises(ConnectionClosed, match="4400"):
                client.websocket.recv(timeout=10)
        other.subscribe("{ __typename }")
        assert other.next("__typename") == "Query"


def test_the_server_stops_with_subscribers_connected(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        with server.connected() as client:
            client.subscribe(CHANGES)
            client.next("changes")
            server.uvicorn.should_exit = True
            with pytest.raises(ConnectionClosed) as closed:
                client.websocket.recv(timeout=15)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012, json.dumps("service restart")


_FETCHES_A_KEY = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE '%daybook_keys.subjects WHERE subject = ANY%'
"""


def test_a_database_that_is_away_while_an_entry_is_opened_takes_nothing_from_it(database: str, tmp_path: Path) -> None:
    """It would be told with `data` null, as one that can't be read, and never again."""
    with listening(database, tmp_path) as server:
        server.customer("Ada")
    with (
        listening(database, tmp_path) as server,  # which has opened nothing yet
        psycopg.connect(database) as holder,
        psycopg.connect(database, autocommit=True) as watcher,
        server.connected() as client,
    ):
        holder.execute("LOCK TABLE daybook_keys.subjects IN ACCESS EXCLUSIVE MODE")
        client.subscribe(CHANGES, {"after": "0"})
        assert client.next("changes") == {"position": "0", "change": None}
        until(lambda: watcher.execute(_FETCHES_A_KEY).fetchall())
        [(pid,)] = watcher.execute(_FETCHES_A_KEY).fetchall()
        watcher.execute("SELECT pg_terminate_backend(%s)", (pid,))
        message = client.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "UNAVAILABLE")

        holder.rollback()
        client.subscribe(CHANGES, {"after": "0"}, id="again")
        assert taken(client, 1)[1]["change"]["data"]["name"] == "Ada"
