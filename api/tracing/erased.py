"""What was erased, followed to the fields that it set: the values are gone, the entries that set them are not.

Which field an erased fact went into is found by posting its entry once more with something in its place: what is then
another change is what the fact decided.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from domain.catalogue import catalogue
from domain.customer.words import PERSONAL_DETAILS, Change
from domain.kernel import Event, Withheld, Word
from domain.kernel.admission import members
from domain.kernel.recorded import Recorded
from projections.model import Model, Posting


class Gone(NamedTuple):
    """In the place of a value that was erased. Those of two entries are two values: nobody knows better."""

    position: int
    """Of the entry that set it."""
    sure: bool
    """False: it may have left it as it was, for what may be empty was erased."""


class Marking:
    """Posts entries as a model does, with `Gone` wherever a value was erased."""

    def __init__(self, model: Model) -> None:
        self._post = model.post
        self.lists: dict[str, Gone] = {}
        """By table: in which lists the last entry added or removed elements that nobody can name any more."""

    def post(self, posting: Posting, recorded: Recorded[Any]) -> None:
        self._post(posting, recorded)
        self.lists = {}
        if not recorded.erased:
            return
        told = {(verb, table.name, key): (columns, {**columns}) for verb, table, key, columns in posting.changes}
        for field, something, sure in _SOMETHING[type(recorded.event)]:
            other, gone = Posting(), Gone(recorded.position, sure)
            event = msgspec.structs.replace(recorded.event, **{field: something})
            self._post(other, msgspec.structs.replace(recorded, event=event))
            for verb, table, key, columns in other.changes:
                if (verb, table.name, key) not in told:
                    self.lists[table.name] = gone
                    continue
                marked, before = told[verb, table.name, key]
                marked.update(
                    {name: gone for name, one in columns.items() if name not in before or before[name] != one}
                )


def is_gone(value: Any) -> bool:
    """Whether a value was erased, or a part of it."""
    match value:
        case Gone():
            return True
        case dict():
            return any(map(is_gone, cast("dict[str, Any]", value).values()))
        case list():
            return any(map(is_gone, cast("Iterable[Any]", value)))
        case _:
            return False


def left_of(value: Any) -> Any:
    """What is left of a value: null where it was erased."""
    match value:
        case Gone():
            return None
        case dict():
            return {name: left_of(one) for name, one in cast("dict[str, Any]", value).items()}
        case list():
            return [left_of(one) for one in cast("Iterable[Any]", value)]
        case _:
            return value


_TEXT = "2000-01-01"
"""A text that may stand for any text, a date included."""


def _something(hint: Any) -> Any:
    """A value that is not empty, of this type. Raises LookupError of a type that nobody explained here."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    kind = next(one for one in members(hint) if one not in (type(None), Withheld))
    if kind == dict[str, Change]:
        return {name: Change(old=None, new=_TEXT) for name in PERSONAL_DETAILS}
    if get_origin(kind) is tuple:
        return (_something(get_args(kind)[0]),)
    if kind in (str, bool, UUID):
        return {str: _TEXT, bool: True, UUID: UUID(int=0)}[kind]
    if issubclass(kind, Word):
        return next(iter(kind))
    if issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        return kind(**{name: _something(one) for name, one in hints.items()})
    raise LookupError(f"{kind} may be erased: say in api/tracing/erased.py what may stand for it")


def _facts(event: type[Event], personal: tuple[str, ...]) -> list[tuple[str, Any, bool]]:
    """The facts that may be erased, something in the place of each, and whether it surely set what it went into."""
    hints = get_type_hints(event, include_extras=True)
    found = list[tuple[str, Any, bool]]()
    for name in personal:
        something: Any = _something(hints[name])
        # Where there is an old value beside the new one, the event is about their being different.
        changes = name == "new" and "old" in hints
        may_be_empty = type(something) in (dict, tuple) or type(None) in members(get_args(hints[name])[0])
        found.append((name, something, changes or not may_be_empty))
    return found


_SOMETHING: Mapping[type[Event], list[tuple[str, Any, bool]]] = {
    shape.type: _facts(shape.type, shape.personal) for shape in catalogue.shapes.values()
}
