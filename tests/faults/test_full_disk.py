"""The disk of PostgreSQL fills up under load, and is freed again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.faults.follower import Follower
from tests.faults.invariants import hold
from tests.faults.load import Load
from tests.faults.own_postgres import OwnPostgres, own_postgres
from tests.faults.processes import Server, stopped_at_the_end, until
from tests.faults.report import FULL, Report, seeds

pytestmark = pytest.mark.campaign

SIZE = 192 * 1024 * 1024
"""Bytes: a new cluster takes a third of it."""


@contextmanager
def small_file_system(place: Path) -> Iterator[Path]:
    """A file system of SIZE. Skips the test where this process may not mount one."""
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small file system that this needs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(ballast: Path) -> None:
    """Write until there is no room left."""
    with ballast.open("wb", buffering=0) as out:
        size = 1024 * 1024
        while size >= 512:
            try:
                out.write(bytes(size))
            except OSError:
                size //= 2


def starve(load: Load, postgres: OwnPostgres, ballast: Path) -> None:
    """Fill the disk, and wait until clients have heard of it."""
    behind, unavailable = load.behind, load.unanswered["UNAVAILABLE"]
    fill(ballast)
    # Tables can't grow any more. The log has room in its last segment: commands are done, read models stay behind.
    until(lambda: load.behind > behind or load.unanswered["UNAVAILABLE"] > unavailable, "read models stay behind")
    # No room for a new segment either: PostgreSQL panics, restarts, and can't recover.
    with suppress(psycopg.OperationalError):
        postgres.administer("SELECT pg_switch_wal(), pg_switch_wal()")
    until(lambda: load.unanswered["UNAVAILABLE"] >= unavailable + 3, "clients are told so")


@pytest.mark.parametrize("seed", seeds(1, 3))
def test_a_full_disk(tmp_path: Path, seed: int, report: Report) -> None:
    rounds = 5 if FULL else 1
    with small_file_system(tmp_path / "disk") as disk, own_postgres(disk / "postgres") as postgres:
        server = Server(postgres.conninfo, tmp_path)
        load, follower = Load([server.url], seed), Follower([server.url])
        with stopped_at_the_end(server):
            server.start()
            server.wait_alive()
            with follower.following():
                with load.under_way():
                    for _ in range(rounds):
                        load.wait_for_more(50)
                        starve(load, postgres, disk / "ballast")
                        (disk / "ballast").unlink()
                        if not postgres.answers():
                            postgres.start()
                        load.wait_for_more(20)
                events = hold(postgres.conninfo, tmp_path, load, follower)
            assert server.stop() == 0
        report.add(seed=seed, faults=rounds, load=load, events=events)
