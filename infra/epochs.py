"""What stands beside persons' keys: the epochs of the master key that wraps them, and a key for each purpose."""

import os
from typing import Any

from psycopg import Connection

from domain.kernel.randomness import random_bytes
from infra.master_key import MasterKey

PURPOSES_LOCK = 0x6461_7962_6F6F_6B01
"""The advisory lock of whoever makes keys for purposes, or wraps them anew."""
_PROOF = b"epoch"
_TODAY = "SELECT epoch, proof FROM daybook_keys.epochs ORDER BY epoch DESC LIMIT 1"


def holds_keys(db: Connection[Any]) -> bool:
    """Whether this book was begun under some master key already."""
    return db.execute("SELECT EXISTS (SELECT FROM daybook_keys.purposes)").fetchone() == (True,)


def master_epoch(db: Connection[Any]) -> int:
    """The epoch of the master key under which new keys are wrapped."""
    row = db.execute("SELECT max(epoch) FROM daybook_keys.epochs").fetchone()
    return int(row[0]) if row else 1


def epoch_of_today(db: Connection[Any], master: MasterKey) -> int:
    """The same. Raises MasterKeyError where our key of that epoch is not the book's."""
    epoch, proof = db.execute(_TODAY).fetchone() or (1, None)
    if proof is not None:
        master.unwrap(proof, _PROOF)
    return int(epoch)


def proof_of(master: MasterKey, epoch: int) -> bytes:
    """What opens under the master key of this epoch and no other: a host may have another one of that number."""
    return master.wrap(random_bytes(32), _PROOF, epoch)


def purpose_key(db: Connection[Any], master: MasterKey, epoch: int, purpose: str) -> bytes:
    """The key for a purpose; the first to ask, who holds PURPOSES_LOCK, makes it. Raises MasterKeyError."""
    row = db.execute(
        "SELECT wrapped FROM daybook_keys.purposes WHERE purpose = %s ORDER BY epoch DESC LIMIT 1", (purpose,)
    ).fetchone()
    if row is not None:
        return master.unwrap(row[0], purpose.encode())
    key = os.urandom(32)
    db.execute(
        "INSERT INTO daybook_keys.purposes (purpose, epoch, wrapped) VALUES (%s, 1, %s)",
        (purpose, master.wrap(key, purpose.encode(), epoch)),
    )
    return key
