"""Non-interference: what somebody may not see changes nothing that they are told, whatever they try and follow.

Two worlds (tests/api/worlds.py) differ only in that. In both of them A tries the same random mutations, on records that
A sees and on others, with references to either, reads, and follows every record and the whole book, over a WebSocket or
as server-sent events, while others go on working. Answers and streams must be the same, but for what
docs/operator/security.md declares. Reading alone, with its cursors, is in test_sight.py.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from graphql import GraphQLObjectType
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from api.composition import Parts
from domain.access import Authority
from domain.catalogue import catalogue
from domain.kernel import Refused, type_id
from domain.kernel.permissions import Permission, Scope
from domain.kernel.recorded import Context
from domain.steps import blocking
from domain.ticket import ticket
from tests.api.attempts import RECORDS, Attempts, everything
from tests.api.filled import entries, opened
from tests.api.house import Step, entered
from tests.api.identity.signing_in import signed_in
from tests.api.listening import Server, Socket, listening
from tests.api.told import SCHEMA, A, event_streams, reads
from tests.api.worlds import EMAIL, History
from tests.faults.report import FIRST_SEED, FULL

HISTORIES, ATTEMPTS = (100, 100) if FULL else (3, 50)
MOST_FOLLOWED = 45
"""A connection may have 50 operations under way."""

ENTRIES = (
    "{ position change { type aggregateKind aggregateId version actor subjectId reason data withheld hiddenFields } }"
)
PRICES = """{
    products(first: 50, orderBy: [{field: PRICE}]) {
        totalCount nodes { id hiddenFields price { amount currency } history(last: 5) { nodes { data hiddenFields } } }
        edges { cursor }
    }
    dear: products(first: 50, where: {price: {gt: {amount: "5000", currency: EUR}}}) { totalCount }
    ours: products(first: 50, where: {price: {currency: {eq: EUR}}}) { totalCount }
}"""
READS = (*reads(0), PRICES)


def _waterfall(pipeline: str) -> str:
    """Of all the past of a pipeline."""
    of = SCHEMA.query_type.fields["pipelineWaterfall"].type if SCHEMA.query_type else None
    assert isinstance(of, GraphQLObjectType)
    return f'{{ pipelineWaterfall(pipeline: "{pipeline}", from: {{position: "0"}}) {everything(of, 1)} }}'


class Told(NamedTuple):
    """All that A is told in one of the worlds."""

    answers: list[str]
    streams: Mapping[str, list[str]]
    """By what is followed: a record's id, or `changes`."""
    done: int
    """Attempts that were not refused."""


class Drawn(NamedTuple):
    """What happens in both worlds."""

    number: int
    """The seed of the histories, and of what A tries."""
    attempts: int
    events: bool
    """Whether A follows over server-sent events."""


def told_in(world: int, drawn: Drawn, database: str, directory: Path) -> Told:
    """The history of one of the worlds, and what A is told in the course of it."""
    history, chance = History(Random(drawn.number)), Random(f"attempts {drawn.number}")
    with opened(database, directory) as parts:
        for step in history.begun:
            if world in step.worlds:
                version = entered(parts, step, world)
                assert version or step.verb == "linkContact", step
        with listening(database, directory) as server, _signed_in(server, history, events=drawn.events) as a:
            return _played(a, parts, history, chance, world, drawn.attempts)


@contextmanager
def _signed_in(server: Server, history: History, *, events: bool) -> Iterator[A]:
    me, role = type_id("stf", history.me), type_id("rol", history.role)
    server.mutate("staffMemberGrantRole", id=me, role=role)  # answered when all that came before is there to be read
    with signed_in(server, me, EMAIL) as http:
        origin, cookies = str(http.base_url), "; ".join(f"{name}={value}" for name, value in http.cookies.items())
        if events:
            with event_streams(origin, http.headers, http.cookies) as streams:
                yield A(http, streams)
            return
        with server.socket(additional_headers={"Cookie": cookies}, origin=origin) as websocket:
            socket = Socket(websocket).send(type="connection_init", payload={})
            assert socket.receive() == {"type": "connection_ack"}
            yield A(http, socket)


def _played(a: A, parts: Parts, history: History, chance: Random, world: int, count: int) -> Told:
    a.follow("changes", f'subscription {{ told: changes(after: "0") {ENTRIES} }}')
    for kind in RECORDS:
        for id in history.ids[catalogue.prefixes[kind]]:
            a.follow_record(kind, id)
    waterfall = _waterfall(type_id("pip", history.pipeline))
    managing = Permission.MANAGE_STAFF in history.grants
    attempts = Attempts(chance, SCHEMA, history.ids, history.targets, history.gives_sight, managing=managing)
    done = 0
    for number in range(count):
        done += _tried(a, parts, attempts, history)
        a.ask(chance.choice((*READS, waterfall)))
        steps = [history.next_seen()] if chance.random() < 0.5 else []
        steps += history.leaving() if number == count // 2 else []
        for step in [*steps, *history.next_hidden(0), *history.next_hidden(1)]:
            if world in step.worlds:
                version = entered(parts, step, world)
                if len(step.worlds) == 2:
                    a.answers.append(f"{step.verb} {step.public_id}: {version}")
                    a.heard_of(step.public_id, entries(parts))
    a.ask(PRICES)
    for _ in range(2):  # what is told wrongly of something before comes before what is told of this
        last = history.next_seen()
        entered(parts, last, world)
        a.heard_of(last.public_id, entries(parts))
    never_seen = [type_id(catalogue.prefixes[one.kind], one.id) for one in history.never_seen]
    for id in never_seen:
        assert a.streams[id] == [{"data": {"told": None}}], "a change of what A does not see was told of"
    streams = {
        a.plainly.written(followed): [a.plainly.written(one) for one in told if not _is_mark(one)]
        for followed, told in a.streams.items()
    }
    return Told(a.answers, streams, done)


def _is_mark(told: Any) -> bool:
    """Whether it says nothing but how far the feed has come: a position."""
    change = told["data"]["told"] if isinstance(told, dict) else None
    return change is not None and change.get("change", True) is None


def _tried(a: A, parts: Parts, attempts: Attempts, history: History) -> bool:
    """One attempt; whether it was not refused."""
    attempt = attempts.next()
    field = SCHEMA.mutation_type.fields[attempt.mutation] if SCHEMA.mutation_type else None
    assert field is not None
    payload = field.type
    assert isinstance(payload, GraphQLObjectType)
    record = everything(payload.fields[attempt.noun].type, 1)
    typed = f"{attempt.mutation[0].upper()}{attempt.mutation[1:]}Input"
    answer = a.ask(
        f"mutation($i: {typed}!) {{ {attempt.mutation}(input: $i)"
        f" {{ {attempt.noun} {record} position userErrors {{ code message path parameters }} }} }}",
        {"i": attempt.input},
    )
    told = (answer.get("data") or {}).get(attempt.mutation)
    if not told or told["position"] is None:
        return False
    if attempt.kind in RECORDS:
        made = (told[attempt.noun] or {}).get("id")
        if id := attempt.target or made:
            if id not in history.ids[catalogue.prefixes[attempt.kind]]:
                history.ids[catalogue.prefixes[attempt.kind]].append(id)
                if len(a.streams) < MOST_FOLLOWED:
                    a.follow_record(attempt.kind, id)
            a.heard_of(id, int(told["position"]))
    return True


@pytest.mark.campaign
def test_what_one_does_not_see_changes_nothing_that_one_is_told_of_it(
    another_database: Callable[[], AbstractContextManager[str]], tmp_path: Path
) -> None:
    directories = (tmp_path / str(number) for number in count())

    @seed(FIRST_SEED)
    @settings(max_examples=HISTORIES, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.builds(Drawn, st.integers(0, 2**32), st.integers(ATTEMPTS // 2, ATTEMPTS), st.booleans()))
    def whatever_happens(drawn: Drawn) -> None:
        told = list[Told]()
        for world in (0, 1):
            directory = next(directories)
            directory.mkdir()
            with another_database() as database:
                told.append(told_in(world, drawn, database, directory))
        one, other = told
        for former, latter in zip(one.answers, other.answers, strict=True):
            assert former == latter
        assert list(one.streams) == list(other.streams)
        for followed, messages in one.streams.items():
            assert messages == other.streams[followed]

    whatever_happens()


def test_what_one_does_not_see_is_refused_together_with_what_is_not_there(database: str, tmp_path: Path) -> None:
    """Beside an id of nowhere, too: the errors don't tell which of the two is a record."""
    every = (Permission.READ_TICKETS, Permission.OPEN_TICKETS)
    grants = {Permission.READ_CUSTOMERS: Scope.OWN, **dict.fromkeys(every, Scope.ALL)}
    who = Authority(actor="user:a", staff_member=uuid4(), grants=grants)
    hidden, nowhere, refusals = uuid4(), uuid4(), list[Any]()
    with opened(database, tmp_path) as parts:
        assert entered(parts, Step("customer", "register", hidden, uuid4(), {"kind": "person", "name": "B"}), 0)
        for customer in (hidden, nowhere):
            raw = {"subject": "?", "channel": "email", "customer": customer, "follows": uuid4()}
            context = Context(actor=who.actor, idempotency_key=uuid4(), correlation_id=uuid4())
            with pytest.raises(Refused) as refused:
                blocking(parts.commands.submit(ticket, "open", raw, context, who))
            refusals.append([(rule.code, rule.path) for rule in refused.value.broken])
    assert refusals == 2 * [[("UNKNOWN_ID", ("customer",)), ("UNKNOWN_ID", ("follows",))]]
