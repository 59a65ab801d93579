"""What a person is given of all that the book holds about them: everything, and nothing of anybody else's."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pytest

from api.beginning import define_roles
from api.composition import Parts
from api.personal_data import PersonalData, personal_data
from domain.access import unlimited
from domain.catalogue import camel, catalogue
from domain.kernel import parse_type_id, type_id
from domain.kernel.recorded import Context, Recorded
from domain.ready_roles import READY
from domain.steps import blocking
from tests.api.filled import opened
from tests.api.identity.signing_in import signed_in
from tests.api.listening import PATIENCE, listening, until
from tests.api.test_command_line import FAILED, OK, USAGE, Shell
from tests.docs.blocks import ROOT
from tests.projections.fold_oracle import PREFIXES
from tests.toy import asking

EXPORT = """
mutation ($input: CustomerExportPersonalDataInput!) {
  customerExportPersonalData(input: $input) { personalData customer { name } position userErrors { code path } }
}
"""
HERS, OTHERS = "ADA", "BOB"
"""Stand in every personal value that was entered about the one who asks, and about anybody else."""
SCHEMA = ROOT / "docs" / "operator" / "personal-data.schema.json"


class Asked(NamedTuple):
    """The book, the one who asks, and what she was given."""

    database: str
    folder: Path
    ada: str
    through_graphql: dict[str, Any]
    of_the_mill: PersonalData
    """What is there about the organisation that she works for."""
    entries: list[Recorded[Any]]
    refused: list[dict[str, Any]]


def enter(parts: Parts) -> tuple[str, str]:
    """A person, another one, an organisation that both work for, their tickets and deals.

    Gives the ids of person and organisation.
    """

    def do(kind: str, verb: str, /, reason: str | None = None, **given: Any) -> str:
        decider, key = catalogue.deciders[kind], uuid4()
        context = Context(actor="rosa", idempotency_key=key, correlation_id=key, reason=reason)
        receipt = blocking(parts.commands.submit(decider, verb, given, context, unlimited("rosa")))
        return type_id(PREFIXES[kind], receipt.id)

    email = {"kind": "email", "value": "ADA-1@example.com", "label": "ADA-2"}
    outside = {"source": "old", "id": "ADA-3"}
    ada = do("customer", "register", kind="person", name="ADA-4", contact_points=[email], external_ids=[outside])
    bob = do("customer", "register", kind="person", name="BOB-1")
    mill = do("customer", "register", kind="organisation", name="Mill")
    do("customer", "rename", id=ada, name="ADA-5", reason="ADA-6 has married")
    details = {"salutation": "ADA-7", "job_title": "ADA-8", "birthday": "1915-12-10", "description": "ADA-9"}
    revenue = {"annual_revenue": "4711", "revenue_currency": "EUR"}
    do("customer", "changeDetails", id=ada, **details, **revenue)
    do("customer", "changeDetails", id=ada, salutation="ADA-10")
    point = {"kind": "email", "value": "ADA-11@example.com", "primary": True}
    do("customer", "addContactPoint", id=ada, contact_point=point)
    for each, who in ((ada, HERS), (bob, OTHERS)):
        do("customer", "addTag", id=each, tag=f"{who}-12")
        do("customer", "addNote", id=each, text=f"{who}-13 likes tea")
        do("customer", "addExternalId", id=each, source="old", external_id=f"{who}-14")
        do("customer", "linkContact", id=mill, person=each, role=f"{who}-15")
        consent = {"purpose": "newsletter", "channel": "email", "proof": f"{who}-16 signed"}
        do("customer", "grantConsent", id=each, basis="consent", text_version="2", **consent)
    do("customer", "classify", id=ada, scheme="Taste", value="Sweet")
    do("customer", "withdrawConsent", id=ada, purpose="newsletter", channel="email", proof="ADA-17 called")
    looked = {"id": ada, "reason": "ADA-18 complained"}
    blocking(parts.commands.submit(catalogue.deciders["customer"], "unmask", looked, asking(), unlimited("rosa")))

    hers = do("ticket", "open", customer=ada, channel="email", subject="ADA-19", text="ADA-20 writes")
    do("ticket", "reply", id=hers, text="Dear ADA-21")
    do("ticket", "addNote", id=hers, text="ADA-22 is cross", reason="ADA-23 said so")
    do("ticket", "changeSubject", id=hers, subject="ADA-24")
    unknown = do("ticket", "open", channel="email", subject="ADA-25", text="ADA-26 without a name")
    do("ticket", "assignCustomer", id=unknown, customer=ada)
    mixed_up = do("ticket", "open", customer=bob, channel="email", subject="BOB-17", text="BOB-18 writes")
    do("ticket", "assignCustomer", id=mixed_up, customer=ada)
    do("ticket", "receiveReply", id=mixed_up, text="ADA-27: this is mine")
    do("ticket", "changeSubject", id=mixed_up, subject="ADA-28")
    do("ticket", "open", channel="email", subject="BOB-19", text="BOB-20 without a name")

    pipeline = do("pipeline", "define", name="Sales", stages=[{"name": "New", "probability": "10"}])
    for each, who in ((ada, HERS), (bob, OTHERS)):
        deal = do("opportunity", "open", title=f"{who}-29", pipeline=pipeline, customer=each)
        do("opportunity", "addNote", id=deal, text=f"{who}-30 wavers")
        lost = {"id": deal, "reason": "price", "note": f"{who}-31 is gone"}
        blocking(parts.commands.submit(catalogue.deciders["opportunity"], "lose", lost, asking(), unlimited("rosa")))
    return ada, mill


@pytest.fixture(scope="module")
def asked(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("personal")
    with opened(module_database, folder) as parts:
        define_roles(parts, READY)
        ada, mill = enter(parts)
    with listening(module_database, folder) as server:

        def known() -> dict[str, str]:
            found = server.post("{ roles(first: 20) { nodes { id name } } }")["roles"]["nodes"]
            return {one["name"]: one["id"] for one in found}

        until(lambda: len(known()) == len(READY))  # they were defined while nobody posted
        roles, people = known(), dict[str, str]()
        for role in ("Auditor", "Marketing"):
            staff = server.mutate("staffMemberRegister", "staffMember { id }", name=role, email=f"{role}@acme.example")
            people[role] = staff["staffMember"]["id"]
            server.mutate("staffMemberGrantRole", id=people[role], role=roles[role])

        def export(http: httpx.Client, **given: Any) -> dict[str, Any]:
            sent = {"id": ada, "idempotencyKey": str(uuid4()), "reason": "ADA-32 asked on Monday"} | given
            answer = http.post("/graphql", json={"query": EXPORT, "variables": {"input": sent}}, timeout=PATIENCE)
            payload: dict[str, Any] = answer.json()["data"]["customerExportPersonalData"]
            return payload

        with (
            signed_in(server, people["Auditor"], "Auditor@acme.example") as auditor,
            signed_in(server, people["Marketing"], "Marketing@acme.example") as marketing,
        ):
            refused = [export(marketing), export(auditor, reason=" ")]
            poor = server.token("READ_CUSTOMERS", "UNMASK_PERSONAL_DATA")
            with httpx.Client(base_url=server.origin, headers=poor) as without_amounts:
                refused.append(export(without_amounts))
            key = str(uuid4())
            given = export(auditor, idempotencyKey=key)
            assert export(auditor, idempotencyKey=key) == given, "the same again, under one entry"
    with opened(module_database, folder) as parts:
        entries = parts.mapper.recorded(parts.store.entries(0, 1000))
        of_the_mill = personal_data(parts.pool, parts.mapper, parts.daybook, parse_type_id(mill)[1])
    return Asked(module_database, folder, ada, given, of_the_mill, entries, refused)


def texts_in(value: object) -> Iterator[str]:
    """Every text anywhere in it."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, one in cast("Mapping[object, object]", value).items():
                yield str(key)
                yield from texts_in(one)
        case list() | tuple():
            for one in cast("list[object]", value):
                yield from texts_in(one)
        case msgspec.Struct():
            for one in msgspec.structs.astuple(value):
                yield from texts_in(one)
        case _:
            pass


def personal_texts(entries: list[Recorded[Any]]) -> Iterator[tuple[Recorded[Any], str, str]]:
    """By a plain walk over the book: each text in a field that the pinned catalogue calls personal, and each reason."""
    pinned = json.loads((ROOT / "domain" / "events.json").read_text())
    for entry in entries:
        for field in pinned[entry.name]["personal"]:
            for text in texts_in(getattr(entry.event, field)):
                yield entry, field, text
        if entry.reason is not None:
            yield entry, "reason", entry.reason


def test_every_value_of_the_person_is_there_with_its_source_and_nobody_elses(asked: Asked) -> None:
    given = asked.through_graphql["personalData"]
    by_position = {one["position"]: one for one in given["entries"]}
    looked_for = 0
    for entry, field, text in personal_texts(asked.entries):
        if HERS not in text or (field, entry.name) == ("old", "TicketSubjectChanged"):
            continue
        looked_for += 1
        there = by_position[str(entry.position)]
        said = there["reason"] if field == "reason" and entry.reason == text else there["values"][camel(field)]
        assert text in [*texts_in(said)], (entry, field)
        record = type_id(PREFIXES[entry.kind], entry.originator_id)
        assert (there["event"], there["record"], there["by"]) == (entry.name, record, entry.actor)
        assert there["occurredAt"] == entry.occurred_at.isoformat().replace("+00:00", "Z")
    assert looked_for == 34
    everything = json.dumps(given)
    assert [f"{HERS}-{n}" for n in range(1, 33) if f"{HERS}-{n}" not in everything] == []
    assert OTHERS not in everything


def test_who_works_for_an_organisation_is_not_the_organisations(asked: Asked) -> None:
    assert asked.of_the_mill.name == "Mill"
    given = msgspec.json.encode(asked.of_the_mill).decode()
    assert [who for who in (HERS, OTHERS) if who in given] == []


def test_what_holds_now_is_told_in_order(asked: Asked) -> None:
    given = asked.through_graphql["personalData"]
    assert (given["format"], given["customer"], given["name"]) == ("daybook-personal-data-1", asked.ada, "ADA-5")
    assert given["details"] == {
        "salutation": "ADA-10", "jobTitle": "ADA-8", "birthday": "1915-12-10", "description": "ADA-9",
        "annualRevenue": "4711.00", "revenueCurrency": "EUR",
    }  # fmt: skip
    assert [(one["value"], one["primary"]) for one in given["contactPoints"]] == [
        ("ADA-1@example.com", False),
        ("ADA-11@example.com", True),
    ]
    assert (given["tags"], given["classes"]) == (["ADA-12"], [{"of": "Taste", "value": "Sweet"}])
    assert [one["value"] for one in given["externalIds"]] == ["ADA-14", "ADA-3"]
    assert [one["text"] for one in given["notes"]] == ["ADA-13 likes tea"]
    assert [(one["role"], one["organisation"][:4]) for one in given["roles"]] == [("ADA-15", "cus_")]
    said = [[one["title"], *(text["text"] for text in one["texts"])] for one in given["tickets"]]
    assert said == [
        ["ADA-24", "ADA-20 writes", "Dear ADA-21", "ADA-22 is cross"],
        ["ADA-25", "ADA-26 without a name"],
        ["ADA-28", "ADA-27: this is mine"],
    ]
    said = [[one["title"], *(text["text"] for text in one["texts"])] for one in given["opportunities"]]
    assert said == [["ADA-29", "ADA-30 wavers", "ADA-31 is gone"]]


def test_the_history_of_consents_says_on_which_basis(asked: Asked) -> None:
    told = [
        (one["state"], one["basis"], one["textVersion"], one["proof"])
        for one in asked.through_graphql["personalData"]["consents"]
    ]
    assert told == [("granted", "consent", "2", "ADA-16 signed"), ("withdrawn", "consent", "2", "ADA-17 called")]


def test_who_saw_it_is_told_this_copy_included(asked: Asked) -> None:
    disclosures = asked.through_graphql["personalData"]["disclosures"]
    assert [(one["reason"], one["copied"]) for one in disclosures] == [
        ("ADA-18 complained", False),
        ("ADA-32 asked on Monday", True),
    ]
    assert disclosures[1]["by"].startswith("user:stf_")
    assert disclosures[1]["position"] == asked.through_graphql["position"]


def test_it_takes_the_permission_and_a_reason(asked: Asked) -> None:
    marketing, without_reason, without_amounts = asked.refused
    assert (marketing["personalData"], marketing["userErrors"][0]["code"]) == (None, "NOT_ALLOWED")
    assert (without_reason["personalData"], without_reason["userErrors"]) == (
        None,
        [{"code": "TEXT_EMPTY", "path": ["reason"]}],
    )
    # Revenues stand in it, and it is not to lack anything.
    assert (without_amounts["personalData"], without_amounts["userErrors"][0]["code"]) == (None, "NOT_ALLOWED")
    exported = [one for one in asked.entries if one.name == "CustomerPersonalDataExported"]
    assert len(exported) == 1


def test_the_command_writes_the_same_into_a_file_for_its_owner_alone(asked: Asked, tmp_path: Path) -> None:
    shell, file = Shell(asked.database, asked.folder), tmp_path / "copy.json"
    arguments = ("export-personal", asked.ada, "-o", str(file), "--reason", "ADA-33 asked on Tuesday")
    done = shell.run(*arguments)
    assert (done.returncode, done.stdout) == (OK, "")
    assert file.stat().st_mode & 0o777 == 0o600
    given, before = json.loads(file.read_text()), asked.through_graphql["personalData"]
    assert [one["reason"] for one in given["disclosures"][2:]] == ["ADA-33 asked on Tuesday"]
    for added in ("disclosures", "entries"):
        given[added].pop()
    assert given | {"position": ""} == before | {"position": ""}

    with psycopg.connect(asked.database) as db:
        entered = db.execute("SELECT max(position) FROM daybook.events").fetchone()
    again = shell.run(*arguments)
    assert (again.returncode, "there already" in again.stderr) == (USAGE, True)
    for nowhere in (tmp_path, tmp_path / "missing" / "copy.json"):
        refused = shell.run(*arguments[:2], "-o", str(nowhere), "--reason", "ADA-33 asked on Tuesday")
        assert (refused.returncode, "can't be written" in refused.stderr) == (USAGE, True)
    with psycopg.connect(asked.database) as db:
        last = db.execute("SELECT max(position) FROM daybook.events").fetchone()
    assert last == entered, "of a copy that was not made, the book says nothing"
    nobody = shell.run("export-personal", "old:none", "-o", str(tmp_path / "other.json"), "--reason", "x")
    assert (nobody.returncode, "Nothing in the book is called" in nobody.stderr) == (FAILED, True)
    assert not (tmp_path / "other.json").exists()


def test_the_published_schema_is_the_one_of_the_code() -> None:
    schema = msgspec.json.schema(PersonalData, ref_template="#/$defs/{name}")
    assert json.loads(SCHEMA.read_text()) == schema
