"""A customer's bundle: proves itself to a verifier that knows nothing of Daybook, and shows nothing of anybody else."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from hashlib import sha256
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest

from api import demo
from api.auditing.bundle import Bundles
from domain.kernel import type_id
from infra.master_key import master_key
from infra.seals import derive
from tests.api.filled import opened
from tests.api.test_command_line import FAILED, OK, USAGE, Shell
from verifier import daybook_verify_bundle as verifier
from verifier.daybook_verify_bundle import NoKey, Wrong, verify

REASON = "Audit of 2026, request 17"
CHANGES = 200
PROVABLE = ("customer", "checkpoint", "story", "entries")
"""What can't be changed even by who makes the file's SHA-256 anew."""


class Office(NamedTuple):
    """A demo book, and what the operator has made of it."""

    database: str
    shell: Shell
    customers: list[UUID]
    vkey: str
    keys: Mapping[UUID, bytes]
    """The customers' own."""

    def bundled(self, customer: UUID, *options: str) -> bytes:
        file = self.shell.folder / "one.bundle.json"
        done = self.shell.run("bundle", type_id("cus", customer), "-o", str(file), *options)
        assert (done.returncode, done.stderr.count("outlive an erasure")) == (OK, 1), done
        assert file.stat().st_mode & 0o077 == 0
        return file.read_bytes()

    def asked(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as db:
            return db.execute(query.encode(), given).fetchall()


@pytest.fixture(scope="module")
def office(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    with opened(module_database, folder) as parts:
        demo.load(parts)
    shell, master = Shell(module_database, folder), master_key(folder / "master.key", begun=True)
    with psycopg.connect(module_database) as db:
        told = db.execute("SELECT originator_id FROM daybook.events WHERE topic = 'CustomerRegistered' ORDER BY 1")
        customers = [id for (id,) in told]
        wrapped = db.execute("SELECT subject, wrapped FROM daybook_keys.subjects").fetchall()
    keys = {subject: master.unwrap(key, subject.bytes) for subject, key in wrapped}
    return Office(module_database, shell, customers, shell.run("checkpoint", "--key").stdout.strip(), keys)


@pytest.fixture(scope="module")
def richest(office: Office) -> UUID:
    """The customer with the most entries."""
    [(id,)] = office.asked(
        "SELECT originator_id FROM daybook.events WHERE originator_id = ANY(%s)"
        " GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        office.customers,
    )
    found: UUID = id
    return found


@pytest.fixture(scope="module")
def file(office: Office, richest: UUID) -> bytes:
    return office.bundled(richest, "--reason", REASON)


def test_a_stranger_checks_it_with_one_file_and_nothing_of_ours(
    office: Office, richest: UUID, file: bytes, tmp_path: Path
) -> None:
    alone = tmp_path / "verify.py"
    shutil.copy(str(verifier.__file__), alone)
    (tmp_path / "bundle.json").write_bytes(file)
    (tmp_path / "key.txt").write_text(office.vkey + "\n")

    def checked(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-I", str(alone), "bundle.json", "--vkey", "key.txt", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = checked("--json")
    assert (done.returncode, done.stderr) == (0, "")
    verdict = json.loads(done.stdout)
    stored = office.asked(
        "SELECT count(*)::int, count(sealed) FILTER (WHERE subject = originator_id)::int,"
        " count(sealed) FILTER (WHERE subject <> originator_id)::int FROM daybook.events WHERE originator_id = %s",
        richest,
    )
    assert [(verdict["entries"], verdict["opened"], verdict["sealed"])] == stored
    assert (verdict["holds"], verdict["erased"]) == (True, 0)
    said = checked("--story").stdout
    assert "PROVEN, for cus_" in said
    assert "NOT PROVEN:" in said
    assert "outlive an erasure" in said
    assert f"reason: {REASON}" in said

    (tmp_path / "bundle.json").write_bytes(file.replace(b"CustomerRegistered: A", b"CustomerRegistered: B"))
    changed = checked()
    assert (changed.returncode, changed.stdout.splitlines()[0]) == (
        1,
        "NOT PROVEN: the file was changed: its SHA-256 is another.",
    )
    (tmp_path / "key.txt").write_text("no key")
    assert checked().returncode == 2


def test_every_customer_s_bundle_holds_and_shows_nothing_of_the_others(office: Office) -> None:
    values, seen = demo.personal_values(), 0
    contacts: dict[UUID, int] = dict(office.asked(_OF_CONTACTS))
    assert contacts, "an organisation says something of its contacts"
    with opened(office.database, office.shell.folder) as parts:
        bundles = Bundles(parts.pool, parts.store, parts.vault)
        made = [(one, bundles.of(one, disclose=True).file.encode()) for one in office.customers]
    for customer, file in made:
        body = json.loads(file)
        verdict = verify(file, office.vkey)
        assert (verdict.customer, verdict.sealed) == (type_id("cus", customer), contacts.get(customer, 0))
        own = "\n".join(verdict.story)
        bare = file + b"".join(base64.b64decode(one["leaf"]) for one in body["entries"])
        others = [one for one in values if one not in own]
        seen += len(values) - len(others)
        assert [one for one in others if one.encode() in bare] == []
        shown = [one["personal"] for one in body["entries"] if isinstance(one["personal"], dict)]
        hidden = b"".join(base64.b64decode(key) for one in shown for key in one.values())
        for key in office.keys.values():
            assert key not in bare
            assert key not in hidden
            assert base64.b64encode(key) not in bare
    assert seen > len(office.customers), "the values are those of the bundles"


_OF_CONTACTS = """
    SELECT originator_id, count(*)::int FROM daybook.events
    WHERE topic = 'CustomerContactLinked' AND subject <> originator_id AND sealed IS NOT NULL GROUP BY originator_id
"""


def test_what_an_organisation_says_of_a_contact_is_not_its_to_show(office: Office) -> None:
    """Whoever has the contact's key could open it in the organisation's bundle, where the contact would not know."""
    [(customer, *_), *_] = office.asked(_OF_CONTACTS)
    body = json.loads(office.bundled(customer, "--reason", REASON))
    [(version, event, subject), *_] = office.asked(
        "SELECT originator_version::int, event_id, subject FROM daybook.events"
        " WHERE originator_id = %s AND subject <> originator_id AND sealed IS NOT NULL",
        customer,
    )
    one = body["entries"][version - 1]
    assert one["personal"] == "sealed"
    event_key, commitment_key = (base64.b64encode(key).decode() for key in derive(office.keys[subject], event))
    one["personal"] = {"event_key": event_key, "commitment_key": commitment_key}
    with pytest.raises(Wrong, match="sealed under another's key, and not the customer's to show"):
        verify(signed_off(body), office.vkey)


def test_each_of_200_changes_of_a_byte_is_found(office: Office, file: bytes) -> None:
    random = Random(1)
    for _ in range(CHANGES):
        at, byte = random.randrange(len(file)), random.randrange(255)
        changed = file[:at] + bytes([byte + (byte >= file[at])]) + file[at + 1 :]
        with pytest.raises(Wrong):
            verify(changed, office.vkey)


def test_each_of_200_changes_is_found_though_the_checksum_fits(office: Office, file: bytes) -> None:
    """By who knows the format: a field, or an element of a list, is altered, left out, doubled or moved."""
    random, before, done = Random(2), json.loads(file), 0
    while done < CHANGES:
        body = deepcopy(before)
        alter(body, random)
        if body == before:
            continue
        done += 1
        with pytest.raises(Wrong):
            verify(signed_off(body), office.vkey)
    verify(signed_off(json.loads(file)), office.vkey)  # what is not altered holds


def test_what_is_spelt_otherwise_is_refused(office: Office, file: bytes) -> None:
    """Two readers could make two things of it, or something could be hidden in it."""
    for was, becomes in (
        (b'\n "sha256"', b'\n\t"sha256"'),
        (b'{\n "format": ', b'{\n "format": "another",\n "format": '),
        (b"by demo", b"by d\\u0065mo"),
    ):
        assert was in file
        with pytest.raises(Wrong):
            verify(file.replace(was, becomes, 1), office.vkey)
    body = json.loads(file)
    keys = next(one["personal"] for one in body["entries"] if one["personal"])
    key, letters = keys["event_key"], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    keys["event_key"] = f"{key[:-2]}{letters[letters.index(key[-2]) + 1]}="  # 32 bytes leave two bits that say nothing
    assert base64.b64decode(keys["event_key"]) == base64.b64decode(key)
    with pytest.raises(Wrong, match="base64"):
        verify(signed_off(body), office.vkey)


def test_what_is_left_out_in_the_middle_is_found_and_at_the_end_is_not(office: Office, file: bytes) -> None:
    for at in range(len(json.loads(file)["entries"])):
        body = json.loads(file)
        for part in ("entries", "story"):
            del body[part][at]
        if at < len(body["entries"]):
            with pytest.raises(Wrong, match="is version"):
                verify(signed_off(body), office.vkey)
        else:
            assert verify(signed_off(body), office.vkey).entries == at


def test_what_the_file_does_not_tell_is_named(office: Office, file: bytes) -> None:
    body = json.loads(file)
    del body["catalogue"]["CustomerRegistered"]
    with pytest.raises(Wrong, match="its personal part is opened, and the catalogue does not say what it means"):
        verify(signed_off(body), office.vkey)
    body["entries"][0]["personal"] = "sealed"
    with pytest.raises(Wrong, match="the story says something else of entry 1"):
        verify(signed_off(body), office.vkey)
    header, by, *_ = body["story"][0].split("\n")
    untold = header.partition(": ")[0] + ": not told, for the Daybook that made this file can't read it"
    body["story"][0] = f"{untold}\n{by}\n   its personal part is sealed"
    verdict = verify(signed_off(body), office.vkey)
    assert [one.partition(", ")[2] for one in verdict.untold] == ["CustomerRegistered"]
    (office.shell.folder / "untold.json").write_bytes(signed_off(body))
    out = StringIO()
    with redirect_stdout(out):
        assert verifier.main([str(office.shell.folder / "untold.json"), "--vkey", office.vkey]) == 0
    assert f"NOT TOLD, though it stands there: {verdict.untold[0]}." in out.getvalue().splitlines()


def test_another_s_entry_another_s_key_and_another_log_are_found(office: Office, file: bytes, richest: UUID) -> None:
    other = json.loads(office.bundled(next(id for id in office.customers if id != richest), "--reason", REASON))
    for name, says in (
        ("entries", "its proof is wrong"),
        ("checkpoint", "its proof is wrong"),
        ("customer", "another record's"),
    ):
        body = json.loads(file)
        body[name] = other[name]
        with pytest.raises(Wrong, match=says):
            verify(signed_off(body), office.vkey)
    whole = {
        **json.loads(file),
        "entries": other["entries"],
        "story": other["story"],
        "checkpoint": other["checkpoint"],
    }
    with pytest.raises(Wrong, match="another record's"):
        verify(signed_off(whole), office.vkey)
    body = json.loads(file)
    first, second = [one for one in body["entries"] if one["personal"]][:2]
    first["personal"], second["personal"] = second["personal"], first["personal"]
    with pytest.raises(Wrong, match="does not open"):
        verify(signed_off(body), office.vkey)
    name, id, key = office.vkey.split("+", 2)
    with pytest.raises(NoKey):
        verify(file, f"{name}x+{id}+{key}")
    raw = b"\x01" + bytes(32)
    strange = f"{name}+{verifier.key_id(name, raw)}+{base64.b64encode(raw).decode()}"
    with pytest.raises(Wrong, match="not signed with this key"):
        verify(file, strange)


def test_without_a_reason_nothing_is_opened_and_nothing_recorded(office: Office) -> None:
    customer = office.customers[3]
    before = office.asked("SELECT max(position) FROM daybook.events")
    file = office.bundled(customer)
    assert office.asked("SELECT max(position) FROM daybook.events") == before
    verdict = verify(file, office.vkey)
    assert (verdict.opened, verdict.sealed > 0) == (0, True)
    assert "event_key" not in file.decode()
    assert [one for one in demo.personal_values() if one.encode() in file] == []
    assert "its personal part is sealed" in verdict.story[0]


def test_a_disclosure_stands_in_the_customer_s_history_and_in_the_bundle(office: Office) -> None:
    customer = office.customers[4]
    story = verify(office.bundled(customer, "--reason", REASON), office.vkey).story
    [(actor, topic)] = office.asked(
        "SELECT actor, topic FROM daybook.events WHERE originator_id = %s ORDER BY position DESC LIMIT 1", customer
    )
    assert (actor, topic) == ("operator", "CustomerUnmasked")
    assert "CustomerUnmasked" in story[-1]
    assert f"   reason: {REASON}" in story[-1].splitlines()


def test_what_was_written_is_told_to_programs_as_the_verifier_finds_it(office: Office) -> None:
    customer = type_id("cus", office.customers[3])
    output = office.shell.folder / "told.bundle.json"
    for options in ((), ("--reason", REASON)):
        done = office.shell.run("bundle", customer, "-o", str(output), "--json", *options)
        assert done.returncode == OK
        told, verdict = json.loads(done.stdout), verify(output.read_bytes(), office.vkey)
        [(size,)] = office.asked("SELECT max(position) FROM daybook.events")
        origin, *_, root = json.loads(output.read_text())["checkpoint"].splitlines()[:3]
        assert told == {
            "file": str(output),
            "customer": customer,
            "entries": verdict.entries,
            "through": verdict.through,
            "keys": verdict.opened,
            "untold": [],
            "checkpoint": {"origin": origin, "size": size, "root": root},
        }
        assert (told["keys"] > 0) == bool(options)


def test_a_bundle_of_former_days_holds_what_was_entered_by_then(office: Office, richest: UUID, file: bytes) -> None:
    positions = office.asked("SELECT position FROM daybook.events WHERE originator_id = %s ORDER BY 1", richest)
    [third] = positions[2]
    former = verify(office.bundled(richest, "--as-of", str(third)), office.vkey)
    assert (former.entries, former.through) == (3, third)
    whole = verify(file, office.vkey).story
    assert [one.splitlines()[:2] for one in former.story] == [one.splitlines()[:2] for one in whole[:3]]


def test_what_can_not_be_bundled_is_told(office: Office, richest: UUID) -> None:
    [(deal,)] = office.asked("SELECT originator_id FROM daybook.events WHERE topic = 'OpportunityOpened' LIMIT 1")
    output = office.shell.folder / "none.json"
    name = type_id("cus", richest)
    for given, code, says in (
        ((type_id("cus", UUID(int=7)),), FAILED, "Nothing in the book is called"),
        ((type_id("opp", deal),), USAGE, "is no customer"),
        ((name, "--as-of", "1"), FAILED, "was not in the book at position 1"),
        ((name, "--as-of", "20250101"), USAGE, ", before position 20250101. Write the day as 2025-01-01."),
        ((name, "--reason", " "), FAILED, "empty"),
    ):
        done = office.shell.run("bundle", *given, "-o", str(output))
        assert (done.returncode, done.stdout) == (code, "")
        assert says in done.stderr
    assert not output.exists()


def test_a_history_across_a_rotation_of_the_person_s_key_proves_itself(office: Office) -> None:
    customer, rotated = office.customers[4], office.shell.run
    id = type_id("cus", customer)
    assert (
        rotated("rotate", "person-key").returncode == rotated("rotate", "person-key", id, "--all").returncode == USAGE
    )
    assert rotated("rotate", "person-key", "maven:nobody").returncode == FAILED
    own = "SELECT count(sealed)::int FROM daybook.events WHERE originator_id = %s AND subject = originator_id"
    before = office.asked(own, customer)
    [(last,)] = office.asked("SELECT max(position) FROM daybook.events")
    done = rotated("rotate", "person-key", id, "--json")
    assert json.loads(done.stdout) == {"generation": 2, "after": last}, done
    assert "were rotated; no key that seals is older than" in rotated("rotate", "person-key", "--all").stdout
    file = office.bundled(customer, "--reason", REASON)  # whose reason is sealed, under the third
    assert verify(file, office.vkey).opened == before[0][0] + 1
    master = master_key(office.shell.folder / "master.key", begun=True)
    [(wrapped,)] = office.asked("SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s", customer)
    keys = master.unwrap(wrapped, customer.bytes)
    assert len(keys) == 112
    assert not any(base64.b64encode(keys[at : at + 32]) in file for at in (0, 40, 80))


def test_what_was_erased_is_said_to_be(office: Office) -> None:
    """The last of all: a destroyed key stays destroyed."""
    customer = office.customers[5]
    with psycopg.connect(office.database) as db:
        db.execute(
            "UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now() WHERE subject = %s", (customer,)
        )
    verdict = verify(office.bundled(customer), office.vkey)
    assert (verdict.opened, verdict.sealed, verdict.erased > 0) == (0, 0, True)
    assert "its personal part is erased" in verdict.story[0]


def signed_off(body: Mapping[str, Any]) -> bytes:
    """The file of a body, its SHA-256 made anew."""

    def written(value: object) -> bytes:
        return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()

    rest = {name: value for name, value in body.items() if name != "sha256"}
    return written({**rest, "sha256": sha256(written(rest)).hexdigest()})


def alter(body: dict[str, Any], random: Random, parts: Sequence[str] = PROVABLE) -> None:
    """Alter one thing of a body, or nothing, as it happens."""
    places = [place for part in parts for place in within(body, part)]
    holder, key = random.choice(places)
    how: Callable[[Any, Any, Random], None] = random.choice((left_out, doubled, moved, changed))
    how(holder, key, random)


def within(holder: Any, key: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as what holds it and its key there."""
    yield holder, key
    value = holder[key]
    if isinstance(value, dict | list):
        for one in value if isinstance(value, dict) else range(len(value)):
            yield from within(value, one)


def left_out(holder: Any, key: Any, _: Random) -> None:
    del holder[key]


def doubled(holder: Any, key: Any, _: Random) -> None:
    if isinstance(holder, list):
        holder.insert(key, deepcopy(holder[key]))
    else:
        holder[f"{key}2"] = holder[key]


def moved(holder: Any, key: Any, random: Random) -> None:
    others = [*holder] if isinstance(holder, dict) else [*range(len(holder))]
    other = random.choice(others)
    holder[key], holder[other] = holder[other], holder[key]


def changed(holder: Any, key: Any, random: Random) -> None:
    value = holder[key]
    if isinstance(value, str) and value:
        at = random.randrange(len(value))
        holder[key] = value[:at] + random.choice("Aa0 +\n/=B") + value[at + 1 :]
    else:
        holder[key] = random.choice((None, "sealed", "erased", 7, [], {}))
