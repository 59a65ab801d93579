"""A witness keeps the newest checkpoint of a log in another place, and cosigns those that go on from it.

It knows neither the database nor any settings. What it is asked is the request `add-checkpoint` of C2SP's tlog-witness,
or a checkpoint alone; what it knows stands in a directory of its own:

    witness.key     its private key
    log.key         the key that the log's signatures are verified with
    checkpoint      the newest that it has cosigned
    split-view-*    checkpoints of one size that contradict each other, where there were any
"""

import base64
import fcntl
import os
import secrets
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from infra.log.checkpoint import SIZE, Checkpoint, read, verified
from infra.log.cosignature import Cosigner
from infra.log.note import NoteError, Verifier, signature_line, signatures
from infra.log.proofs import consistent
from infra.private_files import PrivateFileError, private_directory, replace, secret

MOST_BYTES = 1 << 18
"""Of a request: 63 hashes and 16 signatures of the largest kind are less than half of it."""
_MOST_STEPS = 63


class NotCosigned(Exception):
    """A checkpoint that a witness does not cosign; the message says why, and what to do."""


class Request(NamedTuple):
    """What a witness is asked to cosign."""

    note: str
    asked: Checkpoint
    """What the note says."""
    former: int | None
    """The size that the proof begins with; None: there is only a checkpoint."""
    proof: Sequence[bytes]

    @classmethod
    def read(cls, text: str) -> "Request":
        """From a request, or from a checkpoint alone. Raises NoteError."""
        if not text.startswith("old "):
            return cls(text, read(text), None, [])
        head, _, note = text.partition("\n\n")
        size, *lines = head.removeprefix("old ").split("\n")
        try:
            proof = [base64.b64decode(line, validate=True) for line in lines]
        except ValueError:
            proof = [b""]
        if not SIZE.fullmatch(size) or len(proof) > _MOST_STEPS or any(len(step) != 32 for step in proof):
            raise NoteError("what stands before the checkpoint is no proof")
        asked = read(note)
        if int(size) > asked.size:
            raise NoteError(f"it goes backwards, from {size} entries to {asked.size}")
        return cls(note, asked, int(size), proof)


@contextmanager
def opened(directory: Path) -> Generator["Witness"]:
    """The witness of a directory, a new one where there is none; who else wants it waits. Raises PrivateFileError."""
    private_directory(directory)
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        raise PrivateFileError(f"The directory {directory} is open to others. Forbid it with: chmod 700 {directory}")
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Witness(directory)
    finally:
        os.close(lock)


class Witness:
    """One log's witness. Made by `opened`."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._checkpoint, self._log_key = directory, directory / "checkpoint", directory / "log.key"
        self._cosigner = self._own(directory / "witness.key")
        self.log = self._known()
        """The key of the log that it is the witness of; None: it has cosigned nothing yet."""

    @property
    def verifier(self) -> str:
        """The key that its cosignatures are verified with."""
        return self._cosigner.verifier

    def cosigned(self, request: Request, log: Verifier, at: int) -> str:
        """The checkpoint with the log's signature and a cosignature, once it is kept for good.

        `log`: the log's key. `at`: now, in seconds since 1970-01-01 00:00 UTC. Raises NotCosigned, with nothing changed
        but for the proof of a split view; and PrivateFileError.
        """
        if self.log not in (None, log):
            raise NotCosigned(
                f"This witness verifies its log with another key: {self.log}. A log with a new key is another log: give"
                " it a directory of its own, and have the operator say why it was begun."
            )
        note = self._believed(request, log)
        kept = self._kept(log)
        if kept is None:
            self._begins(request)
        else:
            self._goes_on(request, note, *kept)
        note += self._cosigner.cosignature(signatures(note)[0], at)
        replace(self._checkpoint, note)
        if self.log is None:  # the last, so that where it stands a checkpoint was kept
            replace(self._log_key, f"{log}\n")
        return note

    def _believed(self, request: Request, log: Verifier) -> str:
        """The note with the log's signature, and without those that are not looked at here."""
        if request.asked.origin != log.name:
            raise NotCosigned(f"It is a checkpoint of the log {request.asked.origin[:100]}, and not of {log.name}.")
        try:
            verified(request.note, [log])
        except NoteError as error:
            raise NotCosigned(f"The log {log.name} has not signed it: {error}.") from None
        text, found = signatures(request.note)
        mine = next(signature for name, id, signature in found if (name, id) == (log.name, log.id))
        return f"{text}\n{signature_line(log.name, log.id, mine)}"

    def _begins(self, request: Request) -> None:
        if request.former:
            raise NotCosigned(
                f"It goes on from {request.former} entries, and this witness keeps nothing yet. Begin with a checkpoint"
                " alone: `daybook checkpoint` prints one."
            )
        if request.proof:
            raise NotCosigned("It has a proof, where nothing can be proven: it goes on from nothing.")

    def _goes_on(self, request: Request, note: str, kept_note: str, kept: Checkpoint) -> None:
        asked, next_time = request.asked, f"`daybook checkpoint --since` this one makes the next: {self._checkpoint}"
        if asked.size == kept.size:
            if asked.root != kept.root:
                self._split(kept_note, kept, note, asked)
            return  # again: a cosignature may have been lost on its way
        if asked.size < kept.size:
            raise NotCosigned(
                f"It covers {asked.size} entries, and this witness keeps one over {kept.size}. If it is only an old"
                f" one, {next_time}. If the log has no newer, it has lost entries."
            )
        if request.former is None:
            raise NotCosigned(
                f"It covers {asked.size} entries, and nothing shows that it goes on from the {kept.size} that this"
                f" witness keeps: {next_time}."
            )
        if request.former != kept.size:
            raise NotCosigned(
                f"It goes on from {request.former} entries, and this witness keeps a checkpoint over {kept.size}:"
                f" {next_time}."
            )
        if not consistent(kept.size, kept.root, asked.size, asked.root, request.proof):
            raise NotCosigned(
                f"INCONSISTENT: the proof does not show that the {asked.size} entries begin with the {kept.size} that"
                " this witness keeps a checkpoint of. Keep the request. If another one that is made from"
                f" {self._checkpoint} is refused too, it was not damaged on its way: history was altered."
            )

    def _split(self, kept_note: str, kept: Checkpoint, note: str, asked: Checkpoint) -> None:
        files = [self._directory / f"split-view-{one.size}-{one.root.hex()[:16]}" for one in (kept, asked)]
        for file, one in zip(files, (kept_note, note), strict=True):
            replace(file, one)
        raise NotCosigned(
            f"SPLIT VIEW: the log has signed two histories of {kept.size} entries that differ. With both checkpoints"
            f" anybody sees that it did: {files[0]} and {files[1]}."
        )

    def _kept(self, log: Verifier) -> tuple[str, Checkpoint] | None:
        """The newest that was cosigned."""
        if not self._checkpoint.exists():
            if self.log is not None:
                raise PrivateFileError(f"The file {self._checkpoint} is gone. Put back the newest cosigned checkpoint.")
            return None
        try:
            note = self._checkpoint.read_text(encoding="utf-8")
            return note, verified(note, [log])
        except (OSError, UnicodeDecodeError, NoteError) as error:
            raise PrivateFileError(
                f"The file {self._checkpoint} is no checkpoint of {log.name}: {error}. Put back the newest."
            ) from None

    def _own(self, file: Path) -> Cosigner:
        if self._checkpoint.exists() and not file.exists():
            raise PrivateFileError(f"The file {file} is gone. Put it back: others know this witness by its key.")
        text = secret(file, lambda: Cosigner(f"daybook-witness/{secrets.token_hex(8)}", os.urandom(32)).secret)
        try:
            return Cosigner.read(text)
        except NoteError as error:
            raise PrivateFileError(f"The file {file} holds no key of a witness: {error}. Put it back.") from None

    def _known(self) -> Verifier | None:
        if not self._log_key.exists():
            return None
        try:
            return Verifier.read(self._log_key.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError, NoteError) as error:
            raise PrivateFileError(f"The file {self._log_key} holds no key of a log: {error}. Put it back.") from None
