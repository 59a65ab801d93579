"""A past moment in SQL: the rows as they were then, in the place of today's."""

from typing import NamedTuple

from projections.model import Table
from projections.past import UNTIL, UNTIL_OCCURRED, past_of
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
        columns = ", ".join(f'"{column}"' for column in table.columns)
        if self.by_occurrence:
            at, since, until, never = self.time, table.since_occurred, UNTIL_OCCURRED, "timestamptz 'infinity'"
        else:
            at, since, until, never = self.position, table.since, UNTIL, f"{2**63 - 1}::bigint"
        if table.grows:
            return f'(select {columns} from {READ}."{table.name}" where "{since}" <= {at})'
        # Conditions stand outside, so that the planner takes the two for one table, with the indexes of both.
        of_all_times = (
            f'select {columns}, "{since}" as since_, {never} as until_ from {READ}."{table.name}" union all'
            f' select {columns}, "{since}", "{until}" from {READ}."{past_of(table).name}"'
        )
        return f"(select {columns} from ({of_all_times}) of_all_times where until_ > {at} and since_ <= {at})"
