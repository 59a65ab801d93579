"""Whoever may do everything in the database, and wants the book to say something else."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import psycopg

from infra.log.checkpointer import Growth
from infra.log.leaf import COLUMNS
from infra.log.note import Signer
from infra.log.store import LogError

Db: TypeAlias = psycopg.Connection[Any]

TABLES = ("daybook.events", "daybook_log.leaves", "daybook_log.subtrees", "daybook_log.checkpoints")
LOG = TABLES[1:]


class Done(NamedTuple):
    """What was done to the book."""

    first: int
    """The first position where it now says something else."""
    words: str


Tampering: TypeAlias = Callable[[Db, Random, int, int], Done]
"""Alters a book, of so many entries, at a position or from there on."""

# For each column another value, out of the one that is there.
_OTHER = {
    "position": "{head} + 1 + position",
    "originator_id": "gen_random_uuid()",
    "originator_version": "originator_version + 1000",
    "event_id": "gen_random_uuid()",
    "topic": "topic || 'd'",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "occurred_at": "occurred_at - interval '1 day'",
    "subject": "gen_random_uuid()",
    "actor": "actor || ' '",
    "on_behalf_of": "CASE WHEN on_behalf_of IS NULL THEN '' END",
    "correlation_id": "gen_random_uuid()",
    "causation_id": "CASE WHEN causation_id IS NULL THEN gen_random_uuid() END",
    "idempotency_key": "CASE WHEN idempotency_key IS NULL THEN gen_random_uuid() END",
    "state": "state || ' '::bytea",
    "sealed": "coalesce(sealed || '\\x00', '')",
    "commitment": "coalesce(sha256(commitment), sha256(''))",
}
assert [*_OTHER] == [*COLUMNS]


def add_unreadable(db: Db, aggregate: UUID) -> int:
    """An entry of a name that nobody knows, after the last one of an aggregate; its position."""
    run(
        db,
        "CREATE TEMP TABLE unreadable AS SELECT * FROM daybook.events"
        f" WHERE originator_id = '{aggregate}' ORDER BY position DESC LIMIT 1",
    )
    run(
        db,
        "UPDATE unreadable SET position = (SELECT max(position) + 1 FROM daybook.events), topic = 'NobodyKnows',"
        " originator_version = originator_version + 1, event_id = gen_random_uuid(), recorded_at = now(),"
        " sealed = NULL, commitment = NULL",
    )
    [(position,)] = db.execute("INSERT INTO daybook.events SELECT * FROM unreadable RETURNING position").fetchall()
    return int(position)


def changed(column: str) -> Tampering:
    def change(db: Db, random: Random, at: int, head: int) -> Done:
        value = _OTHER[column].format(head=head)
        run(db, f"UPDATE daybook.events SET {column} = {value} WHERE position = {at}")
        return Done(at, f"the {column} of {at} changed")

    return change


def endless(db: Db, random: Random, at: int, head: int) -> Done:
    when = random.choice(["infinity", "-infinity", "294276-12-31"])
    run(db, f"UPDATE daybook.events SET recorded_at = '{when}' WHERE position = {at}")
    return Done(at, f"the time of {at} made {when}")


def removed(db: Db, random: Random, at: int, head: int) -> Done:
    run(db, f"DELETE FROM daybook.events WHERE position = {at}")
    return Done(at, f"{at} removed")


def removed_without_a_gap(db: Db, random: Random, at: int, head: int) -> Done:
    run(db, f"DELETE FROM daybook.events WHERE position = {at}")
    run(db, f"UPDATE daybook.events SET position = position - 1 WHERE position > {at}")
    return Done(at, f"{at} removed, and those behind it moved up")


def swapped(db: Db, random: Random, at: int, head: int) -> Done:
    other = random.choice([position for position in range(1, head + 1) if position != at])
    run(db, f"UPDATE daybook.events SET position = {at} + {other} - position WHERE position IN ({at}, {other})")
    return Done(min(at, other), f"{at} and {other} swapped")


def inserted(db: Db, random: Random, at: int, head: int) -> Done:
    run(db, f"UPDATE daybook.events SET position = position + 1 WHERE position >= {at}")
    source = random.choice([position for position in range(1, head + 1) if position != at])  # itself would be no change
    _copy(db, at, source + 1 if source >= at else source)
    return Done(at, f"one inserted at {at}")


def beside(db: Db, random: Random, at: int, head: int) -> Done:
    """Where no entry may be: before the first, or with another's position."""
    where = random.choice([0, -at, at])
    _copy(db, where, at)
    return Done(where, f"one put in at {where}")


def truncated(db: Db, random: Random, at: int, head: int) -> Done:
    run(db, f"DELETE FROM daybook.events WHERE position >= {at}")
    return Done(at, f"truncated before {at}")


def written_anew(db: Db, random: Random, at: int, head: int) -> Done:
    """The end of the book is another one, of the same length."""
    run(db, f"UPDATE daybook.events SET event_id = gen_random_uuid() WHERE position >= {at}")
    return Done(at, f"written anew from {at} on")


KINDS: Sequence[Tampering] = (
    *map(changed, COLUMNS), endless, removed, removed_without_a_gap, swapped, inserted, beside, truncated, written_anew,
)  # fmt: skip


def rewrite_the_log(db: Db, signer: Signer) -> None:
    """Make a tree and checkpoints that fit what the book says now, where its positions allow for any."""
    for table in LOG:
        run(db, f"DELETE FROM {table}")
    with suppress(LogError):
        Growth(signer).catch_up(db)


def disarm(db: Db) -> None:
    """Away with the triggers, and with every constraint that stands in the way."""
    for table in TABLES:
        run(db, f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    rows = db.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE conrelid = ANY(%s::regclass[])"
        " AND contype <> 'n'",
        ([*TABLES],),
    )
    for table, name in rows.fetchall():
        run(db, f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def _copy(db: Db, to: int, source: int) -> None:
    others = ", ".join(COLUMNS[1:])
    run(db, f"INSERT INTO daybook.events (position, {others})"
            f" SELECT {to}, {others} FROM daybook.events WHERE position = {source} LIMIT 1")  # fmt: skip


def run(db: Db, statement: str) -> None:
    db.execute(statement.encode())


def forge_last(db: Db) -> None:
    """Another signature below the last checkpoint, of the same key as it says."""
    [(size, note)] = db.execute("SELECT size, note FROM daybook_log.checkpoints ORDER BY size DESC LIMIT 1").fetchall()
    before, _, signature = note.rstrip("\n").rpartition(" ")
    signed = b64decode(signature)
    forged = b64encode(signed[:-1] + bytes([signed[-1] ^ 1])).decode()
    db.execute("UPDATE daybook_log.checkpoints SET note = %s WHERE size = %s", (f"{before} {forged}\n", size))
