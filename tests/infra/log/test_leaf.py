"""What of an entry is hashed: as docs/auditor/proof.md specifies it, written down again from Python's values."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from infra.log.leaf import COLUMNS, encoded, leaves
from infra.log.tree import leaf_hash
from tests.infra.log.books import enter, row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def specified(entry: dict[str, Any]) -> bytes:
    fields = b"".join(map(field, entry.values()))
    return b"daybook leaf 1" + fields


def field(value: object) -> bytes:
    match value:
        case None:
            return b"\xff\xff\xff\xff"
        case int():
            content = struct.pack(">q", value)
        case UUID():
            content = value.bytes
        case datetime():
            since = value - EPOCH
            content = struct.pack(">q", (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)
        case str():
            content = value.encode()
        case bytes():
            content = value
        case _:
            raise AssertionError(value)
    return struct.pack(">i", len(content)) + content


@pytest.fixture
def db(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as db:
        yield db


def test_every_stored_column_is_hashed(db: psycopg.Connection[Any]) -> None:
    rows = db.execute("""
        SELECT attname FROM pg_attribute WHERE attrelid = 'daybook.events'::regclass AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum""")
    assert [name for (name,) in rows] == [*COLUMNS]


def test_a_leaf_is_what_the_specification_says(db: psycopg.Connection[Any]) -> None:
    """Whatever a session is set to."""
    expected = [specified(one) for one in enter(db, 1, 60)]
    for setting in ("timezone = 'Asia/Kathmandu'", "client_encoding = 'LATIN1'", "bytea_output = 'escape'"):
        db.execute(f"SET {setting}".encode())
        assert [*encoded(db)] == expected
    assert [*leaves(db, 10, 20)] == [(at + 1, leaf_hash(expected[at])) for at in range(10, 30)]


@pytest.mark.parametrize("time", ["infinity", "-infinity", "294276-12-31", "294247-01-01 00:00Z"])
def test_a_time_that_is_none_counts_as_null(db: psycopg.Connection[Any], time: str) -> None:
    """Only who alters an entry gives it such a one, and what is hashed must not end for that."""
    [entry] = enter(db, 1, 1)
    db.execute("ALTER TABLE daybook.events DISABLE TRIGGER USER")
    db.execute("UPDATE daybook.events SET recorded_at = %s", (time,))
    assert [*encoded(db)] == [specified(entry | {"recorded_at": None})]
    db.execute("UPDATE daybook.events SET recorded_at = '294246-12-31 23:59:59.999999Z'")
    assert [*encoded(db)] != [specified(entry | {"recorded_at": None})]


def test_no_two_entries_have_one_leaf() -> None:
    """What stands beside each other can't be moved from one column to the next, and nothing is not the empty text."""
    one = row(1, Random(1))
    leaf = specified(one | {"topic": "ab", "actor": "c", "on_behalf_of": ""})
    others: list[dict[str, Any]] = [
        {"topic": "a", "actor": "bc", "on_behalf_of": ""},
        {"topic": "ab", "actor": "c", "on_behalf_of": None},
        {"topic": "ab", "actor": "", "on_behalf_of": "c"},
    ]
    assert leaf not in [specified(one | other) for other in others]
