"""Commits held open while others want to finish: nobody sees a later position before an earlier one."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from infra.append import APPEND_LOCK
from tests.faults.commands import Acknowledged, Answer, Asked, command, send
from tests.faults.follower import Follower
from tests.faults.invariants import hold
from tests.faults.load import Load
from tests.faults.processes import Server, stopped_at_the_end, until
from tests.faults.report import FULL, Report, seeds
from tests.faults.tail import Tail

pytestmark = pytest.mark.campaign

GATE = 4711
"""An advisory lock: a commit that archives a customer waits for it."""

# Deferred: it runs inside COMMIT, when everything is inserted and nothing can be seen yet.
HELD = f"""
    CREATE FUNCTION daybook.held() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.topic = 'CustomerArchived' THEN
            PERFORM pg_advisory_xact_lock_shared({GATE});
        ELSIF random() < 0.05 THEN
            PERFORM pg_sleep(random() / 10);
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER held AFTER INSERT ON daybook.events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION daybook.held();
"""
_WAITING = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND (classid::bigint << 32 | objid::bigint) = %s AND database = (
        SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.mark.parametrize("seed", seeds(1, 5))
def test_a_commit_held_open(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    numbers = random.Random(seed)
    servers = [Server(database, tmp_path, name=f"serve-{name}") for name in "ab"]
    urls = [server.url for server in servers]
    load, follower, tail = Load(urls, seed), Follower(urls), Tail(database)
    rounds = 20 if FULL else 3
    with stopped_at_the_end(*servers), psycopg.connect(database, autocommit=True) as gate:
        for server in servers:
            server.start()
            server.wait_alive()
        gate.execute(HELD.encode())
        with follower.following(), tail.reading():
            with load.under_way(), httpx.Client(timeout=60) as http:
                for turn in range(rounds):
                    asked = command(numbers, "customerRegister", "customer", kind="PERSON", name=f"Held {turn}")
                    answer = send(http, urls[turn % 2], asked)
                    load.note(asked, answer)
                    assert isinstance(answer, Acknowledged), answer
                    archive = command(numbers, "customerArchive", "customer", id=answer.id)
                    note = command(numbers, "customerAddNote", "customer", id=load.shared[0], text=f"Other {turn}")
                    hold_commit(gate, load, tail, archive, note, turn)
                    load.wait_for_more(10)
            events = hold(database, tmp_path, load, follower)
            until(lambda: tail.complaints or tail.position >= events, "the tailing reader has seen everything")
        assert tail.looks > 10
        assert [server.stop() for server in servers] == [0, 0]
    report.add(seed=seed, faults=rounds, load=load, events=events)


def hold_commit(gate: psycopg.Connection, load: Load, tail: Tail, archive: Asked, other: Asked, turn: int) -> None:
    """Hold the commit of a command open until the other process, too, wants to append; nothing becomes visible."""

    def send_it(asked: Asked, url: str) -> Answer:
        with httpx.Client(timeout=60) as http:
            return send(http, url, asked)

    def waiting(lock: int) -> int:
        [(count,)] = gate.execute(_WAITING, (lock,))
        return int(count)

    with ThreadPoolExecutor(2) as pool:
        gate.execute("SELECT pg_advisory_lock(%s)", (GATE,))
        try:
            held = pool.submit(send_it, archive, load.urls[turn % 2])
            until(lambda: waiting(GATE), "the commit is held open")
            head, looks = _head(gate), tail.looks
            # By now all other clients may wait for the same process.
            waits = pool.submit(send_it, other, load.urls[(turn + 1) % 2])
            until(lambda: waiting(APPEND_LOCK), "the other process wants to append")
            until(lambda: tail.looks > looks + 20, "the tailing reader has looked")
            assert _head(gate) == head, "somebody's entry became visible before the one that was numbered first"
            assert not held.done()
        finally:
            gate.execute("SELECT pg_advisory_unlock(%s)", (GATE,))
        for asked, coming in ((archive, held), (other, waits)):
            answer = coming.result()
            load.note(asked, answer)
            assert isinstance(answer, Acknowledged), answer
            assert answer.position > head


def _head(db: psycopg.Connection) -> int:
    [(head,)] = db.execute("SELECT max(position) FROM daybook.events")
    return int(head)
