"""How numbers and days are written, by a client and in a file. Python reads more than a person would mean."""

import re
from datetime import date
from decimal import Decimal, InvalidOperation

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def number_written(text: str) -> Decimal | None:
    """The number that a text such as `1250.00` is, with all its decimals; None where it is none, as 1_000 and NaN."""
    try:
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:  # its exponent is beyond all numbers
        return None


def day_written(text: str) -> date | None:
    """The day that a text such as `2026-03-31` is; None where it is none, as 20260331 and 2026-W14-2."""
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None
