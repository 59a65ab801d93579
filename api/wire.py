"""JSON as it comes in, over HTTP and WebSocket alike."""

import json
from decimal import Decimal
from typing import Any, NoReturn


class NotJson(ValueError):
    """The text is not JSON in UTF-8, or is nested beyond all reason."""


def read_json(text: str | bytes) -> Any:
    """The value. Numbers with decimals become Decimal: amounts must not pass through floats. Raises NotJson."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise NotJson from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
