"""`import` and `demo`: what fills a book."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api import demo as demonstration
from api.beginning import is_new
from api.cli.book import FAILED, USAGE, CommandFailed, book
from api.cli.output import note, progress, say, say_json
from api.importing.importer import Import
from api.importing.mapping import KINDS, MappingError, read_mapping


class Rows(StrEnum):
    """What the rows of a file are."""

    CUSTOMERS = "customers"
    OPPORTUNITIES = "opportunities"
    TICKETS = "tickets"
    PRODUCTS = "products"
    STAFF = "staff"
    TEAMS = "teams"


def import_rows(
    kind: Annotated[Rows, typer.Argument(help="What the rows become.", metavar="|".join(Rows))],
    file: Annotated[Path, typer.Argument(help="The CSV file; its first line names the columns.")],
    mapping: Annotated[Path, typer.Option("--map", help="The TOML file that says what a row becomes.")],
    source: Annotated[str, typer.Option(help="The system that the file comes from; external ids are kept under it.")],
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, for scripts.")] = False,
) -> None:
    """Import the rows of a CSV file, through the same commands as everybody's.

    Examples:

        daybook import customers accounts.csv --map mappings/maven-crm/accounts.toml --source maven

        daybook import opportunities deals.csv --map deals.toml --source old-crm --json

    The same file again changes nothing, a changed row issues the commands that differ, and an import that was killed
    goes on where it stopped. A row of somebody who was erased since is left out. Rows that can't be entered
    are written to FILE.rejected.csv with their reasons: correct them there and import that file. Where another mapping
    or source has left one, they are written to FILE.rejected-2.csv.
    docs/operator/import.md describes mappings; a small one reads

        kind = "customers"
        external_id = "id"

        [[step]]
        do = "register"
        [step.fields]
        kind = { constant = "organisation" }
        name = "company name"
        parent = { column = "mother company", find = "customer" }
    """
    try:
        rows = read_mapping(mapping, KINDS[kind])
        with book(begin=True) as parts:
            importing = Import(parts, rows, source)
            table = importing.open(file)
            with progress(f"Importing {kind}", table.length) as advance:
                summary = importing.run(table, file.with_suffix(".rejected.csv"), advance)
    except MappingError as error:
        raise CommandFailed(str(error), USAGE) from None
    if json:
        say_json(summary)
    else:
        say(
            f"{summary.rows} rows in {summary.seconds:.1f} s: {summary.created} created, {summary.changed} changed,"
            f" {summary.unchanged} unchanged, {summary.repeated} repeated, {summary.erased} left out as erased,"
            f" {summary.rejected} rejected."
        )
    if summary.erased:
        note("Rows that were imported before, of persons who were erased since, do not bring them back.")
    if summary.rejected:
        note(f"The rejected rows stand in {summary.rejected_file}, each with its reasons.")
        raise typer.Exit(FAILED)


def demo(
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="Do nothing where anybody has entered anything.")
    ] = False,
) -> None:
    """Enter demo data: a small company, its people, customers, deals and tickets. The second time it changes nothing.

    Example:

        daybook demo --if-empty
    """
    with book(begin=True) as parts:
        with parts.pool.connection() as db:
            empty = is_new(db)
        if if_empty and not empty:
            note("The book is not empty: no demo data.")
            return
        with progress("Entering demo data", len(demonstration.story())) as advance:
            done = demonstration.load(parts, advance)
    say(f"Entered {done} entries of demo data." if done else "The demo data was there already.")
