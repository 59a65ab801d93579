"""How a GraphQL type says where its rows and fields come from: `rows_of` above the type, a function for each field."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from api.reading.arguments import arguments_of
from api.reading.sources import (
    ROWS,
    SOURCE,
    AnyNode,
    Argument,
    AsOf,
    Beside,
    Bundled,
    Column,
    Expression,
    Grain,
    Hidden,
    Lookup,
    Many,
    Mean,
    Named,
    Only,
    Part,
    Rate,
    Reflected,
    Relation,
    Rows,
    Search,
    Source,
    Step,
    Tally,
    Through,
    Total,
    Totals,
    Traced,
    Values,
    Waterfall,
)
from projections.model import Table

T = TypeVar("T")


class ReadField(StrawberryField):
    """A field without a resolver: its source is in its metadata, and says which arguments it takes."""

    @property
    def arguments(self) -> list[StrawberryArgument]:
        return arguments_of(self.metadata[SOURCE], self.type)

    @arguments.setter
    def arguments(self, value: list[StrawberryArgument]) -> None:  # noqa: ARG002 - the library's name
        raise TypeError("the arguments of a read field follow from its source")


def rows_of(
    table: Table,
    *,
    order: str = "id",
    prefix: str | None = None,
    listed: tuple[str, str] | None = None,
    beside: Mapping[str, Beside] | None = None,
    search: Search | None = None,
) -> Callable[[type[T]], type[T]]:
    """Say which table's rows a Strawberry type shows. Stands above `@strawberry.type`."""
    rows = Rows(table=table, order=order, prefix=prefix, listed=listed, beside=beside or {}, search=search)
    return _bound(rows)


def totals_of(
    counted: type,
    *,
    finer: tuple[Grain, ...] = (),
    beside: Mapping[str, Beside] | None = None,
    table: Table | None = None,
) -> Callable[[type[T]], type[T]]:
    """Say which type's rows a type of totals adds up. Its columns, relations and expressions are the dimensions that
    they can be grouped by. Stands above `@strawberry.type`. `table`: where what is added up are not its rows, but made
    of them.
    """
    rows: Rows = getattr(counted, ROWS)
    return _bound(
        Rows(
            table=table or rows.table,
            listed=rows.listed,
            beside={**rows.beside, **(beside or {})},
            finer=finer,
            counted=counted,
        )
    )


def _bound(rows: Rows) -> Callable[[type[T]], type[T]]:

    def bind(kind: type[T]) -> type[T]:
        setattr(kind, ROWS, rows)
        return kind

    return bind


def column(
    name: str, description: str, *, filtered: bool = False, sort: str | None = None, same: str | None = None
) -> Any:
    """A column. `filtered` puts the field into the type's `where`, `sort` names the column that orders by it.

    A text whose `sort` is another column is searched there, as `sort_key` makes it; `same` names the column that holds
    it with its case folded, where two that differ in case only are the same, such as a tag.
    """
    return _field(Column(name, filtered, sort, same), description)


def expression(
    sql: str, description: str, *, filtered: bool = False, told: Callable[[Mapping[str, Any]], Any] | None = None
) -> Any:
    """A value computed from columns of the row: `expression("{status} = 'open'", "...")`.

    `told`: the same of a row in memory, where nothing but the record's own columns decides it.
    """
    return _field(Expression(sql, filtered, told), description)


def part(present: str, description: str, *, filtered: bool = False, sort: str | None = None, **fields: str) -> Any:
    """An object out of the row's own columns: GraphQL field -> template; null where the column `present` is NULL.

    `sort` names columns, such as "currency, amount": amounts of several currencies have no order among each other.
    """
    return _field(Part(present, fields, filtered, sort), description)


def relation(column: str, description: str, *, key: str = "id", filtered: bool = False) -> Any:
    """The row of the field's type whose `key` is in our `column`. The field is nullable: the other may be absent."""
    return _field(Relation(column, key, filtered), description)


def connection(
    description: str,
    *,
    on: Mapping[str, str] | None = None,
    where: str | None = None,
    order: str | None = None,
    table: Table | None = None,
    through: Sequence[Through] = (),
    filtered: bool = False,
) -> Any:
    """A Relay connection to rows of the node's type: those whose columns equal ours (`on={"customer_id": "id"}`), or
    that tables between name.

    `table` where several tables have rows of that type, such as the notes on all kinds of records. `filtered` puts it
    into our own type's `where`: `some`, `none` or `every` of these rows meet conditions.
    """
    return _field(Many(on or {}, True, where, order, table, through, filtered), description)


def all_of(
    description: str,
    *,
    on: Mapping[str, str],
    where: str | None = None,
    order: str | None = None,
    table: Table | None = None,
    filtered: bool = False,
) -> Any:
    """All rows of the item's type that belong to this one, as a list: for lists that the domain keeps short.

    `table` and `filtered` as of `connection`.
    """
    return _field(Many(on, False, where, order, table, filtered=filtered), description)


def values(
    table: Table,
    column: str,
    description: str,
    *,
    on: Mapping[str, str],
    order: str,
    filtered: bool = False,
    same: str | None = None,
) -> Any:
    """One column of the rows of another table that belong to this one, as a list. `same` as of `column`."""
    return _field(Values(table, column, on, order, filtered, same), description)


def lookup(
    *given: Argument, description: str, through: tuple[Table, str] | None = None, order: str | None = None
) -> Any:
    """A root field: the row whose columns equal the arguments; null where there is none.

    `through`, where the columns are those of another table: which, and which of its columns names the row. `order` says
    which row it is where several match.
    """
    return _field(Lookup(given, through, order), description)


def only(id: str, description: str) -> Any:
    """A root field: the row with this id, of a type that has one row."""
    return _field(Only(id), description)


def hidden() -> Any:
    """The names of the object's fields that are hidden from whoever asks."""
    return _field(
        Hidden(),
        "The fields that are hidden from you here: null, or without elements, whatever stands in them. Empty: you see"
        " all there is.",
    )


def any_node(description: str, *, several: bool = False) -> Any:
    """A root field: `node(id:)`, or `nodes(ids:)` where `several`."""
    return _field(AnyNode(several), description)


def as_of(description: str) -> Any:
    """A root field: the root once more, as it stood at a past moment. Its type is the root's own."""
    return _field(AsOf(), description)


def reflected(description: str) -> Any:
    """A root field: the position of the book that the fields beside it reflect."""
    return _field(Reflected(), description)


def traced(description: str, *, several: bool = False) -> Any:
    """A root field: which entry gave a field its value, or, where `several`, what differs between two moments."""
    return _field(Traced(several), description)


def bundled(record: Argument, description: str) -> Any:
    """A root field: the entries of the record that an argument names, as a file that proves itself, without keys."""
    return _field(Bundled(record), description)


def totals(
    description: str,
    *,
    on: Mapping[str, str] | None = None,
    where: str | None = None,
    through: Sequence[Through] = (),
    grouped: bool = True,
) -> Any:
    """Figures over the rows that the type of totals counts: one element for each group that `by` asks for, or, where
    not `grouped`, one object.
    """
    return _field(Totals(on or {}, where, grouped, through), description)


def waterfall(
    description: str,
    *,
    of: Argument,
    record: Table,
    table: Table,
    stock: str,
    compared: Sequence[str],
    steps: Sequence[Step],
    named: Mapping[str, Named],
) -> Any:
    """A root field: how a record's stock of rows became another between two moments; null where there is no such
    record.
    """
    return _field(Waterfall(of, record, table, stock, compared, steps, named), description)


def tally(description: str, *, only: str = "true", reads: tuple[str, ...] = ()) -> Any:
    """Inside a totals type: how many rows. `reads`: the columns that say which; it is nullable then."""
    return _field(Tally(only, reads), description)


def total(
    amount: str, description: str, *, finer: str | None = None, currency: str, only: str = "true", mean: bool = False
) -> Any:
    """Inside a totals type: the sum of an amount, or its `mean`, one Money for each currency."""
    return _field(Total(amount, finer or amount, currency, only, mean), description)


def rate(description: str, *, of: str, among: str) -> Any:
    """Inside a totals type: how many per cent of the rows that meet `among` meet `of` too."""
    return _field(Rate(of, among), description)


def mean(value: str, description: str, *, only: str = "true") -> Any:
    """Inside a totals type: the mean of a number."""
    return _field(Mean(value, only), description)


def _field(source: Source, description: str) -> Any:
    return ReadField(description=description, metadata={SOURCE: source})
