"""Server-sent events over real HTTP: subscriptions, queries and mutations for whoever asks for `text/event-stream`."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api import event_stream
from tests.api.book import HEADERS
from tests.api.listening import PATIENCE, Server, listening

EVENTS = HEADERS | {"Accept": "text/event-stream"}
CHANGES = "subscription($after: Position) { changes(after: $after) { position change { type } } }"


@contextmanager
def streamed(server: Server, query: str, variables: dict[str, Any] | None = None) -> Iterator[httpx.Response]:
    url, body = f"http://127.0.0.1:{server.port}/graphql", {"query": query, "variables": variables}
    with httpx.stream("POST", url, json=body, headers=EVENTS, timeout=PATIENCE) as response:
        yield response


def told(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Events and their data, by the rules of https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    event, data = "message", list[str]()
    for line in response.iter_lines():
        field, _, value = line.partition(":")
        match field:
            case "event":
                event = value.removeprefix(" ")
            case "data":
                data.append(value.removeprefix(" "))
            case "":
                if line:
                    yield "comment", None
                elif data:
                    yield event, json.loads("\n".join(data) or "null")
                    event, data = "message", list[str]()
            case _:
                raise AssertionError(line)


def test_the_feed_comes_as_events(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        server.customer("Ada")
        with streamed(server, CHANGES, {"after": "0"}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert response.headers["cache-control"] == "no-store"
            events = told(response)
            assert next(events) == ("next", {"data": {"changes": {"position": "0", "change": None}}})
            assert next(events)[1]["data"]["changes"] == {"position": "1", "change": {"type": "CustomerRegistered"}}
            server.customer("Bob")
            assert next(events)[1]["data"]["changes"]["position"] == "2"


def test_a_query_and_a_mutation_are_one_event_and_the_end(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        with streamed(server, "{ __typename }") as response:
            (event, answer), end = told(response)
            assert (event, answer["data"], end) == ("next", {"__typename": "Query"}, ("complete", None))
        mutation = "mutation($new: CustomerRegisterInput!) { customerRegister(input: $new) { customer { name } } }"
        new = {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": "Ada"}
        with streamed(server, mutation, {"new": new}) as response:
            (event, answer), end = told(response)
            data = {"customerRegister": {"customer": {"name": "Ada"}}}
            assert (event, answer["data"], end) == ("next", data, ("complete", None))


def test_over_get_too_but_not_from_a_foreign_page_and_never_a_mutation(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server:
        url, ours = f"http://127.0.0.1:{server.port}/graphql", EVENTS | {"Daybook-CSRF": "1"}
        params = {"query": CHANGES, "variables": '{"after": "0"}'}
        with httpx.stream("GET", url, params=params, headers=ours, timeout=PATIENCE) as response:
            assert next(told(response)) == ("next", {"data": {"changes": {"position": "0", "change": None}}})
        refused = httpx.get(url, params=params, headers=EVENTS)
        assert (refused.status_code, code_of(refused)) == (400, "CSRF_HEADER_MISSING")
        mutation = f'mutation {{ customerArchive(input: {{id: "1", idempotencyKey: "{uuid4()}"}}) {{ position }} }}'
        refused = httpx.get(url, params={"query": mutation}, headers=ours)
        assert (refused.status_code, code_of(refused)) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { changes { position } customerChanged(id: 1) { id } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription A { changes { position } } subscription B { changes { position } }", {}, "BAD_REQUEST"),
        (CHANGES, {"after": "x"}, "BAD_USER_INPUT"),
        (CHANGES, {"after": "99"}, "POSITION_UNKNOWN"),
        ("subscription { changes(types: [\"NoSuchEvent\"]) { position } }", {}, "BAD_USER_INPUT"),
        ("subscription { customerChanged(id: \"x\") { id } }", {}, "BAD_USER_INPUT"),
        ("{ " + "__typename " * 1001 + "}", {}, "QUERY_TOO_COMPLEX"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_with_an_operation_is_told_in_the_stream_which_then_ends(
    database: str, tmp_path: Path, query: str, variables: dict[str, Any], code: str
) -> None:
    with listening(database, tmp_path, projections=False) as server, streamed(server, query, variables) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        (event, answer), end = told(response)
        assert (event, end) == ("next", ("complete", None))
        assert answer.keys() == {"errors"}
        assert {error["extensions"]["code"] for error in answer["errors"]} == {code}
        assert answer["errors"][0]["extensions"]["requestId"] == response.headers["Daybook-Request-Id"]


def test_who_takes_it_and_who_does_not(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server:
        url = f"http://127.0.0.1:{server.port}/graphql"

        def kind(query: str, accept: str) -> str:
            headers = HEADERS | {"Accept": accept}
            with httpx.stream("POST", url, json={"query": query}, headers=headers, timeout=PATIENCE) as response:
                return f"{response.status_code} {response.headers['content-type'].partition(';')[0]}"

        graphql, json_ = "application/graphql-response+json", "application/json"
        for query in ("{ __typename }", CHANGES):
            assert kind(query, "text/event-stream") == "200 text/event-stream"
            assert kind(query, "TEXT/Event-Stream;q=0.1, text/plain") == "200 text/event-stream"
            assert kind(query, "text/event-stream;q=0") == f"406 {json_}"
        both = f"{graphql}, {json_}, text/event-stream, multipart/mixed"
        assert kind("{ __typename }", both) == f"200 {graphql}", "a stream is only for what needs one"
        assert kind(CHANGES, both) == "200 text/event-stream"
        assert kind(CHANGES, f"{graphql}, {json_}") == f"400 {graphql}"
        assert kind(CHANGES, "*/*").endswith(json_)
        refused = httpx.post(url, json={"query": CHANGES}, headers={"Accept": "text/event-stream"})
        assert (refused.status_code, code_of(refused)) == (401, "UNAUTHENTICATED")


def test_a_silent_stream_is_kept_alive_by_comments(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE", 0.05)
    with listening(database, tmp_path) as server, streamed(server, CHANGES) as response:
        events = told(response)
        assert [next(events)[0] for _ in range(3)] == ["next", "comment", "comment"]


def test_the_server_stops_with_streams_open(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with listening(database, tmp_path) as server, streamed(server, CHANGES, {"after": "0"}) as response:
        events = told(response)
        assert next(events)[0] == "next"
        began = time.monotonic()
        server.uvicorn.should_exit = True
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):  # no `complete`: clients come again
            next(events)
        assert time.monotonic() - began < event_stream.KEEP_ALIVE / 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@contextmanager
def streamed_as_ever(server: Server, query: str) -> Iterator[BufferedReader]:
    """The same from a client of HTTP/1.0."""
    body = json.dumps({"query": query}).encode()
    lines = [
        "POST /graphql HTTP/1.0",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join([*lines, *map(": ".join, EVENTS.items()), "\r\n"]).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as tcp, tcp.makefile("rb") as answer:
        tcp.sendall(head + body)
        status, *headers = iter(lambda: answer.readline().strip().lower(), b"")
        assert status.endswith(b" 200 ok")
        assert b"connection: close" in headers
        assert not [one for one in headers if one.startswith((b"transfer-encoding", b"content-length"))]
        yield answer


def test_who_knows_no_chunks_reads_until_the_connection_ends(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(database, tmp_path) as server:
        with streamed_as_ever(server, "{ __typename }") as answer:
            event, data, *end = answer.read().decode().split("\n")
            assert (event, end) == ("event: next", ["", "event: complete", "data:", "", ""])
            assert json.loads(data.removeprefix("data: "))["data"] == {"__typename": "Query"}
        with streamed_as_ever(server, CHANGES) as answer:
            assert answer.readline() == b"event: next\n"
            server.uvicorn.should_exit = True
            assert b"complete" not in answer.read()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def code_of(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    assert error["extensions"]["requestId"] == response.headers["Daybook-Request-Id"]
    code: str = error["extensions"]["code"]
    return code
