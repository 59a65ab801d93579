"""`attest`: that the read models hold what the book says."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import psycopg
import typer

from api.cli.book import FAILED, book
from api.cli.output import note, progress, say, say_json
from api.composition import Parts
from projections.attestation import Looked
from projections.attesting import Attestor, prepare_to_attest
from projections.registry import models

SAMPLE, MOST_SHOWN = 1_000, 100


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what differs."""

    records: int
    entries: int
    differing: list["Differing"]


class Differing(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose rows in one read model are not what its entries say."""

    model: str
    record: str
    position: int
    what: str


def attest(
    everything: Annotated[bool, typer.Option("--all", help="Every record, not a sample.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Fold records again from their entries alone, and compare them with the rows that screens are served from.

    The leader of the projections does the same all the time, slowly. Ends with 1 where a row is not what the book says,
    and says which: `daybook status` goes on saying it until the read model was built anew and the record found right.

    Examples:

        daybook attest

        daybook attest --all --json | jq .differing
    """
    with book() as parts:
        done = _attested(parts, everything=everything)
    if json:
        say_json(done)
    else:
        for one in done.differing[:MOST_SHOWN]:
            say(f"! {one.model} {one.record} at entry {one.position}: {one.what}")
        if len(done.differing) > MOST_SHOWN:
            say(f"... and {len(done.differing) - MOST_SHOWN} more.")
        say(f"{done.records} records of the read models were compared, {len(done.differing)} differ.")
    if done.differing:
        models_to_rebuild = sorted({one.model for one in done.differing})
        note("".join(f"Run `daybook rebuild {model}`.\n" for model in models_to_rebuild).rstrip())
        raise typer.Exit(FAILED)


def _attested(parts: Parts, *, everything: bool) -> Attested:
    attestor = Attestor(parts.mapper, models)
    records, entries, found = 0, 0, dict[tuple[str, str], Differing]()
    with psycopg.connect(parts.logins.posting, autocommit=True, application_name="daybook attest") as db:
        prepare_to_attest(db)
        with progress("Comparing", _aggregates(db) if everything else None) as advance:
            steps = attestor.all(db) if everything else _sample(attestor, db)
            for seen, looked in steps:
                advance(seen)
                records, entries = records + len(looked.records), entries + looked.entries
                for one in looked.mismatches:
                    model, record = one.record
                    found[one.record] = Differing(model=model, record=record, position=one.position, what=one.what)
    return Attested(records=records, entries=entries, differing=list(found.values()))


def _sample(attestor: Attestor, db: psycopg.Connection) -> Iterator[tuple[int, Looked]]:
    yield 0, attestor.round(db, SAMPLE)


def _aggregates(db: psycopg.Connection) -> int:
    row = db.execute("SELECT count(*) FROM daybook.events WHERE originator_version = 1").fetchone()
    return 0 if row is None else int(row[0])
