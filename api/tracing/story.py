"""What became of a record's fields, entry by entry: `differences` between two moments, and the `origin` of a value."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec

from api.tracing.erased import Gone, Marking, is_gone, left_of
from api.tracing.naming import Names
from domain.kernel.recorded import Recorded
from projections.model import Model
from projections.refolding import Fold

Moment: TypeAlias = int | datetime
"""A position of the book, or a time: what was recorded at or before it."""


class Step(NamedTuple):
    """An entry gave a field another value."""

    field: str
    old: Any
    """As JSON has it; None also where there was no such element, `Gone` where it was erased."""
    new: Any
    recorded: Recorded[Any]

    @property
    def sure(self) -> bool:
        """Whether the entry set it: it may have left it as it was where what it set was erased."""
        return _is_sure(self.old, self.new)

    @property
    def erased(self) -> tuple[bool, bool]:
        """Whether the old value, or a part of it, was erased, and whether the new one was."""
        return is_gone(self.old), is_gone(self.new)

    @property
    def left(self) -> tuple[Any, Any]:
        """What is left of the old value and of the new one, as JSON has it."""
        return left_of(self.old), left_of(self.new)


def steps(model: Model, names: Names, history: Iterable[Recorded[Any]]) -> Iterator[Step]:
    """Every change of a field of one record. `history`: all of its entries, in their order."""
    marking = Marking(model)
    fold = Fold(msgspec.structs.replace(model, post=marking.post))
    lists = dict[str, Gone]()
    for recorded in history:
        gone = dict[str, Gone]()
        for table, key, before, after in fold.follow(recorded):
            old, new = names.of(table, key, before), names.of(table, key, after)
            for field in {**old, **new}:
                if old.get(field) != new.get(field):
                    yield Step(field, old.get(field), new.get(field), recorded)
            field = names.list_of(table.name)
            if before is None and after is None and field in lists:
                gone[field] = Gone(recorded.position, sure=True)  # of an element that was erased with its adding
        for name, mark in marking.lists.items():
            if field := names.list_of(name):
                gone[field] = mark
        for field, mark in gone.items():
            yield Step(field, lists.get(field), mark, recorded)
        lists |= gone


def differences(told: Iterable[Step], since: Moment, until: Moment | None = None) -> list[Step]:
    """The fields whose values at the two moments differ, each with the last entry between them that changed it."""
    found: dict[str, Step] = {}
    for step in told:
        if not reaches(since, step.recorded) and (until is None or reaches(until, step.recorded)):
            old = found[step.field].old if step.field in found else step.old
            found[step.field] = step._replace(old=old)
    return [step for step in found.values() if step.old != step.new]


def origin(told: Iterable[Step], field: str, until: Moment | None = None) -> Step | None:
    """The step that gave a field the value that it has at a moment, or now; None where none ever did."""
    return max(
        (step for step in told if step.field == field and (until is None or reaches(until, step.recorded))),
        key=lambda step: step.recorded.position,
        default=None,
    )


def _is_sure(old: Any, new: Any) -> bool:
    match new:
        case Gone():
            return new.sure
        case dict():
            parts = cast("dict[str, Any]", new)
            former = cast("dict[str, Any]", old) if isinstance(old, dict) else {}
            return any(_is_sure(None, one) for name, one in parts.items() if one != former.get(name))
        case _:
            return True


def reaches(moment: Moment, recorded: Recorded[Any]) -> bool:
    """Whether an entry stood in the book by then."""
    return recorded.recorded_at <= moment if isinstance(moment, datetime) else recorded.position <= moment
