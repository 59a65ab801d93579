"""What was asked for: a command without the ids that it was given for what it adds."""

from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from domain.kernel.admission import marked
from domain.kernel.fields import Derived

S = TypeVar("S", bound=msgspec.Struct)


def as_asked(made: S) -> S:
    """A command, or a struct in one, with every `Derived` id unset: what two attempts of one request have in common."""
    fields = _fields(type(made))
    values: dict[str, Any] = dict.fromkeys(fields.derived, UNSET)
    for name in fields.parts:
        part: msgspec.Struct | tuple[msgspec.Struct, ...] = getattr(made, name)
        values[name] = tuple([as_asked(one) for one in part]) if isinstance(part, tuple) else as_asked(part)
    return replace(made, **values) if values else made


class _Fields(NamedTuple):
    derived: tuple[str, ...]
    parts: tuple[str, ...]
    """What holds a struct that has such an id, or a list of them."""


@cache
def _fields(kind: type[msgspec.Struct]) -> _Fields:
    hints = get_type_hints(kind, include_extras=True)
    return _Fields(
        tuple(name for name, hint in hints.items() if marked(hint, Derived)),
        tuple(name for name, hint in hints.items() if (struct := _struct_in(hint)) and any(_fields(struct))),
    )


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """The struct that a field holds, or holds a list of."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    inner = get_args(plain)[0] if get_origin(plain) is tuple else plain
    return inner if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None
