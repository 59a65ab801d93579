"""Bad input over every mutation: a clear error with code and path where the client looks, and the book unchanged."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from graphql import GraphQLObjectType

from domain.catalogue import catalogue
from tests.api.bad_values import Case, Inputs
from tests.api.book import Client, serving
from tests.api.printed import printed_schema

pytestmark = pytest.mark.anyio

MUTATIONS = printed_schema().mutation_type
KINDS = sorted(catalogue.deciders)

OF_SIGNING_IN = {"signIn", "signOut", "signOutEverywhere", "passwordChange", "passwordReset", "passwordResetIssue"}
"""They are no commands of the book: tests/api/identity has their bad input."""

BOOK = """
    SELECT (SELECT count(*) FROM daybook.events), (SELECT coalesce(max(position), 0) FROM daybook.events),
        (SELECT md5(string_agg(e::text, '' ORDER BY position)) FROM daybook.events AS e),
        (SELECT count(*) FROM daybook.receipts), (SELECT count(*) FROM daybook.reservations),
        (SELECT count(*) FROM daybook_keys.subjects)
"""


async def seeded(client: Client) -> dict[str, str]:
    """A record of each kind; their ids."""
    found: dict[str, str] = {}

    async def begin(mutation: str, noun: str, of: str, /, **given: Any) -> None:
        payload = await client.mutate(mutation, f"{noun} {{ id }} userErrors {{ code path }}", **given)
        assert payload["userErrors"] == []
        found[of] = payload[noun]["id"]

    stages = [{"name": "New", "probability": "10", "category": "PIPELINE"}]
    await begin("customerRegister", "customer", "customer", kind="PERSON", name="Ada")
    await begin("pipelineDefine", "pipeline", "pipeline", name="Sales", stages=stages)
    await begin("opportunityOpen", "opportunity", "opportunity", title="Deal", pipeline=found["pipeline"])
    await begin("ticketOpen", "ticket", "ticket", subject="Question", channel="EMAIL")
    await begin("productAdd", "product", "product", name="Engine")
    await begin("staffMemberRegister", "staffMember", "staff_member", name="Grace")
    await begin("teamCreate", "team", "team", name="Field")
    await begin("queueCreate", "queue", "queue", name="First line")
    reading = [{"permission": "READ_CUSTOMERS", "scope": "ALL"}]
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    await begin("roleDefine", "role", "role", name="Reader", grants=reading)
    await begin("apiTokenIssue", "apiToken", "api_token", name="Shop", grants=reading, expiresAt=later)
    given = {"name": "We", "timeZone": "Europe/Zurich", "currency": "EUR", "language": "en", "phoneRegion": "CH"}
    await begin("companyDefine", "company", "company", **given)
    return found


async def answer(client: Client, case: Case) -> httpx.Response:
    name = case.mutation[0].upper() + case.mutation[1:] + "Input"
    document = f"mutation M($input: {name}!) {{ {case.mutation}(input: $input) {{ position userErrors {{"
    document += " code message path } } }"
    body = json.dumps({"query": document, "variables": {"input": case.input}}).encode()
    return await client.http.post("/graphql", content=body, headers={"Content-Type": "application/json"})


def fault_of(response: httpx.Response, case: Case) -> str | None:
    """What a client would complain of in the answer to an input with one fault; None: nothing."""
    body = response.json()
    if len(response.content) > 20_000:
        return f"the answer has {len(response.content)} bytes"
    if errors := body.get("errors"):
        codes = {error["extensions"]["code"] for error in errors}
        if response.status_code != 400 or codes != {"BAD_USER_INPUT"}:
            # Numbers that no JSON library takes are no readable request.
            return None if codes == {"BAD_REQUEST"} and "10**" in case.what else f"{response.status_code} {errors}"
        named = [step for step in case.path if not step.isdigit()][-1]
        return None if any(f"{named}" in error["message"] for error in errors) else f"does not say where: {errors}"
    if response.status_code != 200:
        return f"{response.status_code} {body}"
    broken = body["data"][case.mutation]["userErrors"]
    if not broken:
        return "accepted"
    if any(not error["message"] or "{" in error["message"] for error in broken):
        return f"the message is not finished: {broken}"
    if case.mutation == "companyDefine" and broken[0]["code"] == "ALREADY_EXISTS":
        return None  # whatever version was seen
    places = [case.path]
    if case.what == "an unknown id" and case.path[-1].isdigit():
        places.append(case.path[:-1])  # one of several that belong together
    if not any(tuple(error["path"]) in places for error in broken):
        return f"names another place: {broken}"
    return None


@pytest.mark.parametrize("kind", KINDS)
async def test_bad_input_is_answered_clearly_and_changes_nothing(database: str, tmp_path: Path, kind: str) -> None:
    assert isinstance(MUTATIONS, GraphQLObjectType)
    faults: dict[str, list[str]] = defaultdict(list)
    cases = 0
    async with serving(database, tmp_path) as client:
        records = await seeded(client)
        with psycopg.connect(database, autocommit=True) as db:
            before = db.execute(BOOK).fetchone()
            for name, field in MUTATIONS.fields.items():
                if name in OF_SIGNING_IN:
                    continue
                inputs = Inputs(name, field, records)
                if inputs.kind != kind:
                    continue
                for case in inputs.bad():
                    cases += 1
                    if fault := fault_of(await answer(client, case), case):
                        faults[f"{fault[:300]}"].append(str(case))
                if (after := db.execute(BOOK).fetchone()) != before:
                    faults["the book changed"].append(name)
                    before = after
    assert cases > 100
    assert not faults, "\n".join(f"{fault}\n    " + "\n    ".join(of) for fault, of in faults.items())
