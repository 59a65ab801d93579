"""Faults of ours at every edge: the client hears a code and the request's id, the log hears everything else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID, uuid4

import httpx
import psycopg
import pytest

from api.documents import Documents
from api.errors import RequestErrorCode, request_id
from api.reading.compiler import Compiler
from api.reading.json_text import computed
from tests.api.book import HEADERS
from tests.api.listening import PATIENCE, Server, listening

SECRET = "SECRET /srv/keys/master.key SELECT * FROM daybook_keys.keys"
LEAKS = re.compile(
    r"SECRET|/srv|select|daybook_|psycopg|Traceback|File \"|\.py\b|Error\b|Exception|Undefined|ZeroDivision"
    r"|relation|column|constraint|trigger|<[a-z]",
    re.IGNORECASE,
)
CUSTOMERS = "{ customers(first: 1) { nodes { id name } } }"
REGISTER = (
    "mutation M($input: CustomerRegisterInput!) { customerRegister(input: $input) { customer { name } position } }"
)
WATCH = "subscription W($id: ID!) { customerChanged(id: $id) { name } }"
FEED = 'subscription { changes(after: "0") { position } }'


def given() -> dict[str, Any]:
    return {"input": {"kind": "PERSON", "name": "Ada", "idempotencyKey": str(uuid4())}}


def broken(database: str, *statements: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        for statement in statements:
            db.execute(statement.encode())


def told(errors: list[dict[str, Any]], log: pytest.LogCaptureFixture) -> str:
    """The code of the one error, which gives nothing away and whose request the log knows."""
    (error,) = errors
    extensions = error["extensions"]
    assert set(extensions) == {"code", "requestId"}
    assert set(error) <= {"message", "path", "locations", "extensions"}
    assert not LEAKS.search(f"{error['message']} {extensions['code']}"), error
    assert extensions["code"] in set(RequestErrorCode)
    assert str(UUID(extensions["requestId"])) in log.text
    code: str = extensions["code"]
    return code


def test_ids_of_requests_are_random_uuids() -> None:
    ids = [request_id() for _ in range(1_000)]
    assert {(UUID(id).version, UUID(id).variant, str(UUID(id)) == id) for id in ids} == {(4, RFC_4122, True)}
    assert len(set(ids)) == len(ids)


def over_http(server: Server, text: str, variables: dict[str, Any]) -> httpx.Response:
    url = f"http://127.0.0.1:{server.port}/graphql"
    answer = httpx.post(url, json={"query": text, "variables": variables}, headers=HEADERS, timeout=PATIENCE)
    assert not LEAKS.search(re.sub(r'"data":.*', "", answer.text)), answer.text
    return answer


def over_websocket(server: Server, text: str, variables: dict[str, Any]) -> list[dict[str, Any]]:
    """The errors that a socket tells, of an operation that could not be run or of one of its answers."""
    with server.connected() as client:
        message = client.subscribe(text, variables).receive()
        while message["type"] == "next" and not message["payload"].get("errors"):
            message = client.receive()
        errors: list[dict[str, Any]] = (
            message["payload"] if message["type"] == "error" else message["payload"]["errors"]
        )
        client.subscribe("{ __typename }", id="another")
        while message.get("id") != "another":
            message = client.receive()
        assert message["type"] == "next", "the connection lives on"
        return errors


def test_a_read_model_that_does_not_fit_its_plan(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(database, tmp_path) as server:
        id = server.customer("Ada")
        broken(database, "ALTER TABLE daybook_read.customers RENAME COLUMN name TO secret_name")
        answer = over_http(server, CUSTOMERS, {})
        assert (answer.status_code, told(answer.json()["errors"], caplog)) == (500, "INTERNAL")
        assert told(over_websocket(server, CUSTOMERS, {}), caplog) == "INTERNAL"
        assert told(over_websocket(server, WATCH, {"id": id}), caplog) == "INTERNAL"
    assert "UndefinedColumn" in caplog.text


def test_a_book_that_refuses_to_be_written(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with listening(database, tmp_path) as server:
        broken(
            database,
            f"CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE '{SECRET}'; END$$",
            "CREATE TRIGGER refuse BEFORE INSERT ON daybook.events EXECUTE FUNCTION public.refuse()",
        )
        answer = over_http(server, REGISTER, given())
        assert answer.json()["data"] == {"customerRegister": None}
        assert told(answer.json()["errors"], caplog) == "INTERNAL"
        assert told(over_websocket(server, REGISTER, given()), caplog) == "INTERNAL"
    assert SECRET in caplog.text


def test_a_payload_that_can_not_be_read(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with listening(database, tmp_path) as server:
        server.customer("Ada")
        broken(database, "ALTER TABLE daybook_read.customer_classifications RENAME TO secret_table")
        document = REGISTER.replace("{ name }", "{ name classifications { value } }")
        answer = over_http(server, document, given())
        assert told(answer.json()["errors"], caplog) == "INTERNAL"
        assert told(over_websocket(server, document, given()), caplog) == "INTERNAL"


def test_a_feed_that_can_not_be_read(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with listening(database, tmp_path) as server:
        server.customer("Ada")
        broken(database, "ALTER TABLE daybook.events RENAME COLUMN sealed TO secret_column")
        assert told(over_websocket(server, FEED, {}), caplog) == "INTERNAL"
    assert "UndefinedColumn" in caplog.text


def _fails(*_: object, **__: object) -> Any:
    raise ZeroDivisionError(SECRET)


def _wrong_sql(compiler: Compiler, *_: object) -> Any:
    return compiler.statement.plan(computed(SECRET))


@pytest.mark.parametrize(
    ("target", "name", "instead"),
    [(Documents, "of", _fails), (Compiler, "query", _fails), (Compiler, "query", _wrong_sql)],
    ids=["in preparing", "in compiling", "in the plan"],
)
def test_a_bug_on_the_way_of_a_query(
    database: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    target: type,
    name: str,
    instead: Callable[..., Any],
) -> None:
    with listening(database, tmp_path, projections=False) as server:
        with monkeypatch.context() as patched:
            patched.setattr(target, name, instead)
            answer = over_http(server, CUSTOMERS, {})
            assert (answer.status_code, told(answer.json()["errors"], caplog)) == (500, "INTERNAL")
            with server.connected() as client:
                message = client.subscribe(CUSTOMERS).receive()
                assert (message["type"], told(message["payload"], caplog)) == ("error", "INTERNAL")
        others = "{ queues(first: 1) { nodes { id } } }"
        assert server.post(others) == {"queues": {"nodes": []}}, "the server lives on"
    assert "SECRET" in caplog.text


@pytest.mark.parametrize(
    ("place", "text", "variables"),
    [
        ("api.commands.Commands.submit", REGISTER, given()),
        ("api.subscriptions._start", FEED, {}),
        ("api.reading.compiler.Compiler.record", WATCH, {"id": "cus_01h455vb4pex5vsknk084sn02q"}),
    ],
    ids=["a mutation", "the feed", "a followed record"],
)
def test_a_bug_in_a_resolver(
    database: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    text: str,
    variables: dict[str, Any],
) -> None:
    with listening(database, tmp_path, projections=False) as server:
        monkeypatch.setattr(place, _fails)
        if text.startswith("mutation"):
            assert told(over_http(server, text, variables).json()["errors"], caplog) == "INTERNAL"
        assert told(over_websocket(server, text, variables), caplog) == "INTERNAL"
    assert SECRET in caplog.text
