"""`where` in SQL: the conditions that a client sets on a list, on the columns of the fields that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from api.errors import RequestError, RequestErrorCode
from api.reading.entities import Entity
from api.reading.sources import Column, Relation
from api.reading.statement import Arguments, Call
from projections.tables import sql_type

if TYPE_CHECKING:
    from api.reading.statement import Statement

Place = Callable[[str], tuple[str, str]]
"""From a column's name to its SQL and its declared SQL type."""


def conditions(statement: Statement, call: Call, entity: Entity, place: Place) -> list[str]:
    """SQL for the `where` of a call on a list of these entities. Raises RequestError where a condition is null."""
    where: Mapping[str, Any] = call.values.get("where") or {}
    found: list[str] = []
    for name, operators in where.items():
        column, declared = place(filtered_column(entity, name))
        of = sql_type(declared)
        for operator, value in given_operators(name, operators).items():
            read = partial(_operand, name, operator)
            match operator:
                case "eq":
                    found.append(f"{column} = {statement.parameter(call, read, of)}")
                case "in":
                    found.append(f"{column} = any({statement.parameter(call, read, f'{of}[]')})")
                case _:
                    found.append(f"{column} is {'null' if value else 'not null'}")
    return found


def filtered_column(entity: Entity, name: str) -> str:
    """The column that a condition on this field is about."""
    source = entity.sources[name]
    if isinstance(source, Relation):
        return source.column
    return cast("Column", source).name


def given_operators(name: str, operators: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The conditions on one field, none of them null: null would be read as "all" by some and as "none" by others."""
    for operator, value in (operators or {"": None}).items():
        if value is None:
            what = f"where.{name}.{operator}".rstrip(".")
            raise RequestError(
                RequestErrorCode.BAD_USER_INPUT, f"`{what}` is null; leave it out, or ask with `isNull: true`."
            )
    return operators or {}


def _operand(name: str, operator: str, given: Arguments) -> str | list[str]:
    value = given["where"][name][operator]
    return list(map(_text, cast("list[object]", value))) if isinstance(value, list) else _text(value)


def _text(value: object) -> str:
    """A value as PostgreSQL reads it; an enum's is the word that the tables hold."""
    return str(getattr(value, "value", value))
