"""An entry of the book: an event, with who, when, why and where it stands."""

from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

E = TypeVar("E")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a command, in which request, and why."""

    actor: str
    """A user, a token, a rule or an import, e.g. `administrator` or `import:maven`."""
    idempotency_key: UUID
    """Scoped to the actor: the same key and input give the first receipt again."""
    correlation_id: UUID
    """The request that the command came from."""
    causation_id: UUID | None = None
    """The event that caused it, where one did."""
    on_behalf_of: str | None = None
    """The staff member for whom it is asked, by the public id, where for somebody else."""
    reason: str | None = None
    """Why, in the actor's words: free text, sealed with the event."""
    expected_version: int | None = None
    """The version that the client saw; another one is refused."""
    occurred_at: datetime | None = None
    """When it happened, where that was before it is recorded (an import); None: when it is recorded."""


class Receipt(msgspec.Struct, frozen=True):
    """What a handled command left: the aggregate, its version, and the position up to which its effect stands."""

    id: UUID
    version: int
    position: int


class Recorded(msgspec.Struct, Generic[E], frozen=True):
    """An event with its envelope, as it stands in the book."""

    position: int
    """Dense, from 1, in commit order; 0 while not yet appended."""
    originator_id: UUID
    originator_version: int
    event_id: UUID
    name: str
    """The event's stored name."""
    recorded_at: datetime
    occurred_at: datetime
    subject: UUID
    """Whose key seals the personal part."""
    actor: str
    on_behalf_of: str | None
    correlation_id: UUID
    causation_id: UUID | None
    idempotency_key: UUID | None
    kind: str
    """The aggregate's kind, e.g. `customer`."""
    reason: str | None
    erased: bool
    """True: the key of the personal part was destroyed."""
    event: E

    @property
    def reason_given(self) -> str | None:
        """Why: with the command, or in the event itself, where one of those that ask for a reason of their own."""
        own = getattr(self.event, "reason", None)
        # A word of ours, such as that a deal was lost for its price, is a fact and no reason.
        return own if self.reason is None and type(own) is str else self.reason
