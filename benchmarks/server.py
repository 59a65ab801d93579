"""The real server in a process of its own, a client that speaks to it, and the CPU that it and PostgreSQL spend."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, NamedTuple
from uuid import uuid4

import msgspec
import psutil  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict

from benchmarks.company import person
from benchmarks.load import Connection, post

TOKEN = "a-token-for-benchmarks-alone"
_ROOT = Path(__file__).parent.parent
_LONGEST = 60
_LIMITS = ("DAYBOOK_COST_PER_SECOND", "DAYBOOK_CONNECTIONS_PER_ACTOR", "DAYBOOK_SUBSCRIPTIONS_PER_ACTOR")
"""One actor asks for all that the machine can give here."""

REGISTER = (
    "mutation Register($input: CustomerRegisterInput!) { customerRegister(input: $input) {"
    " customer { id name version contactPoints { value } } position userErrors { code message path } } }"
)


class Served(NamedTuple):
    """A server that runs."""

    process: psutil.Process
    port: int
    ready_after: float
    """Seconds from its start until /readyz said yes."""

    @property
    def resident(self) -> float:
        """Megabytes of memory that its processes hold, PostgreSQL not among them."""
        return float(sum(one.memory_info().rss for one in family(self.process)) / 2**20)


def daybook(*words: str, environment: Mapping[str, str], log: IO[bytes] | None = None) -> "subprocess.Popen[str]":
    """The command line in a process of its own, with this environment and nothing that the caller's says of Daybook.

    `log`: where it logs to, in place of our own standard error.
    """
    inherited = {name: value for name, value in os.environ.items() if not re.match("DAYBOOK_|DATABASE_URL", name)}
    return subprocess.Popen(
        [sys.executable, "-m", "api.command_line", *words],
        cwd=_ROOT,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )


def settings(data: Path, conninfo: str | None = None) -> dict[str, str]:
    """The environment of a Daybook in this directory, on this database or an embedded one."""
    given = {"DAYBOOK_DATA": str(data), "DAYBOOK_ADMIN_TOKEN": TOKEN} | dict.fromkeys(_LIMITS, "0")
    return given if conninfo is None else given | {"DATABASE_URL": url(conninfo)}


def url(conninfo: str) -> str:
    named = conninfo_to_dict(conninfo)
    return (
        f"postgresql://{named['user']}:{named['password']}@/{named['dbname']}?host={named['host']}&port={named['port']}"
    )


@contextmanager
def serving(environment: Mapping[str, str], *words: str, log: IO[bytes] | None = None) -> Iterator[Served]:
    """`daybook serve` with these words on a free port, ready; asked to stop at the end."""
    began = time.perf_counter()
    process = daybook("serve", "--port", "0", *words, environment=environment, log=log)
    try:
        port = port_of(process)
        while not _ready(port):
            if time.perf_counter() - began > _LONGEST:
                raise TimeoutError("the server did not become ready")
            time.sleep(0.005)
        yield Served(psutil.Process(process.pid), port, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def port_of(process: "subprocess.Popen[str]") -> int:
    """The port that the server says it listens on."""
    if process.stdout is not None:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                return int(found[1])
    raise RuntimeError("the server ended before it was ready")


def _ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST)) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200


class Client:
    """One connection that stays open. Not thread-safe.

    It does little more than send and receive: what a client does between two requests is on the server's cores too.
    """

    def __init__(self, port: int) -> None:
        self._port, self._connection = port, Connection(port)
        self._numbers, self._who = count(), uuid4().int % 10**12

    def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        """The data of an answer without errors."""
        asked = {"query": query, "variables": variables}
        one = post(self._port, "/graphql", asked, {"Authorization": f"Bearer {TOKEN}"}, right=bool)
        answer: dict[str, Any] = msgspec.json.decode(self._connection.ask(one))
        if "errors" in answer:
            raise RuntimeError(f"the server said {answer}")
        data: dict[str, Any] = answer["data"]
        return data

    def register(self, mutation: str = REGISTER) -> None:
        """Register a customer that nobody else registers, and see that it is there."""
        raw = person(self._who * 10**6 + next(self._numbers))
        points = [{**point, "kind": point["kind"].upper()} for point in points_of(raw)]
        wanted = {
            "idempotencyKey": str(uuid4()), "kind": "PERSON", "name": raw["name"], "source": raw["source"],
            "contactPoints": points,
        }  # fmt: skip
        answer = self.ask(mutation, {"input": wanted})["customerRegister"]
        if answer["userErrors"] or answer["customer"]["name"] != raw["name"]:
            raise RuntimeError(f"the customer was not registered: {answer}")


def points_of(raw: Mapping[str, object]) -> list[dict[str, str]]:
    """The contact points of a person's raw input."""
    return msgspec.convert(raw["contact_points"], list[dict[str, str]])


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and what it has started, what they in turn have started too."""
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> dict[int, float]:
    """CPU seconds by process id: of each that lives, and under its parent's id of those that ended."""
    found: dict[int, float] = {}
    for one in family(process):
        try:
            spent = one.cpu_times()
        except psutil.NoSuchProcess:  # its parent's times hold it from now on
            continue
        found[one.pid] = spent.user + spent.system + spent.children_user + spent.children_system
    return found
