"""Entries that somebody with the rights of a superuser has altered: they do not open, and keep nothing else shut."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from uuid import UUID, uuid4

import psycopg
import pytest

from api.auditing.bundle import Bundles
from api.composition import Parts
from api.errors import RequestErrorCode, explained
from api.importing.importer import Import
from api.importing.mapping import KINDS, read_mapping
from api.personal_data import personal_data
from api.replay import replay
from domain.access import Authority, unlimited
from domain.company import company as companies
from domain.customer import PERSONAL_DATA_ERASED
from domain.customer import customer as customers
from domain.encoding import AnyDecider, SealBroken
from domain.kernel import Refused, new_id, type_id
from domain.kernel.permissions import Permission, Scope
from domain.kernel.recorded import Context, Receipt
from domain.steps import blocking
from domain.ticket import ticket as tickets
from infra.entries import EntryNotification
from infra.log.checkpointer import Growth
from infra.log.note import Signer
from infra.log.store import LogError
from infra.mapper import Unread
from tests.api.book import serving
from tests.api.filled import opened
from tests.api.identity.signing_in import RESET, house
from tests.api.test_command_line import FAILED, OK, Shell
from tests.api.test_unreadable import MAPPING, spoil
from tests.infra.log.superuser import add_unreadable
from verifier.daybook_verify_bundle import verify

TURNED = "sealed = set_byte(sealed, 3, get_byte(sealed, 3) # 1)"
"""One bit of what is sealed is another."""
WRUNG = "UPDATE daybook_keys.subjects SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) WHERE subject = %s"
SIGNER = Signer("daybook/tested", bytes(32))


class Altered(NamedTuple):
    """A customer with an entry in the middle that does not open, and one like it that does."""

    database: str
    folder: Path
    parts: Parts
    id: UUID
    position: int
    keyless: UUID
    """Whose key is missing."""
    wrung: UUID
    """Whose key was altered."""
    noted: UUID
    sound: UUID

    @property
    def said(self) -> str:
        return f"Entry {self.position}, CustomerRenamed, does not open under its subject's key: it or the key was alte"


def do(parts: Parts, verb: str, of: AnyDecider = customers, who: Authority | None = None, **raw: object) -> Receipt:
    asking = who or unlimited("tester")
    context = Context(actor=asking.actor, idempotency_key=uuid4(), correlation_id=uuid4())
    return blocking(parts.commands.submit(of, verb, raw, context, asking))


def broken(parts: Parts, verb: str, who: Authority | None = None, **raw: object) -> list[tuple[str, Any]]:
    with pytest.raises(Refused) as refused:
        do(parts, verb, customers, who, **raw)
    return [(rule.code, rule.parameters) for rule in refused.value.broken]


@pytest.fixture(scope="module")
def at(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Altered]:
    folder = tmp_path_factory.mktemp("office")
    made = dict[str, tuple[UUID, int]]()
    with opened(module_database, folder) as parts:
        for name in ("altered", "keyless", "wrung", "noted", "sound"):
            outside = [{"source": "old", "id": name}]
            id = do(parts, "register", kind="person", name="Ada", external_ids=outside).id
            renamed = do(parts, "rename", id=id, name="Ada Byron").position
            noted = do(parts, "addNote", id=id, text="Prefers letters").position
            do(parts, "addTag", id=id, tag="VIP")
            made[name] = id, noted if name == "noted" else renamed
        ticket = do(parts, "open", tickets, channel="email", subject="Whose?").id
        moved = do(parts, "assignCustomer", tickets, id=ticket, customer=made["noted"][0])
        spoil(module_database, moved.position, r"state = '\xff'")
        once = do(parts, "open", tickets, channel="email", subject="Hers?").id
        for name in ("sound", "noted"):
            do(parts, "assignCustomer", tickets, id=once, customer=made[name][0])
        spoil(module_database, do(parts, "changeSubject", tickets, id=once, subject="No").position, TURNED)
    for name in ("altered", "noted"):
        spoil(module_database, made[name][1], TURNED)
    with psycopg.connect(module_database, autocommit=True) as db:
        db.execute("DELETE FROM daybook_keys.subjects WHERE subject = %s", (made["keyless"][0],))
        db.execute(WRUNG, (made["wrung"][0],))
        Growth(SIGNER).catch_up(db)  # it was altered before it was hashed: the log has it as it is
    with opened(module_database, folder) as parts:  # which remembers nothing from before
        others = (made[name][0] for name in ("keyless", "wrung", "noted", "sound"))
        yield Altered(module_database, folder, parts, *made["altered"], *others)


def test_nothing_is_decided_on_it_and_who_does_not_see_it_is_not_told(at: Altered) -> None:
    head, found = at.parts.store.max_notification_id(), {"event": "CustomerRenamed", "position": at.position}
    rep = Authority(actor="user:rep", staff_member=new_id(), grants=dict.fromkeys(Permission, Scope.OWN))
    for verb, field in (("addTag", "tag"), ("unmask", "reason")):
        raw: dict[str, object] = {"id": at.id, field: "Gold"}
        assert broken(at.parts, verb, None, **raw) == [("RECORD_ALTERED", found)]
        assert [code for code, _ in broken(at.parts, verb, rep, **raw)] == ["UNKNOWN_ID"]
    for id in (at.keyless, at.wrung):
        [(code, first)] = broken(at.parts, "addTag", id=id, tag="Gold")
        assert (code, first["event"]) == ("RECORD_ALTERED", "CustomerRegistered")
    assert at.parts.store.max_notification_id() == head


def test_nothing_is_sealed_for_whom_the_key_was_altered_and_that_is_said(at: Altered) -> None:
    head = at.parts.store.max_notification_id()
    with pytest.raises(SealBroken, match=f"The key of subject {at.wrung}") as unsealed:
        do(at.parts, "open", tickets, channel="email", subject="New", customer=at.wrung)
    told = explained(unsealed.value, "request")
    assert told.extensions == {"code": RequestErrorCode.RECORD_ALTERED}
    assert str(at.wrung) not in told.message
    assert at.parts.store.max_notification_id() == head


def test_what_a_command_need_not_open_does_not_stop_it(at: Altered) -> None:
    for id in (at.noted, at.sound):
        assert do(at.parts, "addTag", id=id, tag="Gold").version == 5


def test_replay_tells_all_others_and_says_which_does_not_open(at: Altered) -> None:
    story = [*replay(at.parts, "old:altered")]
    assert [(one.version, one.event, one.read) for one in story] == [
        (1, "CustomerRegistered", True),
        (2, "CustomerRenamed", False),
        (3, "CustomerNoteAdded", True),
        (4, "CustomerTagAdded", True),
    ]
    assert story[1].what.startswith(at.said)
    for name in ("keyless", "wrung"):
        story = [*replay(at.parts, f"old:{name}")]
        assert {one.read for one in story} == {False}
        assert "its subject's key is missing from daybook_keys.subjects, or was altered there" in story[0].what


def test_all_at_once_it_is_they_that_are_not_read_and_nobody_else(at: Altered) -> None:
    entries = at.parts.store.entries(0, 1_000)
    unread = {one.entry.originator_id for one in at.parts.mapper.read(entries) if isinstance(one, Unread)}
    assert unread >= {at.id, at.keyless, at.wrung, at.noted}
    assert at.sound not in unread


def test_diff_ends_before_it_and_says_so(at: Altered) -> None:
    diff = Shell(at.database, at.folder).run("diff", type_id("cus", at.id), "--from", "0", "--json")
    assert (diff.returncode, diff.stderr.startswith(at.said)) == (OK, True)
    assert diff.stderr.endswith("What is told ends before it.\n")
    assert {one["entry"]["position"] for one in json.loads(diff.stdout)} == {at.position - 1}


@pytest.mark.parametrize("disclose", [False, True])
def test_a_bundle_tells_the_others(at: Altered, *, disclose: bool) -> None:
    bundles = Bundles(at.parts.pool, at.parts.store, at.parts.vault)
    made = bundles.of(at.id, disclose=disclose)
    assert [str(why).startswith(at.said) for why in made.untold] == [True]
    verdict = verify(made.file.encode(), str(SIGNER.verifier))
    assert (verdict.entries, verdict.opened, verdict.sealed) == ((4, 3, 1) if disclose else (4, 0, 4))
    assert "Byron" not in made.file
    for id in (at.keyless, at.wrung):
        locked = bundles.of(id, disclose=disclose)
        assert (len(locked.untold), locked.keys) == (4, 0)
        assert verify(locked.file.encode(), str(SIGNER.verifier)).sealed == 4


def test_a_version_that_is_skipped_is_named_and_not_bundled(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        id = do(parts, "register", kind="person", name="Ada").id
        position = do(parts, "rename", id=id, name="Ada Byron").position
        spoil(database, position, "originator_version = 7")
    shell, name = Shell(database, tmp_path), type_id("cus", id)
    done = shell.run("bundle", name, "-o", str(tmp_path / "one.json"))
    said = f"daybook: The versions of {name} have a gap: 2 is not there, and later ones are, and signed."
    assert (done.returncode, done.stderr.startswith(said), len(done.stderr.splitlines())) == (FAILED, True, 1)
    before = shell.run("bundle", name, "-o", str(tmp_path / "one.json"), "--as-of", str(position - 1))
    assert (before.returncode, before.stdout.endswith(f": 1 entries, up to position {position - 1}.\n")) == (OK, True)


def test_what_was_altered_after_a_checkpoint_is_named_and_not_proven(at: Altered) -> None:
    first = at.parts.store.select_events(at.sound)[0]
    assert isinstance(first, EntryNotification)
    spoil(at.database, first.id, TURNED)
    with pytest.raises(LogError, match=f"from entry {first.id} to its last checkpoint"):
        Bundles(at.parts.pool, at.parts.store, at.parts.vault).of(at.sound)
    spoil(at.database, first.id, TURNED)


def test_an_altered_entry_of_another_s_ticket_keeps_nobody_s_copy_from_them(at: Altered) -> None:
    copy = personal_data(at.parts.pool, at.parts.mapper, at.parts.daybook, at.sound)
    assert copy.name == "Ada Byron"


def test_an_import_rejects_the_row_and_enters_the_others(at: Altered, tmp_path: Path) -> None:
    rows, rejected = tmp_path / "rows.csv", tmp_path / "rejected.csv"
    rows.write_text("id,name\naltered,Ada King\nnew,Grace\n")
    (tmp_path / "map.toml").write_text(MAPPING)
    importing = Import(at.parts, read_mapping(tmp_path / "map.toml", KINDS["customers"]), "old")
    found = importing.run(importing.open(rows), rejected, lambda _: None)
    assert (found.created, found.rejected) == (1, 1)
    assert at.said in rejected.read_text()


def test_an_import_rejects_the_row_of_whom_nothing_can_be_sealed_for(at: Altered, tmp_path: Path) -> None:
    rows, rejected = tmp_path / "rows.csv", tmp_path / "rejected.csv"
    rows.write_text("id,customer\n1,sound\n2,wrung\n3,sound\n")
    (tmp_path / "map.toml").write_text(TICKETS)
    importing = Import(at.parts, read_mapping(tmp_path / "map.toml", KINDS["tickets"]), "old")
    found = importing.run(importing.open(rows), rejected, lambda _: None)
    assert (found.created, found.rejected) == (2, 1)
    assert f"The key of subject {at.wrung}" in rejected.read_text()


TICKETS = """
kind = "tickets"
external_id = "id"
[[step]]
do = "open"
[step.fields]
channel = { constant = "email" }
subject = "id"
customer = { column = "customer", find = "customer" }
"""
FEED = 'subscription { changes(after: "0", types: ["CustomerRenamed"]) { change { version data } } }'
WHY = """
query ($id: ID!) {
  customer(id: $id) { name history(first: 9) { nodes { type } } }
  whyValue(id: $id, field: "name") { after }
  diff(id: $id, from: {position: "0"}) { field after }
}
"""
TAG = "mutation ($input: CustomerAddTagInput!) { customerAddTag(input: $input) { userErrors { code message } } }"
EXPORT = """
mutation ($i: CustomerExportPersonalDataInput!) {
  customerExportPersonalData(input: $i) { personalData position userErrors { code } }
}
"""


@pytest.mark.anyio
async def test_clients_are_told_the_rest(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        registered = await client.mutate("customerRegister", "customer { id }", kind="PERSON", name="Ada")
        id = registered["customer"]["id"]
        renamed = await client.mutate("customerRename", "position", id=id, name="Ada Byron")
        spoil(database, int(renamed["position"]), TURNED)
    async with serving(database, tmp_path) as client:  # which remembers nothing from before
        tagged = await client.post(TAG, {"input": {"id": id, "tag": "VIP", "idempotencyKey": str(uuid4())}})
        [error] = tagged.json()["data"]["customerAddTag"]["userErrors"]
        assert error["code"] == "RECORD_ALTERED"
        assert error["message"].startswith(f"Entry {renamed['position']}, CustomerRenamed, of this record or of one")
        told = await client.data(WHY, {"id": id})
        assert told["customer"]["name"] == "Ada Byron"
        assert [one["type"] for one in told["customer"]["history"]["nodes"]] == [
            "CustomerRegistered",
            "CustomerRenamed",
        ]
        assert told["whyValue"] == {"after": "Ada"}
        assert {"field": "name", "after": "Ada"} in told["diff"]


@pytest.mark.anyio
async def test_a_copy_that_needs_it_is_answered_clearly_to_whoever_sees_the_person(
    database: str, tmp_path: Path
) -> None:
    """And to nobody who does not see them any more, though they may repeat the command that once was theirs."""
    copying = dict.fromkeys((Permission.UNMASK_PERSONAL_DATA, Permission.SEE_AMOUNTS), Scope.ALL)
    own = {Permission.READ_CUSTOMERS: Scope.OWN, **copying}
    async with house(database, tmp_path) as at, at.browser() as browser:
        rosa = await at.company.hire("rosa@acme.example", own)
        await browser.send(RESET, {"token": await at.reset_token(rosa), "password": "five blue bicycles"})
        await browser.sign_in()
        named = {"kind": "PERSON", "name": "Ada", "owner": rosa}
        customer = (await at.company.mutate("customerRegister", "customer { id }", **named))["customer"]["id"]
        about = {"customer": customer, "subject": "Where is it?", "channel": "EMAIL"}
        ticket = (await at.company.mutate("ticketOpen", "position", **about))["position"]
        spoil(database, int(ticket), TURNED)
        asked = {"id": customer, "reason": "She asked", "idempotencyKey": str(uuid4())}

        answer = (await browser.send(EXPORT, asked)).json()
        [error] = answer["errors"]
        assert error["extensions"]["code"] == "RECORD_ALTERED"
        assert error["message"].startswith(f"Entry {ticket}, TicketOpened, does not open: it or its key was altered.")
        assert answer["data"]["customerExportPersonalData"]["position"] == str(int(ticket) + 1)

        await at.company.mutate("customerAssignOwner", "position", id=customer, owner=None)
        again = (await browser.send(EXPORT, asked)).json()
        assert "errors" not in again
        assert again["data"]["customerExportPersonalData"]["personalData"] is None


def test_an_erasure_waits_for_nothing_that_does_not_open(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        ada, bob = (do(parts, "register", kind="person", name=name).id for name in ("Ada", "Bob"))
        asked: dict[str, Any] = {"channel": "email", "subject": "Where is it?"}
        strayed, anothers = (do(parts, "open", tickets, **asked).id for _ in range(2))
        broken_ones = [do(parts, "open", tickets, customer=ada, **asked) for _ in range(2)]
        for ticket in (strayed, anothers):
            do(parts, "assignCustomer", tickets, id=ticket, customer=ada)
        do(parts, "assignCustomer", tickets, id=anothers, customer=bob)
        renamed = do(parts, "rename", id=ada, name="Ada Byron")
        do(parts, "requestErasure", id=ada, ground="person_asked", reason="Asked by letter.")
        do(parts, "erasePersonalData", customers, unlimited("another"), id=ada, reason="Looked into.")
        with psycopg.connect(database, autocommit=True) as db:
            add_unreadable(db, broken_ones[1].id)
    for entry in (renamed, broken_ones[0]):
        spoil(database, entry.position, TURNED)
    with opened(database, tmp_path) as parts, psycopg.connect(database) as db:  # which remembers nothing from before
        assert parts.erasures.carry_out_approved() == [ada]
        gone = db.execute("SELECT subject FROM daybook_keys.subjects WHERE wrapped IS NULL").fetchall()
        assert {subject for (subject,) in gone} == {ada, strayed}
        [receipt] = [one for one in parts.store.entries(0, 100) if one.topic in PERSONAL_DATA_ERASED]
        named = json.loads(receipt.state)["tickets"]
        assert sorted(named) == sorted(str(one) for one in (strayed, anothers, *(ticket.id for ticket in broken_ones)))


def test_an_erasure_of_whom_an_entry_can_t_be_read_is_carried_out_once(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        people = sorted(do(parts, "register", kind="person", name=name).id for name in ("Ada", "Bob"))
        for id in people:
            do(parts, "requestErasure", id=id, ground="person_asked", reason="Asked by letter.")
            do(parts, "erasePersonalData", customers, unlimited("another"), id=id, reason="Looked into.")
            with psycopg.connect(database, autocommit=True) as db:
                add_unreadable(db, id)
    with opened(database, tmp_path) as one, opened(database, tmp_path) as another:
        begin, ahead = one.erasures._ledger.begin, list[UUID]()

        def begun(customer: UUID, keys: tuple[UUID, ...]) -> None:
            if not ahead:  # both have found the same ones, and the other is faster
                ahead.extend(another.erasures.carry_out_approved())
            begin(customer, keys)

        with mock.patch.object(one.erasures._ledger, "begin", begun):
            assert sorted(one.erasures.carry_out_approved()) == sorted(ahead) == people
        receipts = [one.originator_id for one in one.store.entries(0, 100) if one.topic in PERSONAL_DATA_ERASED]
        assert sorted(receipts) == people


def test_a_company_that_can_t_be_read_stops_no_other_command(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        where = {"time_zone": "Europe/Zurich", "currency": "CHF", "language": "de-CH", "phone_region": "CH"}
        company = do(parts, "define", companies, None, name="Acme", **where)
        with psycopg.connect(database, autocommit=True) as db:
            position = add_unreadable(db, company.id)
    with opened(database, tmp_path) as parts:  # which has not read it before
        ada = do(parts, "register", kind="person", name="Ada").id
        local, whole = ({"kind": "phone", "value": value} for value in ("044 668 18 00", "+41 44 668 18 00"))
        [(code, _)] = broken(parts, "addContactPoint", id=ada, contact_point=local)
        assert code == "PHONE_NEEDS_COUNTRY_CODE"
        do(parts, "addContactPoint", id=ada, contact_point=whole)
        with pytest.raises(Refused) as refused:
            do(parts, "changeSettings", companies, name="Acme & Sons")
        assert [(one.code, one.parameters["position"]) for one in refused.value.broken] == [
            ("RECORD_UNREADABLE", position)
        ]
