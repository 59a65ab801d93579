"""The log as it is stored: leaves, complete subtrees, checkpoints."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from infra.log.tree import KEPT, Frontier, Subtree, complete, inner_hash

HASH = 32
"""Bytes."""
BLOCK = 1 << KEPT
"""Leaves below the lowest subtree that is stored: what is read at once."""


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


def has_begun(db: Connection[Any]) -> bool:
    """Whether somebody has signed this log, also where checkpoints of it were taken away since."""
    return latest(db) is not None or reach(db) > 0


def reach(db: Connection[Any]) -> int:
    """The last entry that the stored tree has a hash of; 0: none."""
    row = db.execute(
        "SELECT first + length(hashes) / %s - 1 FROM daybook_log.leaves ORDER BY first DESC LIMIT 1", (HASH,)
    ).fetchone()
    return 0 if row is None else int(row[0])


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
    """The hashes of complete subtrees, of those that are stored or from them. Remembers the leaves that it has read."""

    def __init__(self, db: Connection[Any]) -> None:
        self._db = db
        self._blocks: dict[int, Sequence[bytes]] = {}

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

    def _leaves(self, first: int, count: int) -> Sequence[bytes]:
        """Of one block: neighbours are asked for again and again."""
        block, start = divmod(first, BLOCK)
        if block not in self._blocks:
            self._blocks[block] = self._block(block * BLOCK + 1)
        return self._blocks[block][start : start + count]

    def _block(self, start: int) -> Sequence[bytes]:
        """The leaves from a position on, up to a block of them, as far as there are any without a gap."""
        rows = self._db.execute(
            """
            SELECT greatest(first, %(start)s), substr(hashes, (greatest(%(start)s - first, 0) * %(hash)s + 1)::int,
                ((%(end)s - greatest(first, %(start)s)) * %(hash)s)::int)
            FROM daybook_log.leaves
            WHERE first < %(end)s AND first >= (
                SELECT coalesce(max(first), 0) FROM daybook_log.leaves WHERE first <= %(start)s)
            ORDER BY first
            """,
            {"start": start, "end": start + BLOCK, "hash": HASH},
            binary=True,
        )
        found = list[bytes]()
        for at, hashes in rows:
            if at == start + len(found):
                found += split(hashes)
        return found

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
