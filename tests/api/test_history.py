"""A record's history by what is asked of it: type, actor, time, and the field of the record that an entry is about."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.book import Client, serving

pytestmark = pytest.mark.anyio

HISTORY = """
query History($id: ID!, $where: HistoryEntryWhere) {
  RECORD(id: $id) { history(first: 100, where: $where) { totalCount nodes { type fields recordedAt } } }
}
"""


async def story(
    client: Client, id: str, where: dict[str, Any] | None = None, record: str = "customer"
) -> list[dict[str, Any]]:
    asked = HISTORY.replace("RECORD", record)
    history = (await client.data(asked, {"id": id, "where": where or {}}))[record]["history"]
    assert history["totalCount"] == len(history["nodes"])
    return list(history["nodes"])


async def test_it_is_filtered_by_type_actor_time_and_field(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        made = await client.mutate("customerRegister", "customer { id }", kind="ORGANISATION", name="Acme")
        id = made["customer"]["id"]
        for details in (
            {"annualRevenue": "5", "revenueCurrency": "EUR"},
            {"employees": 40},
            {"annualRevenue": "5", "revenueCurrency": "USD"},
        ):
            await client.mutate("customerChangeDetails", "position", id=id, **details)
        await client.mutate("customerRename", "position", id=id, name="Acme Ltd")
        await client.mutate("customerAddTag", "position", id=id, tag="big")
        for value in ("info@acme.example", "sales@acme.example"):
            added = await client.mutate(
                "customerAddContactPoint",
                "customer { contactPoints { id } }",
                id=id,
                contactPoint={"kind": "EMAIL", "value": value},
            )
        point = added["customer"]["contactPoints"][-1]["id"]
        await client.mutate("customerMakeContactPointPrimary", "position", id=id, contactPoint=point)

        whole = await story(client, id)
        types = [entry["type"] for entry in whole]
        changed, renamed, pointed = "CustomerDetailsChanged", "CustomerRenamed", "CustomerContactPointAdded"
        primary = "CustomerContactPointMadePrimary"
        begun = "CustomerRegistered"
        assert types == [begun, changed, changed, changed, renamed, "CustomerTagAdded", pointed, pointed, primary]
        assert [entry["fields"] for entry in whole[:6]] == [
            ["kind", "name", "status", "relationship", "createdAt"],
            ["annualRevenue", "revenueCurrency"],
            ["employees"],
            ["revenueCurrency", "annualRevenue"],
            ["name"],
            ["tags", "tag"],
        ]

        async def found(**where: Any) -> list[str]:
            return [entry["type"] for entry in await story(client, id, where)]

        async def about(field: str) -> list[str]:
            return await found(fields={"some": {"eq": field}})

        assert await about("annualRevenue") == [changed, changed]
        assert await found(fields={"some": {"in": ["employees", "annualRevenue"]}}) == [changed] * 3
        assert await about("name") == [begun, renamed]
        assert await about("kind") == [begun]  # a contact point's is another
        assert await about("owner") == await about("new") == await about("contacts") == []
        assert await about("tags") == await about("tag") == ["CustomerTagAdded"]
        assert await about("contactPoints") == await about("primary") == [pointed, pointed, primary]
        assert await found(fields={"none": {"contains": "a"}}) == [changed]
        assert await found(type={"eq": renamed}) == [renamed]
        assert await found(actor={"eq": "administrator"}) == types
        assert await found(actor={"ne": "administrator"}) == []
        assert await found(recordedAt={"gte": whole[3]["recordedAt"]}) == types[3:]
        assert await found(recordedAt={"lt": whole[3]["recordedAt"]}) == types[:3]
