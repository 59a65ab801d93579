"""What a read model is: its tables, and how one event changes them.

A model never reads its rows back: an event carries what the model needs. So a batch of events becomes a few set-based
statements, whatever it holds.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from domain.catalogue import catalogue
from domain.kernel import type_id
from domain.kernel.recorded import Recorded

Key: TypeAlias = tuple[Any, ...]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of a read model. Ids in it are public ids (TypeID text), so that reading needs no encoding."""

    name: str
    columns: Mapping[str, str]
    """Column -> SQL type with constraints, e.g. {"id": "text NOT NULL", "name": "text"}."""
    key: tuple[str, ...] = ("id",)
    of: str = "id"
    """The column with the public id of the record whose entries make the row; an index begins with it."""
    indexes: tuple[str, ...] = ()
    """Column lists of further indexes, e.g. ("customer_id, opened_at DESC, id",). An entry has room for 2,704 bytes: no
    text of a client's that can be longer stands in one as it is."""
    few: tuple[str, ...] = ()
    """Columns, each the first of an index, whose values few rows have in common: what belongs to one record."""
    hashes: tuple[str, ...] = ()
    """Columns of texts of any length that rows are found by, as a whole."""
    gin: tuple[str, ...] = ()
    """SQL of arrays that rows are found by elements of."""
    grows: bool = False
    """Rows are only ever added, never changed or removed: they have no past."""

    @property
    def is_keyed_by_record(self) -> bool:
        """Whether no other record can have a row of the same key.

        In an older book parts of two records may have one id: it came from a client's key alone once (ADR 38).
        """
        return self.of in self.key or self.key == ("position",)

    @property
    def since(self) -> str:
        """The column that holds the position from which on a row is as it is: added where a table has no `position`."""
        return "position" if "position" in self.columns else "since_position"

    @property
    def since_occurred(self) -> str:
        """The column that holds when that entry's event occurred: added where a table has no `occurred_at`."""
        return "occurred_at" if "occurred_at" in self.columns else "since_occurred_at"


STAMP: Mapping[str, str] = {
    "version": "bigint NOT NULL",
    "position": "bigint NOT NULL",
    "recorded_at": "timestamptz NOT NULL",
}
"""The columns with which a row says at which entry of the book it stands, for an aggregate's main table."""


class Posting:
    """What one event changes. Rows are named by their key, in the order of the table's key columns."""

    __slots__ = ("changes",)

    def __init__(self) -> None:
        self.changes: list[tuple[str, Table, Key, dict[str, Any]]] = []

    def insert(self, table: Table, **row: Any) -> None:
        """A new row; columns left out are NULL. None of this key is there: where one may be, it is removed first."""
        self.changes.append(("insert", table, tuple([row[column] for column in table.key]), row))

    def change(self, table: Table, *key: Any, **columns: Any) -> None:
        """New values for some columns of a row that is there."""
        self.changes.append(("change", table, key, columns))

    def clear(self, table: Table, record: str) -> None:
        """All rows of the record of this public id go; what follows begins it anew."""
        self.changes.append(("clear", table, (record,), {}))

    def remove(self, table: Table, *key: Any) -> None:
        """The row goes."""
        self.changes.append(("remove", table, key, {}))


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A read model. `version` grows whenever its tables or its posting change; then it is rebuilt."""

    name: str
    version: int
    tables: tuple[Table, ...]
    post: Callable[[Posting, Recorded[Any]], None]
    kinds: frozenset[str] | None = None
    """The kinds of aggregates that it takes events of; None: all."""


def public_id(kind: str, id: UUID) -> str:
    """The public text of an aggregate's id: `public_id("customer", id)` -> "cus_..."."""
    return type_id(catalogue.prefixes[kind], id)


def public_id_or_none(kind: str, id: UUID | None) -> str | None:
    return None if id is None else public_id(kind, id)


def stamp(recorded: Recorded[Any]) -> dict[str, Any]:
    """The STAMP columns for a row that this event changes."""
    return {
        "version": recorded.originator_version,
        "position": recorded.position,
        "recorded_at": recorded.recorded_at,
    }
