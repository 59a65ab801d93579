"""Operators on one value in SQL: each client's value is a parameter, read from where it stands in the arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from api.errors import RequestError, RequestErrorCode
from api.reading.statement import Arguments, Call
from api.reading.texts import composed
from domain.kernel import NAME, PROSE
from projections.sorting import folded

if TYPE_CHECKING:
    from api.reading.statement import Statement
    from api.reading.wheres import Path, Where

Fold: TypeAlias = Callable[[str], str]

_COMPARED = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_LAST_LETTER = "\U0010ffff"


class Compared(msgspec.Struct, frozen=True):
    """A value of a row that conditions are about."""

    sql: str
    cast: str
    """The SQL type that it is compared in."""
    fold: Fold | None = None
    """What was done to the text in `sql`, and is done to what it is compared with."""
    key: str | None = None
    """SQL: the `sort_key` of the text, where the row has it."""


class Comparisons:
    """Operators as SQL, on values whose conditions stand in the arguments of one call."""

    def __init__(self, statement: Statement, call: Call) -> None:
        self._statement, self._call = statement, call

    def value(self, value: Compared, given: Where, path: Path) -> str:
        """SQL: whether a value meets all operators given."""
        return conjunction([self._operator(value, name, each, (*path, name)) for name, each in given.items()])

    def money(self, amount: str, currency: str, given: Where, path: Path) -> str:
        """SQL: whether an amount meets all operators given. Amounts are compared within one currency."""
        found: list[str] = []
        for operator, each in given.items():
            at = (*path, operator)
            match operator:
                case "currency":
                    present = f"(case when {amount} is not null then {currency} end)"
                    found.append(self.value(Compared(present, "text"), each, at))
                case "isNull":
                    found.append(f"{amount} is {'null' if each else 'not null'}")
                case _:
                    wanted = self._parameter((*at, "amount"), "numeric")
                    same = self._parameter((*at, "currency"), "text")
                    found.append(f"({currency} = {same} and {amount} {_COMPARED[operator]} {wanted})")
        return conjunction(found)

    def _operator(self, value: Compared, operator: str, given: Any, path: Path) -> str:
        sql, fold = value.sql, value.fold
        match operator:
            case "isNull":
                return f"{sql} is {'null' if given else 'not null'}"
            case "in":
                return f"{sql} = any({self._parameter(path, f'{value.cast}[]', fold)})"
            case "notIn":
                return f"({sql} = any({self._parameter(path, f'{value.cast}[]', fold)})) is not true"
            case "ne":
                return f"{sql} is distinct from {self._parameter(path, value.cast, fold)}"
            case "contains" | "startsWith" if value.key:
                # Folding takes by far the longest, and there may be many conditions.
                return f"({self._search(value.key, folded, operator, path, NAME.longest)} and {sql} is not null)"
            case "contains" | "startsWith" if fold:
                return self._search(sql, fold, operator, path)
            case "contains" | "startsWith":
                # In "C" it is the same on every server: it knows the letters A to Z.
                return self._search_lower(f'lower({sql} collate "C")', operator, path)
            case _:
                return f"{sql} {_COMPARED[operator]} {self._parameter(path, value.cast, fold)}"

    def _search(self, sql: str, fold: Fold, operator: str, path: Path, longest: int = PROSE.longest) -> str:
        wanted = self._parameter(path, "text", fold, longest)
        if operator == "contains":
            return f"strpos({sql}, {wanted}) > 0"
        # Two borders in the order of bytes, for an index; starts_with() would have to know the text while planning.
        beyond = self._parameter(path, "text", lambda text: fold(text) + _LAST_LETTER, longest)
        return f"({sql} >= {wanted} and {sql} < {beyond})"

    def _search_lower(self, sql: str, operator: str, path: Path) -> str:
        wanted = f'lower({self._parameter(path, "text")} collate "C")'
        return f"strpos({sql}, {wanted}) > 0" if operator == "contains" else f"starts_with({sql}, {wanted})"

    def _parameter(self, path: Path, of: str, fold: Fold | None = None, longest: int = PROSE.longest) -> str:
        checked = _CHECKED.get(of.removesuffix("[]"))
        read = partial(checked, ".".join(map(str, path))) if checked else fold or str
        return self._statement.parameter(self._call, partial(_operand, path, read, longest), of)


def conjunction(conditions: Sequence[str]) -> str:
    """SQL: whether all of them are true."""
    return f"({' and '.join(conditions)})" if conditions else "true"


def _operand(path: Path, fold: Fold, longest: int, given: Arguments) -> str | list[str]:
    value: Any = given
    for step in path:
        value = value[step]
    where = ".".join(map(str, path))
    if isinstance(value, list):
        return [fold(_text(each, f"{where}.{at}", longest)) for at, each in enumerate(cast("list[object]", value))]
    return fold(_text(value, where, longest))


def _uuid(where: str, text: str) -> str:
    if not _UUID.fullmatch(text):
        raise _refused(where, "is no id of a request or an event: one looks like 0190163d-8694-739b-aea5-966c26f8ad91")
    return text


def _number(where: str, text: str) -> str:
    size = Decimal(text).adjusted()
    if not (-_MOST_DIGITS <= size <= _MOST_DIGITS and len(text) <= _MOST_DIGITS):
        raise _refused(where, f"has more than {_MOST_DIGITS:,} digits")
    return text


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_MOST_DIGITS = 1_000
"""Of a number to compare with. PostgreSQL takes more, but has to end somewhere too."""
_CHECKED: Mapping[str, Callable[[str, str], str]] = {"uuid": _uuid, "numeric": _number}
"""By SQL type: what a text must be to be one, where its GraphQL scalar does not see to that."""


def _refused(where: str, why: str) -> RequestError:
    return RequestError(RequestErrorCode.BAD_USER_INPUT, f"`{where}` {why}.")


def _text(value: object, where: str, longest: int) -> str:
    """A value as PostgreSQL reads it, in NFC as every text of the book; an enum's is the word that the tables hold."""
    return composed(str(getattr(value, "value", value)), where, longest)
