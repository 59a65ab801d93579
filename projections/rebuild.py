"""Building a read model anew from the first entry, while the old rows serve; then one transaction switches."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from time import monotonic, sleep
from typing import NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from infra.entries import StoredEntry
from infra.exchange import Exchange
from infra.mapper import SealingMapper
from projections import tables
from projections.flush import Flush, prepare_to_write
from projections.lanes import Lane, Parked, park, write_carefully
from projections.ledger import Moved, tell
from projections.model import Model
from projections.posting import Posted, names_of_others, post
from projections.scanning import Scanner
from projections.tables import READ, Db, ModelError

SIZE = 2_000
"""Entries a transaction: nobody waits for these rows yet."""

PATIENCE = 60.0
"""Seconds to wait for a moment in which nobody reads the old tables."""

_SCHEMA = "daybook_rebuild_"
"""Before the model's name: the schema that its new rows stand in until they are switched to."""
_LOCK_CLASS = 0x6461_7962
"""Advisory locks of rebuilds: this and the hash of the model's name."""


class RebuildUnderWay(Exception):
    """Another process rebuilds this read model."""


class NoMomentToSwitch(Exception):
    """Queries that run for long kept the old tables busy."""


class _Stretch(NamedTuple):
    upto: int
    posted: Posted


class Rebuild:
    """One rebuild of one model, in a schema of its own beside the rows that serve."""

    def __init__(self, db: Db, book: Scanner, mapper: SealingMapper, model: Model, ahead: ThreadPoolExecutor) -> None:
        self._db, self._book, self._mapper, self._model, self._ahead = db, book, mapper, model, ahead
        self._schema = f"{_SCHEMA}{model.name}"
        self._flush = Flush(self._schema)
        self._others = names_of_others(mapper.catalogue, [model])
        self._parked: dict[Lane, Parked] = {}
        self._at = 0

    def run(self, report: Callable[[int, int], None]) -> None:
        _drop(self._db, self._schema)
        self._db.execute(SQL("CREATE SCHEMA {}").format(Identifier(self._schema)))
        tables.create(self._db, self._schema, self._model.tables)
        self._follow(report)
        tables.index(self._db, self._schema, self._model.tables)
        for table in tables.names(self._model):
            self._db.execute(SQL("ANALYZE {}").format(Identifier(self._schema, table)))
        deadline = monotonic() + PATIENCE
        while True:
            self._follow(report)
            at, parked = self._at, {**self._parked}
            try:
                self._switch()
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                self._at, self._parked = at, parked  # what it had caught up with went back with the transaction
                if monotonic() > deadline:
                    raise NoMomentToSwitch(
                        f"Queries have kept the old tables of {self._model.name} busy for {PATIENCE:.0f} seconds;"
                        " the old rows still serve. Rebuild it again when no long query runs."
                    ) from None
                sleep(0.2)
            else:
                break
        self._db.execute(SQL("DROP SCHEMA {}").format(Identifier(self._schema)))

    def _follow(self, report: Callable[[int, int], None]) -> None:
        """Post up to the end of the book; the next stretch is prepared while one is written."""
        last = self._book.head()
        stretch = self._prepare(self._at, last)
        while self._at < last:
            self._parked |= {one.lane: one for one in stretch.posted.parked}
            coming = self._ahead.submit(self._prepare, stretch.upto, last)
            try:
                with self._db.transaction():
                    refused = self._write(stretch)
            finally:
                # Whatever comes next asks the book too, and it answers one thread at a time.
                wait([coming])
            # What was prepared meanwhile did not know of the lanes that have just been parked.
            stretch = self._prepare(stretch.upto, last) if refused else coming.result()
            report(self._at, last)

    def _prepare(self, after: int, last: int) -> _Stretch:
        scanned = self._book.scan(after, last, SIZE, self._others)
        return _Stretch(scanned.upto, self._post(scanned.entries))

    def _post(self, entries: Sequence[StoredEntry]) -> Posted:
        parked = {lane: one.position for lane, one in self._parked.items()}
        return post(self._mapper, entries, [self._model], parked, self._book.history)

    def _write(self, stretch: _Stretch) -> list[Parked]:
        refused = write_carefully(self._db, self._flush, stretch.posted.units)
        self._parked |= {one.lane: one for one in refused}
        self._at = stretch.upto
        return refused

    def _switch(self) -> None:
        """Catch up with where the model stands, and put the new tables in the place of the old ones."""
        db, model = self._db, self._model
        with db.transaction():
            self._interrupt_autovacuum()
            # Whoever waits for a lock on a table keeps everybody behind it waiting too: rather try again.
            db.execute("SET LOCAL lock_timeout = '300ms'")
            stand = db.execute(_LOCK, (model.name,)).fetchone()
            if stand is None:
                raise ModelError(f"The read model {model.name} is not installed. Run `daybook migrate`.")
            position, old = stand
            if old:
                db.execute(SQL("LOCK TABLE {}").format(SQL(", ").join(Identifier(READ, table) for table in old)))
            position = min(position, self._book.head())  # somebody may have set it further
            while self._at < position:
                stretch = self._prepare(self._at, position)
                self._parked |= {one.lane: one for one in stretch.posted.parked}
                self._write(stretch)
            tables.drop(db, READ, old)
            for table in tables.names(model):
                db.execute(
                    SQL("ALTER TABLE {} SET SCHEMA {}").format(Identifier(self._schema, table), Identifier(READ))
                )
            db.execute("DELETE FROM daybook_projections.parked WHERE model = %s", (model.name,))
            park(db, self._parked.values())
            db.execute(_REPLACE, (model.version, tables.names(model), self._at, model.name))
            tell(db, Moved(self._at, (model.name,), lanes=True))

    def _interrupt_autovacuum(self) -> None:
        """Where it is at work on an old table, it gives way to whoever has waited for a second (`deadlock_timeout`),
        and to nobody who tries again and again. This lock keeps neither readers nor the runner waiting."""
        self._db.execute("SET LOCAL lock_timeout = '3s'")
        for (table,) in self._db.execute(_OLD, (self._model.name,)).fetchall():
            self._db.execute(SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(Identifier(READ, table)))


_OLD = """
    SELECT tablename::text FROM pg_tables JOIN daybook_projections.models ON tablename = ANY (models.tables)
    WHERE schemaname = 'daybook_read' AND name = %s ORDER BY tablename
"""
_LOCK = """
    SELECT position, ARRAY(
        SELECT tablename::text FROM pg_tables WHERE schemaname = 'daybook_read' AND tablename = ANY (tables)
    ) FROM daybook_projections.models WHERE name = %s FOR UPDATE
"""
# The book may have been read further than the model stood: then it stands there now.
_REPLACE = """
    UPDATE daybook_projections.models
    SET version = %s, tables = %s, position = %s, moved_at = clock_timestamp(), edition = edition + 1 WHERE name = %s
"""


def drop_leftovers(db: Db) -> None:
    """Drop what rebuilds have left that were killed: as much room as the model takes, and its plain text. `db`: of the
    owner, in autocommit mode."""
    for (schema,) in db.execute(_SCHEMAS, (_SCHEMA,)).fetchall():
        name = schema.removeprefix(_SCHEMA)
        if _alone(db, name):
            _drop(db, schema)
            db.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (_LOCK_CLASS, name))


def _alone(db: Db, model: str) -> bool:
    """Whether nobody else rebuilds it; from then on, until the session ends."""
    return db.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_LOCK_CLASS, model)).fetchone() == (True,)


def _drop(db: Db, schema: str) -> None:
    db.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))


_SCHEMAS = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, %s) ORDER BY nspname"


def rebuild(
    conninfo: str,
    mapper: SealingMapper,
    model: Model,
    report: Callable[[int, int], None] = lambda _position, _last: None,
) -> None:
    """Build the model anew from the first entry, and switch to the new rows. The runner may run meanwhile.

    `report` is told how far it is, and of how many entries. Killed at any moment it leaves the old rows serving, and
    the next one begins anew. Raises RebuildUnderWay, NoMomentToSwitch or ModelError.
    """
    with ExitStack() as stack:
        db, reader = (
            stack.enter_context(psycopg.connect(conninfo, autocommit=True, application_name=f"daybook rebuild {what}"))
            for what in ("writing", "reading")
        )
        prepare_to_write(db)
        prepare_to_write(reader)
        # All is written through this session, so its end ends the rebuild; a host's death is noticed in half a minute.
        db.execute("SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4")
        if not _alone(db, model.name):
            raise RebuildUnderWay(
                f"The read model {model.name} is being rebuilt by another process; wait for that one."
            )
        ahead, scanning = (
            stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=f"rebuild-{what}"))
            for what in ("ahead", "scanning")
        )
        Rebuild(db, Scanner(Exchange(reader), scanning), mapper, model, ahead).run(report)
