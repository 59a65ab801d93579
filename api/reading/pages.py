"""Lists in SQL: Relay pages by keyset (a page begins where a cursor says, nothing is read over), and whole lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from graphql import FieldNode, GraphQLField, GraphQLObjectType

from api.errors import RequestError, RequestErrorCode
from api.reading.conditions import Conditions, always, ours, rows_listed
from api.reading.cursors import Key, Order
from api.reading.entities import Entity, belonging, object_of
from api.reading.json_text import Json, bare, computed, constant, plain
from api.reading.searches import searched
from api.reading.sources import Many, Rows, Sort
from api.reading.statement import Arguments, Call
from api.reading.wheres import is_equality
from projections.model import Table

if TYPE_CHECKING:
    from api.reading.compiler import Compiler

MOST = 100


class Window(msgspec.Struct, frozen=True):
    """The list that a page is cut out of, and where the page begins and ends; all as SQL."""

    source: str
    """What stands in FROM."""
    table: Table
    """Whose rows these are."""
    parts: Sequence[str]
    """The same in parts, where each is to be read in the list's order for itself; none where it is one."""
    listed: Callable[[str], list[str]]
    """The conditions that elements of the list meet, by alias."""
    after: Sequence[str] | None
    """The place behind which the page begins, one value for each key of the order."""
    before: Sequence[str] | None
    order: Order
    backward: bool
    size: str

    def in_order(self, alias: str, page: str) -> str:
        """SQL: from the page's rows, in the list's order; `page` is the name that they have already, if they do."""
        if not page and len(self.parts) < 2 and not self.backward:
            # One level less of SQL is a tenth less of a page's time.
            return self._of(self.source, alias, 0)
        return f"from {page or f'({self.rows(alias)})'} {alias} order by {self.order.clause(alias)}"

    def rows(self, alias: str, *, extra: int = 0) -> str:
        """SQL: the page's rows, and so many more in the page's direction."""
        if len(self.parts) < 2:
            return self._page(self.source, alias, extra)
        pages = " union all ".join(f"({self._page(part, alias, extra)})" for part in self.parts)
        order = self.order.clause(alias, backward=self.backward)
        return f"select {alias}.* from ({pages}) {alias} order by {order} limit {self._limit(extra)}"

    def _limit(self, extra: int) -> str:
        return f"{self.size} + {extra}" if extra else self.size

    def _page(self, source: str, alias: str, extra: int) -> str:
        return f"select {alias}.* {self._of(source, alias, extra)}"

    def _of(self, source: str, alias: str, extra: int) -> str:
        conditions = self.listed(alias)
        if self.after is not None:
            conditions.append(self.order.beyond(alias, self.after, backward=False))
        if self.before is not None:
            conditions.append(self.order.beyond(alias, self.before, backward=True))
        order = self.order.clause(alias, backward=self.backward)
        rows = from_where(f"{source} {alias}", conditions)
        return f"{rows} order by {order} limit {self._limit(extra)}"

    def outside(self, alias: str, place: Sequence[str] | None, *, backward: bool) -> str:
        """SQL: whether the list has rows at or behind a place that bounds the page, on the far side of it."""
        if place is None:
            return "false"
        beyond = f"{self.order.beyond(alias, place, backward=backward)} is not true"
        return f"exists (select {from_where(f'{self.source} {alias}', [*self.listed(alias), beyond])})"


def whole_list(compiler: Compiler, field: GraphQLField, source: Many, nodes: Sequence[FieldNode], alias: str) -> Json:
    """A JSON array of all rows that belong to ours."""
    entity, other = compiler.entities.of(field), compiler.statement.alias()
    rows = rows_listed(entity, source)
    compiler.tables[other] = rows.table
    conditions = [*belonging(alias, other, source.on), *compiler.condition(source.where, other)]
    tail = from_where(f"{compiler.rows(rows.table)} {other}", conditions)
    order = order_of(rows, source.order, ()).clause(other)
    return compiler.statement.array(compiler.fields(entity.type, nodes, other), f"{tail} order by {order}")


def connection(compiler: Compiler, field: GraphQLField, source: Many, nodes: Sequence[FieldNode], alias: str) -> Json:
    """A Relay connection. Raises RequestError for arguments that don't go together."""
    kind = object_of(field)
    window = _window(compiler, field, source, nodes, alias)
    selected = compiler.selections.below(kind, nodes)
    consumers = [name for uses in selected.values() if (name := uses[0].name.value) in ("nodes", "edges", "pageInfo")]
    if consumers in (["nodes"], ["edges"], []):
        head, page, more = "", "", ""
    else:
        # One row more than the page tells whether there are more; page and borders then come from one read.
        page, more, row = (compiler.statement.alias() for _ in range(3))
        order = window.order.clause(row, backward=window.backward)
        head = (
            f"with {more} as materialized ({window.rows(compiler.statement.alias(), extra=1)}),"
            f" {page} as materialized (select * from {more} {row} order by {order} limit {window.size}) "
        )
    fields = {key: _field(compiler, field, window, page, more, uses) for key, uses in selected.items()}
    whole = compiler.statement.object(fields)
    return computed(f"({head}select {whole.sql})") if head else whole


def _field(
    compiler: Compiler, field: GraphQLField, window: Window, page: str, more: str, nodes: Sequence[FieldNode]
) -> Json:
    kind = object_of(field)
    alias, entity = compiler.statement.alias(), compiler.entities.of(field)
    compiler.tables[alias] = window.table
    match nodes[0].name.value:
        case "__typename":
            return constant(f'"{kind.name}"')
        case "totalCount":
            counted = from_where(f"{window.source} {alias}", window.listed(alias))
            return bare(f"(select count(*) {counted})", nullable=False)
        case "nodes":
            fields = compiler.fields(entity.type, nodes, alias)
            return compiler.statement.array(fields, window.in_order(alias, page))
        case "edges":
            edge = object_of(kind.fields["edges"])
            fields = {
                key: _of_edge(compiler, edge, entity, window, alias, uses)
                for key, uses in compiler.selections.below(edge, nodes).items()
            }
            return compiler.statement.array(fields, window.in_order(alias, page))
        case _:
            info = object_of(kind.fields["pageInfo"])
            selected = compiler.selections.below(info, nodes)
            return compiler.statement.object(
                {key: _of_page_info(info, window, page, more, alias, uses) for key, uses in selected.items()}
            )


def _of_edge(
    compiler: Compiler, edge: GraphQLObjectType, entity: Entity, window: Window, alias: str, nodes: Sequence[FieldNode]
) -> Json:
    match nodes[0].name.value:
        case "__typename":
            return constant(f'"{edge.name}"')
        case "cursor":
            return plain(window.order.cursor(alias), nullable=False)
        case _:
            return compiler.statement.object(compiler.fields(entity.type, nodes, alias))


def _of_page_info(
    info: GraphQLObjectType, window: Window, page: str, more: str, alias: str, nodes: Sequence[FieldNode]
) -> Json:
    cut = f"(select count(*) from {more}) > {window.size}"
    match nodes[0].name.value:
        case "__typename":
            return constant(f'"{info.name}"')
        case "hasNextPage":
            beyond = window.outside(alias, window.before, backward=True)
            return bare(beyond if window.backward else f"{cut} or {beyond}", nullable=False)
        case "hasPreviousPage":
            beyond = window.outside(alias, window.after, backward=False)
            return bare(f"{cut} or {beyond}" if window.backward else beyond, nullable=False)
        case name:
            order = window.order.clause(alias, backward=name == "endCursor")
            cursor = f"(select {window.order.cursor(alias)} from {page} {alias} order by {order} limit 1)"
            return plain(cursor, nullable=True)


def _window(compiler: Compiler, field: GraphQLField, source: Many, nodes: Sequence[FieldNode], alias: str) -> Window:
    entity, statement = compiler.entities.of(field), compiler.statement
    rows, call = rows_listed(entity, source), statement.call(field, nodes[0])
    given = call.values
    backward = given.get("last") is not None
    if backward == (given.get("first") is not None):
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT, f"`{nodes[0].name.value}` needs `first` or `last`, one of them."
        )
    order = order_of(rows, source.order, given.get("orderBy") or ())
    conditions, searches = Conditions(compiler, call), bool((given.get("search") or "").strip())

    # Several aliases ask for the same conditions, each with parameters of its own: simple, and no name is shared.
    def listed(other: str) -> list[str]:
        return [
            *ours(compiler, source, alias, other),
            *(sql for each in always(source, rows, conditions.where) for sql in compiler.condition(each, other)),
            *conditions.on(entity, other),
            *searched(compiler, call, rows, other),
        ]

    return Window(
        source=compiler.rows(rows.table),
        table=rows.table,
        # What belongs to a record is few, and found by the record; what is planned for its values knows the best way.
        parts=compiler.parts(rows.table) if not alias and is_equality(conditions.where) and not searches else [],
        listed=listed,
        after=_place(compiler, call, order, "after"),
        before=_place(compiler, call, order, "before"),
        order=order,
        backward=backward,
        size=statement.parameter(call, size("last" if backward else "first", MOST), "integer"),
    )


def _place(compiler: Compiler, call: Call, order: Order, side: str) -> list[str] | None:
    """SQL for each value in the cursor that the argument `after` or `before` brings; None where it is not given."""
    if call.values.get(side) is None:
        return None

    def value(at: int) -> Callable[[Arguments], str | None]:
        return lambda given: order.read(given[side])[at]

    return [compiler.statement.parameter(call, value(at), key.sql_type) for at, key in enumerate(order.keys)]


def size(argument: str, most: int) -> Callable[[Arguments], str]:
    """How a page's size is read from a call's arguments. Raises RequestError where it is beyond the limits."""

    def read(given: Arguments) -> str:
        wanted = cast("int", given[argument])
        if not 1 <= wanted <= most:
            raise RequestError(RequestErrorCode.BAD_USER_INPUT, f"`{argument}` is {wanted}; ask for 1 to {most}.")
        return str(wanted)

    return read


def order_of(rows: Rows, own: str | None, asked: Sequence[Mapping[str, Any]]) -> Order:
    """The order that a client asked for, or a list's own, made unique by the table's key."""
    keys: dict[str, Key] = {}
    for one in asked:
        sort: Sort = one["field"].value
        nulls = one.get("nulls")
        for column in sort.columns:
            key = Key.of(column, rows.table.columns[column], descending=one["direction"].value == "desc")
            keys.setdefault(column, key.among(sort.words).where(sort.present).placed(nulls and nulls.value))
    for step in () if asked else (own or rows.order).split(", "):
        column, _, direction = step.partition(" ")
        keys.setdefault(column, Key.of(column, rows.table.columns[column], descending=direction.upper() == "DESC"))
    for column in rows.table.key:
        keys.setdefault(column, Key.of(column, rows.table.columns[column]))
    return Order(rows.table.name, list(keys.values()))


def from_where(source: str, conditions: Sequence[str]) -> str:
    return f"from {source} where {' and '.join(conditions)}" if conditions else f"from {source}"
