"""Mutations: `customerRegister` over HTTP on the real server, and the CPU that everybody spends on one."""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]
import psycopg

from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Goal, Section
from benchmarks.server import Client, cpu_seconds, serving, settings

CLIENTS = (1, 16)
_WARM_UP = 50
SERVER = "the server process"


class Round(NamedTuple):
    median_ms: float
    p95_ms: float
    per_second: float
    cpu_ms: dict[str, float]
    """A mutation, by who spent it."""


def run(laboratory: Laboratory) -> Section:
    rounds: dict[int, list[Round]] = {clients: [] for clients in CLIENTS}
    with laboratory.database() as conninfo, serving(settings(laboratory.folder / "mutations", conninfo)) as served:
        meter = Meter(served.process, laboratory.postmaster, conninfo)
        laboratory.say("mutations: warming up")
        _together(served.port, 16, _WARM_UP)
        for turn in range(laboratory.scale.rounds):
            for clients in CLIENTS:
                laboratory.say(f"mutations: round {turn + 1}, {clients} clients")
                rounds[clients].append(_round(meter, served.port, clients, 2 * laboratory.scale.seconds))
        meter.close()
    figures: list[Figure] = []
    for clients, found in rounds.items():
        who = f"{clients} client{'s' if clients > 1 else ''}"
        figures += [
            Figure(f"{who}: p50", statistics.median(one.median_ms for one in found), "ms"),
            Figure(f"{who}: p95", statistics.median(one.p95_ms for one in found), "ms"),
            Figure(f"{who}: mutations", statistics.median(one.per_second for one in found), "/s"),
            Figure(f"{who}: CPU of a mutation", _cpu(found), "ms", Goal(2.5, "at most")),
        ]
    return Section(
        "Mutations over HTTP",
        figures,
        [
            (
                "`customerRegister` of a person with e-mail address and telephone number, answered when the read"
                " models have it, by `daybook serve` with its projections. CPU is of the server and of every"
                " PostgreSQL process, the clients' left out; well-known CRMs take 10 to 40 ms."
            ),
            *(f"With {clients}: {_who_spent(found)}." for clients, found in rounds.items()),
        ],
    )


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


def _round(meter: Meter, port: int, clients: int, seconds: float) -> Round:
    before, began = meter.read(), time.perf_counter()
    took = sorted(_together(port, clients, until=began + seconds))
    elapsed = time.perf_counter() - began
    after = meter.read()
    return Round(
        median_ms=1000 * statistics.median(took),
        p95_ms=1000 * took[int(len(took) * 0.95)],
        per_second=len(took) / elapsed,
        cpu_ms={who: 1000 * (after.get(who, 0) - before.get(who, 0)) / len(took) for who in before | after},
    )


def _together(port: int, clients: int, most: int | None = None, until: float = float("inf")) -> Sequence[float]:
    """Seconds of each mutation of so many clients at once: `most` of each, or as many as come to a moment."""
    took: list[float] = []
    failures: list[Exception] = []
    threads = [threading.Thread(target=partial(_send, port, most, until, took, failures)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return took


def _send(port: int, most: int | None, until: float, took: list[float], failures: list[Exception]) -> None:
    try:
        client, sent = Client(port), 0
        while (most is None or sent < most) and time.perf_counter() < until:
            began = time.perf_counter()
            client.register()
            took.append(time.perf_counter() - began)
            sent += 1
    except Exception as error:  # noqa: BLE001  # raised again in the thread that measures
        failures.append(error)


def _cpu(rounds: Sequence[Round]) -> float:
    return statistics.median(sum(one.cpu_ms.values()) for one in rounds)


def _who_spent(rounds: Sequence[Round]) -> str:
    """The CPU of a mutation by who spent it, most first."""
    people = {who for one in rounds for who in one.cpu_ms}
    spent = {who: statistics.median(one.cpu_ms.get(who, 0.0) for one in rounds) for who in people}
    most = sorted(spent.items(), key=lambda each: -each[1])
    return ", ".join(f"{who} {ms:.2f} ms" for who, ms in most if ms >= 0.005)
