"""What of an entry is hashed: every column that is stored, in one encoding that no other entry has.

    leaf = "daybook leaf 1" || field || field || ...      one field for each of COLUMNS, in their order
    field = length (4 bytes) || value, or FF FF FF FF where the column is NULL

Integers are 8 bytes, two's complement, most significant byte first; UUIDs their 16 bytes; texts UTF-8; byte strings
themselves; times are integers, the microseconds since 1970-01-01 00:00 UTC. docs/auditor/proof.md says the same.

PostgreSQL's own binary COPY writes exactly these fields, so that nothing is made of a row but its hash.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from infra.log.tree import leaf_hash

TAG = b"daybook leaf 1"

COLUMNS = (
    "position", "originator_id", "originator_version", "event_id", "topic", "recorded_at", "occurred_at", "subject",
    "actor", "on_behalf_of", "correlation_id", "causation_id", "idempotency_key", "state", "sealed", "commitment",
)  # fmt: skip
_TEXTS, _TIMES = ("topic", "actor", "on_behalf_of"), ("recorded_at", "occurred_at")


def _encoded(name: str) -> str:
    if name in _TEXTS:
        return f"convert_to({name}, 'UTF8')"
    if name in _TIMES:  # infinity, and what no such integer holds, would end the statement; no entry has either
        holds = f"isfinite({name}) AND {name} < '294247-01-01 00:00:00+00'"
        return f"CASE WHEN {holds} THEN (extract(epoch FROM {name}) * 1000000)::bigint END"
    return name


_SELECT = f"SELECT {', '.join(map(_encoded, COLUMNS))} FROM daybook.events"
_ENTRIES = (
    f"COPY ({_SELECT} WHERE position >= CAST(%s AS bigint) ORDER BY position LIMIT %s) TO STDOUT (FORMAT binary)"
).encode()
_HISTORY = (
    f"COPY ({_SELECT} WHERE originator_id = %s AND position <= %s ORDER BY originator_version)"
    " TO STDOUT (FORMAT binary)"
).encode()
_HEADER = 19
"""Bytes before the first row: signature, flags, and the length of an extension that there is none of."""
_COUNT = 2
"""Bytes before each row's fields: how many there are. At the end of all rows they stand alone, and say -1."""


class Leaf(NamedTuple):
    """An entry, as the tree knows it."""

    position: int
    digest: bytes


_BEFORE_ALL = -(2**63) - 1
ALL = 2**63 - 1


def leaves(db: Connection[Any], after: int = _BEFORE_ALL, most: int = ALL) -> Iterator[Leaf]:
    """The leaves of the entries above a position, by position, at most so many; streamed."""
    for leaf in encoded(db, after, most):
        yield Leaf(position_of(leaf), leaf_hash(leaf))


def unplaced(db: Connection[Any]) -> int:
    """How many entries stand at no position: none, unless somebody took away what forbids it."""
    [(many,)] = db.execute("SELECT count(*) FROM daybook.events WHERE position IS NULL")
    return int(many)


def position_of(leaf: bytes) -> int:
    """The position of the entry whose leaf this is: the first field."""
    start = len(TAG) + 4
    return int.from_bytes(leaf[start : start + 8], "big", signed=True)


def encoded(db: Connection[Any], after: int = _BEFORE_ALL, most: int = ALL) -> Iterator[bytes]:
    """The same, as the bytes that are hashed."""
    return _copied(db, _ENTRIES, (after + 1, most))


def history(db: Connection[Any], originator: UUID, through: int) -> Iterator[bytes]:
    """The leaves of one record's entries up to a position, by version, as the bytes that are hashed."""
    return _copied(db, _HISTORY, (originator, through))


def _copied(db: Connection[Any], statement: bytes, given: Sequence[object]) -> Iterator[bytes]:
    with db.cursor() as cursor, cursor.copy(statement, given) as rows:
        skipped = _HEADER + _COUNT
        for row in rows:  # libpq gives one at a time, the header with the first
            if len(row) > skipped:
                yield TAG + bytes(row[skipped:])
                skipped = _COUNT
