"""What became of the rows of a file."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from glob import escape
from itertools import chain, count, islice
from pathlib import Path
from typing import TypeAlias

import msgspec

from api.importing.layout import NotReadable
from api.importing.mapping import MappingError
from api.importing.rows import Rejected, Table
from infra.private_files import PrivateFileError, replace

Progress: TypeAlias = Callable[[int], None]
"""Told how many more rows are done."""

REMARKS = ("row", "reasons", "import")
"""The columns behind a rejected row: its number, what stands against it, and the import that it was rejected by."""


class Outcome(Enum):
    """What became of a row."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    """The book had all that it says."""
    REPEATED = "repeated"
    """It says the same as a row above it."""
    ERASED = "erased"
    """It was entered before, and the person erased since: it is left out."""
    REJECTED = "rejected"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows came to what. `rejected_file`: where the rejected ones stand; None where there are none."""

    rows: int
    created: int
    changed: int
    unchanged: int
    repeated: int
    erased: int
    rejected: int
    rejected_file: str | None
    seconds: float


class Tally:
    """Counts the rows as they are done, and keeps the rejected ones."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._counts = progress, Counter[Outcome]()
        self._rejected: list[Rejected] = []

    def count(self, outcome: Outcome) -> None:
        self._counts[outcome] += 1
        self._progress(1)

    def reject(self, row: Rejected) -> None:
        self._rejected.append(row)
        self.count(Outcome.REJECTED)

    def summary(self, table: Table, rejected_file: Path, seconds: float) -> Summary:
        """What there is to say; writes the rejected rows, or removes the file that this import has left before.

        `rejected_file`: where they stand, or beside it, where the rows that another import has rejected stand there.
        Raises MappingError where it can't.
        """
        try:
            rejected_file = _place(table, rejected_file)
            if self._rejected:
                replace(rejected_file, _written(table, sorted(self._rejected)))
            else:
                rejected_file.unlink(missing_ok=True)
        except (PrivateFileError, OSError) as error:
            why = f"{rejected_file} is in the way: {error.strerror}." if isinstance(error, OSError) else str(error)
            then = "Put the file where there is room beside it, and import it again."
            raise MappingError(f"The rejected rows have no file. {why} {then}") from None
        return Summary(
            rows=self._counts.total(),
            created=self._counts[Outcome.CREATED],
            changed=self._counts[Outcome.CHANGED],
            unchanged=self._counts[Outcome.UNCHANGED],
            repeated=self._counts[Outcome.REPEATED],
            erased=self._counts[Outcome.ERASED],
            rejected=self._counts[Outcome.REJECTED],
            rejected_file=str(rejected_file) if self._rejected else None,
            seconds=round(seconds, 3),
        )


def _place(table: Table, file: Path) -> Path:
    """The file that this import of the rows has written before, or else the first place that is free."""
    beside = sorted(file.parent.glob(f"{escape(file.stem)}-[0-9]*{file.suffix}"))
    own = (one for one in (file, *beside) if one.is_file() and _is_of(table, one))
    free = (one for one in chain([file], (file.with_stem(f"{file.stem}-{n}") for n in count(2))) if not one.is_file())
    return next(chain(own, free))


def _is_of(table: Table, file: Path) -> bool:
    """Whether rows stand in a file that an import with the same mapping and source has rejected."""
    try:
        header, first = islice(table.mapping.layout.rows(file), 2)
    except (NotReadable, ValueError):
        return False
    return (header[-1], first[-1]) == (REMARKS[-1], table.mapping.layout.spelled(table.imported))


def _written(table: Table, rejected: Sequence[Rejected]) -> bytes:
    """The rows as they stood, so that they can be corrected and imported, with the remarks behind."""
    width = len(table.header)
    # A file of rejected rows that comes back has remarks behind its rows already.
    remarked = table.header[-len(REMARKS) :] == REMARKS and not table.mapping.columns.intersection(REMARKS)
    own = table.header[: -len(REMARKS)] if remarked else table.header

    def lines() -> Iterator[Sequence[object]]:
        yield [*own, *(_free(remark, own) for remark in REMARKS)]
        for row in rejected:
            # Too many cells stay too many: which of them is one too many is for a person to say.
            cells = row.cells[: -len(REMARKS)] if remarked and len(row.cells) >= width else row.cells
            yield [*cells, *[""] * (len(own) - len(cells)), row.number, "; ".join(row.reasons), table.imported]

    return table.mapping.layout.written(lines())


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"rejected {name}"
    return name
