"""Bad input over the mutations of signing in: a clear error, and no value of a secret in it."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLInputObjectType, GraphQLNonNull, GraphQLObjectType, get_named_type

from tests.api.bad_values import LEFT_OUT, LONG, SCALARS
from tests.api.identity.signing_in import OWN_PAGE, house
from tests.api.printed import printed_schema
from tests.api.test_bad_input import OF_SIGNING_IN

pytestmark = pytest.mark.anyio

MUTATIONS = printed_schema().mutation_type
SECRET = "five blue bicycles in a row"
GOOD = {"email": "rosa@acme.example", "password": SECRET, "newPassword": SECRET, "oldPassword": SECRET, "token": SECRET}


async def send(http: httpx.AsyncClient, document: str, given: Any, headers: dict[str, str]) -> httpx.Response:
    body = json.dumps({"query": document, "variables": {"i": given}}).encode()
    return await http.post("/graphql", content=body, headers={"Content-Type": "application/json", **headers})


@pytest.mark.parametrize("name", sorted(OF_SIGNING_IN))
async def test_bad_input_of_signing_in(database: str, tmp_path: Path, name: str) -> None:
    assert isinstance(MUTATIONS, GraphQLObjectType)
    field = MUTATIONS.fields[name]
    if "input" not in field.args:
        return
    of = get_named_type(field.args["input"].type)
    assert isinstance(of, GraphQLInputObjectType)
    document = f"mutation($i: {of.name}!) {{ {name}(input: $i) {{ userErrors {{ code path message }} }} }}"
    good = {each: GOOD.get(each, "x") for each in of.fields}
    cases: list[Any] = [None, 5, "x", [], {}, {**good, "noSuchField": 1}]
    for each, one in of.fields.items():
        kind = get_named_type(one.type).name
        bad = [*SCALARS[kind], LONG, LEFT_OUT, *([None] if isinstance(one.type, GraphQLNonNull) else [])]
        cases += [{**good, each: value} for value in bad]
    async with house(database, tmp_path) as acme, acme.browser() as browser:
        token = {"Authorization": "Bearer test-token-of-the-administrator"}
        for case in cases:
            given = (
                {key: value for key, value in case.items() if value is not LEFT_OUT} if isinstance(case, dict) else case
            )
            answer = await send(browser.http, document, given, {**OWN_PAGE, **token})
            assert answer.status_code in (200, 400, 413), (case, answer.text[:300])
            body = answer.json()
            broken = body.get("errors") or (body["data"][name] or {})["userErrors"]
            assert broken, (case, body)
            codes = {each.get("code") or each["extensions"]["code"] for each in broken}
            assert "INTERNAL" not in codes, (case, body)
            assert SECRET not in answer.text
