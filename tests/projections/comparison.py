"""Read models beside the oracle: rows posted in memory, rows read from the database, both in one shape."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from domain.kernel.recorded import Recorded
from projections.model import Posting, Table
from projections.registry import models
from projections.tables import READ
from tests.projections.fold_oracle import Rows

TABLES: dict[str, Table] = {table.name: table for model in models for table in model.tables}


def posted(recorded: Iterable[Recorded[Any]]) -> Rows:
    """The rows of all models after posting these entries one by one."""
    rows: Rows = defaultdict(dict)
    for entry in recorded:
        for model in models:
            if model.kinds is None or entry.kind in model.kinds:
                posting = Posting()
                model.post(posting, entry)
                for change in posting.changes:
                    _apply(rows, *change)
    return complete(rows)


def _apply(rows: Rows, verb: str, table: Table, key: tuple[Any, ...], columns: dict[str, Any]) -> None:
    assert columns.keys() <= table.columns.keys(), f"{table.name} has no such columns"
    if verb == "insert":
        assert key not in rows[table.name], f"{table.name} holds {key} already"
        rows[table.name][key] = columns
    elif verb == "change":
        assert not columns.keys() & set(table.key), f"{table.name}: a key does not change"
        rows[table.name].get(key, {}).update(columns)
    else:
        rows[table.name].pop(key, None)


def rows_in(db: psycopg.Connection[Any], schema: str = READ) -> Rows:
    """The rows of all models in the database."""
    rows: Rows = {}
    with db.cursor(row_factory=dict_row) as cursor:
        for name, table in TABLES.items():
            found = cursor.execute(SQL("SELECT * FROM {}").format(Identifier(schema, name))).fetchall()
            rows[name] = {tuple(row[column] for column in table.key): row for row in found}
    return complete(rows)


def complete(rows: Rows) -> Rows:
    """Rows in the shape that all sides share: no empty tables, every column, JSON as it comes back."""
    found: Rows = {}
    for name, of in rows.items():
        if of:
            columns = TABLES[name].columns
            found[name] = {key: {column: row.get(column) for column in columns} for key, row in of.items()}
    for row in found.get("timeline", {}).values():
        row["data"] = msgspec.json.decode(msgspec.json.encode(row["data"]))
    return found


def hold_constraints(rows: Rows) -> None:
    """What is declared NOT NULL is there, and every row stands under its own key."""
    for name, of in rows.items():
        table = TABLES[name]
        for key, row in of.items():
            assert key == tuple(row[column] for column in table.key)
            for column, kind in table.columns.items():
                assert row[column] is not None or "NOT NULL" not in kind, f"{name}.{column} is NULL in {key}"
