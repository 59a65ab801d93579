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
from benchmarks.watch import Window

CLIENTS = (1, 16)
_WARM_UP = 50
_PARTS = 4
"""Of a round: neighbours come and go within seconds, so that a longer measurement would rarely be a quiet one."""
SERVER = "the server process"
OURS, THEIRS = "Ours", "Tryton's"
_IN_POSTGRESQL = {OURS: "for daybook", THEIRS: "for trytond"}
"""What the connections of each are called in PostgreSQL: one that is idle wakes up in the other's turn too."""
_A_QUARTER = 4
"""2.5 ms, of the 10 to 40 that well-known CRMs take."""

Turn: TypeAlias = tuple[str, int]
"""Whose, and with how many clients."""
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
    seconds, watch = 2 * laboratory.scale.seconds / _PARTS, laboratory.watch()
    with ExitStack() as stack:
        contenders = {OURS: _ours(stack, laboratory)}
        if not why_no_tryton():
            contenders[THEIRS] = _tryton(stack, laboratory)

        def measure(turn: Turn, window: Window) -> Round:
            whose, clients = turn
            laboratory.say(f"mutations: {whose} with {clients}")
            with window:
                found = measured(contenders[whose], clients, seconds)
            return found.without(_IN_POSTGRESQL[THEIRS if whose == OURS else OURS])

        turns = [(whose, clients) for clients in CLIENTS for whose in contenders]
        taken = watch.rounds(measure, turns, laboratory.scale.rounds * _PARTS)
    said = [_HOW, _how_tryton(), f"{watch.said()} One is of {seconds:.3g} s.", *_spent(taken.counted)]
    return Section("Mutations over HTTP", taken.figures(_figures), said)


def _figures(found: Mapping[Turn, Sequence[Round]]) -> list[Figure]:
    figures: list[Figure] = []
    for clients in CLIENTS:
        who, ours, theirs = f"{clients} client{'s' if clients > 1 else ''}", found[OURS, clients], (THEIRS, clients)
        figures += [
            Figure(f"{who}: p50", statistics.median(one.median_ms for one in ours), "ms"),
            Figure(f"{who}: p95", statistics.median(one.p95_ms for one in ours), "ms"),
            Figure(f"{who}: mutations", statistics.median(one.per_second for one in ours), "/s"),
            Figure(f"{who}: CPU of a mutation", _cpu(ours), "ms", Goal(2.5, "at most")),
        ]
        if theirs in found:
            ratio = _cpu(found[theirs]) / _cpu(ours)
            figures += [
                Figure(f"{who}: CPU of the same in Tryton", _cpu(found[theirs]), "ms"),
                Figure(f"{who}: CPU of Tryton's, against ours", ratio, "x", Goal(_A_QUARTER, "at least")),
            ]
    return figures


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


def _spent(found: Mapping[Turn, Sequence[Round]]) -> list[str]:
    turns = sorted(found)  # ours first
    return [f"{whose} with {clients}: {_who_spent(found[whose, clients])}." for whose, clients in turns]


def _cpu(rounds: Sequence[Round]) -> float:
    return statistics.median(sum(one.cpu_ms.values()) for one in rounds)


def _who_spent(rounds: Sequence[Round]) -> str:
    """The CPU of a mutation by who spent it, most first."""
    people = {who for one in rounds for who in one.cpu_ms}
    spent = {who: statistics.median(one.cpu_ms.get(who, 0.0) for one in rounds) for who in people}
    most = sorted(spent.items(), key=lambda each: -each[1])
    return ", ".join(f"{who} {ms:.2f} ms" for who, ms in most if ms >= 0.005)
