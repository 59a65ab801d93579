"""Erasing a customer: two people decide, the keys go, and nobody is shown anything of it any more."""

import json
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import anyio
import anyio.to_thread
import psycopg
import pytest

from api.composition import Parts, assembled
from domain.access import unlimited
from domain.appending import Draft
from domain.customer import PERSONAL_DATA_ERASED, Customer, CustomerContactLinked, customer
from domain.kernel import Withheld, parse_type_id
from domain.kernel.recorded import Context
from domain.steps import blocking
from infra.erasure.ledger import Ledger
from infra.erasure.rewriting import sealed_by_others
from infra.log.checkpointer import Growth
from infra.log.note import Signer
from infra.log.signing_key import signing_key
from infra.log.verifying import verify
from infra.roles import logins
from projections.attestation import Attestation
from projections.customers import customers
from projections.rebuild import rebuild
from projections.registry import may_hold_persons, models
from projections.tables import names
from tests.api.book import Client, serving
from tests.api.identity.signing_in import asked_by_somebody
from tests.api.test_command_line import Shell
from tests.faults.invariants import held_is_what_is_claimed
from tests.projections.conftest import until

pytestmark = pytest.mark.anyio

NAME = "Quirinus Żżyzx 奎里努斯"
PERSONAL = (
    NAME, "Zzyzx-Legal", "Freiherr", "Quastenmacher", "1911-11-11", "Sammelt Quasten", "qz@zzyzx.example",
    "+41446681800", "Zzyzxgasse 7", "quastentag", "zzyzx-4711", "Quastennotiz auf Ελληνικά", "Formular Quast",
    "Quastenprozess", "Quastenfrage", "Quastenantwort", "Quastengeschäft", "Quastenbrief", "Vorher ohne Kunde",
    "Quastenquelle", "Quastenkellermeister", "Quastenmundschenk", "Quastenlehrling",
)  # fmt: skip
"""What is entered about the person."""

GONE = Withheld.ERASED
OTHER = "Rosalind Ypsilon"


class Story:
    """A person with everything a person can have, and somebody else."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def do(self, mutation: str, selection: str = "position", **given: Any) -> dict[str, Any]:
        payload = await self.client.mutate(mutation, f"{selection} userErrors {{ code message }}", **given)
        assert payload["userErrors"] == [], payload
        return payload

    async def tell(self) -> None:
        self.person = await self._registered(NAME, "qz@zzyzx.example", known=True)
        self.other = await self._registered(OTHER, "ry@example.com")
        self.put_away = await self._registered("Xaver Put-Away", "xp@example.com")
        await self.do("customerArchive", id=self.put_away)
        id = self.person
        await self.do(
            "customerChangeDetails", id=id, legalName="Zzyzx-Legal", salutation="Freiherr", jobTitle="Quastenmacher",
            birthday="1911-11-11", description="Sammelt Quasten", employees=3,
        )  # fmt: skip
        for kind, value in (("PHONE", "+41 44 668 18 00"), ("ADDRESS", "Zzyzxgasse 7")):
            await self.do("customerAddContactPoint", id=id, contactPoint={"kind": kind, "value": value})
        await self.do("customerAddTag", id=id, tag="quastentag")
        await self.do("customerAddNote", id=id, text="Quastennotiz auf Ελληνικά")
        consent = {"purpose": "news", "channel": "EMAIL", "basis": "CONSENT", "proof": "Formular Quast"}
        await self.do("customerGrantConsent", id=id, **consent)
        await self.do("customerPlaceLegalHold", id=id, matter="Quastenprozess")
        await self.do("customerLiftLegalHold", id=id, matter="quastenprozess")
        ticket = {"channel": "EMAIL", "kind": "QUESTION"}
        await self._link()
        self.ticket = await self._opened(
            "ticket", **ticket, customer=id, subject="Quastenfrage", text="Quastenantwort", externalIds=_ids("4711")
        )
        self.passed_on = await self._opened(
            "ticket", **ticket, customer=id, subject="Ypsilons Quaste", externalIds=_ids("4712")
        )
        await self.do("ticketAssignCustomer", id=self.passed_on, customer=self.other)
        self.strayed = await self._opened("ticket", **ticket, subject="Vorher ohne Kunde")
        await self.do("ticketAssignCustomer", id=self.strayed, customer=id)
        self.others_ticket = await self._opened("ticket", **ticket, customer=self.other, subject="Ypsilonfrage")
        stage = {"name": "New", "probability": "10", "category": "PIPELINE", "idleDays": 9}
        pipeline = await self.do("pipelineDefine", "pipeline { id stages { id } }", name="Sales", stages=[stage])
        deal = {"pipeline": pipeline["pipeline"]["id"], "stage": pipeline["pipeline"]["stages"][0]["id"]}
        money = {"amount": "1200.00", "currency": "CHF"}
        self.deal = await self._opened(
            "opportunity", **deal, customer=id, title="Quastengeschäft", source="Quastenquelle", **money,
            externalIds=_ids("4711"),
        )  # fmt: skip
        await self.do("opportunityAddNote", id=self.deal, text="Quastenbrief")

    async def _link(self) -> None:
        """The person has been a contact of two organisations: one says so still, one has taken it back."""
        self.cellar, self.inn = [await self._organisation(name) for name in ("Ypsilon cellar", "Ypsilon inn")]
        stays = {"id": self.cellar, "person": self.person, "role": "Quastenkellermeister"}
        await self.do("customerLinkContact", **stays, since="2020-01-01")
        await self.do("customerLinkContact", id=self.cellar, person=self.person, role="Quastenlehrling")
        await self.do("customerLinkContact", id=self.cellar, person=self.other, role="Ypsilonleiter")
        await self.do("customerLinkContact", id=self.inn, person=self.person, role="Quastenmundschenk")
        contacts = (await self.read("customer", self.cellar, "contacts { id role }"))["contacts"]
        [ended] = [one["id"] for one in contacts if one["role"] == "Quastenlehrling"]
        await self.do("customerUnlinkContact", id=self.cellar, link=ended, until="2021-01-01")
        [gone] = (await self.read("customer", self.inn, "contacts { id }"))["contacts"]
        await self.do("customerUnlinkContact", id=self.inn, link=gone["id"])

    async def erase(self, person: str) -> None:
        """Asked for by somebody, approved by the operator; returns once the receipt is in the read models."""
        asked = {"id": person, "ground": "PERSON_ASKED", "reason": "Quastenbrief", "idempotencyKey": str(uuid4())}
        document = "mutation($i: CustomerRequestErasureInput!) { customerRequestErasure(input: $i) { position } }"
        answer = await asked_by_somebody(self.client.http, document, asked)
        assert answer["customerRequestErasure"]["position"], answer
        await self.do("customerErasePersonalData", id=person, reason="Quastenbrief")
        await self.erased(person)

    async def erased(self, person: str) -> None:
        with anyio.fail_after(20):
            while (await self.read("customer", person, "erasure"))["erasure"] != "ERASED":  # noqa: ASYNC110
                await anyio.sleep(0.02)

    async def read(self, noun: str, id: str, selection: str) -> Any:
        return (await self.client.data(f"query($id: ID!) {{ {noun}(id: $id) {{ {selection} }} }}", {"id": id}))[noun]

    async def _registered(self, name: str, email: str, *, known: bool = False) -> str:
        external = [{"source": "erp", "id": "zzyzx-4711"}] if known else []
        points = [{"kind": "EMAIL", "value": email}]
        given = {"kind": "PERSON", "name": name, "contactPoints": points, "externalIds": external}
        payload = await self.do("customerRegister", "customer { id }", **given)
        id: str = payload["customer"]["id"]
        return id

    async def _organisation(self, name: str) -> str:
        payload = await self.do("customerRegister", "customer { id }", kind="ORGANISATION", name=name)
        id: str = payload["customer"]["id"]
        return id

    async def _opened(self, noun: str, **given: Any) -> str:
        payload = await self.do(f"{noun}Open", f"{noun} {{ id }}", **given)
        id: str = payload[noun]["id"]
        return id


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("erasure")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def story(module_database: str, directory: Path) -> AsyncIterator[tuple[Story, dict[str, Any]]]:
    """The story, erased, and what was to be seen before."""
    async with serving(module_database, directory) as client:
        story = Story(client)
        await story.tell()
        before = {
            "rows": _text(module_database),
            "totals": await _totals(client),
            "customers": await _counted(client),
            "others": await story.read("customer", story.other, "name contactPoints { value }"),
        }
        with _another_process(module_database, directory) as parts:
            before["elsewhere"] = _seen_elsewhere(parts, _uuid(story.person))
            await story.erase(story.person)
            with anyio.fail_after(10):
                while _seen_elsewhere(parts, _uuid(story.person)) != (GONE, GONE):  # noqa: ASYNC110
                    await anyio.sleep(0.02)
        yield story, before


def _ids(id: str) -> list[dict[str, str]]:
    """What the help desk calls a deal or ticket."""
    return [{"source": "desk", "id": id}]


def _uuid(id: str) -> UUID:
    return parse_type_id(id)[1]


@contextmanager
def _another_process(database: str, directory: Path) -> Iterator[Parts]:
    """The parts of another process, which erases nothing itself."""
    with assembled(database, directory / "master.key") as parts:
        yield parts


def _seen_elsewhere(parts: Parts, person: UUID) -> tuple[Any, Any]:
    """The name as commands remember it, and as the first entry opens."""
    state = parts.daybook.fold(person).state
    assert isinstance(state, Customer)
    [first, *_] = parts.store.entries(0, 1, subject=person)
    return state.name, parts.mapper.recorded([first])[0].event.name


async def _totals(client: Client) -> Any:
    return await client.data("{ opportunityTotals { count amounts { amount currency } } ticketTotals { count } }")


async def _counted(client: Client, where: str = "") -> int:
    count: int = (await client.data(f"{{ customerTotals{where} {{ count }} }}"))["customerTotals"]["count"]
    return count


def _rows(database: str) -> dict[str, list[str]]:
    """The rows of all read models as text, former ones included."""
    tables = [name for model in models for name in names(model)]
    with psycopg.connect(database) as db:
        found = {name: db.execute(f"SELECT row::text FROM daybook_read.{name} AS row".encode()) for name in tables}
        return {name: sorted(row for (row,) in rows) for name, rows in found.items()}


def _text(database: str) -> str:
    return json.dumps(_rows(database), ensure_ascii=False)


async def test_the_values_were_there(story: tuple[Story, dict[str, Any]]) -> None:
    """Or nothing that follows would show anything."""
    _, before = story
    assert [value for value in PERSONAL if value not in before["rows"]] == []
    assert before["elsewhere"] == (NAME, NAME)


async def test_no_read_model_holds_anything_of_the_person(
    story: tuple[Story, dict[str, Any]], module_database: str
) -> None:
    rows = _text(module_database)
    assert [value for value in PERSONAL if value in rows or value.lower() in rows.lower()] == []
    assert OTHER in rows


async def test_the_rows_are_those_of_a_rebuild(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    scrubbed = _rows(module_database)
    assert any(rows for name, rows in scrubbed.items() if name.endswith("_past"))
    with _another_process(module_database, directory) as parts:
        for model in filter(may_hold_persons, models):
            rebuild(parts.conninfo, parts.mapper, model)
    assert _rows(module_database) == scrubbed


async def test_sums_and_everybody_else_stay_as_they_were(story: tuple[Story, dict[str, Any]]) -> None:
    told, before = story
    assert await _totals(told.client) == before["totals"]
    assert await told.read("customer", told.other, "name contactPoints { value }") == before["others"]
    assert (await told.read("ticket", told.others_ticket, "subject"))["subject"] == "Ypsilonfrage"


async def test_the_record_stays_and_says_what_became_of_it(story: tuple[Story, dict[str, Any]]) -> None:
    told, _ = story
    shown = await told.read("customer", told.person, "name status erasure employees tags history(first: 50) { nodes {"
        " type eventId causationId actor reason erased data } }")  # fmt: skip
    assert (shown["name"], shown["status"], shown["tags"], shown["employees"]) == (None, "ERASED", [], 3)
    by_type = {node["type"]: node for node in shown["history"]["nodes"]}
    assert by_type["CustomerRegistered"]["erased"]
    assert by_type["CustomerErasureApproved"]["data"] == {
        "ground": "person_asked",
        "askedBy": by_type["CustomerErasureRequested"]["actor"],
        "approvedBy": "administrator",
        "reason": None,
    }
    receipt = by_type["CustomerPersonalDataErased.2"]
    assert (receipt["actor"], receipt["causationId"]) == ("daybook", by_type["CustomerErasureApproved"]["eventId"])
    assert [one["type"] for one in shown["history"]["nodes"] if one["causationId"]] == [receipt["type"]]
    assert not receipt["erased"]
    why = 'query($id: ID!) { whyValue(id: $id, field: "erasure") { after entry { type causationId } } }'
    assert (await told.client.data(why, {"id": told.person}))["whyValue"] == {
        "after": "ERASED",
        "entry": {"type": receipt["type"], "causationId": receipt["causationId"]},
    }
    assert sorted(receipt["data"]["tickets"]) == sorted([told.ticket, told.passed_on, told.strayed])
    assert receipt["data"]["opportunities"] == [told.deal]
    # The ticket that was nobody's for a while has a key of its own, which is gone too.
    assert receipt["data"]["keys"] == 2
    deal = await told.read("opportunity", told.deal, "title amount { amount } notes(first: 1) { nodes { text } }")
    assert deal == {"title": None, "amount": {"amount": "1200.00"}, "notes": {"nodes": [{"text": None}]}}


async def test_the_entries_that_set_what_was_erased_are_told_still(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    told, _ = story
    with psycopg.connect(module_database) as db:
        book = db.execute("SELECT originator_id, topic, position FROM daybook.events ORDER BY position").fetchall()

    def stored(id: str, topic: str) -> str:
        """The last entry of this kind about the record."""
        return [str(position) for record, name, position in book if (record, name) == (_uuid(id), topic)][-1]

    asked = """query($id: ID!, $field: String!) {
        whyValue(id: $id, field: $field) { field before after beforeErased afterErased sure
            entry { position type actor reason occurredAt } }
        diff(id: $id, from: {position: "0"}) { field after afterErased entry { position } } }"""
    for id, field, topic, sure in (
        (told.person, "name", "CustomerRegistered", False),  # it may have been without a name
        (told.person, "legalName", "CustomerDetailsChanged", False),  # which details, is gone too
        (told.deal, "title", "OpportunityOpened", True),
        (told.deal, "source", "OpportunityOpened", False),
        (told.ticket, "subject", "TicketOpened", True),
        (told.strayed, "subject", "TicketOpened", True),
    ):
        answer = await told.client.data(asked, {"id": id, "field": field})
        why = answer["whyValue"]
        assert (why["field"], why["before"], why["after"], why["beforeErased"]) == (field, None, None, False)
        assert (why["afterErased"], why["sure"], why["entry"]["type"]) == (True, sure, topic)
        assert (why["entry"]["position"], why["entry"]["reason"]) == (stored(id, topic), None)
        assert why["entry"]["actor"] == "administrator"
        changed = {one["field"]: one for one in answer["diff"]}
        assert changed[field] == {
            "field": field,
            "after": None,
            "afterErased": True,
            "entry": {"position": stored(id, topic)},
        }
        assert changed["version"]["afterErased"] is False
        assert not [word for word in PERSONAL if word in json.dumps(answer, ensure_ascii=False)]
    # Elements that personal words named have no names any more: the list has changed, and by whom is known.
    for field, topic in (
        ("tags", "CustomerTagAdded"),
        ("tags[quastentag]", "CustomerTagAdded"),
        ("legalHolds", "CustomerLegalHoldLifted"),
        ("externalIds[erp/zzyzx-4711].id", "CustomerRegistered"),
        ("notes", "CustomerNoteAdded"),
    ):
        why = (await told.client.data(asked, {"id": told.person, "field": field}))["whyValue"]
        assert (why["field"], why["afterErased"]) == (field.partition("[")[0], True)
        assert (why["entry"]["type"], why["entry"]["position"]) == (topic, stored(told.person, topic))
    shell = Shell(module_database, directory)
    said = await anyio.to_thread.run_sync(shell.run, "why", told.deal, "title")
    assert said.stdout.splitlines()[:2] == ["title: erased", "    before: nothing"]
    assert f"entry {stored(told.deal, 'OpportunityOpened')}, OpportunityOpened of " in said.stdout
    assert "by administrator" in said.stdout
    said = await anyio.to_thread.run_sync(shell.run, "diff", told.person, "--from", "0")
    assert "    name: nothing → erased (perhaps)\n" in said.stdout
    assert "    employees: nothing → 3\n" in said.stdout


async def test_counts_of_customers_stay_as_they_were_where_the_erased_are_asked_for(
    story: tuple[Story, dict[str, Any]],
) -> None:
    """One who had been put away before, too: nobody counted that one, and nobody does now."""
    told, before = story
    as_before = "(where: {status: {in: [ACTIVE, ERASED]}, archivedAt: {isNull: true}})"
    assert await _counted(told.client) == before["customers"] - 1
    assert await _counted(told.client, as_before) == before["customers"]
    await told.erase(told.put_away)
    assert await _counted(told.client) == before["customers"] - 1
    assert await _counted(told.client, as_before) == before["customers"]
    assert await _counted(told.client, "(where: {status: {eq: ERASED}})") == 2


async def test_what_an_organisation_said_of_its_contact_is_gone(story: tuple[Story, dict[str, Any]]) -> None:
    """Of the person, and of nobody else; links that are there no longer included."""
    told, _ = story
    asked = "name contacts { role until person { id } } history(first: 9) { nodes { type subjectId erased data } }"
    for organisation, contacts in (
        (
            told.cellar,
            [(told.person, None, None), (told.person, None, "2021-01-01"), (told.other, "Ypsilonleiter", None)],
        ),
        (told.inn, []),
    ):
        shown = await told.read("customer", organisation, asked)
        assert shown["name"].startswith("Ypsilon")
        assert [(one["person"]["id"], one["role"], one["until"]) for one in shown["contacts"]] == contacts
        linked = [one for one in shown["history"]["nodes"] if one["type"] == "CustomerContactLinked"]
        assert {one["subjectId"] for one in linked} <= {told.person, told.other}
        assert all(one["subjectId"] == one["data"]["person"] for one in linked)
        assert all(one["erased"] == (one["subjectId"] == told.person) for one in linked)
    history = (await told.read("customer", told.person, "history(first: 90) { nodes { type data } }"))["history"]
    [receipt] = [one["data"] for one in history["nodes"] if one["type"] == PERSONAL_DATA_ERASED[-1]]
    assert sorted(receipt["organisations"]) == sorted([told.cellar, told.inn])


async def test_nothing_personal_can_be_entered_again(story: tuple[Story, dict[str, Any]]) -> None:
    told, _ = story
    client = told.client
    renamed = await client.mutate("customerRename", "userErrors { code }", id=told.person, name="Back again")
    assert renamed["userErrors"] == [{"code": "CUSTOMER_ERASED"}]
    contacts = (await told.read("customer", told.cellar, "contacts { id person { id } until }"))["contacts"]
    [link] = [one["id"] for one in contacts if (one["person"]["id"], one["until"]) == (told.person, None)]
    ended = {"id": told.cellar, "link": link, "until": "2022-02-02"}
    said = "userErrors { code path message parameters }"
    reasoned = await client.mutate("customerUnlinkContact", said, **ended, reason="Quirinus left")
    [error] = reasoned["userErrors"]
    assert (error["code"], error["path"], error["parameters"]) == (
        "SUBJECT_ERASED",
        ["reason"],
        {"subject": told.person},
    )
    assert error["message"].startswith(f"The personal data of {told.person} was erased: ")
    await told.do("customerUnlinkContact", **ended)
    noted = await client.mutate("ticketAddNote", "userErrors { code path }", id=told.ticket, text="It was Quirinus")
    assert noted["userErrors"] == [{"code": "SUBJECT_ERASED", "path": []}]
    opened = await client.mutate("ticketOpen", "userErrors { code }", channel="EMAIL", kind="QUESTION", subject="Hm",
        customer=told.person)  # fmt: skip
    assert opened["userErrors"] == [{"code": "CUSTOMER_NOT_ACTIVE"}]


async def test_what_the_person_held_is_free(story: tuple[Story, dict[str, Any]], module_database: str) -> None:
    told, _ = story
    with psycopg.connect(module_database) as db:
        held = db.execute("SELECT FROM daybook.reservations WHERE holder = %s", (_uuid(told.person),))
        assert held.rowcount == 0
    await told._registered("Somebody else", "qz@zzyzx.example", known=True)


async def test_deals_and_tickets_keep_their_external_ids(story: tuple[Story, dict[str, Any]]) -> None:
    """They name records of another system: shown, found by, and taken, also of what was another customer's by then."""
    told, _ = story
    opened = "history(first: 1) { nodes { erased data } } externalIds { source id }"
    for noun, id, name, erased in (
        ("ticket", told.ticket, "4711", True),
        ("ticket", told.passed_on, "4712", True),  # what was said of it while it was the person's
        ("opportunity", told.deal, "4711", True),
    ):
        shown = await told.read(noun, id, opened)
        [begun] = shown["history"]["nodes"]
        assert (shown["externalIds"], begun["data"]["externalIds"], begun["erased"]) == (_ids(name), _ids(name), erased)
        found = await told.client.data(f'{{ {noun}ByExternalId(source: "desk", id: "{name}") {{ id }} }}')
        assert found[f"{noun}ByExternalId"] == {"id": id}
    for name in ("4711", "4712"):
        ticket = {"channel": "EMAIL", "kind": "QUESTION", "subject": "Hm", "externalIds": _ids(name)}
        another = await told.client.mutate("ticketOpen", "userErrors { code }", **ticket)
        assert another["userErrors"] == [{"code": "TICKET_EXTERNAL_ID_TAKEN"}]


async def test_what_is_reserved_is_what_records_claim(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    with _another_process(module_database, directory) as parts, psycopg.connect(module_database) as db:
        held_is_what_is_claimed(db, parts, parts.mapper.recorded(parts.store.entries(0, 1000)))


async def test_the_log_still_proves_the_book(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    login = logins(module_database).posting
    key: Signer = signing_key(directory / "signing.key", begun=True)
    with psycopg.connect(login, autocommit=True) as one, psycopg.connect(login, autocommit=True) as other:
        Growth(key).catch_up(one)
        verdict = verify(one, other, [key.verifier], [])
    assert verdict.holds
    assert verdict.covered == verdict.entries


async def test_the_ledger_says_so_apart_from_the_database(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    told, _ = story
    file = directory / "erasures.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    [begun, done] = [one for one in lines if one["subject"] == str(_uuid(told.person))]  # others may be erased too
    with psycopg.connect(module_database) as db:
        gone = db.execute("SELECT subject FROM daybook_keys.subjects WHERE wrapped IS NULL").fetchall()
        receipts = "SELECT position FROM daybook.events WHERE topic = %s AND originator_id = %s"
        [(receipt,)] = db.execute(receipts, (PERSONAL_DATA_ERASED[-1], _uuid(told.person)))
    assert {_uuid(told.person), _uuid(told.strayed)} == {UUID(key) for key in begun["keys"]}
    assert {subject for (subject,) in gone} == {UUID(key) for one in lines for key in one.get("keys", ())}
    assert done["position"] == receipt
    assert Ledger(file).erased()[_uuid(told.person)] == {UUID(key) for key in begun["keys"]}


async def test_rows_that_were_not_posted_anew_yet_are_no_alarm(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    told, _ = story
    person = await told._registered("Ephemera", "ephemera@example.com")
    record = ("customers", person)
    with (
        _another_process(module_database, directory) as parts,
        psycopg.connect(module_database) as leader,
        psycopg.connect(parts.logins.posting, autocommit=True) as db,
    ):
        attestation = Attestation(parts.mapper, models)
        assert attestation.look(db, [record]).records == [record]
        leader.execute("SELECT FROM daybook_projections.lease FOR UPDATE")  # nothing is posted meanwhile
        _erase(parts, person)
        looked = attestation.look(db, [record])
        assert (looked.records, looked.mismatches) == ([], [])
    await told.erased(person)


async def test_a_key_that_is_destroyed_in_the_midst_of_a_look_is_no_alarm(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot has rows from before it, and what is opened then opens no more."""
    told, _ = story
    person = await told._registered("Midas", "midas@example.com")
    others = [("customers", told.other)]
    with (
        _another_process(module_database, directory) as deciding,
        _another_process(module_database, directory) as parts,
        psycopg.connect(parts.logins.posting, autocommit=True) as db,
    ):
        fold = Attestation._fold

        def folded(*arguments: Any) -> int:
            _erase(deciding, person)
            return fold(*arguments)

        monkeypatch.setattr(Attestation, "_fold", folded)
        looked = Attestation(parts.mapper, models).look(db, [("customers", person), *others])
    assert (looked.records, looked.mismatches) == (others, [])
    await told.erased(person)


def _erase(parts: Parts, person: str) -> None:
    """Returns once the receipt is in the book; the server carries it out in a thread."""
    for actor, verb, more in (
        ("user:1", "requestErasure", {"ground": "person_asked"}),
        ("user:2", "erasePersonalData", {}),
    ):
        raw = {"id": person, "reason": "Asked for", **more}
        context = Context(actor=actor, idempotency_key=uuid4(), correlation_id=uuid4())
        blocking(parts.commands.submit(customer, verb, raw, context, unlimited(actor)))
    until(lambda: parts.store.entries(0, 1, names=PERSONAL_DATA_ERASED, subject=_uuid(person)))


async def test_what_an_organisation_said_under_its_own_key_is_shown_no_more(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    """As entries do that are older than the rule: the contact takes along what can be read of them."""
    told, _ = story
    person, office = await told._registered("Anselm Alt", "alt@example.com"), await told._organisation("Ypsilon office")
    with _another_process(module_database, directory) as parts:
        link = CustomerContactLinked(link=uuid4(), person=_uuid(person), role="Altgeselle", since=None, until=None)
        context = Context(actor="user:1", idempotency_key=uuid4(), correlation_id=uuid4())
        record = _uuid(office)
        draft = Draft(originator_id=record, originator_version=2, subject=record, event=link, context=context)
        parts.store.insert_events([parts.mapper.to_stored_event(cast("Any", draft))])
        said = {"contacts": [{"role": "Altgeselle"}]}
        with anyio.fail_after(10):
            while await told.read("customer", office, "contacts { role }") != said:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        assert "Altgeselle" in _text(module_database)
        _erase(parts, person)
        await told.erased(person)
        assert "Altgeselle" not in _text(module_database)
        shown = await told.read("customer", office, "name contacts { role } history(first: 9) { nodes { erased } }")
        assert shown == {
            "name": "Ypsilon office",
            "contacts": [{"role": None}],
            "history": {"nodes": [{"erased": False}, {"erased": True}]},
        }
        entries = parts.store.entries(0, 9, names=["CustomerContactLinked"], subject=_uuid(office))
        until(lambda: [one.event.role for one in parts.mapper.recorded(entries)] == [GONE])
        assert parts.vault.event_keys(entries) == [GONE]
        rebuild(parts.conninfo, parts.mapper, customers)
        assert "Altgeselle" not in _text(module_database)
    with psycopg.connect(module_database) as db:
        assert sealed_by_others(db) == 1
    status = await anyio.to_thread.run_sync(Shell(module_database, directory).run, "erasure", "status", "--json")
    assert json.loads(status.stdout)["underOtherKeys"] == 1


async def test_a_ledger_that_lacks_who_was_erased_is_told_of(
    story: tuple[Story, dict[str, Any]], module_database: str, directory: Path
) -> None:
    """A backup would bring them back, and nothing else would say so before."""
    shell = Shell(module_database, directory)

    def said() -> tuple[int, int]:
        status = json.loads(shell.run("erasure", "status", "--json").stdout)
        return status["erased"], status["notInLedger"]

    erased, lost = await anyio.to_thread.run_sync(said)
    assert (erased > 0, lost) == (True, 0)
    shell.environment["DAYBOOK_ERASURE_LEDGER"] = str(directory / "another.jsonl")
    assert await anyio.to_thread.run_sync(said) == (0, erased)


async def test_a_destroyed_key_stays_destroyed(story: tuple[Story, dict[str, Any]], module_database: str) -> None:
    """Whoever owns the tables can't put it back by mistake."""
    with psycopg.connect(module_database) as db, pytest.raises(psycopg.errors.RaiseException, match="stays destroyed"):
        db.execute("UPDATE daybook_keys.subjects SET wrapped = 'x' WHERE wrapped IS NULL")
