"""A reply to a closed ticket, through the whole application: the payload is the follow-up, once, and read at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api.book import Client, serving
from tests.databases import forget_receipts

pytestmark = pytest.mark.anyio

SHOWN = """
    position
    userErrors { code path message }
    ticket {
      id number status kind priority subject version
      customer { id } queue { id } assignee { id } follows { id }
      messages(first: 50) { nodes { text } }
    }
"""


class Desk:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def done(self, mutation: str, noun: str, **given: Any) -> dict[str, Any]:
        payload = await self.client.mutate(mutation, f"{noun} {{ id version }} userErrors {{ code }}", **given)
        assert payload["userErrors"] == [], payload
        found: dict[str, Any] = payload[noun]
        return found

    async def replied(self, ticket: str, text: str, **given: Any) -> dict[str, Any]:
        return await self.client.mutate("ticketReceiveReply", SHOWN, id=ticket, text=text, **given)

    async def close(self, ticket: str) -> None:
        await self.done("ticketSolve", "ticket", id=ticket, code="FIXED")
        await self.done("ticketClose", "ticket", id=ticket)

    async def closed(self, **given: Any) -> str:
        given = {"channel": "EMAIL", "subject": "Charger", "kind": "INCIDENT", "priority": "HIGH", **given}
        ticket = await self.done("ticketOpen", "ticket", **given)
        await self.close(ticket["id"])
        id: str = ticket["id"]
        return id

    async def number_of_tickets(self) -> int:
        found = await self.client.data("{ tickets(first: 1) { totalCount } }")
        count: int = found["tickets"]["totalCount"]
        return count


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with serving(database, tmp_path) as client:
        yield Desk(client)


async def test_a_reply_to_a_closed_ticket_opens_one_that_follows_it(desk: Desk) -> None:
    customer = await desk.done("customerRegister", "customer", kind="PERSON", name="Ada")
    agent = await desk.done("staffMemberRegister", "staffMember", name="Grace", email="grace@example.com")
    queue = await desk.done("queueCreate", "queue", name="First line")
    closed = await desk.closed(customer=customer["id"], assignee=agent["id"], queue=queue["id"])
    payload = await desk.replied(closed, "It broke again.")
    assert payload["userErrors"] == []
    follow_up = payload["ticket"]
    assert follow_up["id"] != closed
    assert follow_up["follows"] == {"id": closed}
    assert (follow_up["status"], follow_up["kind"], follow_up["priority"]) == ("OPEN", "INCIDENT", "HIGH")
    assert (follow_up["subject"], follow_up["version"]) == ("Charger", 1)
    assert follow_up["customer"] == {"id": customer["id"]}
    assert follow_up["assignee"] == {"id": agent["id"]}
    assert follow_up["queue"] == {"id": queue["id"]}
    assert follow_up["messages"]["nodes"] == [{"text": "It broke again."}]
    former = await desk.client.data("query Q($id: ID!) { ticket(id: $id) { status number } }", {"id": closed})
    assert former["ticket"]["status"] == "CLOSED"
    assert former["ticket"]["number"] < follow_up["number"]


async def test_later_replies_come_together_until_that_one_is_closed_too(desk: Desk) -> None:
    closed = await desk.closed()
    first = (await desk.replied(closed, "one"))["ticket"]
    second = (await desk.replied(closed, "two"))["ticket"]
    assert second["id"] == first["id"]
    assert [message["text"] for message in second["messages"]["nodes"]] == ["one", "two"]
    await desk.close(first["id"])
    third = (await desk.replied(closed, "three"))["ticket"]
    assert third["follows"] == {"id": first["id"]}
    assert third["messages"]["nodes"] == [{"text": "three"}]
    assert await desk.number_of_tickets() == 3


async def test_a_retry_is_answered_with_the_same_follow_up_and_adds_nothing(desk: Desk, database: str) -> None:
    closed, key = await desk.closed(), str(uuid4())
    first = await desk.replied(closed, "Hello?", idempotencyKey=key)
    assert await desk.replied(closed, "Hello?", idempotencyKey=key) == first
    forget_receipts(database)
    late = await desk.replied(closed, "Hello?", idempotencyKey=key)
    assert late["userErrors"] == []
    assert (late["ticket"]["id"], late["ticket"]["version"]) == (first["ticket"]["id"], 1)
    await desk.close(first["ticket"]["id"])
    forget_receipts(database)
    later = await desk.replied(closed, "Hello?", idempotencyKey=key)
    assert (later["userErrors"], later["ticket"]["version"]) == ([], 3)
    other = await desk.replied(closed, "Something else", idempotencyKey=key)
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert await desk.number_of_tickets() == 2


async def test_the_version_expected_is_that_of_the_closed_ticket(desk: Desk) -> None:
    closed = await desk.closed()
    stale = await desk.replied(closed, "Hello?", expectedVersion=2)
    assert [error["code"] for error in stale["userErrors"]] == ["VERSION_CONFLICT"]
    assert await desk.number_of_tickets() == 1
    assert (await desk.replied(closed, "Hello?", expectedVersion=3))["ticket"]["follows"] == {"id": closed}


async def test_an_agents_reply_to_a_closed_ticket_is_refused_with_what_to_do(desk: Desk) -> None:
    payload = await desk.client.mutate("ticketReply", SHOWN, id=await desk.closed(), text="Sorry!")
    (error,) = payload["userErrors"]
    assert error["code"] == "TICKET_IS_CLOSED"
    assert "follow-up" in error["message"]


async def test_who_may_work_on_tickets_may_let_a_reply_open_one(desk: Desk) -> None:
    closed = await desk.closed()
    worker = await desk.client.token("READ_TICKETS", "WORK_TICKETS")
    document = (
        "mutation M($input: TicketReceiveReplyInput!)"
        " { ticketReceiveReply(input: $input) { ticket { follows { id } } userErrors { code } } }"
    )
    given = {"idempotencyKey": str(uuid4()), "id": closed, "text": "Hello?"}
    answer = await desk.client.data(document, {"input": given}, **worker)
    assert answer["ticketReceiveReply"] == {"ticket": {"follows": {"id": closed}}, "userErrors": []}
    reader = await desk.client.token("READ_TICKETS")
    given["idempotencyKey"] = str(uuid4())
    answer = await desk.client.data(document, {"input": given}, **reader)
    assert [error["code"] for error in answer["ticketReceiveReply"]["userErrors"]] == ["NOT_ALLOWED"]
