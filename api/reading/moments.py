"""Moments: what a past query names, and what it becomes: a position of the book, and the time then.

There are two clocks. By what was recorded, a moment is what we knew then: the entries up to a position. By what
occurred it is what was true then, as we know it today: of each record, the entries that say of themselves that they
occurred by that time, whenever they were entered.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from api.errors import RequestError, RequestErrorCode
from api.reading.inputs import Given, choice_of, input_of
from api.scalars import Position

Moment = input_of(
    "Moment",
    "A moment of the book: a time or a position, one of them.",
    {
        "time": Given(
            datetime | None,
            "What was recorded at this time or before it. It does not lie in the future.",
        ),
        "position": Given(
            Position | None,
            "What was recorded up to this position, its entry included; `0` is before the first entry.",
        ),
    },
)

_RECORDED = (
    "By when it was entered: what we knew then. The same moment is answered the same for ever, but for what was erased."
)
_OCCURRED = (
    "By when it happened: what was true then, as we know it today. What is entered later, for a day that lies back,"
    " changes the answer. `at` names a time."
)
Basis = choice_of(
    "Basis",
    "Which of its two times an entry counts by.",
    {"RECORDED": ("recorded", _RECORDED), "OCCURRED": ("occurred", _OCCURRED)},
)
"""Decides which columns a past moment is compared with."""


class Then(NamedTuple):
    """A moment, found in the book."""

    position: int
    """Of the last entry that counts."""
    time: datetime | None
    """The one that was asked for; None: the entry's own."""


FindMoment: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Then]]
"""Finds what the arguments of `asOf` name, once the read models have reached it. Raises RequestError."""


def named(given: Mapping[str, Any]) -> int | datetime:
    """The position or the time that the arguments of `asOf` name. Raises RequestError where it is none, or both, or a
    position where only a time makes sense.
    """
    time: datetime | None = given["at"].get("time")
    position: str | None = given["at"].get("position")
    if position is not None and by_occurrence(given):
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT,
            "`at` names a position, but things occur at a time: give `time`, or leave out `basis`.",
        )
    if time is not None and position is None:
        return time
    if position is not None and time is None:
        return int(position)
    raise RequestError(RequestErrorCode.BAD_USER_INPUT, "`at` needs `time` or `position`, one of them.")


def moment_of(argument: str, at: Mapping[str, Any], reached: int) -> int | datetime:
    """The position or the time that an argument of this name gives, where the read models stand at `reached`.

    Raises RequestError where it is none, or both, or a position that is not reached yet.
    """
    time: datetime | None = at.get("time")
    position: str | None = at.get("position")
    if time is not None and position is None:
        return time
    if position is None or time is not None:
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, f"`{argument}` needs `time` or `position`, one of them.")
    if int(position) > reached:
        raise RequestError(
            RequestErrorCode.POSITION_UNKNOWN,
            f"The read models stand at position {reached}: {position} is not there, or not yet.",
        )
    return int(position)


def by_occurrence(given: Mapping[str, Any]) -> bool:
    """Whether the arguments of `asOf` ask for what was true then, and not for what was known."""
    return bool(given["basis"] is Basis.OCCURRED)
