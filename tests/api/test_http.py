"""GraphQL over HTTP as the specification has it, and what must never get through."""

import gc
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query

from api import execution
from api.identity import behalf
from api.incoming import MOST_BYTES
from api.serving import Request
from tests.api.book import HEADERS, Client, serving
from tests.api.printed import printed_schema

pytestmark = pytest.mark.anyio

GRAPHQL, JSON = "application/graphql-response+json", "application/json"
QUERY = "{ __typename }"


async def send(client: Client, content: bytes | str, method: str = "POST", **headers: str) -> httpx.Response:
    given = {"Content-Type": JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await client.http.request(method, "/graphql", content=content, headers=given)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The one error of an answer, which always has a message, a code and a request id."""
    body = answer.json()
    assert "data" not in body, body
    (error,) = body["errors"]
    assert error["message"]
    assert error["extensions"]["requestId"] == answer.headers["Daybook-Request-Id"]
    found: dict[str, Any] = error
    return found


def alive() -> int:
    """How many requests are in memory."""
    gc.collect()
    return sum(isinstance(one, Request) for one in gc.get_objects())


async def test_what_is_refused_leaves_nothing_in_memory(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        before = alive()
        for _ in range(20):
            for content, headers in (
                ({"query": QUERY}, {"Authorization": ""}),
                ({"query": QUERY}, {"Authorization": "Bearer nonsense"}),
                ({"query": QUERY}, {**HEADERS, behalf.HEADER: "x"}),
                ({"query": "mutation { signOut { signedOut } }"}, {**HEADERS, behalf.HEADER: "x"}),
                ({"query": "{" * 400}, HEADERS),
                ({"documentId": "sha256:" + "0" * 64}, HEADERS),
            ):
                answer = await client.http.post("/graphql", json=content, headers=headers)
                assert answer.status_code in (400, 401, 403)
        assert alive() - before < 20, "as one of each may be the last of its kind"


async def test_a_number_of_thousands_of_digits_is_refused_like_any_other(database: str, tmp_path: Path) -> None:
    once = "query Q($n: Int!) { customers(first: $n) { nodes { id } } }"
    within = "query Q($n: Int!) { customers(first: $n) { nodes { opportunities(first: $n) { nodes { id } } } } }"
    async with serving(database, tmp_path, projections=False) as client:
        for query, code in ((once, "QUERY_TOO_COMPLEX"), (within, "QUERY_TOO_COMPLEX")):
            answer = await client.post(query, {"n": 10**4_200})
            assert (answer.status_code, error_of(answer)["extensions"]["code"]) == (400, code)
            assert len(answer.content) < 1_000


async def test_there_are_not_more_values_than_can_be_looked_at(database: str, tmp_path: Path) -> None:
    """Each of them is looked at, some again for each error: 150,000 fields that there are not took ten seconds."""
    register = "mutation M($input: CustomerRegisterInput!) { customerRegister(input: $input) { position } }"
    find = "query Q($in: [String!]) { customers(first: 1, where: {name: {in: $in}}) { totalCount } }"
    within = "query Q($where: CustomerWhere) { customers(first: 1, where: $where) { totalCount } }"
    async with serving(database, tmp_path, projections=False) as client:
        for query, most, more in (
            (find, {"in": ["x"] * 19_999}, {"in": ["x"] * 20_000}),
            (within, {"where": {"name": {"in": ["x"] * 19_997}}}, {"where": {"name": {"in": ["x"] * 19_998}}}),
            (register, None, {"input": {f"f{n}": n for n in range(20_000)}}),
        ):
            if most is not None:
                assert (await client.data(query, most))["customers"] == {"totalCount": 0}
            answer = await client.post(query, more)
            assert error_of(answer)["extensions"]["code"] == "QUERY_TOO_COMPLEX"
            assert "more than 20,000 values" in answer.text


async def test_a_position_of_thousands_of_digits_is_none(database: str, tmp_path: Path) -> None:
    long = "9" * 5_000
    async with serving(database, tmp_path, projections=False) as client:
        for asked in ("query Q(ARGUMENT) { asOf(at: {position: VALUE}) { position } }",
            "subscription Q(ARGUMENT) { changes(after: VALUE) { position } }"):  # fmt: skip
            for query, variables in (
                (asked.replace("ARGUMENT", "$p: Position!").replace("VALUE", "$p"), {"p": long}),
                (asked.replace("(ARGUMENT)", "").replace("VALUE", f'"{long}"'), {}),
                (asked.replace("(ARGUMENT)", "").replace("VALUE", long), {}),
            ):
                answer = await client.post(query, variables, Accept=f"{GRAPHQL}, text/event-stream;q=0.5")
                said = error_of(answer)["message"]
                assert "A Position is text that a former answer gave" in said
                assert "limit" not in said


async def test_no_message_repeats_all_of_what_was_sent(database: str, tmp_path: Path) -> None:
    query = "query Q($s: CustomerKind) { customers(first: 1, where: {kind: {eq: $s}}) { totalCount } }"
    async with serving(database, tmp_path, projections=False) as client:
        answer = await client.post(query, {"s": "x" * 1_000_000})
        assert error_of(answer)["extensions"]["code"] == "BAD_USER_INPUT"
        assert len(answer.content) < 3_000


async def test_an_answer_that_json_can_not_hold_is_a_fault_of_ours_with_its_request(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "cost_extension", lambda *_said: {"requested": object()})
    deals = "opportunities(first: 100) { nodes { history(first: 100) { nodes { type } } } }"
    dear = f"{{ customers(first: 100) {{ nodes {{ {deals} }} }} }}"
    async with serving(database, tmp_path, projections=False) as client:
        for accept in (GRAPHQL, JSON, "text/event-stream, */*"):
            answer = await send(client, json.dumps({"query": dear}), Accept=accept)
            assert answer.status_code == 500
            assert error_of(answer)["extensions"]["code"] == "INTERNAL"


async def test_media_types_and_status_codes(database: str, tmp_path: Path) -> None:
    good, invalid = json.dumps({"query": QUERY}), json.dumps({"query": "{ nothing }"})
    unparsable = json.dumps({"query": "{"})
    unknown = json.dumps({"query": "query A { __typename }", "operationName": "B"})
    variables = json.dumps({"query": "query A($id: ID!) { customer(id: $id) { id } }", "variables": {"id": None}})
    async with serving(database, tmp_path, projections=False) as client:
        for accept, expected in {
            GRAPHQL: GRAPHQL,
            JSON: JSON,
            "*/*": JSON,
            "application/*": JSON,
            f"{JSON};q=0.5, {GRAPHQL}": GRAPHQL,
            f"{GRAPHQL};q=0.5, {JSON}": JSON,
            "text/plain, */*;q=0.1": JSON,
        }.items():
            answer = await send(client, good, Accept=accept)
            assert (answer.status_code, answer.headers["content-type"]) == (200, f"{expected}; charset=utf-8"), accept
            assert answer.json()["data"] == {"__typename": "Query"}
            assert "Accept" in answer.headers["vary"]
        lines = [("Accept", "text/html"), ("Accept", GRAPHQL), ("Content-Type", JSON), ("Daybook-At-Least", "0")]
        for more, status in ((), 200), ((("Daybook-At-Least", "0"),), 400), ((("Content-Encoding", "gzip"),) * 2, 415):
            answer = await client.http.post("/graphql", content=good, headers=[*lines, *more])
            assert (answer.status_code, answer.headers["content-type"]) == (status, f"{GRAPHQL}; charset=utf-8"), more
        blanks = {"Daybook-At-Least": "0 ", "Content-Encoding": "identity\t "}  # no part of the value
        assert (await send(client, good, **blanks)).status_code == 200
        for body in (invalid, unparsable, variables):
            assert (await send(client, body, Accept=GRAPHQL)).status_code == 400, body
            assert (await send(client, body, Accept=JSON)).status_code == 200, body
            assert "data" not in (await send(client, body, Accept=JSON)).json(), body
        unnamed = json.dumps({"query": QUERY, "operationName": ""})
        followed = json.dumps({"query": "subscription { changes { position } }"})
        for body in (unknown, unnamed, followed):  # what is wrong is the request, not its document
            for accept in (GRAPHQL, JSON, "*/*"):
                answer = await send(client, body, Accept=accept)
                assert (answer.status_code, error_of(answer)["extensions"]["code"]) == (400, "BAD_REQUEST"), body
        for body, code in {
            invalid: "GRAPHQL_VALIDATION_FAILED",
            unparsable: "GRAPHQL_PARSE_FAILED",
            unknown: "BAD_REQUEST",
            variables: "BAD_USER_INPUT",
        }.items():
            assert error_of(await send(client, body))["extensions"]["code"] == code
        refused = await send(client, good, Accept="text/plain")
        assert refused.status_code == 406
        assert error_of(refused)["extensions"]["code"] == "NOT_ACCEPTABLE"
        for kind in ("text/plain", "application/graphql", "application/jsonx", f"{JSON}; charset=latin-1", ""):
            refused = await send(client, good, Content_Type=kind)
            assert refused.status_code == 415, kind
            assert error_of(refused)["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
        assert (await send(client, good, Content_Type=f'{JSON}; charset="UTF-8"')).status_code == 200
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            refused = await send(client, good, method)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST"), method


UNREADABLE = [
    b"", b"5", b"null", b'"x"', b"[]", b'[{"query": "{ __typename }"}]', b"{}", b"{", b"\xff\xfe",
    b'{"query": "\xff"}',
    b'{"query": 5}', b'{"query": null}', b'{"query": "{ __typename }", "variables": []}',
    b'{"query": "{ __typename }", "variables": "{}"}', b'{"query": "{ __typename }", "operationName": 5}',
    b'{"query": "{ __typename }", "extensions": 5}', b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    b"[" * 100_000, b'{"a":' * 100_000,
    b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    b'{"query": ' + b"9" * 100_000 + b"}",
    b"[" * 10_000 + b"]" * 10_000, b'{"query": "{ __typename }"} {}', b'\xef\xbb\xbf{"query": "{ __typename }"}',
    b'{"query": "{ __typename }", "query": "{ company { name } }"}', b"{'query': '{ __typename }'}",
    b'{"query": "{ __typename }", "variables": {"a": 1, "a": 2}}', '{"query": "{ __typename }"}'.encode("utf-16"),
    b'{"query": "{ __typename }", "variables": {"a": -Infinity}}', b'{"query": "\xed\xa0\x80"}',
]  # fmt: skip


async def test_no_body_brings_it_down(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        for body in UNREADABLE:
            for media in (GRAPHQL, JSON):
                answer = await send(client, body, Accept=media)
                found = (answer.status_code, answer.headers["content-type"])
                assert found == (400, f"{media}; charset=utf-8"), body[:60]
                assert error_of(answer)["extensions"]["code"] == "BAD_REQUEST", body[:60]


async def test_whatever_is_refused_is_refused_in_the_media_type_that_was_asked_for(
    database: str, tmp_path: Path
) -> None:
    good = json.dumps({"query": QUERY})
    async with serving(database, tmp_path, projections=False) as client:
        for media in (GRAPHQL, JSON):
            for status, code, answer in (
                (401, "UNAUTHENTICATED", await send(client, good, Accept=media, Authorization="Bearer wrong")),
                (400, "CSRF_HEADER_MISSING", await client.http.get("/graphql", headers={"Accept": media})),
                (405, "METHOD_NOT_ALLOWED", await send(client, good, "PUT", Accept=media)),
                (413, "REQUEST_TOO_LARGE", await send(client, b" " * (MOST_BYTES + 1), Accept=media)),
                (415, "UNSUPPORTED_MEDIA_TYPE", await send(client, good, Accept=media, Content_Type="text/plain")),
                (415, "UNSUPPORTED_MEDIA_TYPE", await send(client, good, Accept=media, Content_Encoding="gzip")),
            ):
                assert (answer.status_code, answer.headers["content-type"]) == (status, f"{media}; charset=utf-8")
                assert error_of(answer)["extensions"]["code"] == code
            head = await send(client, "", "HEAD", Accept=media)
            assert (head.status_code, head.content, head.headers["allow"]) == (405, b"", "GET, POST")


async def test_an_operation_name_is_one_of_the_document_s(database: str, tmp_path: Path) -> None:
    one, two = "query A { __typename }", "query B { __typename }"
    async with serving(database, tmp_path, projections=False) as client:
        for query, name, code in (
            (one, "", "BAD_REQUEST"),
            ("{ __typename }", "", "BAD_REQUEST"),
            (one, None, None),
            (one, "A", None),
            (one + two, "B", None),
            (one + two, "", "BAD_REQUEST"),
            (one + two, "C", "BAD_REQUEST"),
            (one, "\ud800", "BAD_REQUEST"),
            ("fragment F on Query { __typename }", "", "GRAPHQL_VALIDATION_FAILED"),
        ):
            answer = await send(client, json.dumps({"query": query, "operationName": name}), Accept=GRAPHQL)
            assert answer.status_code == (400 if code else 200), (query, name)
            if code is None:
                assert answer.json()["data"] == {"__typename": "Query"}
            else:
                assert {error["extensions"]["code"] for error in answer.json()["errors"]} == {code}


async def test_a_number_is_shown_as_it_was_written(database: str, tmp_path: Path) -> None:
    query = "query A($n: Int!) { customers(first: $n) { nodes { id } } }"
    async with serving(database, tmp_path, projections=False) as client:
        for number in ("1.5", "1E+400", "-0.0", "1E-999999"):
            body = f'{{"query": "{query}", "variables": {{"n": {number}}}}}'
            error = error_of(await send(client, body))
            assert error["extensions"]["code"] == "BAD_USER_INPUT"
            assert error["message"].endswith(f"Int cannot represent non-integer value: {number}")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        answer = await send(client, b" " * (MOST_BYTES + 1))
        assert answer.status_code == 413
        assert error_of(answer)["extensions"]["code"] == "REQUEST_TOO_LARGE"


async def test_get_is_for_queries_and_needs_the_header_that_a_foreign_page_cannot_send(
    database: str, tmp_path: Path
) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        url, ours = "/graphql", {"Daybook-CSRF": "1"}
        answer = await client.http.get(url, params={"query": QUERY}, headers=ours)
        assert (answer.status_code, answer.json()["data"]) == (200, {"__typename": "Query"})
        document = "query A($n: Int!) { customers(first: $n) { nodes { id } } } query B { __typename }"
        params = {"query": document, "variables": '{"n": 1}', "operationName": "A"}
        answer = await client.http.get(url, params=params, headers=ours)
        assert answer.json()["data"] == {"customers": {"nodes": []}}
        empty = {"query": QUERY, "variables": "", "operationName": ""}
        assert (await client.http.get(url, params=empty, headers=ours)).json()["data"] == {"__typename": "Query"}
        refused = await client.http.get(url, params={"query": QUERY})
        assert refused.status_code == 400
        assert error_of(refused)["extensions"]["code"] == "CSRF_HEADER_MISSING"
        document = "mutation { customerArchive(input: {id: 1, idempotencyKey: 1}) { position } }".replace("1", '"1"')
        for mutation in (document, document.replace('idempotencyKey: "1"', f'idempotencyKey: "{"1" * 32}"')):
            refused = await client.http.get(url, params={"query": mutation}, headers=ours)
            assert refused.status_code in (400, 405)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (await client.http.get(url, headers=ours)).status_code == 400, "no query"
        for name in ("variables", "extensions"):
            for value in ("{", "[]", "5", '"x"', '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 10_000):
                refused = await client.http.get(url, params={"query": QUERY, name: value}, headers=ours)
                assert refused.status_code == 400, (name, value[:20])
                assert error_of(refused)["extensions"]["code"] == "BAD_REQUEST"
        twice = "query={__typename}&query={company{name}}"
        refused = await client.http.get(f"{url}?{twice}", headers=ours)
        assert (refused.status_code, error_of(refused)["extensions"]["code"]) == (400, "BAD_REQUEST")
        for query in ("query=%ff", "query={__typename}&operationName=%c3"):
            refused = await client.http.get(f"{url}?{query}", headers=ours)
            assert (refused.status_code, error_of(refused)["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_without_the_right_token_nothing_is_answered(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        body = json.dumps({"query": QUERY})
        basic = HEADERS["Authorization"].replace("Bearer", "Basic")
        for authorization in ("", "Bearer", "Bearer wrong", basic, "Bearer ä"):
            answer = await client.http.post(
                "/graphql",
                content=body,
                headers=[(b"Content-Type", b"application/json"), (b"Authorization", authorization.encode("latin-1"))],
            )
            assert answer.status_code == 401, authorization
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert error_of(answer)["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_foreign_host_is_refused(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False, hosts=("crm.example.com",)) as client:
        body = json.dumps({"query": QUERY})
        for host, status in {
            "evil.example": 421,
            "localhost.evil.example:8000": 421,
            "": 421,
            "127.0.0.1:8000": 200,
            "[::1]:8000": 200,
            "LOCALHOST": 200,
            "crm.example.com": 200,
        }.items():
            answer = await send(client, body, Host=host)
            assert answer.status_code == status, host
            if status == 421:
                assert error_of(answer)["extensions"]["code"] == "BAD_REQUEST"
        assert (await client.http.get("/healthz", headers={"Host": "10.0.0.7"})).status_code == 200


async def test_half_a_surrogate_pair_anywhere_is_answered(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        for query, variables in (
            ("{ __typename # \ud800\n }", {}),
            ('{ customer(id: "\ud800") { id } }', {}),
            ("{ a\ud800 }", {}),
            ("query A($a: ID!) { customer(id: $a) { id } }", {"a": "\udfff"}),
            ("query A($n: Int!) { customers(first: $n) { nodes { id } } }", {"n": "\ud800"}),
            ("query A($n: Int!) { customers(first: $n) { nodes { id } } }", {"\ud800": 1, "n": 1}),
        ):
            answer = await send(client, json.dumps({"query": query, "variables": variables}))
            assert answer.status_code in (200, 400), query
            answer.json()


async def test_a_fault_of_ours_is_logged_and_not_shown(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> str:
        raise ZeroDivisionError("SELECT secret FROM nowhere")

    monkeypatch.setattr("api.reading.reader.Reader.query", broken)
    async with serving(database, tmp_path, projections=False) as client:
        for media in (GRAPHQL, JSON):
            answer = await send(client, json.dumps({"query": QUERY}), Accept=media)
            assert answer.status_code == 500
            error = error_of(answer)
            assert error["extensions"]["code"] == "INTERNAL"
            assert "secret" not in answer.text
            assert "ZeroDivision" not in answer.text
            assert error["extensions"]["requestId"] in caplog.text
    assert "SELECT secret" in caplog.text


async def test_a_subscription_belongs_on_a_websocket(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        error = error_of(await client.post("subscription { changes { position } }"))
        assert error["extensions"]["code"] == "BAD_REQUEST"
        assert "WebSocket" in error["message"]


async def test_a_query_can_wait_for_a_position(database: str, tmp_path: Path) -> None:
    query = "{ customers(first: 1) { nodes { name } } }"
    async with serving(database, tmp_path, projections=False, patience=0.2) as client:
        await client.mutate("customerRegister", "position", kind="PERSON", name="Ada")
        behind = await client.post(query, Daybook_At_Least="1")
        assert behind.status_code == 503
        error = error_of(behind)
        assert error["extensions"]["code"] == "POSITION_NOT_REACHED"
        assert "have not reached position 1 in time; they stand at 0. Ask again" in error["message"]
        nothing = await client.post(query)
        assert nothing.json()["data"] == {"customers": {"nodes": []}}
        assert nothing.json()["extensions"]["position"] == "0"
    async with serving(database, tmp_path) as client:
        reached = await client.post(query, Daybook_At_Least="1")
        assert reached.json()["data"] == {"customers": {"nodes": [{"name": "Ada"}]}}
        assert reached.json()["extensions"]["position"] == "1"
        body = {"query": query, "extensions": {"atLeast": "1"}}
        assert (await client.http.post("/graphql", json=body)).json() == reached.json()


async def test_a_position_that_never_comes_is_refused_at_once(database: str, tmp_path: Path) -> None:
    query = "{ company { name } }"
    async with serving(database, tmp_path, projections=False, patience=600) as client:
        for wrong, message in (
            *(
                (text, "This is no position: send one that an earlier answer gave")
                for text in ("x", "-1", "1.5", "9" * 30)
            ),
            ("1", "The book ends at position 0: 1 is no position of this book."),
            ("9" * 19, "The book ends at position 0"),
        ):
            refused = await client.post(query, Daybook_At_Least=wrong)
            assert refused.status_code == 400
            assert error_of(refused)["extensions"]["code"] == "POSITION_UNKNOWN"
            assert message in error_of(refused)["message"]
        values: tuple[object, ...] = (1, 1.5, True, [], {}, "", None)
        for value in values:
            body = {"query": query, "extensions": {"atLeast": value}}
            answer = await client.http.post("/graphql", json=body)
            assert answer.status_code == (200 if value is None else 400), answer.text


async def test_tools_can_ask_for_the_whole_schema(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        told = build_client_schema(await client.data(get_introspection_query()))  # type: ignore[arg-type]
        assert told.type_map.keys() == printed_schema().type_map.keys()
