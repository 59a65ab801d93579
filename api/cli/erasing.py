"""`erasure`: how far erasures are, and the rewriting of what has held what was erased, by hand or when it is due."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import psycopg
import typer

from api.cli.book import database
from api.cli.output import note, say, say_json
from api.composition import assembled
from infra.beside import beside
from infra.embedded import EmbeddedPostgres, EmbeddedPostgresError
from infra.erasure.carrying_out import unledgered, waiting
from infra.erasure.ledger import Ledger
from infra.erasure.rewriting import NotRewritten, RightsMissing, due, master_key_due, rewrite, sealed_by_others
from infra.master_key import MasterKeyError, keys_in
from infra.rotation import RotationError, rotate
from infra.settings import Settings
from infra.times import tell_times
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

_OLD = "it is older than an erasure, and with it a copy of the database from before still opens."
_BY_HAND = (
    "Daybook does not know whether other hosts have key files of their own, so this is yours to do: `daybook rotate"
    " master-key` where there is one file, which DAYBOOK_ONE_KEY_FILE=yes leaves to Daybook from then on; with several,"
    " `daybook rotate master-key --prepare` first (docs/operator/keys.md). Then destroy every copy of the former key."
)

_NOT_NOW = (NotRewritten, NoMomentToSwitch, RebuildUnderWay, RotationError, MasterKeyError, EmbeddedPostgresError)

_log = logging.getLogger("daybook.erasure")


@app.command()
def status(json: Json = False) -> None:
    """Say how many customers were erased, until when the files have to be rewritten and the master key rotated, and
    what of it is to be done by hand.

    Examples:

        daybook erasure status

        daybook erasure status --json | jq -r .due
    """
    with database() as (settings, conninfo), psycopg.connect(conninfo, autocommit=True) as db:
        tell_times(db)
        ledger, approved = Ledger(settings.erasure_ledger).erased(), waiting(db)
        erased, lost = len(ledger), unledgered(db, ledger)
        until, key = due(db, settings.erasure_days), master_key_due(db, settings.erasure_days)
        left = sealed_by_others(db)
    if json:
        by_hand = key is not None and not settings.one_key_file
        due_then = {"due": until, "masterKeyDue": key, "byHand": by_hand}
        say_json({"erased": erased, "waiting": approved, **due_then, "underOtherKeys": left, "notInLedger": lost})
        return
    say(f"The ledger tells of {erased} customers whose personal data was erased.")
    if lost:
        say(f"! {lost} more have a receipt in the book and are not in {settings.erasure_ledger}: put the newest there.")
    if approved:
        say(f"{approved} more are approved, and wait to be carried out: by `daybook serve` or `daybook work`.")
    if until:
        say(f"Leftovers in the files have to be gone by {until:%Y-%m-%d %H:%M:%S %Z}.")
    else:
        say(_gone_but_for(left) if left else "No file holds any more what was erased.")
    if key is not None and settings.one_key_file:
        say(f"`daybook erasure finish` rotates the master key too: {_OLD}")
    elif key is not None:
        say(f"! {_left_to_do(key)}")


@app.command()
def finish() -> None:
    """Rewrite all that has held what was erased: read models, keys, statistics, and the write-ahead log.

    The master key is rotated with it, so that a copy of the database from before opens with nothing that is kept. With
    DATABASE_URL other hosts may have key files of their own: there it is rotated where DAYBOOK_ONE_KEY_FILE=yes says
    that none has; else it is left to you, and said.

    Daybook may go on serving; on a large book it takes as long as `daybook rebuild` for customers, deals, tickets and
    the timeline together. `daybook serve` and `daybook work` do it by themselves a day before it is due.

    Example:

        daybook erasure finish
    """
    with database() as (settings, conninfo):
        with psycopg.connect(conninfo, autocommit=True) as db:
            tell_times(db)
            until, key = due(db, settings.erasure_days), master_key_due(db, settings.erasure_days)
        # To rotate the master key gives up older backups: not for nothing.
        if until is not None:
            note("Rewriting what has held what was erased.")
            _finish(settings, conninfo)
        elif key is not None:
            _rotate_late(settings, conninfo)
        with psycopg.connect(conninfo, autocommit=True) as db:
            left = sealed_by_others(db)
    gone = _gone_but_for(left) if left else "No file of the database holds any more what was erased."
    say(f"{gone} Backups and replicas do, until they expire.")
    if key is not None and not settings.one_key_file:
        note(_left_to_do(key))


def finish_where_due(settings: Settings, conninfo: str) -> None:
    """Rewrite where that is due, and rotate the master key. Raises what `rewrite`, `rebuild` and `rotate` raise."""
    soon = datetime.now(UTC) + MARGIN
    with psycopg.connect(conninfo, autocommit=True) as db:
        tell_times(db)
        until, key = due(db, settings.erasure_days), master_key_due(db, settings.erasure_days)
        by_hand = due_by_hand(settings, db)
    if by_hand is not None:
        _log.error("%s", by_hand)
    if until is not None and until < soon:
        _finish(settings, conninfo)
        _log.info("What had held erased data was rewritten.")
    elif key is not None and key < soon:
        _rotate_late(settings, conninfo)


def due_by_hand(settings: Settings, db: psycopg.Connection[Any]) -> str | None:
    """What is due now of an erasure and only an operator can do, in sentences; None: nothing. `db`: may read keys."""
    key = master_key_due(db, settings.erasure_days)
    late = key is not None and key - MARGIN < datetime.now(UTC) and not settings.one_key_file
    return _left_to_do(key) if key is not None and late else None


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

        rewrite(conninfo, administrator, anew, partial(_rotate_late, settings, conninfo))


def _rotate_late(settings: Settings, conninfo: str) -> None:
    """Rotate the master key where it is older than an erasure; where other hosts' key files have to be brought along
    first, that is left to the operator."""
    if not settings.one_key_file:
        return
    for _ in range(2):  # the first may only finish one that was under way when somebody was erased
        with psycopg.connect(conninfo, autocommit=True) as db:
            tell_times(db)
            late = master_key_due(db, settings.erasure_days) is not None
        # Not for nothing, each time that the rest of it fails. Two keys in the file: it was cut off at its end.
        if late or len(keys_in(settings.master_key_file)) > 1:
            rotate(conninfo, settings.master_key_file)


def _left_to_do(key: datetime) -> str:
    return f"The master key has to be rotated by {key:%Y-%m-%d %H:%M:%S %Z}: {_OLD} {_BY_HAND}"


def _gone_but_for(left: int) -> str:
    """What to say where entries are left that no key of an erased person has sealed."""
    return (
        f"No file holds any more what was erased, but for {left} entries about contacts of organisations, from before"
        " they were sealed under the contacts' keys. Nothing shows them, and the organisations' keys still open them"
        " (docs/operator/erasure.md)."
    )


@contextmanager
def _administrator(settings: Settings) -> Generator[str | None]:
    """How to reach the embedded server as its superuser; None: it is a server of the operator's."""
    if settings.database_url is not None:
        yield None
        return
    server = EmbeddedPostgres(settings.data / "postgres")
    with server:
        yield server.superuser_conninfo()
