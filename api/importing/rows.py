"""The rows of a CSV file, and what each of them asks for according to the mapping."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from unicodedata import normalize
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from api.importing.layout import NotReadable
from api.importing.mapping import MappingError, RowMapping, Step
from api.importing.values import Fault, Row, faults, filled
from domain.kernel.composing import fault_of

Derive: TypeAlias = Callable[[bytes], UUID]
"""Makes an id of some content, always the same. Keyed: a plain hash would let anybody test guesses at erased data."""


_INSTANT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
"""A day, or a day and a time with or without its offset; Python reads weeks and days without hyphens too."""


class Asked(NamedTuple):
    """One command that a row asks for; Lookups in `raw` are still to be found, and Faults stand against it."""

    verb: str
    raw: dict[str, Any]
    occurred_at: datetime | None
    content: UUID | None = None
    """Of what adds something each time that it is done: what it says of which record, whatever else the row says. None:
    to do it once more changes nothing."""


class Entry(NamedTuple):
    """A row as the import enters it."""

    number: int
    """Of the row in the file; the first one below the header is 1."""
    cells: tuple[str, ...]
    """As they stand in the file."""
    external_id: str
    asked: tuple[Asked, ...]
    fingerprint: UUID
    """Of all that the row asks for: rows of equal content have equal ones."""
    spellings: tuple[UUID, ...]
    """The fingerprints of the same content with its accents written in another way."""
    faults: tuple[str, ...]
    """What can't be used in its cells; where there is any, the row is not entered."""


class Rejected(NamedTuple):
    """A row that could not be entered, and why."""

    number: int
    cells: tuple[str, ...]
    reasons: tuple[str, ...]


class Table:
    """A CSV file opened for import: its header, how many rows it has, and the rows."""

    def __init__(self, file: Path, mapping: RowMapping, source: str, derive: Derive) -> None:
        """Reads the file once, to know that it can be read to its end. Raises MappingError."""
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise MappingError(
                f"The file {file} is a pipe or a device: it is read twice, so save what comes in a file."
            )
        self.mapping = mapping
        self.imported = f"{source} by {mapping.name}"
        """Which import of the file this is: one with another source or mapping is another one."""
        self._file, self._source, self._derive = file, source, derive
        rows = self._rows()
        self.header = tuple(map(_column, next(rows, list[str]())))
        self.length = sum(1 for _ in rows)
        self._check_header()
        self._is_read = tuple(name in mapping.columns for name in self.header)

    def entries(self) -> Iterator[Entry | Rejected]:
        """The rows in their order."""
        rows = self._rows()
        next(rows, None)
        for number, cells in enumerate(rows, 1):
            yield self._entry(number, tuple(cells))

    def _entry(self, number: int, cells: tuple[str, ...]) -> Entry | Rejected:
        if len(cells) != len(self.header):
            why = f"the row has {len(cells)} cells, and the header has {len(self.header)}"
            return Rejected(number, cells, (why,))
        read = tuple(cell if is_read else "" for cell, is_read in zip(cells, self._is_read, strict=True))
        if overloaded := tuple(self._overloaded(read)):
            return Rejected(number, cells, overloaded)
        found: list[str] = []
        external_id, asked = self._read(tuple(map(_composed, read)), found)
        # Of a row that comes decomposed the fingerprint is that of its own letters, as it has always been.
        own, *others = dict.fromkeys(map(self._fingerprint, (read, *_spelled(read))))
        return Entry(number, cells, external_id, asked, own, tuple(others), tuple(found))

    def _overloaded(self, cells: tuple[str, ...]) -> Iterator[str]:
        """What stands against cells that would take too long to be composed; their length is for commands to judge."""
        for column, cell in zip(self.header, cells, strict=True):
            if (fault := fault_of(cell, len(cell))) is not None:
                yield f"column {column}: {fault.message}"

    def _fingerprint(self, cells: tuple[str, ...]) -> UUID:
        external_id, asked = self._read(cells, [])
        return self._content(external_id, [(one.verb, one.raw, one.occurred_at) for one in asked])

    def _content(self, *said: object) -> UUID:
        return self._derive(msgspec.json.encode([self._source, self.mapping.decider.kind, *said]))

    def _read(self, cells: tuple[str, ...], found: list[str]) -> tuple[str, tuple[Asked, ...]]:
        """External id and commands of a row; what can't be used is added to what was found."""
        row = self._corrected(cells)
        named = [row[column] for column in self.mapping.external_id]
        found += [
            f"column {column}: the external id is empty" for column in self.mapping.external_id if not row[column]
        ]
        external_id = " / ".join(named) if all(named) else ""
        return external_id, tuple(self._asked(external_id, row, found))

    def _corrected(self, cells: tuple[str, ...]) -> dict[str, str]:
        row = {column: cell.strip() for column, cell in zip(self.header, cells, strict=True)}
        for column, corrections in self.mapping.corrections.items():
            row[column] = corrections.get(row[column], row[column])
        return row

    def _asked(self, external_id: str, row: Row, found: list[str]) -> Iterator[Asked]:
        """The commands; what can't be used is added to what was found."""
        latest: tuple[date, str | None] = (date.min, None)
        for at, step in enumerate(self.mapping.steps):
            if at and not _applies(step, row):
                continue
            raw = filled(step.fields, row)
            at_that_time = _midnight(row, step.occurred_at, self.mapping.time_zone)
            found.extend((*faults(raw), *faults(at_that_time)))
            occurred_at = None if isinstance(at_that_time, Fault) else at_that_time
            if occurred_at is not None:
                day = (occurred_at.astimezone(self.mapping.time_zone).date(), step.occurred_at)
                if day[0] < latest[0]:
                    found.append(f"column {day[1]}: this day lies before the one in column {latest[1]}")
                latest = max(latest, day, key=lambda one: one[0])
            content = self._content(external_id, step.verb, raw) if at and step.adds else None
            yield Asked(step.verb, raw, occurred_at, content)

    def _rows(self) -> Iterator[list[str]]:
        try:
            yield from self.mapping.layout.rows(self._file)
        except NotReadable as error:
            raise MappingError(f"{error}.") from None

    def _check_header(self) -> None:
        if not self.header:
            raise MappingError(f"The file {self._file} is empty; its first line must name the columns.")
        twice = sorted(name for name in self.mapping.columns if self.header.count(name) > 1)
        if twice:
            raise MappingError(f"The file {self._file} has several columns called {', '.join(twice)}.")
        missing = sorted(self.mapping.columns - set(self.header))
        if missing:
            raise MappingError(
                f"The mapping names {', '.join(missing)}, but the columns of {self._file} are {', '.join(self.header)}."
            )


def _column(name: str) -> str:
    """A column's name as mappings have it; one that would take too long to be composed stands in no mapping."""
    return (name if fault_of(name, len(name)) else _composed(name)).strip()


def _composed(text: str) -> str:
    """As the book has texts, and mappings are read; some systems write letters and their accents apart."""
    return normalize("NFC", text)


def _spelled(cells: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The same cells with letters and accents together, and apart."""
    if not all(map(str.isascii, cells)):
        yield tuple(map(_composed, cells))
        yield tuple(normalize("NFD", cell) for cell in cells)


def _applies(step: Step, row: Mapping[str, str]) -> bool:
    """Whether a step is meant for this row, and the row has something to say in it."""
    if not all(row[column] in wanted for column, wanted in step.when.items()):
        return False
    columns = {column for value in step.fields.values() for column in value.columns}
    return not columns or any(row[column] for column in columns)


def _midnight(row: Row, column: str | None, zone: ZoneInfo) -> datetime | Fault | None:
    """The instant at which the day in this cell began in the mapping's time zone; an instant stays as it is."""
    if column is None or row[column] == "":
        return None
    with suppress(ValueError, OverflowError):  # the first day of the year 1 begins in the year 0 of UTC
        if _INSTANT.fullmatch(row[column]):
            instant = datetime.fromisoformat(row[column])
            return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    return Fault(f"column {column}: this is no date such as 2026-03-31")
