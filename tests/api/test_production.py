"""Production: a stranger learns nothing of the schema, and has no page to try queries on; development shows both."""

from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from api.documents import Documents, Policy
from api.schema import the_schema
from api.trusted import ManifestError, TrustedText
from tests.api.book import Client, serving
from tests.api.listening import listening

pytestmark = pytest.mark.anyio

PRODUCTION, DEVELOPMENT = Policy(production=True), Policy()
FILTERED = "query Q($w: CustomerWhere) { customers(first: 1, where: $w) { nodes { id } } }"
MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("{ custome { id } }", {}),
    ("{ customer(idd: 1) { id } }", {}),
    ("{ customers(first: 1, where: {kind: {eq: PERSO}}) { nodes { id } } }", {}),
    ("{ customers(first: 1, where: {kin: {eq: PERSON}}) { nodes { id } } }", {}),
    ("query Q($w: CustomerWher) { __typename }", {}),
    ("query Q($w: CustomerWhere) { customers(first: 1, where: $w) { nodes { id } } }", {"w": {"kin": None}}),
    (
        "query Q($w: CustomerWhere) { customers(first: 1, where: $w) { nodes { id } } }",
        {"w": {"kind": {"eq": "PERSO"}}},
    ),
    (
        "mutation M($i: CustomerRegisterInput!) { customerRegister(input: $i) { position } }",
        {"i": {"kind": "PERSO", "idempotencyKey": "6f1c1e0e-52c5-4f0a-9c39-0a4d4f3a7d11"}},
    ),
    ("{ customer(id: 1) { ...f } } fragment f on Custome { id }", {}),
]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ABOUT = ("{ __schema { types { name } } }", '{ a: __type(name: "Customer") { name } }', get_introspection_query())


async def suggestions(client: Client) -> list[bool]:
    answers = [await client.post(text, variables) for text, variables in MISTAKES]
    assert [answer.status_code for answer in answers] == [400] * len(MISTAKES)
    return ["Did you mean" in answer.text for answer in answers]


async def test_in_production_nothing_is_suggested_and_the_schema_is_not_told(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False, policy=PRODUCTION) as client:
        assert not any(await suggestions(client))
        for text in (*ABOUT, "{ ...f } fragment f on Query { ... { __schema { types { name } } } }"):
            answer = await client.post(text)
            (error,) = answer.json()["errors"]
            assert (answer.status_code, error["extensions"]["code"]) == (400, "INTROSPECTION_OFF")
            assert error["extensions"]["requestId"]
        assert (await client.data("{ __typename company { __typename } }"))["__typename"] == "Query"
        page = await client.http.get("/graphql", headers=BROWSER)
        assert page.status_code == 400
        assert not page.headers["content-type"].startswith("text/html")


async def test_in_development_names_are_suggested_and_the_schema_is_told(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False, policy=DEVELOPMENT) as client:
        assert all(await suggestions(client))
        for text in ABOUT:
            assert await client.data(text)
        page = await client.http.get("/graphql", headers=BROWSER)
        assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/html")


@pytest.mark.parametrize("policy", [PRODUCTION, DEVELOPMENT], ids=["production", "development"])
async def test_in_both_nothing_is_batched_and_get_needs_its_header(
    database: str, tmp_path: Path, policy: Policy
) -> None:
    async with serving(database, tmp_path, projections=False, policy=policy) as client:
        batch = await client.http.post("/graphql", json=[{"query": "{ __typename }"}] * 2)
        assert (batch.status_code, batch.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")
        assert "not batched" in batch.json()["errors"][0]["message"]
        without = await client.http.get("/graphql", params={"query": "{ __typename }"})
        assert without.json()["errors"][0]["extensions"]["code"] == "CSRF_HEADER_MISSING"


def test_over_a_websocket_production_is_as_quiet(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False, policy=PRODUCTION) as server, server.connected() as client:
        for id, (text, variables) in enumerate(MISTAKES):
            message = client.subscribe(text, variables, id=str(id)).receive()
            assert message["type"] == "error", message
            assert "Did you mean" not in str(message)
        message = client.subscribe(ABOUT[0], id="about").receive()
        assert message["payload"][0]["extensions"]["code"] == "INTROSPECTION_OFF"


def test_a_manifest_can_not_bring_introspection_into_production() -> None:
    asking = (TrustedText("web.json", "schema", ABOUT[0]),)
    Documents(the_schema()._schema, Policy(trusted=asking))
    with pytest.raises(ManifestError, match="the document schema can't be used: This server does not tell its schema"):
        Documents(the_schema()._schema, Policy(trusted=asking, production=True))
