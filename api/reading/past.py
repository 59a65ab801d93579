"""The past in SQL: the rows as they were at a moment, in the place of today's, and as they became between two."""

from typing import NamedTuple

from projections.model import Table
from projections.past import UNTIL, UNTIL_OCCURRED, past_name
from projections.tables import READ
from projections.timeline import TIMELINE

REFLECTED = "(select min(position) from daybook_projections.models)"
"""SQL: the position that every read model has reached. In the statement it is that of the statement's own snapshot."""


class Past(NamedTuple):
    """A past moment, as SQL."""

    position: str
    time: str
    """NULL where it names none."""
    by_occurrence: bool

    @property
    def at(self) -> str:
        """What is compared with since when, and until when, a row was so."""
        return self.time if self.by_occurrence else self.position

    def since(self, table: Table) -> str:
        """The column that says since when a row is so."""
        return table.since_occurred if self.by_occurrence else table.since

    @property
    def now(self) -> str:
        """The time of the moment, where it names none that of its last entry."""
        rows = f'{READ}."{TIMELINE.name}" where position <= {self.position} order by position desc limit 1'
        return f"coalesce({self.time}, (select recorded_at from {rows}))"

    @property
    def reflected(self) -> str:
        """The position up to which everything is known."""
        return REFLECTED if self.by_occurrence else self.position

    def rows(self, table: Table) -> str:
        """The rows as they were: those that are so still, and those that have changed or gone since."""
        columns, at, since = _columns(table), self.at, self.since(table)
        if table.grows:
            return f'(select {columns} from {READ}."{table.name}" where "{since}" <= {at})'
        until, never = (
            (UNTIL_OCCURRED, "timestamptz 'infinity'") if self.by_occurrence else (UNTIL, f"{2**63 - 1}::bigint")
        )
        # Conditions stand outside, so that the planner takes the two for one table, with the indexes of both.
        of_all_times = (
            f'select {columns}, "{since}" as since_, {never} as until_ from {READ}."{table.name}" union all'
            f' select {columns}, "{since}", "{until}" from {READ}."{past_name(table)}"'
        )
        return f"(select {columns} from ({of_all_times}) of_all_times where until_ > {at} and since_ <= {at})"


class Between(NamedTuple):
    """The time from after one moment until another, by the same clock."""

    since: Past
    until: Past | None
    """None: until now."""

    def rows(self, table: Table) -> str:
        """What rows became by the entries between the two, of a table that has a past: a row for each entry."""
        columns, since = _columns(table), self.since.since(table)
        of_all_times = " union all ".join(
            f'select {columns}, "{since}" as since_ from {READ}."{name}"' for name in (table.name, past_name(table))
        )
        ends = "" if self.until is None else f" and since_ <= {self.until.at}"
        return f"(select {columns} from ({of_all_times}) of_all_times where since_ > {self.since.at}{ends})"


def _columns(table: Table) -> str:
    return ", ".join(f'"{column}"' for column in table.columns)
