"""`rotate`: a new key in the place of one that has served for long enough, or may be known to somebody."""

from typing import Annotated

import psycopg
import typer

from api.cli.book import FAILED, USAGE, CommandFailed, database
from api.cli.output import note, progress, say, say_json
from api.composition import assembled
from api.replay import NobodyCalledThat, record_called
from infra.person_keys import due, rotate_all, rotate_one
from infra.rotation import rotate
from infra.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]

app = typer.Typer(
    no_args_is_help=True, help="Rotate keys while Daybook runs.\n\nExample:\n\n    daybook rotate master-key"
)


@app.command("master-key")
def master_key(
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only put the new key into the file, to bring it to other hosts first."),
    ] = False,
    json: Json = False,
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


@app.command("person-key")
def person_key(
    record: Annotated[
        str | None,
        typer.Argument(
            metavar="CUSTOMER",
            help="An id such as cus_01h4..., or an external id as SOURCE:ID. Other records have keys too.",
            show_default=False,
        ),
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="The key of every person and record.")] = False,
    json: Json = False,
) -> None:
    """Make a new key for what is entered about a person from now on. The former ones go on opening what they sealed.

    Servers and workers go on. With --all, killed at any moment, run it again: it goes on where it was, and says so.
    What was sealed before is hashed into the log and can't be sealed anew: only an erasure makes it unreadable.

    Examples:

        daybook rotate person-key cus_01h455vb4pex5vsknk084sn02q

        daybook rotate person-key --all
    """
    if everybody == (record is not None):
        raise CommandFailed("Name a customer, or say --all.", USAGE)
    with database() as (settings, conninfo):
        if record is not None:
            _one(settings, conninfo, record, json=json)
        else:
            _all(settings, conninfo, json=json)


def _one(settings: Settings, conninfo: str, name: str, *, json: bool) -> None:
    try:
        with assembled(conninfo, settings.master_key_file) as parts:
            id = record_called(parts, name).id
    except NobodyCalledThat as error:
        raise CommandFailed(str(error), FAILED) from None
    done = rotate_one(conninfo, settings.master_key_file, id)
    if json:
        say_json(done._asdict())
    else:
        say(f"Key {done.generation} of {name} seals what is entered after position {done.after}.")


def _all(settings: Settings, conninfo: str, *, json: bool) -> None:
    with psycopg.connect(conninfo) as db:
        total = due(db)
    with progress("Rotating keys", total) as advance:
        done = rotate_all(conninfo, settings.master_key_file, advance)
    if json:
        say_json(done._asdict())
        return
    say(
        f"{done.rotated} keys were rotated; no key that seals is older than {done.begun_at:%Y-%m-%d %H:%M:%S %Z}"
        f"{', when a run that was cut off began it' if done.resumed else ''}."
    )
