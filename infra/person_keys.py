"""Rotating the keys of persons and records: from now on another key seals what is entered; the former ones still open.

What is sealed is hashed into the log and stays as it is. A new generation begins under the append lock, at the end of
the book: no entry after it is sealed under a former one, for each append looks at the key under the same lock. Running
processes need not be told: who would append under a former key is told to seal again, and to whom something does not
open reads the keys again. infra/generations.py has the format, docs/adr/0034 the reasons.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import UUID

from psycopg import Connection

from domain.kernel.randomness import random_bytes
from infra.append import APPEND_LOCK
from infra.epochs import master_epoch
from infra.generations import KEY, count, with_another
from infra.master_key import MasterKey, master_key
from infra.rotation import RotationError, alone, require_ours, unwrapped

Db = Connection[Any]

BATCH = 100
"""Keys that are rotated in a transaction, while nobody appends."""


class Begun(NamedTuple):
    """A new generation of one key."""

    generation: int
    """How many there are now."""
    after: int
    """The position of the last entry that may be sealed under a former one."""


class AllRotated(NamedTuple):
    """How a rotation of all keys ended."""

    rotated: int
    """How many keys this run has rotated; those that a run before it has are not among them."""
    begun_at: datetime
    """No key that seals is older."""
    resumed: bool
    """Whether a run that was cut off had begun it."""


def rotate_one(conninfo: str, file: Path, subject: UUID) -> Begun:
    """Begin a new generation of one subject's key. `conninfo`: the owner's; `file`: the master key's.

    Raises RotationError where there is no such key or it was altered, and MasterKeyError where the file is not this
    book's.
    """
    with alone(conninfo) as db:
        master = master_key(file, begun=True)
        require_ours(db, master)
        while True:
            row = db.execute("SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s", (subject,)).fetchone()
            if row is None:
                raise RotationError("There is no key to rotate: nothing personal was entered about it yet.")
            if row[0] is None:
                raise RotationError("There is no key to rotate: it was destroyed by an erasure.")
            if begun := _begin(db, master, [(subject, row[0])]):
                return begun[0]


def rotate_all(conninfo: str, file: Path, advance: Callable[[int], None] = lambda _: None) -> AllRotated:
    """Begin a new generation of every key, or go on where a run that was cut off has stopped.

    `conninfo`: the owner's; `file`: the master key's; `advance` is told of keys that were rotated. Keys that are made
    meanwhile are new. Raises RotationError, and MasterKeyError where the file is not this book's.
    """
    with alone(conninfo) as db:
        master = master_key(file, begun=True)
        require_ours(db, master)
        row = db.execute(_UNDER_WAY).fetchone()
        begun_at = row[0] if row else _begin_of_all(db)
        rotated, after = 0, UUID(int=0)
        while rows := db.execute(_DUE, (after, begun_at, BATCH), binary=True, prepare=True).fetchall():
            after = rows[-1][0]
            done = len(_begin(db, master, rows))
            rotated += done
            advance(done)
        db.execute("UPDATE daybook_keys.rotations SET ended_at = clock_timestamp() WHERE begun_at = %s", (begun_at,))
        return AllRotated(rotated, begun_at, resumed=row is not None)


def due(db: Db) -> int:
    """How many keys the rotation of all that is under way, or would begin now, has still to rotate."""
    [(keys,)] = db.execute(_HOW_MANY).fetchall()
    return int(keys)


def _begin_of_all(db: Db) -> datetime:
    """The moment before which each key was made that a rotation of all has to rotate."""
    with db.transaction():
        # An append that is under way may be making a key: it is one of these, and seen.
        db.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        [(begun_at,)] = db.execute(_BEGIN).fetchall()
    return cast("datetime", begun_at)


def _begin(db: Db, master: MasterKey, rows: list[tuple[UUID, bytes]]) -> list[Begun]:
    """Begin a generation of each of these keys that is still as it was read: an erasure may have come between."""
    opened = [(subject, wrapped, unwrapped(master, subject, wrapped)) for subject, wrapped in rows]
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        [(last,)] = db.execute("SELECT coalesce(max(position), 0) FROM daybook.events").fetchall()
        epoch = master_epoch(db)
        anew = [
            (subject, wrapped, master.wrap(with_another(keys, last, random_bytes(KEY)), subject.bytes, epoch))
            for subject, wrapped, keys in opened
        ]
        stored = {one for (one,) in _store(db, anew)}
    return [Begun(count(keys) + 1, last) for subject, _, keys in opened if subject in stored]


def _store(db: Db, anew: list[tuple[UUID, bytes, bytes]]) -> list[tuple[UUID]]:
    columns = [list(column) for column in zip(*anew, strict=True)]
    return db.execute(_ROTATED, columns, binary=True, prepare=True).fetchall()


_UNDER_WAY = "SELECT begun_at FROM daybook_keys.rotations WHERE ended_at IS NULL ORDER BY begun_at LIMIT 1"
# Behind every key that there is, however far ahead the database's clock was when that was made.
_BEGIN = """
    INSERT INTO daybook_keys.rotations (begun_at)
    SELECT greatest(clock_timestamp(), max(greatest(made_at, rotated_at)) + interval '1 microsecond')
    FROM daybook_keys.subjects RETURNING begun_at
"""
_DUE = """
    SELECT subject, wrapped FROM daybook_keys.subjects
    WHERE subject > %s AND wrapped IS NOT NULL AND coalesce(rotated_at, made_at) < %s ORDER BY subject LIMIT %s
"""
_HOW_MANY = f"""
    SELECT count(*) FROM daybook_keys.subjects
    WHERE wrapped IS NOT NULL AND coalesce(rotated_at, made_at) < coalesce(({_UNDER_WAY}), 'infinity')
"""
_ROTATED = """
    UPDATE daybook_keys.subjects SET wrapped = anew.wrapped,
        rotated_at = greatest(clock_timestamp(), (SELECT max(begun_at) FROM daybook_keys.rotations))
    FROM unnest(%s::uuid[], %s::bytea[], %s::bytea[]) AS anew (subject, former, wrapped)
    WHERE subjects.subject = anew.subject AND subjects.wrapped = anew.former RETURNING subjects.subject
"""
