"""What one actor may take: points of cost that come back, and places for connections and subscriptions."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from api.limits import MOST_COST
from api.throttling import FAULTY_COST, FULL, Allowance, Buckets, Full, Places, Standing, Throttled
from tests.api.book import HEADERS, serving
from tests.api.listening import PATIENCE, Server, Socket, listening, until

PAGE = "query Q($n: Int!) { customers(first: $n) { nodes { name } } }"
"""Costs two, and one for each record on the page."""
FEED = "subscription { changes { position } }"


class Clock:
    """Time that the test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_actor_may_spend_a_full_bucket_at_once_and_then_what_comes_back() -> None:
    clock = Clock()
    buckets = Buckets(10, clock)
    assert buckets.take("ada", 150) == Standing(50, 10)
    assert buckets.take("ada", 50) == Standing(0, 10)
    with pytest.raises(Throttled, match="costs 35 points, and 0 are left") as refused:
        buckets.take("ada", 35)
    assert refused.value.headers == {"Retry-After": "4"}
    assert refused.value.extensions == {"code": "THROTTLED", "retryAfter": 4}
    assert buckets.take("grace", 200) == Standing(0, 10), "everybody has a bucket"
    clock.now += 3.4
    with pytest.raises(Throttled):
        buckets.take("ada", 35)
    clock.now += 0.1
    assert buckets.take("ada", 35) == Standing(0, 10), "who comes back when told is let through"
    clock.now += 1000
    assert buckets.take("ada", 1) == Standing(10 * FULL - 1, 10), "a bucket holds no more than it holds"


def test_what_costs_more_than_a_bucket_holds_runs_and_is_paid_off() -> None:
    clock = Clock()
    buckets = Buckets(10, clock)
    assert buckets.take("ada", 1000) == Standing(0, 10)
    with pytest.raises(Throttled) as refused:
        buckets.take("ada", 1)
    assert refused.value.headers["Retry-After"] == "81"
    clock.now += 100
    assert buckets.take("ada", 1) is not None
    assert buckets.take("ada", 1000, paid=1) is not None, "what was paid for it before does not count twice"


def test_over_any_time_nobody_gets_more_than_a_bucket_and_what_came_back() -> None:
    random, clock = Random(20261126), Clock()
    buckets, spent, begun = Buckets(100, clock), 0, clock.now
    for _ in range(5_000):
        clock.now += random.random() / 10
        cost = random.randint(1, 60)
        try:
            buckets.take("ada", cost)
        except Throttled as refused:
            clock.now += int(refused.headers["Retry-After"])
            buckets.take("ada", cost)
        spent += cost
        assert spent <= 100 * FULL + 100 * (clock.now - begun) + 1


def test_full_buckets_are_forgotten() -> None:
    clock = Clock()
    buckets = Buckets(10, clock)
    for number in range(100_000):
        clock.now += 0.01
        buckets.take(f"actor {number}", 10)
    assert len(buckets) <= 1_001
    buckets.take("the last", 200)
    for number in range(3_000):
        buckets.take(f"another {number}", 1)
    with pytest.raises(Throttled):
        buckets.take("the last", 1)


def test_without_a_limit_nothing_is_counted() -> None:
    buckets = Buckets(0)
    assert buckets.take("ada", 10**9) is None
    buckets.charge("ada", 10**9)
    assert len(buckets) == 0


def test_places_are_given_back_once() -> None:
    places = Places(2)
    places.take("ada", 1)
    places.take("ada", 2)
    places.take("grace", 3)
    with pytest.raises(Full):
        places.take("ada", 4)
    places.leave(4)
    places.leave(1)
    places.leave(1)
    places.take("ada", 5)
    with pytest.raises(Full):
        places.take("ada", 6)


@pytest.mark.anyio
async def test_over_http_the_answer_says_what_is_left_and_a_refusal_when_to_come_back(
    database: str, tmp_path: Path
) -> None:
    allowance = Allowance(cost_per_second=10)
    async with serving(database, tmp_path, projections=False, allowance=allowance) as client:
        cost = (await client.post(PAGE, {"n": 98})).json()["extensions"]["cost"]
        assert 100 <= cost.pop("available") < 105
        assert cost == {"requested": 100, "limit": MOST_COST, "restoreRate": 10}
        for accept in ("application/json", "application/graphql-response+json"):
            answer = await client.post(PAGE, {"n": 100}, Accept=accept)
            if answer.status_code == 200:  # the first of them may take the rest
                answer = await client.post(PAGE, {"n": 100}, Accept=accept)
            assert answer.status_code == 429
            (error,) = answer.json()["errors"]
            assert error["extensions"]["code"] == "THROTTLED"
            assert answer.headers["Retry-After"] == str(error["extensions"]["retryAfter"])
            assert 0 < error["extensions"]["retryAfter"] <= 11
            assert f"again in {error['extensions']['retryAfter']} s" in error["message"]
            cost = answer.json()["extensions"]["cost"]
            assert (cost["requested"], cost["restoreRate"]) == (102, 10)
            assert cost["available"] < 102
        given = '{idempotencyKey: "6f1c1e0e-52c5-4f0a-9c39-0a4d4f3a7d11", kind: PERSON, name: "Ada"}'
        register = (
            f"mutation {{ {' '.join(f'a{at}: customerRegister(input: {given}) {{ position }}' for at in range(20))} }}"
        )
        refused = await client.post(register)
        assert (refused.status_code, refused.json()["extensions"]["cost"]["requested"]) == (429, 200)


@pytest.mark.anyio
async def test_documents_that_are_refused_cost_too(database: str, tmp_path: Path) -> None:
    allowance = Allowance(cost_per_second=1)
    async with serving(database, tmp_path, projections=False, allowance=allowance) as client:
        assert (await client.post("{ nothing }")).status_code == 400
        answer = await client.post("{ __typename }")
        assert answer.status_code == 429, "not even the least"
        assert answer.json()["errors"][0]["extensions"]["retryAfter"] > FAULTY_COST - FULL - 60


@contextmanager
def followed(url: str) -> Iterator[str]:
    """A stream of events; its first answer."""
    headers = {**HEADERS, "Accept": "text/event-stream"}
    with httpx.stream("POST", url, json={"query": FEED}, headers=headers, timeout=PATIENCE) as answer:
        lines = answer.iter_lines()  # ends the stream when nobody holds it any more
        yield next(line for line in lines if line.startswith("data: ")).removeprefix("data: ")


def code_of(errors: list[dict[str, Any]]) -> str:
    (error,) = errors
    code: str = error["extensions"]["code"]
    return code


def test_an_actor_has_so_many_subscriptions_on_all_its_connections(database: str, tmp_path: Path) -> None:
    allowance = Allowance(subscriptions=3)
    with listening(database, tmp_path, projections=False, allowance=allowance) as server, ExitStack() as stack:
        url = f"http://127.0.0.1:{server.port}/graphql"
        one, other = stack.enter_context(server.connected()), stack.enter_context(server.connected())
        one.subscribe(FEED, id="1").next("changes")
        other.subscribe(FEED, id="1").next("changes")
        with followed(url) as begun:
            assert '"data":{"changes"' in begun
            message = one.subscribe(FEED, id="2").receive()
            assert (message["type"], code_of(message["payload"])) == ("error", "TOO_MANY_SUBSCRIPTIONS")
            with followed(url) as refused:
                assert code_of(json.loads(refused)["errors"]) == "TOO_MANY_SUBSCRIPTIONS"
            assert one.subscribe("{ __typename }", id="3").next("__typename") == "Query", "others go on"
            assert one.receive()["type"] == "complete"
        for place in ("the stream's", "the first socket's", "the other socket's"):
            if place == "the first socket's":
                one.send(id="1", type="complete")
            if place == "the other socket's":
                other.websocket.close()
            with server.connected() as third:
                until(lambda: third.subscribe(FEED, id=place).receive()["type"] == "next")  # noqa: B023  # at once


def connects(server: Server) -> bool:
    try:
        with server.connected():
            return True
    except ConnectionClosed:
        return False


def test_an_actor_has_so_many_connections(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path, projections=False, allowance=Allowance(connections=2)) as server:
        with server.connected() as one, server.connected():
            with pytest.raises(ConnectionClosed) as closed, server.connected():
                pass
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429
            assert "Too many connections" in closed.value.rcvd.reason
            with server.socket() as stranger:
                Socket(stranger).send(type="connection_init", payload={"Authorization": "Bearer wrong"})
                with pytest.raises(ConnectionClosed, match="4401"):
                    stranger.recv(timeout=PATIENCE)
            one.websocket.close()
            until(lambda: connects(server))
