"""Building a read model anew from the first entry, while the old rows serve; then one transaction puts it in their place."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from time import monotonic, sleep
from typing import NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from infra.mapper import SealingMapper
from projections import tables
from projections.flush import Flush, Statement, prepare_to_write
from projections.lanes import Lane, Parked, park, write_carefully
from projections.ledger import Moved, tell
from projections.model import Model
from projections.posting import Posted, head, names_of_others, post, scan
from projections.tables import READ, Db, ModelError

SIZE = 2_000
"""Entries a transaction: nobody waits for these rows yet."""

PATIENCE = 60.0
"""Seconds to wait for a moment in which nobody reads the old tables."""

_LOCK_CLASS = 0x6461_7962
"""Advisory locks of rebuilds: this and the hash of the model's name."""


class RebuildUnderWay(Exception):
    """Another process rebuilds this read model."""


class NoMomentToSwitch(Exception):
    """Queries that run for long kept the old tables busy."""


class _Stretch(NamedTuple):
    upto: int
    posted: Posted
    statements: list[Statement] | None


class Rebuild:
    """One rebuild of one model, in a schema of its own beside the rows that serve."""

    def __init__(self, db: Db, reader: Db, mapper: SealingMapper, model: Model, ahead: ThreadPoolExecutor) -> None:
        self._db, self._reader, self._mapper, self._model, self._ahead = db, reader, mapper, model, ahead
        self._schema = f"daybook_rebuild_{model.name}"
        self._flush = Flush(self._schema)
        self._others = names_of_others(mapper.catalogue, [model])
        self._parked: dict[Lane, Parked] = {}
        self._at = 0

    def run(self, report: Callable[[int, int], None]) -> None:
        self._db.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(self._schema)))
        self._db.execute(SQL("CREATE SCHEMA {}").format(Identifier(self._schema)))
        tables.create(self._db, self._schema, self._model.tables)
        self._follow(report)
        tables.index(self._db, self._schema, self._model.tables)
        for table in self._model.tables:
            self._db.execute(SQL("ANALYZE {}").format(Identifier(self._schema, table.name)))
        deadline = monotonic() + PATIENCE
        while True:
            self._follow(report)
            try:
                self._switch()
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if monotonic() > deadline:
                    raise NoMomentToSwitch(
                        f"Queries have kept the old tables of {self._model.name} busy for {PATIENCE:.0f} seconds; the old"
                        " rows still serve. Rebuild it again when no long query runs."
                    ) from None
                sleep(0.2)
            else:
                break
        self._db.execute(SQL("DROP SCHEMA {}").format(Identifier(self._schema)))

    def _follow(self, report: Callable[[int, int], None]) -> None:
        """Post up to the end of the book; the next stretch is prepared while one is written."""
        last = head(self._db)
        coming = self._ahead.submit(self._prepare, self._at, last)
        while self._at < last:
            stretch = coming.result()
            if stretch.upto < last:
                coming = self._ahead.submit(self._prepare, stretch.upto, last)
            try:
                with self._db.transaction():
                    refused = self._write(stretch)
            finally:
                wait([coming])
            if refused and stretch.upto < last:
                # What was prepared meanwhile did not know of the lanes that have just been parked.
                coming = self._ahead.submit(self._prepare, stretch.upto, last)
            report(self._at, last)

    def _prepare(self, after: int, last: int) -> _Stretch:
        scanned = scan(self._reader, after, last, SIZE, self._others)
        posted = post(self._mapper, scanned.entries, [self._model], self._parked)
        return _Stretch(scanned.upto, posted, self._flush.attempted(posted.units))
