"""What an actor has left in the book before: how an import, or the demo, knows what is done already."""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.customer import ERASURE_APPROVED, PERSONAL_DATA_ERASED
from infra.entries import concerned
from infra.event_store import Pool
from infra.silence import unhurried

_MARKS = """
    SELECT originator_id, originator_version, correlation_id, idempotency_key FROM daybook.events
    WHERE originator_id = ANY(%s::uuid[]) AND actor = %s ORDER BY originator_id, originator_version
"""
_IMPORTED = "SELECT record, fingerprint FROM daybook.imported WHERE record = ANY(%s::uuid[]) AND source = %s"
_CAUSED = """
    SELECT correlation_id, originator_id FROM daybook.events
    WHERE correlation_id = ANY(%s::uuid[]) AND actor = %s AND actor LIKE 'import:%%' ORDER BY position
"""
_ERASED = f"""
    SELECT originator_id, state FROM daybook.events
    WHERE topic IN ('{"', '".join((ERASURE_APPROVED, *PERSONAL_DATA_ERASED))}')
"""
_REQUESTS = "SELECT DISTINCT correlation_id FROM daybook.events WHERE originator_id = ANY(%s::uuid[]) AND actor = %s"
# Whose key seals a record's last entry is whom it is about.
_SHUT = """
    SELECT originator_id FROM (
        SELECT DISTINCT ON (originator_id) originator_id, subject FROM daybook.events
        WHERE originator_id = ANY(%s::uuid[]) ORDER BY originator_id, originator_version DESC
    ) AS last JOIN daybook_keys.subjects USING (subject) WHERE destroyed_at IS NOT NULL
"""
_REMEMBER = """
    INSERT INTO daybook.imported (source, record, fingerprint)
    SELECT %s, * FROM unnest(%s::uuid[], %s::uuid[]) AS row (record, fingerprint) ORDER BY record
    ON CONFLICT (record, source) DO UPDATE SET fingerprint = excluded.fingerprint
"""
_BEGUN = "SELECT originator_id FROM daybook.events WHERE topic = %s ORDER BY position"
_ENTERED = "SELECT DISTINCT ON (idempotency_key) idempotency_key, originator_id FROM daybook.events WHERE actor = %s"
_USED = "SELECT EXISTS (SELECT FROM daybook.events WHERE actor <> %s)"


class Mark(NamedTuple):
    """An entry of the actor, in an aggregate's history."""

    version: int
    correlation: UUID
    key: UUID | None


class Erased(NamedTuple):
    """What went with the persons who were erased."""

    requests: frozenset[UUID]
    """Of the actor, that left entries in their histories, and in those of records that were ever about them."""
    records: frozenset[UUID]
    """The deals and tickets that have not gone over to somebody else: they take no words any more."""


def marks(pool: Pool, actor: str, ids: Collection[UUID]) -> dict[UUID, list[Mark]]:
    """The actor's entries in each aggregate's history, by version. Aggregates without any are left out."""
    with pool.connection() as db:
        rows = db.execute(_MARKS, (list(ids), actor), binary=True, prepare=True).fetchall()
    found: dict[UUID, list[Mark]] = {}
    for id, *mark in rows:
        found.setdefault(id, []).append(Mark(*mark))
    return found


def imported(pool: Pool, source: str, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The fingerprint of the row that was entered completely, and last, of each aggregate."""
    with pool.connection() as db:
        return dict(db.execute(_IMPORTED, (list(ids), source), binary=True, prepare=True).fetchall())


def entered_by(pool: Pool, importer: str, requests: Collection[UUID]) -> dict[UUID, UUID]:
    """The aggregate that each of an import's requests has left an entry in, last; those of none are left out."""
    with pool.connection() as db:
        return dict(db.execute(_CAUSED, (list(requests), importer), binary=True, prepare=True).fetchall())


def erased(pool: Pool, actor: str) -> Erased:
    """What went with the persons who were erased, of what the actor has entered."""
    with pool.connection() as db:
        customers, records = set[UUID](), set[UUID]()
        for customer, state in db.execute(_ERASED, binary=True):
            named = concerned(state)
            customers.add(customer)
            records.update(named.opportunities, named.tickets)
        requests = db.execute(_REQUESTS, ([*customers, *records], actor), binary=True).fetchall()
        shut = db.execute(_SHUT, ([*records],), binary=True).fetchall()
    return Erased(frozenset(request for (request,) in requests), frozenset(record for (record,) in shut))


def remember(pool: Pool, source: str, fingerprints: Mapping[UUID, UUID]) -> None:
    """Keep the fingerprints of rows that are entered completely."""
    with pool.connection() as db:
        db.execute(_REMEMBER, (source, list(fingerprints), list(fingerprints.values())), prepare=True)


def entered(pool: Pool, actor: str) -> dict[UUID, UUID]:
    """The aggregate that each idempotency key of the actor left an entry in. Reads the whole book."""
    with pool.connection() as db, unhurried(db):
        return dict(db.execute(_ENTERED, (actor,), binary=True).fetchall())


def begun(pool: Pool, name: str) -> list[UUID]:
    """The aggregates that began with an event of this stored name, oldest first. Reads the whole book."""
    with pool.connection() as db, unhurried(db):
        return [id for (id,) in db.execute(_BEGUN, (name,), binary=True)]


def used(db: Connection[tuple[object, ...]], house: str) -> bool:
    """Whether anybody but this actor, the house itself, has entered anything."""
    return db.execute(_USED, (house,)).fetchone() == (True,)
