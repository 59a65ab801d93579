"""Fixtures for the whole suite: one real PostgreSQL server a session, one fresh book a test."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory

import psycopg
import pytest
from hypothesis import settings

from tests.databases import Databases
from tests.postgres import MAJOR, NEWEST, embedded
from tests.standby import Standby

# Nobody here speaks TLS. To read what authorities there are took each of the many HTTP clients 20 ms of CPU.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = os.devnull

# How long an example takes is up to the machine: speed is measured, never tested.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_MEMORY = Path("/dev/shm")
_ROOM = 4 * 2**30
"""Bytes: ten times what all servers of a run take at once."""


_FIRST = (
    "tests/api/test_reading_differential.py",
    "tests/api/test_sight.py",
    "tests/fuzzing/",
    "tests/faults/",
    "tests/docs/",
    "tests/races/",
    "tests/api/test_two_worlds.py",
    "tests/infra/test_embedded.py",
    "tests/clients/",
    "tests/api/",
    "tests/infra/",
    "tests/projections/",
)
"""What takes longest: with several processes nothing long may be left over when all else is done."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the order of _FIRST; everything else after that. On another version of PostgreSQL, only what speaks to it."""
    if MAJOR != NEWEST:
        config.hook.pytest_deselected(items=[item for item in items if not _speaks(item)])
        items[:] = filter(_speaks, items)
    items.sort(key=lambda item: next((at for at, begins in enumerate(_FIRST) if item.nodeid.startswith(begins)), 99))


def _speaks(item: pytest.Item) -> bool:
    """Whether a test has a server of the session, or is of a file whose tests start their own."""
    if not isinstance(item, pytest.Function):
        return False
    starts_its_own = hasattr(item.module, "embedded") or item.get_closest_marker("campaign") is not None
    return starts_its_own or "_server" in item.fixturenames


def pytest_collection_finish() -> None:
    """What was imported stays: to look through it for garbage, again and again, took a fifth of the suite's time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _scratch() -> Path | None:
    """A file system in memory, where there is room: a database is made there in a fifth of the time."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) and disk_usage(_MEMORY).free > _ROOM else None


@pytest.fixture(scope="session")
def _server() -> Iterator[tuple[str, str]]:
    with TemporaryDirectory(prefix="daybook-test-", dir=_scratch()) as directory:
        server = embedded(Path(directory) / "server")
        with server as conninfo:
            yield conninfo, server.superuser_conninfo()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A short one: a socket's address has 107 bytes, and a PostgreSQL that starts again must stand where it stood.

    Campaigns have theirs on the disk: they kill within commits, and how long one takes is up to the disk.
    """
    place = None if request.node.get_closest_marker("campaign") else _scratch()
    with TemporaryDirectory(prefix="daybook-test-", dir=place, ignore_cleanup_errors=True) as alone:
        place = Path(alone) / "t"
        place.mkdir()
        yield place


@pytest.fixture
def superuser(_server: tuple[str, str]) -> str:
    """Connects to the session's server as its superuser, for what an operator would do."""
    return _server[1]


@pytest.fixture(scope="session")
def _databases(_server: tuple[str, str]) -> Iterator[Databases]:
    with psycopg.connect(_server[1], autocommit=True) as superuser:
        yield Databases(_server[0], superuser)


@pytest.fixture
def database(_databases: Databases) -> Iterator[str]:
    """Connects, as the application's role, to a book of the test's own: migrated, with its read models, empty."""
    with _databases.book() as conninfo:
        yield conninfo


@pytest.fixture
def standby(database: str, superuser: str) -> Iterator[Standby]:
    with psycopg.connect(superuser, autocommit=True) as db:
        yield Standby(database, db)


@pytest.fixture(scope="module")
def module_database(_databases: Databases) -> Iterator[str]:
    """The same, once for a module: for tests that only read what one of its fixtures put in."""
    with _databases.book() as conninfo:
        yield conninfo


@pytest.fixture
def another_database(_databases: Databases) -> Callable[[], AbstractContextManager[str]]:
    """The same, as often as a test asks."""
    return _databases.book


@pytest.fixture
def migrated_database(_databases: Databases) -> Iterator[str]:
    """The same without a read model: for a test that brings models of its own."""
    with _databases.migrated() as conninfo:
        yield conninfo


@pytest.fixture
def bare_database(_databases: Databases) -> Iterator[str]:
    """A database with nothing of ours in it."""
    with _databases.bare() as conninfo:
        yield conninfo
