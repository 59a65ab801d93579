"""The log as it is stored: leaves, complete subtrees, checkpoints."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from infra.log.tree import KEPT, Frontier, Subtree, complete, inner_hash

HASH = 32
"""Bytes."""


class LogError(Exception):
    """What is stored of the log contradicts itself or the book; the message says what to do."""


class Kept(NamedTuple):
    """A stored checkpoint."""

    size: int
    note: str


def latest(db: Connection[Any]) -> Kept | None:
    """The last checkpoint; None: the log has not begun."""
    row = db.execute("SELECT size, note FROM daybook_log.checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else Kept(*row)


def append(db: Connection[Any], first: int, leaves: Sequence[bytes], subtrees: Sequence[Subtree], last: Kept) -> None:
    """Add leaves from a position on, what is complete with them, and the checkpoint over all. In a transaction."""
    db.execute("INSERT INTO daybook_log.leaves VALUES (%s, %s)", (first, b"".join(leaves)))
    with db.cursor() as cursor:
        cursor.executemany("INSERT INTO daybook_log.subtrees VALUES (%s, %s, %s)", subtrees)
    db.execute("INSERT INTO daybook_log.checkpoints (size, note) VALUES (%s, %s)", last)


def frontier(db: Connection[Any], size: int) -> Frontier:
    """The stored tree at a size that it has reached. Raises LogError where a part of it is missing."""
    tree = StoredTree(db)
    return Frontier(size, [tree.node(level, nth) for level, nth in complete(size)])


class StoredTree:
    """The hashes of complete subtrees, of those that are stored or from them."""

    def __init__(self, db: Connection[Any]) -> None:
        self._db = db

    def node(self, level: int, nth: int) -> bytes:
        """A subtree that is complete. Raises LogError where it can't be told."""
        kept = level // KEPT * KEPT
        wanted = 1 << level - kept
        hashes = self._leaves(nth * wanted, wanted) if kept == 0 else self._subtrees(kept, nth * wanted, wanted)
        if len(hashes) != wanted:
            raise LogError("A part of the stored log is missing. `daybook verify` says which.")
        while len(hashes) > 1:
            hashes = [inner_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def _leaves(self, first: int, count: int) -> list[bytes]:
        rows = self._db.execute(
            """
            SELECT first, hashes FROM daybook_log.leaves
            WHERE first < %(end)s AND first >= (
                SELECT coalesce(max(first), 0) FROM daybook_log.leaves WHERE first <= %(start)s)
            ORDER BY first
            """,
            {"start": first + 1, "end": first + 1 + count},
            binary=True,
        )
        found = {at: digest for start, hashes in rows for at, digest in enumerate(split(hashes), start)}
        return [found[at] for at in range(first + 1, first + 1 + count) if at in found]

    def _subtrees(self, level: int, first: int, count: int) -> list[bytes]:
        rows = self._db.execute(
            "SELECT hash FROM daybook_log.subtrees WHERE level = %s AND index >= %s AND index < %s ORDER BY index",
            (level, first, first + count),
            binary=True,
        )
        return [digest for (digest,) in rows]


def split(hashes: bytes) -> Iterator[bytes]:
    """The hashes in a row of leaves."""
    return (hashes[at : at + HASH] for at in range(0, len(hashes), HASH))
