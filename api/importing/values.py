"""Where a field's value comes from: a column, a constant, a text made of columns, a record found by its name."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from string import Formatter
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import msgspec

from domain.kernel.written import number_written

Row: TypeAlias = Mapping[str, str]
"""A row's cells by column, trimmed and corrected; an empty cell is an empty text."""

_PARSE = Formatter().parse

FOUND_BY_ID = ("customer", "opportunity", "ticket", "product", "staff_member", "team")
FOUND_BY_NAME = ("pipeline", "queue", "stage", "line")


class BadValue(Exception):
    """What stands in a mapping or a cell can't be used; the message says why, without a full stop."""


class Lookup(NamedTuple):
    """A record still to be found: its kind and what it is called."""

    kind: str
    name: str
    source: str | None
    """The other system that gives the name, where that is not the import's own."""
    of: str | None
    """The pipeline that a stage belongs to."""


class Fault(msgspec.Struct, frozen=True):
    """What a cell can't be used for, in the place of its value; without a full stop."""

    why: str


class Value(Protocol):
    """The source of a field's value."""

    @property
    def columns(self) -> frozenset[str]: ...

    def of(self, row: Row) -> object:
        """The value for a row: plain data with Lookups and Faults in it; None where the row says nothing."""
        ...


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cell of a column; or, with `constant`, the same for every row."""

    column: str | None = None
    constant: Any = None
    values: dict[str, str] = {}
    times: Decimal | None = None
    date: str | None = None
    find: str | None = None
    source: str | None = None
    of_pipeline: str | None = msgspec.field(default=None, name="of")

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(() if self.column is None else (self.column,))

    def of(self, row: Row) -> object:
        if self.column is None:
            return self.constant if self.find is None else self._lookup(str(self.constant))
        cell = row[self.column]
        cell = self.values.get(cell, cell)
        if cell == "":
            return None
        if self.find is not None:
            return self._lookup(cell)
        if self.date is not None:
            return self._day(cell)
        return cell if self.times is None else self._product(cell, self.times)

    def _lookup(self, name: str) -> Lookup:
        return Lookup(str(self.find), name, self.source, self.of_pipeline)

    def _day(self, cell: str) -> str | Fault:
        try:
            if not any(letter.isdecimal() and not letter.isascii() for letter in cell):
                return datetime.strptime(cell, str(self.date)).date().isoformat()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            pass
        return Fault(f"column {self.column}: this is no date as {self.date} writes them")

    def _product(self, cell: str, times: Decimal) -> str | Fault:
        number = number_written(cell)
        if number is None:
            return Fault(f"column {self.column}: this is no number")
        try:
            return f"{number * times:f}"
        except ArithmeticError:
            return Fault(f"column {self.column}: this number is too large")


class Composed(msgspec.Struct, frozen=True):
    """Texts with {column} in them: the first one whose columns are all filled."""

    texts: tuple[tuple[tuple[str, str | None], ...], ...]
    """Each text as pieces: literal text, and the column that follows it."""

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(column for pieces in self.texts for _, column in pieces if column is not None)

    def of(self, row: Row) -> object:
        for pieces in self.texts:
            if all(column is None or row[column] for _, column in pieces):
                return "".join(literal + (row[column] if column else "") for literal, column in pieces)
        return None


class Part(msgspec.Struct, frozen=True):
    """A part with fields of its own, such as a line; left out where the row fills none of its columns."""

    fields: dict[str, Any]

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(name for value in self.fields.values() for name in value.columns)

    def of(self, row: Row) -> object:
        if self.columns and not any(row[column] for column in self.columns):
            return None
        return filled(self.fields, row)


class Several(msgspec.Struct, frozen=True):
    """A list; what the row says nothing of is left out of it."""

    items: tuple[Any, ...]

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(name for value in self.items for name in value.columns)

    def of(self, row: Row) -> object:
        found = [value for item in self.items if (value := item.of(row)) is not None]
        return found or None


def filled(fields: Mapping[str, Value], row: Row) -> dict[str, object]:
    """The fields that the row says something of."""
    return {name: value for name, source in fields.items() if (value := source.of(row)) is not None}


def faults(value: object) -> Iterator[str]:
    """What can't be used in a value, in its order."""
    match value:
        case Fault():
            yield value.why
        case dict():
            for one in cast("dict[str, object]", value).values():
                yield from faults(one)
        case list():
            for one in cast("list[object]", value):
                yield from faults(one)
        case _:
            pass


def parse_value(raw: object, at: str) -> Value:
    """The source that a mapping names for a field. Raises BadValue, naming the place `at`."""
    if isinstance(raw, str):
        return Cell(column=raw)
    if isinstance(raw, list):
        return Several(tuple(parse_value(one, f"{at}[{n}]") for n, one in enumerate(cast("list[object]", raw))))
    if not isinstance(raw, dict):
        raise BadValue(f"{at}: name a column, or write {{ constant = {raw} }}")
    table = cast("dict[str, Any]", raw)
    if "text" in table:
        return _composed(table, at)
    if "column" in table or "constant" in table:
        return _cell(table, at)
    return Part({name: parse_value(one, f"{at}.{name}") for name, one in table.items()})


def _composed(table: Mapping[str, Any], at: str) -> Composed:
    texts = cast("list[object]", table["text"] if isinstance(table["text"], list) else [table["text"]])
    given = [text for text in texts if isinstance(text, str)]
    if set(table) != {"text"} or len(given) != len(texts):
        raise BadValue(f"{at}: text takes a text with {{column}} in it, or a list of such texts, and nothing beside it")
    try:
        return Composed(tuple(tuple((literal, column) for literal, column, _, _ in _PARSE(text)) for text in given))
    except ValueError as error:
        raise BadValue(f"{at}: {error}") from None


def _cell(table: Mapping[str, Any], at: str) -> Cell:
    try:
        cell = msgspec.convert(table, Cell)
    except msgspec.ValidationError as error:
        raise BadValue(f"{at}: {error}") from None
    if (cell.column is None) == (cell.constant is None):
        raise BadValue(f"{at}: give either a column or a constant")
    if cell.find is not None and cell.find not in FOUND_BY_ID + FOUND_BY_NAME:
        raise BadValue(f"{at}: find takes one of {', '.join(FOUND_BY_ID + FOUND_BY_NAME)}")
    if (cell.find == "stage") != (cell.of_pipeline is not None):
        raise BadValue(f'{at}: a stage is found with of = "the pipeline\'s name", and nothing else is')
    if cell.times is not None and not cell.times.is_finite():
        raise BadValue(f"{at}: times takes a number")
    if cell.date is not None and not _writes_days(cell.date):
        raise BadValue(f"{at}: date takes a format of whole days such as %d.%m.%Y, and {cell.date!r} is none")
    return cell


def _writes_days(form: str) -> bool:
    """Whether a day comes back from what the format makes of it."""
    some_day, a_year_before = datetime(2024, 11, 23, tzinfo=UTC), datetime(2023, 11, 23, tzinfo=UTC)
    try:
        written = some_day.strftime(form)
        if written == a_year_before.strftime(form):
            return False
        return datetime.strptime(written, form).date() == some_day.date()  # noqa: DTZ007 - as above
    except (ValueError, re.error):
        return False
