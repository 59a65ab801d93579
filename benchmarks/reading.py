"""Reading over HTTP: a page of customers with deals and tickets, and one customer, beside servers of other makes."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec
import psutil  # type: ignore[import-untyped]
import psycopg

from benchmarks import page
from benchmarks.contenders.started import node, python, started, why_no_node
from benchmarks.laboratory import Laboratory
from benchmarks.load import Loaded, Post, ask, load, post
from benchmarks.results import Figure, Goal, Section
from benchmarks.rounds import Operation, drive
from benchmarks.server import TOKEN, Client, cpu_seconds, serving, settings, url

CLIENTS = 8
"""As many as a process of Daybook has connections to read through."""
CROWD = 10 * CLIENTS
_WARM_UP = 0.5
"""Seconds: statements are prepared on all connections, plans are made, code is compiled."""
PAGE, ONE = "page", "one customer"
DAYBOOK, READY, REFERENCE = "Daybook", "a ready dict", "Strawberry with dataloaders"
PACED = "a ready dict, at the same pace"
POSTGRAPHILE, MERCURIUS = "PostGraphile 5", "Mercurius with graphql-jit, in memory"
BY_CPU = {PAGE: 0.5, ONE: 0.35}
"""Goals against a ready dict, by CPU of the server process. They do not say at what pace: it is the same for both."""
SHARE = 0.5
"""Of the pace that Daybook keeps up: so many requests a second it and a ready dict are asked, to compare them."""
WORKERS, CROWDED = "Daybook with 4 workers", f"Daybook with {CROWD} clients"

PLAIN = "mutation Plain($input: CustomerRegisterInput!) { customerRegister(input: $input) { %s } }"
REGISTER_PLAIN = PLAIN % "customer { name } userErrors { code }"
REGISTER_NESTED = PLAIN % (
    "customer { id name version status createdAt contactPoints { id kind value primary } tags owner { name }"
    " opportunities(first: 5) { nodes { id title amount { amount currency } } }"
    " tickets(first: 3) { nodes { id subject status } } history(first: 5) { totalCount } } userErrors { code }"
)


class Contender(NamedTuple):
    name: str
    process: psutil.Process
    posts: Mapping[str, Post]


class Turn(NamedTuple):
    """What one contender did in its turn, and the CPU that an answer took, in microseconds."""

    loaded: Loaded
    server: float
    database: float


def run(laboratory: Laboratory) -> Section:
    turns: Turns = defaultdict(list)
    with laboratory.database() as conninfo:
        laboratory.say("reading: filling the tables")
        place = _Place(laboratory, conninfo, page.fill(conninfo))
        with ExitStack() as stack:
            ours = place.daybook(stack, DAYBOOK)
            # All at once would need more connections than PostgreSQL has; ours takes turns with every group.
            for group in (place.others, place.four_workers):
                with ExitStack() as started_for_it:
                    beside = group(started_for_it)
                    for turn in range(laboratory.scale.rounds):
                        laboratory.say(f"reading: {group.__name__.strip('_')}, round {turn + 1}")
                        for what in (PAGE, ONE):
                            of_ours = place.turn(ours, ours.posts[what], CLIENTS)
                            pace = SHARE * of_ours.loaded.per_second
                            for each in beside:
                                turns[each.name, what].append((of_ours, place.turn(each, each.posts[what], CLIENTS)))
                                if each.name == READY:
                                    both = (place.turn(who, who.posts[what], CLIENTS, pace) for who in (ours, each))
                                    turns[PACED, what].append((next(both), next(both)))
                            crowd = place.turn(ours, ours.posts[what], CROWD)
                            turns[CROWDED, what].append((of_ours, crowd))
            sizes = {what: len(ask(one)) for what, one in ours.posts.items()}
            mutations = _mutations(laboratory, ours.posts[PAGE].port)
    return Section("Reading over HTTP", [*_figures(turns), *mutations], _said(turns, sizes))


Turns: TypeAlias = dict[tuple[str, str], list[tuple[Turn, Turn]]]
"""Of each contender and query, by round: Daybook's turn just before, and the contender's own."""


class _Place:
    """Starts contenders on one database, and sees that they all say the same."""

    def __init__(self, laboratory: Laboratory, conninfo: str, customer: str) -> None:
        self._laboratory, self._url = laboratory, url(conninfo)
        self._environment = settings(laboratory.folder / "reading", conninfo)
        self._asked = {PAGE: (page.PAGE, {"first": page.ON_PAGE}), ONE: (page.ONE, {"id": customer})}
        self._right: dict[str, Any] = {}
        with psycopg.connect(conninfo, autocommit=True) as db:
            db.execute(_beside("views.sql").read_bytes())

    def daybook(self, stack: ExitStack, name: str, *words: str) -> Contender:
        served = stack.enter_context(serving(self._environment, *words))
        return self._contender(name, served.process, served.port, self._asked, {"Authorization": f"Bearer {TOKEN}"})

    def others(self, stack: ExitStack) -> list[Contender]:
        """The servers of other makes."""
        answers = self._written("answers.json", {self._asked[what][0]: each for what, each in self._right.items()})
        ours = (page.PAGE, page.ONE)
        found = [
            self._other(stack, READY, python("ready_dict", answers), ours),
            self._other(stack, REFERENCE, python("reference", self._url), ours),
        ]
        if why_no_node():
            return found
        schema, customers = _beside("mercurius.graphql").read_text(), self._right[PAGE]["data"]["customers"]["nodes"]
        rows = self._written("rows.json", {"schema": schema, "customers": customers})
        theirs = (page.POSTGRAPHILE_PAGE, page.POSTGRAPHILE_ONE)
        return [
            *found,
            self._other(stack, POSTGRAPHILE, node("postgraphile.js"), theirs),
            self._other(stack, MERCURIUS, node("mercurius.js", rows), ours),
        ]

    def four_workers(self, stack: ExitStack) -> list[Contender]:
        return [self.daybook(stack, WORKERS, "--workers", "4")]

    def turn(self, contender: Contender, one: Post, clients: int, pace: float = 0) -> Turn:
        def spent() -> tuple[float, float]:
            return sum(cpu_seconds(contender.process).values()), sum(cpu_seconds(self._laboratory.postmaster).values())

        server, database = spent()
        loaded = load(one, clients, self._laboratory.scale.seconds, pace)
        server_after, database_after = spent()
        each = 1e6 / loaded.answers
        return Turn(loaded, (server_after - server) * each, (database_after - database) * each)

    def _other(self, stack: ExitStack, name: str, words: Sequence[str], queries: Sequence[str]) -> Contender:
        production = {"NODE_ENV": "production", "GRAPHILE_ENV": "production", "DATABASE_URL": self._url}
        process, port = stack.enter_context(started(words, production))
        variables = [each for _, each in self._asked.values()]
        return self._contender(
            name, process, port, dict(zip(self._asked, zip(queries, variables, strict=True), strict=True))
        )

    def _contender(
        self,
        name: str,
        process: psutil.Process,
        port: int,
        asked: Mapping[str, tuple[str, Any]],
        headers: Mapping[str, str] = {},
    ) -> Contender:
        posts: dict[str, Post] = {}
        for what, (query, variables) in asked.items():
            sent = partial(post, port, "/graphql", {"query": query, "variables": variables}, headers)
            answer = _first_answer(sent(bool))
            if self._right.setdefault(what, _read(answer)) != _read(answer):
                raise RuntimeError(f"{name} answers another thing than Daybook: {answer[:1000]!r}")
            posts[what] = sent(answer.__eq__)
            load(posts[what], CLIENTS, _WARM_UP)
        return Contender(name, process, posts)

    def _written(self, name: str, value: object) -> str:
        file = self._laboratory.folder / name
        file.write_bytes(msgspec.json.encode(value))
        return str(file)


def _beside(name: str) -> Path:
    return Path(__file__).parent / "contenders" / name


def _first_answer(one: Post) -> bytes:
    answer = ask(one)
    if b'"errors"' in answer:
        raise RuntimeError(f"not an answer: {answer[:1000]!r}")
    return answer


def _read(answer: bytes) -> Any:
    """The answer's data, in which an instant is one value, however it is written. Its extensions are Daybook's own."""
    answered = msgspec.json.decode(re.sub(rb"(T\d\d:\d\d:\d\d)(?:\.0+)?(?:Z|\+00:00)", rb"\1Z", answer))
    return {"data": answered.get("data")}


def _mutations(laboratory: Laboratory, port: int) -> list[Figure]:
    """The same mutation with little and with much selected, in turns."""
    took: dict[str, list[float]] = {REGISTER_PLAIN: [], REGISTER_NESTED: []}
    clients = [Client(port) for _ in range(CLIENTS)]
    for turn in range(laboratory.scale.rounds):
        laboratory.say(f"reading: mutations, round {turn + 1}")
        for mutation, found in took.items():
            operations: list[Operation] = [partial(client.register, mutation) for client in clients]
            found.append(drive(operations, laboratory.scale.seconds).per_second)
    plain, nested = (statistics.median(found) for found in took.values())
    return [
        Figure("customerRegister, its name selected", plain, "/s"),
        Figure("customerRegister, six lists and objects below it selected: against that", nested / plain, "x"),
    ]


def _figures(turns: Turns) -> list[Figure]:
    goals = {(REFERENCE, PAGE): 25.0, (POSTGRAPHILE, PAGE): 4.0, (CROWDED, PAGE): 0.9}
    figures: list[Figure] = []
    for what in (PAGE, ONE):
        pace = statistics.median(ours.loaded.per_second for ours, _ in turns[CROWDED, what])
        figures.append(Figure(f"{what}: Daybook", pace, "/s"))
        for name in (READY, REFERENCE, POSTGRAPHILE, MERCURIUS):
            if found := turns.get((name, what)):
                ratio = statistics.median(ours.loaded.per_second / their.loaded.per_second for ours, their in found)
                goal = goals.get((name, what))
                figures.append(
                    Figure(f"{what}: Daybook against {name}", ratio, "x", Goal(goal, "at least") if goal else None)
                )
        for name, goal_by_cpu in ((PACED, Goal(BY_CPU[what], "at least")), (READY, None)):
            ratio = statistics.median(their.server / ours.server for ours, their in turns[name, what])
            figures.append(
                Figure(f"{what}: Daybook against {name}, by CPU of the server process", ratio, "x", goal_by_cpu)
            )
        for name in (WORKERS, CROWDED):
            ratio = statistics.median(
                their.loaded.per_second / ours.loaded.per_second for ours, their in turns[name, what]
            )
            goal = goals.get((name, what))
            figures.append(
                Figure(f"{what}: {name}, against Daybook", ratio, "x", Goal(goal, "at least") if goal else None)
            )
        for clients, at in ((CLIENTS, 0), (CROWD, 1)):
            p95 = statistics.median(both[at].loaded.p95_ms for both in turns[CROWDED, what])
            figures.append(Figure(f"{what}, {clients} clients: p95", p95, "ms"))
    return figures


def _asked_of(turns: Turns) -> Iterator[tuple[str, str, str, int]]:
    """Whose turns are told: by name and query, who it was, and which of the two turns."""
    for name, what in turns:
        if name == PACED:
            yield name, what, f"{DAYBOOK}, at the same pace", 0
        yield (name, what, DAYBOOK, 0) if name == CROWDED else (name, what, name, 1)


def _said(turns: Turns, sizes: Mapping[str, int]) -> list[str]:
    spent, missing = list[str](), why_no_node()
    for name, what, who, at in _asked_of(turns):
        found = turns[name, what]
        server = statistics.median(both[at].server for both in found)
        database = statistics.median(both[at].database for both in found)
        spent.append(f"{who}, {what}: {server:,.0f} and {database:,.0f}")
    return [
        (
            f"Answers a second over HTTP on the loopback, to {CLIENTS} clients that keep their connections; a ratio is"
            f" the median of the rounds' ratios. The page ({sizes[PAGE] / 1000:.0f} kB) is {page.ON_PAGE} of"
            f" {page.CUSTOMERS_IN_ALL:,} customers with"
            f" {page.OPPORTUNITIES_EACH} deals and {page.TICKETS_EACH} tickets each, written straight into the tables"
            f" of the read models; one customer is {sizes[ONE]:,} bytes. Everybody's answer is compared with Daybook's"
            " before anything is measured, and every answer with the first one while it is. Daybook is `daybook serve`"
            " with its token, its limits and its projections; the ready dict is Starlette and orjson, on the same"
            " uvicorn; the reference is Strawberry with a dataloader and a statement for each level. PostGraphile reads"
            " the same tables through views; Mercurius has its rows in memory."
        ),
        (
            "The servers, PostgreSQL and the clients share the cores of this machine. So answers a second also weigh"
            " what PostgreSQL does, for which a ready dict has no need: against it, Daybook's answers a second are a"
            " lower figure than the one by CPU of the server process, and they have no goal. Nothing is remembered of"
            " an answer: each one is read from the tables. Four workers can be faster than one only as far as there"
            " are cores left over."
        ),
        (
            "The goals against a ready dict are those of a laboratory that took the CPU of the server and of the"
            " database apart. Here they are held against both at the same pace: each of the two answers as many"
            f" requests a second, evenly spread over {CLIENTS} connections, {SHARE:.0%} of what Daybook keeps up. A"
            " process that sleeps between two events pays for each sleep, and finds its caches cold. At everybody's own"
            " full pace a ready dict never sleeps, while Daybook waits for a PostgreSQL that has the same cores, so"
            " that ratio, which is given too, also compares how often they sleep."
        ),
        "CPU of an answer, in microseconds, of the server and of PostgreSQL: " + "; ".join(spent) + ".",
        (
            f"{CROWD} clients are ten times as many as there are connections to read through: requests wait for one in"
            " turn. Any answer but the right one would have ended the benchmark."
        ),
        *([f"PostGraphile and Mercurius are missing: {missing}."] if missing else []),
    ]
