"""The event store on PostgreSQL: the library's application recorder over the book, and what the door asks of it.

The library's interface is implemented, not its PostgreSQL class subclassed: that one brings a table lock, a NOTIFY
inside the append, a pool and a sequence of its own, each of which would have to be taken out again (docs/adr).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)
from psycopg import Connection, sql
from psycopg.types.string import ByteaBinaryLoader
from psycopg_pool import ConnectionPool

from domain.appending import BookUnavailable, Conditions, Entry, KeptReceipt, Row
from domain.encoding import Reading
from domain.kernel import Withheld, new_id
from domain.kernel.recorded import Receipt
from domain.steps import Step
from infra.committer import Committer
from infra.entries import COLUMNS, StoredEntry, notification
from infra.patience import patient
from infra.subscription import PollingSubscription
from infra.vault import Vault

Pool = ConnectionPool[Connection[tuple[Any, ...]]]


class EventStore(ApplicationRecorder):
    """Appends through the committer, reads through a pool."""

    def __init__(self, pool: Pool, committer: Committer, vault: Vault) -> None:
        self._pool, self._committer, self._vault = pool, committer, vault

    @property
    def lineage(self) -> int:
        return self._committer.lineage

    def insert_events(self, stored_events: Sequence[StoredEvent], **_kwargs: Any) -> Sequence[int] | None:
        """Append entries, all or none; returns their positions.

        Raises the library's IntegrityError where a version exists already, and what `Committer.submit` gives rise to.
        """
        if not stored_events:
            return None
        entries = [each if isinstance(each, Entry) else bare(each) for each in stored_events]
        try:
            return self.append(entries, None).wait()
        except psycopg.errors.IntegrityError as error:
            raise IntegrityError(str(error.diag.message_primary)) from None

    def append(self, entries: Sequence[Entry], conditions: Conditions | None) -> Step[Sequence[int]]:
        return self._committer.submit(entries, conditions)

    def seals_at_once(self, subject: UUID) -> bool:
        return self._vault.seals_at_once(subject)

    @patient
    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        order = "DESC" if desc else "ASC"
        with self._pool.connection() as db:
            rows = db.execute(
                f"SELECT {COLUMNS} FROM daybook.events WHERE originator_id = %s"
                " AND originator_version > %s AND originator_version <= %s"
                f" ORDER BY originator_version {order} LIMIT %s",
                (originator_id, -1 if gt is None else gt, _MOST if lte is None else lte, limit),
                binary=True,
            ).fetchall()
        return [notification(StoredEntry(*row)) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else start - 1 if inclusive_of_start else start
        return [notification(entry) for entry in self.entries(after, limit, stop=stop, names=topics)]

    @patient
    def max_notification_id(self) -> int | None:
        with self._pool.connection() as db:
            row = db.execute("SELECT max(position) FROM daybook.events").fetchone()
        return row[0] if row else None

    def position_at(self, time: datetime) -> int | None:
        """The position of the last entry recorded at a time or before it, 0 before the first one; None for a time that
        lies in the future.
        """
        found = self.found_at(time)
        return None if found is None else found[0]

    @patient
    def found_at(self, time: datetime) -> tuple[int, int] | None:
        """The same, and the position of the last entry of all: where it is a later one, recorded later, none will come
        between.
        """
        with self._pool.connection() as db:
            row = db.execute(_POSITION_AT, {"time": time}, prepare=True).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return PollingSubscription(self, gt=gt, topics=topics)

    @patient
    def entries(
        self, after: int, limit: int, *, stop: int | None = None, names: Sequence[str] = (), subject: UUID | None = None
    ) -> list[StoredEntry]:
        """The next entries above a position, in order, up to `stop`; of these stored names only, and only those of this
        subject: a record's own, and what is sealed under its key."""
        with self._pool.connection() as db:
            rows = db.execute(
                f"SELECT {COLUMNS} FROM daybook.events WHERE position > %s AND position <= %s"
                " AND (%s::text[] IS NULL OR topic = ANY(%s))"
                " AND (%s::uuid IS NULL OR subject = %s OR originator_id = %s)"
                " ORDER BY position LIMIT %s",
                (after, _MOST if stop is None else stop, *(2 * [list(names) or None]), *(3 * [subject]), limit),
                binary=True,
                prepare=True,
            ).fetchall()
        return [StoredEntry(*row) for row in rows]

    @patient
    def histories(self, after: Mapping[UUID, int], reading: Reading) -> Mapping[UUID, Sequence[Row]]:
        """Of each aggregate that has any, its entries above the given version, as far as the reading wants them."""
        found: dict[UUID, list[Any]] = {}
        with self._pool.connection() as db:
            cursor = db.cursor(binary=True)
            cursor.adapters.register_loader("uuid", ByteaBinaryLoader)
            wanted = _OPENED if reading.opened else _sealed(reading.left_out)
            for id, at in after.items():
                found[id] = cursor.execute(wanted, {"id": id, "after": at}, prepare=True).fetchall()
        # The connection is given back first: to open, the vault may need one, and every reader could be holding one.
        if reading.opened:
            return {id: self._vault.opened(id, rows, reading) for id, rows in found.items() if rows}
        return {id: [_left_sealed(*row) for row in rows] for id, rows in found.items() if rows}

    @patient
    def receipt(self, actor: str, key: UUID) -> KeptReceipt | None:
        with self._pool.connection() as db:
            row = db.execute(_RECEIPT, (actor, key), binary=True, prepare=True).fetchone()
        return None if row is None else KeptReceipt(Receipt(*row[1:]), row[0])

    @patient
    def next_number(self) -> int:
        with self._pool.connection() as db:
            row = db.execute("SELECT nextval('daybook.numbers')", prepare=True).fetchone()
        if row is None:
            raise BookUnavailable("The book gave no number.")
        return int(row[0])


_MOST = 2**63 - 1

_SEALED = """
    SELECT originator_version, position, topic, state, sealed IS NOT NULL FROM daybook.events
    WHERE originator_id = %(id)s AND originator_version > %(after)s AND (topic <> ALL ({left_out})
        OR originator_version = (SELECT max(originator_version) FROM daybook.events WHERE originator_id = %(id)s))
    ORDER BY originator_version
"""
_OPENED = """
    SELECT originator_version, position, topic, state, sealed, event_id, nullif(subject, originator_id)
    FROM daybook.events WHERE originator_id = %(id)s AND originator_version > %(after)s ORDER BY originator_version
"""
# Positions are dense and times never decrease with them: halving needs no index by time, which every append would pay.
_POSITION_AT = """
    WITH RECURSIVE search (low, high, last) AS (
        SELECT 0::bigint, coalesce(max(position), 0), coalesce(max(position), 0) FROM daybook.events
        HAVING %(time)s <= clock_timestamp()
        UNION ALL
        SELECT CASE WHEN middle.recorded_at <= %(time)s THEN middle.position ELSE low END,
            CASE WHEN middle.recorded_at <= %(time)s THEN high ELSE middle.position - 1 END, last
        FROM search, LATERAL (
            SELECT position, recorded_at FROM daybook.events WHERE position = (low + high + 1) / 2 LIMIT 1) AS middle
        WHERE low < high
    )
    SELECT low, last FROM search WHERE low = high
"""
_RECEIPT = """
    SELECT fingerprint, aggregate_id, version, position FROM daybook.receipts WHERE actor = %s AND idempotency_key = %s
"""


@cache
def _sealed(left_out: tuple[str, ...]) -> bytes:
    """The statement with the names in it: PostgreSQL hashes constants, and compares each name with parameters."""
    return sql.SQL(_SEALED).format(left_out=sql.Literal([*left_out])).as_bytes(None)


def _left_sealed(version: int, position: int, name: str, state: bytes, sealed: bool) -> Row:
    return version, position, name, state, Withheld.SEALED if sealed else None


def bare(stored: StoredEvent) -> Entry:
    """A stored event of the library's own, without an envelope: it speaks for itself."""
    id = stored.originator_id if isinstance(stored.originator_id, UUID) else UUID(stored.originator_id)
    return Entry(
        originator_id=id,
        originator_version=stored.originator_version,
        topic=stored.topic,
        state=stored.state,
        event_id=new_id(),
        occurred_at=None,
        subject=id,
        actor="",
        on_behalf_of=None,
        correlation_id=new_id(),
        causation_id=None,
        idempotency_key=None,
        sealed=None,
        commitment=None,
    )
