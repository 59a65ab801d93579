"""`rotate`: a new key in the place of one that has served for long enough, or may be known to somebody."""

from typing import Annotated

import psycopg
import typer

from api.cli.book import database
from api.cli.output import note, progress, say, say_json
from infra.rotation import rotate

app = typer.Typer(
    no_args_is_help=True, help="Rotate keys while Daybook runs.\n\nExample:\n\n    daybook rotate master-key"
)


@app.command("master-key")
def master_key(
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only put the new key into the file, to bring it to other hosts first."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Make a new master key, wrap every key under it, and destroy the former one.

    Servers and workers go on. Killed at any moment, run it again: it goes on where it was. Copies that you have made of
    the former key, and hosts with a key file of their own, are yours to see to: docs/operator/keys.md.

    Examples:

        daybook rotate master-key

        daybook rotate master-key --prepare      (then bring the file to every host, then without --prepare)
    """
    with database() as (settings, conninfo):
        with psycopg.connect(conninfo) as db:
            row = db.execute("SELECT count(wrapped) FROM daybook_keys.subjects").fetchone()
        with progress("Wrapping keys", row[0] if row else None) as advance:
            done = rotate(conninfo, settings.master_key_file, advance, only_prepare=prepare)
    if json:
        say_json(done._asdict())
    elif done.done:
        say(f"Master key {done.epoch}: {done.wrapped} keys were wrapped anew, and the former master key is destroyed.")
    else:
        say(f"Master key {done.epoch + 1} stands beside {done.epoch} in {settings.master_key_file}.")
        note("Bring the file to every host that runs Daybook, then: daybook rotate master-key")
