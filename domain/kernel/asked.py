"""What was asked for: a command without what Daybook itself has put into it."""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from domain.kernel.admission import marked, members
from domain.kernel.fields import Derived, Filled

S = TypeVar("S", bound=msgspec.Struct)


def as_asked(made: S) -> S:
    """A command, or a struct in one, with every `Derived` and `Filled` field unset: what two attempts of one request
    have in common, whatever ids they got and however a telephone number was read.
    """
    fields = _fields(type(made))
    values: dict[str, Any] = dict.fromkeys(fields.ours, UNSET)
    for name in fields.nested:
        values[name] = _value_as_asked(getattr(made, name))
    return replace(made, **values) if values else made


def _value_as_asked(value: object) -> object:
    if isinstance(value, tuple):
        return tuple([_value_as_asked(one) for one in cast("tuple[object, ...]", value)])
    return as_asked(value) if isinstance(value, msgspec.Struct) else value


class _Fields(NamedTuple):
    ours: tuple[str, ...]
    nested: tuple[str, ...]
    """What may hold structs that have such fields."""


@cache
def _fields(kind: type[msgspec.Struct]) -> _Fields:
    hints = get_type_hints(kind, include_extras=True)
    return _Fields(
        tuple(name for name, hint in hints.items() if marked(hint, Derived, Filled)),
        tuple(name for name, hint in hints.items() if any(any(_fields(one)) for one in _structs_in(hint))),
    )


def _structs_in(hint: Any) -> Iterator[type[msgspec.Struct]]:
    for one in members(get_args(hint)[0] if get_origin(hint) is Annotated else hint):
        if get_origin(one) is tuple:
            yield from _structs_in(get_args(one)[0])
        elif isinstance(one, type) and issubclass(one, msgspec.Struct):
            yield one
