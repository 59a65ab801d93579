"""The arguments that a read field takes. `where`, `orderBy` and `by` follow from the fields of what is listed."""

from functools import cache
from typing import Any, cast

import strawberry
from strawberry import UNSET
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from api.reading.filters import is_filtered, where_of
from api.reading.inputs import Given, bare, choice_of, input_of, listed_by
from api.reading.moments import Basis, Moment
from api.reading.sources import (
    ROWS,
    SOURCE,
    AnyNode,
    AsOf,
    Bundled,
    Column,
    Expression,
    Lookup,
    Many,
    Part,
    Relation,
    Rows,
    Sort,
    Source,
    Totals,
    Traced,
    Waterfall,
)
from domain.kernel import Word

SEARCHED = (
    "Only what is found by each of these words: it stands in the {said}, at the beginning of a word there or inside."
    " Case, accents and punctuation do not count. At most 100 characters and 10 words; blank: not searched."
)

Direction = choice_of(
    "Direction",
    "Which way a list is ordered.",
    {
        "ASC": ("asc", "From the smallest to the largest, the oldest to the newest, A to Z."),
        "DESC": ("desc", "From the largest to the smallest, the newest to the oldest, Z to A."),
    },
)
Nulls = choice_of(
    "Nulls",
    "Where those stand that have no value to be ordered by.",
    {"FIRST": ("first", "Before all others."), "LAST": ("last", "Behind all others.")},
)


def arguments_of(source: Source, of: Any) -> list[StrawberryArgument]:
    """The arguments of a field with this source, whose Strawberry type is `of`."""
    match source:
        case Many(paged=True):
            return _page_arguments(listed_by(of))
        case Totals():
            return _totals_arguments(source, listed_by(of))
        case Lookup():
            return [_argument(one.name, one.of, one.description) for one in source.given]
        case AnyNode(several=False):
            return [_argument("id", strawberry.ID, "The id of anything.")]
        case Traced(several=True):
            return [
                _argument("id", strawberry.ID, "The record's id."),
                _argument("from", Moment, "The one moment."),
                _argument("to", Moment | None, "The other; left out: now."),
            ]
        case Traced(several=False):
            said = (
                "The field, as GraphQL names it: `amount`; of an element of a list, by its id,"
                " `lines[lin_01h455vb4pex5vsknk084sn02q].price`, or by what tells it from others, `tags[VIP]`; an"
                " element or a list as a whole, `lines[lin_01h455vb4pex5vsknk084sn02q]`, `tags`; or a part of a value,"
                " `amount.currency`."
            )
            return [
                _argument("id", strawberry.ID, "The record's id."),
                _argument("field", str, said),
                _argument("at", Moment | None, "At which moment; left out: now."),
            ]
        case Bundled(record=record):
            until = "Up to which moment; left out: up to the last checkpoint, which is seconds old at most."
            return [
                _argument(record.name, record.of, record.description),
                _argument("as_of", Moment | None, until),
            ]
        case Waterfall(of=record):
            what = "Which of its two times an entry counts by; by `OCCURRED`, both moments are times."
            return [
                _argument(record.name, record.of, record.description),
                _argument("from", Moment, "Where it begins: behind this moment."),
                _argument("to", Moment | None, "Where it ends: with this moment; left out, now."),
                _argument("basis", Basis, what, default=Basis.RECORDED),
            ]
        case AnyNode(several=True):
            return [_argument("ids", list[strawberry.ID], "At most 100 ids, in the order that you want the answer in.")]
        case AsOf():
            what = "Which of its two times an entry counts by."
            return [_argument("at", Moment, "Which moment."), _argument("basis", Basis, what, default=Basis.RECORDED)]
        case _:
            return []


def _page_arguments(listed: StrawberryObjectDefinition) -> list[StrawberryArgument]:
    arguments = [
        _argument("first", int | None, "So many from the beginning, 1 to 100. Either `first` or `last` is needed."),
        _argument("after", str | None, "Only what comes after the element with this cursor."),
        _argument("last", int | None, "So many from the end, 1 to 100."),
        _argument("before", str | None, "Only what comes before the element with this cursor."),
    ]
    if is_filtered(listed):
        arguments.append(_argument("where", where_of(listed) | None, "Only what meets all these conditions."))
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
    counted = listed_by(rows.counted)
    if is_filtered(counted):
        what = "Only what meets all these conditions is counted."
        arguments.append(_argument("where", where_of(counted) | None, what))
    return arguments


@cache
def order_of(listed: StrawberryObjectDefinition) -> Any:
    """The input type that orders lists of a type, by the columns that `sort` names; None where there are none."""
    members = {
        field.python_name.upper(): (sort, field.description or "") for field in listed.fields if (sort := _sort(field))
    }
    if not members:
        return None
    by = choice_of(f"{listed.name}OrderField", f"What lists of {listed.name} can be ordered by.", members)
    fields = {
        "field": Given(by, "What to order by."),
        "direction": Given(Direction, "Which way.", Direction.ASC),
        "nulls": Given(
            Nulls | None,
            "Where those without a value stand. Left out: last, either way; without a name, title or subject, as if it"
            " were an empty text.",
        ),
    }
    return input_of(f"{listed.name}Order", f"One step of an order of {listed.name}.", fields)


def _sort(field: StrawberryField) -> Sort | None:
    source = field.metadata.get(SOURCE)
    if not isinstance(source, Column | Part) or not source.sort:
        return None
    of = bare(field.type)
    word = of.wrapped_cls if isinstance(of, StrawberryEnumDefinition) else None
    own = isinstance(source, Column) and source.sort == source.name
    words = tuple(cast("type[Word]", word)) if word and own else ()
    present = source.present if isinstance(source, Part) else None
    return Sort(tuple(source.sort.split(", ")), tuple(str(each.value) for each in words), present)


@cache
def dimension_of(listed: StrawberryObjectDefinition) -> Any:
    """The enum of what totals can be grouped by: the columns, relations and expressions of the group's type."""
    members = {
        field.python_name.upper(): (field.python_name, field.description or "")
        for field in listed.fields
        if isinstance(field.metadata.get(SOURCE), Column | Relation | Expression)
    }
    return choice_of(f"{listed.name}By", f"What {listed.name} can be made by.", members)


def _argument(name: str, of: Any, description: str, default: object = UNSET) -> StrawberryArgument:
    return StrawberryArgument(name, None, StrawberryAnnotation(of), description=description, default=default)
