"""Dividing the rights: the roles are made where we may, and are granted what infra/roles.py says."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier

from infra.roles import GRANTS, OURS, READ_MODELS, SCHEMAS, Account, Db, Role, granted


def divide(db: Db, conninfo: str) -> list[str]:
    """Make the roles where we may, and grant what they need; the second time it changes nothing.

    `db`: the owner's, in autocommit mode, on a migrated database, under the lock of whoever migrates. Returns the
    statements that an administrator has to run first, where we may not; then nothing is granted.
    """
    wanting = _wanting(db, conninfo)
    if wanting and _makes_roles(db):
        for statements in wanting:
            try:
                with db.transaction():
                    for statement in statements:
                        db.execute(statement)
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                pass  # another book of this owner was first
            except psycopg.errors.InsufficientPrivilege:
                break  # an administrator made these roles, and has to mend them
        wanting = _wanting(db, conninfo)
    if not wanting:
        _grant(db)
    return [statement.as_string(db) for statements in wanting for statement in statements]


def admit(db: Db, tables: Sequence[Identifier]) -> None:
    """Grant what the roles need of new tables of read models, wherever these stand. `db`: the owner's."""
    for name, role in granted(db).items():
        if READ_MODELS in GRANTS[role] and tables:
            db.execute(
                SQL("GRANT {} ON {} TO {}").format(
                    _privileges(GRANTS[role][READ_MODELS].split(", ")), SQL(", ").join(tables), Identifier(name)
                )
            )


def _wanting(db: Db, conninfo: str) -> list[list[Composed]]:
    """For each role that is missing or does not let us in, the statements that mend it."""
    wanting: list[list[Composed]] = []
    for role in Role:
        account = Account.of(db, role)
        found = db.execute(_FOUND, (account.name,)).fetchone()
        if found is None:
            wanting.append(account.made(db))
        elif found[0] != OURS:
            wanting.append([SQL("-- {} is another's: rename that role").format(Identifier(account.name))])
        elif not found[1]:
            database = Identifier(db.info.dbname)
            wanting.append([SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, Identifier(account.name))])
        elif not _lets_in(account.login(conninfo)):
            wanting.append(account.mended(db))
    return wanting


def _lets_in(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError:
        return False
    return True


def _makes_roles(db: Db) -> bool:
    return db.execute("SELECT FROM pg_roles WHERE rolname = session_user AND (rolsuper OR rolcreaterole)").rowcount == 1


class _Grant(NamedTuple):
    grantee: str
    schema: str
    name: str | None
    """Of the table or sequence; None: the schema itself."""
    column: str | None
    """None: all of them."""
    privilege: str

    @property
    def right(self) -> Composable:
        """What may be done."""
        right = _privileges([self.privilege])
        return right if self.column is None else SQL("{} ({})").format(right, Identifier(self.column))

    @property
    def on(self) -> Composable:
        """What it is a right to."""
        if self.name is None:
            return SQL("SCHEMA {}").format(Identifier(self.schema))
        return Identifier(self.schema, self.name)


def _grant(db: Db) -> None:
    """Bring what is granted to what GRANTS says. Where nothing differs nothing is written, and nobody waits."""
    names = {role: Account.of(db, role).name for role in Role}
    objects = db.execute(_OBJECTS, ([*SCHEMAS],)).fetchall()
    wanted = {grant for role, name in names.items() for grant in _wanted(name, GRANTS[role], objects)}

    def found() -> set[_Grant]:
        return {_Grant(*row) for row in db.execute(_GRANTED, {"schemas": [*SCHEMAS], "names": [*names.values()]})}

    def change(statement: SQL, grants: set[_Grant]) -> None:
        for grant in sorted(grants, key=str):
            db.execute(statement.format(grant.right, grant.on, Identifier(grant.grantee)))

    with db.transaction():
        change(SQL("REVOKE {} ON {} FROM {}"), found() - wanted)
        # Looked for anew: with a right to a whole table, those to its columns were taken away.
        change(SQL("GRANT {} ON {} TO {}"), wanted - found())


def _wanted(grantee: str, rights: Mapping[str, str], objects: Sequence[tuple[str, str, list[str]]]) -> Iterable[_Grant]:
    for schema, name, columns in objects:
        for privilege in filter(None, rights.get(f"{schema}.{name}", rights.get(f"{schema}.*", "")).split(", ")):
            yield _Grant(grantee, schema, name, None, privilege)
        for column in columns:
            for privilege in filter(None, rights.get(f"{schema}.{name}.{column}", "").split(", ")):
                yield _Grant(grantee, schema, name, column, privilege)
    for schema in {thing.partition(".")[0] for thing in rights}:
        yield _Grant(grantee, schema, None, None, "USAGE")


def _privileges(names: Iterable[str]) -> Composable:
    return SQL(", ").join(SQL(name) for name in names)  # pyright: ignore[reportArgumentType]  # GRANTS, never input


_FOUND = """
    SELECT shobj_description(oid, 'pg_authid'), has_database_privilege(oid, current_database(), 'CONNECT')
    FROM pg_roles WHERE rolname = %s
"""
_OBJECTS = """
    SELECT nspname, relname, ARRAY(
        SELECT attname::text FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = ANY(%s) AND relkind IN ('r', 'p', 'v', 'm', 'S')
"""
_GRANTED = """
    SELECT rolname, nspname, relname, NULL, privilege_type
    FROM pg_class JOIN pg_namespace AS schema ON schema.oid = relnamespace,
        aclexplode(relacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE nspname = ANY(%(schemas)s) AND rolname = ANY(%(names)s)
    UNION ALL
    SELECT rolname, nspname, relname, attname, privilege_type
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace AS schema ON schema.oid = relnamespace,
        aclexplode(attacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE NOT attisdropped AND nspname = ANY(%(schemas)s) AND rolname = ANY(%(names)s)
    UNION ALL
    SELECT rolname, nspname, NULL, NULL, privilege_type
    FROM pg_namespace, aclexplode(nspacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE nspname = ANY(%(schemas)s) AND rolname = ANY(%(names)s)
"""
