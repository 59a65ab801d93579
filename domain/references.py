"""References: which other aggregates a command names, read off its fields' `Id` marks."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, TypeAlias, get_args, get_origin, get_type_hints

import msgspec

from domain.kernel import Command, Id, Path, Reference
from domain.kernel.admission import members

Walk: TypeAlias = Callable[[Any, Path], Iterator[Reference]]


def references(command: Command) -> Iterator[Reference]:
    """The aggregates that the command names, with the path of each name."""
    walk = _of_struct(type(command))
    return walk(command, ()) if walk else iter(())


@cache
def _of_struct(kind: type[msgspec.Struct]) -> Walk | None:
    hints = get_type_hints(kind, include_extras=True)
    walks = [(name, walk) for name, hint in hints.items() if (walk := _of(hint))]

    def walk_fields(struct: Any, path: Path) -> Iterator[Reference]:
        for name, walk in walks:
            value = getattr(struct, name)
            if value is not None and value is not msgspec.UNSET:
                yield from walk(value, (*path, name))

    return walk_fields if walks else None


def _of(hint: Any) -> Walk | None:
    marks: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        marks = tuple(rest)
    for mark in marks:
        if isinstance(mark, Id):
            return _of_each(mark.kind) if get_origin(hint) is tuple else _of_id(mark.kind)
    for one in members(hint):
        if get_origin(one) is tuple and (item := _of(get_args(one)[0])):
            return _of_items(item)
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            return _of_struct(one)
    return None


def _of_id(kind: str) -> Walk:
    return lambda value, path: iter((Reference(kind, value, path),))


def _of_each(kind: str) -> Walk:
    return _of_items(_of_id(kind))


def _of_items(item: Walk) -> Walk:
    def walk_items(values: Any, path: Path) -> Iterator[Reference]:
        for at, value in enumerate(values):
            yield from item(value, (*path, at))

    return walk_items
