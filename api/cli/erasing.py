"""`erasure`: how far erasures are, and the rewriting of what has held what was erased."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import psycopg
import typer

from api.cli.book import book, database, rebuild_model
from api.cli.output import note, say, say_json
from infra.embedded import EmbeddedPostgres
from infra.erasure.ledger import Ledger
from infra.erasure.rewriting import due, rewrite
from infra.settings import Settings, read_settings
from projections.registry import may_hold_persons, models

app = typer.Typer(
    no_args_is_help=True,
    help="Erase what has been erased from the files too.\n\nExample:\n\n    daybook erasure finish",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]


@app.command()
def status(json: Json = False) -> None:
    """Say whose personal data was erased, and until when the files have to be rewritten.

    Examples:

        daybook erasure status

        daybook erasure status --json | jq -r .due
    """
    with database() as (settings, conninfo), psycopg.connect(conninfo, autocommit=True) as db:
        erased = len(Ledger(settings.erasure_ledger).erased())
        until = due(db, settings.erasure_days)
    if json:
        say_json({"erased": erased, "due": until})
        return
    say(f"The ledger tells of {erased} customers whose personal data was erased.")
    say(
        f"Leftovers in the files have to be gone by {until:%Y-%m-%d %H:%M:%S %Z}: daybook erasure finish"
        if until
        else "No file holds any more what was erased."
    )


@app.command()
def finish() -> None:
    """Rewrite all that has held what was erased: read models, keys, statistics, and the write-ahead log.

    Daybook may go on serving; on a large book it takes as long as `daybook rebuild` for customers, deals, tickets and
    the timeline together.

    Example:

        daybook erasure finish
    """
    with book() as parts:
        settings = read_settings()

        def rebuild() -> None:
            for model in filter(may_hold_persons, models):
                rebuild_model(parts, model)

        note("Rewriting what has held what was erased.")
        with administrator(settings) as conninfo:
            rewrite(parts.conninfo, conninfo, rebuild)
    say("No file of the database holds any more what was erased. Backups and replicas do, until they expire.")


@contextmanager
def administrator(settings: Settings) -> Generator[str | None]:
    """How to reach the embedded server as its superuser; None: it is a server of the operator's."""
    if settings.database_url is not None:
        yield None
        return
    server = EmbeddedPostgres(settings.data / "postgres", report=note)
    with server:
        yield server.superuser_conninfo()
