"""Serving: how long `daybook serve` takes to be ready on a book that exists, and the memory that it then holds."""

import statistics
from pathlib import Path

from benchmarks import company
from benchmarks.laboratory import Laboratory, opened
from benchmarks.results import Figure, Goal, Section
from benchmarks.server import Client, serving, settings
from infra.embedded import EmbeddedPostgres

_REQUESTS = 200


def run(laboratory: Laboratory) -> Section:
    data = laboratory.folder / "serving"
    laboratory.say("serving: making a book")
    entries = _make_book(data, laboratory.scale.customers)
    with serving(settings(data)):
        pass  # the read models are posted now, as they are in a book that was served before
    cold, warm, resident = list[float](), list[float](), list[float]()
    for turn in range(laboratory.scale.rounds):
        laboratory.say(f"serving: round {turn + 1}")
        with serving(settings(data)) as served:
            cold.append(served.ready_after)
            client = Client(served.port)
            for _ in range(_REQUESTS):
                client.register()
            resident.append(served.resident)
        with EmbeddedPostgres(data / "postgres") as conninfo, serving(settings(data, conninfo)) as served:
            warm.append(served.ready_after)
    return Section(
        "Serving",
        [
            Figure("start, embedded PostgreSQL included", statistics.median(cold), "s", Goal(2, "at most")),
            Figure("start, on a PostgreSQL that runs", statistics.median(warm), "s", Goal(2, "at most")),
            Figure("memory, PostgreSQL left out", statistics.median(resident), "MB", Goal(150, "at most")),
        ],
        [
            (
                f"From the start of `daybook serve`, on a book of {entries:,} entries, until /readyz says yes. Memory"
                f" is resident, after {_REQUESTS} mutations."
            )
        ],
    )


def _make_book(data: Path, customers: int) -> int:
    data.mkdir()
    with EmbeddedPostgres(data / "postgres") as conninfo, opened(conninfo, data) as parts:
        return company.enter_company(parts, customers)
