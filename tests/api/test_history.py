"""A record's history by what is asked of it: type, actor, time, and the field that an entry is about."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.book import Client, serving

pytestmark = pytest.mark.anyio

HISTORY = """
query History($id: ID!, $where: HistoryEntryWhere) {
  customer(id: $id) { history(first: 100, where: $where) { totalCount nodes { type fields recordedAt } } }
}
"""


async def story(client: Client, id: str, where: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    history = (await client.data(HISTORY, {"id": id, "where": where or {}}))["customer"]["history"]
    assert history["totalCount"] == len(history["nodes"])
    return list(history["nodes"])


async def test_it_is_filtered_by_type_actor_time_and_field(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        made = await client.mutate("customerRegister", "customer { id }", kind="ORGANISATION", name="Acme")
        id = made["customer"]["id"]
        for details in ({"annualRevenue": "5", "revenueCurrency": "EUR"}, {"employees": 40}):
            await client.mutate("customerChangeDetails", "position", id=id, **details)
        await client.mutate("customerRename", "position", id=id, name="Acme Ltd")
        await client.mutate("customerAddTag", "position", id=id, tag="big")

        whole = await story(client, id)
        types = [entry["type"] for entry in whole]
        changed, renamed = "CustomerDetailsChanged", "CustomerRenamed"
        assert types == ["CustomerRegistered", changed, changed, renamed, "CustomerTagAdded"]
        assert [entry["fields"] for entry in whole[1:3]] == [["annualRevenue", "revenueCurrency"], ["employees"]]

        async def found(**where: Any) -> list[str]:
            return [entry["type"] for entry in await story(client, id, where)]

        assert await found(fields={"some": {"eq": "annualRevenue"}}) == [changed]
        assert await found(fields={"some": {"in": ["employees", "annualRevenue"]}}) == [changed, changed]
        assert await found(fields={"some": {"eq": "tag"}}) == ["CustomerTagAdded"]
        assert await found(fields={"none": {"contains": "e"}}) == ["CustomerTagAdded"]
        assert await found(type={"eq": renamed}) == [renamed]
        assert await found(actor={"eq": "administrator"}) == types
        assert await found(actor={"ne": "administrator"}) == []
        assert await found(recordedAt={"gte": whole[3]["recordedAt"]}) == types[3:]
        assert await found(recordedAt={"lt": whole[3]["recordedAt"]}) == types[:3]
