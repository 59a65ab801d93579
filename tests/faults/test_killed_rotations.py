"""The master key is rotated, and whoever rotates it killed at every step, while two servers are written to."""

from pathlib import Path

import pytest

from tests.faults.invariants import hold
from tests.faults.load import Load
from tests.faults.processes import Process, Server, stopped_at_the_end
from tests.faults.report import Report, seeds
from tests.infra.test_rotation import opens, raw, wrapped_keys

pytestmark = pytest.mark.campaign

_WRITTEN = ("rotation-file-beside", "rotation-file-replaced")
STEPS = (*_WRITTEN, "rotation-epoch-begun", "rotation-keys-wrapped", "rotation-epoch-ended", *_WRITTEN)
"""Of one rotation, each done by another process: the file is written with the new key, and without the former one."""


@pytest.mark.parametrize("seed", seeds(1, 10))
def test_killed_at_every_step(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    servers = [Server(database, tmp_path, name=f"serve-{name}") for name in "ab"]
    rotation = Process(database, tmp_path, "rotate", "master-key", name="rotate")
    load, file = Load([server.url for server in servers], seed), tmp_path / "master.key"
    former: set[bytes] = set()
    with stopped_at_the_end(*servers, rotation):
        for server in servers:
            server.start()
        for server in servers:
            server.wait_alive()
        with load.under_way():
            load.wait_for_more(20)
            for step in STEPS:
                print(step)  # pytest shows the last one where it went wrong
                former.update(raw(file))
                rotation.start(step)
                rotation.wait_killed()
                load.wait_for_more(5)
            former.update(raw(file))
            rotation.start()
            assert rotation.wait_done() == 0, rotation.tail()
            load.wait_for_more(5)
        assert load.unanswered == {}, "no client has noticed"
        events = hold(database, tmp_path, load)
        [master] = raw(file)
        assert len(former) == 2, "it was one rotation, and then another"
        for wrapped, bound in wrapped_keys(database):
            assert opens(master, wrapped, bound)
            assert not any(opens(one, wrapped, bound) for one in former)
        assert [one.name for one in tmp_path.glob("*master.key*")] == ["master.key"]
        assert [server.stop() for server in servers] == [0, 0]
    report.add(seed=seed, faults=len(STEPS), load=load, events=events)
