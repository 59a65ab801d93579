"""Books to log: entries of every shape, entered by their owner past the door."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from infra.log.leaf import COLUMNS

_INSERT = f"INSERT INTO daybook.events ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
_TEXTS = ("", "a", "Ünïcødé ❄", "administrator", "x" * 300)


def row(position: int, random: Random) -> dict[str, Any]:
    """An entry with whatever a column can hold."""
    begun = datetime(1900, 1, 1, tzinfo=UTC)
    recorded = begun + timedelta(microseconds=random.randrange(10**16))

    def uuid() -> UUID:
        return UUID(bytes=random.randbytes(16))

    sealed = random.random() < 0.7
    values = (
        position, uuid(), random.randrange(2**62), uuid(), random.choice(_TEXTS), recorded,
        recorded - timedelta(microseconds=random.randrange(10**15)), uuid(), random.choice(_TEXTS),
        random.choice((None, *_TEXTS)), uuid(), random.choice((None, uuid())), random.choice((None, uuid())),
        random.randbytes(random.choice((0, 1, 80, 5_000))),
        random.randbytes(random.choice((0, 60))) if sealed else None, random.randbytes(32) if sealed else None,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def enter(db: psycopg.Connection, first: int, count: int) -> Sequence[dict[str, Any]]:
    """So many entries from a position on, the same each time. `db`: the owner's."""
    rows = [row(position, Random(position)) for position in range(first, first + count)]
    with db.cursor() as cursor:
        cursor.executemany(_INSERT.encode(), [[*one.values()] for one in rows])
    return rows
