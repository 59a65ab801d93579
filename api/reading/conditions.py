"""`where` in SQL: the conditions that a client sets on a list, on the fields that types declare as filtered.

A condition is true or false, never unknown: on what has no value, `ne`, `notIn` and `isNull: true` are true and all
others false. So `not` is everything else, and a record that a relation does not lead to is one without any value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from graphql import GraphQLField

from api.reading.comparisons import Compared, Comparisons, conjunction
from api.reading.entities import Entity, belonging, bound, is_list, named_type, object_of
from api.reading.sources import Column, Expression, Many, Part, Relation, Rows, Totals, Values
from api.reading.statement import Call, Cells
from api.reading.wheres import MOST, Path, Where, fields_named, is_equality, measured, met_by_nothing, too_many
from projections.tables import sql_type

if TYPE_CHECKING:
    from api.reading.compiler import Compiler

_CASTS = {"Boolean": "boolean", "Int": "bigint"}
_WIDER = {"smallint": "bigint", "integer": "bigint"}
"""A number beyond a column's range is just greater than all in it."""


class Conditions:
    """The `where` of one call."""

    def __init__(self, compiler: Compiler, call: Call) -> None:
        """Raises RequestError where a condition is null, or there are too many."""
        self._compiler, self._comparisons = compiler, Comparisons(compiler.statement, call)
        self.where: Where = call.values.get("where") or {}
        if self.where:
            compiler.conditions += measured(self.where)
            # What a range or another table brings depends on the values: a plan for any of them is right for few.
            compiler.statement.planned_anew |= not is_equality(self.where)
        if compiler.conditions > MOST:
            raise too_many(f"a query may have {MOST}, each field, relation, `and`, `or` and `not` counted as one")

    def on(self, entity: Entity, alias: str) -> list[str]:
        """SQL that is true of a row of this entity, called `alias`, that meets the conditions."""
        return self._each(entity, self.where, ("where",), alias)

    def _each(self, entity: Entity, where: Where, path: Path, alias: str) -> list[str]:
        return [self._one(entity, name, given, (*path, name), alias) for name, given in where.items()]

    def _all(self, entity: Entity, where: Where, path: Path, alias: str) -> str:
        return conjunction(self._each(entity, where, path, alias))

    def _one(self, entity: Entity, name: str, given: Any, path: Path, alias: str) -> str:
        match name:
            case "and":
                return conjunction([self._all(entity, each, (*path, at), alias) for at, each in enumerate(given)])
            case "or":
                either = [self._all(entity, each, (*path, at), alias) for at, each in enumerate(given)]
                return f"({' or '.join(either)})" if either else "false"
            case "not":
                return f"{self._all(entity, given, path, alias)} is not true"
            case _:
                return self._field(entity, name, given, path, alias)

    def _field(self, entity: Entity, name: str, given: Where, path: Path, alias: str) -> str:
        source, field = entity.sources[name], entity.type.fields[name]
        match source:
            case Column():
                return self._comparisons.value(_column(bound(entity), source, field, alias), given, path)
            case Expression():
                sql = f"({source.sql.format_map(self._compiler.cells(entity, alias))})"
                if is_list(field):
                    return self._elements(sql, given, path)
                return self._comparisons.value(Compared(sql, _cast(field)), given, path)
            case Part():
                return self._part(source, field, given, path, alias)
            case Relation():
                return self._to_one(source, self._compiler.entities.of(field), given, path, alias)
            case Values():
                return self._values(source, given, path, alias)
            case _:
                return self._to_many(cast("Many", source), self._compiler.entities.of(field), given, path, alias)

    def _part(self, source: Part, field: GraphQLField, given: Where, path: Path, alias: str) -> str:
        kind, cells, present = object_of(field), Cells(alias), f'{alias}."{source.present}"'
        if kind.name == "Money":
            return self._comparisons.money(present, source.fields["currency"].format_map(cells), given, path)
        found: list[str] = []
        for name, each in given.items():
            sql = f"(case when {present} is not null then {source.fields[name].format_map(cells)} end)"
            value = Compared(sql, _cast(kind.fields[name]))
            found.append(self._comparisons.value(value, each, (*path, name)))
        return conjunction(found)

    def _to_one(self, source: Relation, entity: Entity, given: Where, path: Path, alias: str) -> str:
        found: list[str] = []
        rest: dict[str, Any] = {}
        own = f'{alias}."{source.column}"'
        for name, each in given.items():
            # The other's key stands in our own row: nothing is looked up.
            if _is_key(entity, name, source.key):
                found.append(self._comparisons.value(Compared(own, "text"), each, (*path, name)))
            else:
                rest[name] = each
        if rest:
            other, rows = self._compiler.statement.alias(), bound(entity)
            there = f'select from {self._compiler.rows(rows.table)} {other} where {other}."{source.key}" = {own}'
            met = self._all(entity, rest, path, other)
            otherwise = met_by_nothing(self._compiler.entities, entity, rest)
            found.append(f"not exists ({there} and {met} is not true)" if otherwise else f"exists ({there} and {met})")
        return conjunction(found)

    def _to_many(self, source: Many, entity: Entity, given: Where, path: Path, alias: str) -> str:
        rows, found = rows_listed(entity, source), list[str]()
        for quantifier, where in given.items():
            other = self._compiler.statement.alias()
            conditions = ours(self._compiler, source, alias, other)
            for template in always(source, rows, where):
                conditions += self._compiler.condition(template, other)
            met = self._all(entity, where, (*path, quantifier), other)
            found.append(_quantified(quantifier, f"{self._compiler.rows(rows.table)} {other}", conditions, met))
        return conjunction(found)

    def _elements(self, array: str, given: Where, path: Path) -> str:
        found: list[str] = []
        for quantifier, where in given.items():
            other = self._compiler.statement.alias()
            met = self._comparisons.value(Compared(f"{other}.element", "text"), where, (*path, quantifier))
            found.append(_quantified(quantifier, f"unnest({array}) {other} (element)", (), met))
        return conjunction(found)

    def _values(self, source: Values, given: Where, path: Path, alias: str) -> str:
        found: list[str] = []
        for quantifier, where in given.items():
            other = self._compiler.statement.alias()
            value = Compared(f'{other}."{source.same or source.column}"', "text", str.casefold if source.same else None)
            met = self._comparisons.value(value, where, (*path, quantifier))
            rows = f"{self._compiler.rows(source.table)} {other}"
            found.append(_quantified(quantifier, rows, belonging(alias, other, source.on), met))
        return conjunction(found)


def rows_listed(entity: Entity, source: Many) -> Rows:
    """The rows that a list is of: those of its type, or of a table of its own with the same columns."""
    rows = bound(entity)
    return rows if source.table is None else msgspec.structs.replace(rows, table=source.table)


def ours(compiler: Compiler, source: Many | Totals, alias: str, other: str) -> list[str]:
    """SQL conditions: the row `other` belongs to the row `alias`, by its columns and by tables between."""
    found = belonging(alias, other, {theirs: own for theirs, own in source.on.items() if "." not in theirs})
    if source.through:
        named = (
            f'select between."{one.key}" from {compiler.rows(one.table)} between'
            f" where {' and '.join(belonging(alias, 'between', one.on))}"
            for one in source.through
        )
        found.append(f'{other}."{source.through[0].other}" in ({" union all ".join(named)})')
    return found


def always(source: Many | Totals, rows: Rows, where: Where) -> Iterator[str]:
    """Templates of what holds for all rows of a list; what is put away is shown where `where` names its column."""
    if source.where:
        yield source.where
    if rows.listed and rows.listed[0] not in fields_named(where):
        yield f"{{{rows.listed[0]}}} = '{rows.listed[1]}'"


def _column(rows: Rows, source: Column, field: GraphQLField, alias: str) -> Compared:
    if source.same:
        return Compared(f'{alias}."{source.same}"', "text", str.casefold)
    keyed = source.sort and source.sort != source.name and named_type(field).name == "String"
    of = sql_type(rows.table.columns[source.name])
    return Compared(f'{alias}."{source.name}"', _WIDER.get(of, of), key=f'{alias}."{source.sort}"' if keyed else None)


def _cast(field: GraphQLField) -> str:
    return _CASTS.get(named_type(field).name, "text")


def _is_key(entity: Entity, name: str, column: str) -> bool:
    source = entity.sources.get(name)
    return isinstance(source, Column) and source.name == column


def _quantified(quantifier: str, source: str, conditions: Sequence[str], met: str) -> str:
    rows = f"select from {source} where {conjunction(conditions)}"
    match quantifier:
        case "some":
            return f"exists ({rows} and {met})"
        case "none":
            return f"not exists ({rows} and {met})"
        case _:
            return f"not exists ({rows} and {met} is not true)"
