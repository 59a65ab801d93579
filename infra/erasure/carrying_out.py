"""Carrying out what was approved: the ledger first, then the keys and the receipt in one transaction.

Killed between any two of its steps it is taken up again: an approval without a receipt is what there is to do. Two
processes that do it at once do it once.
"""

import logging
import threading
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid5

import psycopg
from eventsourcing.domain import DomainEventProtocol
from msgspec.structs import replace
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout

from domain.appending import AlreadyHandled, BookUnavailable, Conditions, Draft, Moved
from domain.customer import (
    ERASURE_APPROVED,
    PERSONAL_DATA_ERASED,
    Customer,
    CustomerPersonalDataErased,
    Erasure,
)
from domain.daybook import Daybook, Unfoldable
from domain.kernel.recorded import Context, Receipt
from infra.beside import beside
from infra.committer import Committer
from infra.entries import ON_A_CONTACT, THE_CONTACT
from infra.erasure.ledger import Ledger, LedgerError
from infra.mapper import SealingMapper
from infra.silence import unhurried

POLL = 0.25
"""Seconds between two looks for approvals."""

PAUSE = 5.0
"""Seconds until what did not succeed is tried again."""

ACTOR = "daybook"

_AWAY = (psycopg.Error, PoolTimeout, BookUnavailable)

_NAMESPACE = UUID("b5c2c4a1-6d2b-4c3e-9a57-2d1f6f0f8f0e")
_log = logging.getLogger("daybook.erasure")

Pool = ConnectionPool[Connection[tuple[Any, ...]]]


class Reach(NamedTuple):
    """What an erasure reaches: records about the customer, by kind, those of organisations that say something of the
    customer as their contact, and every key that is destroyed."""

    opportunities: tuple[UUID, ...]
    tickets: tuple[UUID, ...]
    organisations: tuple[UUID, ...]
    keys: tuple[UUID, ...]
    versions: Mapping[UUID, int]
    """Of the records whose own keys are among these, as they were when they were found to be about nobody else."""
    entries: int
    """That are sealed under these keys."""
    approval: UUID | None
    """The entry that approved it; None: of a time that the book has lost."""


class Erasures:
    """Carries out erasures on one book."""

    def __init__(
        self, pool: Pool, committer: Committer, mapper: SealingMapper, daybook: Daybook, ledger: Ledger
    ) -> None:
        self._pool, self._committer, self._mapper, self._daybook, self._ledger = (
            pool,
            committer,
            mapper,
            daybook,
            ledger,
        )

    def carry_out_approved(self) -> list[UUID]:
        """Carry out every erasure that is approved and has no receipt; returns whose."""
        with self._pool.connection() as db:
            approved = [customer for (customer,) in db.execute(_APPROVED, binary=True)]
        failed = None
        for customer in approved:
            try:
                self._carry_out(customer)
            except _AWAY:
                raise
            except Exception as error:  # noqa: BLE001 - one that fails keeps no other waiting
                failed = error
        if failed is not None:
            raise failed
        return approved

    def replay(self) -> list[UUID]:
        """Carry out again what the ledger tells of, where a backup brought keys back; returns whose."""
        erased = self._ledger.erased()
        if not erased:
            return []
        with self._pool.connection() as db:
            there = came_back(db, erased)
        back = [customer for customer, keys_of in erased.items() if not there.isdisjoint(keys_of)]
        for customer in back:
            self._carry_out(customer, again=erased[customer] & there)
        return back

    def _carry_out(self, customer: UUID, again: Iterable[UUID] = ()) -> None:
        """Destroy the keys, and append the receipt; `again`: keys that came back, whatever the book says."""
        while True:
            state, version = self._stands(customer)
            if state.erasure is Erasure.ERASED and not again:
                if self._last(customer)[1]:
                    return
                self._daybook.forget()  # of a server that has taken over, it remembers a receipt that is lost
                continue
            reach = self._reach(customer, again)
            if not again:
                self._ledger.begin(customer, reach.keys)
            event = CustomerPersonalDataErased(
                ground=state.ground,
                opportunities=reach.opportunities,
                tickets=reach.tickets,
                organisations=reach.organisations,
                keys=len(reach.keys),
                entries=reach.entries,
            )
            try:
                position = self._append(customer, version, event, reach)
            except Moved:
                self._daybook.forget()  # of a server that has taken over, it may remember more than stands there
                continue
            except AlreadyHandled as already:
                position = already.kept.receipt.position
            self._ledger.done(customer, position)
            return

    def _stands(self, customer: UUID) -> tuple[Customer, int]:
        """The customer and their version; as they stood before an entry that can't be read, which keeps nobody waiting,
        but for the receipt: another process may have entered it.
        """
        erased = False
        try:
            fold = self._daybook.fold(customer)
            state, version = fold.state, fold.version
        except Unfoldable as stopped:
            version, erased = self._last(customer)
            state = stopped.before
        state = state if isinstance(state, Customer) else Customer()
        return replace(state, erasure=Erasure.ERASED) if erased else state, version

    def _last(self, customer: UUID) -> tuple[int, bool]:
        """The customer's version in the book, and whether a receipt is there."""
        with self._pool.connection() as db:
            [(version, erased)] = db.execute(_VERSION, (customer,), binary=True).fetchall()
        return version, erased

    def _reach(self, customer: UUID, again: Iterable[UUID]) -> Reach:
        with self._pool.connection() as db, unhurried(db):
            found = db.execute(_RECORDS, {"customer": customer}, binary=True).fetchall()
            kinds = {id: kind for id, names in found if (kind := self._kind(names))}
            # A record that was without a customer for a while has a key of its own for what was said meanwhile.
            others = [id for id, kind in kinds.items() if kind != "customer"]
            own: dict[UUID, int] = dict(
                db.execute(_ABOUT, {"customer": customer, "records": others}, binary=True).fetchall()
            )
        keys = tuple(dict.fromkeys((customer, *own, *again)))
        with self._pool.connection() as db, unhurried(db):
            [(keys, entries)] = db.execute(_REACHED, (list(keys), list(keys)), binary=True).fetchall()
            [(approval,)] = db.execute(_APPROVAL, (customer,), binary=True).fetchall()
        return Reach(
            opportunities=tuple(id for id, kind in kinds.items() if kind == "opportunity"),
            tickets=tuple(id for id, kind in kinds.items() if kind == "ticket"),
            organisations=tuple(id for id, kind in kinds.items() if kind == "customer"),
            keys=tuple(keys),
            versions={id: own[id] for id in keys if id in own},
            entries=entries,
            approval=approval,
        )

    def _kind(self, names: Iterable[str]) -> str | None:
        """Of a record with entries of these stored names; None where this version knows none of them."""
        known = [*self._mapper.catalogue.shapes, *self._mapper.catalogue.older]
        return next((self._mapper.catalogue.kind(name) for name in names if name in known), None)

    def _append(self, customer: UUID, version: int, event: CustomerPersonalDataErased, reach: Reach) -> int:
        """The receipt, together with what it tells of; returns its position. It is decided by nobody: it happened."""
        key = uuid5(_NAMESPACE, f"{customer} {version}")
        context = Context(actor=ACTOR, idempotency_key=key, correlation_id=key, causation_id=reach.approval)
        draft = Draft(
            originator_id=customer, originator_version=version + 1, subject=customer, event=event, context=context
        )
        entry = self._mapper.to_stored_event(cast("DomainEventProtocol[UUID]", draft))
        conditions = Conditions(
            actor=ACTOR,
            idempotency_key=key,
            fingerprint=b"",
            receipt=Receipt(customer, version + 1, 0),
            expects={**reach.versions, customer: version},
            takes=(),
            gives_back=(),
            subject=customer,
            destroys=reach.keys,
        )
        return self._committer.submit([entry], conditions).wait()[-1]


def waiting(db: Connection[Any]) -> int:
    """How many erasures are approved and not carried out yet."""
    return len(db.execute(_APPROVED).fetchall())


def unledgered(db: Connection[Any], erased: Collection[UUID]) -> int:
    """How many customers have a receipt in the book, and are none of those whom the ledger tells of."""
    return sum(customer not in erased for (customer,) in db.execute(_RECEIPTS, binary=True))


def came_back(db: Connection[Any], erased: Mapping[UUID, frozenset[UUID]]) -> set[UUID]:
    """Those of the keys that the ledger tells of which are in the database all the same."""
    told = [(customer, key) for customer, keys in erased.items() for key in keys]
    customers, keys = [customer for customer, _ in told], [key for _, key in told]
    return {key for (key,) in db.execute(_THERE, (customers, keys), binary=True)}


_APPROVED = f"""
    SELECT DISTINCT originator_id FROM daybook.events AS approved WHERE topic = '{ERASURE_APPROVED}' AND NOT EXISTS (
        SELECT FROM daybook.events AS receipt
        WHERE receipt.topic IN ('{"', '".join(PERSONAL_DATA_ERASED)}')
            AND receipt.originator_id = approved.originator_id)
"""
_RECEIPTS = f"""
    SELECT DISTINCT originator_id FROM daybook.events WHERE topic IN ('{"', '".join(PERSONAL_DATA_ERASED)}')
"""
_APPROVAL = f"""
    SELECT (SELECT event_id FROM daybook.events WHERE topic = '{ERASURE_APPROVED}' AND originator_id = %s
        ORDER BY position DESC LIMIT 1)
"""
# The ledger may tell of a ticket's key that was kept, since the ticket went over to somebody else just then. Keys and
# receipt go in one transaction: beside a receipt, none has come back whose customer's own one has not.
_THERE = f"""
    SELECT key.subject FROM unnest(%s::uuid[], %s::uuid[]) AS told (customer, key)
    JOIN daybook_keys.subjects AS key ON key.subject = told.key AND key.wrapped IS NOT NULL
    WHERE NOT EXISTS (
            SELECT FROM daybook.events
            WHERE topic IN ('{"', '".join(PERSONAL_DATA_ERASED)}') AND originator_id = told.customer)
        OR EXISTS (SELECT FROM daybook_keys.subjects WHERE subject = told.customer AND wrapped IS NOT NULL)
"""
# What an organisation says of a contact is sealed under the contact's key; once it was under its own.
_RECORDS = f"""
    SELECT originator_id, array_agg(DISTINCT topic) FROM daybook.events
    WHERE (subject = %(customer)s AND originator_id <> %(customer)s)
        OR ({ON_A_CONTACT} AND {THE_CONTACT} = %(customer)s::text)
    GROUP BY originator_id ORDER BY originator_id
"""
# Not about somebody else by now: whose key seals a record's last entry is whom it is about, itself where it is nobody.
_ABOUT = """
    SELECT originator_id, originator_version FROM (
        SELECT DISTINCT ON (originator_id) originator_id, originator_version, subject FROM daybook.events
        WHERE originator_id = ANY(%(records)s) ORDER BY originator_id, originator_version DESC
    ) AS last WHERE subject IN (originator_id, %(customer)s)
"""
# And whether there is a receipt.
_VERSION = f"""
    SELECT max(originator_version), bool_or(topic IN ('{"', '".join(PERSONAL_DATA_ERASED)}'))
    FROM daybook.events WHERE originator_id = %s
"""
_REACHED = """
    SELECT ARRAY(SELECT subject FROM daybook_keys.subjects WHERE subject = ANY(%s) AND wrapped IS NOT NULL
            ORDER BY subject),
        (SELECT count(*) FROM daybook.events WHERE subject = ANY(%s) AND sealed IS NOT NULL)
"""


@contextmanager
def carrying_out(erasures: Erasures) -> Generator[None]:
    """While the block lasts, a thread carries out what is approved."""
    # A database that is away is not waited for: the next start goes on from here.
    with beside("erasures", partial(_run, erasures)):
        yield


def _run(erasures: Erasures, stopping: threading.Event) -> None:
    pause = POLL
    while not stopping.wait(pause):
        try:
            for _ in erasures.carry_out_approved():
                _log.info("The personal data of a customer was erased.")
            pause = POLL
        except _AWAY as error:
            _log.warning("Erasures wait, because of the database: %s", type(error).__name__)
            pause = PAUSE
        except LedgerError as error:
            _log.error("Nothing is erased. %s", error)
            pause = PAUSE
        except Exception as error:  # noqa: BLE001 - a thread that died would erase nobody, and tell nobody
            _log.error("An approved erasure can't be carried out: %s", type(error).__name__)
            pause = PAUSE
