"""Appending: the stock recorder, ours alone, a whole `handle`, and the limit that an unordered log would set."""

import json
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder

from api.composition import assembled
from benchmarks.laboratory import PATIENCE, Laboratory, opened
from benchmarks.results import Figure, Goal, Section
from benchmarks.rounds import Pace, drive, drive_in_loop, medians_of
from benchmarks.stock import datastore
from benchmarks.watch import Window
from domain.access import unlimited
from domain.customer import CustomerKind, RegisterCustomer
from domain.daybook import Daybook
from domain.kernel import ContactKind, NewContactPoint, new_id
from domain.kernel.recorded import Context, Receipt
from domain.steps import following
from infra.event_store import bare

STOCK, RECORDER, HANDLE, LIMIT = "stock recorder", "our recorder alone", "whole handle", "raw unordered inserts"
Drive: TypeAlias = Callable[[float, Callable[[], object]], Pace]
"""Lets the writers of a contender write: threads for what blocks, one event loop, as in the server, for ours."""

_STATE = json.dumps(
    {
        "timestamp": {"_type_": "datetime_iso", "_data_": "2026-03-01T10:20:30.123456+00:00"},
        "name": "Customer 0012345",
        "email": "someone.longish@example.com",
        "stage": "negotiation",
        "amount": 12345.67,
        "actor": "user-000042",
        "note": "called back, asked for a revised quote by Friday",
    }
).encode()
_NAME = "daybook.domain:Customer.DetailsChanged"
_TABLE = "stock_events"
_INSERT = f"INSERT INTO {_TABLE} (originator_id, originator_version, topic, state) VALUES (%s, 1, %s, %s)"


def stored() -> StoredEvent:
    return StoredEvent(uuid4(), 1, _NAME, _STATE)


@contextmanager
def stock(conninfo: str, _folder: Path, writers: int) -> Iterator[Drive]:
    """The library's recorder: a table lock, a NOTIFY and a flush to disk for each command."""
    with datastore(conninfo, writers) as store:
        recorder = PostgresApplicationRecorder(store, events_table_name=_TABLE)
        yield partial(drive, [lambda: recorder.insert_events([stored()])] * writers)


@contextmanager
def recorder_alone(conninfo: str, folder: Path, writers: int) -> Iterator[Drive]:
    """Our recorder, with the same stored events."""
    with assembled(conninfo, folder / "master.key") as parts:
        yield partial(drive_in_loop, [lambda: parts.store.append([bare(stored())], None).follow()] * writers)


@contextmanager
def whole_handle(conninfo: str, folder: Path, writers: int) -> Iterator[Drive]:
    """RegisterCustomer with an e-mail: decided, sealed, with idempotency key, reservation and receipt."""
    with assembled(conninfo, folder / "master.key") as parts:
        registering = [partial(_register, parts.daybook, count(), uuid4().hex) for _ in range(writers)]
        yield partial(drive_in_loop, registering)


HOUSE = unlimited("administrator")


def _register(daybook: Daybook, numbers: Iterator[int], who: str) -> Awaitable[Receipt]:
    number = next(numbers)
    email = f"ada.{number}.{who}@example.com"
    point = NewContactPoint(contact_point=new_id(), kind=ContactKind.EMAIL, value=email, normalised=email)
    command = RegisterCustomer(
        id=new_id(), kind=CustomerKind.PERSON, name=f"Ada Lovelace {number}", contact_points=(point,)
    )
    # Not uuid4: keys come from clients elsewhere, and each system call for one would cost a switch of threads here.
    context = Context(actor="administrator", idempotency_key=new_id(), correlation_id=new_id())
    return following(daybook.handle(command, context, HOUSE))


@contextmanager
def limit(conninfo: str, _folder: Path, writers: int) -> Iterator[Drive]:
    """One-row inserts into the stock table, each its own transaction, without lock and without NOTIFY."""
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(conninfo, autocommit=True)) for _ in range(writers)]
        yield partial(drive, [partial(_insert, db.cursor(binary=True)) for db in connections])


def _insert(cursor: psycopg.Cursor[Any]) -> None:
    cursor.execute(_INSERT, (uuid4(), _NAME, _STATE), prepare=True)


CONTENDERS = {STOCK: stock, RECORDER: recorder_alone, HANDLE: whole_handle, LIMIT: limit}
_GOALS = {(RECORDER, 32): Goal(8, "at least"), (HANDLE, 32): Goal(4, "at least")}


def run(laboratory: Laboratory) -> Section:
    figures, watch = list[Figure](), laboratory.watch()
    for processes, writers in ((1, 1), (1, 8), (1, 32), (2, 16)):
        laboratory.say(f"append: {processes} x {writers} writers")
        per_second = partial(_per_second, laboratory, processes, writers)
        taken = watch.rounds(per_second, CONTENDERS, laboratory.scale.rounds)
        figures += taken.figures(partial(_figures, processes, writers))
    return Section(
        "Appending",
        figures,
        [
            (
                "Events a second, each command one event. The whole `handle` is RegisterCustomer with an e-mail"
                " address: decided, sealed, with idempotency receipt, reservation and a new key. The raw inserts are"
                " the limit of a log without order: they neither number their events in commit order nor check"
                " anything."
            ),
            watch.said(),
        ],
    )


def _figures(processes: int, writers: int, found: Mapping[str, Sequence[float]]) -> list[Figure]:
    pace = medians_of(found)
    who = f"{writers} writer{'s' if writers > 1 else ''}" + (
        f" in each of {processes} processes" if processes > 1 else ""
    )
    figures = [Figure(f"{who}: {STOCK}", pace[STOCK], "/s")]
    for name in (RECORDER, HANDLE, LIMIT):
        goal = _GOALS.get((name, writers)) if processes == 1 else None
        figures.append(Figure(f"{who}: {name}, against the {STOCK}", pace[name] / pace[STOCK], "x", goal))
    return figures


def _per_second(laboratory: Laboratory, processes: int, writers: int, name: str, window: Window) -> float:
    with laboratory.database() as conninfo:
        prepare(conninfo, laboratory.folder)
        if processes == 1:
            with CONTENDERS[name](conninfo, laboratory.folder, writers) as driven:
                pace = driven(laboratory.scale.seconds, window.open)
                window.close()
                return pace.per_second
        context = multiprocessing.get_context("spawn")
        # This process is one more at the barrier: when all are warm, when they may begin, and when they have ended.
        barrier, paces = context.Barrier(processes + 1), context.SimpleQueue()
        workers = [
            context.Process(
                target=_work,
                args=(barrier, paces, name, conninfo, laboratory.folder, writers, laboratory.scale.seconds),
            )
            for _ in range(processes)
        ]
        for worker in workers:
            worker.start()
        barrier.wait(60)
        window.open()
        barrier.wait(60)
        barrier.wait(60)
        window.close()
        for worker in workers:
            worker.join(120)
        if any(worker.exitcode for worker in workers):
            raise RuntimeError(f"a process of {name} failed")
        return float(sum(paces.get() for _ in workers))


def prepare(conninfo: str, folder: Path) -> None:
    """Make everybody's tables and keys, before processes race for them."""
    with datastore(conninfo, 1) as store:
        PostgresApplicationRecorder(store, events_table_name=_TABLE).create_table()
    with opened(conninfo, folder):
        pass


def _work(barrier: Barrier, paces: Any, name: str, conninfo: str, folder: Path, writers: int, seconds: float) -> None:
    def ready() -> None:
        barrier.wait(60)
        barrier.wait(PATIENCE + 60)

    with CONTENDERS[name](conninfo, folder, writers) as driven:
        paces.put(driven(seconds, ready).per_second)
        barrier.wait(60)
