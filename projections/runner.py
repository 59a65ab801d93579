"""The one loop that keeps every read model up to date: a thread that leads or stands by.

Opening and posting the next batch, and reading the one after, overlap with a commit. A new model, far behind, catches
up in turns with the others and holds nobody back.
"""

import logging
import os
import select
import socket
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from time import monotonic
from typing import Protocol

import psycopg

from infra.announcer import APPENDED, Announcer
from infra.entries import StoredEntry
from infra.exchange import Exchange
from infra.mapper import SealingMapper
from infra.master_key import MasterKeyError
from infra.silence import Connection
from projections import posting
from projections.flush import Flush, Statement, give_up_when_idle, prepare_to_write
from projections.lanes import Unit, described
from projections.lease import Lease, LeaseLost
from projections.ledger import Batch, Standing, Superseded, commit, moved_by, standing
from projections.model import Model
from projections.progress import Progress
from projections.receipts import Receipts
from projections.scanning import Handed, Scanner
from projections.tables import READ, Db

POLL = 0.25
"""Seconds between two looks at a book that seems not to grow: what a lost notice costs."""

STAND_BY = 0.5
"""Seconds between two tries to take over the lease."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to reach a database that is away; each pause is twice the one before."""

FRESH = 1.0
"""Seconds after which the runner reads anew where the models stand, to notice one that was rebuilt to this version."""

TURN = 0.001
"""Seconds after which a thread that computes lets another one go on, where batch follows batch."""

_log = logging.getLogger("daybook.projections")


@contextmanager
def _short_turns() -> Generator[None]:
    """A batch is sent in a dozen pieces while the next one is prepared. Each of them would wait for as long a turn as
    Python gives by default: together a fifth of the time that projecting takes.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


def _watched(*sources: _HasDescriptor) -> select.poll:
    """Not `select.select`, which refuses descriptors above 1,023: a server may have as many connections."""
    watched = select.poll()
    for one in sources:
        watched.register(one.fileno(), select.POLLIN)
    return watched


class ProjectionRunner:
    """Posts the book to the read models. One for each process that takes part; one of them leads."""

    def __init__(
        self,
        conninfo: str,
        mapper: SealingMapper,
        models: Sequence[Model],
        *,
        name: str | None = None,
        batch: int = 1_000,
        lease_seconds: float = 5.0,
        announcer: Announcer | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`name`: what operators see as the leader; by default host and process. `batch`: entries a transaction.

        `lease_seconds`: how long a leader that fell silent is waited for. `announcer`, `progress`: of this process; the
        one calls, the other is told.
        """
        self._conninfo, self._mapper, self._models, self._size = conninfo, mapper, models, batch
        self._lease = Lease(name or f"{socket.gethostname()}:{os.getpid()}", lease_seconds)
        self._lease_seconds = lease_seconds
        self._flush, self._receipts, self._handed = Flush(READ), Receipts(), Handed(batch)
        self._stopping = threading.Event()
        self._give_up_at = float("inf")
        self._heard, self._call = socket.socketpair()
        self._heard.setblocking(False)
        self._call.setblocking(False)
        self._turn = 0
        self._leads = False
        self._announcer, self._progress = announcer, progress
        if announcer is not None:
            announcer.also(self._appended)
        self._thread = threading.Thread(target=self._run, name="projections", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """The book grew. Never blocks; call it from any thread."""
        # A full buffer is a wake-up already; a closed socket, a runner that has stopped.
        with suppress(OSError):
            self._call.send(b"\0")

    def _appended(self, entries: Sequence[StoredEntry]) -> None:
        """This process has committed these. Called from any thread."""
        self._handed.put(entries)
        self.wake()

    def stop(self, patience: float = 5.0) -> None:
        """Post what the book holds, for at most `patience` seconds; then give the lease back and stop."""
        self._give_up_at = monotonic() + patience
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._call.close()
        self._heard.close()

    @property
    def running(self) -> bool:
        """Whether the thread lives, leading or standing by."""
        return self._thread.is_alive()

    @property
    def leads(self) -> bool:
        """Whether it is this one that posts."""
        return self._leads

    def _run(self) -> None:
        pause = SHORTEST_PAUSE
        while not self._stopping.is_set():
            began = monotonic()
            try:
                with ExitStack() as stack:
                    writer = stack.enter_context(self._connected("daybook projections"))
                    # A notice may also come while a batch is being committed.
                    writer.add_notify_handler(lambda _: self._called())
                    writer.execute(f"LISTEN {APPENDED}")
                    reader = stack.enter_context(self._connected("daybook projections, reading"))
                    ahead, scanning = (
                        stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=f"projections-{what}"))
                        for what in ("ahead", "scanning")
                    )
                    book = Scanner(Exchange(reader), scanning, self._handed)
                    self._take_part(Exchange(writer), book, ahead)
            except (psycopg.Error, MasterKeyError) as error:
                if isinstance(error, MasterKeyError):  # its sentence says what to do, and quotes nothing
                    _log.error("Projections try again, because the master key does not fit: %s", error)
                else:
                    _log.warning("Projections try again, because the database said: %s", described(error))
                pause = SHORTEST_PAUSE if monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
                self._stopping.wait(pause)

    def _connected(self, name: str) -> Db:
        db: Db = Connection.connect(self._conninfo, autocommit=True, application_name=name)
        prepare_to_write(db)
        # A host that dies inside a transaction holds its row locks no longer than its lease.
        give_up_when_idle(db, self._lease_seconds)
        return db

    def _take_part(self, models: Exchange, book: Scanner, ahead: ThreadPoolExecutor) -> None:
        """Stand by until the lease is free, then lead until it is lost; again, until stopped."""
        writer = models.connection
        while not self._stopping.is_set():
            if not self._lease.take(writer):
                self._stopping.wait(STAND_BY)
                continue
            _log.info("Projections: %s leads", self._lease.holder)
            try:
                self._heard_here(True)
                self._lead(models, book, ahead)
            except LeaseLost:
                _log.warning("Projections: another runner took over the lead")
            except MasterKeyError:  # another host may have the key
                self._lease.give_back(writer)
                raise
            else:
                self._lease.give_back(writer)
            finally:
                self._heard_here(False)

    def _heard_here(self, leads: bool) -> None:
        """What this process appends is told to the leader alone, and what the leader posts to those who wait here at
        first hand. Who takes over unseen polls until we notice."""
        self._leads = leads
        if self._announcer is not None:
            self._announcer.heard_here = leads
        if self._progress is not None:
            self._progress.lead(leads)

    def _lead(self, models: Exchange, book: Scanner, ahead: ThreadPoolExecutor) -> None:
        """Post until stopped. Raises LeaseLost."""
        writer = models.connection
        self._handed.doubt()
        where = standing(writer, self._models)
        while not self._done(where, book):
            self._receipts.sweep(writer)
            try:
                where = known = self._post(models, book, ahead, where)
                where = standing(writer, self._models, where)
            except Superseded:
                where, known = standing(writer, self._models), None
            if where is not known and self._progress is not None:
                self._progress.doubt()  # a retry or a rebuild, of another process: it listens to none while we lead

    def _post(self, models: Exchange, book: Scanner, ahead: ThreadPoolExecutor, where: Standing) -> Standing:
        """Post batches as they come, until it is time to look around; returns where the models stand then."""
        until = monotonic() + FRESH
        while monotonic() < until:
            self._quiet()
            batch, former = self._first(models, book, ahead, where), None
            while batch is not None:
                following = where.moved(batch)
                more = batch.more and monotonic() < until
                coming = ahead.submit(self._prepare, book, following) if more else None
                del former  # a thousand changes, which take their time to be freed: while the next ones are prepared
                try:
                    with _short_turns() if coming is not None else nullcontext():
                        refused = commit(models, self._flush, self._lease, batch, where)
                except BaseException:
                    if coming is not None:
                        wait([coming])  # the book answers one thread at a time
                    raise
                where = following
                if self._progress is not None:
                    self._progress.tell(moved_by(batch, lanes=bool(refused or batch.parked)))
                prepared = None if coming is None else self._awaited(models, coming)
                if refused:
                    # What was prepared meanwhile did not know of the lanes that have just been parked.
                    return where.without(refused)
                if coming is None and batch.more:
                    return where
                batch, former = prepared, batch
            del former  # nothing of it stays while the book is quiet
            if self._stopping.is_set():
                return where
            self._lease.keep(models.connection)
            self._wait(models.connection)
        return where

    def _first(self, models: Exchange, book: Scanner, ahead: ThreadPoolExecutor, where: Standing) -> Batch | None:
        """The next batch, while none is being committed."""
        if self._handed.is_little():  # as of a lone mutation: to hand it to another thread would cost more than it
            return self._prepare(book, where)
        return self._awaited(models, ahead.submit(self._prepare, book, where))

    def _awaited(self, models: Exchange, coming: Future[Batch | None]) -> Batch | None:
        """What is being prepared. The lease is kept meanwhile: an erasure, or a slow disk, may take longer than it
        lasts, and whoever took over would take as long. Raises LeaseLost."""
        try:
            while not wait([coming], self._lease.third).done:
                self._lease.keep(models.connection)
        finally:
            wait([coming])  # the book answers one thread at a time
        return coming.result()

    def _prepare(self, book: Scanner, where: Standing) -> Batch | None:
        """The next batch, of models that stand at the same position; None where all stand at the end of the book."""
        positions = sorted({stand.position for stand in where.models.values()}, reverse=True)
        for _ in positions:
            self._turn += 1
            at = self._turn % len(positions)
            after = positions[at]
            models = [model for model in self._models if where.position(model) == after]
            others = posting.names_of_others(self._mapper.catalogue, models)
            # No further than where the next group stands: from there on they go together.
            scanned = book.scan(after, positions[at - 1] if at else None, self._size, others)
            if scanned.upto > after:
                posted = posting.post(self._mapper, scanned.entries, models, where.parked, book.history)
                more = scanned.full or len(positions) > 1
                return Batch(models, after, scanned.upto, more, *posted, self._statements(posted.units))
        return None

    def _statements(self, units: Sequence[Unit]) -> list[Statement] | None:
        try:
            return self._flush.statements((unit.at, unit.changes) for unit in units)
        except Exception:  # noqa: BLE001  # some value can't be written: `commit` finds out whose, and parks its lane
            return None

    def _done(self, where: Standing, book: Scanner) -> bool:
        """Whether it was asked to stop, and has posted what there is, or has tried for long enough."""
        if not self._stopping.is_set():
            return False
        last = book.head()
        return monotonic() > self._give_up_at or all(stand.position >= last for stand in where.models.values())

    def _wait(self, writer: Db) -> None:
        """Wait until the book grew, here or in another process, but no longer than POLL."""
        until = monotonic() + POLL
        self._hear(writer)
        while (left := until - monotonic()) > 0:
            ready = {descriptor for descriptor, _ in _watched(self._heard, writer).poll(left * 1000)}
            if self._heard.fileno() in ready:
                return
            if writer.fileno() in ready:
                writer.pgconn.consume_input()
                self._hear(writer)

    def _hear(self, writer: Db) -> None:
        """Call for what notices tell that have come, perhaps with the answer to something else."""
        while writer.pgconn.notifies() is not None:
            self._called()

    def _called(self) -> None:
        """Another process has committed."""
        self._handed.doubt()
        self.wake()

    def _quiet(self) -> None:
        """Forget the calls so far: what they told of is read next."""
        with suppress(BlockingIOError):
            while self._heard.recv(4096):
                pass
