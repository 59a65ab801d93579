"""Migrations: numbered SQL files, each applied once, in order, in one transaction with its record."""

from importlib.resources import files
from typing import NamedTuple

import psycopg

from infra.database import DatabaseError
from infra.granting import divide

_LOCK = 0x6461_7962_6F6F_6B00
"""Advisory lock of whoever migrates; other processes wait."""


class Migrated(NamedTuple):
    applied: list[str]
    """The names of the migrations that were applied."""
    wanting: list[str]
    """Statements that an administrator has to run before the rights can be divided; none where they are."""


def pending(db: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """The names of the migrations that this database does not have yet.

    Raises DatabaseError where it has some that this version does not know: what we read may have changed.
    """
    found = db.execute("SELECT to_regclass('daybook_migrations.applied') IS NOT NULL").fetchone()
    applied: set[str] = set()
    if found == (True,):
        applied = {str(name) for (name,) in db.execute("SELECT name FROM daybook_migrations.applied")}
    known = _names()
    if unknown := sorted(applied.difference(known)):
        raise DatabaseError(
            f"A newer Daybook has migrated this database: it has {', '.join(unknown)}, which this version does not"
            " know. Run that version, or restore a backup from before (docs/operator, Upgrade)."
        )
    return [name for name in known if name not in applied]


def migrate(conninfo: str) -> Migrated:
    """Apply what is pending, and divide the rights. Several processes may do it at once. Raises DatabaseError."""
    with psycopg.connect(conninfo, autocommit=True) as db:
        db.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        db.execute("CREATE SCHEMA IF NOT EXISTS daybook_migrations")
        db.execute(
            "CREATE TABLE IF NOT EXISTS daybook_migrations.applied"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = pending(db)
        for name in applied:
            with db.transaction():
                db.execute((files(__name__) / name).read_bytes())
                db.execute("INSERT INTO daybook_migrations.applied (name) VALUES (%s)", (name,))
        return Migrated(applied, divide(db, conninfo))


def _names() -> list[str]:
    return sorted(file.name for file in files(__name__).iterdir() if file.name.endswith(".sql"))
