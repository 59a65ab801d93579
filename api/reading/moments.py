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


class Asked(NamedTuple):
    """A moment, as a field's arguments name it."""

    argument: str
    """Which of them does."""
    given: Mapping[str, Any]
    """Its value."""
    by_occurrence: bool


FindMoment: TypeAlias = Callable[[Asked], Awaitable[Then]]
"""Finds a moment, once the read models have reached it. Raises RequestError."""


def named(asked: Asked) -> int | datetime:
    """The position or the time that is asked about. Raises RequestError where it is none, or both, or a position where
    only a time makes sense.
    """
    time: datetime | None = asked.given.get("time")
    position: str | None = asked.given.get("position")
    if position is not None and asked.by_occurrence:
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT,
            f"`{asked.argument}` names a position, but things occur at a time: give `time`, or leave out `basis`.",
        )
    if time is not None and position is None:
        return time
    if position is not None and time is None:
        return int(position)
    raise RequestError(RequestErrorCode.BAD_USER_INPUT, f"`{asked.argument}` needs `time` or `position`, one of them.")


def in_order(first: Then, last: Then) -> None:
    """Raises RequestError where the moment `from` lies behind the moment `to`."""
    if first.position > last.position or (first.time and last.time and first.time > last.time):
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT, "`from` lies behind `to`: give the earlier moment as `from`."
        )


def in_future(argument: str, time: datetime) -> RequestError:
    """What is answered where the time that an argument names has not passed yet."""
    return RequestError(
        RequestErrorCode.BAD_USER_INPUT,
        f"`{argument}` lies in the future: {time.isoformat()}. Name a time that has passed; of now, nothing has to be"
        " named.",
    )


def moment_of(argument: str, at: Mapping[str, Any], reached: int) -> int | datetime:
    """The position or the time that an argument of this name gives, where the read models stand at `reached`.

    Raises RequestError where it is none, or both, or a position that is not reached yet.
    """
    moment = named(Asked(argument, at, by_occurrence=False))
    if isinstance(moment, int) and moment > reached:
        raise RequestError(
            RequestErrorCode.POSITION_UNKNOWN,
            f"The read models stand at position {reached}: {moment} is not there, or not yet.",
        )
    return moment


def by_occurrence(given: Mapping[str, Any]) -> bool:
    """Whether a field's arguments ask for what was true then, and not for what was known."""
    return bool(given["basis"] is Basis.OCCURRED)
