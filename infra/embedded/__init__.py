"""The embedded PostgreSQL: a server of our own in a directory of ours, for everybody who brings no server.

    with EmbeddedPostgres(Path(".daybook/postgres")) as conninfo:
        psycopg.connect(conninfo)

Several processes may do so at once: the first one starts the server, the last one stops it. Our directory holds

    password, superuser-password   secrets (scram-sha-256), for the application's role and for postgres
    start.lock                     held by the one process that is starting or stopping the server
    users.lock                     shared by every process that uses it
    server.lock                    inherited by every process of the server: held means alive, whatever a pid file says
    cluster/                       the server's own: data/, socket/, server.log
"""

import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from infra.embedded import locks
from infra.embedded.account import Workplace, server_account
from infra.embedded.cluster import SUPERUSER, Cluster
from infra.embedded.errors import EmbeddedPostgresError
from infra.embedded.software import reachable, wheel_binaries
from infra.private_files import private_directory, secret
from infra.roles import Account, Role

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_NAME = "daybook"
_PREPARING = 0x6461_7962
"""Advisory lock, in the database postgres, of whoever makes our role and database."""
_LONGEST_SOCKET_PATH = 103
"""Bytes. The kernel's sockaddr_un has room for 107 on Linux and 103 on macOS, however long other paths may be."""


class EmbeddedPostgres:
    """One user's hold on the server of a directory. `acquire` starts it where nobody has; the last
    `release` stops it."""

    def __init__(
        self,
        directory: Path,
        *,
        major: int = 18,
        report: Callable[[str], None] | None = None,
        binaries: Path | None = None,
        leave_running: bool = False,
        patience: float = 600,
    ) -> None:
        """`report` is told what takes long; `binaries` replaces the wheel's programs; `patience` bounds every wait, in
        seconds: recovery after a crash may take minutes, and giving up early would look like a lost book."""
        self._directory = directory.absolute()
        self._major = major
        self._report = report or _say_nothing
        self._binaries = binaries
        self._leave_running = leave_running
        self._patience = patience
        self._hold: locks.Held | None = None
        self._socket: Path | None = None
        self._forget_short_way: Callable[[], object] = _nothing

    def acquire(self) -> str:
        """The connection string of the application's role, once the server accepts connections."""
        if self._hold is None:
            private_directory(self._directory)
            with self._starting_alone():
                self._hold = locks.shared(self._directory / "users.lock")
                if self._hold is None:
                    raise EmbeddedPostgresError(f"Another process has {self._directory} for itself.")
                try:
                    with self._cluster() as cluster:
                        cluster.start()
                    self._socket = self._reachable_socket()
                    self._wait_until_it_answers()
                except BaseException:
                    # A server that is still recovering goes on: stopping it would only begin the recovery anew.
                    self._hold.close()
                    self._hold = None
                    raise
                try:
                    self._prepare_database()
                except BaseException:
                    self._let_go()
                    raise
        return self._conninfo(_NAME, "password", _NAME)

    def release(self) -> None:
        """Give up our hold; stops the server when it was the last one and was not to be left running."""
        if self._hold is not None:
            with self._starting_alone():
                self._let_go()

    def superuser_conninfo(self) -> str:
        """The connection string of the server's superuser, for administration."""
        return self._conninfo(SUPERUSER, "superuser-password", "postgres")

    def __enter__(self) -> str:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _starting_alone(self) -> AbstractContextManager[None]:
        return locks.alone(
            self._directory / "start.lock",
            self._patience,
            lambda: self._report("Waiting for another process that is starting or stopping this PostgreSQL"),
        )

    def _cluster(self) -> Cluster:
        place = self._directory / "cluster"
        workplace = Workplace(place, server_account(place))
        binaries = reachable(self._binaries or wheel_binaries(self._major), workplace)
        return Cluster(place, workplace, binaries, self._major, self._superuser_password, self._report, self._patience)

    def _let_go(self) -> None:
        """Under the start lock: nobody can come in between our hold's end and the look for other holds."""
        if self._hold is not None:
            self._hold.close()
            self._hold = None
        self._forget_short_way()
        if not self._leave_running and (everybody_left := locks.exclusive(self._directory / "users.lock")):
            try:
                with self._cluster() as cluster:
                    cluster.stop()
            finally:
                everybody_left.close()

    def _superuser_password(self) -> str:
        return secret(self._directory / "superuser-password", _new_password)

    def _conninfo(self, user: str, password_file: str, database: str) -> str:
        if self._socket is None:
            raise RuntimeError("acquire() comes first")
        password = self._password(password_file)
        return make_conninfo(host=str(self._socket), port=5432, user=user, password=password, dbname=database)

    def _password(self, name: str) -> str:
        file = self._directory / name
        if not file.exists():
            raise EmbeddedPostgresError(
                f"The file {file} is gone, and with it the way into this PostgreSQL. Put it back from a backup."
            )
        return secret(file, _new_password)

    def _reachable_socket(self) -> Path:
        """The socket's directory under a name that fits: where ours is too long, through a link in a short place."""
        socket = self._directory / "cluster" / "socket"
        # libpq takes a comma for the end of one host and the beginning of another.
        if len(bytes(socket / ".s.PGSQL.5432")) <= _LONGEST_SOCKET_PATH and "," not in str(socket):
            return socket
        # Random name, mode 0700: nobody can have put anything there before us. Not TMPDIR, which may be long as well.
        short = Path(tempfile.mkdtemp(prefix="daybook-", dir="/tmp"))
        self._forget_short_way = weakref.finalize(self, shutil.rmtree, short, ignore_errors=True)
        (short / "socket").symlink_to(socket)
        return short / "socket"

    def _wait_until_it_answers(self) -> None:
        """A server that restarts itself, after the crash of one of its processes, goes on calling itself ready."""
        deadline = time.monotonic() + self._patience
        address = make_conninfo(host=str(self._socket), port=5432).encode()
        while psycopg.pq.PGconn.ping(address) != psycopg.pq.Ping.OK:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"The PostgreSQL in {self._directory} runs, but has not answered for {self._patience:.0f} seconds:"
                    " it may still be recovering from a crash. Try again later."
                )
            time.sleep(0.02)

    def _prepare_database(self) -> None:
        """The application's roles and database, no superuser's. Repeatable: the process that began it may have died."""
        try:
            with psycopg.connect(self.superuser_conninfo(), autocommit=True, connect_timeout=30) as db:
                # A killed process's statement may still be running in the server: look only once it has ended.
                db.execute("SELECT pg_advisory_lock(%s)", (_PREPARING,))
                if db.info.server_version >= 16_00_00:
                    # For 256 random bits 4096 rounds are no safer, and were half of what a connection takes.
                    db.execute("SET scram_iterations = 1")
                if db.execute("SELECT FROM pg_roles WHERE rolname = %s", (_NAME,)).rowcount == 0:
                    password = secret(self._directory / "password", _new_password)
                    # Hashed here, so that the server never sees the password, not even in its log.
                    hashed = db.pgconn.encrypt_password(password.encode(), _NAME.encode(), b"scram-sha-256").decode()
                    db.execute(sql.SQL("CREATE ROLE daybook LOGIN PASSWORD {}").format(sql.Literal(hashed)))
                for account in (Account.beside(_NAME, self._password("password"), role) for role in Role):
                    if db.execute("SELECT FROM pg_roles WHERE rolname = %s", (account.name,)).rowcount == 0:
                        with db.transaction():
                            for statement in account.made(db):
                                db.execute(statement)
                if db.execute("SELECT FROM pg_database WHERE datname = %s", (_NAME,)).rowcount == 0:
                    db.execute("CREATE DATABASE daybook OWNER daybook")
        except psycopg.Error as error:
            raise EmbeddedPostgresError(
                f"The PostgreSQL in {self._directory} runs but does not let us in: {str(error).strip()}"
            ) from None


def _nothing() -> None:
    pass


def _say_nothing(_: str) -> None:
    pass


def _new_password() -> str:
    return secrets.token_urlsafe(32)
