"""Processes of Daybook, as an operator starts them: `daybook serve` and `daybook work`, each a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote, urlencode

import httpx
from psycopg.conninfo import conninfo_to_dict

TOKEN = "token-of-the-fault-campaigns"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/graphql-response+json"}
ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
"""Seconds that anything may take on a loaded machine before it counts as not happening."""


def until(reached: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for a condition; fails, naming it, when it does not come."""
    deadline = monotonic() + seconds
    while not reached():
        assert monotonic() < deadline, f"{what}: not in {seconds:.0f} seconds"
        sleep(0.02)


def database_url(conninfo: str) -> str:
    """A connection string of libpq's as the address that DATABASE_URL takes."""
    given = conninfo_to_dict(conninfo)
    name = given.pop("dbname", "")
    return f"postgresql:///{quote(str(name))}?{urlencode({key: str(value) for key, value in given.items()})}"


def free_port() -> int:
    """A port that nobody listens on; a server that is killed and started again keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Process:
    """One command of Daybook, which can be killed and started again. Its output is kept in `log`."""

    def __init__(self, conninfo: str, directory: Path, *arguments: str, name: str) -> None:
        """`directory`: DAYBOOK_DATA, with the master key; the processes of one book share it."""
        self._arguments, self.name = arguments, name
        self.log = directory / f"{name}.log"
        self._environment: Mapping[str, str] = {
            **os.environ,
            "DATABASE_URL": database_url(conninfo),
            "DAYBOOK_DATA": str(directory),
            "DAYBOOK_ADMIN_TOKEN": TOKEN,
            "DAYBOOK_ENV": "development",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, point: str = "never", passes: int = 0) -> None:
        """Start it; it kills itself at a point of `doomed`, where one is named."""
        command = [sys.executable, "-m", "tests.faults.doomed", point, str(passes), *self._arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def wait_alive(self) -> None:
        """Wait until it has begun its work."""

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended by itself:\n{self.tail()}"
        self._process.kill()
        self._process.wait(PATIENCE)

    def wait_killed(self) -> None:
        """Wait until it has killed itself."""
        assert self._process is not None
        code = self._process.wait(PATIENCE)
        assert code == -signal.SIGKILL, f"{self.name} ended with {code}:\n{self.tail()}"

    def wait_done(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int | None:
        """SIGTERM, and wait; the exit code. None: it was not running."""
        if self._process is None or self._process.poll() is not None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def tail(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:]) if self.log.exists() else ""


class Server(Process):
    """`daybook serve` on a port that it keeps."""

    def __init__(self, conninfo: str, directory: Path, *arguments: str, name: str = "serve") -> None:
        self.port = free_port()
        super().__init__(conninfo, directory, "serve", "--port", str(self.port), *arguments, name=name)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    def wait_alive(self) -> None:
        """Wait until it answers."""
        until(self._answers, f"{self.name} answers")

    def wait_ready(self) -> None:
        """Wait until its read models move, too."""
        until(lambda: self._status("/readyz") == 200, f"{self.name} is ready")

    def _answers(self) -> bool:
        assert self.running, f"{self.name} ended by itself:\n{self.tail()}"
        return self._status("/healthz") == 200

    def _status(self, path: str) -> int | None:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).status_code
        except httpx.TransportError:
            return None


@contextmanager
def stopped_at_the_end(*processes: Process) -> Iterator[None]:
    """However the block ends, none of the processes outlives it."""
    try:
        yield
    finally:
        for process in processes:
            process.stop()
