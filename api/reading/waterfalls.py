"""Waterfalls in SQL: how a stock of rows became another between two moments, step by step.

Every entry leaves a row in another state. Each state is compared with the one before it, the first one with that of the
beginning; what differs says which steps the entry was. So the steps lead from the stock at the one moment to the stock
at the other, whatever came between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from graphql import FieldNode, GraphQLField

from api.reading.json_text import Json, computed
from api.reading.moments import by_occurrence
from api.reading.past import Between, Past
from api.reading.sources import Totals, Waterfall
from api.reading.statement import Cells, quoted
from api.reading.sums import totals

if TYPE_CHECKING:
    from api.reading.compiler import Compiler


def waterfall(compiler: Compiler, field: GraphQLField, source: Waterfall, nodes: Sequence[FieldNode]) -> Json:
    """The figures over all steps; null where the record that they are asked of is not seen."""
    statement = compiler.statement
    call = statement.call(field, nodes[0])
    of = statement.parameter(call, lambda given: source.of.read(given[source.of.name]), "text")
    occurred = by_occurrence(call.values)
    since, until = Past(*statement.moment(call, "from"), occurred), None
    if call.values.get("to") is not None:
        until = Past(*statement.moment(call, "to", ends=True), occurred)
    # How many rows there are between two moments is not known before they are.
    statement.planned_anew = True
    rows = _Steps(compiler, source, of).rows(since, until)
    found = totals(compiler, field, Totals(), nodes, "", rows)
    there = f'exists (select from {compiler.rows(source.record)} record where record."id" = {of})'
    return computed(f"case when {there} then {found.sql} else 'null' end")


class _Steps:
    """The rows that the figures are over: `step`, `amount`, `currency`, and `nth`, counted from a record's last."""

    def __init__(self, compiler: Compiler, source: Waterfall, of: str) -> None:
        self.compiler, self.source, self.of = compiler, source, of

    def rows(self, since: Past, until: Past | None) -> str:
        """SQL for FROM."""
        ends = [
            f"select '{name}' as step, amount, currency, 1 as nth from"
            f" {self.compiler.rows_from(None if at is None else at.rows, self.source.table)} one"
            f" where {self._in_stock(Cells('one', of=self.of))}"
            for name, at in (("opening", since), ("closing", until))
        ]
        steps = (
            "select step, amount, currency, row_number() over (partition by step, id order by version desc)"
            f" from ({' union all '.join(self._steps())}) step"
        )
        changed = f"with changed as materialized ({self._changed(since, until)})"
        return f"({changed} {' union all '.join([*ends, steps])})"

    def _changed(self, since: Past, until: Past | None) -> str:
        """SQL: the states of rows that are in stock, or were, with those before them, where these differ."""
        read = ", ".join(map(quoted, ("id", "version", "position", *self.source.compared)))
        states = " union all ".join(
            f"select {read}, {is_after} as is_after from {self.compiler.rows_from(rows, self.source.table)} one"
            for rows, is_after in ((since.rows, "false"), (Between(since, until).rows, "true"))
        )
        former = {column: f'"former_{column}"' for column in self.source.compared}
        before = ", ".join(f"lag({quoted(column)}) over before as {name}" for column, name in former.items())
        was, is_ = self._in_stock({**former, "of": self.of}), self._in_stock(Cells("state", of=self.of))
        now, then = ", ".join(map(quoted, former)), ", ".join(former.values())
        return (
            f'select *, {was} as was, {is_} as "is"{"".join(self._named())} from ('
            f"select *, {before}, lag(id) over before is null as began from ({states}) states"
            " window before as (partition by id order by version)) state"
            f" where is_after and ({was} or {is_}) and ({now}) is distinct from ({then})"
        )

    def _named(self) -> Iterator[str]:
        """SQL columns: what is read of other tables, as it stood at the entry."""
        at_the_entry = Past("state.position", "null", by_occurrence=False)
        for name, one in self.source.named.items():
            rows = f"{self.compiler.rows_from(at_the_entry.rows, one.table)} named"
            for which in ("", "former_"):
                value = f'(select named.{quoted(one.column)} from {rows} where named."id" = "{which}{one.by}")'
                yield f', case when "{one.by}" <> "former_{one.by}" then {value} end as "{which}{name}"'

    def _steps(self) -> Iterator[str]:
        cells = Cells("changed")
        for step in self.source.steps:
            amount, currency = step.amount.format_map(cells), step.currency.format_map(cells)
            yield (
                f"select '{step.name}' as step, id, version, {amount} as amount, {currency} as currency"
                f" from changed where {step.when.format_map(cells)}"
            )

    def _in_stock(self, cells: Mapping[str, str]) -> str:
        """SQL: whether a row is in stock; false also where there is none."""
        return f"coalesce({self.source.stock.format_map(cells)}, false)"
