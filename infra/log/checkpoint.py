"""Checkpoints (C2SP tlog-checkpoint): the size and the root of the tree, under the name of the log."""

import base64
import re
from collections.abc import Iterable
from typing import NamedTuple

from infra.log.note import NoteError, Signer, Verifier, opened, signatures

SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
"""How the number of entries is written."""


class Checkpoint(NamedTuple):
    """What the log says of itself."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def checkpoint(size: int, root: bytes, signer: Signer) -> str:
    """A signed checkpoint; the log has the name of its key."""
    return signer.signed(Checkpoint(signer.verifier.name, size, root).text)


def read(note: str) -> Checkpoint:
    """A checkpoint, whoever has signed it. Raises NoteError where it is none."""
    return _parsed(signatures(note)[0])


def verified(note: str, verifiers: Iterable[Verifier]) -> Checkpoint:
    """A checkpoint that one of these has signed in its own name. Raises NoteError."""
    found = read(note)
    opened(note, [verifier for verifier in verifiers if verifier.name == found.origin])
    return found


def believed(note: str, own: Verifier | None = None) -> Checkpoint:
    """A checkpoint that nothing speaks against which is known here. Raises NoteError.

    It is of the log that one of its signers has the name of, and what claims to be signed with one's own key is.
    Whether another has signed it, such as a former one, is for whoever has that key to say.
    """
    found, signers = read(note), signers_of(note)
    if found.origin not in [name for name, _ in signers]:
        raise NoteError("it is of another log than its signature")
    if own is not None and (own.name, own.id) in signers:
        return verified(note, [own])
    return found


def signers_of(note: str) -> list[tuple[str, bytes]]:
    """By whom a note claims to be signed: names, and the ids of their keys. Raises NoteError where it is none."""
    return [(name, id) for name, id, _ in signatures(note)[1]]


def _parsed(text: str) -> Checkpoint:
    lines = text.split("\n")
    try:
        origin, size, encoded = lines[:3]
        root = base64.b64decode(encoded, validate=True)
    except ValueError:
        origin, size, root = "", "", b""
    if not origin or not SIZE.fullmatch(size) or len(root) != 32 or "" in lines[:-1]:
        raise NoteError("it is no checkpoint")
    return Checkpoint(origin, int(size), root)
