"""The laboratory: one real PostgreSQL server with all its safety on, and an empty database for every contender."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api.composition import Parts, assembled
from benchmarks.watch import Watch
from benchmarks.yardstick import TURNS, Machine, Yardstick
from infra.embedded import EmbeddedPostgres
from infra.migrations import migrate


class Scale(NamedTuple):
    """How much is measured. Contenders take turns in each of the rounds; a figure is the median of its rounds."""

    rounds: int
    seconds: float
    """For a measurement of throughput."""
    events: int
    """In a book that is projected."""
    customers: int
    """In a book that is served; about 13 events each."""
    sizes: tuple[int, ...]
    """Customers in the read models of a book that grows."""
    patience: float
    """Seconds in which a section waits for the machine's full pace, and makes disturbed measurements again."""
    turns: int
    """Of the yardstick, on each core."""


PATIENCE = 600
FULL = Scale(5, 2.0, events=50_000, customers=2_500, sizes=(10_000, 100_000, 1_000_000), patience=PATIENCE, turns=TURNS)
QUICK = Scale(1, 0.3, events=1_000, customers=60, sizes=(200, 1_000, 4_000), patience=0, turns=1)


class Laboratory:
    """The server, and a folder for what contenders keep on disk."""

    def __init__(self, scale: Scale, folder: Path, conninfo: str, superuser: str) -> None:
        self.scale, self.folder = scale, folder
        self._yardstick = Yardstick(scale.turns)
        self.machine = Machine(self._yardstick)
        self._conninfo, self._superuser = conninfo, superuser
        self._admin = psycopg.connect(superuser, autocommit=True)

    def watch(self) -> Watch:
        """For one section, with patience anew."""
        return Watch(self.machine, self.scale.patience)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Connects to an empty database; nothing that others have left is still being written to disk."""
        name = f"bench_{uuid4().hex}"
        self._admin.execute(sql.SQL("CREATE DATABASE {} OWNER daybook").format(sql.Identifier(name)))
        self._admin.execute("CHECKPOINT")
        try:
            yield make_conninfo(self._conninfo, dbname=name)
        finally:
            self._admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def book(self) -> Iterator[Parts]:
        """The parts of a process, on an empty book."""
        with self.database() as conninfo, opened(conninfo, self.folder) as parts:
            yield parts

    def administer(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the server's superuser, outside every contender's database."""
        cursor = self._admin.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

    @property
    def postmaster(self) -> psutil.Process:
        """The server's first process, the parent of all the others."""
        return psutil.Process(psutil.Process(self._admin.info.backend_pid).ppid())

    def say(self, what: str) -> None:
        """Progress, for whoever watches."""
        print(what, file=sys.stderr, flush=True)

    def close(self) -> None:
        self._yardstick.close()
        self._admin.close()


@contextmanager
def opened(conninfo: str, folder: Path) -> Iterator[Parts]:
    """The parts of a process on this database; every book of the laboratory has the same master key."""
    migrate(conninfo)
    with assembled(conninfo, folder / "master.key") as parts:
        yield parts


@contextmanager
def laboratory(scale: Scale, *, megabytes: int | None = None) -> Iterator[Laboratory]:
    """`megabytes`: the memory in which PostgreSQL keeps pages, in place of the embedded server's own 128."""
    with tempfile.TemporaryDirectory(prefix="daybook-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        if megabytes is not None:
            with server, psycopg.connect(server.superuser_conninfo(), autocommit=True) as db:
                db.execute(sql.SQL("ALTER SYSTEM SET shared_buffers = {}").format(f"{megabytes}MB"))
        with server as conninfo:
            made = Laboratory(scale, Path(folder), conninfo, server.superuser_conninfo())
            try:
                yield made
            finally:
                made.close()
