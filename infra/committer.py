"""Group commit: the concurrent appends of this process share one transaction, one lock and one flush to disk.

Position order is commit order and positions are dense, because every append takes the same lock, numbers its entries
from the last committed position (read under the lock, or supposed and compared there), and keeps the lock until its
commit is done. The lock is an advisory one: a table lock would stall on autovacuum and stop it. No NOTIFY inside: it
holds a database-wide lock until the commit.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import Connection

from domain.appending import AlreadyHandled, BookUnavailable, ClaimTaken, Conditions, Entry, KeyDestroyed, Moved
from domain.kernel import Refused
from domain.steps import Signal, give_all
from infra.announcer import Committed
from infra.append import Append
from infra.exchange import Exchange
from infra.head import Left
from infra.patience import PATIENCE
from infra.vault import Vault

MOST_ENTRIES = 2_000
"""A batch closes when it holds about this many entries, so that one import can't keep everybody waiting."""

LONGEST_LINGER = 0.002
"""Seconds that a batch waits at most for the writers of the batch before."""

ALONE = 2
"""Looks in a row that find the book as this process had left it, after which it is supposed to be so again."""

PAUSE = 0.1
"""Seconds between two tries to reach a database that does not answer."""

_SESSION = """
    SET timezone = 'UTC';  -- others have offsets that JSON can't carry: Zurich's was +00:34:08 until 1894
    SET default_transaction_isolation = 'read committed';  -- the head's snapshot must be younger than the lock
    SET lock_timeout = '30s';
    -- Whoever holds the lock and stands still, or whose host is gone, loses it: the others wait for it.
    SET idle_in_transaction_session_timeout = '5s';
    SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
    -- Every statement of an append looks rows up by key; a plan made on an empty table must not say otherwise.
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off
"""

Answer: TypeAlias = list[int] | Exception


class Submission(Signal[Sequence[int]]):
    """One command's entries on their way into a batch; what is given back are their positions."""

    def __init__(self, entries: Sequence[Entry], conditions: Conditions | None) -> None:
        super().__init__()
        self.entries, self.conditions = entries, conditions


class Committer:
    """The one writer of a process: takes what is queued, appends what may be appended, answers each command."""

    def __init__(self, conninfo: str, vault: Vault, appended: Callable[[Committed], None]) -> None:
        """`appended` is called after each commit; it must neither block nor raise."""
        self._conninfo, self._vault, self._appended = conninfo, vault, appended
        self._exchange: Exchange | None = None
        self._left: Left | None = None
        """What this connection has left behind; None: it has not appended yet."""
        self._alone = 0
        """How many looks in a row have found the book as this process had left it."""
        self._queue: list[Submission] = []
        self._entrance, self._closing = threading.Lock(), threading.Event()
        self._wanted, self._enough = 1, threading.Event()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, entries: Sequence[Entry], conditions: Conditions | None) -> Submission:
        """Queue the entries to be appended, all or none; whoever waits for it gets their positions.

        Or Moved, AlreadyHandled, ClaimTaken, KeyDestroyed, Refused, BookUnavailable, psycopg's IntegrityError, or
        whatever error these entries gave rise to. Raises BookUnavailable where this process is shutting down.
        """
        submission = Submission(entries, conditions)
        with self._entrance:  # nobody may queue behind the last one who is served
            if self._closing.is_set():
                raise BookUnavailable(
                    "This process is shutting down; send the command again in a moment, with the same key."
                )
            self._queue.append(submission)
            if len(self._queue) == self._wanted:
                self._enough.set()
        return submission

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._entrance:
            self._closing.set()
            self._enough.set()
        self._thread.join()
        self._disconnect()

    def _run(self) -> None:
        self._wait_for(1)
        while batch := self._batch():
            began = time.monotonic()
            self._commit(batch, began + PATIENCE)
            took = time.monotonic() - began
            self._wait_for(1)
            # Whoever was just answered sends the next command in a moment: waiting for a quarter of a commit lets them
            # share the next one instead of the one after it. A single writer never waits.
            if len(batch) > 1:
                self._wait_for(len(batch), min(took / 4, LONGEST_LINGER))

    def _wait_for(self, many: int, seconds: float | None = None) -> None:
        """Wait until so many are queued, or for so long: woken up once, not by each of them."""
        with self._entrance:
            if len(self._queue) >= many or self._closing.is_set():
                return
            self._wanted = many
            self._enough.clear()
        self._enough.wait(seconds)

    def _batch(self) -> list[Submission]:
        """What is queued, or as much of it as one transaction takes; nothing once all are served at the end."""
        with self._entrance:
            size = until = 0
            while until < len(self._queue) and size < MOST_ENTRIES:
                size += len(self._queue[until].entries)
                until += 1
            batch, self._queue = self._queue[:until], self._queue[until:]
        return batch

    def _commit(self, batch: list[Submission], deadline: float) -> None:
        """Append a batch. One that can't be appended for any other reason than that the database is away is appended
        one by one, to find who is to blame.

        When a commit's answer is lost, the batch is sent again: its idempotency keys tell what had happened.
        """
        while True:
            try:
                append, answers = self._transact(batch)
            except Exception as error:  # noqa: BLE001 - its submitter is told; a thread that died would answer nobody
                self._disconnect()
                if not _away(error):
                    self._blame(batch, error, deadline)
                    return
                sure = all(one.conditions is not None for one in batch)
                if not sure or time.monotonic() > deadline or self._closing.wait(PAUSE):
                    self._give_up(batch, error)
                    return
            else:
                self._reply(batch, append, answers)
                return

    def _transact(self, batch: list[Submission]) -> tuple[Append, list[Answer]]:
        # Whatever is raised, the connection is given up, and with it the transaction.
        append, answers = self._supposing(batch) or self._looking(batch)
        self._left = append.left
        self._vault.destroyed(append.destroyed)
        self._vault.learned(append.new_keys)
        return append, answers

    def _supposing(self, batch: list[Submission]) -> tuple[Append, list[Answer]] | None:
        """Append in one round trip, taking it that the book is as this process left it; None where it is not."""
        if self._left is None or self._alone < ALONE:
            return None
        append, (entries, conditions) = Append(self._connect(), self._vault), _contents(batch)
        if not append.suppose(entries, conditions, self._left):
            return None
        answers = [_accepted(append, one) for one in batch]
        return (append, answers) if append.commit_if_so() else None

    def _looking(self, batch: list[Submission]) -> tuple[Append, list[Answer]]:
        """Append in two round trips, of which the first reads what the checks need."""
        append = Append(self._connect(), self._vault)
        last = append.begin(*_contents(batch))
        self._alone = self._alone + 1 if self._left is not None and self._left.position == last else 0
        answers = [_accepted(append, one) for one in batch]
        append.commit()
        return append, answers

    def _blame(self, batch: list[Submission], error: Exception, deadline: float) -> None:
        if len(batch) == 1:
            batch[0].give(error)
            return
        for one in batch:
            self._commit([one], deadline)

    def _give_up(self, batch: list[Submission], error: Exception) -> None:
        why = f"The book did not answer ({type(error).__name__}); send it again with the same key."
        give_all((one, BookUnavailable(why)) for one in batch)

    def _reply(self, batch: list[Submission], append: Append, answers: list[Answer]) -> None:
        # Those who wait go first: to wake a runner lets go of the interpreter, for which it and they would then wait.
        give_all(zip(batch, answers, strict=True))
        self._appended(append.stored)

    def _connect(self) -> Exchange:
        if self._exchange is None:
            db: Connection[Any] = psycopg.connect(self._conninfo, autocommit=True, application_name="daybook committer")
            db.execute(_SESSION)
            self._exchange = Exchange(db)
        return self._exchange

    def _disconnect(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = self._left = None


def _contents(batch: Iterable[Submission]) -> tuple[list[Entry], list[Conditions]]:
    entries = [entry for one in batch for entry in one.entries]
    return entries, [one.conditions for one in batch if one.conditions is not None]


def _accepted(append: Append, one: Submission) -> Answer:
    try:
        return append.accept(one.entries, one.conditions)
    except (Moved, AlreadyHandled, ClaimTaken, KeyDestroyed, Refused) as refusal:
        return refusal


def _away(error: Exception) -> bool:
    """Whether the database may take the same batch in a moment."""
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):
        return False  # a value too large for an index, say
    lost = isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith("25")
    # 25: the transaction stood still for too long, or this server only reads since another one took over.
    return lost or isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
