"""The erasure ledger: a file apart from the database that says whose data was erased, so that no backup brings it back.

One JSON object a line: `{"subject": ..., "keys": [...], "at": ...}` before the keys are destroyed, with every key, and
`{"subject": ..., "position": ...}` once the receipt stands in the book. No personal data: ids, times, positions.
"""

import errno
import fcntl
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from infra.private_files import private_directory

NAME = "erasures.jsonl"


class LedgerError(Exception):
    """The erasure ledger can't be read or written; the message says what to do."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is written before an erasure (`keys`, `at`), and after it (`position`)."""

    subject: UUID
    """The customer."""
    keys: tuple[UUID, ...] = ()
    at: datetime | None = None
    position: int | None = None
    """Of the receipt in the book."""


class Ledger:
    """The ledger in a file. Several processes of a host may write to it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def make(self) -> None:
        """Make the file where there is none: it is kept with the keys from the first day on. Raises LedgerError."""
        private_directory(self.file.parent)
        try:
            os.close(os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError as error:
            raise LedgerError(f"The erasure ledger {self.file} can't be made: {error.strerror}.") from None

    def begin(self, subject: UUID, keys: tuple[UUID, ...]) -> None:
        """Write down, for good, that these keys are about to be destroyed."""
        self._append(Line(subject=subject, keys=keys, at=datetime.now(UTC)))

    def done(self, subject: UUID, position: int) -> None:
        """Write down where the receipt stands."""
        self._append(Line(subject=subject, position=position))

    def erased(self) -> dict[UUID, frozenset[UUID]]:
        """By customer, every key that was destroyed. Raises LedgerError."""
        found: dict[UUID, frozenset[UUID]] = {}
        for line in self._lines():
            found[line.subject] = found.get(line.subject, frozenset()) | frozenset(line.keys)
        return found

    def _lines(self) -> list[Line]:
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LedgerError(f"The erasure ledger {self.file} can't be read: {error.strerror}.") from None
        # What a crash cut off in the middle was never acted upon: its end reaches the disk before a key is destroyed.
        lines = content[: content.rfind(b"\n") + 1].splitlines()
        try:
            return [
                msgspec.json.decode(line, type=Line) for line in lines if line.startswith(b"{") and line.endswith(b"}")
            ]
        except msgspec.MsgspecError:
            raise LedgerError(
                f"The erasure ledger {self.file} holds a line that is none of ours. Put back the file as it was:"
                " without it a backup could bring back what was erased."
            ) from None

    def _append(self, line: Line) -> None:
        private_directory(self.file.parent)
        try:
            made = not self.file.exists()
            handle = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
                    raise LedgerError(
                        f"The erasure ledger {self.file} can be read by others. Forbid it with: chmod 600 {self.file}"
                    )
                size = os.fstat(handle).st_size
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                written = b"\n" * torn + msgspec.json.encode(line) + b"\n"
                if os.write(handle, written) < len(written):  # a disk that is full in the middle says so no other way
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            finally:
                os.close(handle)
            if made:
                _sync(self.file.parent)
        except OSError as error:
            raise LedgerError(
                f"The erasure ledger {self.file} can't be written: {error.strerror}. Nothing is erased before it can"
                " (DAYBOOK_ERASURE_LEDGER names another place)."
            ) from None


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
