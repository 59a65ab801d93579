"""The past of the read models: beside each table stands another with the rows as they were before they changed or went.

A row is as it is from the position in its column `since` on. When an event changes or removes it, it is copied into
the past as it was, together with the position of that event. So at any position a record has one row at most, in one
of the two tables; all that is needed to know the past was computed from the book, as the present was.

Beside each position stands when that event occurred. A row is changed by the entries of one record only, whose times
never decrease with their positions: what holds of positions holds of these times too.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from projections.model import Table

UNTIL, UNTIL_OCCURRED = "until_position", "until_occurred_at"
"""The columns of the past that hold the entry at which a row was not so any more: its position, when it occurred."""

_UNIQUE = " UNIQUE"


def stored(table: Table) -> Table:
    """A table with all the columns that it has in the database."""
    wanted = {table.since: "bigint NOT NULL", table.since_occurred: "timestamptz NOT NULL"}
    added = {name: kind for name, kind in wanted.items() if name not in table.columns}
    return msgspec.structs.replace(table, columns={**table.columns, **added})


def past_name(table: Table) -> str:
    """What the table of its former rows is called."""
    return f"{table.name}_past"


def past_of(table: Table) -> Table:
    """The table of the former rows of one that does not only grow: found in the same ways."""
    columns = {**stored(table).columns, UNTIL: "bigint NOT NULL", UNTIL_OCCURRED: "timestamptz NOT NULL"}
    unique = [name for name, kind in columns.items() if kind.endswith(_UNIQUE)]
    # By these, not all that a few rows ever were is read and put into order, but what they were at a moment.
    few = [f"{column}, {UNTIL}" for column in table.few]
    listed = [index for index in table.indexes if index.partition(",")[0] not in table.few]
    return Table(
        name=past_name(table),
        columns={name: kind.removesuffix(_UNIQUE) for name, kind in columns.items()},
        key=(*table.key, table.since),
        of=table.of,
        indexes=(*few, *listed, *unique),
        hashes=table.hashes,
        gin=table.gin,
    )


def with_past(tables: Iterable[Table]) -> Iterator[Table]:
    """All tables that stand in the database for these."""
    for table in tables:
        yield stored(table)
        if not table.grows:
            yield past_of(table)


class At(msgspec.Struct, frozen=True):
    """An entry of the book, as rows know it."""

    position: int
    occurred_at: datetime


class Turn:
    """What a batch makes of one row: the last change that it leaves, and the rows that were there in between."""

    __slots__ = ("columns", "first", "former", "is_new", "since", "verb")

    def __init__(self, verb: str, columns: dict[str, Any], at: At) -> None:
        self.verb, self.columns = verb, columns
        self.first = self.since = at
        """The first event that changed it, and the last one."""
        self.is_new = verb == "insert"
        """There was no such row before."""
        self.former: list[tuple[str, dict[str, Any], At, At]] = []
        """Like `verb` and `columns`, after an event before the last; with that event, and the next."""

    def goes_on(self, verb: str, columns: dict[str, Any], at: At) -> None:
        """Another change. One of a row that was removed changes nothing, as it would one by one."""
        if verb == "change":
            if self.verb == "remove" or not columns:
                return
            # A new dict: the posting's own must stay as it is, in case the batch is posted again in parts.
            verb, columns = self.verb, {**self.columns, **columns}
        if at.position != self.since.position:
            self.former.append((self.verb, self.columns, self.since, at))
            self.since = at
        self.verb, self.columns = verb, columns
