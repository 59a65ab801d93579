"""A PostgreSQL of a campaign's own, which may be killed, stopped at once, starved and started again."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.faults.processes import until
from tests.postgres import embedded


class OwnPostgres:
    """The server in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._hold = embedded(directory)
        self.conninfo = self._hold.acquire()

    def administer(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the superuser, in the campaign's database."""
        conninfo = f"{self._hold.superuser_conninfo()} dbname=daybook"
        with psycopg.connect(conninfo, autocommit=True, application_name="campaign") as db:
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def signal(self, number: signal.Signals) -> None:
        """Send the server's head a signal, and wait until it is gone."""
        file = self._directory / "cluster" / "data" / "postmaster.pid"
        head = int(file.read_text().split("\n")[0])
        os.kill(head, number)
        until(lambda: _gone(head), f"PostgreSQL is gone after {number.name}")

    def kill_backend(self, name: str) -> bool:
        """kill -9 of one server process that works for a connection of this name: PostgreSQL then restarts itself."""
        found = self.administer(f"SELECT pid FROM pg_stat_activity WHERE application_name = '{name}' LIMIT 1")
        for (pid,) in found:
            os.kill(int(str(pid)), signal.SIGKILL)
        return bool(found)

    def start(self) -> None:
        """Start it again, and wait until it has recovered."""
        again = embedded(self._directory)
        conninfo = again.acquire()
        self._hold.release()
        self._hold = again
        assert conninfo == self.conninfo, "it stands at another address than before"

    def answers(self) -> bool:
        try:
            return self.administer("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def release(self) -> None:
        self._hold.release()


@contextmanager
def own_postgres(directory: Path) -> Iterator[OwnPostgres]:
    postgres = OwnPostgres(directory)
    try:
        yield postgres
    finally:
        postgres.release()


def _gone(pid: int) -> bool:
    """A corpse that nobody has collected counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2].startswith(("Z", "X"))
    except (FileNotFoundError, ProcessLookupError):
        return True
