"""Raw values for hypothesis, made from the annotations of commands: well formed, as untidy as they may come."""

from datetime import UTC, date, datetime
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from domain.catalogue import catalogue
from domain.kernel import MINOR_UNITS, ChildId, Currency, Derived, Filled, Id, Items, Number, Text, Word, Zone, type_id
from domain.kernel.admission import marked, members

M = TypeVar("M")
Raw = st.SearchStrategy[Any]

PADDING = st.text(" \t\u00a0\u2003\r\n", max_size=3)
SPOKEN = st.text(st.characters(exclude_categories=("C", "Z")) | st.sampled_from("e\u0301\u0323 "), max_size=12)


def values_of(struct: type[msgspec.Struct]) -> Raw:
    """Objects that the struct must take; fields with a default may be left out."""
    hints = get_type_hints(struct, include_extras=True)
    asked = [
        field
        for field in msgspec.structs.fields(struct)
        if field.name in hints and not marked(hints[field.name], Derived, Filled) and get_origin(hints[field.name])
    ]
    required = {field.name: value_of(hints[field.name]) for field in asked if field.required}
    return st.fixed_dictionaries(
        required, optional={field.name: value_of(hints[field.name]) for field in asked if not field.required}
    )


def value_of(hint: Any) -> Raw:
    """Values that a field of this annotation must take."""
    plain, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    kind = next(one for one in members(plain) if one not in (NoneType, msgspec.UnsetType))
    found = _of_kind(kind, marks)
    return found | st.none() if NoneType in members(plain) else found


def _of_kind(kind: Any, marks: list[Any]) -> Raw:
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        of_item = value_of(item if get_origin(item) is Annotated else Annotated[(item, *marks)])
        return st.lists(of_item, min_size=_mark(marks, Items).least, max_size=3)
    if issubclass(kind, Word):
        return st.sampled_from([word.value for word in kind])
    if issubclass(kind, msgspec.Struct):
        return values_of(kind)
    if kind in (int, Decimal):
        return _number(_mark(marks, Number))
    if kind is UUID:
        return _id(marks)
    if kind is str:
        return _text(marks)
    days = st.dates(date(1900, 1, 1), date(2199, 12, 31))
    instants = st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
    return {
        bool: st.booleans() | st.sampled_from(["yes", "False", "1"]),
        date: days | days.map(str),
        datetime: instants | instants.map(datetime.isoformat),
    }[kind]


def _number(rule: Number) -> Raw:
    exact = st.decimals(rule.least, rule.most, places=rule.decimals) | st.sampled_from([rule.least, rule.most])
    signed = st.just(Decimal("-0")) if rule.least <= 0 <= rule.most else exact
    return exact | exact.map(lambda number: f"{number:f}0" if "." in f"{number:f}" else f"{number:e}") | signed


def _id(marks: list[Any]) -> Raw:
    prefix = next(
        one.prefix if isinstance(one, ChildId) else catalogue.prefixes[one.kind]
        for one in marks
        if isinstance(one, ChildId | Id)
    )
    return st.uuids() | st.uuids().map(lambda id: type_id(prefix, id))


def _text(marks: list[Any]) -> Raw:
    if any(isinstance(one, Currency) for one in marks):
        return st.sampled_from(sorted(MINOR_UNITS))
    if any(isinstance(one, Zone) for one in marks):
        return st.sampled_from(["Europe/Zurich", "Asia/Kolkata", "UTC"])
    rule = _mark(marks, Text)
    if rule.form is None:
        visible = st.tuples(PADDING, st.characters(categories=("L", "N", "S")), SPOKEN, PADDING)
        return visible.map("".join)
    ascii_only = st.characters(codec="ascii", exclude_categories=("C", "Z"))
    shaped = st.from_regex(rule.form.pattern, fullmatch=True, alphabet=ascii_only)
    return st.tuples(PADDING, shaped.filter(lambda text: 0 < len(text) <= rule.longest), PADDING).map("".join)


def _mark(marks: list[Any], kind: type[M]) -> M:
    return next(one for one in marks if isinstance(one, kind))
