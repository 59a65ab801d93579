"""`diff` and `whyValue` as clients ask them: the same values as everywhere, and nothing that is hidden."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from domain.kernel import parse_type_id
from tests.api.book import Client, serving
from tests.infra.log.superuser import add_unreadable

pytestmark = pytest.mark.anyio

DIFF = """
    query Diff($id: ID!, $from: Moment!, $to: Moment) {
        diff(id: $id, from: $from, to: $to) { field before after entry { position actor reason correlationId data } }
    }
"""
WHY = """
    query Why($id: ID!, $field: String!, $at: Moment) {
        whyValue(id: $id, field: $field, at: $at) { field before after entry { position type actor reason data } }
    }
"""
BEGINNING = {"position": "0"}


class Firm(NamedTuple):
    client: Client
    person: str
    organisation: str
    deal: str
    opened: int
    """The position at which the deal was open, with its first amount."""

    async def why(self, id: str, field: str, at: Any = None, **headers: str) -> Any:
        return (await self.client.data(WHY, {"id": id, "field": field, "at": at}, **headers))["whyValue"]

    async def diff(self, id: str, since: Any = None, until: Any = None, **headers: str) -> dict[str, Any] | None:
        given = {"id": id, "from": since or BEGINNING, "to": until}
        found = (await self.client.data(DIFF, given, **headers))["diff"]
        return None if found is None else {one["field"]: one for one in found}


@asynccontextmanager
async def firm(database: str, folder: Path) -> AsyncIterator[Firm]:
    async with serving(database, folder) as client:

        async def done(mutation: str, of: str, **given: Any) -> tuple[str, int]:
            payload = await client.mutate(mutation, f"{of} {{ id }} position userErrors {{ message }}", **given)
            assert payload["userErrors"] == []
            return payload[of]["id"], int(payload["position"])

        points = [{"kind": "EMAIL", "value": "ada@example.com"}]
        person, _ = await done("customerRegister", "customer", kind="PERSON", name="Ada", contactPoints=points)
        organisation, _ = await done("customerRegister", "customer", kind="ORGANISATION", name="Acme")
        await done("customerAddTag", "customer", id=person, tag="VIP")
        await done("customerRename", "customer", id=person, name="Ada Byron", reason="She said so")
        await done("customerRename", "customer", id=organisation, name="Acme AG")
        stages = [{"name": "Talking", "probability": "10", "category": "PIPELINE"}]
        pipeline, _ = await done("pipelineDefine", "pipeline", name="Sales", currency="EUR", stages=stages)
        about = {"title": "Violins", "customer": organisation, "pipeline": pipeline}
        deal, opened = await done("opportunityOpen", "opportunity", **about, amount="100", currency="EUR")
        await done("opportunityChangeAmount", "opportunity", id=deal, amount="250.5", currency="EUR")
        yield Firm(client, person, organisation, deal, opened)


async def test_what_clients_are_told_of_a_field(database: str, tmp_path: Path) -> None:
    async with firm(database, tmp_path) as at:
        told = await at.diff(at.deal)
        assert told is not None
        now = "{ node(id: $id) { ... on Opportunity { status title openedAt amount { amount currency } } } }"
        deal = (await at.client.data(f"query N($id: ID!) {now}", {"id": at.deal}))["node"]
        assert {field: told[field]["after"] for field in deal} == deal
        assert (told["amount"]["before"], told["amount"]["entry"]["position"]) == (None, str(at.opened + 1))

        since, until = {"position": str(at.opened)}, {"position": str(at.opened + 1)}
        one = await at.diff(at.deal, since, until)
        assert one is not None
        assert one.keys() == {"amount", "lastTouchedAt", "version", "position", "recordedAt"}
        hundred, more = {"amount": "100.00", "currency": "EUR"}, {"amount": "250.50", "currency": "EUR"}
        assert (one["amount"]["before"], one["amount"]["after"]) == (hundred, more)
        assert one["amount"]["entry"]["actor"] == "administrator"
        assert await at.diff(at.deal, until) == {}
        assert (await at.why(at.deal, "amount", since))["after"] == hundred

        name = await at.why(at.person, "name")
        assert (name["before"], name["after"]) == ("Ada", "Ada Byron")
        assert (name["entry"]["type"], name["entry"]["reason"]) == ("CustomerRenamed", "She said so")
        assert (await at.why(at.person, "tags[vip]"))["after"] == "VIP"
        assert await at.why(at.person, "birthday") is None
        assert await at.why("cus_00000000000000000000000000", "name") is None
        assert await at.diff("cus_00000000000000000000000000") is None

        past = {"time": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
        assert await at.diff(at.deal, past, past) == {}
        for document, given, code in (
            (WHY, {"id": at.deal, "field": "amout"}, "BAD_USER_INPUT"),
            (WHY, {"id": "nobody", "field": "name"}, "BAD_USER_INPUT"),
            (DIFF, {"id": at.deal, "from": {}}, "BAD_USER_INPUT"),
            (DIFF, {"id": at.deal, "from": {**BEGINNING, **past}}, "BAD_USER_INPUT"),
            (DIFF, {"id": at.deal, "from": {"position": "9223372036854775807"}}, "POSITION_UNKNOWN"),
        ):
            answer = (await at.client.post(document, given)).json()
            assert [error["extensions"]["code"] for error in answer["errors"]] == [code], answer


async def test_what_is_hidden_is_not_told_of_any_day(database: str, tmp_path: Path) -> None:
    async with firm(database, tmp_path) as at:
        blind = await at.client.token("READ_CUSTOMERS", "READ_OPPORTUNITIES")
        for id, gone in (
            (at.deal, {"amount", "title"}),
            (at.person, {"name"}),
            (at.organisation, set[str]()),
        ):
            everything, seen = await at.diff(id), await at.diff(id, **blind)
            assert everything is not None
            assert seen is not None
            missing = everything.keys() - seen.keys()
            assert {field for field in missing if "[" not in field} == gone
            assert all(seen[field]["after"] == everything[field]["after"] for field in seen)
            for field in missing:
                assert await at.why(id, field, **blind) is None
                assert await at.why(id, field) is not None
        hidden = await at.diff(at.person, **blind)
        assert hidden is not None
        points = {field.partition("].")[2] for field in hidden if field.startswith("contactPoints[")}
        assert points == {"id", "kind", "primary", "addedAt"}
        assert not any(field.startswith("tags[") for field in hidden)
        told = (await at.client.post(DIFF, {"id": at.person, "from": BEGINNING}, **blind)).text
        assert [word for word in ("Ada", "ada@", "VIP", "She said so") if word in told] == []
        amounts = (await at.client.post(DIFF, {"id": at.deal, "from": BEGINNING}, **blind)).text
        assert "250.5" not in amounts

        of_customers = await at.client.token("READ_CUSTOMERS", "SEE_PERSONAL_DATA", "SEE_AMOUNTS")
        assert await at.diff(at.deal, **of_customers) is None
        assert await at.why(at.deal, "amount", **of_customers) is None
        assert await at.diff(at.person, **of_customers) == await at.diff(at.person)


async def test_of_a_record_with_an_entry_that_nobody_can_read_what_its_rows_show_is_told(
    database: str, tmp_path: Path
) -> None:
    async with firm(database, tmp_path) as at:
        before = await at.diff(at.organisation)
        with psycopg.connect(database, autocommit=True) as db:
            position = add_unreadable(db, parse_type_id(at.organisation)[1])
        assert (await at.client.data("{ position }", Daybook_At_Least=str(position)))["position"] == str(position)
        assert await at.diff(at.organisation) == before
        assert await at.diff(at.organisation, until={"position": str(position)}) == before
        assert (await at.why(at.organisation, "name"))["after"] == "Acme AG"
