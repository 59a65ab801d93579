"""What happens to tickets, and the names under which it is stored."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeAlias
from uuid import UUID

from domain.kernel import Event, ExternalId, Personal
from domain.ticket.words import ComplaintSeverity, SolutionCode, TicketChannel, TicketKind, TicketPriority, TicketStatus


class TicketOpened(Event, frozen=True, kw_only=True):
    """A ticket began. It is open at once where somebody was assigned, otherwise new."""

    number: int
    status: TicketStatus
    customer: UUID | None
    channel: TicketChannel
    subject: Personal[str]
    message: UUID | None
    """The id of the first message, where there is one."""
    text: Personal[str | None]
    kind: TicketKind
    priority: TicketPriority
    queue: UUID | None
    assignee: UUID | None
    follows: UUID | None
    external_ids: tuple[ExternalId, ...]


class TicketAssigned(Event, frozen=True, kw_only=True):
    """Somebody else, or nobody, is in charge; a new ticket is open now. `rule` names the rule that chose."""

    old: UUID | None
    new: UUID | None
    rule: str | None
    status: TicketStatus


class TicketQueueChanged(Event, frozen=True, kw_only=True):
    """The ticket waits in another queue, or in none."""

    old: UUID | None
    new: UUID | None


class TicketPriorityChanged(Event, frozen=True, kw_only=True):
    """The ticket wants attention sooner or later than before."""

    old: TicketPriority
    new: TicketPriority


class TicketKindChanged(Event, frozen=True, kw_only=True):
    """The ticket turned out to be of another kind."""

    old: TicketKind
    new: TicketKind


class TicketSubjectChanged(Event, frozen=True, kw_only=True):
    """The ticket has another subject."""

    old: Personal[str]
    new: Personal[str]


class TicketCustomerAssigned(Event, frozen=True, kw_only=True):
    """The ticket is this customer's."""

    old: UUID | None
    new: UUID


class TicketCustomerReplied(Event, frozen=True, kw_only=True):
    """The customer wrote or said something more; a ticket that waited or was solved is open again."""

    message: UUID
    text: Personal[str]
    channel: TicketChannel
    status: TicketStatus


class TicketAgentReplied(Event, frozen=True, kw_only=True):
    """We replied: to the customer, or among ourselves. The envelope's actor is the author."""

    message: UUID
    text: Personal[str]
    public: bool
    first_response: bool
    """Whether this is the first public reply of all."""
    status: TicketStatus


class TicketNoteAdded(Event, frozen=True, kw_only=True):
    """Somebody wrote down something about the ticket that the customer does not see."""

    note: UUID
    text: Personal[str]
    pinned: bool


class TicketPended(Event, frozen=True, kw_only=True):
    """It is the customer's turn."""

    status: TicketStatus = TicketStatus.PENDING


class TicketPutOnHold(Event, frozen=True, kw_only=True):
    """The ticket waits for somebody else than the customer."""

    status: TicketStatus = TicketStatus.ON_HOLD


class TicketResumed(Event, frozen=True, kw_only=True):
    """The ticket waits no longer: it is our turn."""

    status: TicketStatus = TicketStatus.OPEN


class TicketEscalated(Event, frozen=True, kw_only=True):
    """The ticket wants somebody higher up. Level 0 is a ticket that was never escalated."""

    old_level: int
    level: int
    staff: UUID | None
    team: UUID | None
    reason: Personal[str]


class TicketSolved(Event, frozen=True, kw_only=True):
    """We think that the ticket is done."""

    code: SolutionCode
    note: Personal[str | None]
    status: TicketStatus = TicketStatus.SOLVED


class TicketReopened(Event, frozen=True, kw_only=True):
    """A solved ticket was not done after all."""

    reason: Personal[str | None]
    status: TicketStatus = TicketStatus.OPEN


class TicketClosed(Event, frozen=True, kw_only=True):
    """The ticket is done for good."""

    status: TicketStatus = TicketStatus.CLOSED


class TicketComplaintClassified(Event, frozen=True, kw_only=True):
    """Somebody said how grave the complaint is, and until when a regulator wants it answered."""

    old_severity: ComplaintSeverity | None
    severity: ComplaintSeverity
    old_due: date | None
    due: date | None


class TicketSatisfactionRequested(Event, frozen=True, kw_only=True):
    """The customer was asked how content they are."""


class TicketSatisfactionGiven(Event, frozen=True, kw_only=True):
    """The customer said how content they are, from 1 to 5; it replaces an older rating."""

    old_score: int | None
    score: int
    comment: Personal[str | None]


class TicketExternalIdAdded(Event, frozen=True, kw_only=True):
    """The ticket became known by an id of another system."""

    external_id: ExternalId


TicketEvent: TypeAlias = (
    TicketOpened
    | TicketAssigned
    | TicketQueueChanged
    | TicketPriorityChanged
    | TicketKindChanged
    | TicketSubjectChanged
    | TicketCustomerAssigned
    | TicketCustomerReplied
    | TicketAgentReplied
    | TicketNoteAdded
    | TicketPended
    | TicketPutOnHold
    | TicketResumed
    | TicketEscalated
    | TicketSolved
    | TicketReopened
    | TicketClosed
    | TicketComplaintClassified
    | TicketSatisfactionRequested
    | TicketSatisfactionGiven
    | TicketExternalIdAdded
)

EVENTS: Mapping[str, type[TicketEvent]] = {
    "TicketOpened": TicketOpened,
    "TicketAssigned": TicketAssigned,
    "TicketQueueChanged": TicketQueueChanged,
    "TicketPriorityChanged": TicketPriorityChanged,
    "TicketKindChanged": TicketKindChanged,
    "TicketSubjectChanged": TicketSubjectChanged,
    "TicketCustomerAssigned": TicketCustomerAssigned,
    "TicketCustomerReplied": TicketCustomerReplied,
    "TicketAgentReplied": TicketAgentReplied,
    "TicketNoteAdded.2": TicketNoteAdded,
    "TicketPended": TicketPended,
    "TicketPutOnHold": TicketPutOnHold,
    "TicketResumed": TicketResumed,
    "TicketEscalated": TicketEscalated,
    "TicketSolved": TicketSolved,
    "TicketReopened": TicketReopened,
    "TicketClosed": TicketClosed,
    "TicketComplaintClassified": TicketComplaintClassified,
    "TicketSatisfactionRequested": TicketSatisfactionRequested,
    "TicketSatisfactionGiven": TicketSatisfactionGiven,
    "TicketExternalIdAdded": TicketExternalIdAdded,
}
"""By stored name."""


def note_added_from_1(old: dict[str, Any]) -> dict[str, Any]:
    """The fields of the first `TicketNoteAdded`, which knew no pinned notes, as those of `TicketNoteAdded.2`."""
    return {**old, "pinned": False}
