"""What clients are told once another server has taken over without the last entries."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.api.book import Client, serving
from tests.api.listening import listening
from tests.api.test_following_checkpoints import code_at_the_end
from tests.standby import Standby

pytestmark = pytest.mark.anyio


async def enter(client: Client, name: str) -> str:
    """A customer; the position."""
    payload = await client.mutate("customerRegister", "position userErrors { message }", kind="PERSON", name=name)
    assert payload["userErrors"] == []
    position: str = payload["position"]
    return position


async def answered(client: Client, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The data of a query, asked again while connections that are broken are found out."""
    with anyio.fail_after(30):
        while True:
            answer = (await client.post(query, variables)).json()
            if "errors" not in answer:
                data: dict[str, Any] = answer["data"]
                return data
            assert [one["extensions"]["code"] for one in answer["errors"]] == ["UNAVAILABLE"]


async def test_a_time_is_found_anew_where_the_entries_at_it_are_lost(
    database: str, standby: Standby, tmp_path: Path
) -> None:
    async with serving(database, tmp_path) as client:

        async def known(then: datetime) -> list[Any]:
            query = "query ($at: DateTime!) { asOf(at: {time: $at}) { customers(first: 9) { nodes { name } } } }"
            found = await answered(client, query, {"at": then.isoformat()})
            return sorted(one["name"] for one in found["asOf"]["customers"]["nodes"])

        await enter(client, "kept")
        await asyncio.to_thread(standby.falls_behind)
        await enter(client, "lost")
        then = datetime.now(UTC)
        await enter(client, "lost, later")
        assert await known(then) == ["kept", "lost"]
        await asyncio.to_thread(standby.takes_over)
        await enter(client, "new")
        await enter(client, "newer")
        assert await known(then) == ["kept"]


FEED = 'subscription { changes(after: "0") { position change { type } } }'
RECORD = "subscription ($id: ID!) { customerChanged(id: $id) { name } }"


def test_who_follows_is_told_that_what_they_were_told_is_lost(database: str, standby: Standby, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:

        def named(name: str) -> None:
            server.mutate("customerRename", id=customer, name=name)

        customer = server.customer("kept")
        standby.falls_behind()
        with server.connected() as all_changes, server.connected() as record:
            named("lost")
            all_changes.subscribe(FEED)
            record.subscribe(RECORD, {"id": customer})
            told = [all_changes.next("changes")["position"] for _ in range(3)]
            names = [record.next("customerChanged")["name"]]
            standby.takes_over()
            codes = [code_at_the_end(each) for each in (all_changes, record)]
            named("new")
            server.until_answered()
            names.append(record.subscribe(RECORD, {"id": customer}, id="2").next("customerChanged")["name"])
    assert (told, names) == (["0", "1", "2"], ["lost", "new"])
    assert codes == ["UNAVAILABLE", "UNAVAILABLE"]
