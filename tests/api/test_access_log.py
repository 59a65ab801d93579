"""The log of a server that runs: a line for each request, and no value of anybody's, whatever goes wrong."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from api.discretion import Discreet
from tests.api.listening import PATIENCE, Socket
from tests.faults.processes import database_url

TOKEN, WRONG = "the-right-token-of-the-administrator", "a-token-that-somebody-guessed"
NAME, EMAIL, QUERY_NAME = "Ottokar Weissenbruch", "ottokar@weissenbruch.example", "Zacharias Querfeldt"
RAISED, COOKIE, PATH, REASON = "RaisedByTheDatabase", "cookie-of-a-session", "path-of-an-address", "He moved to Bern"
ORIGIN = "origin-of-a-stranger.example"
VALUES = (
    TOKEN,
    WRONG,
    NAME,
    EMAIL,
    QUERY_NAME,
    RAISED,
    COOKIE,
    PATH,
    REASON,
    ORIGIN,
    "Ottokar",
    "weissenbruch",
    "Querfeldt",
)
"""What a log must not hold; all of it is used below."""
REGISTER = "mutation Register($input: CustomerRegisterInput!) { customerRegister(input: $input) { customer { id } } }"
KEYS = [
    "time", "requestId", "actor", "onBehalfOf", "method", "path", "operation", "name", "codes", "status", "closed",
    "ms", "cost", "position",
]  # fmt: skip


class Served:
    """A server in a process of its own."""

    def __init__(self, address: str, database: str, http: httpx.Client) -> None:
        self.url, self.database, self.http = f"{address}/graphql", database, http

    def post(self, query: str, variables: dict[str, Any] | None = None, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Cookie": f"session={COOKIE}"}
        return self.http.post(self.url, json={"query": query, "variables": variables}, headers=headers)

    def register(self) -> httpx.Response:
        points = [{"kind": "EMAIL", "value": EMAIL}]
        given = {"kind": "PERSON", "name": NAME, "contactPoints": points, "idempotencyKey": str(uuid4())}
        return self.post(REGISTER, {"input": {**given, "reason": REASON}})

    @contextmanager
    def socket(self, token: str, **options: Any) -> Iterator[Socket]:
        protocols = [Subprotocol("graphql-transport-ws")]
        with connect(self.url.replace("http", "ws", 1), subprotocols=protocols, **options) as websocket:
            yield Socket(websocket).send(type="connection_init", payload={"Authorization": f"Bearer {token}"})

    def alter(self, *statements: str) -> None:
        with psycopg.connect(self.database, autocommit=True) as db:
            for statement in statements:
                db.execute(statement.encode())


@contextmanager
def served(database: str, directory: Path, log: Path, *words: str, **environment: str) -> Iterator[Served]:
    settings = {"DAYBOOK_DATA": str(directory), "DAYBOOK_ADMIN_TOKEN": TOKEN, "DATABASE_URL": database_url(database)}
    command = [sys.executable, "-m", "api.command_line", "serve", "--port", "0", *words]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], **settings, **environment}, stdout=subprocess.PIPE, stderr=stderr
        )
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, b"")
            address = next(found[0] for line in lines if (found := re.search(rb"http://127\.0\.0\.1:\d+", line)))
            with httpx.Client(timeout=PATIENCE) as http:
                yield Served(address.decode(), database, http)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The lines of JSON in it."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{")]


def misuse(server: Served) -> None:
    """Whatever can go wrong, with values in it that nobody may read in a log."""
    filtered = f'query Search {{ customers(first: 1, where: {{name: {{eq: "{QUERY_NAME}"}}}}) {{ nodes {{ id }} }} }}'
    assert server.post(filtered).status_code == 200
    assert server.post(filtered.replace("name:", f"{QUERY_NAME.partition(' ')[0]}:")).json()["errors"]
    assert server.post(f'{{ "{QUERY_NAME}').json()["errors"]
    assert server.post(REGISTER, {"input": {"kind": NAME}}).json()["errors"]
    assert server.post(filtered, token=WRONG).status_code == 401
    params = {"query": filtered, "variables": json.dumps({"name": NAME})}
    headers = {"Authorization": f"Bearer {TOKEN}", "Daybook-CSRF": "1", "Daybook-At-Least": EMAIL}
    assert server.http.get(server.url, params=params, headers=headers).json()["errors"]
    assert server.http.get(f"{server.url}/{PATH}?{EMAIL}").status_code == 404
    assert server.http.post(server.url, content=f'{{"{NAME}": ', headers=headers).status_code >= 400
    assert server.http.get(server.url, headers={"Host": f"{PATH}.example"}).status_code == 421
    with server.socket(WRONG) as client, pytest.raises(ConnectionClosed, match="4401"):
        client.receive()
    with pytest.raises(InvalidStatus), server.socket(TOKEN, origin=Origin(f"https://{ORIGIN}")):
        pass
    with server.socket(TOKEN) as client:
        assert client.receive() == {"type": "connection_ack"}
        client.subscribe(filtered).next("customers")
        assert client.receive()["type"] == "complete"
        assert client.subscribe(REGISTER, {"input": {"kind": NAME}}, id="2").receive()["payload"]
    server.alter(
        f"CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE '{RAISED} {EMAIL}'; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON daybook.events EXECUTE FUNCTION public.refuse()",
        "ALTER TABLE daybook_read.customers RENAME COLUMN name TO another",
    )
    assert server.register().json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert server.post(filtered).json()["errors"][0]["extensions"]["code"] == "INTERNAL"


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        ((), {"DAYBOOK_ENV": "production"}),
        ((), {"DAYBOOK_ACCESS_LOG": "off"}),
        (("--workers", "2"), {"DAYBOOK_ACCESS_LOG": "on"}),
    ],
    ids=["production", "off", "workers"],
)
def test_no_value_comes_into_the_log(
    database: str, tmp_path: Path, words: tuple[str, ...], environment: dict[str, str]
) -> None:
    log = tmp_path / "log"
    with served(database, tmp_path / "book", log, *words, **environment) as server:
        registered = server.register()
        id = registered.json()["data"]["customerRegister"]["customer"]["id"]
        misuse(server)
        metrics = server.http.get(server.url.replace("/graphql", "/metrics")).text
    text = log.read_text("utf-8")
    for value in (*VALUES, id):
        assert value.lower() not in text.lower(), value
        assert value.lower() not in metrics.lower(), value
    assert text.count("ERROR daybook.api: Request") == 2, text
    assert "WARNING strawberry.ws: A page of another origin was refused a WebSocket." in text
    assert "RaiseException" in text
    assert "SQLSTATE P0001" in text
    assert re.search(r"^  exchange\.py:\d+ in \w+$", text, re.MULTILINE), "the place is told"
    lines = lines_of(log)
    if environment.get("DAYBOOK_ACCESS_LOG") == "off":
        assert lines == []
        return
    assert all(list(line) == KEYS for line in lines)
    (first,) = [line for line in lines if line["requestId"] == registered.headers["Daybook-Request-Id"]]
    assert {key: first[key] for key in KEYS[2:10]} == {
        "actor": "administrator", "onBehalfOf": None, "method": "POST", "path": "/graphql", "operation": "mutation",
        "name": "Register", "codes": [], "status": 200,
    }  # fmt: skip
    assert first["cost"] == registered.json()["extensions"]["cost"]["requested"]
    assert 0 < first["ms"] < 60_000
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first["time"])
    told = [
        tuple(line[key] for key in ("method", "actor", "operation", "name", "status", *("codes",))) for line in lines
    ]
    refused = ["UNAUTHENTICATED"]
    awaited: list[tuple[Any, ...]] = [
        ("POST", "administrator", "query", "Search", 200, []),
        ("POST", None, None, None, 401, refused),
        ("WEBSOCKET", "administrator", "query", "Search", None, []),
        ("WEBSOCKET", "administrator", "mutation", "Register", None, ["BAD_USER_INPUT"]),
        ("WEBSOCKET", None, None, None, 403, ["FORBIDDEN"]),
        ("WEBSOCKET", None, None, None, 101, refused),
        ("WEBSOCKET", "administrator", None, None, 101, []),
        ("GET", None, None, None, 421, []),
        ("POST", "administrator", "query", "Search", 500, ["INTERNAL"]),
    ]
    for expected in awaited:
        assert expected in told, expected
    assert {line["path"] for line in lines} == {"/graphql", "/metrics", "(another)"}
    read = next(line for line in lines if line["name"] == "Search" and line["status"] == 200)
    assert read["position"] is not None


def formatted(error: BaseException | None, message: str = "Request 5 failed.", name: str = "daybook.api") -> str:
    kind = (type(error), error, error.__traceback__) if error is not None else None
    return Discreet().format(logging.LogRecord(name, logging.ERROR, "", 0, message, (), kind))


def test_an_error_is_told_without_its_message_and_so_are_those_before_it() -> None:
    def inner() -> None:
        raise KeyError(NAME)

    def outer() -> None:
        try:
            inner()
        except KeyError as error:
            raise ExceptionGroup(NAME, [ValueError(EMAIL), error]) from error

    with pytest.raises(ExceptionGroup) as raised:
        outer()
    text = formatted(raised.value)
    assert text.startswith("ERROR daybook.api: Request 5 failed.\nExceptionGroup")
    assert "ValueError" in text
    assert re.search(r"KeyError.*\n  test_access_log\.py:\d+ in .*\n  test_access_log\.py:\d+ in inner", text)
    assert not any(value in text for value in VALUES)


@pytest.mark.parametrize("ends", ["fail()", "thread = Thread(target=fail); thread.start(); thread.join()"])
def test_what_ends_a_process_or_a_thread_is_told_without_its_message(ends: str) -> None:
    program = (
        "from threading import Thread\nfrom api.discretion import log_discreetly\n"
        f"def fail():\n    raise KeyError({NAME!r})\nlog_discreetly()\n{ends}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert re.search(r"daybook: .* has ended\.\nKeyError.*\n(  .*\n)*  <string>:4 in fail\n", done.stderr)
    assert NAME not in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["serve"], ["status"]])
def test_the_command_line_tells_no_secret(tmp_path: Path, words: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    settings = {"PATH": os.environ["PATH"], "DAYBOOK_DATA": str(tmp_path)}
    secrets = {"DATABASE_URL": f"postgresql://me:{WRONG}@127.0.0.1:{port}/crm", "DAYBOOK_ADMIN_TOKEN": TOKEN}
    command = [sys.executable, "-m", "api.command_line", *words]
    done = subprocess.run(command, env={**settings, **secrets}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (0 if "--help" in words else 3), done.stderr
    assert done.stdout or done.stderr
    assert not any(value in done.stdout + done.stderr for value in (TOKEN, WRONG))


def test_tracebacks_in_texts_lose_their_messages_but_for_those_meant_for_operators() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/srv/daybook/api/http.py", line 5, in respond\n'
        f"    raise KeyError('{NAME}')\n"
        f"KeyError: '{NAME}'\nDETAIL: {EMAIL}\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "infra.master_key.MasterKeyError: The master key is another book's."
    )
    told = formatted(None, text, "uvicorn.error")
    assert not any(value in told for value in VALUES)
    assert 'File "/srv/daybook/api/http.py", line 5' in told
    assert "\nKeyError\n" in told
    assert told.endswith("infra.master_key.MasterKeyError: The master key is another book's.")
    task = formatted(
        None, f"Task exception was never retrieved\nfuture: <Task exception=KeyError('{NAME}')>", "asyncio"
    )
    assert task == "ERROR asyncio: Task exception was never retrieved"
