"""Entries that this version can't read, after a rollback say: the others are told, and which one is not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest

from api.beginning import ADMINISTRATOR, administrators_email, define_roles, register_administrator
from api.importing.importer import Import
from api.importing.mapping import KINDS, read_mapping
from api.importing.outcomes import Summary
from domain.access import Authority, unlimited
from domain.company import company
from domain.customer import Customer
from domain.customer import customer as customers
from domain.encoding import AnyDecider
from domain.kernel import Refused, new_id, parse_type_id, type_id
from domain.kernel.permissions import Permission, Scope
from domain.kernel.recorded import Context, Receipt
from domain.ready_roles import READY
from domain.staff_member import staff_member
from domain.steps import blocking
from infra.log.note import Signer
from tests.api.book import Client, serving
from tests.api.filled import opened
from tests.api.test_command_line import FAILED, OK, Shell
from tests.infra.log.superuser import add_unreadable, run
from verifier.daybook_verify_bundle import verify

NEWER = "CustomerMoodNoted"
"""An event of a version to come."""
NOTE = "Prefers letters"
MAPPING = """
kind = "customers"
external_id = "id"
[[step]]
do = "register"
fields = { kind = { constant = "person" }, name = "name" }
"""
UNMASK = """
mutation ($input: CustomerUnmaskInput!, $at: Position) {
  customerUnmask(input: $input) {
    auditBundle(atPosition: $at) { file position }
    customer { name }
    position
    userErrors { code message path parameters }
  }
}
"""


def spoil(database: str, position: int, how: str) -> None:
    """Let an entry be one that a newer version wrote: of another name, or with other fields."""
    with psycopg.connect(database, autocommit=True) as db:
        run(db, "ALTER TABLE daybook.events DISABLE TRIGGER USER")
        run(db, f"UPDATE daybook.events SET {how} WHERE position = {position}")
        run(db, "ALTER TABLE daybook.events ENABLE TRIGGER USER")


class Spoilt(NamedTuple):
    """A customer with an entry in the middle that can't be read."""

    how: str
    database: str
    shell: Shell
    id: UUID
    position: int
    event: str
    vkey: str

    @property
    def name(self) -> str:
        return type_id("cus", self.id)

    @property
    def said(self) -> str:
        return f"Entry {self.position}, {self.event}, can't be read by this version of Daybook. If a newer version"


HOW = {
    "name": (NEWER, f"topic = '{NEWER}'"),
    "fields": ("CustomerNoteAdded", 'state = \'{"mood": "good"}\''),
    "bytes": ("CustomerNoteAdded", "state = '\\xff'"),
}


@pytest.fixture(scope="module")
def books(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Spoilt]:
    folder = tmp_path_factory.mktemp("office")
    shell, made = Shell(module_database, folder), dict[str, tuple[UUID, int]]()
    with opened(module_database, folder) as parts:

        def do(verb: str, **raw: object) -> Any:
            context = Context(actor="tester", idempotency_key=uuid4(), correlation_id=uuid4())
            return blocking(parts.commands.submit(customers, verb, raw, context, unlimited("tester")))

        for how in HOW:
            id = do("register", kind="person", name="Ada", external_ids=[{"source": "old", "id": how}]).id
            position = do("addNote", id=id, text=NOTE).position
            do("rename", id=id, name="Ada Byron")
            made[how] = id, position
    for how, (_, position) in made.items():
        spoil(module_database, position, HOW[how][1])
    vkey = shell.run("checkpoint", "--key").stdout.strip()
    return {how: Spoilt(how, module_database, shell, *made[how], HOW[how][0], vkey) for how in HOW}


@pytest.fixture(params=HOW)
def at(books: dict[str, Spoilt], request: pytest.FixtureRequest) -> Spoilt:
    return books[request.param]


def test_what_every_command_and_every_start_looks_at_keeps_nothing_shut(database: str, tmp_path: Path) -> None:
    """The company, for telephone numbers, and the administrator, to say how they sign in."""
    with opened(database, tmp_path) as parts:

        def do(of: AnyDecider, verb: str, **raw: object) -> Receipt:
            context = Context(actor="tester", idempotency_key=uuid4(), correlation_id=uuid4(), reason="A new address")
            return blocking(parts.commands.submit(of, verb, raw, context, unlimited("tester")))

        define_roles(parts, READY)
        register_administrator(parts, "rosa@acme.example")
        moved = do(staff_member, "changeEmail", id=ADMINISTRATOR, email="max@acme.example")
        do(company, "define", name="We", time_zone="Europe/Zurich", currency="EUR", language="de", phone_region="CH",
            fiscal_year_start=1)  # fmt: skip
        named = do(company, "changeSettings", name="Us")
    spoil(database, moved.position, "topic = 'StaffMemberMoodNoted'")
    spoil(database, named.position, "topic = 'CompanyMoodNoted'")
    with opened(database, tmp_path) as parts:  # which remembers nothing from before
        assert administrators_email(parts) is None
        phone = {"kind": "phone", "value": "+41 44 668 18 00"}
        ada = do(customers, "register", kind="person", name="Ada", contact_points=[phone]).id
        [point] = cast("Customer", parts.daybook.fold(ada).state).contact_points.values()
        assert point.normalised == "+41446681800"
        with pytest.raises(Refused) as refused:
            do(company, "changeSettings", name="Them")
        assert [rule.code for rule in refused.value.broken] == ["RECORD_UNREADABLE"]


def test_replay_tells_all_others_and_says_which_one_is_not_told(at: Spoilt) -> None:
    done = at.shell.run("replay", at.name, "--json")
    assert done.returncode == OK
    assert done.stderr.startswith(at.said)
    story = json.loads(done.stdout)
    assert [(one["version"], one["event"], one["read"]) for one in story] == [
        (1, "CustomerRegistered", True),
        (2, at.event, False),
        (3, "CustomerRenamed", True),
    ]
    assert (story[1]["actor"], story[1]["record"], story[1]["values"]) == ("tester", at.name, {})
    assert at.said in story[1]["words"]

    text = at.shell.run("replay", f"old:{at.how}", "--all")
    assert (text.returncode, at.said in text.stdout, NOTE in text.stdout) == (OK, True, False)
    page = at.shell.folder / "story.html"
    assert at.shell.run("replay", at.name, "--html", str(page)).returncode == OK
    assert f"Entry {at.position}, {at.event}" in page.read_text()
    assert "Byron" in page.read_text()


def test_diff_and_why_end_before_it_and_say_so(books: dict[str, Spoilt]) -> None:
    at = books["name"]
    why = at.shell.run("why", at.name, "name")
    assert (why.returncode, why.stdout.splitlines()[0]) == (OK, "name: 'Ada'")
    assert why.stderr.startswith(at.said)
    assert why.stderr.endswith("What is told ends before it.\n")
    diff = at.shell.run("diff", at.name, "--from", "0", "--json")
    assert (diff.returncode, diff.stderr) == (OK, why.stderr)
    assert max(one["entry"]["position"] for one in json.loads(diff.stdout)) < at.position


def test_a_bundle_proves_it_though_it_does_not_tell_it(at: Spoilt) -> None:
    file = at.shell.folder / "one.bundle.json"
    done = at.shell.run("bundle", at.name, "-o", str(file))
    assert done.returncode == OK, done
    assert at.said in done.stderr
    verdict = verify(file.read_bytes(), at.vkey)
    assert (verdict.entries, verdict.opened, verdict.sealed) == (3, 0, 3)
    assert verdict.untold == [f"entry {at.position}, {at.event}"]
    header, by, personal = verdict.story[1].split("\n")
    assert header.endswith(f", {at.event}: not told, for the Daybook that made this file can't read it")
    assert by.endswith(f"as entry {at.position}")
    assert personal == "   its personal part is sealed"

    refused = at.shell.run("bundle", at.name, "-o", str(file), "--reason", "Audit")
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (FAILED, "", 1)
    assert f"Entry {at.position}, {at.event}, of this record" in refused.stderr
    copied = at.shell.run("export-personal", at.name, "-o", str(at.shell.folder / "copy.json"), "--reason", "Asked")
    assert (copied.returncode, copied.stdout, len(copied.stderr.splitlines())) == (FAILED, "", 1)
    assert f"Entry {at.position}, {at.event}, of this record" in copied.stderr


def test_nothing_is_decided_on_it_and_who_does_not_see_it_is_not_told(at: Spoilt) -> None:
    rep = Authority(actor="user:rep", staff_member=new_id(), grants=dict.fromkeys(Permission, Scope.OWN))
    with opened(at.database, at.shell.folder) as parts:
        head = parts.store.max_notification_id()
        for who, code in ((unlimited("tester"), "RECORD_UNREADABLE"), (rep, "UNKNOWN_ID")):
            for verb, raw in (("rename", {"name": "Grace"}), ("unmask", {"reason": "Audit"})):
                context = Context(actor=who.actor, idempotency_key=uuid4(), correlation_id=uuid4())
                with pytest.raises(Refused) as refused:
                    blocking(parts.commands.submit(customers, verb, {"id": at.id, **raw}, context, who))
                assert [rule.code for rule in refused.value.broken] == [code]
        assert parts.store.max_notification_id() == head


def test_an_import_rejects_the_row_and_enters_the_others(at: Spoilt, tmp_path: Path) -> None:
    rows, rejected = tmp_path / "rows.csv", tmp_path / "rejected.csv"
    (tmp_path / "map.toml").write_text(MAPPING)

    def imported(text: str) -> Summary:
        rows.write_text(text)
        with opened(at.database, at.shell.folder) as parts:
            importing = Import(parts, read_mapping(tmp_path / "map.toml", KINDS["customers"]), f"erp-{at.how}")
            return importing.run(importing.open(rows), rejected, lambda _: None)

    assert imported("id,name\n1,Ada\n").created == 1
    with psycopg.connect(at.database) as db:
        [(position,)] = db.execute("SELECT max(position) FROM daybook.events").fetchall()
    spoil(at.database, position, HOW[at.how][1])
    found = imported("id,name\n1,Ada Byron\n2,Grace\n")
    assert (found.created, found.rejected) == (1, 1)
    assert f"Entry {position}, " in rejected.read_text()


class Office(NamedTuple):
    client: Client
    customer: str
    vkey: str

    async def unmasked(self, **given: Any) -> Any:
        """What the mutation comes to, once a checkpoint is over the position that it names."""
        at = given.pop("at", None)
        given = {"id": self.customer, "reason": "Audit", "idempotencyKey": str(uuid4()), **given}
        with anyio.fail_after(30):
            while True:
                answer = (await self.client.post(UNMASK, {"input": given, "at": at})).json()
                if "errors" not in answer:
                    return answer["data"]["customerUnmask"]
                assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", answer
                await anyio.sleep(0.1)


@asynccontextmanager
async def office(database: str, folder: Path) -> AsyncIterator[Office]:
    async with serving(database, folder) as client:
        named = {"kind": "PERSON", "name": "Ada"}
        customer = (await client.mutate("customerRegister", "customer { id }", **named))["customer"]["id"]
        yield Office(client, customer, str(Signer.read((folder / "signing.key").read_text().strip()).verifier))


@pytest.mark.anyio
async def test_who_may_unmask_is_told_why_not_and_what_was_unmasked_before_stays_proven(
    database: str, tmp_path: Path
) -> None:
    async with office(database, tmp_path) as at:
        key = str(uuid4())
        assert (await at.unmasked(idempotencyKey=key))["userErrors"] == []
        with psycopg.connect(database, autocommit=True) as db:
            position = str(add_unreadable(db, parse_type_id(at.customer)[1]))
        await at.client.data("{ position }", Daybook_At_Least=position)

        refused = await at.unmasked()
        assert (refused["auditBundle"], refused["customer"], refused["position"]) == (None, None, None)
        [error] = refused["userErrors"]
        assert (error["code"], error["path"]) == ("RECORD_UNREADABLE", [])
        assert error["parameters"] == {"event": "NobodyKnows", "position": int(position)}
        assert error["message"].startswith(f"Entry {position}, NobodyKnows, ")

        # The same command again has its receipt, and the bundle proves what it can't tell.
        again = await at.unmasked(idempotencyKey=key, at=position)
        verdict = verify(again["auditBundle"]["file"].encode(), at.vkey)
        assert (verdict.entries, verdict.opened) == (3, 2)
        assert verdict.untold == [f"entry {position}, NobodyKnows"]
        assert again["customer"] == {"name": "Ada"}

        past = "query P($id: ID!, $at: Moment!) { asOf(at: $at) { customer(id: $id) { name version } } }"
        then = await at.client.data(past, {"id": at.customer, "at": {"position": position}})
        assert then["asOf"]["customer"] == {"name": "Ada", "version": 2}


@pytest.mark.anyio
async def test_what_a_newer_version_has_posted_is_not_told_by_this_one(database: str, tmp_path: Path) -> None:
    """No lane is parked then."""
    async with office(database, tmp_path) as at:
        renamed = await at.client.mutate("customerRename", "position", id=at.customer, name="Ada Byron")
        about = {"customer": at.customer, "subject": "Where is it?", "channel": "EMAIL"}
        ticket = await at.client.mutate("ticketOpen", "position userErrors { message }", **about)
        spoil(database, int(ticket["position"]), f"topic = '{NEWER}'")
        export = "mutation E($input: CustomerExportPersonalDataInput!) { customerExportPersonalData(input: $input)"
        given = {"id": at.customer, "reason": "She asked", "idempotencyKey": str(uuid4())}
        answer = (await at.client.post(f"{export} {{ personalData position }} }}", {"input": given})).json()
        [error] = answer["errors"]
        assert error["extensions"]["code"] == "RECORD_UNREADABLE"
        assert error["message"].startswith(f"Entry {ticket['position']}, {NEWER}, can't be read")

        spoil(database, int(renamed["position"]), f"topic = '{NEWER}'")
        why = 'query W($id: ID!) { whyValue(id: $id, field: "name") { after } diff(id: $id, from: {position: "0"})'
        told = await at.client.data(f"{why} {{ field after }} }}", {"id": at.customer})
        assert told["whyValue"] == {"after": "Ada"}
        assert {"field": "name", "after": "Ada"} in told["diff"]
