"""JSON as it comes in, over HTTP and WebSocket alike."""

import json
from decimal import Decimal
from typing import Any, NoReturn


class NotJson(ValueError):
    """The text is not JSON in UTF-8, or is nested beyond all reason."""


class Number(Decimal):
    """A number that was written with decimals: amounts must not pass through floats."""

    def __inspect__(self) -> str:
        """As the library's messages show it."""
        return str(self)


def read_json(text: str | bytes) -> Any:
    """The value. Raises NotJson, for an object too that has a key twice: readers on the way may take another value."""
    try:
        text = (text.decode() if isinstance(text, bytes) else text).strip(_SPACE)
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        raise NotJson from None
    if end < len(text):
        raise NotJson
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


_SPACE = " \t\n\r"
_DECODER = json.JSONDecoder(parse_float=Number, parse_constant=_no_number, object_pairs_hook=_object)
"""Made once: `json.loads` would make one for every text, and look for space with regular expressions."""
