"""Group commit: the concurrent appends of this process share one transaction, one lock and one flush to disk.

Position order is commit order and positions are dense, because every append takes the same lock, numbers its entries
from the last committed position (read under the lock, or supposed and compared there), and keeps the lock until its
commit is done. The lock is an advisory one: a table lock would stall on autovacuum and stop it. No NOTIFY inside: it
holds a database-wide lock until the commit.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import psycopg

from domain.appending import BookUnavailable, Conditions, Entry
from domain.steps import Steps, blocking, following, give_all
from infra.announcer import Committed
from infra.append import Append
from infra.appender import Answer, Appender, Done
from infra.patience import PATIENCE
from infra.submissions import LONG, Gathering, Home, LeftOver, Submission, Turn
from infra.vault import Vault

MOST_ENTRIES = 2_000
"""A batch closes when it holds about this many entries, so that one import can't keep everybody waiting."""

AT_ONCE = 64 * 1024
"""Bytes of entries that an event loop sends together: of more, a socket may take a part, and the lock with it."""

FEW = 16
"""Commands that always go together, where so many wait: a transaction for fewer costs more than it gains."""

LONGEST_LINGER = 0.002
"""Seconds that a batch waits at most for the writers of the batch before."""

PAUSE = 0.1
"""Seconds between two tries to reach a database that does not answer."""

_log = logging.getLogger("daybook.book")


class Committer:
    """The one writer of a process: takes what is queued, appends what may be appended, answers each command.

    Beside an event loop that decides, a thread has to wait for the interpreter after each answer of PostgreSQL. So
    what is supposed, in one round trip, is appended by the event loop that the first command in the queue waits in.
    All else is a thread's: a loop that is busy would keep the lock from others after a look, and to connect and to try
    again may take long.
    """

    def __init__(self, conninfo: str, vault: Vault, appended: Callable[[Committed], None]) -> None:
        """`appended` is called after each commit; it must not block. What it raises is logged, by name."""
        self._appender, self._appended = Appender(conninfo, vault), appended
        self._queue: list[Submission] = []
        self._turn: Turn | None = None
        """Of whom the queue is served by; None: nothing is queued."""
        self._left_over: LeftOver | None = None
        """For the thread, whose turn it is then."""
        self._began = self._took = 0.0
        self._writers = 0
        """When the last batch was done: commands in it and in the queue."""
        self._gathering: Gathering | None = None
        self._entrance, self._closing = threading.Lock(), threading.Event()
        self._served, self._called, self._over = threading.Condition(self._entrance), threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, entries: Sequence[Entry], conditions: Conditions | None) -> Submission:
        """Entries to be appended, all or none; whoever waits for it gets their positions.

        Or Moved, AlreadyHandled, ClaimTaken, KeyDestroyed, Refused, BookUnavailable, psycopg's IntegrityError, or
        whatever error these entries gave rise to.
        """
        return Submission(self, entries, conditions)

    @property
    def lineage(self) -> int:
        """As `Book.lineage`."""
        return self._appender.lineage

    def enqueue(self, submission: Submission) -> None:
        """Called by a submission, where it waits. Raises BookUnavailable where this process is shutting down."""
        with self._entrance:  # nobody may queue behind the last one who is served
            if self._closing.is_set():
                raise BookUnavailable(
                    "This process is shutting down; send the command again in a moment, with the same key."
                )
            self._queue.append(submission)
            gathering = self._gathering
            if gathering is not None and len(self._queue) == gathering.many:
                gathering.give(None)
            if self._turn is not None:
                return
            turn = self._turn = Turn(self._whose())
        if turn.home is None:
            self._called.set()
        else:
            self._begin(turn)

    def look_after(self) -> None:
        """Take the queue over from an event loop that has come to its end; for who stands still for too long."""
        turn = self._turn
        if turn is not None and turn.home is not None and not turn.home.is_running():
            self._leave(turn, psycopg.OperationalError("the event loop has ended"))

    def close(self) -> None:
        """Finish what is queued, then stop. Not to be called in an event loop, which may have to serve."""
        self._closing.set()
        while not self._finished():
            self.look_after()
        self._over = True
        self._called.set()
        self._thread.join()
        self._appender.disconnect()

    def _finished(self) -> bool:
        with self._served:
            return self._served.wait_for(lambda: self._turn is None or not self._thread.is_alive(), timeout=LONG)

    def _whose(self) -> Home:
        """Where the first command in the queue is to be committed."""
        first = self._queue[0]
        loops = first.home is not None and first.home.is_running() and self._looped(first, first.home)
        return first.home if loops else None

    def _looped(self, one: Submission, home: Home) -> bool:
        """Whether an event loop may append it: then nothing is lost if the loop comes to its end."""
        sure = one.conditions is not None or one.home is home
        return sure and one.size <= AT_ONCE and self._appender.supposes(one)

    def _keep(self, turn: Turn) -> bool:
        """Keep the turn where a command waits for whose it is, or give it up, or hand it on. Whether it is kept."""
        with self._entrance:
            if self._turn is not turn:
                return False
            if not self._queue:
                self._turn = None
                self._served.notify_all()
                return False
            home = self._whose()
            if home is turn.home:
                return True
            other = self._turn = Turn(home)
        if home is None:
            self._called.set()
        else:
            try:
                home.call_soon_threadsafe(self._begin, other)
            except RuntimeError:  # it was closed just now
                self._leave(other, None)
        return False

    def _leave(self, turn: Turn, error: Exception | None) -> None:
        """Leave a loop's batch, and the queue, to the thread."""
        with self._entrance:
            if self._turn is not turn:
                return
            self._turn = Turn(None)
            if turn.batch:
                self._left_over = LeftOver(turn.batch, error, self._began + PATIENCE)
        self._called.set()

    async def _gather(self, home: Home) -> list[Submission]:
        """The next batch.

        Whoever was just answered sends the next command in a moment: waiting as long as a commit takes lets them share
        the next one instead of the one after it. Who was alone does not wait.
        """
        with self._entrance:
            enough = min(self._writers, self._share(self._writers))
            gathering = Gathering(enough, min(self._took, LONGEST_LINGER)) if 1 < enough > len(self._queue) else None
            self._gathering = gathering
        if gathering is not None:
            await gathering
            self._gathering = None
        self._began = time.monotonic()
        return self._cut(home)

    def _cut(self, home: Home) -> list[Submission]:
        """As many as go together, or as much as one transaction takes; in a loop, of those that it may append."""
        with self._entrance:
            queued, entries, size, until = len(self._queue), 0, 0, 0
            most = min(self._share(max(self._writers, queued)), queued)
            while until < most and entries < MOST_ENTRIES:
                one = self._queue[until]
                entries, size = entries + len(one.entries), size + one.size
                if home is not None and (size > AT_ONCE or not self._looped(one, home)):
                    break
                until += 1
            batch, self._queue = self._queue[:until], self._queue[until:]
        return batch

    def _share(self, writers: int) -> int:
        """How many go together: half of those who write, where this process is alone. The others decide meanwhile."""
        return max(FEW, (writers + 1) // 2) if self._appender.alone else writers

    def _begin(self, turn: Turn) -> None:
        # The task's first step comes after all commands that the loop has decided by then.
        turn.task = asyncio.get_running_loop().create_task(self._follow(turn))
        turn.task.add_done_callback(partial(self._ended, turn))

    async def _follow(self, turn: Turn) -> None:
        """Serve in an event loop."""
        while self._keep(turn):
            turn.batch = await following(self._gather(turn.home))
            if not turn.batch:  # who was first does not wait any more
                continue
            done = await following(self._appender.suppose(turn.batch))
            if self._turn is not turn:
                return
            if done is None:
                self._leave(turn, None)
                return
            batch, turn.batch = turn.batch, []
            self._reply(batch, *done)

    def _ended(self, turn: Turn, task: "asyncio.Task[None]") -> None:
        """Whatever the event loop could not do is left to the thread; so is all, where the loop comes to its end."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            ended = psycopg.OperationalError(f"the event loop has ended: {error!r}")
            self._leave(turn, error if isinstance(error, Exception) else ended)

    def _run(self) -> None:
        """Serve in the thread, whenever it is called."""
        while self._called.wait() and not self._over:
            self._called.clear()
            with self._entrance:
                turn, (left, self._left_over) = self._turn, (self._left_over, None)
            if turn is not None and turn.home is None:
                self._serve(turn, left)

    def _serve(self, turn: Turn, left: LeftOver | None) -> None:
        if left is not None:
            failure = left.error or self._try(left.batch, self._appender.look)
            self._insist(left.batch, failure, left.deadline)
        while self._keep(turn):
            self._commit(blocking(self._gather(None)), self._began + PATIENCE)

    def _commit(self, batch: list[Submission], deadline: float) -> None:
        self._insist(batch, self._try(batch, self._appender.append), deadline)

    def _try(self, batch: list[Submission], append: Callable[[list[Submission]], Steps[Done]]) -> Exception | None:
        try:
            done = blocking(append(batch))
        except Exception as error:  # noqa: BLE001 - its submitter is told; a thread that died would answer nobody
            return error
        self._reply(batch, *done)
        return None

    def _insist(self, batch: list[Submission], failure: Exception | None, deadline: float) -> None:
        """Append a batch that failed, where the database is away. One that can't be appended for any other reason is
        appended one by one, to find who is to blame.

        When a commit's answer is lost, the batch is sent again: its idempotency keys tell what had happened. What has
        no key is told as unknown.
        """
        while failure is not None:
            if not _away(failure):
                self._appender.roll_back()
                self._blame(batch, failure, deadline)
                return
            if _starved(failure):
                self._appender.roll_back()
            else:
                self._appender.disconnect()
            self._give_up([one for one in batch if one.conditions is None], failure)
            batch = [one for one in batch if one.conditions is not None]
            if not batch or time.monotonic() > deadline or self._closing.wait(PAUSE):
                self._give_up(batch, failure)
                return
            failure = self._try(batch, self._appender.append)

    def _blame(self, batch: list[Submission], error: Exception, deadline: float) -> None:
        if len(batch) == 1:
            batch[0].give(error)
            return
        for one in batch:
            self._commit([one], deadline)

    def _give_up(self, batch: list[Submission], error: Exception) -> None:
        give_all((one, _unanswered(error)) for one in batch)

    def _reply(self, batch: list[Submission], append: Append, answers: list[Answer]) -> None:
        self._writers, self._took = len(self._queue) + len(batch), time.monotonic() - self._began
        # Those who wait go first: to wake a runner lets go of the interpreter, for which it and they would then wait.
        give_all(zip(batch, answers, strict=True))
        try:
            self._appended(append.stored)
        except Exception as error:  # noqa: BLE001 - it is committed; a thread that died would answer nobody any more
            _log.error("Who is told of commits failed (%s); the book goes on.", type(error).__name__)


def _unanswered(error: Exception) -> BookUnavailable:
    why = f"The book did not answer ({type(error).__name__}); send it again with the same key."
    unanswered = BookUnavailable(why)
    unanswered.__cause__ = error
    return unanswered


def _away(error: Exception) -> bool:
    """Whether the database may take the same batch in a moment."""
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):
        return False  # a value too large for an index, say
    lost = isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith("25")
    # 25: the transaction stood still for too long, or this server only reads since another one took over.
    return lost or isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def _starved(error: Exception) -> bool:
    """Whether the server is there and lacks room. Its connection stays, and in its lineage what was decided holds."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith("53")
