"""`diff` and `whyValue` as clients ask them: the same values as everywhere, and nothing that is hidden."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread
import psycopg
import pytest

from domain.kernel import parse_type_id
from tests.api.book import Client, serving
from tests.api.test_command_line import OK, Shell
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
    product: str
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
        product, _ = await done("productAdd", "product", name="Violin", price="4711", currency="EUR")
        yield Firm(client, person, organisation, deal, product, opened)


async def test_what_clients_are_told_of_a_field(database: str, tmp_path: Path) -> None:
    async with firm(database, tmp_path) as at:
        told = await at.diff(at.deal)
        assert told is not None
        fields = "status title openedAt position version amount { amount currency }"
        now = f"{{ node(id: $id) {{ ... on Opportunity {{ {fields} }} }} }}"
        deal = (await at.client.data(f"query N($id: ID!) {now}", {"id": at.deal}))["node"]
        assert {field: told[field]["after"] for field in deal} == deal
        assert (told["amount"]["before"], told["amount"]["entry"]["position"]) == (None, str(at.opened + 1))
        position = await at.why(at.deal, "position")
        assert (position["before"], position["after"]) == (str(at.opened), deal["position"])

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
        tomorrow = {"time": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
        assert await at.diff(at.deal, past, past) == {}
        assert await at.diff(at.deal, until, until) == {}
        for document, given, code in (
            (WHY, {"id": at.deal, "field": "amout"}, "BAD_USER_INPUT"),
            (WHY, {"id": "nobody", "field": "name"}, "BAD_USER_INPUT"),
            (WHY, {"id": at.deal, "field": "amount", "at": tomorrow}, "BAD_USER_INPUT"),
            (DIFF, {"id": at.deal, "from": until, "to": since}, "BAD_USER_INPUT"),
            (DIFF, {"id": at.deal, "from": since, "to": past}, "BAD_USER_INPUT"),
            (DIFF, {"id": at.deal, "from": tomorrow}, "BAD_USER_INPUT"),
            (DIFF, {"id": at.deal, "from": since, "to": tomorrow}, "BAD_USER_INPUT"),
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
            (at.product, {"price"}),
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
        prices = (await at.client.post(DIFF, {"id": at.product, "from": BEGINNING}, **blind)).text
        assert "Violin" in prices
        assert "4711" not in prices

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


async def test_a_list_and_its_elements_are_found_as_a_screen_shows_them(database: str, tmp_path: Path) -> None:
    async with firm(database, tmp_path) as at:

        async def done(mutation: str, of: str, selection: str = "id", **given: Any) -> dict[str, Any]:
            payload = await at.client.mutate(
                mutation, f"{of} {{ {selection} }} position userErrors {{ message }}", **given
            )
            assert payload["userErrors"] == []
            return {**payload[of], "at": payload["position"]}

        person = {"id": at.person}
        entered = {
            "tags[mit Leer zeichen]": await done("customerAddTag", "customer", **person, tag="mit Leer zeichen"),
            "tags[VIP]": {"at": str(at.opened)},
            "legalHolds[Case 5]": await done("customerPlaceLegalHold", "customer", **person, matter="Case 5"),
            "classifications[Industry].value": await done(
                "customerClassify", "customer", **person, scheme="Industry", value="retail"
            ),
            "externalIds[ERP/Nr 7].id": await done(
                "customerAddExternalId", "customer", **person, source="ERP", externalId="Nr 7"
            ),
            "consents[News].state": await done(
                "customerGrantConsent", "customer", **person, purpose="News", channel="EMAIL", basis="CONSENT"
            ),
        }
        shown = "tags legalHolds classifications { value } externalIds { id } consents { purpose channel state }"
        now = await at.client.data(f"query N($id: ID!) {{ customer(id: $id) {{ {shown} }} }}", person)
        for field, position in entered.items():
            whole, _, part = field.partition("[")
            why = await at.why(at.person, field)
            name = part.rpartition("].")[2]
            screen = now["customer"][whole]
            expected = part.removesuffix("]") if part.endswith("]") else screen[0][name]
            assert why["after"] == expected
            assert expected in screen or expected in screen[0].values()
            if field != "tags[VIP]":
                assert why["entry"]["position"] == position["at"]
            assert (await at.why(at.person, field, {"position": "1"})) is None
        assert (await at.why(at.person, "consents[NEWS/EMAIL].state"))["after"] == "GRANTED"
        sms = {"purpose": "News", "channel": "SMS", "basis": "CONSENT"}
        later = await done("customerGrantConsent", "customer", **person, **sms)

        # Nothing was ever there; two begin so; a field that nobody set is null, and no error.
        for field, said in (
            ("tags[nobody]", "`tags[vip]`, `tags[mit leer zeichen]`"),
            (
                "consents[news].state",
                "Several elements of `consents` begin so: `consents[news/email]`, `consents[news/sms]`",
            ),
            ("contactPoints[cpt_00000000000000000000000000].value", "No entry ever put such an element"),
            ("opportunities", "No entry of this record sets `opportunities`"),
        ):
            answer = (await at.client.post(WHY, {"id": at.person, "field": field})).json()
            [error] = answer["errors"]
            assert (error["extensions"]["code"], said in error["message"]) == ("BAD_USER_INPUT", True), error
        assert await at.why(at.person, "birthday") is None
        assert await at.why(at.person, "notes") is None

        tags = await at.why(at.person, "tags")
        assert (tags["before"], tags["after"]) == (
            ["VIP"],
            now["customer"]["tags"],
        )
        assert tags["entry"]["position"] == entered["tags[mit Leer zeichen]"]["at"]
        consents = await at.why(at.person, "consents")
        assert [(one["channel"], one["state"]) for one in consents["after"]] == [
            ("EMAIL", "GRANTED"),
            ("SMS", "GRANTED"),
        ]
        assert (len(consents["before"]), consents["entry"]["position"]) == (1, later["at"])

        blind = await at.client.token("READ_CUSTOMERS", "READ_OPPORTUNITIES")
        for field in ("tags", "tags[VIP]", "tags[nobody]"):
            assert await at.why(at.person, field, **blind) is None
        points = await at.why(at.person, "contactPoints", **blind)
        assert (points["after"][0]["kind"], points["after"][0]["value"]) == ("EMAIL", None)


async def test_elements_as_a_whole_and_parts_of_values_are_told_and_hidden_like_what_they_are_of(
    database: str, tmp_path: Path
) -> None:
    async with firm(database, tmp_path) as at:

        async def position(mutation: str, of: str, **given: Any) -> str:
            payload = await at.client.mutate(mutation, "position userErrors { message }", id=of, **given)
            assert payload["userErrors"] == []
            found: str = payload["position"]
            return found

        amount, currency = await at.why(at.deal, "amount.amount"), await at.why(at.deal, "amount.currency")
        assert (amount["field"], amount["before"], amount["after"]) == ("amount.amount", "100.00", "250.50")
        assert amount["entry"]["position"] == str(at.opened + 1)
        assert (currency["before"], currency["after"]) == (None, "EUR")
        assert currency["entry"]["position"] == str(at.opened)

        strings = await at.client.mutate("productAdd", "product { id }", name="Strings")
        product = strings["product"]["id"]
        added = await position("opportunityAddLine", at.deal, product=product, quantity="2", price="10")
        asked = "query L($id: ID!) { opportunity(id: $id) { lines { id price { amount currency } quantity } } }"
        [line] = (await at.client.data(asked, {"id": at.deal}))["opportunity"]["lines"]
        name = f"lines[{line['id']}]"
        whole = await at.why(at.deal, name)
        assert (whole["field"], whole["before"], whole["entry"]["position"]) == (name, None, added)
        assert {key: whole["after"][key] for key in line} == line
        changed = await position("opportunityChangeLine", at.deal, line=line["id"], quantity="3", price="10")
        whole, price = await at.why(at.deal, name), await at.why(at.deal, f"{name}.price.amount")
        assert whole["entry"]["position"] == changed
        assert (whole["before"]["quantity"], whole["after"]["quantity"]) == ("2", "3")
        assert (price["before"], price["after"], price["entry"]["position"]) == (None, "10.00", added)
        shell = Shell(database, tmp_path)
        for field, entry in ((name, changed), (f"{name}.price.currency", added), ("amount.currency", str(at.opened))):
            said = await anyio.to_thread.run_sync(shell.run, "why", at.deal, field)
            assert (said.returncode, f"entry {entry}, " in said.stdout) == (OK, True), said

        # Whoever does not see amounts is told of no part of one, nor that the price of a line was changed.
        dearer = await position("opportunityChangeLine", at.deal, line=line["id"], quantity="3", price="12")
        blind = await at.client.token("READ_CUSTOMERS", "READ_OPPORTUNITIES", "SEE_PERSONAL_DATA")
        for field in ("amount.amount", "amount.currency", f"{name}.price.amount", f"{name}.total.currency"):
            assert await at.why(at.deal, field) is not None
            assert await at.why(at.deal, field, **blind) is None
        assert (await at.why(at.deal, name))["entry"]["position"] == dearer
        seen = await at.why(at.deal, name, **blind)
        assert (seen["entry"]["position"], seen["after"]["quantity"]) == (changed, "3")
        assert (seen["after"]["price"], seen["after"]["total"]) == (None, None)

        removed = await position("opportunityRemoveLine", at.deal, line=line["id"])
        whole = await at.why(at.deal, name)
        assert (whole["after"], whole["entry"]["position"]) == (None, removed)
        assert whole["before"]["quantity"] == "3"
        for field in ("amount.cents", "amount.amount.digits", "title.length", f"{name}.price.cents", "tags[x].value"):
            answer = (await at.client.post(WHY, {"id": at.deal, "field": field})).json()
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"], field


async def test_the_order_of_stages_and_an_escalation_are_told(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        stages = [{"name": name, "probability": "10", "category": "PIPELINE"} for name in ("One", "Two", "Three")]
        defined = await client.mutate(
            "pipelineDefine", "pipeline { id stages { id } } position", name="Sales", stages=stages
        )
        id, before = defined["pipeline"]["id"], defined["position"]
        one, two, three = (stage["id"] for stage in defined["pipeline"]["stages"])
        moved = await client.mutate(
            "pipelineReorderStages", "pipeline { stages { id } } position", id=id, stages=[three, one, two]
        )
        assert moved["pipeline"]["stages"] == [{"id": stage} for stage in (three, one, two)]
        told = await client.data(DIFF, {"id": id, "from": {"position": before}})
        places = {each["field"]: (each["before"], each["after"]) for each in told["diff"] if "stages[" in each["field"]}
        assert places == {
            f"stages[{three}].place": (2, 0),
            f"stages[{one}].place": (0, 1),
            f"stages[{two}].place": (1, 2),
        }
        for field in ("stages", f"stages[{one}].place"):
            why = (await client.data(WHY, {"id": id, "field": field}))["whyValue"]
            assert (why["entry"]["type"], why["entry"]["position"]) == ("PipelineStagesReordered", moved["position"])
        whole = (await client.data(WHY, {"id": id, "field": "stages"}))["whyValue"]
        assert [stage["id"] for stage in whole["before"]] == [one, two, three]
        assert [stage["id"] for stage in whole["after"]] == [three, one, two]

        ticket = await client.mutate("ticketOpen", "ticket { id }", channel="EMAIL", kind="QUESTION", subject="?")
        of = ticket["ticket"]["id"]
        assert (await client.data(WHY, {"id": of, "field": "escalated"}))["whyValue"]["after"] is False
        somebody = await client.mutate("staffMemberRegister", "staffMember { id }", name="Bo")
        staff = somebody["staffMember"]["id"]
        up = await client.mutate(
            "ticketEscalate", "position userErrors { message }", id=of, level=1, staff=staff, reason="Angry"
        )
        assert up["userErrors"] == []
        why = (await client.data(WHY, {"id": of, "field": "escalated"}))["whyValue"]
        assert (why["before"], why["after"], why["entry"]["type"]) == (False, True, "TicketEscalated")
        assert (await client.data(WHY, {"id": of, "field": "messages"}))["whyValue"] is None
