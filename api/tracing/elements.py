"""Fields as people name them: an element by its text as a screen shows it, and a list as a whole."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from api.tracing.erased import Gone
from api.tracing.naming import Names, NotNamed
from api.tracing.story import Moment, Step, origin, reaches

_OF_ELEMENT = re.compile(r"(\w+)\[(.*)\](?:\.(\w+))?", re.DOTALL)
_MOST_NAMED = 20


def why(told: Sequence[Step], names: Names, field: str, until: Moment | None = None) -> Step | None:
    """The step that gave a field, or a list as a whole, the value that it has at a moment, or now; None where none did.

    `told`: what is seen of the record's steps, in their order. Raises NotNamed.
    """
    field = names.checked(field)
    found = _OF_ELEMENT.fullmatch(field)
    if found is None:
        return _of_list(told, names, field, until) if names.is_list(field) else origin(told, field, until)
    of, element, part = found.groups()
    there = _element(told, of, element)
    if there is None:
        return _of_list(told, names, of, until)  # what its elements were called was erased
    return origin(told, f"{of}[{there}]" + (f".{part}" if part else ""), until)


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


def _of_list(told: Iterable[Step], names: Names, of: str, until: Moment | None) -> Step | None:
    """The last step of any of the list's elements, with all of the list before and after its entry."""
    mine = [step for step in told if _is_of(step, of) and (until is None or reaches(until, step.recorded))]
    if not mine:
        return None
    last = mine[-1].recorded
    before = [step for step in mine if step.recorded.position < last.position]
    sure = any(step.sure for step in mine if step.recorded.position == last.position)
    gone = Gone(last.position, sure)
    return Step(of, _whole(before, names, of, gone), _whole(mine, names, of, gone), last)


def _whole(steps: Iterable[Step], names: Names, of: str, gone: Gone) -> Any:
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
