"""Totals in SQL: counts, sums of money by currency, rates and means, over the rows that a type of totals counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from graphql import FieldNode, GraphQLField
from strawberry.utils.str_converters import to_camel_case

from api.reading.conditions import Conditions, always, ours
from api.reading.entities import Entity, belonging, bound, json_of, object_of, own_column
from api.reading.json_text import Json, as_array, computed, constant
from api.reading.money import money
from api.reading.pages import from_where, size
from api.reading.sight import hidden_figures
from api.reading.sources import Column, Expression, Figure, Grain, Mean, Rate, Relation, Tally, Total, Totals
from api.reading.statement import Call, Cells, quoted
from projections.tables import sql_type

if TYPE_CHECKING:
    from api.reading.compiler import Compiler

MOST_GROUPS = 1_000
CURRENCY = "*currency"
"""No field is called so; nor as what a figure has beside its sum."""
EXACT = "1.00000000000000000000"
"""A quotient has as many decimals as what is divided: so many that rounding it is rounding the exact one."""


class _Grouping:
    """What is grouped by, and the finer grains that this takes: those whose columns are named, as `line.product_id`."""

    def __init__(self, compiler: Compiler, entity: Entity, call: Call, source: Totals, counted: str | None) -> None:
        self.compiler, self.entity, self.call, self.counted = compiler, entity, call, counted
        self.rows, self.base = bound(entity), compiler.statement.alias()
        self.parts = {grain.name: compiler.statement.alias() for grain in self.rows.finer}
        self.pinned = {theirs: column for theirs, column in source.on.items() if "." in theirs}
        by: list[Enum] = call.values.get("by") or []
        self.by = dict.fromkeys(to_camel_case(each.value) for each in by)
        columns = (_column(entity, name) for name in self.by)
        named = [column for column in (*columns, *self.pinned) if column is not None and "." in column]
        self.finer = [
            (grain, list(dict.fromkeys(inner for outer, inner in map(_split, named) if outer == grain.name)))
            for grain in self.rows.finer
            if any(_split(column)[0] == grain.name for column in named)
        ]
        parts = {name: Cells(alias) for name, alias in self.parts.items()}
        self.cells: Mapping[str, Any] = compiler.cells(entity, self.base, **parts)
        self.is_finer = any(grain.amount for grain, _ in self.finer)

    def dimension(self, name: str) -> tuple[str, str]:
        """What a group's row calls the value that it is grouped by, and its SQL."""
        column = _column(self.entity, name)
        if column is None:
            return quoted(f"*{name}"), f"({_expression(self.entity, name).sql.format_map(self.cells)})"
        outer, inner = _split(column)
        return own_column(column), self._seen(name, f'{self.parts[outer] if outer else self.base}."{inner}"')

    def _seen(self, name: str, column: str) -> str:
        """SQL: an id where its record is seen. Groups by the others would tell one hidden record from another."""
        source = self.entity.sources[name]
        if not isinstance(source, Relation):
            return column
        table = bound(self.compiler.entities.of(self.entity.type.fields[name])).table
        if not self.compiler.sight.limits(table):
            return column
        record = self.compiler.statement.alias()
        key = f'{record}."{source.key}"'
        return f"(select {key} from {self.compiler.rows(table)} {record} where {key} = {column})"

    def source(self, alias: str) -> str:
        """SQL: what stands in FROM. `alias` is the row that pinned columns belong to."""
        found = f"{self.counted or self.compiler.rows(self.rows.table)} {self.base}"
        for grain, columns in self.finer:
            # What has no parts stays, as a group of its own: the sums over all groups are the whole.
            found += f" left join lateral ({self._parts(grain, columns, alias)}) {self.parts[grain.name]} on true"
        return found

    def _parts(self, grain: Grain, columns: Sequence[str], alias: str) -> str:
        part = self.compiler.statement.alias()
        selected = [f'{part}."{column}"' for column in columns]
        sums = [f'sum({part}."{grain.amount}") as "{grain.amount}"'] if grain.amount else []
        restricted = [*belonging(self.base, part, grain.on), *self._pins(grain, part, alias)]
        if (given := grain.given) is not None and self.call.values.get(given.name) is not None:
            of = sql_type(grain.table.columns[given.column])
            value = self.compiler.statement.parameter(self.call, lambda values: given.read(values[given.name]), of)
            restricted.append(f'{part}."{given.column}" = {value}')
        rows = from_where(f"{self.compiler.rows(grain.table)} {part}", restricted)
        return f"select {', '.join([*selected, *sums])} {rows} group by {', '.join(selected)}"

    def _pins(self, grain: Grain, part: str, alias: str) -> list[str]:
        pinned = {_split(theirs)[1]: own for theirs, own in self.pinned.items() if _split(theirs)[0] == grain.name}
        return belonging(alias, part, pinned)

    def restricted(self, source: Totals, alias: str) -> list[str]:
        """SQL conditions on the rows that are counted."""
        conditions = Conditions(self.compiler, self.call)
        return [
            *ours(self.compiler, source, alias, self.base),
            *(self._has(grain, alias) for grain, _ in self.finer if self._pins(grain, "", alias)),
            *(
                sql
                for each in always(source, self.rows, conditions.where)
                for sql in self.compiler.condition(each, self.base)
            ),
            *conditions.on(self.compiler.entities.counted(self.entity), self.base),
        ]

    def _has(self, grain: Grain, alias: str) -> str:
        """SQL: whether a row has parts that belong to us; an index finds them."""
        part = self.compiler.statement.alias()
        own = ", ".join(f'{self.base}."{column}"' for column in grain.on.values())
        theirs = ", ".join(f'{part}."{column}"' for column in grain.on)
        rows = from_where(f"{self.compiler.rows(grain.table)} {part}", self._pins(grain, part, alias))
        return f"({own}) in (select {theirs} {rows})"


def totals(
    compiler: Compiler,
    field: GraphQLField,
    source: Totals,
    nodes: Sequence[FieldNode],
    alias: str,
    counted: str | None = None,
) -> Json:
    """A totals object, or the array of groups that `by` asks for. `counted`: SQL of the rows, where its table stands
    nowhere.
    """
    entity, statement = compiler.entities.of(field), compiler.statement
    call = statement.call(field, nodes[0])
    grouping = _Grouping(compiler, entity, call, source, counted)
    selected = compiler.selections.below(entity.type, nodes)
    split, group = statement.alias(), statement.alias()
    of_group = {name: grouping.dimension(name) for name in grouping.by}
    outer = [column for column, _ in of_group.values()]
    fields: dict[str, Json] = {}
    hidden = set(hidden_figures(compiler.entities, entity, compiler.sight))
    for key, uses in selected.items():
        name = uses[0].name.value
        match entity.sources.get(name):
            case Tally() | Rate() | Mean() if name in hidden:
                fields[key] = constant("null")
            case Tally() | Total() | Rate() | Mean() as figure:
                column = statement.alias()
                outer.append(f"{_outer(compiler, entity, name, figure, uses, split)} as {column}")
                value = f"{group}.{column}"
                fields[key] = computed(value) if isinstance(figure, Total) else json_of(entity.type.fields[name], value)
            case Column() | Relation() | Expression() if name not in of_group:
                fields[key] = constant("null")
            case Expression():
                fields[key] = json_of(entity.type.fields[name], f"{group}.{of_group[name][0]}")
            case _:
                fields[key] = compiler.field(entity.type, uses, group)
    inner = [*(f"{sql} as {column}" for column, sql in of_group.values()), *_inner(entity, grouping, selected)]
    by_currency = (
        f"select {', '.join(inner)} {from_where(grouping.source(alias), grouping.restricted(source, alias))}"
        f" group by {', '.join(str(at + 1) for at in range(len(of_group) + 1))}"
    )
    names = [column for column, _ in of_group.values()]
    # A group without figures: an aggregate without a name makes the whole one group, also of nothing.
    grouped_by = f" group by {', '.join(names)}" if names else ""
    tail = f"from (select {', '.join([*outer, 'count(*)'])} from ({by_currency}) {split}{grouped_by}) {group}"
    if not source.grouped:
        return statement.object(fields, tail)
    order = f" order by {', '.join(f'{group}.{each}' for each in names)}" if names else ""
    return statement.array(
        fields, f"{tail}{order} limit {statement.parameter(call, size('first', MOST_GROUPS), 'integer')}"
    )


def _inner(entity: Entity, grouping: _Grouping, selected: Mapping[str, list[FieldNode]]) -> Iterator[str]:
    """SQL columns by group and currency: all that has to be read of the rows; the few results are then grouped."""
    wanted = {uses[0].name.value: entity.sources.get(uses[0].name.value) for uses in selected.values()}
    currencies = {one.currency.format_map(grouping.cells) for one in wanted.values() if isinstance(one, Total)}
    yield f"{currencies.pop() if currencies else 'null::text'} as {quoted(CURRENCY)}"

    def filled(template: str) -> str:
        return f"({template.format_map(grouping.cells)})"

    for name, figure in wanted.items():
        sum_, beside = quoted(name), quoted(f"*{name}")
        match figure:
            case Tally():
                yield f"count(*) filter (where {filled(figure.only)}) as {sum_}"
            case Total():
                amount = filled(figure.finer if grouping.is_finer else figure.amount)
                yield f"sum({amount}) filter (where {filled(figure.only)}) as {sum_}"
                if figure.mean:
                    yield f"count({amount}) filter (where {filled(figure.only)}) as {beside}"
            case Rate():
                among = filled(figure.among)
                yield f"count(*) filter (where {filled(figure.of)} and {among}) as {sum_}"
                yield f"count(*) filter (where {among}) as {beside}"
            case Mean():
                yield f"sum({filled(figure.value)}) filter (where {filled(figure.only)}) as {sum_}"
                yield f"count({filled(figure.value)}) filter (where {filled(figure.only)}) as {beside}"
            case _:
                pass


def _outer(
    compiler: Compiler, entity: Entity, name: str, figure: Figure, nodes: Sequence[FieldNode], split: str
) -> str:
    """SQL: a group's figure, out of those of its currencies."""
    sum_, beside = f"{split}.{quoted(name)}", f"{split}.{quoted(f'*{name}')}"
    match figure:
        case Tally():
            return f"coalesce(sum({sum_}), 0)::bigint"
        case Rate():
            return f"round(100 * {EXACT} * sum({sum_}) / nullif(sum({beside}), 0), 2)"
        case Mean():
            return f"round({EXACT} * sum({sum_}) / nullif(sum({beside}), 0), 2)"
        case Total():
            amount = f"({EXACT} * {sum_} / nullif({beside}, 0))" if figure.mean else sum_
            return _monies(compiler, entity, name, nodes, amount, f"{split}.{quoted(CURRENCY)}")


def _monies(
    compiler: Compiler, entity: Entity, name: str, nodes: Sequence[FieldNode], amount: str, currency: str
) -> str:
    """SQL: the JSON array, as text, of one figure's Money objects, one for each currency, rounded once."""
    kind = object_of(entity.type.fields[name])
    templates = money("{amount}", computed=True)
    cells = {"amount": amount, "currency": currency}
    each = compiler.statement.object(compiler.templates(kind, templates, nodes, cells))
    there = f"filter (where {amount} is not null)"
    return as_array(f"string_agg({each.sql}, ',' order by {currency}) {there}").sql


def _column(entity: Entity, name: str) -> str | None:
    """The column that a dimension is; None where it is an expression."""
    source = entity.sources[name]
    if isinstance(source, Relation):
        return source.column
    return source.name if isinstance(source, Column) else None


def _expression(entity: Entity, name: str) -> Expression:
    return cast("Expression", entity.sources[name])


def _split(column: str) -> tuple[str, str]:
    """`line.product_id` -> line, product_id; `status` -> "", status."""
    outer, _, inner = column.rpartition(".")
    return outer, inner
