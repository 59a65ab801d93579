"""Proofs out of the stored log, in C2SP's formats: of one entry (tlog-proof), and for a witness (tlog-witness)."""

import base64
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from infra.log.checkpoint import Checkpoint, believed, verified
from infra.log.leaf import encoded, history, position_of
from infra.log.note import NoteError, Verifier
from infra.log.proofs import Node, consistency, consistent, included, inclusion
from infra.log.store import LogError, StoredTree, latest
from infra.log.tree import leaf_hash

_CONTRADICTION = "The stored log does not lead from entry {} to its last checkpoint. `daybook verify` says more."


class NotYetSigned(LogError):
    """No checkpoint reaches as far as it is asked for."""


def entry_proof(db: Connection[Any], position: int, own: Verifier | None = None) -> str:
    """The proof that an entry stands in the book, with the entry's leaf as extra data. `own`: as of `last_checkpoint`.

    Raises LogError where there is no such entry, no checkpoint over it, or none that it leads to.
    """
    note, last = last_checkpoint(db, own)
    if not 0 < position <= last.size:
        raise LogError(f"There is no entry {position} under a checkpoint: the last one covers {last.size} entries.")
    leaf = next(encoded(db, position - 1, 1), None)
    if leaf is None or position_of(leaf) != position:  # the next that is there would prove itself in its place
        raise LogError(f"There is no entry {position}, though a checkpoint covers it. `daybook verify` says more.")
    proof = _proof(leaf, last, StoredTree(db).node)
    head = ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(leaf).decode()}", f"index {position - 1}"]
    return _lines(*head, *_encoded(proof)) + "\n" + note


class ProvenEntry(NamedTuple):
    """A leaf, and the proof that it stands in the tree of a checkpoint."""

    leaf: bytes
    proof: Sequence[bytes]


class ProvenHistory(NamedTuple):
    """A record's entries up to a position, each with its proof against one checkpoint."""

    note: str
    """The signed checkpoint."""
    through: int
    entries: Sequence[ProvenEntry]


def proven_history(
    db: Connection[Any],
    originator: UUID,
    through: int | None = None,
    at_most: int | None = None,
    own: Verifier | None = None,
) -> ProvenHistory:
    """The entries of a record up to a position, or to the last checkpoint, with their proofs against that one.

    `at_most`: where no position is named, the one that is not gone beyond. `own`: as of `last_checkpoint`.

    Raises LogError where the checkpoint does not reach that far, or an entry does not lead to it.
    """
    note, last = last_checkpoint(db, own)
    if through is None:
        through = last.size if at_most is None else min(last.size, at_most)
    if through > last.size:
        raise NotYetSigned(f"The last checkpoint covers {last.size} entries; one over newer ones is signed in seconds.")
    node = cache(StoredTree(db).node)  # entries of one record share most of what is above them
    # All of them first: while they are streamed, the connection does nothing else.
    entries = [ProvenEntry(leaf, _proof(leaf, last, node)) for leaf in [*history(db, originator, through)]]
    return ProvenHistory(note, through, entries)


def _proof(leaf: bytes, last: Checkpoint, node: Node) -> Sequence[bytes]:
    """The proof that a leaf stands in the tree of a checkpoint. Raises LogError where it does not."""
    index = position_of(leaf) - 1
    proof = inclusion(index, last.size, node)
    if not included(leaf_hash(leaf), index, last.size, proof, last.root):
        raise LogError(_CONTRADICTION.format(position_of(leaf)))
    return proof


def witness_request(db: Connection[Any], former: Checkpoint, own: Verifier | None = None) -> str:
    """What a C2SP witness is asked with that knows a former checkpoint: the proof that the last one goes on from it.

    `own`: as of `last_checkpoint`. Raises LogError where it does not.
    """
    note, last = last_checkpoint(db, own)
    if former.size > last.size:
        raise LogError(f"That checkpoint covers {former.size} entries, and the last one here only {last.size}.")
    proof = consistency(former.size, last.size, StoredTree(db).node)
    if not consistent(former.size, former.root, last.size, last.root, proof):
        raise LogError(
            f"This book does not go on from that checkpoint: something up to entry {former.size} was altered since."
            " `daybook verify --checkpoint` says more."
        )
    return _lines(f"old {former.size}", *_encoded(proof)) + "\n" + note


def last_checkpoint(db: Connection[Any], own: Verifier | None = None) -> tuple[str, Checkpoint]:
    """The last checkpoint, as the signed note and what it says. `own`: the key here, where there is one.

    Raises LogError where there is none, or none that can be handed out: its signature is not what it claims to be, or
    the key here has signed this log before, and another the last one. Until a new key has signed, a former one's is
    the last, and good.
    """
    last = latest(db)
    if last is None:
        raise NotYetSigned("There is no checkpoint yet. `daybook checkpoint` makes one.")
    try:
        found = believed(last.note, own)
        if own is not None and (found.origin == own.name or _has_signed(db, own)):
            verified(last.note, [own])
    except NoteError as error:
        raise LogError(f"The last checkpoint can't be believed: {error}. `daybook verify` says more.") from None
    return last.note, found


def _has_signed(db: Connection[Any], own: Verifier) -> bool:
    notes = db.execute("SELECT note FROM daybook_log.checkpoints WHERE starts_with(note, %s)", (f"{own.name}\n",))
    return any(_is_signed(note, own) for (note,) in notes)


def _is_signed(note: str, own: Verifier) -> bool:
    try:
        verified(note, [own])
    except NoteError:
        return False
    return True


def _encoded(proof: Iterable[bytes]) -> Iterable[str]:
    return (base64.b64encode(digest).decode() for digest in proof)


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
