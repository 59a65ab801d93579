"""Fixtures for the whole suite: one real PostgreSQL server a session, one fresh database a test."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.postgres import embedded


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    server = embedded(tmp_path_factory.mktemp("postgres") / "server")
    with server as conninfo:
        yield conninfo, server.superuser_conninfo()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: a socket's address has 107 bytes, and a PostgreSQL that starts again must stand where it stood."""
    with TemporaryDirectory(prefix="daybook-test-", ignore_cleanup_errors=True) as alone:
        place = Path(alone) / "t"
        place.mkdir()
        yield place


@pytest.fixture
def superuser(_server: tuple[str, str]) -> str:
    """Connects to the session's server as its superuser, for what an operator would do."""
    return _server[1]


@pytest.fixture(scope="session")
def _superuser_connection(_server: tuple[str, str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(_server[1], autocommit=True) as connection:
        yield connection


@pytest.fixture
def database(_server: tuple[str, str], _superuser_connection: psycopg.Connection) -> Iterator[str]:
    """Connects, as the application's role, to an empty database of the test's own."""
    with _fresh(_server[0], _superuser_connection) as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def module_database(_server: tuple[str, str], _superuser_connection: psycopg.Connection) -> Iterator[str]:
    """The same, once for a module: for tests that only read what one of its fixtures put in."""
    with _fresh(_server[0], _superuser_connection) as conninfo:
        yield conninfo


@pytest.fixture
def another_database(
    _server: tuple[str, str], _superuser_connection: psycopg.Connection
) -> Callable[[], AbstractContextManager[str]]:
    """The same, as often as a test asks."""
    return partial(_fresh, _server[0], _superuser_connection)


@contextmanager
def _fresh(conninfo: str, superuser: psycopg.Connection) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    superuser.execute(sql.SQL("CREATE DATABASE {} OWNER daybook").format(sql.Identifier(name)))
    try:
        yield make_conninfo(conninfo, dbname=name)
    finally:
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
