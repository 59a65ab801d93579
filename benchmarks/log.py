"""The log over the book: what a checkpoint costs, and how fast all of it is verified."""

from functools import partial
from typing import Any, TypeAlias

import psycopg

from benchmarks import company
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Section
from benchmarks.rounds import medians, timed
from infra.log.checkpointer import Growth
from infra.log.leaf import COLUMNS
from infra.log.note import Signer
from infra.log.verifying import verify

Db: TypeAlias = psycopg.Connection[Any]

NOTHING, ONE, THOUSAND = "nothing new", "1 new entry", "1,000 new entries"
NEW = {NOTHING: 0, ONE: 1, THOUSAND: 1_000}
_OTHER_IDS = ("originator_id", "event_id")
_REPEAT = f"""
    INSERT INTO daybook.events ({", ".join(COLUMNS)})
    SELECT head + nth, {", ".join("gen_random_uuid()" if name in _OTHER_IDS else name for name in COLUMNS[1:])}
    FROM (SELECT max(position) AS head FROM daybook.events) AS last, generate_series(1, %s) AS nth
    JOIN daybook.events ON position = 1 + nth %% %s
""".encode()
_SIZE = (
    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = '{}'::regnamespace"
)


def run(laboratory: Laboratory) -> Section:
    scale, signer = laboratory.scale, Signer("daybook/measured", bytes(32))
    with laboratory.book() as parts:
        entries = scale.sizes[-1]
        laboratory.say(f"log: making a book of {entries:,} entries")
        told = company.enter_company(parts, max(1, scale.events // company.EACH))
        with (
            psycopg.connect(parts.conninfo, autocommit=True) as db,
            psycopg.connect(parts.conninfo, autocommit=True) as other,
        ):
            _repeat(db, told, entries - told)
            growth = Growth(signer)
            began = timed(partial(growth.catch_up, db))

            def checkpoint(name: str) -> float:
                _repeat(db, told, NEW[name])
                return timed(partial(growth.catch_up, db))

            took = medians(checkpoint, NEW, 4 * scale.rounds)
            head = _asked(db, "SELECT max(position) FROM daybook.events")
            verified = medians(lambda _: timed(partial(verify, db, other, [signer.verifier])), ("all",), scale.rounds)
            disk = _asked(db, _SIZE.format("daybook_log")) / _asked(db, _SIZE.format("daybook"))
    return Section(
        "The log",
        [
            Figure("verify: entries", head / verified["all"], "/s"),
            Figure(f"verify: a book of {head:,} entries", verified["all"], "s"),
            Figure("a book that was never logged: entries", entries / began, "/s"),
            *(Figure(f"a checkpoint over {name}", 1000 * seconds, "ms") for name, seconds in took.items()),
            Figure("disk, against the book's", disk, "x"),
        ],
        [
            (
                "Entries of customers, deals and tickets, repeated with other ids. A checkpoint is made at most every"
                " two seconds, by a thread of its own; commits do not wait for it."
            )
        ],
    )


def _repeat(db: Db, told: int, count: int) -> None:
    """So many entries more, like the first ones that were told."""
    db.execute(_REPEAT, (count, told))


def _asked(db: Db, question: str) -> int:
    row = db.execute(question.encode()).fetchone()
    assert row is not None
    return int(row[0])
