"""What became of a record's fields, entry by entry: `differences` between two moments, and the `origin` of a value."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

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
    """As JSON has it; None also where there was no such element."""
    new: Any
    recorded: Recorded[Any]


def steps(model: Model, names: Names, history: Iterable[Recorded[Any]]) -> Iterator[Step]:
    """Every change of a field of one record. `history`: all of its entries, in their order."""
    fold = Fold(model)
    for recorded in history:
        for table, key, before, after in fold.follow(recorded):
            old, new = names.of(table, key, before), names.of(table, key, after)
            for field in {**old, **new}:
                if old.get(field) != new.get(field):
                    yield Step(field, old.get(field), new.get(field), recorded)


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


def reaches(moment: Moment, recorded: Recorded[Any]) -> bool:
    """Whether an entry stood in the book by then."""
    return recorded.recorded_at <= moment if isinstance(moment, datetime) else recorded.position <= moment
