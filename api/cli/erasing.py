"""`erasure`: how far erasures are, and the rewriting of what has held what was erased, by hand or when it is due."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import psycopg
import typer

from api.cli.book import database
from api.cli.output import note, say, say_json
from api.composition import assembled
from infra.beside import beside
from infra.embedded import EmbeddedPostgres, EmbeddedPostgresError
from infra.erasure.carrying_out import waiting
from infra.erasure.ledger import Ledger
from infra.erasure.rewriting import NotRewritten, RightsMissing, due, rewrite
from infra.master_key import MasterKeyError
from infra.rotation import RotationError, rotate
from infra.settings import Settings
from projections.rebuild import NoMomentToSwitch, RebuildUnderWay, rebuild
from projections.registry import may_hold_persons, models

app = typer.Typer(
    no_args_is_help=True,
    help="Erase what has been erased from the files too.\n\nExample:\n\n    daybook erasure finish",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]

MARGIN = timedelta(days=1)
"""How long before it is due it is done."""

EVERY = 3600.0
"""Seconds between two looks whether it is due."""

SELDOM = 24 * EVERY
"""Seconds until all is rewritten once more where rights are missing for the rest: on a large book it takes a while."""

_NOT_NOW = (NotRewritten, NoMomentToSwitch, RebuildUnderWay, RotationError, MasterKeyError, EmbeddedPostgresError)

_log = logging.getLogger("daybook.erasure")


@app.command()
def status(json: Json = False) -> None:
    """Say how many customers were erased, and until when the files have to be rewritten.

    Examples:

        daybook erasure status

        daybook erasure status --json | jq -r .due
    """
    with database() as (settings, conninfo), psycopg.connect(conninfo, autocommit=True) as db:
        erased, approved = len(Ledger(settings.erasure_ledger).erased()), waiting(db)
        until = due(db, settings.erasure_days)
    if json:
        say_json({"erased": erased, "waiting": approved, "due": until})
        return
    say(f"The ledger tells of {erased} customers whose personal data was erased.")
    if approved:
        say(f"{approved} more are approved, and wait to be carried out: by `daybook serve` or `daybook work`.")
    say(
        f"Leftovers in the files have to be gone by {until:%Y-%m-%d %H:%M:%S %Z}."
        if until
        else "No file holds any more what was erased."
    )


@app.command()
def finish() -> None:
    """Rewrite all that has held what was erased: read models, keys, statistics, and the write-ahead log.

    On the embedded server the master key is rotated with it, so that a copy of the database from before opens with
    nothing that is kept. With DATABASE_URL, several hosts may have the key: run `daybook rotate master-key` before.

    Daybook may go on serving; on a large book it takes as long as `daybook rebuild` for customers, deals, tickets and
    the timeline together. `daybook serve` and `daybook work` do it by themselves a day before it is due.

    Example:

        daybook erasure finish
    """
    with database() as (settings, conninfo):
        with psycopg.connect(conninfo, autocommit=True) as db:
            until = due(db, settings.erasure_days)
        # To rotate the master key gives up older backups: not for nothing.
        if until is not None:
            note("Rewriting what has held what was erased.")
            _finish(settings, conninfo)
    say("No file of the database holds any more what was erased. Backups and replicas do, until they expire.")


def finish_where_due(settings: Settings, conninfo: str) -> None:
    """Rewrite where that is due. Raises what `rewrite` and `rebuild` raise."""
    with psycopg.connect(conninfo, autocommit=True) as db:
        until = due(db, settings.erasure_days)
    if until is not None and until - MARGIN < datetime.now(UTC):
        _finish(settings, conninfo)
        _log.info("What had held erased data was rewritten.")


@contextmanager
def finishing(settings: Settings, conninfo: str) -> Generator[None]:
    """While the block lasts, a thread rewrites where that is due."""
    # What is under way is not waited for: the next start begins anew.
    with beside("rewriting", partial(_run, settings, conninfo), patience=0):
        yield


def _run(settings: Settings, conninfo: str, stopping: threading.Event) -> None:
    while not stopping.is_set():
        pause = EVERY
        try:
            finish_where_due(settings, conninfo)
        except RightsMissing as error:
            _log.error("Files still hold what was erased. %s", error)
            pause = SELDOM
        except _NOT_NOW as error:
            _log.error("Files still hold what was erased. %s", error)
        except psycopg.Error as error:
            _log.warning("What was erased is not rewritten, because of the database: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - a thread that died would never rewrite, and tell nobody
            _log.error("Files still hold what was erased: %s", type(error).__name__)
        stopping.wait(pause)


def _finish(settings: Settings, conninfo: str) -> None:
    with (
        assembled(conninfo, settings.master_key_file, erasure_ledger=settings.erasure_ledger) as parts,
        _administrator(settings) as administrator,
    ):

        def anew() -> None:
            for model in filter(may_hold_persons, models):
                rebuild(conninfo, parts.mapper, model)

        def rotated() -> None:
            # Other hosts of a foreign server have key files of their own, which have to be brought along first.
            if settings.database_url is None:
                rotate(conninfo, settings.master_key_file)

        rewrite(conninfo, administrator, anew, rotated)


@contextmanager
def _administrator(settings: Settings) -> Generator[str | None]:
    """How to reach the embedded server as its superuser; None: it is a server of the operator's."""
    if settings.database_url is not None:
        yield None
        return
    server = EmbeddedPostgres(settings.data / "postgres")
    with server:
        yield server.superuser_conninfo()
