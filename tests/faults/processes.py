"""Processes of Daybook, as an operator starts them: `daybook serve` and `daybook work`, each a process of its own."""

import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote, urlencode

import httpx
from psycopg.conninfo import conninfo_to_dict

from tests.faults import doomed

TOKEN = "token-of-the-fault-campaigns"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/graphql-response+json"}
_FORKS = multiprocessing.get_context("forkserver")
# A campaign starts dozens of processes; forked from one that has imported everything, each saves two seconds of CPU.
_FORKS.set_forkserver_preload([doomed.__name__])
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
        self._environment = {
            "DATABASE_URL": database_url(conninfo),
            "DAYBOOK_DATA": str(directory),
            "DAYBOOK_ADMIN_TOKEN": TOKEN,
            "DAYBOOK_ENV": "development",
            "DAYBOOK_COST_PER_SECOND": "0",
        }
        self._process: ForkServerProcess | None = None

    def start(self, point: str | None = None, passes: int = 1) -> None:
        """Start it; where a point of `doomed` is named, it kills itself when it comes there for the n-th time."""
        self._process = _FORKS.Process(
            target=doomed.run, args=(self._arguments, self._environment, self.log, point, passes), name=self.name
        )
        self._process.start()

    def wait_alive(self) -> None:
        """Wait until it has begun its work."""

    def kill(self) -> None:
        """kill -9."""
        assert self.running, f"{self.name} ended by itself:\n{self.tail()}"
        self._started.kill()
        self._started.join(PATIENCE)

    def wait_killed(self) -> None:
        """Wait until it has killed itself."""
        code = self.wait_done()
        assert code == -signal.SIGKILL, f"{self.name} ended with {code}:\n{self.tail()}"

    def wait_done(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        self._started.join(PATIENCE)
        code = self._started.exitcode
        assert code is not None, f"{self.name} has not ended in {PATIENCE:.0f} seconds:\n{self.tail()}"
        return code

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def stop(self) -> int | None:
        """SIGTERM, and wait; the exit code. None: it was not running."""
        if not self.running:
            return None
        self._started.terminate()
        try:
            return self.wait_done()
        finally:
            self._started.kill()

    @property
    def _started(self) -> ForkServerProcess:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

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

    def port_is_free(self) -> bool:
        """Whether nobody listens there any more."""
        try:
            with socket.create_server(("127.0.0.1", self.port)):
                return True
        except OSError:
            return False

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
