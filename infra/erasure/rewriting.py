"""Rewriting: what was erased is deleted; here what deleting leaves behind goes too, from tables, statistics and WAL.

A deleted row stays in its table's file until something else needs the room, in the planner's statistics until the next
look, and in the write-ahead log until that is written over.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from infra.entries import ON_A_CONTACT, THE_CONTACT
from infra.times import tell_times

PATIENCE = 60.0
"""Seconds to wait for a moment in which nobody uses a table, or looks at it as it was."""

TABLES = (
    ("daybook_keys", "subjects"),
    ("daybook", "reservations"),
    ("daybook", "imported"),
    ("pg_catalog", "pg_statistic"),
)
"""Beside the read models, what has held a key, what leads to a person, or, last, some of all these values."""

_LOCK = 0x6461_7962_6F6F_6B07
"""Advisory lock of whoever rewrites."""


class NotRewritten(Exception):
    """Something erased is still in the files; the message says what to do."""


class RightsMissing(NotRewritten):
    """The role of DATABASE_URL may not do all of it; until somebody grants that, nothing more is gained by trying."""


def due(db: Connection[Any], days: int) -> datetime | None:
    """When the oldest erasure that is not rewritten yet has to be; None where there is none. `db`: the owner's."""
    row = db.execute(
        "SELECT min(destroyed_at) FROM daybook_keys.subjects WHERE wrapped IS NULL AND destroyed_at >= coalesce("
        "(SELECT max(begun_at) FROM daybook_keys.rewritings), '-infinity')"
    ).fetchone()
    return None if row is None or row[0] is None else row[0] + timedelta(days=days)


def master_key_due(db: Connection[Any], days: int) -> datetime | None:
    """By when the master key has to be rotated, for it is older than an erasure: with it a copy of the database from
    before opens. None where it is not. `db`: of the owner, or whoever may read keys.
    """
    row = db.execute(_OUTLIVED).fetchone()
    return None if row is None or row[0] is None else row[0] + timedelta(days=days)


def sealed_by_others(db: Connection[Any]) -> int:
    """How many entries speak of an erased person and are sealed under an organisation's key, which is there yet:
    nothing shows them, but whoever has the keys could open them. `db`: of the owner.
    """
    [(count,)] = db.execute(_SEALED_BY_OTHERS).fetchall()
    return int(count)


def rewrite(conninfo: str, administrator: str | None, rebuild: Callable[[], None], rotate: Callable[[], None]) -> None:
    """Rewrite all that has held what was erased by now.

    `conninfo`: the owner's. `administrator`: a connection string of whoever may make checkpoints and switch the WAL;
    None: the owner tries. `rebuild`: builds the read models anew that may hold persons, and switches to them. `rotate`:
    rotates the master key, where this process may, so that a destroyed key in an old copy of the database opens with
    nothing that is kept. Killed at any moment it is to be done again. Raises NotRewritten, and what these two raise.
    """
    with psycopg.connect(conninfo, autocommit=True, application_name="daybook erasure") as db:
        tell_times(db)
        [(alone, begun)] = db.execute("SELECT pg_try_advisory_lock(%s), clock_timestamp()", (_LOCK,)).fetchall()
        if not alone:
            raise NotRewritten("Another process is at it; wait for that one.")
        rebuild()
        rotate()  # before the tables of keys are written anew: it leaves the former ones behind
        db.execute(_FORGET_IMPORTED)
        _wait_for_the_past(db, begun)
        for schema, table in TABLES:
            _vacuum(db, schema, table)
        try:
            with psycopg.connect(administrator or conninfo, autocommit=True) as other:
                write_over_wal(other)
        except psycopg.errors.InsufficientPrivilege:
            raise RightsMissing(
                "The tables are rewritten, but the role of DATABASE_URL may not write over this PostgreSQL's WAL, which"
                " still holds what was erased. Have an administrator grant it pg_checkpoint, and EXECUTE on"
                " pg_switch_wal() and pg_ls_waldir(); then do it again."
            ) from None
        db.execute("INSERT INTO daybook_keys.rewritings VALUES (%s, clock_timestamp())", (begun,))
        db.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))  # not a moment after the connection's end


def write_over_wal(db: Connection[Any]) -> None:
    """Leave nothing in the WAL that was written before now. `db`: of a superuser, or whom it was granted."""
    _switch(db)
    db.execute("CHECKPOINT")
    # What was not needed any more is kept under the name of a segment to come, as it was. A segment that is switched
    # from is written to its end, so each is written over once as many were switched as there are.
    [(segments,)] = db.execute("SELECT count(*) FROM pg_ls_waldir()").fetchall()
    for _ in range(segments + 1):
        _switch(db)
    db.execute("CHECKPOINT")


def _switch(db: Connection[Any]) -> None:
    db.execute("SELECT pg_logical_emit_message(false, 'daybook', '')")  # nobody switches from an empty segment
    db.execute("SELECT pg_switch_wal()")


def _vacuum(db: Connection[Any], schema: str, table: str) -> None:
    """Write a table anew. Raises NotRewritten where it is busy for long, or where we may not."""
    name = Identifier(schema, table)
    before = _file(db, schema, table)
    deadline = monotonic() + PATIENCE
    while True:
        try:
            # Whoever waits for a lock on a table keeps everybody behind it waiting too: rather try again.
            db.execute("SET lock_timeout = '300ms'")
            # Statistics of before hold values too; of a catalogue there are none.
            db.execute(SQL("VACUUM (FULL, ANALYZE {}) {}").format(SQL("off" if schema == "pg_catalog" else "on"), name))
            break
        except psycopg.errors.LockNotAvailable:
            if monotonic() > deadline:
                raise NotRewritten(f"{schema}.{table} has been busy for {PATIENCE:.0f} seconds; do it again.") from None
            sleep(0.2)
    if _file(db, schema, table) == before:
        raise RightsMissing(f"The role of DATABASE_URL may not rewrite {schema}.{table}: it must own the database.")


def _file(db: Connection[Any], schema: str, table: str) -> str:
    [(path,)] = db.execute("SELECT pg_relation_filepath(%s::regclass)", (f"{schema}.{table}",)).fetchall()
    return str(path)


def _wait_for_the_past(db: Connection[Any], begun: datetime) -> None:
    """A row stays as long as somebody may look at the table as it was: wait until they are done."""
    deadline = monotonic() + PATIENCE
    while db.execute(_LOOKING_BACK, (begun,)).fetchone() is not None:
        if monotonic() > deadline:
            raise NotRewritten(
                f"A transaction that began before has been open for {PATIENCE:.0f} seconds: a backup, or a session that"
                " was forgotten. Do it again when it has ended."
            )
        sleep(0.2)


# While it is rotated the former one counts: it is not destroyed yet. The first is older than any erasure, whenever the
# table of epochs came to be.
_OUTLIVED = """
    SELECT min(destroyed_at)
    FROM daybook_keys.subjects, (SELECT min(epoch), min(begun_at) FROM daybook_keys.epochs) AS oldest (epoch, begun_at)
    WHERE wrapped IS NULL AND (oldest.epoch = 1 OR destroyed_at >= oldest.begun_at)
"""
_FORGET_IMPORTED = """
    DELETE FROM daybook.imported USING daybook_keys.subjects
    WHERE subjects.subject = imported.record AND subjects.wrapped IS NULL
"""
_SEALED_BY_OTHERS = f"""
    SELECT count(*) FROM daybook.events JOIN daybook_keys.subjects AS person
        ON person.subject::text = {THE_CONTACT} AND person.wrapped IS NULL
    JOIN daybook_keys.subjects AS own ON own.subject = events.subject AND own.wrapped IS NOT NULL
    WHERE {ON_A_CONTACT} AND events.subject = originator_id AND sealed IS NOT NULL
"""
_LOOKING_BACK = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < %s
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
"""
