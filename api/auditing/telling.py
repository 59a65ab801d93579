"""The story in a bundle: told from what is stored and nothing else, so that a verifier can tell it again.

Other records stand in it by their ids: what they are called is theirs. docs/auditor/bundle.md specifies every letter.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from domain.encoding import REASON
from domain.kernel import Withheld
from infra.entries import StoredEntry

_UNSEEN = re.compile("[\x00-\x20\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
"""What moves the cursor or turns the direction of writing; it and spaces become one space."""


_UNTOLD = "not told, for the Daybook that made this file can't read it"


class Told(NamedTuple):
    """An entry, and what is told of it."""

    entry: StoredEntry
    meaning: str | None
    """None where the entry can't be read: nothing is told then of what it says."""
    public: Mapping[str, Any]
    personal: Mapping[str, Any] | Withheld | None


def told(one: Told) -> str:
    """An entry in a few lines."""
    return "\n".join(_lines(one))


def _lines(one: Told) -> Iterator[str]:
    entry = one.entry
    meaning = _UNTOLD if one.meaning is None else _clean(one.meaning)
    yield f"{entry.originator_version}. {_time(entry.occurred_at)}, {_clean(entry.topic)}: {meaning}"
    behalf = "" if entry.on_behalf_of is None else f" for {_clean(entry.on_behalf_of)}"
    yield f"   by {_clean(entry.actor)}{behalf}, recorded {_time(entry.recorded_at)} as entry {entry.position}"
    yield from _fields(one.public)
    if isinstance(one.personal, Withheld):
        yield f"   its personal part is {one.personal.name.lower()}"
    elif one.personal is not None:
        yield from _fields(one.personal)


def _fields(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if said := _said(value):
            yield f"   {'reason' if name == REASON else _name(name)}: {said}"


def _said(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return _clean(value)
        case dict():
            named = cast("dict[str, object]", value)
            if named.keys() == {"old", "new"}:
                return f"{_said(named['old']) or 'nothing'} → {_said(named['new']) or 'nothing'}"
            said = ((_name(name), _said(one)) for name, one in named.items())
            return ", ".join(f"{name}: {one}" for name, one in said if one)
        case list():
            return " | ".join(filter(None, map(_said, cast("Iterable[object]", value))))
        case _:
            return json.dumps(value)


def _name(name: str) -> str:
    return _clean(name.replace("_", " "))


def _clean(text: str) -> str:
    return _UNSEEN.sub(" ", text).strip(" ")


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None, microsecond=0)} UTC"  # `%Y` has four digits not everywhere
