"""Totals in SQL: counts, and sums of money by currency, over the rows that belong to one or by groups over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, GraphQLField
from strawberry.utils.str_converters import to_camel_case

from api.reading.conditions import conditions, filtered_column
from api.reading.entities import Entity, belonging, bound, object_of, own_column
from api.reading.money import money
from api.reading.pages import from_where
from api.reading.sources import Column, Relation, Tally, Total, Totals
from api.reading.statement import Call, Cells, quoted

if TYPE_CHECKING:
    from api.reading.compiler import Compiler

CURRENCY = "*currency"
"""No field is called so."""


class _Grouping:
    """What is grouped by, and at which grain: that of the table, or the finer one, whose columns are `line.total`."""

    def __init__(self, compiler: Compiler, entity: Entity, call: Call) -> None:
        self.rows, self.base, self.line = bound(entity), compiler.statement.alias(), compiler.statement.alias()
        by: list[Enum] = call.values.get("by") or []
        where: Mapping[str, Any] = call.values.get("where") or {}
        names = [filtered_column(entity, to_camel_case(each.value)) for each in by]
        self.columns = {own_column(column): column for column in names}
        filtered = [filtered_column(entity, name) for name in where]
        finer = self.rows.finer
        self.finer = finer if any("." in column for column in (*names, *filtered)) else None
        self.cells = Cells(self.base, **({finer.name: Cells(self.line)} if finer else {}))

    def place(self, column: str) -> tuple[str, str]:
        """The SQL of a column, and its declared type."""
        grain, dot, inner = column.partition(".")
        if dot and self.rows.finer is not None:
            return f'{self.line}."{inner}"', self.rows.finer.table.columns[inner]
        return f'{self.base}."{grain}"', self.rows.table.columns[grain]

    def source(self, compiler: Compiler) -> str:
        base = f"{compiler.rows(self.rows.table)} {self.base}"
        if self.finer is None:
            return base
        # What has no parts stays, as a group of its own: the sums over all groups are the whole.
        joined = " and ".join(belonging(self.base, self.line, self.finer.on))
        return f"{base} left join {compiler.rows(self.finer.table)} {self.line} on {joined}"


def totals(compiler: Compiler, field: GraphQLField, source: Totals, nodes: Sequence[FieldNode], alias: str) -> str:
    """SQL: a totals object, or the array of groups that `by` asks for."""
    entity, statement = compiler.entities.of(field), compiler.statement
    call = statement.call(field, nodes[0])
    grouping = _Grouping(compiler, entity, call)
    selected = compiler.selections.below(entity.type, nodes)
    split, group = statement.alias(), statement.alias()
    of_group = list(grouping.columns)
    outer = [*of_group, 'coalesce(sum("*count"), 0)::bigint as "*count"']
    fields: dict[str, str] = {}
    for key, uses in selected.items():
        name = uses[0].name.value
        match entity.sources.get(name):
            case Tally():
                fields[key] = f'{group}."*count"'
            case Total():
                column = statement.alias()
                outer.append(f"{_monies(compiler, entity, name, uses, split)} as {column}")
                fields[key] = f"coalesce({group}.{column}, '[]'::json)"
            case Column() | Relation() if own_column(filtered_column(entity, name)) not in grouping.columns:
                fields[key] = "null::text"
            case _:
                fields[key] = compiler.field(entity.type, uses, group)
    restricted = [
        *belonging(alias, grouping.base, source.on),
        *compiler.condition(source.where, grouping.base),
        *conditions(statement, call, entity, grouping.place),
    ]
    by_currency = (
        f"select {', '.join(_sums(entity, grouping, selected))} {from_where(grouping.source(compiler), restricted)}"
        f" group by {', '.join(str(at + 1) for at in range(len(of_group) + 1))}"
    )
    grouped_by = f" group by {', '.join(of_group)}" if of_group else ""
    tail = f"from (select {', '.join(outer)} from ({by_currency}) {split}{grouped_by}) {group}"
    if not source.grouped:
        return statement.object(fields, tail)
    order = f" order by {', '.join(f'{group}.{each}' for each in of_group)}" if of_group else ""
    return statement.array(fields, tail + order)


def _sums(entity: Entity, grouping: _Grouping, selected: Mapping[str, list[FieldNode]]) -> Iterator[str]:
    """SQL columns by group and currency: all that has to be read of the rows; the few results are then grouped."""
    for name, column in grouping.columns.items():
        yield f"{grouping.place(column)[0]} as {name}"
    wanted = {uses[0].name.value: entity.sources.get(uses[0].name.value) for uses in selected.values()}
    sums = {name: total for name, total in wanted.items() if isinstance(total, Total)}
    currencies = {total.currency.format_map(grouping.cells) for total in sums.values()} or {"null::text"}
    yield f"{currencies.pop()} as {quoted(CURRENCY)}"
    counted = f"distinct {grouping.base}.id" if grouping.finer else "*"
    yield f'count({counted}) as "*count"'
    for name, total in sums.items():
        amount = (total.finer if grouping.finer else total.amount).format_map(grouping.cells)
        yield f"sum({amount}) filter (where {total.only.format_map(grouping.cells)}) as {quoted(name)}"


def _monies(compiler: Compiler, entity: Entity, name: str, nodes: Sequence[FieldNode], split: str) -> str:
    """SQL: the JSON array of one sum's Money objects, one for each currency, rounded once."""
    kind = object_of(entity.type.fields[name])
    cells = {"amount": f"{split}.{quoted(name)}", "currency": f"{split}.{quoted(CURRENCY)}"}
    templates = money("{amount}", computed=True)
    each = compiler.statement.object(compiler.templates(kind, templates, nodes, cells))
    return f"json_agg({each} order by {cells['currency']}) filter (where {cells['amount']} is not null)"
