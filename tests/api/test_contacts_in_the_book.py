"""Entries on contacts and receipts of erasures, of this version and of older ones: in bundles, erasures, imports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from api.composition import Parts
from api.importing.importer import Import
from api.importing.mapping import KINDS, read_mapping
from api.subscriptions import stored_names
from domain.access import unlimited
from domain.appending import Draft
from domain.catalogue import catalogue
from domain.customer import PERSONAL_DATA_ERASED, CustomerContactLinked
from domain.kernel import type_id
from domain.kernel.recorded import Context, Receipt, Recorded
from domain.steps import blocking
from infra.mapper import Unread
from tests.api.filled import opened
from tests.api.test_command_line import Shell
from tests.api.test_unreadable import spoil
from tests.infra.log.superuser import add_unreadable
from verifier.daybook_verify_bundle import verify

Do = Callable[..., Receipt]
PIPELINES = """
kind = "opportunities"
external_id = "id"
[[step]]
do = "open"
[step.fields]
title = "title"
pipeline = { column = "pipeline", find = "pipeline" }
stage = { column = "stage", find = "stage", of = "Sales" }
"""


def doer(parts: Parts, kind: str = "customer") -> Do:
    def do(verb: str, actor: str = "user:1", **raw: Any) -> Receipt:
        context = Context(actor=actor, idempotency_key=uuid4(), correlation_id=uuid4())
        return blocking(parts.commands.submit(catalogue.deciders[kind], verb, raw, context, unlimited(actor)))

    return do


def approved(do: Do, customer: UUID) -> None:
    do("requestErasure", id=customer, ground="person_asked", reason="Asked by letter.")
    do("erasePersonalData", "user:2", id=customer, reason="Looked into.")


def link_as_before(parts: Parts, organisation: UUID, person: UUID) -> None:
    """A link as an older version entered it: under the organisation's key."""
    link = CustomerContactLinked(link=uuid4(), person=person, role="Altgeselle", since=None, until=None)
    context = Context(actor="user:1", idempotency_key=uuid4(), correlation_id=uuid4())
    draft = Draft(originator_id=organisation, originator_version=2, subject=organisation, event=link, context=context)
    parts.store.insert_events([parts.mapper.to_stored_event(cast("Any", draft))])


def bundled(database: str, folder: Path, customer: UUID, *words: str) -> tuple[bytes, str]:
    """A bundle, and the key of its log."""
    shell, file = Shell(database, folder), folder / "bundle.json"
    key = shell.run("checkpoint", "--key").stdout.strip()
    assert shell.run("bundle", type_id("cus", customer), "-o", str(file), *words).returncode == 0
    return file.read_bytes(), key


@pytest.mark.parametrize("older", [False, True])
def test_a_bundle_tells_of_the_erasure(database: str, tmp_path: Path, older: bool) -> None:
    with opened(database, tmp_path) as parts:
        do = doer(parts)
        person = do("register", kind="person", name="Ada").id
        approved(do, person)
        if older:
            state = b'{"ground":"person_asked","opportunities":[],"tickets":[],"keys":1,"entries":3}'
            receipt = StoredEvent(
                originator_id=person, originator_version=4, topic=PERSONAL_DATA_ERASED[0], state=state
            )
            parts.store.insert_events([receipt])
        else:
            assert parts.erasures.carry_out_approved() == [person]
    proven = verify(*bundled(database, tmp_path, person))
    assert not proven.untold
    assert len(proven.story) == 4


def test_what_was_said_of_a_contact_before_stays_sealed_too(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        do = doer(parts)
        person, office = (do("register", kind=kind, name="Ada").id for kind in ("person", "organisation"))
        link_as_before(parts, office, person)
    file, key = bundled(database, tmp_path, office, "--reason", "An audit.")
    verify(file, key)
    assert b"Altgeselle" not in file
    assert json.loads(file)["entries"][1]["personal"] == "sealed"


def test_an_entry_of_an_organisation_that_can_t_be_read_keeps_no_contact_s_erasure_waiting(
    database: str, tmp_path: Path
) -> None:
    with opened(database, tmp_path) as parts:
        do = doer(parts)
        person, office = (do("register", kind=kind, name="Ada").id for kind in ("person", "organisation"))
        do("linkContact", id=office, person=person, role="Geselle")
        with psycopg.connect(database, autocommit=True) as db:
            add_unreadable(db, office)
        approved(do, person)
        assert parts.erasures.carry_out_approved() == [person]


def test_a_link_that_was_altered_keeps_nobody_s_erasure_waiting(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        do = doer(parts)
        person, other = (do("register", kind="person", name=name).id for name in ("Ada", "Bob"))
        office = do("register", kind="organisation", name="Office").id
        link = do("linkContact", id=office, person=person, role="Geselle").position
        spoil(database, link, "state = '\\xff', subject = originator_id")
        approved(do, other)
        assert parts.erasures.carry_out_approved() == [other]
    shell = Shell(database, tmp_path)
    assert shell.run("erasure", "status").returncode in (0, 1)
    asked = ("export-personal", type_id("cus", person), "-o", str(tmp_path / "copy.json"), "--reason", "Asked for.")
    assert shell.run(*asked).returncode == 0


def test_a_contact_s_altered_key_keeps_no_other_entry_shut(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        do = doer(parts)
        person, office = (do("register", kind=kind, name="Ada").id for kind in ("person", "organisation"))
        link_as_before(parts, office, person)
        with psycopg.connect(database, autocommit=True) as db:
            altered = "wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))"
            db.execute(f"UPDATE daybook_keys.subjects SET {altered} WHERE subject = %s", (person,))
        parts.vault.forget(person)
        read = [*parts.mapper.read(parts.store.entries(0, 10))]
        assert [one.entry.originator_id for one in read if isinstance(one, Unread)] == [person]
        told = [one.event for one in read if isinstance(one, Recorded)]
        assert [event.role for event in told if isinstance(event, CustomerContactLinked)] == ["Altgeselle"]


def test_what_does_not_open_any_more_is_erased_all_the_same(database: str, tmp_path: Path) -> None:
    """Whoever altered one part of what is sealed would have kept all the others from being erased."""
    with opened(database, tmp_path) as parts:
        do, works = doer(parts), doer(parts, "ticket")
        people = [do("register", kind="person", name=name) for name in ("Ada", "Bob", "Eva")]
        about = works("open", customer=people[1].id, channel="email", subject="Where is it?")
        nobodys = works("open", channel="email", subject="Whose?")
        works("assignCustomer", id=nobodys.id, customer=people[2].id)
        for one in people:
            approved(do, one.id)
    for altered in (people[0], about, nobodys):
        spoil(database, altered.position, "sealed = set_byte(sealed, 3, get_byte(sealed, 3) # 1)")
    with opened(database, tmp_path) as parts:  # which remembers nothing from before
        assert parts.erasures.carry_out_approved() == [one.id for one in people]
        receipts = [one.state for one in parts.store.entries(0, 100) if one.topic in PERSONAL_DATA_ERASED]
        assert [json.loads(receipt)["keys"] for receipt in receipts] == [1, 1, 2]
        assert parts.erasures.carry_out_approved() == []


def test_an_import_rejects_the_row_for_which_a_record_can_t_be_read(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        do = doer(parts, "pipeline")
        stages = [{"name": "New", "probability": 10}]
        do("define", name="Sales", stages=stages)
        other = do("define", name="Other", stages=stages)
        with psycopg.connect(database, autocommit=True) as db:
            add_unreadable(db, other.id)
        mapping, rows, rejected = (tmp_path / name for name in ("map.toml", "rows.csv", "rejected.csv"))
        mapping.write_text(PIPELINES)
        rows.write_text("id,title,pipeline,stage\n1,Deal,Sales,New\n")
        run = Import(parts, read_mapping(mapping, KINDS["opportunities"]), "old")
        summary = run.run(run.open(rows), rejected, lambda _: None)
    assert summary.rejected == 1
    assert f"Entry {other.position + 1}" in rejected.read_text()


def test_an_event_is_followed_by_its_older_name_too() -> None:
    assert {*stored_names(["CustomerPersonalDataErased"])} == {*PERSONAL_DATA_ERASED}
