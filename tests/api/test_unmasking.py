"""Unmasking: whoever personal data is hidden from is shown one customer's, for a reason that is recorded before."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pytest
from graphql import parse

from api.beginning import define_roles
from api.reading.sight import Sight
from domain.access import Authority
from domain.kernel import parse_type_id
from domain.kernel.permissions import Permission
from domain.ready_roles import READY
from infra.log.note import Signer
from tests.api.desk import Desk, desk
from tests.api.filled import opened
from tests.api.identity.signing_in import signed_in
from tests.api.listening import PATIENCE, Server, listening, until
from tests.api.questions import question
from tests.api.reference import Reference, plain
from tests.api.sample import Row, load, sample
from tests.api.seen import hidden_fields, limited, seen, somebody
from tests.databases import forget_receipts
from verifier.daybook_verify_bundle import verify

ROWS = sample(seed=3)
PEOPLE = 10
QUESTIONS = 30
"""Of each of them."""

UNMASK = """
mutation ($input: CustomerUnmaskInput!) {
  customerUnmask(input: $input) {
    customer {
      name hiddenFields tags
      contactPoints { value hiddenFields }
      notes(first: 5) { nodes { text hiddenFields } }
      parent { name hiddenFields }
      history(first: 10) { nodes { type data withheld reason actor } }
      opportunities(first: 5) { nodes { title hiddenFields } }
    }
    position
    userErrors { code path }
  }
}
"""
BUNDLE = """
mutation ($input: CustomerUnmaskInput!, $at: Position) {
  customerUnmask(input: $input) {
    auditBundle(atPosition: $at) { file position checkpoint }
    position
    userErrors { code }
  }
}
"""
SAID_OF_CONTACTS = """
mutation ($input: CustomerUnmaskInput!) {
  customerUnmask(input: $input) {
    customer {
      contacts { role hiddenFields }
      history(last: 10) { nodes { type data withheld reason hiddenFields } }
    }
  }
}
"""
MASKED = "query ($id: ID!) { customer(id: $id) { name hiddenFields contactPoints { value } tags } }"
SECRETS = ("Grace Hopper", "grace@example.com", "Likes tea", "gold")


@pytest.fixture(scope="module")
def module_rows(module_database: str) -> str:
    load(module_database, ROWS)
    return module_database


@pytest.fixture
def at(module_rows: str) -> Iterator[Desk]:
    with desk(module_rows) as one:
        yield one


@pytest.mark.parametrize("seed", range(PEOPLE))
def test_what_is_shown_is_that_customer_s_and_nobody_else_s(at: Desk, seed: int) -> None:
    """Every answer is the one of a world in which plain Python has hidden all personal data but theirs."""
    chance = Random(seed)
    who = somebody(chance, ROWS)
    grants = {each: scope for each, scope in who.grants.items() if each is not Permission.SEE_PERSONAL_DATA}
    who = msgspec.structs.replace(who, grants=grants)
    customer = chance.choice(ROWS["customers"])["id"]
    hidden = partial(_hidden, who, customer)
    reference = Reference(seen(ROWS, who, customer), searches=False, hidden=hidden, limited=limited(who))
    sight = Sight(who, parse_type_id(customer)[1])
    for number in range(QUESTIONS * seed, QUESTIONS * (seed + 1)):
        asked, variables = question(number, at.schema, ROWS)
        document, operation = at.parsed(asked)
        answer = at.runner.run(at.reader.query(document, operation, variables, sight)).data
        expected = plain(reference.answer(parse(asked), variables))
        assert msgspec.json.decode(answer) == expected, (number, who, customer, asked, variables)


def _hidden(who: Authority, customer: str, kind: str, row: Row) -> list[str]:
    return hidden_fields(who, kind, row, customer)


class Office:
    """A book with a person to look up, their mother's company, and an auditor who is signed in."""

    def __init__(self, server: Server, http: httpx.Client, rep: httpx.Client, customer: str) -> None:
        self.server, self.auditor, self.rep, self.customer = server, http, rep, customer

    def ask(self, query: str, http: httpx.Client | None = None, **variables: Any) -> Any:
        sent = {"query": query, "variables": variables}
        answer = (http or self.auditor).post("/graphql", json=sent, timeout=PATIENCE).json()
        assert query is UNMASK or "errors" not in answer, answer
        return answer

    def unmask(self, http: httpx.Client | None = None, **given: Any) -> Any:
        given = {"id": self.customer, "idempotencyKey": str(uuid4()), "reason": "Complaint 17 says so"} | given
        return self.ask(UNMASK, http, input=given)


@pytest.fixture
def office(database: str, tmp_path: Path) -> Iterator[Office]:
    with opened(database, tmp_path) as parts:
        define_roles(parts, READY)
    with listening(database, tmp_path) as server:

        def make(mutation: str, noun: str, /, **given: Any) -> str:
            payload = server.mutate(mutation, f"{noun} {{ id }} userErrors {{ code path }}", **given)
            assert payload["userErrors"] == [], (mutation, payload)
            id: str = payload[noun]["id"]
            return id

        def known() -> dict[str, str]:
            found = server.post("{ roles(first: 20) { nodes { id name } } }")["roles"]["nodes"]
            return {one["name"]: one["id"] for one in found}

        until(lambda: len(known()) == len(READY))  # they were defined while nobody posted
        roles, people = known(), dict[str, str]()
        for role in ("Auditor", "Marketing"):
            people[role] = make("staffMemberRegister", "staffMember", name=role, email=f"{role}@acme.example")
            server.mutate("staffMemberGrantRole", id=people[role], role=roles[role])
        parent = make("customerRegister", "customer", kind="PERSON", name="Rear Admiral")
        points = [{"kind": "EMAIL", "value": "grace@example.com"}]
        customer = make(
            "customerRegister", "customer", kind="PERSON", name="Grace Hopper", contactPoints=points, parent=parent
        )
        server.mutate("customerAddNote", id=customer, text="Likes tea")
        server.mutate("customerAddTag", id=customer, tag="gold")
        stages = [{"name": "New", "probability": "10", "category": "PIPELINE"}]
        pipeline = make("pipelineDefine", "pipeline", name="Sales", stages=stages)
        make("opportunityOpen", "opportunity", title="A ship for Grace", pipeline=pipeline, customer=customer)
        with (
            signed_in(server, people["Auditor"], "Auditor@acme.example") as auditor,
            signed_in(server, people["Marketing"], "Marketing@acme.example") as marketing,
        ):
            yield Office(server, auditor, marketing, customer)


def test_an_auditor_is_shown_a_customer_for_a_reason(office: Office) -> None:
    before = office.ask(MASKED, id=office.customer)["data"]["customer"]
    assert (before["name"], before["contactPoints"], before["tags"]) == (None, [{"value": None}], [])

    payload = office.unmask()["data"]["customerUnmask"]
    shown = payload["customer"]
    assert payload["userErrors"] == []
    assert (shown["name"], shown["tags"], shown["hiddenFields"]) == ("Grace Hopper", ["gold"], [])
    assert shown["contactPoints"] == [{"value": "grace@example.com", "hiddenFields": []}]
    assert shown["notes"]["nodes"] == [{"text": "Likes tea", "hiddenFields": []}]
    # Of others, and of records that are not the customer's own, nothing more is shown than before.
    assert shown["parent"]["name"] is None
    assert "name" in shown["parent"]["hiddenFields"]
    assert shown["opportunities"]["nodes"][0]["title"] is None
    assert "Rear Admiral" not in msgspec.json.encode(payload).decode()
    first, *_, last = sorted(shown["history"]["nodes"], key=lambda each: each["type"] == "CustomerUnmasked")
    assert (first["data"]["name"], first["withheld"]) == ("Grace Hopper", [])
    assert (last["type"], last["data"]["reason"]) == ("CustomerUnmasked", "Complaint 17 says so")
    assert last["reason"] == last["data"]["reason"]
    assert last["actor"].startswith("user:stf_")

    # It holds for that answer alone.
    assert office.ask(MASKED, id=office.customer)["data"]["customer"] == before
    assert not [one for one in SECRETS if one in msgspec.json.encode(office.ask(MASKED, id=office.customer)).decode()]


@pytest.mark.parametrize("under_its_own_key", [False, True], ids=["contact's key", "organisation's key, as once"])
def test_what_an_organisation_says_of_a_contact_is_the_contact_s(
    office: Office, database: str, under_its_own_key: bool
) -> None:
    """The contact's own history would not say that somebody was shown it."""
    mill = office.server.mutate("customerRegister", "customer { id }", kind="ORGANISATION", name="Mill")["customer"][
        "id"
    ]
    office.server.mutate("customerLinkContact", id=mill, person=office.customer, role="Patient", reason="Of ward 7")
    links = office.server.post("query ($id: ID!) { customer(id: $id) { contacts { id } } }", {"id": mill})
    [link] = links["customer"]["contacts"]
    office.server.mutate("customerUnlinkContact", id=mill, link=link["id"], until="2026-01-31", reason="Left ward 7")
    office.server.mutate("customerAddNote", id=mill, text="Grinds rye", reason="They told us")
    if under_its_own_key:
        with psycopg.connect(database) as db:
            db.execute("UPDATE daybook_read.timeline SET subject_id = aggregate_id")
    shown = office.ask(SAID_OF_CONTACTS, input={"id": mill, "idempotencyKey": str(uuid4()), "reason": "An audit"})
    customer = shown["data"]["customerUnmask"]["customer"]
    for contact in customer["contacts"]:
        assert (contact["role"], contact["hiddenFields"]) == (None, ["role"])
    *_, linked, unlinked, noted, _ = customer["history"]["nodes"]
    assert [one["type"] for one in (linked, unlinked)] == ["CustomerContactLinked", "CustomerContactUnlinked"]
    assert (linked["data"]["role"], linked["withheld"]) == (None, ["role"])
    for entry in (linked, unlinked):
        assert (entry["reason"], entry["hiddenFields"]) == (None, ["reason"])
    assert (noted["data"]["text"], noted["reason"], noted["hiddenFields"]) == ("Grinds rye", "They told us", [])


def test_it_stands_in_the_book_before_anything_is_shown(office: Office) -> None:
    history = "query ($id: ID!) { customer(id: $id) { history(first: 50) { nodes { type actor position data } } } }"

    def recorded() -> list[Any]:
        nodes = office.server.post(history, {"id": office.customer})["customer"]["history"]["nodes"]
        return [each for each in nodes if each["type"] == "CustomerUnmasked"]

    key = str(uuid4())
    said = [office.unmask(idempotencyKey=key)["data"]["customerUnmask"] for _ in range(2)]
    assert said[0]["position"] == said[1]["position"] == recorded()[0]["position"]
    assert [each["data"]["reason"] for each in recorded()] == ["Complaint 17 says so"]
    office.unmask()
    assert len(recorded()) == 2


def test_an_auditor_reads_who_was_shown_whose(office: Office) -> None:
    """Of all customers, and narrowed to somebody, a customer or a time; of those that one does not see, nothing."""
    query = """query ($where: HistoryEntryWhere!, $after: String) {
        history(first: 1, after: $after, where: {and: [{type: {in: ["CustomerUnmasked"]}}, $where]}) {
            totalCount nodes { aggregateId actor reason hiddenFields } pageInfo { hasNextPage endCursor }
        }
    }"""
    payload = office.server.mutate(
        "customerRegister", "customer { id recordedAt }", kind="PERSON", name="Ada", externalIds=[]
    )
    other = payload["customer"]["id"]
    office.unmask()
    office.server.mutate("customerUnmask", id=other, reason="The court asks")

    def shown(http: httpx.Client | None = None, after: str | None = None, where: Any = None) -> Any:
        return office.ask(query, http, where=where or {}, after=after)["data"]["history"]

    first = shown()
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (2, True)
    second = shown(after=first["pageInfo"]["endCursor"])
    assert [one["nodes"][0]["aggregateId"] for one in (first, second)] == [office.customer, other]
    assert second["nodes"][0] == {
        "aggregateId": other, "actor": "administrator", "reason": None, "hiddenFields": ["reason"],
    }  # fmt: skip
    [auditor] = {one["actor"] for one in first["nodes"]}
    for narrowed, found in (
        ({"actor": {"eq": auditor}}, 1),
        ({"aggregateId": {"eq": other}}, 1),
        ({"recordedAt": {"gt": payload["customer"]["recordedAt"]}}, 2),
        ({"recordedAt": {"lte": payload["customer"]["recordedAt"]}}, 0),
    ):
        assert shown(where=narrowed)["totalCount"] == found, narrowed
    headers = office.server.token("READ_TICKETS", "SEE_PERSONAL_DATA")
    with httpx.Client(base_url=office.server.origin, headers=headers) as stranger:
        assert (shown(stranger)["totalCount"], shown(stranger)["nodes"]) == (0, [])


def test_a_late_retry_shows_nothing_without_an_entry_of_its_own(office: Office, database: str) -> None:
    key = str(uuid4())
    office.unmask(idempotencyKey=key)
    forget_receipts(database)
    again = office.unmask(idempotencyKey=key, reason="Another one")["data"]["customerUnmask"]
    assert again["customer"] is None
    assert [(error["code"], error["path"]) for error in again["userErrors"]] == [("SHOWN_BEFORE", ["idempotencyKey"])]


def test_without_a_reason_or_the_permission_nothing_is_shown(office: Office) -> None:
    blank = office.unmask(reason="  ")["data"]["customerUnmask"]
    assert (blank["customer"], blank["userErrors"]) == (None, [{"code": "TEXT_EMPTY", "path": ["reason"]}])
    missing = office.ask(UNMASK, input={"id": office.customer, "idempotencyKey": str(uuid4())})
    assert missing["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    refused = office.unmask(office.rep)["data"]["customerUnmask"]
    assert (refused["customer"], refused["userErrors"][0]["code"]) == (None, "NOT_ALLOWED")


def test_a_bundle_with_keys_is_an_unmasking_too(office: Office, tmp_path: Path) -> None:
    vkey = str(Signer.read((tmp_path / "signing.key").read_text().strip()).verifier)
    asked = {"id": office.customer, "idempotencyKey": str(uuid4()), "reason": "For the court"}

    def bundled(at: str | None = None, http: httpx.Client | None = None, **given: Any) -> Any:
        sent = {"query": BUNDLE, "variables": {"input": {**asked, **given}, "at": at}}
        return (http or office.auditor).post("/graphql", json=sent, timeout=PATIENCE).json()

    position = bundled()["data"]["customerUnmask"]["position"]
    until(lambda: "errors" not in bundled(position))  # within seconds a checkpoint is over it
    payload = bundled(position)["data"]["customerUnmask"]
    assert payload["position"] == position == payload["auditBundle"]["position"], "it was recorded once"
    verdict = verify(payload["auditBundle"]["file"].encode(), vkey)
    assert (verdict.customer, verdict.sealed) == (office.customer, 0)
    assert "   name: Grace Hopper" in verdict.story[0].splitlines()
    assert "   reason: For the court" in verdict.story[-1].splitlines()
    assert not [one for one in ("Rear Admiral", "A ship for Grace") if one in payload["auditBundle"]["file"]]

    beyond = bundled("99999")
    assert beyond["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert beyond["data"]["customerUnmask"]["auditBundle"] is None
    refused = bundled(http=office.rep)["data"]["customerUnmask"]
    assert (refused["auditBundle"], refused["userErrors"]) == (None, [{"code": "NOT_ALLOWED"}])
    assert bundled(reason=" ")["data"]["customerUnmask"]["auditBundle"] is None

    # Amounts stand in the same columns, and can't be left out of what is proven.
    roles = office.server.post("{ roles(first: 20) { nodes { id name grants { permission scope } } } }")["roles"][
        "nodes"
    ]
    [auditing] = [one for one in roles if one["name"] == "Auditor"]
    grants = [one for one in auditing["grants"] if one["permission"] != "SEE_AMOUNTS"]
    office.server.mutate("roleChangeGrants", id=auditing["id"], grants=grants)
    [forbidden] = bundled(idempotencyKey=str(uuid4()))["errors"]
    assert (forbidden["extensions"]["code"], "SEE_AMOUNTS" in forbidden["message"]) == ("FORBIDDEN", True)
