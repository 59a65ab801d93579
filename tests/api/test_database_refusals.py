"""What a PostgreSQL refuses to Daybook: told in a sentence that says what to do."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from tests.api.filled import url
from tests.api.test_command_line import FAILED, OUT_OF_REACH, Done, Shell


@pytest.fixture
def new(bare_database: str, tmp_path: Path) -> Shell:
    """A shell with a database that no command has seen yet."""
    return Shell(bare_database, tmp_path)


@pytest.fixture
def elsewhere(superuser: str, new: Shell) -> Iterator[Callable[..., Done]]:
    """`daybook migrate` as another role, which is gone in the end, on a new database of the owner's."""
    role = f"stranger_{uuid4().hex}"
    with psycopg.connect(superuser, autocommit=True) as db:
        db.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'geheim99'").format(Identifier(role)))
        address = make_conninfo(superuser, user=role, password="geheim99", dbname=_name_of(new))
        yield lambda command: new.run(command, DATABASE_URL=url(address))
        db.execute(SQL("DROP ROLE {}").format(Identifier(role)))


def _name_of(shell: Shell) -> str:
    return str(conninfo_to_dict(shell.environment["DATABASE_URL"])["dbname"])


def _is_told(done: Done, says: str) -> None:
    assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (OUT_OF_REACH, "", 1), done
    assert says in done.stderr


def test_a_role_that_does_not_own_the_database_is_told(new: Shell, elsewhere: Callable[..., Done]) -> None:
    _is_told(elsewhere("migrate"), "The database refuses: permission denied for database")
    new.run("migrate")
    for command in ("migrate", "status"):
        _is_told(elsewhere(command), "name that owner in DATABASE_URL.")


def test_a_database_that_is_read_only_is_told(new: Shell, superuser: str) -> None:
    with psycopg.connect(superuser, autocommit=True) as db:
        db.execute(SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(Identifier(_name_of(new))))
    _is_told(new.run("migrate"), "in a read-only transaction. Name a database in DATABASE_URL that can be written")


def test_a_schema_of_another_program_is_told(new: Shell, bare_database: str) -> None:
    with psycopg.connect(bare_database, autocommit=True) as db:
        db.execute("CREATE SCHEMA daybook")
    _is_told(new.run("migrate"), 'schema "daybook" already exists. Another program has put it there')


@pytest.mark.parametrize("command", [("migrate",), ("status",), ("serve", "--port", "0")])
@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_database_of_a_newer_daybook_is_left_as_it_is(
    database: str, tmp_path: Path, command: tuple[str, ...], environment: str
) -> None:
    shell = Shell(database, tmp_path)
    with psycopg.connect(database, autocommit=True) as db, mock.patch.object(signal, "signal"):
        db.execute("INSERT INTO daybook_migrations.applied (name) VALUES ('9999_more.sql')")
        done = shell.run(*command, DAYBOOK_ENV=environment)
    _is_told(done, "A newer Daybook has migrated this database: it has 9999_more.sql")


def test_a_read_model_of_a_newer_daybook_is_left_as_it_is(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("UPDATE daybook_projections.models SET version = 9999 WHERE name = 'customers'")
        db.execute("UPDATE daybook_projections.models SET name = 'later' WHERE name = 'timeline'")
        before = db.execute("SELECT name, version, tables FROM daybook_projections.models ORDER BY 1").fetchall()
        done = Shell(database, tmp_path).run("migrate")
        after = db.execute("SELECT name, version, tables FROM daybook_projections.models ORDER BY 1").fetchall()
    assert (done.returncode, after) == (FAILED, before)
    assert "read model customers: it stands in version 9999" in done.stderr
