"""Mutations: `customerRegister` over HTTP on the real server, and the CPU that everybody spends on one.

Beside it the same piece of work in a CRM that is well known, on the same PostgreSQL and in the same minutes.
"""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import NamedTuple, TypeAlias

import psutil  # type: ignore[import-untyped]
import psycopg

from benchmarks.contenders.tryton import Client as TrytonClient
from benchmarks.contenders.tryton import tryton, why_no_tryton
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Goal, Section
from benchmarks.server import Client, cpu_seconds, serving, settings

CLIENTS = (1, 16)
_WARM_UP = 50
SERVER = "the server process"
_OURS, _THEIRS = "for daybook", "for trytond"
"""What the connections of each are called in PostgreSQL: one that is idle wakes up in the other's turn too."""
_A_QUARTER = 4
"""2.5 ms, of the 10 to 40 that well-known CRMs take."""

Register: TypeAlias = Callable[[], Callable[[], object]]
"""Opens a connection, and gives what registers one more person over it."""


class Round(NamedTuple):
    median_ms: float
    p95_ms: float
    per_second: float
    cpu_ms: dict[str, float]
    """A mutation, by who spent it."""

    def without(self, others: str) -> "Round":
        """Without what connections of this name spent meanwhile."""
        return self._replace(cpu_ms={who: ms for who, ms in self.cpu_ms.items() if others not in who})


class Contender(NamedTuple):
    meter: "Meter"
    register: Register


def run(laboratory: Laboratory) -> Section:
    rounds: dict[int, list[Round]] = {clients: [] for clients in CLIENTS}
    theirs: dict[int, list[Round]] = {clients: [] for clients in CLIENTS}
    seconds = 2 * laboratory.scale.seconds
    with ExitStack() as stack:
        ours, other = _ours(stack, laboratory), None if why_no_tryton() else _tryton(stack, laboratory)
        for turn in range(laboratory.scale.rounds):
            for clients in CLIENTS:
                laboratory.say(f"mutations: round {turn + 1}, {clients} clients")
                rounds[clients].append(measured(ours, clients, seconds).without(_THEIRS))
                if other is not None:
                    theirs[clients].append(measured(other, clients, seconds).without(_OURS))
    figures: list[Figure] = []
    for clients, found in rounds.items():
        who = f"{clients} client{'s' if clients > 1 else ''}"
        figures += [
            Figure(f"{who}: p50", statistics.median(one.median_ms for one in found), "ms"),
            Figure(f"{who}: p95", statistics.median(one.p95_ms for one in found), "ms"),
            Figure(f"{who}: mutations", statistics.median(one.per_second for one in found), "/s"),
            Figure(f"{who}: CPU of a mutation", _cpu(found), "ms", Goal(2.5, "at most")),
        ]
        if theirs[clients]:
            ratio = statistics.median(
                sum(other.cpu_ms.values()) / sum(one.cpu_ms.values())
                for one, other in zip(found, theirs[clients], strict=True)
            )
            figures += [
                Figure(f"{who}: CPU of the same in Tryton", _cpu(theirs[clients]), "ms"),
                Figure(f"{who}: CPU of Tryton's, against ours", ratio, "x", Goal(_A_QUARTER, "at least")),
            ]
    return Section("Mutations over HTTP", figures, [_HOW, _how_tryton(), *_spent(rounds, theirs)])


_HOW = (
    "`customerRegister` of a person with e-mail address and telephone number, answered when the read models have it, by"
    " `daybook serve` with its projections. All addresses are of one domain, which it looks at once. CPU is of the"
    " server and of every PostgreSQL process, not of the clients; well-known CRMs take 10 to 40 ms. Those are another"
    " machine's; so one of them does the same beside us, and the goal is at most a quarter of what it takes: 2.5 of 10."
)
_TRYTON = (
    "Tryton 8.2 with its module of parties alone creates a person with both, and reads back the name: two calls of its"
    " JSON-RPC, in a session that is there, gunicorn with one process. It checks no address and no number, and keeps no"
    " history. (With its module of opportunities it took nearly twice as much in a trial.)"
)


def _how_tryton() -> str:
    why_not = why_no_tryton()
    return f"Tryton was not measured beside it: {why_not}." if why_not else _TRYTON


def _ours(stack: ExitStack, laboratory: Laboratory) -> Contender:
    conninfo = stack.enter_context(laboratory.database())
    served = stack.enter_context(serving(settings(laboratory.folder / "mutations", conninfo)))
    return _warm(stack, served.process, laboratory, conninfo, lambda: Client(served.port).register)


def _tryton(stack: ExitStack, laboratory: Laboratory) -> Contender:
    conninfo = stack.enter_context(laboratory.database())
    process, door = stack.enter_context(tryton(laboratory.folder / "tryton", conninfo))
    return _warm(stack, process, laboratory, conninfo, lambda: TrytonClient(door).register)


def _warm(
    stack: ExitStack, process: psutil.Process, laboratory: Laboratory, conninfo: str, register: Register
) -> Contender:
    laboratory.say("mutations: warming up")
    together(register, 16, _WARM_UP)
    return Contender(stack.enter_context(closing(Meter(process, laboratory.postmaster, conninfo))), register)


class Meter:
    """Reads how much CPU the server and every PostgreSQL process have spent."""

    def __init__(self, server: psutil.Process, postmaster: psutil.Process, conninfo: str) -> None:
        self._server, self._postmaster = server, postmaster
        self._db = psycopg.connect(conninfo, autocommit=True, application_name="meter")

    def read(self) -> dict[str, float]:
        """CPU seconds so far, by who spent them; the meter's own left out."""
        rows = self._db.execute(
            "SELECT pid, coalesce(nullif(application_name, ''), backend_type, 'others') FROM pg_stat_activity"
            " WHERE pid <> %s",
            (self._db.info.backend_pid,),
        ).fetchall()
        names: dict[int, str] = dict(rows)
        spent: defaultdict[str, float] = defaultdict(float, {SERVER: sum(cpu_seconds(self._server).values())})
        for pid, seconds in cpu_seconds(self._postmaster).items():
            if pid != self._db.info.backend_pid:
                spent[f"PostgreSQL for {names[pid]}" if pid in names else "the rest of PostgreSQL"] += seconds
        return spent

    def close(self) -> None:
        self._db.close()


def measured(contender: Contender, clients: int, seconds: float) -> Round:
    """What so many clients at once see and cause in some seconds."""
    meter, register = contender
    before, began = meter.read(), time.perf_counter()
    took = sorted(together(register, clients, until=began + seconds))
    elapsed = time.perf_counter() - began
    after = meter.read()
    return Round(
        median_ms=1000 * statistics.median(took),
        p95_ms=1000 * took[int(len(took) * 0.95)],
        per_second=len(took) / elapsed,
        cpu_ms={who: 1000 * (after.get(who, 0) - before.get(who, 0)) / len(took) for who in before | after},
    )


def together(register: Register, clients: int, most: int | None = None, until: float = float("inf")) -> Sequence[float]:
    """Seconds of each mutation of so many clients at once: `most` of each, or as many as come to a moment."""
    took: list[float] = []
    failures: list[Exception] = []
    threads = [threading.Thread(target=partial(_send, register, most, until, took, failures)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return took


def _send(register: Register, most: int | None, until: float, took: list[float], failures: list[Exception]) -> None:
    try:
        once, sent = register(), 0
        while (most is None or sent < most) and time.perf_counter() < until:
            began = time.perf_counter()
            once()
            took.append(time.perf_counter() - began)
            sent += 1
    except Exception as error:  # noqa: BLE001  # raised again in the thread that measures
        failures.append(error)


def _spent(ours: Mapping[int, Sequence[Round]], theirs: Mapping[int, Sequence[Round]]) -> list[str]:
    return [
        f"{whose} with {clients}: {_who_spent(found)}."
        for whose, rounds in (("Ours", ours), ("Tryton's", theirs))
        for clients, found in rounds.items()
        if found
    ]


def _cpu(rounds: Sequence[Round]) -> float:
    return statistics.median(sum(one.cpu_ms.values()) for one in rounds)


def _who_spent(rounds: Sequence[Round]) -> str:
    """The CPU of a mutation by who spent it, most first."""
    people = {who for one in rounds for who in one.cpu_ms}
    spent = {who: statistics.median(one.cpu_ms.get(who, 0.0) for one in rounds) for who in people}
    most = sorted(spent.items(), key=lambda each: -each[1])
    return ", ".join(f"{who} {ms:.2f} ms" for who, ms in most if ms >= 0.005)
