"""Keys are rotated, and whoever rotates them killed at every step, while two servers are written to."""

from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from domain.kernel import parse_type_id
from tests.faults.invariants import hold
from tests.faults.load import Load
from tests.faults.processes import Process, Server, stopped_at_the_end
from tests.faults.report import Report, seeds
from tests.infra.test_person_keys import keys, openable
from tests.infra.test_rotation import opens, raw, wrapped_keys

pytestmark = pytest.mark.campaign

_WRITTEN = ("rotation-file-beside", "rotation-file-replaced")
STEPS = (*_WRITTEN, "rotation-epoch-begun", "rotation-keys-wrapped", "rotation-epoch-ended", *_WRITTEN)
"""Of one rotation, each done by another process: the file is written with the new key, and without the former one."""

PERSONAL = ("rotation-person-keys-stored", "rotation-person-keys-committed")
"""Of persons' keys: before what was done is committed, and after it."""


@pytest.mark.parametrize("seed", seeds(1, 10))
def test_killed_at_every_step(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    servers = [Server(database, tmp_path, name=f"serve-{name}") for name in "ab"]
    rotation = Process(database, tmp_path, "rotate", "master-key", name="rotate")
    everybody = Process(database, tmp_path, "rotate", "person-key", "--all", name="rotate-all")
    load, file = Load([server.url for server in servers], seed), tmp_path / "master.key"
    former: set[bytes] = set()

    def killed_and_done(process: Process, *points: str) -> None:
        for point in points:
            print(point)  # pytest shows the last one where it went wrong
            former.update(raw(file))
            process.start(point)
            process.wait_killed()
            load.wait_for_more(5)
        former.update(raw(file))
        process.start()
        assert process.wait_done() == 0, process.tail()
        load.wait_for_more(5)

    with stopped_at_the_end(*servers, rotation, everybody):
        for server in servers:
            server.start()
        for server in servers:
            server.wait_alive()
        with load.under_way():
            load.wait_for_more(20)
            shared = load.shared[0]  # all clients write to this one, through both servers
            person = Process(database, tmp_path, "rotate", "person-key", shared, name="rotate-one")
            with stopped_at_the_end(person):
                killed_and_done(person, *PERSONAL)
            killed_and_done(rotation, *STEPS)
            killed_and_done(everybody, *PERSONAL)
        assert load.unanswered == {}, "no client has noticed"
        events = hold(database, tmp_path, load)
        [master] = raw(file)
        former.remove(master)
        assert len(former) == 2, "it was one rotation, and then another"
        for wrapped, bound in wrapped_keys(database):
            assert opens(master, wrapped, bound)
            assert not any(opens(one, wrapped, bound) for one in former)
        assert [one.name for one in tmp_path.glob("*master.key*")] == ["master.key"]
        _each_entry_is_under_one_generation(database, file, parse_type_id(shared)[1])
        assert [server.stop() for server in servers] == [0, 0]
    report.add(seed=seed, faults=len(STEPS) + 2 * len(PERSONAL), load=load, events=events)


def _each_entry_is_under_one_generation(database: str, file: Path, person: UUID) -> None:
    with psycopg.connect(database) as db:
        sealed = db.execute(
            "SELECT position FROM daybook.events WHERE subject = %s AND sealed IS NOT NULL ORDER BY position", (person,)
        ).fetchall()
        assert db.execute("SELECT FROM daybook_keys.rotations WHERE ended_at IS NULL").rowcount == 0
    generations = keys(database, file, person)
    assert len(generations) == 4, "once when killed after it was done, once when not, once with all, and the first"
    assert [(position,) for key in generations for position in openable(database, key)] == sealed
