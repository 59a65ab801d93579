"""How a GraphQL type says where its rows and fields come from: `rows_of` above the type, a function for each field."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import strawberry
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from api.reading.arguments import arguments_of
from api.reading.sources import (
    ROWS,
    SOURCE,
    AnyNode,
    Column,
    Expression,
    Grain,
    Lookup,
    Many,
    Only,
    Part,
    Relation,
    Rows,
    Source,
    Tally,
    Total,
    Totals,
    Values,
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
    finer: Grain | None = None,
) -> Callable[[type[T]], type[T]]:
    """Say which table's rows a Strawberry type shows. Stands above `@strawberry.type`."""
    rows = Rows(table=table, order=order, prefix=prefix, listed=listed, finer=finer)

    def bind(kind: type[T]) -> type[T]:
        setattr(kind, ROWS, rows)
        return kind

    return bind


def column(name: str, description: str, *, filtered: bool = False, sort: str | None = None) -> Any:
    """A column. `filtered` puts the field into the type's `where`, `sort` names the column that orders by it."""
    return _field(Column(name, filtered, sort), description)


def expression(sql: str, description: str) -> Any:
    """A value computed from columns of the row: `expression("{status} = 'open'", "...")`."""
    return _field(Expression(sql), description)


def part(present: str, description: str, **fields: str) -> Any:
    """An object out of the row's own columns: GraphQL field -> template; null where the column `present` is NULL."""
    return _field(Part(present, fields), description)


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
) -> Any:
    """A Relay connection to rows of the node's type: those whose columns equal ours (`on={"customer_id": "id"}`).

    `table` where several tables have rows of that type, such as the notes on all kinds of records.
    """
    return _field(Many(on or {}, True, where, order, table), description)


def all_of(
    description: str,
    *,
    on: Mapping[str, str],
    where: str | None = None,
    order: str | None = None,
    table: Table | None = None,
) -> Any:
    """All rows of the item's type that belong to this one, as a list: for lists that the domain keeps short.

    `table` as of `connection`.
    """
    return _field(Many(on, False, where, order, table), description)


def values(table: Table, column: str, description: str, *, on: Mapping[str, str], order: str) -> Any:
    """One column of the rows of another table that belong to this one, as a list."""
    return _field(Values(table, column, on, order), description)


def lookup(argument: str, column: str, description: str, *, of: Any = strawberry.ID, said: str) -> Any:
    """A root field: the row whose column equals the argument, which `said` describes; null where there is none."""
    return _field(Lookup(argument, column, of, said), description)


def only(id: str, description: str) -> Any:
    """A root field: the row with this id, of a type that has one row."""
    return _field(Only(id), description)


def any_node(description: str, *, several: bool = False) -> Any:
    """A root field: `node(id:)`, or `nodes(ids:)` where `several`."""
    return _field(AnyNode(several), description)


def totals(
    description: str, *, on: Mapping[str, str] | None = None, where: str | None = None, grouped: bool = False
) -> Any:
    """Counts and sums over rows of the type's table; `grouped`: one element for each group that `by` asks for."""
    return _field(Totals(on or {}, where, grouped), description)


def tally(description: str) -> Any:
    """Inside a totals type: how many rows."""
    return _field(Tally(), description)


def total(amount: str, description: str, *, finer: str | None = None, currency: str, only: str = "true") -> Any:
    """Inside a totals type: the sum of an amount, one Money for each currency."""
    return _field(Total(amount, finer or amount, currency, only), description)


def _field(source: Source, description: str) -> Any:
    return ReadField(description=description, metadata={SOURCE: source})
