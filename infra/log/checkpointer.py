"""Makes the log grow: hashes what is new in the book, and signs a checkpoint over it. Never in the way of a commit."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from infra import silence
from infra.beside import beside
from infra.log.checkpoint import believed, checkpoint, signers_of
from infra.log.leaf import leaves
from infra.log.note import NoteError, Signer, Verifier
from infra.log.signing_key import signing_key
from infra.log.store import Kept, LogError, append, frontier, has_begun, latest, reach
from infra.log.tree import Frontier, Subtree

LOG_LOCK = 0x6461_7962_6F6F_6B06
"""The advisory lock of whoever makes the log grow: a size has one root, whatever number of processes look at it."""

INTERVAL = 2.0
"""Seconds between two looks at the book."""

MOST = 8_192
"""Entries that a transaction takes: a book that was never logged is caught up with in steps."""

_log = logging.getLogger("daybook.log")


class Growth:
    """One process's part in it. Remembers the tree, which another process may have made grow meanwhile."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._tree = Frontier()
        self._last: Kept | None = None

    def catch_up(self, db: Connection[Any]) -> None:
        """Log all that the book holds, in steps. `db`: in autocommit mode. Raises LogError rather than sign a tree
        that does not go on from the last checkpoint."""
        while self._differs(db) and self._step(db):
            pass

    def _differs(self, db: Connection[Any]) -> bool:
        """Whether the book is not as large as the tree: what a look costs where nothing was entered."""
        last = db.execute("SELECT max(position) FROM daybook.events").fetchone()
        return ((last and last[0]) or 0) != self._tree.size

    def _step(self, db: Connection[Any]) -> bool:
        """Log what is new, or a part of it; whether there may be more."""
        before = self._tree.copy(), self._last
        try:
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
                self._refresh(db, latest(db))
                return self._grow(db) == MOST
        except BaseException:
            self._tree, self._last = before  # if it was stored all the same, the next step reads it
            raise

    def _grow(self, db: Connection[Any]) -> int:
        size, added, completed = self._tree.size, list[bytes](), list[Subtree]()
        for position, digest in leaves(db, size, MOST):
            if position != size + len(added) + 1:
                raise LogError(f"Entry {size + len(added) + 1} is missing in the book. `daybook verify` says more.")
            added.append(digest)
            completed += self._tree.add(digest)
        if added:
            self._last = Kept(self._tree.size, checkpoint(self._tree.size, self._tree.root(), self._signer))
            append(db, size + 1, added, completed, self._last)
        return len(added)

    def _refresh(self, db: Connection[Any], last: Kept | None) -> None:
        """Read the tree anew where another has made the last checkpoint, or where nothing was read yet."""
        if last is not None and self._last == last:
            return
        size = 0 if last is None else last.size
        if size < self._tree.size:
            raise LogError("Checkpoints that were signed are gone. `daybook verify --checkpoint` says more.")
        if reach(db) > size:
            raise LogError(
                "Checkpoints that were signed are gone: the stored tree goes on. `daybook verify` says more."
            )
        tree, ours = frontier(db, size), self._signer.verifier
        if last is not None and not _leads_to(tree, last.note, ours):
            raise LogError("The stored log does not lead to its last checkpoint. `daybook verify` says more.")
        self._tree, self._last = tree, last
        if last is not None and (ours.name, ours.id) not in (signers := signers_of(last.note)):
            _log.warning(
                "The last checkpoint was signed as %s, and from now on %s signs. If nobody began another log with"
                " `daybook checkpoint --new-key`, put the right key file back: what is signed now fails verification"
                " with the key that auditors have.",
                " and ".join(f"{name}+{id.hex()}" for name, id in signers),
                f"{ours.name}+{ours.id.hex()}",
            )


def _leads_to(tree: Frontier, note: str, ours: Verifier) -> bool:
    try:
        return believed(note, ours)[1:] == (tree.size, tree.root())
    except NoteError as error:
        raise LogError(f"The last checkpoint can't be believed: {error}. `daybook verify` says more.") from None


@contextmanager
def checkpointing(conninfo: str, key_file: Path) -> Generator[None]:
    """While the block lasts, a thread logs what comes, at most every INTERVAL; at its end what is left.

    Raises SigningKeyError where the key file is missing for a log that has begun, or holds no key.
    """
    with psycopg.connect(conninfo, autocommit=True) as db:
        signer = signing_key(key_file, begun=has_begun(db))
    # A database that is away is not waited for: the next start goes on from here.
    with beside("log", partial(_run, conninfo, Growth(signer))):
        yield


def _run(conninfo: str, growth: Growth, stopping: threading.Event) -> None:
    stopped = False
    while not stopped:
        try:
            with silence.Connection.connect(conninfo, autocommit=True, application_name="daybook log") as db:
                db.execute("SET idle_in_transaction_session_timeout = '30s'")  # a host that died gives the lock back
                while not stopped:
                    stopped = stopping.wait(INTERVAL)
                    growth.catch_up(db)
        except psycopg.Error as error:
            _log.warning("The log waits, because of the database: %s", type(error).__name__)
            stopped = stopped or stopping.wait(INTERVAL)
        except LogError as error:
            _log.error("No more checkpoints are made. %s", error)
            return
