"""Which records are looked at: some at random, and all in turn, those that only rows know of included."""

from collections.abc import Iterator, Sequence
from random import Random
from uuid import UUID

from psycopg.sql import SQL, Identifier

from projections.attestation import Attestation, Record
from projections.model import Model, Table
from projections.tables import READ, Db

OWNERS = 500
"""Ids in the rows of a table that are looked up in the book at once."""


def at_random(db: Db, attestation: Attestation, random: Random, many: int) -> list[Record]:
    """The records of entries that are drawn anywhere in the book."""
    row = db.execute("SELECT coalesce(max(position), 0) FROM daybook.events", prepare=True).fetchone()
    last = 0 if row is None else row[0]
    drawn = random.sample(range(1, last + 1), min(many, last))
    rows = db.execute(_AT, (drawn,), prepare=True).fetchall()
    return [record for id, topic in rows for record in attestation.of(topic, id)]


class InTurn:
    """All records of the book by id, again and again."""

    def __init__(self, attestation: Attestation) -> None:
        self._attestation, self._after = attestation, UUID(int=0)

    def next(self, db: Db, many: int) -> tuple[list[Record], int]:
        """The next so many aggregates' records, and how many aggregates these are; fewer: the last of them was seen."""
        rows = db.execute(_NEXT, (self._after, many), prepare=True).fetchall()
        self._after = rows[-1][0] if len(rows) == many else UUID(int=0)
        return [record for id, topic in rows for record in self._attestation.of(topic, id)], len(rows)


class Strangers:
    """Ids that rows carry, and that no entry of the book has: table by table, again and again."""

    def __init__(self, attestation: Attestation) -> None:
        self._attestation = attestation
        self._tables = [
            (model, each.table) for model in attestation.models for each in attestation.comparisons[model.name]
        ]
        self._at, self._after = 0, ""

    def next(self, db: Db) -> tuple[list[Record], bool]:
        """Those among the next ids of one table, and whether all tables were gone through with them."""
        model, table = self._tables[self._at]
        owners = _owners(db, table, self._after)
        more = len(owners) == OWNERS
        self._at, self._after = (self._at, owners[-1]) if more else ((self._at + 1) % len(self._tables), "")
        return list(self._unknown(db, model, owners)), not more and self._at == 0

    def _unknown(self, db: Db, model: Model, owners: Sequence[str]) -> Iterator[Record]:
        named = {owner: self._attestation.aggregate(model, owner) for owner in owners}
        ids = [id for id in named.values() if id is not None]
        there = {id for (id,) in db.execute(_THERE, (ids,), prepare=True)}
        yield from ((model.name, owner) for owner, id in named.items() if id not in there)


def _owners(db: Db, table: Table, after: str) -> list[str]:
    query = SQL("SELECT DISTINCT {0} FROM {1} WHERE {0} > %s ORDER BY {0} LIMIT %s").format(
        Identifier(table.of), Identifier(READ, table.name)
    )
    return [owner for (owner,) in db.execute(query, (after, OWNERS), prepare=True)]


# The first entry of an aggregate tells its kind, and stands for it in an index.
_AT = "SELECT originator_id, topic FROM daybook.events WHERE position = ANY(%s)"
_NEXT = """
    SELECT originator_id, topic FROM daybook.events WHERE originator_id > %s AND originator_version = 1
    ORDER BY originator_id LIMIT %s
"""
_THERE = "SELECT originator_id FROM daybook.events WHERE originator_id = ANY(%s) AND originator_version = 1"
