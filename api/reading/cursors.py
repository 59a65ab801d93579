"""Cursors: a place in an ordered list, as the values that the list is ordered by. Opaque to clients."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Self

import msgspec

from api.errors import RequestError, RequestErrorCode
from projections.tables import sql_type


class Key(msgspec.Struct, frozen=True):
    """A value that a list is ordered by: a column, or what is made of it. NULL comes last, unless `nulls_first`."""

    column: str
    sql_type: str
    nullable: bool
    descending: bool = False
    nulls_first: bool = False
    template: str = '{row}."{column}"'

    @classmethod
    def of(cls, column: str, declared: str, *, descending: bool = False) -> Self:
        """The key of a column with this declaration."""
        return cls(column, sql_type(declared), "NOT NULL" not in declared, descending)

    def among(self, words: Sequence[str]) -> Self:
        """A column of words, in their order instead of the alphabet's; unchanged where there are no words."""
        if not words:
            return self
        template = f"array_position('{{{{{','.join(words)}}}}}'::text[], {self.template})"
        return msgspec.structs.replace(self, template=template, sql_type="integer")

    def where(self, present: str | None) -> Self:
        """The same, but NULL where the column `present` is; unchanged where it is the key's own, or none is given."""
        if present in (None, self.column):
            return self
        template = f'case when {{row}}."{present}" is not null then {self.template} end'
        return msgspec.structs.replace(self, template=template, nullable=True)

    def placed(self, nulls: str | None) -> Self:
        """With NULL `first` or `last`. Texts that are there to sort by are empty where there is none to sort."""
        if nulls is None:
            return self
        if self.sql_type == "text" and not self.nullable:
            template = f"nullif({self.template}, '')"
            return msgspec.structs.replace(self, template=template, nullable=True, nulls_first=nulls == "first")
        return msgspec.structs.replace(self, nulls_first=nulls == "first")

    def value(self, row: str) -> str:
        """SQL: the value that a row is ordered by."""
        return self.template.format(row=row, column=self.column)

    def __str__(self) -> str:
        direction = "desc" if self.descending else "asc"
        return f"{self.value('row')} {direction}{' nulls first' if self.nullable and self.nulls_first else ''}"


class Order:
    """The order of a list: keys of which the last ones are unique, so that every element has a place of its own."""

    def __init__(self, table: str, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        text = f"{table}: {', '.join(map(str, keys))}"
        self.hash = hashlib.sha256(text.encode()).hexdigest()[:8]

    def clause(self, alias: str, *, backward: bool = False) -> str:
        """What stands behind ORDER BY, qualified: `order by id` would mean a selected `id::text` of that name."""
        return ", ".join(
            f"{key.value(alias)} {'desc' if key.descending != backward else 'asc'}"
            + (f" nulls {'first' if backward != key.nulls_first else 'last'}" if key.nullable else "")
            for key in self.keys
        )

    def cursor(self, alias: str) -> str:
        """SQL: the cursor of a row."""
        values = "".join(f", ({key.value(alias)})::text" for key in self.keys)
        text = f"convert_to(json_build_array('{self.hash}'{values})::text, 'UTF8')"
        return f"translate(encode({text}, 'base64'), E'+/=\\n', '-_')"

    def beyond(self, alias: str, places: Sequence[str], *, backward: bool) -> str:
        """SQL: whether a row comes after the place, or before it where `backward`; one SQL value for each key."""
        alternatives: list[str] = []
        for at, key in enumerate(self.keys):
            equal = [
                f"{one.value(alias)} {'is not distinct from' if one.nullable else '='} {place}"
                for one, place in zip(self.keys[:at], places[:at], strict=True)
            ]
            alternatives.append(" and ".join([*equal, _beyond(alias, key, places[at], backward)]))
        first = self.keys[0]
        lexical = " or ".join(f"({each})" for each in alternatives)
        if first.nullable or len(self.keys) == 1:
            return f"({lexical})"
        # The same once more for the first key alone: an index can begin there.
        return f"({first.value(alias)} {_operator(first, backward)}= {places[0]} and ({lexical}))"

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
    column = key.value(alias)
    plain = f"{column} {_operator(key, backward)} {place}"
    if not key.nullable:
        return plain
    if backward != key.nulls_first:
        return f"({plain} or ({column} is not null and {place} is null))"
    return f"({plain} or ({column} is null and {place} is not null))"


def _operator(key: Key, backward: bool) -> str:
    return "<" if key.descending != backward else ">"


def _refused(message: str) -> RequestError:
    return RequestError(RequestErrorCode.BAD_USER_INPUT, message)
