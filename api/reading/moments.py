"""Moments: what a past query names, and what it becomes: a position of the book, and the time then."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from api.errors import RequestError, RequestErrorCode
from api.reading.inputs import Given, input_of
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


class Then(NamedTuple):
    """A moment, found in the book."""

    position: int
    """Of the last entry that counts."""
    time: datetime | None
    """The one that was asked for; None: the entry's own."""


FindMoment: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Then]]
"""Finds what a Moment of the input names, once the read models have reached it. Raises RequestError."""


def named(at: Mapping[str, Any]) -> int | datetime:
    """The position or the time that a Moment of the input names. Raises RequestError where it is none, or both."""
    time: datetime | None = at.get("time")
    position: str | None = at.get("position")
    if time is not None and position is None:
        return time
    if position is not None and time is None:
        return int(position)
    raise RequestError(RequestErrorCode.BAD_USER_INPUT, "`at` needs `time` or `position`, one of them.")
