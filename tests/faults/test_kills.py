"""kill -9 of Daybook's processes under concurrent mutations: at random, at named points, and of one among several."""

import random
from pathlib import Path

import psycopg
import pytest

from tests.faults.doomed import POINTS
from tests.faults.follower import Follower
from tests.faults.invariants import acknowledged_are_there, book_holds, hold
from tests.faults.load import Load
from tests.faults.processes import Process, Server, stopped_at_the_end, until
from tests.faults.report import FULL, Report, seeds

pytestmark = pytest.mark.campaign

KILLS = 20
"""Of each book; `make campaign` does it to 25 books."""


@pytest.mark.parametrize("seed", seeds(1, 25))
def test_killed_at_random(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    numbers = random.Random(seed)
    server = Server(database, tmp_path)
    load, follower = Load([server.url], seed), Follower([server.url])
    with stopped_at_the_end(server):
        server.start()
        server.wait_alive()
        with follower.following():
            with load.under_way():
                for _ in range(KILLS):
                    load.wait_for_more(numbers.randrange(60))
                    server.kill()
                    server.start()
                    still_whole(database, load)
                    server.wait_alive()
                load.wait_for_more(20)
            events = hold(database, tmp_path, load, follower)
        assert server.stop() == 0
    report.add(seed=seed, faults=KILLS, load=load, events=events)


@pytest.mark.parametrize("seed", seeds(1, 10))
def test_killed_at_points(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    numbers = random.Random(seed)
    points = [point for point in POINTS if not point.startswith(("import", "rotation", "erasure"))]
    numbers.shuffle(points)
    server = Server(database, tmp_path)
    load, follower = Load([server.url], seed), Follower([server.url])
    with stopped_at_the_end(server):
        server.start()
        server.wait_alive()
        with follower.following():
            with load.under_way():
                load.wait_for_more(10)
                server.kill()
                for point in points:
                    passes = numbers.randrange(1, 30)
                    print(f"{point}, pass {passes}")  # pytest shows the last one where it went wrong
                    server.start(point, passes)
                    server.wait_killed()
                    still_whole(database, load)
                server.start()
                server.wait_alive()
                load.wait_for_more(10)
            events = hold(database, tmp_path, load, follower)
        assert server.stop() == 0
    report.add(seed=seed, faults=len(points) + 1, load=load, events=events)


@pytest.mark.parametrize("seed", seeds(1, 5))
def test_one_of_two_servers_and_two_workers_killed(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    numbers = random.Random(seed)
    servers = [Server(database, tmp_path, "--no-projections", name=f"serve-{name}") for name in "ab"]
    workers = [Process(database, tmp_path, "work", name=f"work-{name}") for name in "ab"]
    urls = [server.url for server in servers]
    load, follower = Load(urls, seed), Follower(urls)
    kills = 20 if FULL else 4
    with stopped_at_the_end(*servers, *workers):
        for process in (*servers, *workers):
            process.start()
            process.wait_alive()
        with follower.following():
            with load.under_way():
                for kill in range(kills):
                    load.wait_for_more(numbers.randrange(60))
                    victim = (servers, workers)[kill % 2][numbers.randrange(2)]
                    victim.kill()
                    still_whole(database, load)
                    load.wait_for_more(10)  # the others carry on
                    victim.start()
                    victim.wait_alive()
            events = hold(database, tmp_path, load, follower)
        assert [process.stop() for process in (*servers, *workers)] == [0, 0, 0, 0]
    report.add(seed=seed, faults=kills, load=load, events=events)


@pytest.mark.parametrize("seed", seeds(1, 3))
def test_the_parent_of_two_workers_killed(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    """Its workers, which nobody restarts any more, finish what they have in hand and leave the port to the next one."""
    numbers = random.Random(seed)
    server = Server(database, tmp_path, "--workers", "2")
    load, follower = Load([server.url], seed), Follower([server.url])
    kills = 10 if FULL else 1
    with stopped_at_the_end(server):
        server.start()
        server.wait_alive()
        with follower.following():
            with load.under_way():
                for _ in range(kills):
                    load.wait_for_more(20 + numbers.randrange(60))
                    server.kill()
                    until(server.port_is_free, "the workers leave")
                    still_whole(database, load)
                    server.start()
                    server.wait_alive()
                load.wait_for_more(20)
            events = hold(database, tmp_path, load, follower)
        assert server.stop() == 0
    report.add(seed=seed, faults=kills, load=load, events=events)


def still_whole(database: str, load: Load) -> None:
    """What can be said of the book while it is written to."""
    told = load.known()
    with psycopg.connect(database, autocommit=True) as db, db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        book_holds(db)
        acknowledged_are_there(db, told)
