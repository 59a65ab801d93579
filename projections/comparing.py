"""Comparing the rows of records with those that they must have, in the database, as its types have both."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from psycopg.sql import SQL, Composed, Identifier, Literal

from projections.model import Table
from projections.statements import recordset
from projections.tables import READ, Db, sql_type


class Difference(NamedTuple):
    """Rows of one record that are not what they must be. Their values stay where they are."""

    record: str
    fault: str
    """missing: a row that must be there; extra: one that nothing made; differs."""
    many: int
    columns: list[str]
    """Those that differ."""


class Comparison:
    """How the rows of one table are compared: its statement is made once, for it is asked again and again."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._text = _text(table).as_bytes(None)

    def differences(
        self, db: Db, records: Collection[str], expected: Iterable[Mapping[str, Any]]
    ) -> Iterator[Difference]:
        """Where the rows of these records differ from those expected, which are all of theirs."""
        rows = msgspec.json.encode(list(expected)).decode()
        for found in db.execute(self._text, (rows, [*records]), prepare=True):
            yield Difference(*found)


def _text(table: Table) -> Composed:
    found, must = Identifier("old"), Identifier("new")
    same = SQL(" AND ").join(SQL("old.{0} = new.{0}").format(Identifier(name)) for name in {*table.key, table.of})
    rest = [name for name in table.columns if name not in {*table.key, table.of}]
    differing = SQL(", ").join(
        SQL("CASE WHEN {} IS DISTINCT FROM {} THEN {} END").format(
            _as_text(table, found, name), _as_text(table, must, name), Literal(name)
        )
        for name in rest
    )
    return SQL(_COMPARE).format(
        of=Identifier(table.of),
        key=Identifier(table.key[0]),
        expected=recordset(table, table.columns),
        table=Identifier(READ, table.name),
        same=same,
        differing=differing,
    )


def _as_text(table: Table, side: Identifier, column: str) -> Composed:
    """Texts show what equality hides, such as decimals that were lost; and plain JSON has no equality."""
    through = SQL("::jsonb") if sql_type(table.columns[column]) == "json" else SQL("")
    return SQL("{}.{}{}::text").format(side, Identifier(column), through)


_COMPARE = """
    WITH new AS (SELECT * FROM {expected}),
        old AS (SELECT * FROM {table} WHERE {of} = ANY (%s)),
        both_sides AS (
            SELECT coalesce(new.{of}, old.{of}) AS record, old.{key} IS NULL AS missing, new.{key} IS NULL AS extra,
                array_remove(ARRAY[{differing}]::text[], NULL) AS columns
            FROM old FULL JOIN new ON {same}
        )
    SELECT record, CASE WHEN missing THEN 'missing' WHEN extra THEN 'extra' ELSE 'differs' END, count(*)::int,
        CASE WHEN missing OR extra THEN '{{}}' ELSE columns END
    FROM both_sides WHERE missing OR extra OR columns <> '{{}}' GROUP BY 1, 2, 4 ORDER BY 1, 2, 4
"""
