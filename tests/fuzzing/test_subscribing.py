"""Subscriptions that hypothesis draws, and frames of any kind: an operation's fault is told and is not ours, the socket
outlives it, and what the protocol forbids closes it with the protocol's code.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from graphql import DocumentNode, GraphQLSchema, OperationDefinitionNode, OperationType, print_ast
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from api.schema import the_schema
from api.server import MOST_MESSAGE_BYTES
from tests.faults.processes import HEADERS, PATIENCE, TOKEN, Process, Server, stopped_at_the_end
from tests.fuzzing.drawn import JUNK, LITERALS

SEED = 20260331
DRAWN = settings(
    max_examples=80,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
SUBSCRIPTIONS = GraphQLSchema(query=the_schema()._schema.subscription_type)
"""The subscriptions, as the queries that hypothesis-graphql knows how to draw."""
PROBE = {"id": "probe", "type": "subscribe", "payload": {"query": "{ __typename }"}}
TOLD = {
    "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX", "BAD_REQUEST",
    "POSITION_UNKNOWN",
}  # fmt: skip
"""What may be wrong with a document or its variables."""


@pytest.fixture(scope="module")
def server(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo's book."""
    directory = tmp_path_factory.mktemp("subscribing")
    demo, server = Process(module_database, directory, "demo", name="demo"), Server(module_database, directory)
    with stopped_at_the_end(demo, server):
        demo.start()
        assert demo.wait_done() == 0, demo.tail()
        server.start()
        server.wait_ready()
        yield server
        assert "Traceback" not in server.log.read_text(encoding="utf-8")


@contextmanager
def connected(server: Server, *, acknowledged: bool = True) -> Iterator[ClientConnection]:
    protocol = Subprotocol("graphql-transport-ws")
    address = server.url.replace("http", "ws")
    with connect(address, subprotocols=[protocol], open_timeout=PATIENCE, close_timeout=1) as socket:
        if acknowledged:
            socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}}))
            assert received(socket) == {"type": "connection_ack"}
        yield socket


def received(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE))
    return message


def lives(socket: ClientConnection) -> list[dict[str, Any]]:
    """What came before the socket answered one more question; fails where it does not."""
    socket.send(json.dumps(PROBE))
    before: list[dict[str, Any]] = []
    while (message := received(socket)).get("id") != "probe":
        before.append(message)
    assert message["type"] == "next"
    assert received(socket) == {"id": "probe", "type": "complete"}
    return before


def subscription(document: DocumentNode) -> str:
    (operation,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    return print_ast(DocumentNode(definitions=(replace(operation, operation=OperationType.SUBSCRIPTION),)))


VALID: st.SearchStrategy[str] = queries(SUBSCRIPTIONS, custom_scalars=LITERALS, print_ast=subscription).map(str)


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A subscription of which a part is missing or said twice."""
    text = draw(VALID)
    begin, end = sorted(draw(st.tuples(*2 * [st.integers(0, len(text))])))
    return text[:begin] + draw(st.sampled_from(["", text[begin:end] * 2, "$x", "\0"])) + text[end:]


TYPED = st.sampled_from(
    [
        "subscription($v: Position) { changes(after: $v) { position } }",
        "subscription($v: [String!]) { changes(types: $v, after: 0) { position } }",
        "subscription($v: ID) { changes(subject: $v) { position change { data } } }",
        "subscription($v: ID!) { ticketChanged(id: $v) { subject } }",
    ]
)
ASKED = st.one_of(
    st.tuples(VALID | spoilt(), st.none() | st.dictionaries(st.text(max_size=3), JUNK, max_size=2)),
    st.tuples(TYPED, st.fixed_dictionaries({"v": JUNK | st.lists(JUNK, max_size=3)})),
)


def codes(errors: list[dict[str, Any]]) -> set[str]:
    return {error["extensions"]["code"] for error in errors}


def test_an_operation_s_fault_is_told_over_the_socket_which_goes_on(server: Server) -> None:
    outcomes: set[str] = set()
    with connected(server) as socket:

        @seed(SEED)
        @DRAWN
        @given(asked=ASKED)
        def asks(asked: tuple[str, dict[str, Any] | None]) -> None:
            query, variables = asked
            payload = {"query": query, "variables": variables}
            socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            message = received(socket)
            outcomes.add(message["type"])
            assert message["id"] == "1"
            if message["type"] == "error":
                assert codes(message["payload"]) <= TOLD, (query, variables, message)
            else:
                assert message["type"] == "next", (query, variables, message)
                assert codes(message["payload"].get("errors", [])) <= TOLD, (query, variables, message)
            socket.send(json.dumps({"id": "1", "type": "complete"}))
            lives(socket)

        asks()
    assert outcomes == {"next", "error"}, "both kinds were drawn"


def test_an_operation_s_fault_is_told_in_the_stream(server: Server) -> None:
    @seed(SEED)
    @DRAWN
    @given(asked=ASKED)
    def asks(asked: tuple[str, dict[str, Any] | None]) -> None:
        body = {"query": asked[0], "variables": asked[1]}
        headers = {**HEADERS, "Accept": "text/event-stream"}
        with httpx.stream("POST", server.url, json=body, headers=headers, timeout=PATIENCE) as response:
            assert response.status_code == 200, (asked, response.status_code)
            told = next(line for line in response.iter_lines() if line.startswith("data: "))
        assert codes(json.loads(told[6:]).get("errors", [])) <= TOLD, (asked, told)

    asks()


IDS = st.sampled_from(["1", "x", ""])
KNOWN = ("connection_init", "ping", "pong", "subscribe", "complete")
JSON = st.recursive(
    JUNK, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def no_message(value: object) -> bool:
    """Whether a JSON value is no message of the protocol."""
    return not isinstance(value, dict) or value.get("type") not in KNOWN


FRAMES: st.SearchStrategy[tuple[str | bytes, set[int]]] = st.one_of(
    st.binary(max_size=64).map(lambda frame: (frame, {4400})),
    st.text(st.characters(codec="utf-8"), max_size=40)
    .filter(lambda text: not is_json(text))
    .map(lambda text: (text, {4400})),
    JSON.filter(no_message).map(lambda value: (json.dumps(value), {4400})),
    st.builds(
        lambda id, payload: (json.dumps({"id": id, "type": "subscribe", "payload": payload}), {4400}), JUNK, JUNK
    ),
    st.just((json.dumps({"type": "connection_init"}), {4429})),
    st.builds(lambda id: (json.dumps({"id": id, "type": "complete"}), set[int]()), IDS),
    st.sampled_from(["ping", "pong"]).map(lambda kind: (json.dumps({"type": kind}), set[int]())),
)
"""Frames, and the code that one closes a connection with; none where it goes on."""


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_a_frame_that_is_none_closes_its_connection_with_the_protocol_s_code(server: Server) -> None:
    @seed(SEED)
    @DRAWN
    @given(drawn=FRAMES)
    def sends(drawn: tuple[str | bytes, set[int]]) -> None:
        frame, expected = drawn
        with connected(server) as socket:
            socket.send(frame)
            if not expected:
                lives(socket)
                return
            with pytest.raises(ConnectionClosed) as closed:
                lives(socket)
            assert closed.value.rcvd is not None, frame
            assert closed.value.rcvd.code in expected, frame

    sends()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('{"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}', "4401"),
        ('{"type": "connection_init", "payload": {"Authorization": "Bearer wrong"}}', "4401"),
    ],
)
def test_who_has_not_said_who_it_is_is_sent_away(server: Server, frame: str, code: str) -> None:
    with connected(server, acknowledged=False) as socket:
        socket.send(frame)
        with pytest.raises(ConnectionClosed, match=code):
            socket.recv(timeout=PATIENCE)


def test_a_message_that_is_too_large_closes_the_connection(server: Server) -> None:
    with connected(server) as socket:
        socket.send(" " * (MOST_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            lives(socket)


def test_an_id_that_is_in_use_closes_the_connection(server: Server) -> None:
    with connected(server) as socket:
        asked = {"id": "1", "type": "subscribe", "payload": {"query": "subscription { changes { position } }"}}
        socket.send(json.dumps(asked))
        assert received(socket)["type"] == "next"
        socket.send(json.dumps(asked))
        with pytest.raises(ConnectionClosed, match="4409"):
            socket.recv(timeout=PATIENCE)
