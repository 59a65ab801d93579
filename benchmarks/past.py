"""The past over HTTP: the page of customers with deals and tickets as of a past moment, beside the same page now."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from benchmarks import page
from benchmarks.laboratory import Laboratory
from benchmarks.load import Post, ask, load, post
from benchmarks.results import Figure, Goal, Section
from benchmarks.rounds import medians_of
from benchmarks.server import TOKEN, cpu_seconds, serving, settings
from benchmarks.watch import Window
from projections.customers import CUSTOMERS
from projections.model import Table
from projections.opportunities import OPPORTUNITIES
from projections.past import UNTIL, UNTIL_OCCURRED, past_of
from projections.tables import READ
from projections.tickets import TICKETS

CLIENTS = 8
_WARM_UP = 0.5
BEFORE, MOMENT, AFTER, LAST = (10, 20, 30), 100, 150, 200
"""Positions: at which every record changed, that is asked about, at which every second one changed again, the last."""
NOW, BY_POSITION, BY_TIME = "now", "as of a position", "as of a time"

_QUERIES = {
    NOW: page.PAGE,
    BY_POSITION: page.PAGE.replace("{", "{ asOf(at: $at) {", 1).replace("$first: Int!", "$first: Int!, $at: Moment!")
    + " }",
}
# Placeholders have a per cent sign, and so these may have none.
_BOOK = """
    INSERT INTO daybook.events (position, originator_id, originator_version, event_id, topic, recorded_at, occurred_at,
        subject, actor, correlation_id, state)
    SELECT n, gen_random_uuid(), 1, gen_random_uuid(), 'QueueCreated', at, at, gen_random_uuid(), 'benchmark',
        gen_random_uuid(), ''
    FROM generate_series(1, %(last)s) n, LATERAL (SELECT timestamptz '2026-01-01' + n * interval '1 hour' AS at) AS hour
"""


class Answered(NamedTuple):
    per_second: float
    cpu: float
    """Microseconds of an answer, server and PostgreSQL together."""


def run(laboratory: Laboratory) -> Section:
    watch = laboratory.watch()
    with laboratory.database() as conninfo, ExitStack() as stack:
        laboratory.say("past: filling the tables")
        page.fill(conninfo)
        _fill_past(conninfo)
        served = stack.enter_context(serving(settings(laboratory.folder / "past", conninfo)))
        posts = {name: _post(served.port, name) for name in (NOW, BY_POSITION, BY_TIME)}
        for one in posts.values():
            load(one, CLIENTS, _WARM_UP)

        def cpu() -> float:
            processes = (served.process, laboratory.postmaster)
            return sum(sum(cpu_seconds(process).values()) for process in processes)

        def measure(name: str, window: Window) -> Answered:
            laboratory.say(f"past: {name}")
            with window:
                before = cpu()
                loaded = load(posts[name], CLIENTS, laboratory.scale.seconds)
                spent = cpu() - before
            return Answered(loaded.per_second, 1e6 * spent / loaded.answers)

        taken = watch.rounds(measure, posts, laboratory.scale.rounds)
    return Section("The past over HTTP", taken.figures(_figures), [*_said(taken.counted), watch.said()])


def _figures(found: Mapping[str, Sequence[Answered]]) -> list[Figure]:
    per_second, cpu = _per_second(found), _cpu(found)
    figures = [Figure("page now", per_second[NOW], "/s")]
    for name in (BY_POSITION, BY_TIME):
        ratio = per_second[NOW] / per_second[name]
        figures.append(Figure(f"page {name}: time that it takes, against now", ratio, "x", Goal(1.5, "at most")))
        figures.append(Figure(f"page {name}: CPU of server and PostgreSQL, against now", cpu[name] / cpu[NOW], "x"))
    return figures


def _per_second(found: Mapping[str, Sequence[Answered]]) -> dict[str, float]:
    return medians_of({name: [one.per_second for one in several] for name, several in found.items()})


def _cpu(found: Mapping[str, Sequence[Answered]]) -> dict[str, float]:
    return medians_of({name: [one.cpu for one in several] for name, several in found.items()})


def _said(found: Mapping[str, Sequence[Answered]]) -> list[str]:
    each = "; ".join(f"{name}: {cpu:,.0f}" for name, cpu in _cpu(found).items())
    return [
        (
            f"The page of `Reading over HTTP`, to {CLIENTS} clients, now and as of a past moment, in turns. Every"
            f" record has {len(BEFORE)} former rows, and half of them have changed once more since the moment: those"
            " are found in the past, the others among today's. Every answer is compared with the first one, and the"
            " past's first one has as many customers and deals as now."
        ),
        f"CPU of an answer, server and PostgreSQL together, in microseconds: {each}.",
    ]


def _post(port: int, name: str) -> Post:
    at = {
        BY_POSITION: {"position": str(MOMENT)},
        BY_TIME: {"time": f"2026-01-0{1 + MOMENT // 24}T{MOMENT % 24:02}:30:00Z"},
    }
    variables: dict[str, Any] = {"first": page.ON_PAGE} | ({"at": at[name]} if name in at else {})
    query = _QUERIES[NOW if name == NOW else BY_POSITION]
    sent = partial(
        post, port, "/graphql", {"query": query, "variables": variables}, {"Authorization": f"Bearer {TOKEN}"}
    )
    answer = ask(sent(bool))
    data = msgspec.json.decode(answer).get("data") or {}
    found = data.get("asOf", data).get("customers", {}).get("nodes", ())
    deals = sum(len(one["opportunities"]["nodes"]) for one in found)
    if (len(found), deals) != (page.ON_PAGE, page.ON_PAGE * page.OPPORTUNITIES_EACH):
        raise RuntimeError(f"not the page {name}: {answer[:1000]!r}")
    return sent(answer.__eq__)


def _fill_past(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as db:
        db.execute(_BOOK, {"last": LAST})
        db.execute("UPDATE daybook_projections.models SET position = %s", (LAST,))
        for table in (CUSTOMERS, OPPORTUNITIES, TICKETS):
            db.execute(SQL("UPDATE {} SET position = %s").format(Identifier(READ, table.name)), (BEFORE[-1],))
            for since, until in zip(BEFORE, (*BEFORE[1:], AFTER), strict=True):
                rows = SQL("true") if until != AFTER else SQL("right(id, 1) < 'g'")
                db.execute(_former(table, rows), (since, until))
            db.execute(
                SQL("UPDATE {} SET position = %s WHERE right(id, 1) < 'g'").format(Identifier(READ, table.name)),
                (AFTER,),
            )
        db.execute("VACUUM ANALYZE")


def _former(table: Table, which: SQL) -> Composed:
    past = past_of(table)
    given = {table.since: SQL("%s"), UNTIL: SQL("%s"), UNTIL_OCCURRED: SQL("now()")}
    columns = SQL(", ").join(map(Identifier, past.columns))
    values = SQL(", ").join(given.get(column, Identifier(column)) for column in past.columns)
    return SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE {}").format(
        Identifier(READ, past.name), columns, values, Identifier(READ, table.name), which
    )
