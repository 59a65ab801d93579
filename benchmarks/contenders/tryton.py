"""Tryton, a CRM and ERP that is well known, with its module of parties alone: started, and spoken to over JSON-RPC.

It is given every advantage: no address, no module beyond what a contact needs, no checking of addresses or numbers, one
process that is warm, and a session that is there already.
"""

import base64
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
import psutil  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict

from benchmarks.company import person
from benchmarks.load import Connection, post
from benchmarks.server import points_of, url

_PROGRAMS = Path(__file__).parent.parent / "tryton" / ".venv" / "bin"
_LOGIN = "admin"
_LONGEST = 60
_THREADS = 16
_QUIET = "30"
"""Warnings and errors alone, as logging numbers them."""


def why_no_tryton() -> str | None:
    """Why it can't be started; None where it can."""
    return None if (_PROGRAMS / "trytond-admin").exists() else "`make benchmarks/tryton/.venv/.made` was not run"


class Door(NamedTuple):
    """Where it is, and the session that its clients are in."""

    port: int
    database: str
    authorization: str = ""


class Client:
    """One connection that stays open. Not thread-safe."""

    def __init__(self, door: Door) -> None:
        self._door, self._connection = door, Connection(door.port)
        self._numbers, self._who, self._ids = count(), uuid4().int % 10**12, count(1)

    def call(self, method: str, *params: object) -> Any:
        """What a method returns. Raises RuntimeError where it fails."""
        asked = {"id": next(self._ids), "method": method, "params": params}
        headers = {"Authorization": self._door.authorization} if self._door.authorization else {}
        raw = self._connection.ask(post(self._door.port, f"/{self._door.database}/rpc/", asked, headers, right=bool))
        if "result" not in (answer := msgspec.json.decode(raw)):
            raise RuntimeError(f"Tryton said {raw[:300]!r}")
        return answer["result"]

    def register(self) -> None:
        """Create a person that nobody else creates, and see that it is there."""
        raw = person(self._who * 10**6 + next(self._numbers))
        points = [{"type": point["kind"], "value": point["value"]} for point in points_of(raw)]
        wanted = {"name": raw["name"], "addresses": [], "contact_mechanisms": [["create", points]]}
        (id,) = self.call("model.party.party.create", [wanted], {})
        (made,) = self.call("model.party.party.read", [id], ["name", "contact_mechanisms.type"], {})
        if made["name"] != raw["name"] or len(made["contact_mechanisms."]) != len(points):
            raise RuntimeError(f"the party was not created: {made}")


@contextmanager
def tryton(folder: Path, conninfo: str) -> Iterator[tuple[psutil.Process, Door]]:
    """A server of one process in this database, and the way in."""
    folder.mkdir()
    database = str(conninfo_to_dict(conninfo)["dbname"])
    anywhere = url(conninfo).replace(f"/{database}?", "/?")
    # A session outlives the waiting for a quiet machine.
    (folder / "trytond.conf").write_text(
        f"[database]\nuri = {anywhere}\npath = {folder}\nlist = False\n[web]\nroot =\n[session]\ntimeout = 86400\n"
    )
    (folder / "password").write_text(password := secrets.token_urlsafe(18))
    environment = {
        **os.environ,
        "TRYTOND_CONFIG": str(folder / "trytond.conf"),
        "TRYTONPASSFILE": str(folder / "password"),
        "TRYTOND_DATABASE_NAMES": database,
        "TRYTOND_LOGGING_LEVEL": _QUIET,
        "PGAPPNAME": "trytond",
    }
    filling = ["-d", database, "-u", "party", "--activate-dependencies", "--email", "admin@example.com"]
    subprocess.run([_PROGRAMS / "trytond-admin", *filling], env=environment, check=True)
    port = _free_port()
    serving = [
        *("--workers", "1", "--worker-class", "gthread", "--threads", str(_THREADS), "--keep-alive", str(_LONGEST)),
        *("--log-level", "warning", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "trytond.application:app"),
    ]
    process = subprocess.Popen([_PROGRAMS / "gunicorn", *serving], env=environment, cwd=folder, stdout=sys.stderr)
    try:
        yield psutil.Process(process.pid), _entered(Door(port, database), password, process)
    finally:
        process.terminate()
        process.wait(_LONGEST)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _entered(door: Door, password: str, process: "subprocess.Popen[bytes]") -> Door:
    """The door in a session, once the server answers."""
    until = time.monotonic() + _LONGEST
    while True:
        try:
            user, session, _ = Client(door).call("common.db.login", _LOGIN, {"password": password}, "en")
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("Tryton did not start") from None
            time.sleep(0.1)
        else:
            token = base64.b64encode(f"{_LOGIN}:{user}:{session}".encode()).decode()
            return door._replace(authorization=f"Session {token}")
