"""The SQL that changes many rows of one table at once, and keeps what they were in its past."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from psycopg.sql import SQL, Composable, Identifier, Placeholder

from projections.model import Table
from projections.past import UNTIL, UNTIL_OCCURRED, past_name, past_of, stored
from projections.tables import declared, sql_type

PATCH = "*patch"
"""Beside a row's key: the columns in which it differs from the one in the table. No column is called so."""


class Text(NamedTuple):
    """The SQL of a statement with one parameter, its rows."""

    query: bytes
    beforehand: bytes = b""
    """What stands in its WITH, if it has one; named by its number, so that those of several may stand in one."""
    clears: bool = False
    """Rows that a statement after it may write anew: the two can't be one."""

    @property
    def whole(self) -> bytes:
        return b"WITH %b %b" % (self.beforehand, self.query) if self.beforehand else self.query


def text_of(schema: str, table: Table, verb: str, given: Sequence[str], number: int) -> Text:
    """What does this with rows of a table. `given`: the columns that a change sets. `number`: of no other text beside
    which it may stand.
    """
    if verb == "keep and change":
        return _keep_and_change(schema, table, given, number)
    return Text(_query(schema, table, verb, given).as_bytes(None), clears=verb in clearing(table))


def clearing(table: Table) -> tuple[str, ...]:
    """The verbs that clear a record's rows."""
    return ("clear",) if table.grows else ("clear", "clear the past")


def _query(schema: str, table: Table, verb: str, given: Sequence[str]) -> Composable:
    match verb:
        case "insert":
            return _insert(Identifier(schema, table.name), stored(table))
        case "replace":
            return _replace(Identifier(schema, table.name), stored(table))
        case "change":
            return _change(Identifier(schema, table.name), table, given, _changed(table, given))
        case "remove":
            return SQL("DELETE FROM {} AS old USING {} WHERE {}").format(
                Identifier(schema, table.name), recordset(table, table.key), _same(table)
            )
        case "clear":
            return _clear(schema, table, table.name)
        case "clear the past":
            return _clear(schema, table, past_name(table))
        case _:
            return _to_past(schema, table, verb)


def _clear(schema: str, table: Table, name: str) -> Composable:
    return SQL("DELETE FROM {} AS old USING {} WHERE old.{column} = new.{column}").format(
        Identifier(schema, name), recordset(table, [table.of]), column=Identifier(table.of)
    )


def _insert(target: Identifier, table: Table) -> Composable:
    columns = _list(Identifier(name) for name in table.columns)
    return SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
        target, columns, columns, recordset(table, table.columns)
    )


def _replace(target: Identifier, table: Table) -> Composable:
    """To look for a row that stands there already costs a tenth of all posting: it is done where one may be."""
    rest = _list(SQL("{0} = excluded.{0}").format(Identifier(name)) for name in table.columns if name not in table.key)
    # One whose columns are all of its key has a position beside them, but for one that is its own position.
    instead = SQL("UPDATE SET {}").format(rest) if set(table.columns) > set(table.key) else SQL("NOTHING")
    return SQL("{} ON CONFLICT ({}) DO {}").format(_insert(target, table), _list(map(Identifier, table.key)), instead)


def _change(target: Identifier, table: Table, given: Sequence[str], rows: Composable) -> Composable:
    """`rows`: called `new`."""
    values = _list(SQL("{0} = new.{0}").format(Identifier(name)) for name in _stamped(table, given))
    return SQL("UPDATE {} AS old SET {} FROM {} WHERE {}").format(target, values, rows, _same(table))


def _changed(table: Table, given: Sequence[str]) -> Composable:
    return recordset(table, [*table.key, *_stamped(table, given)])


def _stamped(table: Table, given: Sequence[str]) -> list[str]:
    return [*given, table.since, table.since_occurred]


def _keep_and_change(schema: str, table: Table, given: Sequence[str], number: int) -> Text:
    """Rows that change once: what each was goes into the past, until the entry that changes it. By two statements the
    same rows would be written, sent and taken apart twice: up to a tenth of the time that projecting them takes.
    """
    target, past = Identifier(schema, table.name), past_of(table)
    rows, kept = Identifier(f"given {number}"), Identifier(f"kept {number}")
    new = SQL("{} AS new").format(rows)
    until = {UNTIL: table.since, UNTIL_OCCURRED: table.since_occurred}
    values = _list(Identifier("new" if name in until else "old", until.get(name, name)) for name in past.columns)
    keeping = SQL("INSERT INTO {} ({}) SELECT {} FROM {}, {} AS old WHERE {}").format(
        Identifier(schema, past.name), _list(map(Identifier, past.columns)), values, new, target, _same(table)
    )
    beforehand = SQL("{} AS MATERIALIZED (SELECT * FROM {}), {} AS ({})").format(
        rows, _changed(table, given), kept, keeping
    )
    return Text(_change(target, table, given, new).as_bytes(None), beforehand.as_bytes(None))


def _to_past(schema: str, table: Table, kind: str) -> Composable:
    """Rows of the past: those of the table, those with other columns, or such as never stood in the table."""
    past, old = past_of(table), Identifier(schema, table.name)
    columns = _list(map(Identifier, past.columns))
    into = SQL("INSERT INTO {} ({})").format(Identifier(schema, past.name), columns)
    if kind == "whole":
        return SQL("{} SELECT {} FROM {}").format(into, columns, recordset(past, past.columns))
    of = "old" if kind == "ended" else "made"
    ends = (UNTIL, UNTIL_OCCURRED)
    values = _list(Identifier("new" if name in ends else of, name) for name in past.columns)
    if kind == "ended":
        rows = SQL("{}, {} AS old WHERE {}").format(recordset(past, [*table.key, *ends]), old, _same(table))
    else:
        patched = msgspec.structs.replace(past, columns={**past.columns, PATCH: "json"})
        rows = SQL("{}, {} AS old, json_populate_record(old, new.{}) AS made WHERE {}").format(
            recordset(patched, [*table.key, PATCH, *ends]), old, Identifier(PATCH), _same(table)
        )
    return SQL("{} SELECT {} FROM {}").format(into, values, rows)


def recordset(table: Table, columns: Iterable[str]) -> Composable:
    """The rows of one JSON text, with these columns, as `new`."""
    kinds = stored(table).columns
    typed = _list(SQL("{} {}").format(Identifier(name), declared(sql_type(kinds[name]))) for name in columns)
    return SQL("json_to_recordset({}::json) AS new ({})").format(Placeholder(), typed)


def _same(table: Table) -> Composable:
    return SQL(" AND ").join(SQL("old.{0} = new.{0}").format(Identifier(name)) for name in table.key)


def _list(parts: Iterable[Composable]) -> Composable:
    return SQL(", ").join(parts)
