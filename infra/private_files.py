"""Files that only their owner may read: secrets and personal data, each there whole or not at all."""

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

_ELSEWHERE = "Run Daybook as the account that it belongs to, or name another place (DAYBOOK_DATA)."
_OTHER_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class PrivateFileError(Exception):
    """A secret or its directory can't be made, read or trusted; the message says what to do."""


def private_directory(directory: Path) -> Path:
    """The directory, made for its owner alone where it is missing. What stands above it keeps its permissions."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise PrivateFileError(f"The directory {directory} can't be made: {error.strerror}.") from None
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise PrivateFileError(f"The directory {directory} {_why_shut(directory)}")
    return directory


def _why_shut(directory: Path) -> str:
    another = "name another directory: with DAYBOOK_DATA, or for a witness with --keep."
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return f"stands on a file system that is read-only. Have it mounted writable, or {another}"
    if directory.stat().st_uid != os.geteuid():
        return f"belongs to another account. Run Daybook as its owner, or {another}"
    return f"can't be read and written by its owner. Allow it with: chmod u+rwx {directory}"


def is_there(file: Path) -> bool:
    """Whether there is something of this name. Raises PrivateFileError where that can't be found out."""
    try:
        return file.exists()
    except OSError as error:  # of another account, or with a name that is too long
        raise PrivateFileError(f"The file {file} can't be looked for: {error.strerror}. {_ELSEWHERE}") from None


def secret(file: Path, make: Callable[[], str]) -> str:
    """The secret in this file; where there is no file, a new secret, stored with mode 0600 before it is used.

    A directory that is missing is made for its owner alone; one that the file is there in need not be writable.
    """
    if not is_there(file):
        private_directory(file.parent)
        _store(file, make())
    return kept(file)


def kept(file: Path) -> str:
    """The secret in this file."""
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise PrivateFileError(f"The file {file} can be read by others. Forbid it with: chmod 600 {file}")
        held = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PrivateFileError(f"The file {file} can't be read: {error}.") from None
    if not held:
        raise PrivateFileError(f"The file {file} is empty. Put back what it held, or remove it to have it made anew.")
    return held


def begin(file: Path, content: str) -> None:
    """Write a file that is not there yet, for its owner alone."""
    try:
        _write(file, content, os.O_EXCL)
    except FileExistsError:
        raise PrivateFileError(f"The file {file} is there already. Name another one, or remove it.") from None
    except OSError as error:
        raise PrivateFileError(f"The file {file} can't be written: {error.strerror}.") from None


def destination(file: Path) -> Path:
    """The file that is written where this one is named: links are followed.

    Raises PrivateFileError where there is something else than a file: a file put in its place would destroy it.
    """
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise PrivateFileError(f"The file {file} can't be written: {error.strerror}.") from None
    if not stat.S_ISREG(mode):
        kind = _OTHER_KINDS.get(stat.S_IFMT(mode), "no file")
        raise PrivateFileError(f"The file {file} can't be written: it is {kind}. Name a file, or one that isn't there.")
    return Path(os.path.realpath(file))


def replace(file: Path, content: str | bytes) -> None:
    """Let a file hold this and nothing else. Killed meanwhile, or without power, it holds the former or this, whole.

    One process at a time. A link is followed: what it names is written. Raises PrivateFileError.
    """
    file = destination(file)
    beside = file.with_name(f".{file.name}.new")
    try:
        try:
            _write(beside, content, os.O_TRUNC)
            beside.replace(file)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        _sync(file.parent)
    except OSError as error:
        raise PrivateFileError(f"The file {file} can't be written: {error.strerror}.") from None


def supersede(file: Path, content: str) -> None:
    """`replace`, and what the file held is overwritten, with whatever a killed process of ours has left of it beside.

    As far as that is in our hands: a file system that copies on write, a snapshot or a backup keeps it.
    """
    try:
        if file.stat().st_uid != os.geteuid():
            raise PrivateFileError(f"The file {file} belongs to another account. Run Daybook as its owner.")
        file = destination(file)
        for left in file.parent.glob(f".{file.name}.*"):
            left.unlink()
        with file.open("r+b") as former:
            replace(file, content)
            held = os.fstat(former.fileno())
            if held.st_nlink == 0:  # nobody else calls it by another name
                former.write(bytes(held.st_size))
                former.flush()
                os.fsync(former.fileno())
    except OSError as error:
        raise PrivateFileError(f"The file {file} can't be replaced: {error.strerror}.") from None


def _store(file: Path, content: str) -> None:
    # Written beside and linked into place: of two processes one wins, and neither ever reads half a secret.
    beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write(beside, content + "\n", os.O_EXCL)
            file.hardlink_to(beside)
        except FileExistsError:
            pass  # another process was first: its secret counts
        finally:
            beside.unlink(missing_ok=True)
        _sync(file.parent)
    except OSError as error:
        raise PrivateFileError(f"The file {file} can't be written: {error.strerror}.") from None


def _write(file: Path, content: str | bytes, how: int) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | how, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
