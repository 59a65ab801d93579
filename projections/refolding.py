"""Folding entries again, in memory and one by one: what the rows of a record must be, from its entries alone.

It shares with the runner what an entry changes (`post` of the models) and nothing of how that reaches the tables: no
batch, no position, no folding of a batch's changes. So it sees where one of these went wrong.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from domain.kernel.recorded import Recorded
from projections.model import Key, Model, Posting, Table
from projections.past import UNTIL, UNTIL_OCCURRED, past_name
from projections.tables import Change

Row: TypeAlias = dict[str, Any]
"""Column -> value; a column that is not there is NULL."""


class Fold:
    """The rows of one record in one model, former ones included, as far as its entries were taken."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._rows: dict[str, dict[Key, Row]] = {table.name: {} for table in model.tables}
        self._since: dict[tuple[str, Key], Recorded[Any]] = {}
        """The entry from which on a row is as it is."""
        self._former: dict[str, list[Row]] = {table.name: [] for table in model.tables}

    def take(self, recorded: Recorded[Any]) -> None:
        """Its next entry. Raises whatever the model raises that can't post it; the rows are then as before."""
        for table, key, before, after in self.follow(recorded):
            if before is not None:
                until = {UNTIL: recorded.position, UNTIL_OCCURRED: recorded.occurred_at}
                self._former[table.name].append({**self._dated(table, key, before), **until})
            if after is not None:
                self._since[table.name, key] = recorded

    def follow(self, recorded: Recorded[Any]) -> list[tuple[Table, Key, Row | None, Row | None]]:
        """The same, telling the rows that it touches: each as it was before, and as it is then; None: not there."""
        posting = Posting()
        self._model.post(posting, recorded)
        touched = {
            (table.name, key): (table, key)
            for verb, table, key, columns in posting.changes
            if columns or verb != "change"
        }
        before = {at: self._rows[at[0]].get(at[1]) for at in touched}
        before = {at: None if row is None else {**row} for at, row in before.items()}
        apply(self._rows, posting.changes)
        return [(*touched[at], before[at], self._rows[at[0]].get(at[1])) for at in touched]

    def rows(self) -> Iterator[tuple[str, Sequence[Row]]]:
        """The names of all tables in which it has a part, with its rows there."""
        for table in self._model.tables:
            yield table.name, [self._dated(table, key, row) for key, row in self._rows[table.name].items()]
            if not table.grows:
                yield past_name(table), self._former[table.name]

    def _dated(self, table: Table, key: Key, row: Row) -> Row:
        """A row as it is stored: with the entry from which on it is so."""
        since = self._since[table.name, key]
        return {**row, table.since: since.position, table.since_occurred: since.occurred_at}


def apply(rows: Mapping[str, dict[Key, Row]], changes: Iterable[Change]) -> None:
    """Do to rows, by table and key, what the changes would do to those of the tables."""
    for verb, table, key, columns in changes:
        of = rows[table.name]
        if verb == "insert":
            of[key] = {**columns}
        elif verb == "remove":
            of.pop(key, None)
        elif key in of:
            of[key] |= columns
