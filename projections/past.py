"""The past of the read models: beside each table stands another with the rows as they were before they changed or went.

A row is as it is from the position in its column `since` on. When an event changes or removes it, it is copied into
the past as it was, together with the position of that event. So at any position a record has one row at most, in one
of the two tables; all that is needed to know the past was computed from the book, as the present was.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from projections.model import Table

UNTIL = "until_position"
"""The column of the past that holds the position at which a row was not so any more."""

_UNIQUE = " UNIQUE"


def stored(table: Table) -> Table:
    """A table with all the columns that it has in the database."""
    if table.since in table.columns:
        return table
    return msgspec.structs.replace(table, columns={**table.columns, table.since: "bigint NOT NULL"})


def past_of(table: Table) -> Table:
    """The table of the former rows of one that does not only grow: found in the same ways."""
    columns = {**stored(table).columns, UNTIL: "bigint NOT NULL"}
    unique = [name for name, kind in columns.items() if kind.endswith(_UNIQUE)]
    return Table(
        name=f"{table.name}_past",
        columns={name: kind.removesuffix(_UNIQUE) for name, kind in columns.items()},
        key=(*table.key, table.since),
        indexes=(*table.indexes, *unique),
        hashes=table.hashes,
        gin=table.gin,
    )


def with_past(tables: Iterable[Table]) -> Iterator[Table]:
    """All tables that stand in the database for these."""
    for table in tables:
        yield stored(table)
        if not table.grows:
            yield past_of(table)


class Turn:
    """What a batch makes of one row: the last change that it leaves, and the rows that were there in between."""

    __slots__ = ("columns", "first", "former", "since", "verb")

    def __init__(self, verb: str, columns: dict[str, Any], position: int) -> None:
        self.verb, self.columns = verb, columns
        self.first = self.since = position
        """The positions of the first event that changed it, and of the last one."""
        self.former: list[tuple[str, dict[str, Any], int, int]] = []
        """Like `verb` and `columns`, after an event before the last: with its position, and that of the next."""

    def goes_on(self, verb: str, columns: dict[str, Any], position: int) -> None:
        """Another change. One of a row that was removed changes nothing, as it would one by one."""
        if verb == "change":
            if self.verb == "remove" or not columns:
                return
            # A new dict: the posting's own must stay as it is, in case the batch is posted again in parts.
            verb, columns = self.verb, {**self.columns, **columns}
        if position != self.since:
            self.former.append((self.verb, self.columns, self.since, position))
            self.since = position
        self.verb, self.columns = verb, columns
