"""The input types of `where`, made out of what types declare as filtered; `conditions.py` makes SQL of their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, cast

import strawberry
from strawberry.types.base import StrawberryList, StrawberryObjectDefinition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

from api.reading.inputs import Given, bare, input_of, listed_by
from api.reading.money import Money
from api.reading.sources import SOURCE, Column, Expression, Many, Part, Relation, Values
from api.scalars import CurrencyCode, Position

SAID = {
    "eq": "It is this one.",
    "ne": "It is not this one, or there is none.",
    "in": "It is one of these.",
    "notIn": "It is none of these, or there is none.",
    "lt": "It is less, or earlier.",
    "lte": "It is less or the same, or not later.",
    "gt": "It is greater, or later.",
    "gte": "It is greater or the same, or not earlier.",
    "contains": "It has this text in it. Of names, titles and subjects case, accents and width are ignored, of other"
    " texts the case of A to Z.",
    "startsWith": "It begins with this text; what is ignored is as with `contains`.",
    "isNull": "Whether there is none.",
}
_EQUALITY = ("eq", "ne", "in", "notIn", "isNull")
_COMPARISON = ("eq", "ne", "in", "notIn", "lt", "lte", "gt", "gte", "isNull")
_TEXT = ("eq", "ne", "in", "notIn", "contains", "startsWith", "isNull")
_OF_MONEY = ("eq", "lt", "lte", "gt", "gte")
_NAMES = {str: "String", int: "Int", bool: "Boolean", date: "Date", datetime: "DateTime"}


@dataclass(frozen=True)
class _Where(LazyType[Any, Any]):
    """The `where` of a type, made once it is needed: types lead to each other, and so do their conditions."""

    listed: StrawberryObjectDefinition | None = None

    def resolve_type(self) -> Any:
        return where_of(cast("StrawberryObjectDefinition", self.listed))


def is_filtered(listed: StrawberryObjectDefinition) -> bool:
    """Whether lists of a type take conditions."""
    return any(_filtered(field) for field in listed.fields)


@cache
def where_of(listed: StrawberryObjectDefinition) -> Any:
    """The input type with the conditions that lists of a type take."""
    fields = {
        field.python_name: Given(_filter_of(field) | None, _said(field)) for field in listed.fields if _filtered(field)
    }
    own: Any = _later(listed)
    fields["and"] = Given(list[own] | None, "All of these hold.")
    fields["or"] = Given(list[own] | None, "One of these holds, or several.")
    fields["not"] = Given(own | None, "This does not hold.")
    meaning = (
        f"Conditions on {listed.name}: all of them must hold, and one that is left out does not count. What has no"
        " value meets `ne`, `notIn` and `isNull: true`, and no other condition; `not` is true wherever the rest is not."
    )
    return input_of(f"{listed.name}Where", meaning, fields)


def _filtered(field: StrawberryField) -> bool:
    source = field.metadata.get(SOURCE)
    return isinstance(source, Column | Expression | Part | Relation | Many | Values) and source.filtered


def _said(field: StrawberryField) -> str:
    source, said = field.metadata[SOURCE], field.description or ""
    return f"{said} Case does not count." if isinstance(source, Column | Values) and source.same else said


def _filter_of(field: StrawberryField) -> Any:
    match field.metadata[SOURCE]:
        case Relation():
            return _later(listed_by(field.type))
        case Many():
            return _filter_list(listed_by(field.type))
        case Values():
            return _filter_values(bare(field.type))
        case Part():
            return MoneyFilter if bare(field.type) is Money else _filter_parts(listed_by(field.type))
        case _:
            return (_filter_values if isinstance(field.type, StrawberryList) else _filter_by)(_leaf(field.type))


def _later(listed: StrawberryObjectDefinition) -> Any:
    return _Where(f"{listed.name}Where", "", None, listed)


def _leaf(of: Any) -> Any:
    found = bare(of)
    return found.wrapped_cls if isinstance(found, StrawberryEnumDefinition) else found


@cache
def _filter_by(of: Any) -> Any:
    name = _NAMES.get(of) or of.__name__
    if of is str:
        operators: Sequence[str] = _TEXT
    elif of is bool:
        operators = ("eq", "isNull")
    else:
        operators = _COMPARISON if of in (int, Decimal, date, datetime, Position) else _EQUALITY
    fields = {each: Given(_operand(of, each), SAID[each]) for each in operators}
    return input_of(f"{name}Filter", f"Conditions on a value of type {name}; all of them must hold.", fields)


def _operand(of: Any, operator: str) -> Any:
    if operator == "isNull":
        return bool | None
    return list[of] | None if operator in ("in", "notIn") else of | None


@cache
def _filter_list(listed: StrawberryObjectDefinition) -> Any:
    meaning = f"Conditions on a list of {listed.name}, as it shows itself when it is asked for; all of them must hold."
    return _of_several(f"{listed.name}ListFilter", meaning, _later(listed))


@cache
def _filter_values(of: Any) -> Any:
    name = _NAMES.get(of) or of.__name__
    return _of_several(f"{name}ListFilter", f"Conditions on a list of {name}; all of them must hold.", _filter_by(of))


def _of_several(name: str, meaning: str, each: Any) -> Any:
    fields = {
        "some": Given(each | None, "At least one meets this; `{}`: there is one."),
        "none": Given(each | None, "None meets this; `{}`: there is none."),
        "every": Given(each | None, "Each of them meets this, even where there is none."),
    }
    return input_of(name, meaning, fields)


@cache
def _filter_parts(listed: StrawberryObjectDefinition) -> Any:
    fields = {
        each.python_name: Given(_filter_by(_leaf(each.type)) | None, each.description or "") for each in listed.fields
    }
    return input_of(f"{listed.name}Filter", f"Conditions on {listed.name}; all of them must hold.", fields)


@strawberry.input(description="An amount of money in a currency, to compare with.")
class MoneyInput:
    amount: Decimal = strawberry.field(description="The amount, such as `10000` or `12.50`.")
    currency: CurrencyCode = strawberry.field(description="The currency: an amount in another one is not compared.")


def _money_filter() -> Any:
    fields = {each: Given(MoneyInput | None, f"{SAID[each]} The currency is this one.") for each in _OF_MONEY}
    fields["currency"] = Given(_filter_by(CurrencyCode) | None, "The currency.")
    fields["isNull"] = Given(bool | None, SAID["isNull"])
    meaning = (
        "Conditions on an amount of money; all of them must hold. Nothing is converted: an amount in another currency"
        " is neither less nor greater, and does not meet a comparison."
    )
    return input_of("MoneyFilter", meaning, fields)


MoneyFilter = _money_filter()
