"""Cursors: a place in an ordered list, as the values that the list is ordered by. Opaque to clients."""

import base64
import binascii
import hashlib
from collections.abc import Sequence

import msgspec

from api.errors import RequestError, RequestErrorCode


class Key(msgspec.Struct, frozen=True):
    """A column that a list is ordered by. NULL comes last, either way."""

    column: str
    sql_type: str
    nullable: bool
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.column} {'desc' if self.descending else 'asc'}"


class Order:
    """The order of a list: keys of which the last ones are unique, so that every element has a place of its own."""

    def __init__(self, table: str, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        text = f"{table}: {', '.join(map(str, keys))}"
        self.hash = hashlib.sha256(text.encode()).hexdigest()[:8]

    def clause(self, alias: str, *, backward: bool = False) -> str:
        """What stands behind ORDER BY, qualified: `order by id` would mean a selected `id::text` of that name."""
        return ", ".join(
            f'{alias}."{key.column}" {"desc" if key.descending != backward else "asc"}'
            + (f" nulls {'first' if backward else 'last'}" if key.nullable else "")
            for key in self.keys
        )

    def cursor(self, alias: str) -> str:
        """SQL: the cursor of a row."""
        values = "".join(f', {alias}."{key.column}"::text' for key in self.keys)
        text = f"convert_to(json_build_array('{self.hash}'{values})::text, 'UTF8')"
        return f"translate(encode({text}, 'base64'), E'+/=\\n', '-_')"

    def beyond(self, alias: str, places: Sequence[str], *, backward: bool) -> str:
        """SQL: whether a row comes after the place, or before it where `backward`; one SQL value for each key."""
        alternatives: list[str] = []
        for at, key in enumerate(self.keys):
            equal = [
                f'{alias}."{one.column}" {"is not distinct from" if one.nullable else "="} {place}'
                for one, place in zip(self.keys[:at], places[:at], strict=True)
            ]
            alternatives.append(" and ".join([*equal, _beyond(alias, key, places[at], backward)]))
        first = self.keys[0]
        lexical = " or ".join(f"({each})" for each in alternatives)
        if first.nullable or len(self.keys) == 1:
            return f"({lexical})"
        # The same once more for the first key alone: an index can begin there.
        return f'({alias}."{first.column}" {_operator(first, backward)}= {places[0]} and ({lexical}))'

    def read(self, cursor: str) -> list[str | None]:
        """The values in a cursor. Raises RequestError where it is none, or belongs to another order."""
        try:
            text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            made_for, *values = msgspec.json.decode(text, type=list[str | None])
        except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, ValueError):
            raise _refused("This is no cursor; take one from `pageInfo` or from an edge.") from None
        if made_for != self.hash or len(values) != len(self.keys):
            raise _refused("This cursor belongs to another list or another order; begin again without it.")
        return values


def _beyond(alias: str, key: Key, place: str, backward: bool) -> str:
    column = f'{alias}."{key.column}"'
    plain = f"{column} {_operator(key, backward)} {place}"
    if not key.nullable:
        return plain
    if backward:
        return f"({plain} or ({column} is not null and {place} is null))"
    return f"({plain} or ({column} is null and {place} is not null))"


def _operator(key: Key, backward: bool) -> str:
    return "<" if key.descending != backward else ">"


def _refused(message: str) -> RequestError:
    return RequestError(RequestErrorCode.BAD_USER_INPUT, message)
