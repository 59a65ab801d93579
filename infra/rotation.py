"""Rotating the master key while everybody goes on: each key is wrapped anew, then the former master key is destroyed.

Four steps, each of which is seen from what the file and the database hold; so whoever is killed is run again, and goes
on where it was. N is the epoch of the former master key.

    file N        database N         a new key is made, and stands in the file beside the former one
    file N, N+1   database N         epoch N+1 begins: from now on new keys are wrapped under it, and no more under N
    file N, N+1   database N, N+1    every other key is wrapped anew, and opened once more; epoch N ends
    file N, N+1   database N+1       the former key is taken out of the file, and what held it is overwritten

Running processes need not be told. Who meets a key of an epoch that it does not know reads the file again; who would
add a key under a former epoch is told under the append lock, and seals again. docs/adr/0031.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import Connection

from infra.append import APPEND_LOCK
from infra.epochs import PURPOSES_LOCK, master_epoch, proof_of
from infra.master_key import EpochUnknown, Keys, MasterKey, MasterKeyError, epoch_of, keep, keys_in, master_key
from infra.times import tell_times

Db = Connection[Any]

BATCH = 1_000
"""Keys that are wrapped anew in a transaction."""

STILL = "5s"
"""How long a rotation may stand still in a transaction: all appends wait for it. It is run again, and goes on."""

_LOCK = 0x6461_7962_6F6F_6B05
"""The advisory lock of whoever rotates."""


class RotationError(Exception):
    """A key can't be rotated now; the message says why."""


class Rotated(NamedTuple):
    """How a rotation ended."""

    epoch: int
    """Of the master key under which keys are wrapped now."""
    wrapped: int
    """How many keys were wrapped anew by this run."""
    done: bool
    """False: the new master key stands in the file, and nothing else was done."""


def rotate(
    conninfo: str, file: Path, advance: Callable[[int], None] = lambda _: None, *, only_prepare: bool = False
) -> Rotated:
    """Rotate the master key in the file, or finish a rotation that was not finished.

    `conninfo`: the owner's. `advance` is told of keys that were wrapped anew. `only_prepare`: put the new master key
    into the file, and stop. Raises RotationError, also where a key was altered, and MasterKeyError where the file is
    not this book's or can't be written.
    """
    file = file.resolve()  # a link stays one
    with alone(conninfo) as db:
        master, keys, now = master_key(file, begun=True), keys_in(file), master_epoch(db)
        require_ours(db, master)
        if min(keys) < now - 1 or max(keys) > now + 1:
            raise MasterKeyError(f"The file {file} holds keys of other epochs than {now}; put back the right file.")
        under_way = len(keys) > 1 or _epochs(db) > 1
        if not under_way:
            keys = _prepare(file, keys, now + 1)
        epoch = max(keys)
        if only_prepare:
            if epoch == now:
                raise RotationError("A rotation is under way; finish it: daybook rotate master-key")
            return Rotated(now, 0, done=False)
        master = master_key(file, begun=True)
        if epoch > now:
            _begin(db, master, epoch)
        wrapped = _wrap_all(db, master, epoch, advance)
        while not _end_former(db, epoch):
            wrapped += _wrap_all(db, master, epoch, advance)
        _destroy_former(file, keys, epoch)
        return Rotated(epoch, wrapped, done=True)


@contextmanager
def alone(conninfo: str) -> Generator[Db]:
    """A connection of the only process that rotates keys of this book. Raises RotationError where another one does."""
    with psycopg.connect(conninfo, autocommit=True, application_name="daybook rotation") as db:
        tell_times(db)
        if db.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
            raise RotationError("Another process is rotating keys of this book.")
        db.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (STILL,))
        db.execute("SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3")
        try:
            yield db
        except psycopg.errors.IdleInTransactionSessionTimeout:
            raise RotationError("It stood still while everybody waited for it, and was ended. Run it again.") from None
        # Left to the end of the connection, it might be held for a moment still when somebody rotates next.
        db.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def require_ours(db: Db, master: MasterKey) -> None:
    """Raises RotationError or MasterKeyError where this is not the master key of this book's keys."""
    purposes = db.execute("SELECT purpose, wrapped FROM daybook_keys.purposes").fetchall()
    if not purposes:
        raise RotationError("This book has not begun yet; its keys are as good as new.")
    for purpose, wrapped in purposes:
        master.unwrap(wrapped, purpose.encode())


def unwrapped(master: MasterKey, subject: UUID, wrapped: bytes) -> bytes:
    """A subject's keys, under a master key that is this book's. Raises RotationError where they do not open."""
    try:
        return master.unwrap(wrapped, subject.bytes)
    except EpochUnknown:
        raise
    except MasterKeyError:
        raise RotationError(
            f"The key of subject {subject} in daybook_keys.subjects does not open under the master key, as others do:"
            " it was altered. Restore that row, and rotate again."
        ) from None


def _epochs(db: Db) -> int:
    return db.execute("SELECT FROM daybook_keys.epochs").rowcount


def _prepare(file: Path, keys: Keys, epoch: int) -> Keys:
    """The keys with a new one, as they stand in the file then; nothing is wrapped under it yet."""
    keys = {**keys, epoch: os.urandom(32)}
    keep(file, keys)
    return keys


def _begin(db: Db, master: MasterKey, epoch: int) -> None:
    """Let new keys be wrapped under this epoch. The keys for purposes are carried over: they are few, and go along."""
    with db.transaction():
        # Nobody is about to add a key under the former epoch any more, once these are ours.
        db.execute("SELECT pg_advisory_xact_lock(%s)", (PURPOSES_LOCK,))
        db.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        proof = proof_of(master, epoch)
        db.execute("INSERT INTO daybook_keys.epochs (epoch, proof) VALUES (%s, %s)", (epoch, proof))
        for purpose, wrapped in db.execute("SELECT purpose, wrapped FROM daybook_keys.purposes").fetchall():
            anew = master.wrap(master.unwrap(wrapped, purpose.encode()), purpose.encode(), epoch)
            db.execute(
                "UPDATE daybook_keys.purposes SET wrapped = %s WHERE purpose = %s AND wrapped = %s",
                (anew, purpose, wrapped),
            )


def _wrap_all(db: Db, master: MasterKey, epoch: int, advance: Callable[[int], None]) -> int:
    """Wrap every key under this epoch; how many were not. The last round has opened every key, and found none."""
    total = 0
    while found := _wrap_once(db, master, epoch, advance):
        total += found
    return total


def _wrap_once(db: Db, master: MasterKey, epoch: int, advance: Callable[[int], None]) -> int:
    total, after = 0, UUID(int=0)
    while rows := db.execute(_SOME, (after, BATCH), binary=True, prepare=True).fetchall():
        after = rows[-1][0]
        anew = [
            (subject, wrapped, master.wrap(key, subject.bytes, epoch))
            for subject, wrapped in rows
            if (key := unwrapped(master, subject, wrapped)) and epoch_of(wrapped) != epoch
        ]
        if anew:
            _store(db, anew)
            total += len(anew)
            advance(len(anew))
    return total


def _store(db: Db, anew: list[tuple[UUID, bytes, bytes]]) -> None:
    # Only where it is still the key that was read: one that an erasure has destroyed meanwhile stays destroyed.
    db.execute(_WRAPPED_ANEW, [list(column) for column in zip(*anew, strict=True)], binary=True, prepare=True)


def _end_former(db: Db, epoch: int) -> bool:
    """End the former epoch, under which nothing can be wrapped any more; False: a key still needs it."""
    try:
        db.execute("DELETE FROM daybook_keys.epochs WHERE epoch < %s", (epoch,))
    except psycopg.errors.ForeignKeyViolation:
        return False  # added by a process of an older version, which knows no epochs
    return True


def _destroy_former(file: Path, keys: Keys, epoch: int) -> None:
    keep(file, {epoch: keys[epoch]})


_SOME = """
    SELECT subject, wrapped FROM daybook_keys.subjects WHERE subject > %s AND wrapped IS NOT NULL
    ORDER BY subject LIMIT %s
"""
_WRAPPED_ANEW = """
    UPDATE daybook_keys.subjects SET wrapped = anew.wrapped
    FROM unnest(%s::uuid[], %s::bytea[], %s::bytea[]) AS anew (subject, former, wrapped)
    WHERE subjects.subject = anew.subject AND subjects.wrapped = anew.former
"""
