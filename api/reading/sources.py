"""Where a read field's value comes from. Each field declares it once, beside its GraphQL type; the compiler reads it.

SQL in a declaration is a template: `{amount}` is a column of the row that the field belongs to, `{stage[idle_days]}`
one of the row that the type's `beside` calls `stage`. `{now}` is the moment that is asked about.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from projections.model import Table

NOW = "now"
"""In templates: the moment that is asked about. No column is called so."""


class Column(msgspec.Struct, frozen=True):
    """A column of the row; what its SQL becomes in JSON follows from the field's GraphQL type."""

    name: str
    filtered: bool = False
    sort: str | None = None
    """The column that `orderBy` this field sorts by. Of a text, one of another name holds its `sort_key`."""
    same: str | None = None
    """The column with the text's case folded, where two texts that differ in case only are the same."""


class Expression(msgspec.Struct, frozen=True):
    """A value computed from the row's columns; totals can be grouped by it."""

    sql: str
    filtered: bool = False
    told: Callable[[Mapping[str, Any]], Any] | None = None
    """The same of a row in memory, where its own columns alone decide it: what `diff` and `whyValue` tell."""


class Part(msgspec.Struct, frozen=True):
    """An object made of the row's own columns; null where `present` is NULL."""

    present: str
    fields: Mapping[str, str]
    """SQL template by GraphQL field."""
    filtered: bool = False
    sort: str | None = None
    """The columns that `orderBy` this field sorts by, e.g. "currency, amount"."""


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
    through: "Sequence[Through]" = ()
    """How they belong to ours, where it takes a table between; where it takes several, any of them."""
    filtered: bool = False


class Through(msgspec.Struct, frozen=True):
    """A table between two: its rows whose columns equal ours (`on`) name by `key` the `other` rows that are ours."""

    table: Table
    on: Mapping[str, str]
    key: str
    other: str = "id"


class Values(msgspec.Struct, frozen=True):
    """One column of the rows of another table, as a plain list."""

    table: Table
    column: str
    on: Mapping[str, str]
    order: str
    filtered: bool = False
    same: str | None = None
    """As of `Column`."""


class Sort(msgspec.Struct, frozen=True):
    """What one step of `orderBy` sorts by: columns, or one column of words in the order that they are declared in."""

    columns: tuple[str, ...]
    words: tuple[str, ...] = ()
    present: str | None = None
    """Where this column is NULL, there is no value to sort by, whatever stands in the others."""


class Argument(msgspec.Struct, frozen=True):
    """An argument that a column is compared with."""

    name: str
    column: str
    of: Any
    """Its type."""
    description: str
    read: Callable[[Any], str] = str
    """Its value as the column has it. Raises RequestError where it can be no such value."""


class Lookup(msgspec.Struct, frozen=True):
    """The row whose columns have the arguments' values."""

    given: Sequence[Argument]
    through: tuple[Table, str] | None = None
    """Another table that has the columns, and which of its columns names the row."""
    order: str | None = None
    """Which comes first where several match."""


class Only(msgspec.Struct, frozen=True):
    """The row with this id: of a type that has one row."""

    id: str


class Hidden(msgspec.Struct, frozen=True):
    """The names of the fields of an object that are hidden from whoever asks."""


class AnyNode(msgspec.Struct, frozen=True):
    """The record of whatever type that an id names, or the records that several ids name."""

    several: bool


class AsOf(msgspec.Struct, frozen=True):
    """The root once more, as it stood at the moment that the argument `at` names."""


class Reflected(msgspec.Struct, frozen=True):
    """The position that what is asked beside it reflects."""


class Traced(msgspec.Struct, frozen=True):
    """What became of a record's fields: worked out from its entries, beside the statement, and handed to it as rows."""

    several: bool
    """What differs between two moments; else the origin of one value."""


class Bundled(msgspec.Struct, frozen=True):
    """A record's entries as a file that proves itself: made beside the statement, and handed to it as a row."""

    record: Argument


class Totals(msgspec.Struct, frozen=True):
    """Figures over the rows that belong to this one, by groups where `grouped`."""

    on: Mapping[str, str] = {}
    """As of `Many`; also to a column of a finer grain: `{"line.product_id": "id"}`."""
    where: str | None = None
    grouped: bool = False
    through: Sequence[Through] = ()
    """As of `Many`."""


class Step(msgspec.Struct, frozen=True):
    """A way in which an entry moves a stock of rows. Templates read the row that it left, and the one that stood there
    before as `{former_amount}`; `{was}` and `{is}` say whether they are in the stock, `{began}` that there was none.
    """

    name: str
    when: str
    amount: str
    currency: str


class Waterfall(msgspec.Struct, frozen=True):
    """Figures over how a stock of rows became another between two moments, step by step.

    The type's table, which stands nowhere, has a row for each of the stock at the beginning (`opening`) and at the end
    (`closing`), and for each step in between.
    """

    of: Argument
    """Names the record whose stock it is."""
    record: Table
    """Where that record is."""
    table: Table
    """Whose rows are in stock: those of records, which have amounts."""
    stock: str
    """Which of them are: a template, where `{of}` is that argument."""
    compared: Sequence[str]
    """The columns that steps are about, and what is in stock."""
    steps: Sequence[Step]
    named: Mapping[str, "Named"] = {}
    """What templates read of other tables, by name: `{place}` and `{former_place}`."""


class Named(msgspec.Struct, frozen=True):
    """A column of the row of another table that a compared column names, as it stood at the step's entry. NULL where
    the compared column has not changed.
    """

    table: Table
    column: str
    by: str


class Tally(msgspec.Struct, frozen=True):
    """How many rows."""

    only: str
    """A condition on the rows that are counted."""
    reads: tuple[str, ...] = ()
    """The columns that say which rows there are to be counted: where one is hidden, how many is hidden too."""


class Total(msgspec.Struct, frozen=True):
    """A sum of money for each currency, or its mean; rounded half-even to minor units once, at the end."""

    amount: str
    finer: str
    """The amount at a finer grain, e.g. of a deal's lines of one product."""
    currency: str
    only: str
    mean: bool


class Rate(msgspec.Struct, frozen=True):
    """How many per cent of the rows that meet `among` meet `of` too; NULL where none does."""

    of: str
    among: str


class Mean(msgspec.Struct, frozen=True):
    """The mean of a number; NULL where no row has it."""

    value: str
    only: str


Figure: TypeAlias = Tally | Total | Rate | Mean
Source: TypeAlias = (
    Column
    | Expression
    | Part
    | Relation
    | Many
    | Values
    | Lookup
    | Only
    | Hidden
    | AnyNode
    | AsOf
    | Reflected
    | Traced
    | Bundled
    | Totals
    | Waterfall
    | Figure
)


class Grain(msgspec.Struct, frozen=True):
    """A finer grain that totals can be asked at: a table of parts, such as a deal's lines; one row for each of the
    values that are grouped by. `{line[total]}` in SQL is the sum of its `amount`.
    """

    name: str
    table: Table
    on: Mapping[str, str]
    amount: str | None = None
    given: Argument | None = None
    """An argument of the totals: only the parts whose column has its value."""


class Beside(msgspec.Struct, frozen=True):
    """One row of another table, which templates may read: `{stage[idle_days]}`. `on` as of `Many`.

    Or, with `where`, all its rows that meet a condition, for templates to look among: `{stage_id} in {lost[id]}`.
    """

    table: Table
    on: Mapping[str, str] = {}
    where: str | None = None
    """As of `Many`."""


class Search(msgspec.Struct, frozen=True):
    """What lists of a type are searched by."""

    table: Table
    """One that `projections.searching` makes."""
    said: str
    """Its texts, for people: "name, e-mail addresses and external ids"."""


class Rows(msgspec.Struct, frozen=True):
    """What a GraphQL type is in the read models: a table, and how its rows are listed."""

    table: Table
    order: str = "id"
    """The order of lists, e.g. "opened_at DESC"; the table's key is added, so that it is one order only."""
    prefix: str | None = None
    """The TypeID prefix of its ids; types that have one are found by `node(id:)`."""
    listed: tuple[str, str] | None = None
    """Column and value of the rows that lists show unless `where` names the column."""
    beside: Mapping[str, Beside] = {}
    search: Search | None = None
    """What lists of them are searched by."""
    finer: tuple[Grain, ...] = ()
    counted: type | None = None
    """Of a type of totals: the type that they count, whose `where` and `listed` are theirs."""


ROWS = "__daybook_rows__"
"""The attribute of a Strawberry type that holds its `Rows`."""
SOURCE = "daybook-source"
"""The key of a field's metadata that holds its `Source`."""
