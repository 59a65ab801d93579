"""Rebuilding: read models anew from the first entry of a book."""

from functools import partial

import psycopg

from benchmarks import company
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Section
from benchmarks.rounds import medians, timed
from projections.rebuild import rebuild
from projections.registry import models
from projections.tables import install


def run(laboratory: Laboratory) -> Section:
    with laboratory.book() as parts:
        laboratory.say("rebuild: making a book")
        entries = company.enter_company(parts, laboratory.scale.customers)
        with psycopg.connect(parts.conninfo, autocommit=True) as db:
            install(db, models)
        named = {model.name: model for model in models}
        seconds = medians(
            lambda name: timed(partial(rebuild, parts.conninfo, parts.mapper, named[name], _quietly)),
            ("customers", "opportunities", "tickets", "timeline"),
            laboratory.scale.rounds,
        )
    return Section(
        "Rebuilding",
        [Figure(f"{name}: entries of the book", entries / took, "/s") for name, took in seconds.items()],
        [
            (
                f"A book of {entries:,} entries of customers, deals and tickets; a model passes over the entries that"
                " are not its own. `timeline` takes them all."
            )
        ],
    )


def _quietly(_position: int, _last: int) -> None:
    pass
