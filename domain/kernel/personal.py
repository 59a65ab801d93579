"""Personal data in events: which fields are sealed, and what stands in their place when they are not opened."""

from enum import IntEnum
from typing import Annotated, TypeAlias, TypeVar

T = TypeVar("T")


class Withheld(IntEnum):
    """What a personal field holds when its value is not there."""

    SEALED = 0
    """Read without opening: the value exists, this fold did not need it."""
    ERASED = 1
    """The key that sealed it was destroyed: the value is gone for ever."""


class PersonalMark:
    """Marks an event's field as personal: its value is stored sealed under the subject's key."""


PERSONAL = PersonalMark()
Personal: TypeAlias = Annotated[T | Withheld, PERSONAL]
"""`Personal[str]`: a str that is sealed in the store. T never decodes from a JSON integer: that means `Withheld`."""


def opened(value: T | Withheld) -> T | None:
    """The value, or None where it is sealed or erased."""
    return None if isinstance(value, Withheld) else value
