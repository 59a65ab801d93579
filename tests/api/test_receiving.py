"""How requests arrive: heads without end, bodies that do not come, connections on which nothing happens."""

import gc
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from websockets.exceptions import ConnectionClosed

from api import receiving
from api.incoming import MOST_BYTES
from api.receiving import MOST_HEAD_BYTES
from api.server import MOST_MESSAGE_BYTES
from tests.api.book import HEADERS
from tests.api.listening import PATIENCE, Server, listening, until
from tests.held import held

BODY = b'{"query": "{ __typename }"}'
HEAD = "\r\n".join(
    ["POST /graphql HTTP/1.1", "Host: localhost", "Content-Type: application/json", *map(": ".join, HEADERS.items())]
).encode()
UPGRADE = b"""\
GET /graphql HTTP/1.1\r
Host: localhost\r
Connection: Upgrade\r
Upgrade: websocket\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
Sec-WebSocket-Protocol: graphql-transport-ws\r
\r
"""
SOON = 0.5
"""Instead of the deadline."""


@contextmanager
def connection(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as tcp:
        yield tcp


def request(body: bytes = BODY, *headers: str) -> bytes:
    lines = [HEAD, *(one.encode() for one in headers), f"Content-Length: {len(body)}".encode()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answer(tcp: socket.socket) -> bytes:
    """What is sent until the body of one answer is there."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += received(tcp)
    head, _, body = said.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += received(tcp)
    return head + b"\r\n\r\n" + body


def received(tcp: socket.socket) -> bytes:
    chunk = tcp.recv(65536)
    assert chunk, "the connection was closed"
    return chunk


def cut(tcp: socket.socket) -> bool:
    """Whether the server closes the connection, and says nothing before."""
    try:
        return tcp.recv(1) == b""
    except ConnectionResetError:
        return True


def cycles() -> list[RequestResponseCycle]:
    return [each for each in gc.get_objects() if type(each) is RequestResponseCycle]


def test_who_does_not_finish_a_request_is_cut_off(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "DEADLINE", SOON)
    with listening(database, tmp_path, projections=False) as server:
        for sent in (b"", b"\r\n", b"POST /graphql HTT", HEAD, request()[:-1], HEAD + b"\r\nX: "):
            for before in (b"", request()):
                with connection(server) as tcp:
                    if before:
                        tcp.sendall(before)
                        assert answer(tcp).startswith(b"HTTP/1.1 200")
                    tcp.sendall(sent)
                    assert cut(tcp), (sent, before)


def test_who_has_not_sent_all_of_a_request_does_not_hold_up_the_end(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(database, tmp_path, projections=False) as server, ExitStack() as stack:
        clients = [stack.enter_context(connection(server)) for _ in range(3)]
        for tcp, sent in zip(clients, (b"POST /graphql HTT", request()[:-1], request() + request()[:-1]), strict=True):
            tcp.sendall(sent)
        assert answer(clients[-1]).startswith(b"HTTP/1.1 200"), "all of it has come by now"
        began = time.monotonic()
        server.uvicorn.should_exit = True
        assert all(map(cut, clients))
        assert time.monotonic() - began < receiving.DEADLINE / 3
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("more", [b"POST /graphql HTT", request()[:-1]], ids=["half a head", "half a body"])
def test_who_has_begun_another_request_is_answered_the_one_before_all_the_same(
    database: str, tmp_path: Path, more: bytes
) -> None:
    """HTTP lets a client send on without waiting for answers (RFC 9112, 9.3.2)."""
    query = "mutation($i: CustomerRegisterInput!) { customerRegister(input: $i) { userErrors { code } } }"
    given = {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": "Ada"}
    body = json.dumps({"query": query, "variables": {"i": given}}).encode()
    with listening(database, tmp_path) as server, connection(server) as tcp:
        with held(database, "it is appended") as waits:
            tcp.sendall(request(body) + more)
            until(waits)
            server.uvicorn.should_exit = True
            until(lambda: not server.uvicorn.servers[0].sockets)  # who is there is told that the end has come
        assert b'"userErrors":[]' in answer(tcp)
        assert cut(tcp)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Content-Length: 3\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\n", b"400"),
        (b"Cookie: " + b"x" * 9_000 + b"\r\n", b"431"),
        (b"".join(b"X-%d: y\r\n" % at for at in range(200)), b"431"),
    ],
    ids=["a body", "a chunked body", "a long header", "many headers"],
)
def test_who_can_t_open_a_websocket_is_told_and_not_kept(
    database: str, tmp_path: Path, line: bytes, status: bytes
) -> None:
    """Nobody would cut such a connection: all of the request is there, and no WebSocket begins."""
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        tcp.sendall(UPGRADE.replace(b"Host:", line + b"Host:"))
        assert answer(tcp).startswith(b"HTTP/1.1 " + status)
        assert cut(tcp)


def segments(tcp: socket.socket) -> int:
    """How many segments with data have come, by the kernel's count: `tcpi_data_segs_in` of its `struct tcp_info`."""
    count: int
    (count,) = struct.unpack_from("I", tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)
    return count


def test_head_and_body_leave_together(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        for answers in range(1, 4):
            tcp.sendall(request())
            assert answer(tcp).startswith(b"HTTP/1.1 200")
            assert segments(tcp) == answers


def test_a_head_that_no_body_follows_leaves_alone(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        tcp.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = received(tcp)
        assert head.startswith(b"HTTP/1.1 200")
        assert b"content-length: 14\r\n" in head
        assert head.endswith(b"\r\n\r\n")
        tcp.sendall(request())
        assert answer(tcp).startswith(b"HTTP/1.1 200")


def test_a_byte_now_and_then_does_not_help(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "DEADLINE", SOON)
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        began, sent = time.monotonic(), 0
        tcp.sendall(HEAD + b"\r\nContent-Length: 1000000\r\n\r\n")
        tcp.settimeout(0.02)
        while time.monotonic() - began < PATIENCE:
            try:
                tcp.sendall(b" ")
                sent += 1
                if tcp.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert 1 < sent < 1000
        assert time.monotonic() - began < PATIENCE


def test_a_request_that_is_there_has_the_time_that_it_needs(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "DEADLINE", SOON)
    with listening(database, tmp_path, projections=False, patience=3 * SOON) as server:
        with connection(server) as tcp:
            for _ in range(2):
                given = '{idempotencyKey: "6f1c1e0e-52c5-4f0a-9c39-0a4d4f3a7d11", kind: PERSON, name: "Ada"}'
                register = f"mutation {{ customerRegister(input: {given}) {{ customer {{ id }} }} }}"
                began = time.monotonic()
                tcp.sendall(request(json.dumps({"query": register}).encode()))
                assert b'"readModel":"BEHIND"' in answer(tcp)
                assert time.monotonic() - began > 2 * SOON
        with server.connected() as client:
            client.subscribe("subscription { changes { position } }").next("changes")
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                client.websocket.recv(timeout=3 * SOON)
            assert client.subscribe("{ __typename }", id="2").next("__typename") == "Query"


def test_a_connection_is_idle_for_so_long(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        tcp.sendall(request())
        assert answer(tcp).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert cut(tcp)
        assert 4 < time.monotonic() - began < receiving.DEADLINE


def test_a_message_over_a_websocket_has_so_many_bytes(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server:
        with server.connected() as client:
            query = "{ __typename }"
            room = MOST_MESSAGE_BYTES - len(json.dumps({"id": "1", "type": "ping", "payload": {"x": ""}}))
            client.send(id="1", type="ping", payload={"x": "x" * room})
            assert client.receive()["type"] == "pong"
            assert client.subscribe(query).next("__typename") == "Query"
            assert client.receive()["type"] == "complete"
            client.send(id="1", type="ping", payload={"x": "x" * (room + 1)})
            with pytest.raises(ConnectionClosed, match="1009"):
                client.receive()


@pytest.mark.parametrize("message", [b"\xc3", [b"{", b"\xc3", b"}"]], ids=["in one piece", "in several"])
def test_a_text_that_is_none_over_a_websocket_is_no_fault_of_the_server_s(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, message: bytes | list[bytes]
) -> None:
    with listening(database, tmp_path, projections=False) as server, server.socket() as websocket:
        websocket.send(message, text=True)
        with pytest.raises(ConnectionClosed, match="1007"):
            websocket.recv(timeout=PATIENCE)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_who_sends_far_too_much_over_a_websocket_reads_why_it_is_closed(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server, server.connected() as client:
        client.websocket.send("x" * (64 * MOST_MESSAGE_BYTES))
        with pytest.raises(ConnectionClosed, match="1009"):
            client.receive()


def test_who_goes_on_sending_after_that_is_cut(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "LINGERING", SOON)
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        tcp.sendall(UPGRADE)
        assert received(tcp).startswith(b"HTTP/1.1 101")
        until = time.monotonic() + PATIENCE
        with pytest.raises(ConnectionError):
            _send_no_frames(tcp, until)


def _send_no_frames(tcp: socket.socket, until: float) -> None:
    while time.monotonic() < until:
        tcp.sendall(b"\xff" * 65536)


def test_a_head_has_so_many_bytes(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False) as server:
        with connection(server) as tcp:
            tcp.sendall(request(BODY, "X: " + "x" * (MOST_HEAD_BYTES - 1000)))
            assert answer(tcp).startswith(b"HTTP/1.1 200")
            tcp.sendall(request(BODY, *(f"X{at}: {'x' * 1000}" for at in range(MOST_HEAD_BYTES // 1000))))
            said = answer(tcp)
            assert said.startswith(b"HTTP/1.1 431")
            (error,) = json.loads(said.partition(b"\r\n\r\n")[2])["errors"]
            assert error["extensions"]["code"] == "REQUEST_TOO_LARGE"
            assert cut(tcp)
        with connection(server) as tcp:
            tcp.sendall(request(BODY + b" " * (MOST_BYTES - len(BODY))))
            assert answer(tcp).startswith(b"HTTP/1.1 200"), "a body may have more"


def test_a_wish_for_another_protocol_is_passed_over(database: str, tmp_path: Path) -> None:
    """Java's client and curl's `--http2` send it with the first request to a server without TLS."""
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    with listening(database, tmp_path, projections=False) as server:
        for sent in (request(BODY, *wish), request(BODY, "X: y", *wish, "X: z")):
            with connection(server) as tcp:
                tcp.sendall(sent * 2 + request())
                said = b""
                while said.count(b'{"__typename":"Query"}') < 3:  # two may come at once
                    said += received(tcp)
            with connection(server) as tcp:
                for each in sent:
                    tcp.sendall(bytes([each]))
                assert b'{"__typename":"Query"}' in answer(tcp)
        last = request(BODY, "Connection: close, Upgrade", "Upgrade: h2c")
        for sent in (last, last.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"close, ", b"")):
            with connection(server) as tcp:
                tcp.sendall(sent)
                assert b'{"__typename":"Query"}' in answer(tcp)
                assert cut(tcp)
        with connection(server) as tcp:
            tcp.sendall(request(BODY, *(f"X{at}: {'x' * 1000}" for at in range(MOST_HEAD_BYTES // 1000)), *wish))
            assert answer(tcp).startswith(b"HTTP/1.1 431")
        for path in (b"/graphql", b"localhost:443"):
            with connection(server) as tcp:
                tcp.sendall(HEAD.replace(b"POST /graphql", b"CONNECT " + path) + b"\r\n\r\n")
                assert answer(tcp).startswith(b"HTTP/1.1 40")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (HEAD.replace(b"POST", b"FOO") + b"\r\n\r\n", "This is no method of HTTP."),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/x.y") + b"\r\n\r\n", "What was sent is no HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "This is no method of HTTP."),  # a TLS client's first bytes
    ],
)
def test_what_is_no_request_is_refused_like_any_other(database: str, tmp_path: Path, sent: bytes, said: str) -> None:
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        tcp.sendall(sent)
        head, _, body = answer(tcp).partition(b"\r\n\r\n")
        assert cut(tcp)
    status, *headers = head.decode().lower().split("\r\n")
    [error] = json.loads(body)["errors"]
    assert (status, error["extensions"]["code"]) == ("http/1.1 400 bad request", "BAD_REQUEST")
    assert error["message"].startswith(said)
    assert {f"daybook-request-id: {error['extensions']['requestId']}", "content-type: application/json"} < set(headers)


@pytest.mark.parametrize("begin", [HEAD + b"\r\nX: ", b"GET /", HEAD + b"\r\n"])
def test_a_head_without_end_is_not_kept(database: str, tmp_path: Path, begin: bytes) -> None:
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        tcp.sendall(begin)
        sent = 0
        try:
            while sent < 100 * MOST_HEAD_BYTES:
                tcp.sendall((b"x: y\r\n" if begin.endswith(b"\n") else b"xxxxxx") * 1000)
                sent += 6000
        except ConnectionError:
            pass
        assert sent < 100 * MOST_HEAD_BYTES


def test_nothing_of_a_request_waits_for_the_garbage_collector(database: str, tmp_path: Path) -> None:
    requests = 20
    with listening(database, tmp_path, projections=False) as server, connection(server) as tcp:
        gc.collect()
        others = cycles()  # of servers that other tests have running in this process
        gc.disable()
        try:
            for _ in range(requests):
                tcp.sendall(request())
                assert b"__typename" in answer(tcp)
            # The connection holds its last one.
            left = len(cycles()) - len(others)
        finally:
            gc.enable()
    assert left < requests / 2
