"""The tables of the read models: how they are made, and which of them stand in the database."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from infra.granting import admit
from projections.model import Key, Model, Table
from projections.past import with_past

Db: TypeAlias = Connection[Any]

Change: TypeAlias = tuple[str, Table, Key, dict[str, Any]]
"""What a Posting holds: insert, change or remove; which table; which row; which columns."""

READ = "daybook_read"
"""The schema that readers read."""

_CONSTRAINT = re.compile(r"\s+(?:NOT\s+NULL|NULL|CHECK|COLLATE|CONSTRAINT)\b.*", re.IGNORECASE | re.DOTALL)
_INSTALL_LOCK = 0x6461_7962_6F6F_6B03
"""Advisory lock of whoever installs: two that start at once would both make the tables."""


class ModelError(Exception):
    """The declaration of a read model can't be used; the message says why."""


def sql_type(column: str) -> str:
    """The bare SQL type out of a column's declaration: `numeric(12, 2) NOT NULL` -> `numeric(12, 2)`."""
    return _CONSTRAINT.sub("", column)


def install(db: Db, models: Iterable[Model]) -> list[str]:
    """Make the tables of new models, empty at position 0, and drop the models that the code no longer has.

    Returns the names of models that stand there in an older version than the code's: `rebuild` replaces them. Safe to
    run from several processes at once. `db` must be in autocommit mode. Raises ModelError, also where one stands there
    in a newer version.
    """
    wanted = {model.name: model for model in models}
    _check(wanted.values())
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_INSTALL_LOCK,))
        found = db.execute(_INSTALLED).fetchall()
        _refuse_newer(wanted, found)
        if not wanted.keys() >= {name for name, _, _ in found}:
            # All at once, and only where there is something to drop: row by row, whoever looks in while a runner posts
            # could wait for it as it waits for them.
            db.execute("LOCK TABLE daybook_projections.models IN SHARE ROW EXCLUSIVE MODE")
            found = db.execute(_INSTALLED).fetchall()
        for name, _, tables in found:
            if name not in wanted:
                # Nobody would move its rows any more: what is erased later would stay in them.
                drop(db, READ, tables)
                db.execute("DELETE FROM daybook_projections.models WHERE name = %s", (name,))
                db.execute("DELETE FROM daybook_projections.mismatches WHERE model = %s", (name,))
        known = {name for name, _, _ in found}
        for model in wanted.values():
            if model.name not in known:
                create(db, READ, model.tables)
                index(db, READ, model.tables)
                db.execute(
                    "INSERT INTO daybook_projections.models (name, version, tables, position, moved_at)"
                    " VALUES (%s, %s, %s, 0, now())",
                    (model.name, model.version, names(model)),
                )
    return [name for name, version, _ in found if name in wanted and wanted[name].version > version]


def _refuse_newer(wanted: Mapping[str, Model], found: Iterable[tuple[Any, ...]]) -> None:
    for name, version, _ in found:
        if name in wanted and version > wanted[name].version:
            raise ModelError(
                f"A newer Daybook has built the read model {name}: it stands in version {version}, and this Daybook has"
                f" {wanted[name].version}. Run that Daybook, or restore a backup from before (docs/operator, Upgrade)."
            )


_INSTALLED = "SELECT name, version, tables FROM daybook_projections.models"


def names(model: Model) -> list[str]:
    """Of its tables, those of its past included."""
    return [table.name for table in with_past(model.tables)]


def create(db: Db, schema: str, tables: Iterable[Table]) -> None:
    """Make the tables and their past with their keys, but without their other indexes, for whoever reads and posts."""
    made: list[Identifier] = []
    for table in with_past(tables):
        columns = SQL(", ").join(
            SQL("{} {}").format(Identifier(name), declared(kind)) for name, kind in table.columns.items()
        )
        key = SQL(", ").join(map(Identifier, table.key))
        made.append(Identifier(schema, table.name))
        db.execute(SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(made[-1], columns, key))
    admit(db, made)


def index(db: Db, schema: str, tables: Iterable[Table]) -> None:
    """Make the other indexes: after a rebuild has filled the tables, which is several times as fast."""
    for table in with_past(tables):
        for columns in table.indexes:
            db.execute(SQL("CREATE INDEX ON {} ({})").format(Identifier(schema, table.name), declared(columns)))
        for column in table.hashes:
            db.execute(
                SQL("CREATE INDEX ON {} USING hash ({})").format(Identifier(schema, table.name), Identifier(column))
            )
        for array in table.gin:
            # What is new waits in a list that each search reads through: a short one, for it is written in bulk anyway.
            db.execute(
                SQL("CREATE INDEX ON {} USING gin (({})) WITH (gin_pending_list_limit = 256)").format(
                    Identifier(schema, table.name), declared(array)
                )
            )


def drop(db: Db, schema: str, tables: Iterable[str]) -> None:
    for table in tables:
        db.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(schema, table)))


def _check(models: Iterable[Model]) -> None:
    owner: dict[str, str] = {}
    for model in models:
        for table in model.tables:
            if table.name in owner:
                raise ModelError(f"{model.name} and {owner[table.name]} both declare a table {table.name}.")
            owner[table.name] = model.name
            for name, kind in table.columns.items():
                if re.search(r"\b(?:DEFAULT|GENERATED)\b", kind, re.IGNORECASE):
                    raise ModelError(f"{table.name}.{name} has a default, but columns left out of a row are NULL.")
                if re.match(r"bytea\b", kind, re.IGNORECASE):
                    raise ModelError(f"{table.name}.{name} is bytea, but rows travel as JSON: store text.")
            if missing := [name for name in table.key if name not in table.columns]:
                raise ModelError(f"The key of {table.name} names {', '.join(missing)}, which is no column of it.")
            if table.since in table.key and not table.grows:
                raise ModelError(f"{table.name} has its position as a key: its rows are entries, so it `grows`.")


def declared(text: str) -> SQL:
    """SQL out of a model's declaration, which is code of ours and never input."""
    return SQL(text)  # pyright: ignore[reportArgumentType]
