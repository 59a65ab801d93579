"""Where a read field's value comes from. Each field declares it once, beside its GraphQL type; the compiler reads it.

SQL in a declaration is a template: `{amount}` is a column of the row that the field belongs to.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from projections.model import Table


class Column(msgspec.Struct, frozen=True):
    """A column of the row; what its SQL becomes in JSON follows from the field's GraphQL type."""

    name: str
    filtered: bool = False
    sort: str | None = None
    """The column that `orderBy` this field sorts by."""


class Expression(msgspec.Struct, frozen=True):
    """A value computed from the row's columns."""

    sql: str


class Part(msgspec.Struct, frozen=True):
    """An object made of the row's own columns; null where `present` is NULL."""

    present: str
    fields: Mapping[str, str]
    """SQL template by GraphQL field."""


class Relation(msgspec.Struct, frozen=True):
    """The one row of another table that a column names by its key."""

    column: str
    key: str = "id"
    filtered: bool = False


class Many(msgspec.Struct, frozen=True):
    """Rows of another table: `on` maps their columns to ours. Relay pages where `paged`, else all of them."""

    on: Mapping[str, str]
    paged: bool
    where: str | None = None
    """A template over the other table's columns that holds for every one of them."""
    order: str | None = None
    """In place of the type's own order, e.g. "entered_at DESC"."""
    table: Table | None = None
    """In place of the type's own table: one with the same columns."""


class Values(msgspec.Struct, frozen=True):
    """One column of the rows of another table, as a plain list."""

    table: Table
    column: str
    on: Mapping[str, str]
    order: str


class Lookup(msgspec.Struct, frozen=True):
    """The row whose column has the argument's value."""

    argument: str
    column: str
    of: Any
    """The argument's type."""
    description: str
    """What the argument is."""


class Only(msgspec.Struct, frozen=True):
    """The row with this id: of a type that has one row."""

    id: str


class AnyNode(msgspec.Struct, frozen=True):
    """The record of whatever type that an id names, or the records that several ids name."""

    several: bool


class Totals(msgspec.Struct, frozen=True):
    """Counts and sums over the rows that belong to this one, or by groups over all of them."""

    on: Mapping[str, str] = {}
    where: str | None = None
    grouped: bool = False


class Tally(msgspec.Struct, frozen=True):
    """How many rows."""


class Total(msgspec.Struct, frozen=True):
    """A sum of money for each currency, rounded half-even to its minor units once, at the end."""

    amount: str
    finer: str
    """The amount at the finer grain, e.g. of a deal's line."""
    currency: str
    only: str
    """A condition on the rows that are summed."""


Source: TypeAlias = (
    Column | Expression | Part | Relation | Many | Values | Lookup | Only | AnyNode | Totals | Tally | Total
)


class Grain(msgspec.Struct, frozen=True):
    """A finer grain that totals can be asked at: a table of parts, such as a deal's lines. `{line[total]}` in SQL."""

    name: str
    table: Table
    on: Mapping[str, str]


class Rows(msgspec.Struct, frozen=True):
    """What a GraphQL type is in the read models: a table, and how its rows are listed."""

    table: Table
    order: str = "id"
    """The order of lists, e.g. "opened_at DESC"; the table's key is added, so that it is one order only."""
    prefix: str | None = None
    """The TypeID prefix of its ids; types that have one are found by `node(id:)`."""
    listed: tuple[str, str] | None = None
    """Column and value of the rows that lists show unless `where` names the column."""
    finer: Grain | None = None


ROWS = "__daybook_rows__"
"""The attribute of a Strawberry type that holds its `Rows`."""
SOURCE = "daybook-source"
"""The key of a field's metadata that holds its `Source`."""
