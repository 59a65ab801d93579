"""One PostgreSQL cluster and its server: made, started, found running, stopped. The caller holds the start lock."""

import os
import shlex
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.embedded import locks
from infra.embedded.account import Workplace
from infra.embedded.errors import EmbeddedPostgresError

SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": "",
    # Relative to the data directory: short enough for the kernel wherever the book lies.
    "unix_socket_directories": "../socket",
    "unix_socket_permissions": "0700",
    "port": "5432",
    # A book of original entry may not lose what it acknowledged; said here so that no file can say otherwise.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "300",  # ten processes at their fullest: docs/operator, Processes
    "jit": "off",  # costs more than it gives on short statements with many sub-selects
    "random_page_cost": "1.1",
    # The log keeps no statement and no row: both hold personal data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_TELL_EVERY = 5.0
_LOG_KEPT = 10_000_000


class _State(Enum):
    STOPPED = auto()
    LEFTOVERS = auto()
    """The server's head is gone, but other processes of it still work in the data directory."""
    STARTING = auto()
    READY = auto()


class Cluster:
    """The cluster in a directory that has `data/`, `socket/` and `server.log`."""

    def __init__(
        self,
        place: Path,
        workplace: Workplace,
        binaries: Path,
        major: int,
        superuser_password: Callable[[], str],
        report: Callable[[str], None],
        patience: float,
    ) -> None:
        self._data = place / "data"
        self._socket = place / "socket"
        self._log = place / "server.log"
        self._alive = place.parent / "server.lock"
        self._workplace = workplace
        self._binaries = binaries
        self._major = major
        self._superuser_password = superuser_password
        self._report = report
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workplace.close()

    def start(self) -> None:
        """Return once the server accepts connections, whether we started it or found it running."""
        # Whatever of ours is alive, if only the initdb of a killed process, comes to its end or its goal first.
        found = self._wait_while(_State.LEFTOVERS, _State.STARTING)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        if found is _State.READY:
            return
        self._remove_misleading_files()
        self._launch()
        if self._wait_while(_State.LEFTOVERS, _State.STARTING) is _State.STOPPED:
            raise EmbeddedPostgresError(
                f"PostgreSQL did not start. Its log, {self._log}, ends with:\n{self._log_end()}"
            )

    def stop(self) -> None:
        """Stop the server cleanly: connections are cut, what is committed is on disk, no recovery is needed."""
        if not (self._data / "PG_VERSION").exists() or self._state() is _State.STOPPED:
            return
        stopped = self._workplace.run(
            self._binaries / "pg_ctl", "stop", "-s", "-m", "fast", "-w", "-t", str(int(self._patience)),
            "-D", f"{self._workplace.seen_as}/data",
        )  # fmt: skip
        if stopped.returncode != 0 and self._wait_while(_State.LEFTOVERS) is not _State.STOPPED:
            raise EmbeddedPostgresError(f"PostgreSQL in {self._data} did not stop: {stopped.stdout.strip()}")

    def _initialise(self) -> None:
        self._require_room()
        self._report(f"Making a PostgreSQL {self._major} cluster in {self._data}")
        # Made under another name and renamed: a cluster that is there is whole, wherever a crash falls.
        self._workplace.remove("new")
        password_file = self._data.with_name("new-password")
        password_file.unlink(missing_ok=True)
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(self._superuser_password() + "\n")
        self._workplace.give(password_file)
        place = self._workplace.seen_as
        with self._life() as life:
            made = self._workplace.run(
                self._binaries / "initdb", f"--pgdata={place}/new", f"--pwfile={place}/new-password",
                f"--username={SUPERUSER}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
                "--locale-provider=libc", "--data-checksums", "--no-instructions",
                keep=[life],
            )  # fmt: skip
        password_file.unlink()
        if made.returncode != 0:
            raise EmbeddedPostgresError(f"PostgreSQL's initdb failed in {self._data.parent}:\n{made.stdout.strip()}")
        self._data.with_name("new").rename(self._data)

    def _require_room(self) -> None:
        try:
            taken = any(self._data.iterdir())
        except FileNotFoundError:
            return
        except OSError:  # it is no directory, or none that we may look into
            taken = True
        if taken:
            raise EmbeddedPostgresError(
                f"{self._data} is no whole PostgreSQL cluster: it has no PG_VERSION, and is not empty. Put back from a"
                " backup what stood there, or move away what stands there now to have a new book begun."
            )

    def _check_version(self) -> None:
        try:
            found = (self._data / "PG_VERSION").read_text(errors="replace").strip()
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The cluster in {self._data} can't be read: {error.strerror}, of its PG_VERSION. Put it back from a"
                " backup."
            ) from None
        if found != str(self._major):
            raise EmbeddedPostgresError(
                f"The cluster in {self._data} is PostgreSQL {found}'s, and this Daybook brings {self._major}."
                f" Start it with a Daybook that brings {found}, dump it with pg_dump, and restore the dump into a new"
                " directory (DAYBOOK_DATA)."
            )

    def _launch(self) -> None:
        self._report("Starting PostgreSQL")
        if self._log.exists() and self._log.stat().st_size > _LOG_KEPT:
            self._log.rename(self._log.with_name("server.log.1"))
        place = self._workplace.seen_as
        made = self._workplace.run("/bin/mkdir", "-p", "-m", "700", f"{place}/socket")
        if made.returncode != 0:
            raise EmbeddedPostgresError(f"PostgreSQL can't be started in {self._data.parent}: {made.stdout.strip()}")
        options = " ".join("-c " + shlex.quote(f"{name}={value}") for name, value in _SETTINGS.items())
        with self._life() as life:
            # -W: the waiting is ours, because pg_ctl's ends at a fixed time and tells nobody what it waits for.
            launched = self._workplace.run(
                self._binaries / "pg_ctl", "start", "-s", "-W", "-D", f"{place}/data", "-l", f"{place}/server.log",
                "-o", options,
                keep=[life],
            )  # fmt: skip
        if launched.returncode != 0:
            raise EmbeddedPostgresError(f"PostgreSQL did not start: {launched.stdout.strip()}\n{self._log_end()}")

    @contextmanager
    def _life(self) -> Generator[int]:
        """The descriptor of the lock that every process of the server inherits: as long as it is held, one lives."""
        held = locks.exclusive(self._alive)
        if held is None:
            raise EmbeddedPostgresError(f"Another process works in {self._data.parent}, past the start lock.")
        try:
            yield held.descriptor
        finally:
            held.close()  # from now on it is the server's alone

    def _wait_while(self, *states: _State) -> _State:
        begun = told = time.monotonic()
        while (state := self._state()) in states:
            now = time.monotonic()
            if now - begun > self._patience:
                raise EmbeddedPostgresError(
                    f"PostgreSQL has not become ready in {now - begun:.0f} seconds and is left at work. Try again"
                    f" later; its log, {self._log}, ends with:\n{self._log_end()}"
                )
            if now - told > _TELL_EVERY:
                doing = "starting (recovering, after a crash)" if state is _State.STARTING else "ending after a crash"
                self._report(f"PostgreSQL is still {doing} ({now - begun:.0f} s)")
                told = now
            time.sleep(0.02)
        return state

    def _state(self) -> _State:
        pid_file = self._pid_file()
        head_lives = pid_file is not None and self._works_here(pid_file[0])
        if (free := locks.exclusive(self._alive)) is not None:
            free.close()
            # No server of ours is alive, but an operator may have started one by hand, past our locks.
            if not head_lives:
                return _State.STOPPED
        if pid_file is None:
            return _State.STARTING
        if not head_lives:
            return _State.LEFTOVERS
        return _State.READY if pid_file[1] == "ready" else _State.STARTING

    def _pid_file(self) -> tuple[int, str] | None:
        """The server's process id and what it says of itself; None where there is none, or not yet a whole one."""
        try:
            lines = (self._data / "postmaster.pid").read_text(errors="replace").splitlines()
            return int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting"
        except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
            return None

    def _remove_misleading_files(self) -> None:
        """Remove a dead server's lock files when their number now belongs to somebody else, or to its own corpse.

        PostgreSQL would take that process for a running server and refuse to start; in a container, where numbers begin
        anew and the dead lie uncollected, that is the rule rather than the exception. Any other stale file we leave to
        PostgreSQL, which also looks for survivors by the shared memory that the file names.
        """
        for file in (self._data / "postmaster.pid", self._socket / ".s.PGSQL.5432.lock"):
            try:
                number = int(file.read_text(errors="replace").split("\n")[0])
            except (FileNotFoundError, ValueError):
                continue
            if _is_taken(number):
                file.unlink()

    def _works_here(self, pid: int) -> bool:
        """Whether this process lives and is a PostgreSQL at work in our data directory."""
        try:
            name, _, state = Path(f"/proc/{pid}/stat").read_text(errors="replace").partition("(")[2].rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):
            return not Path("/proc/self/stat").exists() and _is_taken(pid)  # a system without /proc: believe the file
        if name != "postgres" or state.startswith(("Z", "X")):
            return False  # a number used again, or a corpse that nobody has collected
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self._data)
        except PermissionError:
            return True  # in most containers root may not look: name and life must do
        except OSError:
            return False

    def _log_end(self) -> str:
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
        except OSError:
            return "(no log)"


def _is_taken(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
