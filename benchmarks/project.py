"""Projecting: our runner and the stock one over the same story, from an empty read model to the end of the book."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import chain
from typing import Any

import psycopg
from msgspec.structs import replace

from api.composition import Parts
from benchmarks import company, customers
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Goal, Section
from benchmarks.rounds import medians_of, until
from benchmarks.stock import StockCrm, enter_stock, environment, stock_customer
from benchmarks.stock_projection import project_one_table, project_our_models
from benchmarks.watch import Window
from domain.customer import CustomerNoteAdded, CustomerRegistered, CustomerRenamed
from domain.kernel import new_id, opened
from domain.kernel.recorded import Recorded
from projections.model import Model, Posting, Table
from projections.registry import models
from projections.runner import ProjectionRunner
from projections.tables import READ, drop, install

EACH = 10
"""Events of a customer."""

ROWS = Table(
    name="customer_view",
    columns={
        "id": "uuid NOT NULL",
        "name": "text",
        "email": "text",
        "last_note": "uuid",
        "position": "bigint NOT NULL",
    },
)


def _post(posting: Posting, recorded: Recorded[Any]) -> None:
    id, position = recorded.originator_id, recorded.position
    match recorded.event:
        case CustomerRegistered(name=name, contact_points=points):
            email = next((one.value for one in opened(points) or ()), None)
            posting.insert(ROWS, id=id, name=opened(name), email=email, last_note=None, position=position)
        case CustomerRenamed(new=name):
            posting.change(ROWS, id, name=opened(name), position=position)
        case CustomerNoteAdded(note=note):
            posting.change(ROWS, id, last_note=note, position=position)
        case _:
            posting.change(ROWS, id, position=position)


ONE_MODEL = Model(name="customer_view", version=1, tables=(ROWS,), post=_post, kinds=frozenset({"customer"}))

STOCK, OURS, STOCK_ALL, OURS_ALL, WITHOUT_PAST = (
    "stock runner, one table",
    "ours, one table",
    "stock runner, our models",
    "ours, our models",
    "ours, our models without their past",
)


def run(laboratory: Laboratory) -> Section:
    events, watch = laboratory.scale.events, laboratory.watch()
    part, of_company = events // 10, events // 20
    with ExitStack() as stack:
        stock, shorter = (stack.enter_context(laboratory.database()) for _ in range(2))
        parts, everything = (stack.enter_context(laboratory.book()) for _ in range(2))
        laboratory.say(f"project: a story of {events:,} events")
        _enter_stock(stock, events)
        _enter_stock(shorter, part)
        _enter(parts, events)
        whole = company.enter_company(everything, max(1, events // company.EACH))
        pastless = [_without_past(model) for model in models]
        contenders: dict[str, Callable[[Window], float]] = {
            STOCK: lambda window: part / _stock(shorter, part, window),
            OURS: lambda window: events / _ours(parts, [ONE_MODEL], events, window),
            STOCK_ALL: lambda window: of_company / _stock_with_models(everything, of_company, window),
            OURS_ALL: lambda window: whole / _ours(everything, models, whole, window),
            WITHOUT_PAST: lambda window: whole / _ours(everything, pastless, whole, window),
        }

        def measure(name: str, window: Window) -> float:
            laboratory.say(f"project: {name}")
            return contenders[name](window)

        taken = watch.rounds(measure, contenders, laboratory.scale.rounds)
        laboratory.say("project: the stock runner over the whole book")
        in_full = events / project_one_table(stock, events)
        _compare(stock, parts.conninfo)
        in_full_with_models = whole / _stock_with_models(everything, whole, nullcontext())
    return Section(
        "Projecting",
        taken.figures(_figures),
        [
            (
                f"Events a second, from an empty table to the end of a book of {events:,} events, until the last"
                " position is committed. `One table`: customers with name, e-mail and last note, the same rows from"
                f" both; ours opens the sealed events first. `Our models`: all {len(models)} read models over"
                " customers, deals and tickets; the stock runner then does our own posting, in its one transaction"
                " for each event. The goal is the laboratory's, of one table; our models are held to it as well."
                " `Without their past`: the same models, whose former rows are not kept."
            ),
            (
                f"A measurement of the stock runner is of {part:,} events of the same kinds, and of the first"
                f" {of_company:,} with our models, for a quiet time is not long enough for more; its time for an event"
                " is the same in a long book. Everybody's start is left out, which a short one would not pay for: the"
                " stock runner is timed from when its first event is posted, ours from when the first one is read."
                f" Once over the whole book, whatever the machine's pace, the stock runner: {in_full:,.0f} and"
                f" {in_full_with_models:,.0f} events a second; the one table is then compared with ours."
            ),
            watch.said(),
        ],
    )


def _figures(found: Mapping[str, Sequence[float]]) -> list[Figure]:
    pace = medians_of(found)
    kept = pace[WITHOUT_PAST] / pace[OURS_ALL]
    return [
        Figure(STOCK, pace[STOCK], "/s"),
        Figure(f"{OURS}, against it", pace[OURS] / pace[STOCK], "x", Goal(25, "at least")),
        Figure(STOCK_ALL, pace[STOCK_ALL], "/s"),
        Figure(f"{OURS_ALL}, against it", pace[OURS_ALL] / pace[STOCK_ALL], "x", Goal(25, "at least")),
        Figure(OURS_ALL, pace[OURS_ALL], "/s"),
        Figure(WITHOUT_PAST, pace[WITHOUT_PAST], "/s"),
        Figure("keeping the past: time that it takes, against without", kept, "x", Goal(1.5, "at most")),
    ]


def _enter_stock(conninfo: str, events: int) -> None:
    with StockCrm(env=environment(conninfo)) as crm:
        stories = [stock_customer(number, EACH).collect_events() for number in range(events // EACH)]
        enter_stock(crm, chain.from_iterable(zip(*stories, strict=True)))


def _enter(parts: Parts, events: int) -> None:
    stories = [customers.drafts(new_id(), customers.history(number, EACH)) for number in range(events // EACH)]
    customers.enter(parts, chain.from_iterable(zip(*stories, strict=True)))


def _ours(parts: Parts, read_models: Sequence[Model], last: int, window: Window) -> float:
    """Seconds from the first event of empty read models to the last position, by our runner."""
    began: list[float] = []
    with psycopg.connect(parts.conninfo, autocommit=True) as db:
        _empty(db, read_models)
        runner = ProjectionRunner(parts.conninfo, parts.mapper, [_noting(model, began) for model in read_models])
        window.open()
        runner.start()
        try:
            until(lambda: _position(db) == last)
            took = time.perf_counter() - began[0]
        finally:
            runner.stop(0)
        window.close()
        return took


def _noting(model: Model, began: list[float]) -> Model:
    """The same; and when it is given its first event."""

    def post(posting: Posting, recorded: Recorded[Any]) -> None:
        if not began:
            began.append(time.perf_counter())
        model.post(posting, recorded)

    return replace(model, post=post)


def _without_past(model: Model) -> Model:
    """The same rows of today; no former ones."""
    tables = {table.name: replace(table, grows=True) for table in model.tables}

    def post(posting: Posting, recorded: Recorded[Any]) -> None:
        model.post(posting, recorded)
        posting.changes = [(verb, tables[table.name], key, row) for verb, table, key, row in posting.changes]

    return replace(model, tables=tuple(tables.values()), post=post)


def _empty(db: psycopg.Connection[Any], read_models: Sequence[Model]) -> None:
    """Forget every read model, and make these anew."""
    for (tables,) in db.execute("SELECT tables FROM daybook_projections.models").fetchall():
        drop(db, READ, tables)
    db.execute("DELETE FROM daybook_projections.models")
    install(db, read_models)


def _position(db: psycopg.Connection[Any]) -> int:
    ((position,),) = db.execute("SELECT min(position) FROM daybook_projections.models", prepare=True).fetchall()
    return int(position)


def _stock(conninfo: str, last: int, window: Window) -> float:
    with window:
        return project_one_table(conninfo, last)


def _stock_with_models(parts: Parts, last: int, window: AbstractContextManager[object]) -> float:
    with psycopg.connect(parts.conninfo, autocommit=True) as db:
        _empty(db, models)
    with window:
        return project_our_models(parts, last)


def _compare(stock: str, ours: str) -> None:
    """Both runners have made the same table."""
    found = []
    for conninfo, table in ((stock, "customer_view"), (ours, f"{READ}.customer_view")):
        with psycopg.connect(conninfo) as db:
            digest = "count(*), count(last_note), sum(position), md5(string_agg(name || email, ',' ORDER BY name))"
            found.append(db.execute(f"SELECT {digest} FROM {table}".encode()).fetchone())
    if found[0] != found[1]:
        raise ValueError(f"the stock table and ours differ: {found}")
