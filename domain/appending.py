"""What the door and the event store say to each other about one append."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from domain.encoding import Part, Reading
from domain.kernel import Claim, Event, Rule
from domain.kernel.recorded import Context, Receipt
from domain.steps import Step


@dataclass(frozen=True)
class Entry(StoredEvent):
    """A stored event with its envelope. Position and `recorded_at` are assigned under the append lock."""

    originator_id: UUID
    event_id: UUID
    occurred_at: datetime | None
    """None: when it is recorded."""
    subject: UUID
    actor: str
    on_behalf_of: str | None
    correlation_id: UUID
    causation_id: UUID | None
    idempotency_key: UUID | None
    sealed: bytes | None
    commitment: bytes | None
    new_key: bytes | None = None
    """The subject's wrapped key, where this entry is the first that it seals."""
    generation: int = 1
    """Of the subject's key that seals it."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event decided upon, on its way to the store; the mapper seals it into an Entry."""

    originator_id: UUID
    originator_version: int
    subject: UUID
    event: Event
    context: Context


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold under the append lock for a command's entries to be inserted, and what is recorded with them."""

    actor: str
    idempotency_key: UUID
    fingerprint: bytes
    """HMAC of the command: tells a retry from another command under the same key."""
    receipt: Receipt
    """What to record for the key; position 0 stands for the position of the last entry."""
    expects: Mapping[UUID, int]
    """The read set: the version that each aggregate must still have, the command's own included."""
    takes: Sequence[Claim]
    gives_back: Sequence[Claim]
    subject: UUID
    lineage: int | None = None
    """The book's, as it was before anything was read that this was decided on; None: nothing was that counts."""
    destroys: Sequence[UUID] = ()
    """Subjects whose keys are destroyed with it. What the receipt's own record holds is given back then; what others
    about the same person hold, such as a ticket's external ids, stays theirs."""


class KeptReceipt(msgspec.Struct, frozen=True):
    """A receipt found under an idempotency key."""

    receipt: Receipt
    fingerprint: bytes


class Moved(Exception):
    """An aggregate of the read set has another version than the decision was made on, or it was made on what may be of
    another lineage: decide again."""


class AlreadyHandled(Exception):
    """The idempotency key has a receipt already; it is the argument, a KeptReceipt."""

    def __init__(self, kept: KeptReceipt) -> None:
        super().__init__(kept)
        self.kept = kept


class ClaimTaken(Exception):
    """Somebody else holds what the command claims."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim.scope)
        self.claim = claim


class KeyDestroyed(Exception):
    """The key that an entry was to be sealed under was destroyed, with what it had sealed; the argument says whose."""

    def __init__(self, subject: UUID) -> None:
        super().__init__(subject)
        self.subject = subject


class BookUnavailable(Exception):
    """The event store did not answer; whether the command was recorded is unknown. Send it again with the same key."""


class NotAllowed(Rule):
    """You may not do this: it takes the permission {permission}, and on this record. Ask an administrator for it."""

    permission: str


class NotAllowedOnBehalf(Rule):
    """The person on whose behalf you act may not do this: it takes the permission {permission}, and on this record."""

    permission: str


class ReasonRequired(Rule):
    """What changes who may do what needs a reason: say in `reason` why, for whoever looks into it later."""


class VersionConflict(Rule):
    """The record has version {actual}, not {expected}: somebody changed it meanwhile. Read it again, then decide."""

    expected: int
    actual: int


class AlreadyExists(Rule):
    """This record exists already; there is one of its kind."""


class IdempotencyKeyReused(Rule):
    """This idempotency key was used for another command. Use a new key for each new command."""


class SubjectErased(Rule):
    """The personal data of {subject} was erased: nothing personal that concerns them can be entered any more, nor a
    reason. Leave out what is personal, and the reason, and send it again."""

    subject: str


class OccurredInTheFuture(Rule):
    """What happened can't lie in the future."""


class OccurredBeforeLast(Rule):
    """This is said to have happened before the record's last entry, {last}; entries of a record stand in order."""

    last: str


class RecordUnreadable(Rule):
    """Entry {position}, {event}, of this record or of one that the command needs can't be read by this version of
    Daybook, so nothing can be decided on it. If a newer version wrote it, run that one and send the command again."""

    event: str
    position: int


class RecordAltered(Rule):
    """Entry {position}, {event}, of this record or of one that the command needs does not open: it or its key was
    altered, so nothing can be decided on it. Tell the operator, to whom `daybook verify` says what was altered."""

    event: str
    position: int


class TooManyAtOnce(Rule):
    """Too many commands change this record at this moment; nothing was written. Try again."""


Row: TypeAlias = tuple[int, int, str, bytes, Part]
"""One entry as a fold needs it: version, position, stored name, public part, personal part.

A plain tuple: a thousand of them must be read and folded in a few milliseconds.
"""


class Book(Protocol):
    """The event store as the door sees it, beside the library's recorder."""

    @property
    def lineage(self) -> int:
        """Another one after each new connection to append over: it may lead to a server that has taken over without the
        last entries, where others stand in their place. What was read before is nothing to decide on."""
        ...

    def append(self, entries: Sequence[Entry], conditions: Conditions) -> Step[Sequence[int]]:
        """Append a command's entries, all or none; gives their positions.

        Raises Moved, AlreadyHandled, ClaimTaken, KeyDestroyed, Refused or BookUnavailable.
        """
        ...

    def seals_at_once(self, subject: UUID) -> bool:
        """Whether an entry about this subject can be sealed without a look at the store."""
        ...

    def histories(self, after: Mapping[UUID, int], reading: Reading) -> Mapping[UUID, Sequence[Row]]:
        """Of each aggregate that has any, its entries above the given version, as far as the reading wants them."""
        ...

    def receipt(self, actor: str, key: UUID) -> KeptReceipt | None:
        """What the key has left, or None."""
        ...

    def next_number(self) -> int:
        """The next human-friendly number."""
        ...


class Fingerprints(Protocol):
    """What tells a retry from another command under the same key."""

    def fingerprint(self, command: bytes) -> bytes:
        """A keyed HMAC of a command's bytes."""
        ...
