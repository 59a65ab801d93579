"""What happens under the append lock: read the head of the book or suppose it, accept what still holds, insert it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.appending import (
    AlreadyHandled,
    ClaimTaken,
    Conditions,
    Entry,
    KeptReceipt,
    KeyDestroyed,
    Moved,
    OccurredBeforeLast,
    OccurredInTheFuture,
)
from domain.kernel import refuse
from domain.kernel.recorded import Receipt
from infra.entries import StoredEntry
from infra.exchange import Asked, Exchange
from infra.head import NOW_IF_SO, READ, Left, asked, read, supposed, supposed_of
from infra.master_key import epoch_of
from infra.vault import Vault

APPEND_LOCK = 0x6461_7962_6F6F_6B02
"""The advisory lock of every append to this book."""

_NEVER: tuple[int, datetime | None] = (0, None)
"""The version of an aggregate without entries."""

_INSERT = b"""
    WITH batch AS MATERIALIZED (%b),
    entries AS (
        SELECT * FROM json_to_recordset($3::json) AS new (
            position bigint, originator_id uuid, originator_version bigint, event_id uuid, topic text,
            occurred_at timestamptz, subject uuid, actor text, on_behalf_of text, correlation_id uuid,
            causation_id uuid, idempotency_key uuid, state text, sealed text, commitment text, new_key text)),
    receipts AS (
        INSERT INTO daybook.receipts (actor, idempotency_key, fingerprint, aggregate_id, version, position, recorded_at)
        SELECT actor, key, decode(fingerprint, 'base64'), id, version, position, now
        FROM batch, json_to_recordset($1::json) AS new (
            actor text, key uuid, fingerprint text, id uuid, version bigint, position bigint)),
    slots AS (
        INSERT INTO daybook.reservations (scope, fingerprint, slot, holder, subject)
        SELECT scope, decode(fingerprint, 'base64'), slot, holder, subject
        FROM batch, json_to_recordset($2::json) AS new (
            scope text, fingerprint text, slot integer, holder uuid, subject uuid)),
    keys AS (
        INSERT INTO daybook_keys.subjects (subject, wrapped, made_at)
        SELECT subject, decode(new_key, 'base64'), now
        FROM batch, entries WHERE new_key IS NOT NULL),
    appended AS (
        INSERT INTO daybook.events (
            position, originator_id, originator_version, event_id, topic, recorded_at, occurred_at, subject, actor,
            on_behalf_of, correlation_id, causation_id, idempotency_key, state, sealed, commitment)
        SELECT position, originator_id, originator_version, event_id, topic, now, coalesce(occurred_at, now), subject,
            actor, on_behalf_of, correlation_id, causation_id, idempotency_key,
            decode(state, 'base64'), decode(sealed, 'base64'), decode(commitment, 'base64')
        FROM batch, entries)
    SELECT to_json(now) FROM batch
"""
_INSERT_AT = _INSERT % b"SELECT $4::timestamptz AS now"
_INSERT_IF_SO = _INSERT % NOW_IF_SO
_GIVE_BACK = b"""
    DELETE FROM daybook.reservations
    USING json_to_recordset($1::json) AS gone (scope text, fingerprint text, holder uuid)
    WHERE (reservations.scope, reservations.fingerprint, reservations.holder)
        = (gone.scope, decode(gone.fingerprint, 'base64'), gone.holder)
"""
_DESTROY = b"""
    WITH gone AS (SELECT subject FROM json_array_elements_text($1::json) AS one (text), CAST(text AS uuid) AS subject),
    slots AS (DELETE FROM daybook.reservations USING json_array_elements_text($3::json) AS erased (holder)
        WHERE reservations.holder = CAST(erased.holder AS uuid))
    INSERT INTO daybook_keys.subjects AS kept (subject, wrapped, made_at, destroyed_at)
    SELECT subject, NULL, $2::timestamptz, $2::timestamptz FROM gone
    ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, destroyed_at = $2::timestamptz
    WHERE kept.generations IS NOT NULL
"""
_BEGIN, _COMMIT = Asked(b"BEGIN"), Asked(b"COMMIT")
_LOCK = Asked(b"SELECT pg_advisory_xact_lock(%d)" % APPEND_LOCK)


class Slot(msgspec.Struct, frozen=True):
    """A reservation taken."""

    scope: str
    fingerprint: bytes
    slot: int
    holder: UUID
    subject: UUID
    """Whom the holder was about when it took it. Nothing is found by it: the holder may be another's by now."""


_encode = msgspec.json.Encoder().encode
_decode_time = msgspec.json.Decoder(datetime).decode


def may_be_supposed(entries: Sequence[Entry], conditions: Conditions | None) -> bool:
    """What gives something back, or happened at another time than now, needs a look."""
    looks = conditions is not None and (conditions.gives_back or conditions.destroys)
    return not looks and all(one.occurred_at is None for one in entries)


class Append:
    """One transaction's worth of accepted commands."""

    def __init__(self, exchange: Exchange, vault: Vault, lineage: int) -> None:
        self._exchange, self._vault, self._lineage = exchange, vault, lineage
        self._supposed: list[bytes] = []
        self._entries: list[dict[str, Any]] = []
        self._receipts: list[dict[str, Any]] = []
        self._taken: list[Slot] = []
        self._given_back: list[dict[str, Any]] = []
        self.new_keys: dict[UUID, bytes] = {}
        self.destroyed: set[UUID] = set()
        self._erased: set[UUID] = set()

    async def begin(self, entries: Sequence[Entry], conditions: Sequence[Conditions]) -> int:
        """Begin the transaction, take the append lock, which is held until it ends, and read what the checks need.

        Returns the position of the last entry. The head is a statement of its own after the lock: its snapshot must be
        younger.
        """
        _, _, head = await self._exchange.ask(_BEGIN, _LOCK, Asked(READ, self._asked(entries, conditions)))
        self._head = read(head.get_value(0, 0) or b"")
        self._position = self._head.position
        return self._position

    def suppose(self, entries: Sequence[Entry], conditions: Sequence[Conditions], left: Left) -> None:
        """Do not look, but take it that the book is as it was `left`, and that the commands find what they expect.

        `commit_if_so` finds out.
        """
        self._head, self._position = supposed(entries, conditions, left), left.position
        self._supposed = [*self._asked(entries, conditions), *supposed_of(self._head)]

    def accept(self, entries: Sequence[Entry], conditions: Conditions | None) -> list[int]:
        """Take a command into the batch where its conditions still hold; returns the positions of its entries.

        Raises Moved, AlreadyHandled, ClaimTaken, KeyDestroyed or Refused; then nothing of it is taken.
        """
        head = self._head
        if conditions is not None:
            if kept := head.receipts.get((conditions.actor, conditions.idempotency_key)):
                raise AlreadyHandled(kept)
            if conditions.lineage not in (None, self._lineage):
                raise Moved
            for id, version in conditions.expects.items():
                if head.versions.get(id, _NEVER)[0] != version:
                    raise Moved
        self._check_keys(entries)
        occurred = self._occurred(entries)
        taken = self._slots(conditions) if conditions is not None else []
        positions = list(range(self._position + 1, self._position + 1 + len(entries)))
        self._position += len(entries)
        for position, at, entry in zip(positions, occurred, entries, strict=True):
            # An entry's fields have the names of columns.
            row = vars(entry) | {"position": position, "recorded_at": head.now, "occurred_at": at, "new_key": None}
            if entry.new_key is not None and entry.subject not in head.keys:
                self.new_keys[entry.subject] = row["new_key"] = entry.new_key
                head.keys[entry.subject] = 1
            self._entries.append(row)
            head.versions[entry.originator_id] = (entry.originator_version, at)
        if conditions is not None:
            self.destroyed.update(conditions.destroys)
            self._erased.update({conditions.receipt.id} if conditions.destroys else ())
            head.keys.update(dict.fromkeys(conditions.destroys))
            self._keep(conditions, positions[-1] if positions else conditions.receipt.position, taken)
        return positions

    async def commit(self) -> None:
        """After `begin`: insert what was accepted, and commit."""
        now = str(self._head.now).encode()
        give_back = [Asked(_GIVE_BACK, [_encode(self._given_back)])] if self._given_back else []
        gone = [_encode([*self.destroyed]), now, _encode([*self._erased])]
        destroy = [Asked(_DESTROY, gone)] if self.destroyed else []
        await self._exchange.ask(*give_back, Asked(_INSERT_AT, [*self._rows(), now]), *destroy, _COMMIT)

    async def commit_if_so(self) -> bool:
        """After `suppose`: take the lock, and insert and commit where the head is as supposed; whether it was.

        Where it was not, nothing was done, and what was accepted or refused means nothing.
        """
        insert = Asked(_INSERT_IF_SO, [*self._rows(), *self._supposed])
        _, _, inserted, _ = await self._exchange.ask(_BEGIN, _LOCK, insert, _COMMIT)
        if not inserted.ntuples:
            return False
        now = _decode_time(inserted.get_value(0, 0) or b"")
        for row in self._entries:
            row["recorded_at"] = row["occurred_at"] = now
        return True

    @property
    def left(self) -> Left:
        """The book as this transaction leaves it."""
        return Left(self._position, self._head.epoch)

    def stored(self) -> list[StoredEntry]:
        """The entries that were committed, as whoever reads the book finds them."""
        return [StoredEntry(**{name: row[name] for name in StoredEntry._fields}) for row in self._entries]

    def _rows(self) -> list[bytes]:
        return [_encode(each) for each in (self._receipts, self._taken, self._entries)]

    def _asked(self, entries: Sequence[Entry], conditions: Sequence[Conditions]) -> list[bytes]:
        self._indexes = {
            claim: self._vault.blind_index(claim) for one in conditions for claim in (*one.takes, *one.gives_back)
        }
        return asked(entries, conditions, self._indexes)

    def _check_keys(self, entries: Iterable[Entry]) -> None:
        keys = self._head.keys
        new: dict[UUID, bytes] = {}
        for entry in entries:
            if entry.sealed is None:
                continue
            if entry.subject not in keys:
                holds = (
                    entry.new_key is not None
                    and self._lasts(entry.new_key)
                    and new.setdefault(entry.subject, entry.new_key) == entry.new_key
                )
            elif (generations := keys[entry.subject]) is None:
                self._vault.forget(entry.subject)
                raise KeyDestroyed(entry.subject)
            else:
                holds = entry.new_key is None and entry.generation == generations
            if not holds:
                # Sealed under a key that others may have been first to store, or that is not the newest: seal again.
                self._vault.forget(entry.subject)
                raise Moved

    def _lasts(self, new_key: bytes) -> bool:
        """Whether a new key is wrapped under the master key of today. A former one is destroyed in a moment."""
        if epoch_of(new_key) == self._head.epoch:
            return True
        self._vault.turn()
        return False

    def _occurred(self, entries: Iterable[Entry]) -> list[datetime | None]:
        """When each happened; None: when it is inserted, which nothing that stands there is later than."""
        now = self._head.now
        if now is None:
            return [None for _ in entries]
        found: list[datetime | None] = []
        last: dict[UUID, datetime] = {}
        for entry in entries:
            former = last.get(entry.originator_id) or self._head.versions.get(entry.originator_id, _NEVER)[1]
            at = entry.occurred_at or now
            if at > now:
                refuse(OccurredInTheFuture(path=("occurred_at",)))
            if former is not None and at < former:
                refuse(OccurredBeforeLast(last=former.isoformat(), path=("occurred_at",)))
            last[entry.originator_id] = at
            found.append(at)
        return found

    def _slots(self, conditions: Conditions) -> list[Slot]:
        """The slots that the command takes: a shared claim stands beside others, any other stands alone."""
        taken: list[Slot] = []
        holder = conditions.receipt.id
        for claim in conditions.takes:
            index = self._indexes[claim]
            slots = {slot for slot, other in self._head.slots.get((claim.scope, index), {}).items() if other != holder}
            if slots and not claim.shared:
                raise ClaimTaken(claim)
            slot = next(slot for slot in range(len(slots) + 1) if slot not in slots)
            taken.append(Slot(claim.scope, index, slot, holder, conditions.subject))
        return taken

    def _keep(self, conditions: Conditions, position: int, taken: Iterable[Slot]) -> None:
        slots, holder = self._head.slots, conditions.receipt.id
        for claim in conditions.gives_back:
            index = self._indexes[claim]
            self._given_back.append({"scope": claim.scope, "fingerprint": index, "holder": holder})
            held = slots.get((claim.scope, index), {})
            for slot in [slot for slot, other in held.items() if other == holder]:
                del held[slot]
            gone = (claim.scope, index, holder)  # perhaps taken in this very batch
            self._taken = [one for one in self._taken if (one.scope, one.fingerprint, one.holder) != gone]
        for one in taken:
            slots.setdefault((one.scope, one.fingerprint), {})[one.slot] = holder
        self._taken += taken
        receipt = Receipt(conditions.receipt.id, conditions.receipt.version, position)
        kept = KeptReceipt(receipt, conditions.fingerprint)
        self._head.receipts[conditions.actor, conditions.idempotency_key] = kept
        self._receipts.append(
            {
                "actor": conditions.actor,
                "key": conditions.idempotency_key,
                "fingerprint": conditions.fingerprint,
                "id": receipt.id,
                "version": receipt.version,
                "position": receipt.position,
            }
        )
