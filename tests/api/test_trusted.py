"""Trusted documents: read from every manifest that the ecosystem writes, run by id over every protocol."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.documents import Documents, Policy
from api.limits import MOST_TOKENS
from api.schema import the_schema
from api.trusted import DocumentId, ManifestError, read_manifests
from tests.api.book import HEADERS, TOKEN, serving
from tests.api.identity.signing_in import SIGN_IN
from tests.api.listening import PATIENCE, listening

COMPANY = "query Company { company { name } }"
ONE_OF_TWO = "query A { __typename } query B($n: Int!) { customers(first: $n) { nodes { id } } }"
FEED = "subscription Feed { changes { position } }"
RENAME = "mutation Rename($input: CustomerRenameInput!) { customerRename(input: $input) { position } }"
HASH = hashlib.sha256(COMPANY.encode()).hexdigest()

RELAY = {HASH: COMPANY, "two": ONE_OF_TWO, "feed": FEED, "rename": RENAME}
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": id, "body": text, "name": "Any", "type": "query"} for id, text in RELAY.items()
    ],
}  # fmt: skip
GRAPHQL_OVER_HTTP = {(f"sha256:{id}" if id == HASH else id): text for id, text in RELAY.items()}
MANIFESTS = {"Relay's and codegen's": RELAY, "Apollo's": APOLLO, "with prefixes": GRAPHQL_OVER_HTTP}


def manifest(folder: Path, content: object, name: str = "documents.json") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def policy(folder: Path, **options: Any) -> Policy:
    return Policy(trusted=read_manifests([manifest(folder, RELAY)]), **options)


def code(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    assert "data" not in answer.json()
    assert error["extensions"]["requestId"] == answer.headers["Daybook-Request-Id"]
    found: str = error["extensions"]["code"]
    return found


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_every_format_of_a_manifest_is_read(tmp_path: Path, content: object) -> None:
    found = read_manifests([manifest(tmp_path, content)])
    assert {one.id: one.text for one in found} == RELAY


def test_several_manifests_are_one(tmp_path: Path) -> None:
    web, mobile = manifest(tmp_path, {"a": COMPANY}, "web.json"), manifest(tmp_path, APOLLO, "mobile.json")
    assert {one.id for one in read_manifests([web, mobile])} == {"a", *RELAY}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no manifest"),
        ("[]", "is no manifest"),
        ({"a": 5}, "is no manifest"),
        ({**APOLLO, "version": 2}, "another format or version"),
        ({**APOLLO, "operations": [{"id": "a"}]}, "is no manifest"),
        ({"a": "query {"}, "the document a can't be used: Syntax Error"),
        ({"a": "{ nothing }"}, "the document a can't be used: Cannot query field 'nothing'"),
        ({f"sha256:{'0' * 64}": COMPANY}, "not that of its text"),
    ],
    ids=str,
)
def test_a_bad_manifest_names_file_document_and_fault(tmp_path: Path, content: object, said: str) -> None:
    file = manifest(tmp_path, content)
    with pytest.raises(ManifestError) as refused:
        Documents(the_schema()._schema, Policy(trusted=read_manifests([file])))
    assert str(file) in str(refused.value)
    assert said in str(refused.value)


def test_two_documents_of_one_id_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    one, other = manifest(tmp_path, {"a": COMPANY}, "one.json"), manifest(tmp_path, {"a": FEED}, "other.json")
    with pytest.raises(ManifestError, match=r"one\.json has another document with this id"):
        read_manifests([one, other])
    with pytest.raises(ManifestError, match="can't be read"):
        read_manifests([tmp_path / "nowhere.json"])


def test_trusted_documents_may_be_large_and_dear(tmp_path: Path) -> None:
    inner = "(first: 100) { nodes { "
    dear = "{ customers" + inner + "opportunities" + inner + "history" + inner + "type } } } } } } }"
    large = "{ customer(id: 1) { " + " ".join(f"a{at}: id" for at in range(MOST_TOKENS)) + " } }"
    trusted = read_manifests([manifest(tmp_path, {"dear": dear, "large": large})])
    mine = Documents(the_schema()._schema, Policy(trusted=trusted))
    for id, cost in {"dear": 1_030_302, "large": 1}.items():
        document, operation = mine.of(DocumentId(id), None, {})
        assert document.cost(operation, {}) == cost


@pytest.mark.anyio
async def test_an_id_stands_for_its_document_over_post_and_get(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False, policy=policy(tmp_path)) as client:
        url, csrf = "/graphql", {"Daybook-CSRF": "1"}
        apollo = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}}
        for asked in ({"documentId": HASH}, {"documentId": f"sha256:{HASH}"}, apollo):
            answer = await client.http.post(url, json=asked)
            assert (answer.status_code, answer.json()["data"]) == (200, {"company": None}), asked
            params = {name: one if isinstance(one, str) else json.dumps(one) for name, one in asked.items()}
            assert (await client.http.get(url, params=params, headers=csrf)).json() == answer.json()
        chosen = {"documentId": "two", "operationName": "B", "variables": {"n": 5}}
        answer = await client.http.post(url, json=chosen)
        assert answer.json()["data"] == {"customers": {"nodes": []}}
        assert answer.json()["extensions"]["cost"]["requested"] == 7
        assert code(await client.http.post(url, json={"documentId": "two"})) == "BAD_REQUEST"
        assert code(await client.http.post(url, json={"documentId": "two", "operationName": "B"})) == "BAD_USER_INPUT"
        refused = await client.http.get(url, params={"documentId": "rename"}, headers=csrf)
        assert (refused.status_code, code(refused)) == (405, "METHOD_NOT_ALLOWED")
        assert code(await client.http.get(url, params={"documentId": HASH})) == "CSRF_HEADER_MISSING"
        for asked in ({"documentId": "0" * 64}, {"documentId": ""}, {"documentId": "\ud800"}):
            refused = await client.http.post(
                url, content=json.dumps(asked), headers={"Content-Type": "application/json"}
            )
            assert (refused.status_code, code(refused)) == (400, "DOCUMENT_UNKNOWN"), asked
        for wrong in (5, ["a"], {"a": 1}):
            assert code(await client.http.post(url, json={"documentId": wrong})) == "BAD_REQUEST"
        assert code(await client.http.post(url, json={"documentId": HASH, "query": COMPANY})) == "BAD_REQUEST"
        for extensions in ({}, {"persistedQuery": 5}, {"persistedQuery": {"sha256Hash": 5}}):
            assert code(await client.http.post(url, json={"extensions": extensions})) == "BAD_REQUEST"
        assert (await client.post(COMPANY)).json()["data"] == {"company": None}, "texts are taken as well"


@pytest.mark.anyio
async def test_where_only_trusted_documents_run_no_text_does(database: str, tmp_path: Path) -> None:
    only = policy(tmp_path, trusted_only=True)
    async with serving(database, tmp_path, projections=False, policy=only) as client:
        trusted = await client.http.post("/graphql", json={"documentId": HASH})
        assert trusted.json()["data"] == {"company": None}
        for text in (COMPANY, "{ __typename }", "{ __schema { types { name } } }", "{ nothing }", "{"):
            refused = await client.post(text)
            assert (refused.status_code, code(refused)) == (400, "DOCUMENT_NOT_TRUSTED"), text
        apq = {"query": COMPANY, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}}
        assert code(await client.http.post("/graphql", json=apq)) == "DOCUMENT_NOT_TRUSTED"
        page = await client.http.get("/graphql", headers={"Accept": "text/html,*/*;q=0.8"})
        assert not page.headers["content-type"].startswith("text/html")


@pytest.mark.anyio
async def test_a_stranger_does_not_learn_what_the_manifest_holds(database: str, tmp_path: Path) -> None:
    documents = read_manifests([manifest(tmp_path, {**RELAY, "sign in": SIGN_IN})])
    only = Policy(trusted=documents, trusted_only=True)
    async with serving(database, tmp_path, projections=False, policy=only) as client:
        del client.http.headers["Authorization"]
        told = set[tuple[int, str, str]]()
        for id in ("feed", "two", HASH, f"sha256:{HASH}", "no such one", "0" * 64, "", 5):
            for more in ({}, {"operationName": "no such one"}, {"variables": {"n": "x"}}):
                for accept in ("application/graphql-response+json", "application/json", "text/event-stream"):
                    headers = {"Daybook-CSRF": "1", "Accept": accept}
                    answer = await client.http.post("/graphql", json={"documentId": id, **more}, headers=headers)
                    told.add((answer.status_code, code(answer), answer.json()["errors"][0]["message"]))
        assert {each[:2] for each in told} == {(401, "UNAUTHENTICATED")}
        assert len(told) == 1
        given = {"documentId": "sign in", "variables": {"i": {"email": "a@acme.example", "password": "x"}}}
        answer = await client.http.post("/graphql", json=given, headers={"Daybook-CSRF": "1"})
        assert answer.json()["data"]["signIn"]["userErrors"] == [{"code": "SIGN_IN_REFUSED"}], "but may sign in by one"


def test_a_subscription_is_named_over_a_websocket(database: str, tmp_path: Path) -> None:
    only = policy(tmp_path, trusted_only=True)
    with listening(database, tmp_path, projections=False, policy=only) as server, server.connected() as client:
        client.send(id="1", type="subscribe", payload={"documentId": "feed"})
        assert client.next("changes") == {"position": "0"}
        for id, asked, expected in (
            ("2", {"query": FEED}, "DOCUMENT_NOT_TRUSTED"),
            ("3", {"documentId": "no such one"}, "DOCUMENT_UNKNOWN"),
        ):
            client.send(id=id, type="subscribe", payload=asked)
            message = client.receive()
            assert (message["type"], message["id"]) == ("error", id)
            assert message["payload"][0]["extensions"]["code"] == expected
            assert message["payload"][0]["extensions"]["requestId"]


def test_a_document_is_named_where_events_are_asked_for(database: str, tmp_path: Path) -> None:
    only = policy(tmp_path, trusted_only=True)
    with listening(database, tmp_path, projections=False, policy=only) as server:
        url, events = f"http://127.0.0.1:{server.port}/graphql", HEADERS | {"Accept": "text/event-stream"}
        with httpx.stream("POST", url, json={"documentId": "feed"}, headers=events, timeout=PATIENCE) as response:
            lines = response.iter_lines()
            assert (
                next(line for line in lines if line.startswith("data:"))
                == 'data: {"data":{"changes":{"position":"0"}}}'
            )
        refused = httpx.post(url, json={"query": FEED}, headers=events, timeout=PATIENCE)
        assert "DOCUMENT_NOT_TRUSTED" in refused.text
        without = httpx.get(url, params={"documentId": "feed"}, headers=events, timeout=PATIENCE)
        assert code(without) == "CSRF_HEADER_MISSING"


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ({"a": "{ nothing }"}, [], "the document a can't be used: Cannot query field 'nothing'"),
        (None, ["--trusted-only"], "--trusted-only needs the manifest"),
    ],
)
def test_the_server_does_not_start_with_a_bad_manifest(
    tmp_path: Path, content: object, options: list[str], said: str
) -> None:
    given = [] if content is None else ["--documents", str(manifest(tmp_path, content))]
    environment = {"PATH": os.environ["PATH"], "DAYBOOK_DATA": str(tmp_path / "book"), "DAYBOOK_ADMIN_TOKEN": TOKEN}
    command = [sys.executable, "-m", "api.command_line", "serve", "--port", "0", *given, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
