"""Opening the book for a command, and the errors that everybody may meet, each with its exit code."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg_pool import PoolTimeout

from api.beginning import (
    administrators_email,
    define_roles,
    has_no_password,
    is_new,
    missing_roles,
    register_administrator,
)
from api.cli.output import note, progress
from api.composition import Parts, assembled
from domain.appending import BookUnavailable
from domain.encoding import SealBroken, UnreadableEntry
from domain.kernel import Refused
from infra import migrations
from infra.database import DatabaseError, connect_info
from infra.embedded import EmbeddedPostgresError
from infra.erasure.carrying_out import came_back
from infra.erasure.ledger import Ledger, LedgerError
from infra.erasure.rewriting import NotRewritten
from infra.log.signing_key import SigningKeyError
from infra.log.store import LogError
from infra.log.witness import NotCosigned
from infra.master_key import MasterKeyError
from infra.private_files import PrivateFileError, is_there
from infra.roles import RoleError
from infra.rotation import RotationError
from infra.settings import Settings, SettingsError, read_settings
from projections.model import Model
from projections.rebuild import NoMomentToSwitch, RebuildUnderWay, drop_leftovers, rebuild
from projections.registry import may_hold_persons, models
from projections.tables import ModelError, install

FAILED, USAGE, OUT_OF_REACH = 1, 2, 3

EXIT_CODES = """
Exit codes: **0** all went well · **1** refused, or something failed · **2** wrong usage, settings or mapping ·
**3** the book is out of reach (database, data directory, master key or signing key).
"""

Conninfo = str


class CommandFailed(Exception):
    """A command can't go on; the message says why in one sentence or two."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


EXPECTED: dict[type[Exception], int] = {
    Refused: FAILED,
    UnreadableEntry: FAILED,
    SealBroken: FAILED,
    RebuildUnderWay: FAILED,
    NoMomentToSwitch: FAILED,
    ModelError: FAILED,
    SettingsError: USAGE,
    BookUnavailable: OUT_OF_REACH,
    DatabaseError: OUT_OF_REACH,
    EmbeddedPostgresError: OUT_OF_REACH,
    MasterKeyError: OUT_OF_REACH,
    RotationError: FAILED,
    SigningKeyError: OUT_OF_REACH,
    LedgerError: OUT_OF_REACH,
    LogError: FAILED,
    NotRewritten: FAILED,
    NotCosigned: FAILED,
    PrivateFileError: OUT_OF_REACH,
    RoleError: OUT_OF_REACH,
    PoolTimeout: OUT_OF_REACH,
    psycopg.OperationalError: OUT_OF_REACH,
}
"""What may go wrong without being a fault of ours: told in a sentence, without a traceback."""


def told(error: Exception) -> int:
    """Tell an error in its sentence; returns its exit code. Raises it again where it is unexpected."""
    if isinstance(error, CommandFailed):
        code: int | None = error.code
    else:
        code = next((code for kind, code in EXPECTED.items() if isinstance(error, kind)), None)
    if code is None:
        raise error
    words = " ".join(str(error).split())
    note("daybook: " + "".join(one if one.isprintable() else ascii(one)[1:-1] for one in words))
    return code


@contextmanager
def database(*, begin: bool = False) -> Generator[tuple[Settings, Conninfo]]:
    """The settings and a connection string to a migrated database.

    `begin`: whether a new book may be begun where there is none; it gets the ready roles that it lacks, and an
    administrator. In development the database is migrated on the way; in production that is a step of its own:
    `daybook migrate`.
    """
    settings = read_settings()
    if not begin and settings.database_url is None and not is_there(settings.data / "postgres"):
        raise CommandFailed(
            f"There is no book in {settings.data}. DAYBOOK_DATA names another place; `daybook serve` begins one.",
            OUT_OF_REACH,
        )
    with connect_info(settings, note) as conninfo:
        if settings.environment == "development":
            rebuild_outdated(settings, conninfo, migrate(conninfo).outdated)
        else:
            _require_migrated(conninfo)
        erase_again(settings, conninfo)
        if begin:
            Ledger(settings.erasure_ledger).make()
            _begin(settings, conninfo)
        yield settings, conninfo


@contextmanager
def book(*, begin: bool = False) -> Generator[Parts]:
    """The parts of a process that works on the book; `begin`: or on a new one, where there is none."""
    with database(begin=begin) as (settings, conninfo), assembled(conninfo, settings.master_key_file) as parts:
        yield parts


class Migrated(NamedTuple):
    applied: list[str]
    """The migrations."""
    wanting: list[str]
    """Statements that an administrator has to run before the rights can be divided."""
    outdated: list[str]
    """The models to rebuild."""


def migrate(conninfo: Conninfo) -> Migrated:
    """Apply what is pending, divide the rights, make new read models, and drop what killed rebuilds have left."""
    done = migrations.migrate(conninfo)
    with psycopg.connect(conninfo, autocommit=True, application_name="daybook migrate") as db:
        drop_leftovers(db)
        return Migrated(done.applied, done.wanting, install(db, models))


def rebuild_outdated(settings: Settings, conninfo: Conninfo, outdated: Sequence[str]) -> None:
    """Build the read models anew that stand there in another version than the code's."""
    if outdated:
        with assembled(conninfo, settings.master_key_file) as parts:
            for model in models:
                if model.name in outdated:
                    rebuild_model(parts, model)


def awaited(settings: Settings, conninfo: Conninfo) -> str | None:
    """The e-mail address of the administrator that the book began with, as long as they have no password."""
    with psycopg.connect(conninfo, autocommit=True) as db:
        if not has_no_password(db):
            return None
    with assembled(conninfo, settings.master_key_file) as parts:
        return administrators_email(parts)


def erase_again(settings: Settings, conninfo: Conninfo) -> None:
    """Erase again what a backup has brought back, as the ledger says, before anybody is answered."""
    erased = Ledger(settings.erasure_ledger).erased()
    if not erased:
        return
    with psycopg.connect(conninfo, autocommit=True) as db:
        if not came_back(db, erased):
            return
    with assembled(conninfo, settings.master_key_file, erasure_ledger=settings.erasure_ledger) as parts:
        again = parts.erasures.replay()
        note(f"This book comes from a backup: {len(again)} customers who were erased since are erased again.")
        for model in models:
            if may_hold_persons(model):
                rebuild_model(parts, model)


def rebuild_model(parts: Parts, model: Model) -> int:
    """Build a read model anew, telling how far it is; the position that it stands at then."""
    at = 0
    with progress(f"Rebuilding {model.name}", parts.store.max_notification_id() or 0) as advance:

        def report(position: int, _last: int) -> None:
            nonlocal at
            advance(position - at)
            at = position

        rebuild(parts.conninfo, parts.mapper, model, report)
    return at


def _begin(settings: Settings, conninfo: Conninfo) -> None:
    with psycopg.connect(conninfo, autocommit=True) as db:
        missing, new = missing_roles(db), is_new(db)
    if missing or new:
        with assembled(conninfo, settings.master_key_file) as parts:
            define_roles(parts, missing)
            if new:
                register_administrator(parts, settings.admin_email)


def _require_migrated(conninfo: Conninfo) -> None:
    with psycopg.connect(conninfo, autocommit=True) as db:
        if pending := migrations.pending(db):
            raise CommandFailed(f"The database lacks {', '.join(pending)}. Run `daybook migrate` first.")
