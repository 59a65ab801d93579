"""Texts in NFC, letters composed with their accents; and what is refused before that, for it would take too long."""

import unicodedata
from typing import Final

from domain.kernel.fields import TextHasTooManyMarks, TextTooLong
from domain.kernel.rules import Path, Rule, refuse

MOST_MARKS: Final = 30
"""Combining marks in a row: the limit of Unicode's Stream-Safe Text Format (UAX #15), far beyond any language."""
MOST_APART: Final = 4
"""Characters that one letter may be written with before it is composed."""

BECOME_MARKS: Final = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
"""They are none themselves; taken apart, they are."""


def fault_of(text: str, longest: int, path: Path = ()) -> Rule | None:
    """Why a text is not even normalised; None where it may be. `longest`: of what it is or is compared with.

    Normalising sorts marks in a row by insertion, in time that grows by the square of how many there are, and nothing
    else runs meanwhile. This is for texts that come in; an entry may hold what was let in before.
    """
    if len(text) > longest * MOST_APART:
        return TextTooLong(path=path, length=len(text), longest=longest)
    if len(text) > MOST_MARKS and not text.isascii() and _has_more(text, MOST_MARKS):
        return TextHasTooManyMarks(path=path, most=MOST_MARKS)
    return None


def composed(text: str, longest: int, path: Path = ()) -> str:
    """The text in NFC. Raises Refused where `fault_of` finds fault with it."""
    if (fault := fault_of(text, longest, path)) is not None:
        refuse(fault)
    return unicodedata.normalize("NFC", text)


def _has_more(text: str, most: int) -> bool:
    """Whether more marks than this stand in a row."""
    marks = {letter for letter in set(text) if unicodedata.combining(letter) or letter in BECOME_MARKS}
    row = 0
    for letter in text if marks else "":
        row = row + 1 if letter in marks else 0
        if row > most:
            return True
    return False
