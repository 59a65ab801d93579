"""The arguments that a read field takes. `where`, `orderBy` and `by` follow from the fields of what is listed."""

from enum import Enum
from functools import cache
from typing import Any, cast

import strawberry
from strawberry import UNSET
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryContainer, StrawberryObjectDefinition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

from api.reading.sources import ROWS, SOURCE, AnyNode, Column, Expression, Lookup, Many, Relation, Rows, Source, Totals

SEARCHED = (
    "Only what is found by each of these words: it stands in the {said}, at the beginning of a word there or inside."
    " Case, accents and punctuation do not count. At most 100 characters and 10 words; blank: not searched."
)


class Direction(Enum):
    """Which way a list is ordered. What has no value to be ordered by comes last, either way."""

    ASC = "asc"
    DESC = "desc"


_DIRECTIONS = {
    "ASC": "From the smallest to the largest, the oldest to the newest, A to Z.",
    "DESC": "From the largest to the smallest, the newest to the oldest, Z to A.",
}
strawberry.enum(Direction, description=" ".join((Direction.__doc__ or "").split()))
for _value in cast("Any", Direction).__strawberry_definition__.values:
    _value.description = _DIRECTIONS[_value.name]


def arguments_of(source: Source, of: Any) -> list[StrawberryArgument]:
    """The arguments of a field with this source, whose Strawberry type is `of`."""
    match source:
        case Many(paged=True):
            return _page_arguments(_listed(of))
        case Totals():
            return _totals_arguments(source, _listed(of))
        case Lookup():
            return [_argument(one.name, one.of, one.description) for one in source.given]
        case AnyNode(several=False):
            return [_argument("id", strawberry.ID, "The id of anything.")]
        case AnyNode(several=True):
            return [_argument("ids", list[strawberry.ID], "At most 100 ids, in the order that you want the answer in.")]
        case _:
            return []


def _page_arguments(listed: StrawberryObjectDefinition) -> list[StrawberryArgument]:
    arguments = [
        _argument("first", int | None, "So many from the beginning, 1 to 100. Either `first` or `last` is needed."),
        _argument("after", str | None, "Only what comes after the element with this cursor."),
        _argument("last", int | None, "So many from the end, 1 to 100."),
        _argument("before", str | None, "Only what comes before the element with this cursor."),
    ]
    if where := where_of(listed):
        arguments.append(_argument("where", where | None, "Only what meets all these conditions."))
    rows: Rows = getattr(listed.origin, ROWS)
    if rows.search:
        arguments.append(_argument("search", str | None, SEARCHED.format(said=rows.search.said)))
    if order := order_of(listed):
        what = "The order, most important first; left out, the list's own order."
        arguments.append(_argument("order_by", list[order] | None, what))  # type: ignore[valid-type]
    return arguments


def _totals_arguments(source: Totals, of: StrawberryObjectDefinition) -> list[StrawberryArgument]:
    rows: Rows = getattr(of.origin, ROWS)
    arguments: list[StrawberryArgument] = []
    if source.grouped:
        what = "What to group by; each combination that occurs is one element, in this order, what has none last."
        arguments.append(_argument("by", list[dimension_of(of)], what))  # type: ignore[misc]
        what = "So many groups from the beginning, 1 to 1,000. Where as many come, there may be more."
        arguments.append(_argument("first", int, what, default=100))
        given = [grain.given for grain in rows.finer if grain.given]
        arguments += [_argument(each.name, each.of | None, each.description) for each in given]
    counted: Any = rows.counted
    if where := where_of(counted.__strawberry_definition__):
        arguments.append(_argument("where", where | None, "Only what meets all these conditions is counted."))
    return arguments


@cache
def where_of(listed: StrawberryObjectDefinition) -> Any:
    """The input type with the conditions that lists of a type take; None where it has no filtered field."""
    fields = {
        field.python_name: strawberry.field(description=field.description, default=UNSET)
        for field in listed.fields
        if isinstance(source := field.metadata.get(SOURCE), Column | Relation) and source.filtered
    }
    types = {field.python_name: _filter_of(field) | None for field in listed.fields if field.python_name in fields}
    meaning = f"Conditions on {listed.name}: all of them must hold, and one that is left out does not count."
    return _input(f"{listed.name}Where", meaning, types, fields) if fields else None


@cache
def order_of(listed: StrawberryObjectDefinition) -> Any:
    """The input type that orders lists of a type, by the columns that `sort` names; None where there are none."""
    members = {
        field.python_name.upper(): (source.sort, field.description or "")
        for field in listed.fields
        if isinstance(source := field.metadata.get(SOURCE), Column) and source.sort
    }
    if not members:
        return None
    by = _enum(f"{listed.name}OrderField", f"What lists of {listed.name} can be ordered by.", members)
    fields = {
        "field": strawberry.field(description="What to order by."),
        "direction": strawberry.field(description="Which way.", default=Direction.ASC),
    }
    meaning = f"One step of an order of {listed.name}."
    return _input(f"{listed.name}Order", meaning, {"field": by, "direction": Direction}, fields)


@cache
def dimension_of(listed: StrawberryObjectDefinition) -> Any:
    """The enum of what totals can be grouped by: the columns, relations and expressions of the group's type."""
    members = {
        field.python_name.upper(): (field.python_name, field.description or "")
        for field in listed.fields
        if isinstance(field.metadata.get(SOURCE), Column | Relation | Expression)
    }
    return _enum(f"{listed.name}By", f"What {listed.name} can be made by.", members)


def _filter_of(field: StrawberryField) -> Any:
    """The conditions on one field: on a relation, those on the other record's id."""
    of = strawberry.ID if isinstance(field.metadata[SOURCE], Relation) else _bare(field.type)
    return _filter_by(of.wrapped_cls if isinstance(of, StrawberryEnumDefinition) else of)


@cache
def _filter_by(of: Any) -> Any:
    name = of.__name__ if of is not str else "String"
    types = {"eq": of | None, "in_": list[of] | None, "is_null": bool | None}
    fields = {
        "eq": strawberry.field(description="It is this one.", default=UNSET),
        "in_": strawberry.field(name="in", description="It is one of these.", default=UNSET),
        "is_null": strawberry.field(description="Whether there is none.", default=UNSET),
    }
    return _input(f"{name}Filter", f"Conditions on a value of type {name}; all of them must hold.", types, fields)


def _listed(of: Any) -> StrawberryObjectDefinition:
    """What a list, or the connection's pages, hold."""
    bare = _bare(of)
    found: StrawberryObjectDefinition = bare.__strawberry_definition__
    node = found.type_var_map.get("T")
    if node is not None:
        found = _bare(node).__strawberry_definition__
    return found


def _bare(of: Any) -> Any:
    while isinstance(of, StrawberryContainer | LazyType):
        of = of.of_type if isinstance(of, StrawberryContainer) else cast("Any", of).resolve_type()
    return of


def _argument(name: str, of: Any, description: str, default: object = UNSET) -> StrawberryArgument:
    return StrawberryArgument(name, None, StrawberryAnnotation(of), description=description, default=default)


def _input(name: str, description: str, types: dict[str, Any], fields: dict[str, Any]) -> Any:
    return strawberry.input(type(name, (), {"__annotations__": types, **fields}), description=description)


def _enum(name: str, description: str, members: dict[str, tuple[str, str]]) -> Any:
    values = {key: strawberry.enum_value(value, description=meaning) for key, (value, meaning) in members.items()}
    made: Any = cast("Any", Enum)(name, values)
    return strawberry.enum(made, description=description)
