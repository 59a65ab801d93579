"""Fields as people name them: an element by its text as a screen shows it, or as a whole, a list, a value's part."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from api.tracing.erased import Gone
from api.tracing.naming import Names, NotNamed
from api.tracing.story import Moment, Step, origin, reaches
from domain.kernel.recorded import Recorded

_NAMED = re.compile(r"(\w+)(?:\[(.*)\])?((?:\.\w+)*)", re.DOTALL)
"""A field or a list; one of its elements; and what is meant of that."""
_MOST_NAMED = 20


def why(told: Sequence[Step], names: Names, field: str, until: Moment | None = None) -> Step | None:
    """The step that gave a field, a part of its value, or an element or a list as a whole, the value that it has at a
    moment, or now; None where none did.

    `told`: what is seen of the record's steps, in their order. Raises NotNamed.
    """
    field = names.checked(field)
    found = _NAMED.fullmatch(field)
    assert found is not None  # noqa: S101  # it is one of the names
    of, element, path = found.groups()
    if element is None:
        if names.is_list(field):
            return _of_list(told, names, of, until)
        return origin(_of_field(told, field), field, until)
    there = _element(told, of, element)
    if there is None:
        return _of_list(told, names, of, until)  # what its elements were called was erased
    named = f"{of}[{there}]{path}"
    if not path and names.has_fields(of):
        return _of_element(told, names, of, there, until)
    return origin(_of_field(told, named), named, until)


def _of_field(told: Iterable[Step], field: str) -> Iterator[Step]:
    """The steps of a field; of a part, those of its value that changed it."""
    for step in told:
        if step.field == field:
            yield step
        elif field.startswith(f"{step.field}."):
            part = field.removeprefix(f"{step.field}.")
            changed = Step(field, _part(step.old, part), _part(step.new, part), step.recorded)
            if changed.old != changed.new:
                yield changed


def _part(value: Any, part: str) -> Any:
    """A part of a value; of one that was erased, erased."""
    match value:
        case Gone():
            return value
        case dict():
            return cast("dict[str, Any]", value).get(part)
        case _:
            return None


def _element(told: Iterable[Step], of: str, given: str) -> str | None:
    """The element that is meant, as steps name it: letter for letter, or else without case, as the domain tells them
    apart. None where it may be one whose name was erased. Raises NotNamed.
    """
    mine = [step.field for step in told if _is_of(step, of)]
    elements = list(dict.fromkeys(_named(field) for field in mine if field != of))
    given = unicodedata.normalize("NFC", given).strip()
    if given in elements:
        return given
    same = [one for one in elements if one.casefold() == given.casefold()] or [
        one for one in elements if one.casefold().startswith(f"{given.casefold()}/")
    ]
    if len(same) == 1:
        return same[0]
    if not same and of in mine:
        return None
    known = ", ".join(f"`{of}[{one}]`" for one in (same or elements)[:_MOST_NAMED])
    if len(same or elements) > _MOST_NAMED:
        known += ", …"
    if same:
        raise NotNamed(f"Several elements of `{of}` begin so: {known}.")
    raise NotNamed(f"No entry ever put such an element into `{of}`. It has had {known or 'none'}.")


def _of_element(told: Iterable[Step], names: Names, of: str, element: str, until: Moment | None) -> Step | None:
    """The last step of any of an element's fields, with all of the element before and after its entry; None where it
    was not there yet, or is no more.
    """
    mine = [step for step in told if step.field != of and _named(step.field) == element and _is_of(step, of)]
    last, before, after = _last(mine, until)
    if last is None:
        return None
    [old] = _whole(before, names, of) or [None]
    [new] = _whole(after, names, of) or [None]
    return Step(f"{of}[{element}]", old, new, last)


def _of_list(told: Iterable[Step], names: Names, of: str, until: Moment | None) -> Step | None:
    """The last step of any of the list's elements, with all of the list before and after its entry."""
    last, before, after = _last([step for step in told if _is_of(step, of)], until)
    if last is None:
        return None
    sure = any(step.sure for step in after if step.recorded.position == last.position)
    gone = Gone(last.position, sure)
    return Step(of, _whole(before, names, of, gone), _whole(after, names, of, gone), last)


def _last(mine: Iterable[Step], until: Moment | None) -> tuple[Recorded[Any] | None, list[Step], list[Step]]:
    """The last entry by then, the steps before it, and those with it."""
    after = [step for step in mine if until is None or reaches(until, step.recorded)]
    last = after[-1].recorded if after else None
    before = [step for step in after if last is not None and step.recorded.position < last.position]
    return last, before, after


def _whole(steps: Iterable[Step], names: Names, of: str, gone: Gone | None = None) -> Any:
    """The list as it is after these steps; None where it is empty, erased where some of its elements can't be named."""
    elements = dict[str, dict[str, Any]]()
    for step in steps:
        if step.field == of:
            return gone
        element, _, part = step.field.removeprefix(f"{of}[").rpartition("]")
        parts = elements.setdefault(element, {})
        parts[part.removeprefix(".")] = step.new
        if all(value is None for value in parts.values()):
            del elements[element]
    return names.in_order(of, elements) or None


def _is_of(step: Step, of: str) -> bool:
    return step.field == of or step.field.startswith(f"{of}[")


def _named(field: str) -> str:
    return field.partition("[")[2].rpartition("]")[0]
