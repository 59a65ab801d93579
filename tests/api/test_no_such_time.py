"""Entries that somebody has given a time that Python can't hold: they are named, and keep nothing else shut."""

import json
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from domain.kernel import parse_type_id, type_id
from domain.ticket import ticket as tickets
from projections.registry import models
from projections.runner import ProjectionRunner
from projections.tables import install
from tests.api.filled import opened
from tests.api.listening import listening
from tests.api.test_altered import do
from tests.api.test_command_line import FAILED, OK, Shell
from tests.api.test_unreadable import spoil
from tests.projections.conftest import until

FEED = 'subscription { changes(after: "0") { change { position recordedAt occurredAt data } } }'
WHY = 'query ($id: ID!) { whyValue(id: $id, field: "name") { after } }'
SET = {
    "never": "recorded_at = 'infinity'",
    "always": "recorded_at = '-infinity', occurred_at = '-infinity'",
    "late": "occurred_at = '10000-01-01 00:00:00Z'",
    "early": "occurred_at = '0001-12-31 23:59:59Z BC', recorded_at = '4713-01-01 00:00:00Z BC'",
}


class Timeless(NamedTuple):
    """A customer with an entry in the middle whose time is none."""

    shell: Shell
    name: str
    position: int

    @property
    def said(self) -> str:
        what = "has a time that is infinite, or not of the years 1 to 9999: it was altered."
        return f"Entry {self.position}, CustomerRenamed, {what} `daybook verify` says what else was."


@pytest.fixture(scope="module")
def at(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> list[Timeless]:
    folder = tmp_path_factory.mktemp("office")
    made = dict[str, tuple[UUID, int]]()
    with opened(module_database, folder) as parts:
        for name, how in SET.items():
            id = do(parts, "register", kind="person", name="Ada", external_ids=[{"source": "old", "id": name}]).id
            do(parts, "open", tickets, channel="email", subject="Whose?", customer=id)
            made[name] = id, do(parts, "rename", id=id, name="Ada Byron").position
            # Whoever appends next comes after it, on its record and on others.
            spoil(module_database, made[name][1], how)
            do(parts, "addTag", id=id, tag="VIP")
    with opened(module_database, folder) as parts, psycopg.connect(module_database, autocommit=True) as db:
        head = do(parts, "register", kind="person", name="Bob").position
        install(db, models)
        runner = ProjectionRunner(parts.logins.posting, parts.mapper, models)
        runner.start()
        try:
            least = "SELECT min(position) FROM daybook_projections.models"
            until(lambda: db.execute(least).fetchone() == (head,), 10)
        finally:
            runner.stop()
    shell = Shell(module_database, folder)
    return [Timeless(shell, type_id("cus", id), position) for id, position in made.values()]


def test_it_parks_its_own_lanes_and_status_and_retry_name_it(at: list[Timeless]) -> None:
    shell = at[0].shell
    status = json.loads(shell.run("status", "--json").stdout)
    parked = {(lane["model"], lane["aggregate_id"], lane["position"]) for lane in status["parked_lanes"]}
    own = {(model, str(parse_type_id(one.name)[1]), one.position) for one in at for model in ("customers", "timeline")}
    assert parked == own
    assert {lane["error"].split(";")[0] for lane in status["parked_lanes"]} == {"NoSuchTime"}
    assert shell.run("rebuild", "customers").returncode == OK
    tried = shell.run("retry", "--json")
    assert (tried.returncode, len(json.loads(tried.stdout))) == (FAILED, len(own))
    attested = shell.run("attest", "--all")
    assert (attested.returncode, attested.stderr) == (OK, "")


def test_replay_names_it_and_tells_the_others(at: list[Timeless]) -> None:
    for one in at:
        done = one.shell.run("replay", one.name, "--json")
        assert (done.returncode, done.stderr) == (OK, f"{one.said}\n")
        story = json.loads(done.stdout)
        assert [(told["event"], told["read"]) for told in story] == [
            ("CustomerRegistered", True),
            ("CustomerRenamed", False),
            ("CustomerTagAdded", True),
        ]
        everything = one.shell.run("replay", one.name, "--all")
        assert (everything.returncode, one.said in everything.stdout) == (OK, True)
        page = one.shell.folder / "story.html"
        assert one.shell.run("replay", one.name, "--html", str(page)).returncode == OK


def test_why_and_diff_end_before_it_and_say_so(at: list[Timeless]) -> None:
    for one in at:
        for command in (("why", one.name, "name"), ("diff", one.name, "--from", "0")):
            done = one.shell.run(*command)
            assert (done.returncode, done.stderr) == (OK, f"{one.said} What is told ends before it.\n")
            assert "'Ada Byron'" not in done.stdout


def test_a_bundle_ends_before_it_or_says_why_not(at: list[Timeless]) -> None:
    for one in at:
        file = one.shell.folder / "one.bundle.json"
        done = one.shell.run("bundle", one.name, "-o", str(file))
        assert (done.returncode, done.stderr) == (FAILED, f"daybook: {one.said}\n")
        assert one.shell.run("bundle", one.name, "-o", str(file), "--as-of", str(one.position - 1)).returncode == OK


@pytest.mark.parametrize("how", SET)
def test_clients_are_told_the_rest(database: str, tmp_path: Path, how: str) -> None:
    with listening(database, tmp_path) as server:
        id = server.customer("Ada")
        renamed = int(server.mutate("customerRename", id=id, name="Ada Byron")["position"])
        spoil(database, renamed, SET[how])
        server.customer("Bob")
        with server.connected() as client:
            client.subscribe(FEED)
            changes = [client.next("changes")["change"] for _ in range(4)][1:]
        assert [(one["position"], one["data"] is None) for one in changes] == [("1", False), ("2", True), ("3", False)]
        assert server.post(WHY, {"id": id})["whyValue"] == {"after": "Ada"}
