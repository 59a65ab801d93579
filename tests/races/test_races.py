"""Races between clients of real servers: every one of them ends as one would want it to, in one process and in two."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import httpx
import psycopg
import pytest

from tests.databases import Databases
from tests.faults.commands import Acknowledged, Answer, Asked, Refused, command, send
from tests.faults.processes import Server, stopped_at_the_end

T = TypeVar("T")


class Race(NamedTuple):
    """Servers on one database."""

    urls: list[str]
    db: psycopg.Connection[Any]
    numbers: random.Random

    def run(self, asked: Sequence[Asked]) -> list[Answer]:
        """Send all of them at the same moment, by turns to each server; the answers, in their order."""
        start = threading.Barrier(len(asked))

        def take_part(lane: int) -> Answer:
            with httpx.Client(timeout=60) as http:
                start.wait()
                return send(http, self.urls[lane % len(self.urls)], asked[lane])

        with ThreadPoolExecutor(len(asked)) as pool:
            return [*pool.map(take_part, range(len(asked)))]

    def first(self, asked: Asked) -> str:
        """Have a command done; the id of its record."""
        (answer,) = self.run([asked])
        assert isinstance(answer, Acknowledged), answer
        assert answer.id is not None
        return answer.id

    def events(self, *keys: Any) -> list[tuple[Any, ...]]:
        """Key, record and version of the events that these commands left."""
        return self.db.execute(
            "SELECT idempotency_key, originator_id, originator_version FROM daybook.events"
            " WHERE idempotency_key = ANY(%s) ORDER BY position",
            (list(keys),),
        ).fetchall()

    def receipts(self) -> Counter[Any]:
        """How many there are, by key."""
        return Counter(key for (key,) in self.db.execute("SELECT idempotency_key FROM daybook.receipts"))


@pytest.fixture(scope="module", params=[1, 2], ids=["one-process", "two-processes"])
def race(
    request: pytest.FixtureRequest, _databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Race]:
    """One book for all races: each has records and addresses of its own."""
    directory = tmp_path_factory.mktemp("race")
    with _databases.book() as database:
        servers = [Server(database, directory, name=f"serve-{number}") for number in range(request.param)]
        with stopped_at_the_end(*servers):
            for server in servers:
                server.start()
                server.wait_alive()
            servers[0].wait_ready()
            with psycopg.connect(database, autocommit=True) as db:
                yield Race([server.url for server in servers], db, random.Random(1))


def a_customer(race: Race, **given: Any) -> Asked:
    return command(race.numbers, "customerRegister", "customer", kind="PERSON", name="Ada", **given)


def test_40_compatible_commands_on_one_record_all_succeed(race: Race) -> None:
    id = race.first(a_customer(race))
    changes: Sequence[Callable[[int], Asked]] = (
        lambda n: command(race.numbers, "customerAddNote", "customer", id=id, text=f"Note {n}"),
        lambda n: command(race.numbers, "customerAddTag", "customer", id=id, tag=f"tag {n}"),
        lambda n: command(race.numbers, "customerClassify", "customer", id=id, scheme=f"scheme {n}", value="a"),
        lambda n: command(race.numbers, "customerRename", "customer", id=id, name=f"Ada {n}"),
    )
    asked = [changes[number % len(changes)](number) for number in range(40)]
    answers = race.run(asked)
    assert [answer for answer in answers if not isinstance(answer, Acknowledged)] == []
    found = race.events(*(one.key for one in asked))
    assert sorted(key for key, _, _ in found) == sorted(one.key for one in asked)
    assert [version for _, _, version in found] == list(range(2, 42))


def test_20_replies_to_a_closed_ticket_open_one_follow_up(race: Race) -> None:
    closed = race.first(command(race.numbers, "ticketOpen", "ticket", channel="EMAIL", subject="Charger"))
    race.first(command(race.numbers, "ticketSolve", "ticket", id=closed, code="FIXED"))
    race.first(command(race.numbers, "ticketClose", "ticket", id=closed))
    asked = [
        command(race.numbers, "ticketReceiveReply", "ticket", id=closed, text=f"Reply {number}") for number in range(20)
    ]
    answers = race.run(asked)
    assert [answer for answer in answers if not isinstance(answer, Acknowledged)] == []
    found = race.events(*(one.key for one in asked))
    assert sorted(key for key, _, _ in found) == sorted(one.key for one in asked)
    assert len({record for _, record, _ in found}) == 1
    assert [version for _, _, version in found] == list(range(1, 21))


def test_one_idempotency_key_20_times_at_once_has_one_effect_and_one_receipt(race: Race) -> None:
    before = race.receipts()
    asked = a_customer(race, contactPoints=[{"kind": "EMAIL", "value": "ada@example.com"}])
    answers = race.run([asked] * 20)
    assert len(set(answers)) == 1
    (answer,) = set(answers)
    assert isinstance(answer, Acknowledged), answer
    note = command(race.numbers, "customerAddNote", "customer", id=answer.id, text="Once.")
    (noted,) = set(race.run([note] * 20))
    assert isinstance(noted, Acknowledged), noted
    assert len(race.events(asked.key, note.key)) == 2
    assert race.receipts() - before == {asked.key: 1, note.key: 1}


def test_one_key_with_20_inputs_at_once_has_one_effect(race: Race) -> None:
    key = a_customer(race).key
    asked = [
        a_customer(race)._replace(
            key=key, input={"kind": "PERSON", "name": f"Ada {number}"}, may_be_refused="IDEMPOTENCY_KEY_REUSED"
        )
        for number in range(20)
    ]
    answers = race.run(asked)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert refused == 19 * [Refused(("IDEMPOTENCY_KEY_REUSED",), (("idempotencyKey",),))]
    assert sum(isinstance(answer, Acknowledged) for answer in answers) == 1
    assert len(race.events(key)) == 1


def test_of_two_who_register_one_address_one_wins(race: Race) -> None:
    for number in range(10):
        # The same address, however it is written.
        given = [
            [{"kind": "EMAIL", "value": value}] for value in (f"ada{number}@example.com", f"ADA{number}@Example.COM")
        ]
        asked = [a_customer(race, contactPoints=one)._replace(may_be_refused="EMAIL_TAKEN") for one in given]
        answers = race.run(asked)
        (refused,) = (answer for answer in answers if isinstance(answer, Refused))
        assert refused == Refused(("EMAIL_TAKEN",), (("contactPoints", "0", "value"),))
        assert sum(isinstance(answer, Acknowledged) for answer in answers) == 1
        assert len(race.events(*(one.key for one in asked))) == 1


def test_of_20_who_saw_one_version_one_may_change_it(race: Race) -> None:
    id = race.first(a_customer(race))
    asked = [
        command(
            race.numbers,
            "customerRename",
            "customer",
            may_be_refused="VERSION_CONFLICT",
            id=id,
            name=f"Ada {number}",
            expectedVersion=1,
        )
        for number in range(20)
    ]
    answers = race.run(asked)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert refused == 19 * [Refused(("VERSION_CONFLICT",), (("expectedVersion",),))]
    assert len(race.events(*(one.key for one in asked))) == 1
