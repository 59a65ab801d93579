"""From postings to set-based SQL: what a batch changes, folded to one change a row, as a few statements a table.

The rows of a statement travel as one JSON text, which the server takes apart with the column types of the Table
(`json_to_recordset`). That is as fast as arrays through `unnest`, and it carries what arrays can't: columns that are
arrays themselves (`text[]`), JSON columns, and rows of any shape. So a value is anything that msgspec writes as JSON
and the column's type reads as text: str, int, bool, Decimal, date, datetime, UUID, lists for arrays, dicts and lists
for json; not bytes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from psycopg.sql import SQL, Composable, Identifier, Placeholder
from psycopg.types.json import Json

from projections.model import Key, Table
from projections.tables import Change, Db, declared, sql_type


class Statement(NamedTuple):
    query: bytes
    rows: bytes
    """The statement's one parameter: a JSON array of objects, encoded already."""


class Flush:
    """Writes the changes of postings into the tables of one schema. Keeps the text of every statement it has made."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._texts: dict[tuple[str, str, frozenset[str]], bytes] = {}
        self._encode = msgspec.json.Encoder().encode

    def statements(self, changes: Iterable[Change]) -> list[Statement]:
        """The statements that leave the rows as these changes, one after the other, would have left them.

        Raises whatever a value raises that can't be written as JSON.
        """
        made: list[Statement] = []
        for table, rows in folded(changes):
            alike: dict[tuple[str, frozenset[str]], list[Mapping[str, Any]]] = {}
            for key, (verb, columns) in rows.items():
                # Left out of an insert is NULL, left out of a change is unchanged: only changes need sets of their own.
                given = frozenset(columns) if verb == "change" else frozenset[str]()
                if given & {*table.key}:
                    raise KeyError(
                        f"a change of {table.name} sets a column of its key: remove the row and insert another"
                    )
                row = columns if verb == "insert" else dict(zip(table.key, key, strict=True)) | columns
                if not row.keys() <= table.columns.keys():
                    raise KeyError(f"{min(row.keys() - table.columns.keys())} is no column of {table.name}")
                alike.setdefault((verb, given), []).append(row)
            made += [
                Statement(self._text(table, verb, given), self._encode(rows)) for (verb, given), rows in alike.items()
            ]
        return made

    def write(self, db: Db, statements: Iterable[Statement]) -> None:
        for query, rows in statements:
            db.execute(query, (Json(rows, _as_it_is),), prepare=True)

    def _text(self, table: Table, verb: str, given: frozenset[str]) -> bytes:
        name = (table.name, verb, given)
        if name not in self._texts:
            self._texts[name] = _text(self._schema, table, verb, given).as_bytes(None)
        return self._texts[name]


def _as_it_is(encoded: bytes) -> bytes:
    """Not decoded to a str, which psycopg would only encode again."""
    return encoded


def prepare_to_write(db: Db) -> None:
    """Settings for a session that writes read models."""
    db.prepared_max = 1_000
    # A crash that takes back a commit takes rows and position together, and they are posted again: nobody needs to wait
    # for the disk. Rows are few and found by key: a plan made while a table was small must not scan a large one.
    db.execute(
        "SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan; SET jit = off;"
        " SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
    )


def folded(changes: Iterable[Change]) -> list[tuple[Table, dict[Key, tuple[str, dict[str, Any]]]]]:
    """One change for each row that was touched, by table: the last insert or removal, with the changes since.

    A change of a row that was removed changes nothing, as it would one by one.
    """
    tables: dict[str, tuple[Table, dict[Key, tuple[str, dict[str, Any]]]]] = {}
    for verb, table, key, columns in changes:
        if table.name not in tables:
            tables[table.name] = (table, {})
        rows = tables[table.name][1]
        if verb != "change":
            rows[key] = (verb, columns)
        elif columns:
            former = rows.get(key)
            if former is None:
                rows[key] = (verb, columns)
            elif former[0] != "remove":
                # A new dict: the posting's own must stay as it is, in case the batch is posted again in parts.
                rows[key] = (former[0], {**former[1], **columns})
    return list(tables.values())


def _text(schema: str, table: Table, verb: str, given: frozenset[str]) -> Composable:
    match verb:
        case "insert":
            return _insert(Identifier(schema, table.name), table)
        case "change":
            return _change(Identifier(schema, table.name), table, [name for name in table.columns if name in given])
        case "remove":
            return SQL("DELETE FROM {} AS old USING {} WHERE {}").format(
                Identifier(schema, table.name), _rows(table, table.key), _same(table)
            )
        case _:
            raise AssertionError(verb)


def _insert(target: Identifier, table: Table) -> Composable:
    columns = _list(Identifier(name) for name in table.columns)
    rest = [Identifier(name) for name in table.columns if name not in table.key]
    instead = (
        SQL("UPDATE SET {}").format(_list(SQL("{0} = excluded.{0}").format(name) for name in rest))
        if rest
        else SQL("NOTHING")
    )
    return SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}").format(
        target, columns, columns, _rows(table, table.columns), _list(map(Identifier, table.key)), instead
    )


def _change(target: Identifier, table: Table, given: list[str]) -> Composable:
    values = _list(SQL("{0} = new.{0}").format(Identifier(name)) for name in given)
    return SQL("UPDATE {} AS old SET {} FROM {} WHERE {}").format(
        target, values, _rows(table, [*table.key, *given]), _same(table)
    )


def _rows(table: Table, columns: Iterable[str]) -> Composable:
    typed = _list(SQL("{} {}").format(Identifier(name), declared(sql_type(table.columns[name]))) for name in columns)
    return SQL("json_to_recordset({}::json) AS new ({})").format(Placeholder(), typed)


def _same(table: Table) -> Composable:
    return SQL(" AND ").join(SQL("old.{0} = new.{0}").format(Identifier(name)) for name in table.key)


def _list(parts: Iterable[Composable]) -> Composable:
    return SQL(", ").join(parts)
