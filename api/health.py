"""How the process is: /healthz (it lives), /readyz (it can serve, position N of M), /metrics for Prometheus."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Self

import anyio.to_thread
import msgspec
import psycopg
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from domain.kernel import Refused
from projections.status import Status

REGISTRY = CollectorRegistry()
"""Of our own, so that tests and other libraries do not meet in the global one."""

_LATENCIES = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Outcome:
    """What is known of a request at its end: a context that counts and times it."""

    def __init__(self, requests: "Requests") -> None:
        self.operation = "none"
        """query, mutation or subscription; none where no operation was found."""
        self.status = 500
        self._requests, self._begun = requests, time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.count(self.operation, self.status, time.perf_counter() - self._begun)


class Requests:
    """Counts and times HTTP requests to /graphql."""

    def __init__(self) -> None:
        self._seconds = Histogram(
            "daybook_request_seconds",
            "GraphQL requests over HTTP, by operation and status.",
            ("operation", "status"),
            buckets=_LATENCIES,
            registry=REGISTRY,
        )
        self._of: dict[tuple[str, int], Histogram] = {}
        """By operation and status: the library looks each of them up under a lock."""

    def timed(self) -> Outcome:
        """A context for one request, in which its operation and status are noted."""
        return Outcome(self)

    def count(self, operation: str, status: int, seconds: float) -> None:
        histogram = self._of.get((operation, status))
        if histogram is None:
            histogram = self._of[operation, status] = self._seconds.labels(operation, str(status))
        histogram.observe(seconds)


REQUESTS = Requests()
ERRORS = Counter(
    "daybook_errors_total",
    "Errors answered to clients, by code; refused commands are none.",
    ("code",),
    registry=REGISTRY,
)
_COMMANDS = Counter(
    "daybook_commands_total", "Commands by mutation and outcome.", ("mutation", "outcome"), registry=REGISTRY
)
_COMMAND_SECONDS = Histogram(
    "daybook_command_seconds", "From admission to commit, all commands.", buckets=_LATENCIES, registry=REGISTRY
)


@contextmanager
def outcome_of(mutation: str) -> Generator[None]:
    """Count a command as done, refused or failed, and time it."""
    outcome = "failed"
    try:
        with _COMMAND_SECONDS.time():
            yield
        outcome = "done"
    except Refused:
        outcome = "refused"
        raise
    finally:
        _COMMANDS.labels(mutation, outcome).inc()


_POSITION = Gauge("daybook_book_position", "The last entry of the book.", registry=REGISTRY)
_REACHED = Gauge("daybook_read_model_position", "The entry that a read model is at.", ("model",), registry=REGISTRY)
_LAG = Gauge("daybook_read_model_lag", "Entries that a read model is behind the book.", ("model",), registry=REGISTRY)
_PARKED = Gauge("daybook_parked_lanes", "Lanes of a read model that stand still.", ("model",), registry=REGISTRY)
_MISMATCHED = Gauge(
    "daybook_mismatched_records",
    "Records of a read model that are not what the book says.",
    ("model",),
    registry=REGISTRY,
)
_ATTESTED = Gauge(
    "daybook_attested_records", "Records that were compared with the book so far, ever again.", registry=REGISTRY
)
_ATTESTED_AT = Gauge(
    "daybook_attested_timestamp_seconds", "When records were compared last, Unix time; 0: never.", registry=REGISTRY
)
_READY = Gauge("daybook_ready", "1 while the read models move or have nothing to do.", registry=REGISTRY)


class Health:
    """The three pages. `status` asks the database; it raises psycopg's OperationalError or PoolTimeout."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    async def alive(self, _: Request) -> Response:
        """200 as long as the event loop turns."""
        return _json({"alive": True}, 200)

    async def ready(self, _: Request) -> Response:
        """200 with the positions, or 503 with what is wrong and what to do."""
        try:
            status = await anyio.to_thread.run_sync(self._status)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
            return _json({"ready": False, "problems": ["The database does not answer."]}, 503)
        return _json(_told(status), 200 if status.ready else 503)

    async def metrics(self, _: Request) -> Response:
        """The numbers of this process, and of the read models where the database answers."""
        try:
            _measure(await anyio.to_thread.run_sync(self._status))
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
            _READY.set(0)
        return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _told(status: Status) -> dict[str, object]:
    """What everybody may know: positions and times, no ids of records."""
    return {
        "ready": status.ready,
        "position": status.position,
        "of": status.head,
        "lastMovedAt": max((one.moved_at for one in status.models), default=None),
        "parkedLanes": status.parked,
        "mismatchedRecords": status.mismatched,
        "attestedAt": status.attested.looked_at,
        "problems": status.problems,
        "alarms": status.alarms,
        "models": [
            {
                "name": one.name,
                "position": one.position,
                "lag": one.lag,
                "parkedLanes": one.parked,
                "mismatchedRecords": one.mismatched,
            }
            for one in status.models
        ],
    }


def _measure(status: Status) -> None:
    _READY.set(int(status.ready))
    _POSITION.set(status.head)
    for one in status.models:
        _REACHED.labels(one.name).set(one.position)
        _LAG.labels(one.name).set(one.lag)
        _PARKED.labels(one.name).set(one.parked)
        _MISMATCHED.labels(one.name).set(one.mismatched)
    _ATTESTED.set(status.attested.records)
    _ATTESTED_AT.set(status.attested.looked_at.timestamp() if status.attested.looked_at else 0)


def _json(said: dict[str, object], code: int) -> Response:
    body = msgspec.json.encode(said)
    return Response(body, code, media_type="application/json", headers={"Cache-Control": "no-store"})
