"""PostgreSQL killed, stopped at once and restarted under load; its connections cut; a commit held open."""

import os
import random
import signal
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PGconn, Ping

from tests.faults.follower import Follower
from tests.faults.invariants import hold
from tests.faults.load import Load
from tests.faults.own_postgres import OwnPostgres, own_postgres
from tests.faults.processes import PATIENCE, Server, stopped_at_the_end, until
from tests.faults.proxy import Proxy
from tests.faults.report import FULL, Report, seeds

pytestmark = pytest.mark.campaign


def head_killed(postgres: OwnPostgres) -> None:
    postgres.signal(signal.SIGKILL)
    postgres.start()


def stopped_at_once(postgres: OwnPostgres) -> None:
    postgres.signal(signal.SIGQUIT)
    postgres.start()


def committers_backend_killed(postgres: OwnPostgres) -> None:
    until(lambda: postgres.kill_backend("daybook committer"), "a committer is connected")
    until(postgres.answers, "PostgreSQL has restarted itself")


def projections_backend_killed(postgres: OwnPostgres) -> None:
    until(lambda: postgres.kill_backend("daybook projections"), "projections are connected")
    until(postgres.answers, "PostgreSQL has restarted itself")


FAULTS = [head_killed, stopped_at_once, committers_backend_killed, projections_backend_killed]


@pytest.mark.parametrize("seed", seeds(1, 5))
def test_postgresql_killed_and_restarted(tmp_path: Path, seed: int, report: Report) -> None:
    numbers = random.Random(seed)
    rounds = 5 if FULL else 1
    with own_postgres(tmp_path / "postgres") as postgres:
        server = Server(postgres.conninfo, tmp_path)
        load, follower = Load([server.url], seed), Follower([server.url])
        with stopped_at_the_end(server):
            server.start()
            server.wait_alive()
            with follower.following():
                with load.under_way():
                    for _ in range(rounds):
                        for fault in numbers.sample(FAULTS, len(FAULTS)):
                            load.wait_for_more(10 + numbers.randrange(60))
                            print(fault.__name__)  # pytest shows the last one where it went wrong
                            fault(postgres)
                    load.wait_for_more(20)
                events = hold(postgres.conninfo, tmp_path, load, follower)
            assert server.stop() == 0
        report.add(seed=seed, faults=rounds * len(FAULTS), load=load, events=events)


def test_a_server_that_restarts_itself_is_waited_for(tmp_path: Path) -> None:
    with own_postgres(tmp_path / "postgres") as postgres:
        with psycopg.connect(postgres.conninfo) as one, psycopg.connect(postgres.conninfo) as other:
            os.kill(other.info.backend_pid, signal.SIGSTOP)  # the restart has to wait for it
            os.kill(one.info.backend_pid, signal.SIGKILL)
            until(lambda: PGconn.ping(postgres.conninfo.encode()) == Ping.REJECT, "PostgreSQL restarts itself")
            postgres.start()
        assert postgres.answers()


TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM (
        SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2
    ) AS victims
"""


@pytest.mark.parametrize("seed", seeds(1, 5))
def test_connections_terminated(database: str, superuser: str, tmp_path: Path, seed: int, report: Report) -> None:
    numbers = random.Random(seed)
    server = Server(database, tmp_path)
    load, follower = Load([server.url], seed), Follower([server.url])
    cuts, rounds = 0, 100 if FULL else 15
    name = conninfo_to_dict(database)["dbname"]
    with stopped_at_the_end(server), psycopg.connect(superuser, autocommit=True) as db:
        server.start()
        server.wait_alive()
        with follower.following():
            with load.under_way():
                for _ in range(rounds):
                    load.wait_for_more(numbers.randrange(12))
                    [(cut,)] = db.execute(TERMINATE, (name,))
                    cuts += cut
                load.wait_for_more(20)
            events = hold(database, tmp_path, load, follower)
        assert server.stop() == 0
    report.add(seed=seed, faults=cuts, load=load, events=events)


@pytest.mark.parametrize("seed", seeds(1, 5))
def test_connections_cut_in_the_middle(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    proxy = Proxy(database, seed, longest=150_000)
    server = Server(proxy.conninfo, tmp_path)
    load, follower = Load([server.url], seed), Follower([server.url])
    with stopped_at_the_end(server):
        server.start()
        server.wait_alive()
        with follower.following():
            with load.under_way():
                with proxy.at_work():
                    wanted = 100 if FULL else 10
                    until(lambda: proxy.cuts >= wanted, f"{wanted} connections are cut", seconds=wanted * PATIENCE / 10)
                load.wait_for_more(20)
            events = hold(database, tmp_path, load, follower)
        assert server.stop() == 0
    proxy.close()
    report.add(seed=seed, faults=proxy.cuts, load=load, events=events)
