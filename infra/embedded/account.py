"""Which account the server's processes run as, and how they reach their directory.

PostgreSQL refuses to run as root, rightly. Started by root it runs as an unprivileged account, which must not get at
anything else of ours (the master key lies beside it), and usually could not: a book under /root is behind a door that
is closed to it. So root opens the server's own directory and hands the open directory over; through /proc/self/fd the
server reaches that directory and nothing above or beside it, and no permission of anybody's directory is touched.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.embedded.errors import EmbeddedPostgresError

_PREFERRED = ("daybook", "postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An account of this system."""

    uid: int
    gid: int


def server_account(directory: Path) -> Account | None:
    """Who is to run the server of this directory; None: we ourselves, because we are not root."""
    if os.geteuid() != 0:
        return None
    if directory.exists() and (owner := directory.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)  # once chosen, for good: the files are theirs
    if not Path("/proc/self/fd").is_dir():
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and this system has no /proc through which another account could be given"
            " just its directory. Run Daybook as a normal user, or set DATABASE_URL."
        )
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and this system has none of the accounts {', '.join(_PREFERRED)} to run it."
        " Make an account named daybook, run Daybook as a normal user, or set DATABASE_URL."
    )


class Workplace:
    """The server's own directory, and the way to run programs in it as the server's account."""

    def __init__(self, directory: Path, account: Account | None) -> None:
        self._account = account
        self._open: int | None = None
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            if account is not None:
                os.chown(directory, account.uid, account.gid)
                self._open = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The directory {directory} can't be given to the account that runs PostgreSQL: {error.strerror}."
                " Run Daybook as a normal user, or set DATABASE_URL."
            ) from None
        self.seen_as = str(directory) if self._open is None else f"/proc/self/fd/{self._open}"
        """The directory's path for the programs that `run` starts."""

    def run(self, *command: str | Path, keep: Iterable[int] = ()) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; processes that it leaves behind inherit the descriptors to keep."""
        inherited = [*keep] if self._open is None else [*keep, self._open]
        try:
            return subprocess.run(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                cwd="/",  # ours may be out of the account's reach
                env={"LC_ALL": "C", "PATH": os.defpath},  # PGDATA, PGHOST and their like are not meant for this server
                umask=0o077,
                pass_fds=inherited,
                **({} if self._account is None else _as(self._account)),
            )
        except PermissionError:
            raise EmbeddedPostgresError(
                f"{command[0]} may not be run as the account that runs PostgreSQL. Run Daybook as a normal user, or set"
                " DATABASE_URL."
            ) from None

    def may_run(self, program: Path) -> bool:
        """Whether the account reaches this program."""
        try:
            return self.run(program, "--version").returncode == 0
        except EmbeddedPostgresError:
            return False

    def give(self, file: Path) -> None:
        """Make the account the owner of a file that we put into its directory."""
        if self._account is not None:
            os.chown(file, self._account.uid, self._account.gid, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Remove what an unfinished attempt left in the directory."""
        if self._open is None:
            if (remains := Path(self.seen_as) / name).exists():
                shutil.rmtree(remains)
        else:
            # As the account itself: root would follow wherever the account might have made it point.
            removed = self.run("/bin/rm", "-rf", f"{self.seen_as}/{name}")
            if removed.returncode != 0:
                raise EmbeddedPostgresError(f"The remains of an unfinished attempt are in the way: {removed.stdout}")

    def close(self) -> None:
        """Forget the directory; running servers keep it open for themselves."""
        if self._open is not None:
            os.close(self._open)
            self._open = None


def _as(account: Account) -> dict[str, Any]:
    return {"user": account.uid, "group": account.gid, "extra_groups": []}
