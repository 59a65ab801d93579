"""GraphQL inputs, generated from the command structs: the annotations of their fields say it all."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import strawberry
from strawberry import UNSET
from strawberry.types.field import StrawberryField

from api.scalars import CurrencyCode
from api.words import described, enum_of, spoken
from domain.catalogue import AnyDecider, mutation_name
from domain.kernel import Command, Currency, Derived, Doc, Filled, Word
from domain.kernel.admission import marked, members

ENVELOPE = ("idempotency_key", "expected_version", "reason")
"""Fields of every input that are about the command, not part of it."""

_PLAIN: dict[Any, Any] = {
    str: str,
    bool: bool,
    int: int,
    Decimal: Decimal,
    date: date,
    datetime: datetime,
    UUID: strawberry.ID,
}


def input_of(decider: AnyDecider, verb: str) -> type[Any]:
    """The input type of a command's mutation."""
    command = decider.commands[verb]
    fields = {"idempotency_key": _field(UUID, _KEY)}
    if command not in decider.creates and decider.kind != "company":
        fields["id"] = _field(strawberry.ID, f"The {spoken(decider.kind)}'s id.")
    fields |= _fields_of(command)
    fields["expected_version"] = _field(int | None, _EXPECTED, UNSET)
    # A command may ask for a reason of its own (why a deal was lost); then that is the reason.
    fields.setdefault("reason", _field(str | None, _NEEDED if command in decider.reasoned else _REASON, UNSET))
    mutation = mutation_name(decider, verb)
    return _input(mutation[0].upper() + mutation[1:] + "Input", f"What `{mutation}` needs.", fields)


def raw_values(given: Mapping[str, Any]) -> dict[str, object]:
    """An input object, as the GraphQL library coerced it, as admission wants it: by field name."""
    return {_snake(name): _raw(value) for name, value in given.items()}


def _raw(value: Any) -> Any:
    if isinstance(value, list):
        return [_raw(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # whatever it holds
    return raw_values(cast("dict[str, Any]", value)) if isinstance(value, dict) else value


@cache
def _snake(name: str) -> str:
    """`contactPoints` -> `contact_points`."""
    return re.sub(r"(?=[A-Z])", "_", name).lower()


@cache
def _nested(struct: type[msgspec.Struct]) -> type[Any]:
    return _input(f"{struct.__name__}Input", described(struct.__doc__), _fields_of(struct))


def _fields_of(struct: type[msgspec.Struct]) -> dict[str, StrawberryField]:
    hints = get_type_hints(struct, include_extras=True)
    return {
        field.name: _field_of(hints[field.name], field)
        for field in msgspec.structs.fields(struct)
        if not marked(hints[field.name], Derived, Filled) and (field.name != "id" or not issubclass(struct, Command))
    }


def _field_of(hint: Any, field: msgspec.structs.FieldInfo) -> StrawberryField:
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    description = described(next((mark.text for mark in marks if isinstance(mark, Doc)), ""))
    of = _type_of(hint, marks)
    if field.required:
        return _field(of, description, UNSET if _nullable(hint) else msgspec.NODEFAULT)
    if _nullable(hint):
        # Left out and null are told apart later; a default of null would print as `= null` and blur that.
        return _field(of, description, UNSET)
    return _field(of, description, field.default if field.default is not msgspec.NODEFAULT else ())


def _nullable(hint: Any) -> bool:
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return NoneType in members(plain) or msgspec.UnsetType in members(plain)


def _type_of(hint: Any, marks: tuple[Any, ...]) -> Any:
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    (kind,) = (one for one in members(plain) if one not in (NoneType, msgspec.UnsetType))
    of = _type_of_plain(kind, marks)
    return of | None if _nullable(hint) else of


def _type_of_plain(kind: Any, marks: tuple[Any, ...]) -> Any:
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return list[_type_of(item, get_args(item)[1:] if get_origin(item) is Annotated else marks)]  # type: ignore[misc]
    if kind is str and any(isinstance(mark, Currency) for mark in marks):
        return CurrencyCode
    if issubclass(kind, Word):
        return enum_of(kind)
    if issubclass(kind, msgspec.Struct):
        return _nested(kind)
    return _PLAIN[kind]


def _field(of: Any, description: str, default: Any = msgspec.NODEFAULT) -> StrawberryField:
    options: dict[str, Any] = {}
    if isinstance(default, tuple):
        options = {"default_factory": list}
    elif default is not msgspec.NODEFAULT:
        options = {"default": default}
    field: StrawberryField = strawberry.field(description=description, **options)
    field.type = of
    return field


def _input(name: str, description: str, fields: Mapping[str, StrawberryField]) -> type[Any]:
    namespace: dict[str, Any] = {**fields, "__annotations__": {name: field.type for name, field in fields.items()}}
    made: type[Any] = strawberry.input(type(name, (), namespace), description=description)
    return made


_KEY = (
    "Makes a retry safe: the same key and input have one effect and give the first answer again, for 30 days."
    " Take a new random UUID for each new command."
)
_EXPECTED = "The version that you saw. If the record has another one by now, the command is refused."
_REASON = "Why, in your own words, at most 500 characters; it is kept with the event."
_NEEDED = f"{_REASON} Without one it is refused, as REASON_REQUIRED."
