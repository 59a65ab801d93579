"""What the rules remember of a ticket, how an event changes it, and what others may know of it."""

from datetime import date
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.kernel import Claim, ExternalId, Personal, Place, Seen, Standing, State
from domain.ticket.events import (
    TicketAgentReplied,
    TicketAssigned,
    TicketClosed,
    TicketComplaintClassified,
    TicketCustomerAssigned,
    TicketCustomerReplied,
    TicketEscalated,
    TicketEvent,
    TicketExternalIdAdded,
    TicketKindChanged,
    TicketNoteAdded,
    TicketOpened,
    TicketPended,
    TicketPriorityChanged,
    TicketPutOnHold,
    TicketQueueChanged,
    TicketReopened,
    TicketResumed,
    TicketSatisfactionGiven,
    TicketSatisfactionRequested,
    TicketSolved,
    TicketSubjectChanged,
)
from domain.ticket.words import ComplaintSeverity, SolutionCode, TicketChannel, TicketKind, TicketPriority, TicketStatus


class Ticket(State, frozen=True, kw_only=True):
    """What the rules need to know of a ticket."""

    number: int = 0
    """Zero only before it was opened."""
    status: TicketStatus = TicketStatus.NEW
    customer: UUID | None = None
    channel: TicketChannel = TicketChannel.EMAIL
    subject: Personal[str] = ""
    kind: TicketKind = TicketKind.QUESTION
    priority: TicketPriority = TicketPriority.NORMAL
    queue: UUID | None = None
    assignee: UUID | None = None
    answered: bool = False
    """Whether a public reply was ever given."""
    level: int = 0
    escalated_to: tuple[UUID | None, UUID | None] = (None, None)
    """Staff member and team."""
    escalated_because: Personal[str | None] = None
    code: SolutionCode | None = None
    solution: Personal[str | None] = None
    """What was said of the solution: the same once more changes nothing."""
    severity: ComplaintSeverity | None = None
    due: date | None = None
    asked: bool = False
    """Whether the customer was asked for a rating and has not given it yet."""
    score: int | None = None
    comment: Personal[str | None] = None
    external_ids: tuple[ExternalId, ...] = ()
    added: Seen = Seen()
    """Messages and notes that were ever added: the same id again yields nothing."""


def evolve(state: Ticket, event: TicketEvent) -> Ticket:
    match event:
        case TicketCustomerReplied():
            return replace(state, status=event.status, added=state.added.add(event.message))
        case TicketAgentReplied():
            answered = state.answered or event.public
            return replace(state, status=event.status, answered=answered, added=state.added.add(event.message))
        case TicketNoteAdded():
            return replace(state, added=state.added.add(event.note))
        case TicketOpened():
            return _opened(event)
        case TicketAssigned():
            return replace(state, assignee=event.new, status=event.status)
        case TicketSolved():
            return replace(state, status=event.status, code=event.code, solution=event.note)
        case TicketPended() | TicketPutOnHold() | TicketResumed() | TicketReopened() | TicketClosed():
            return replace(state, status=event.status)
        case TicketSatisfactionRequested():
            return replace(state, asked=True)
        case TicketSatisfactionGiven():
            return replace(state, asked=False, score=event.score, comment=event.comment)
        case TicketQueueChanged():
            return replace(state, queue=event.new)
        case TicketPriorityChanged():
            return replace(state, priority=event.new)
        case TicketKindChanged():
            return replace(state, kind=event.new)
        case TicketSubjectChanged():
            return replace(state, subject=event.new)
        case TicketCustomerAssigned():
            return replace(state, customer=event.new)
        case TicketEscalated():
            to = (event.staff, event.team)
            return replace(state, level=event.level, escalated_to=to, escalated_because=event.reason)
        case TicketComplaintClassified():
            return replace(state, severity=event.severity, due=event.due)
        case TicketExternalIdAdded():
            return replace(state, external_ids=(*state.external_ids, event.external_id))
        case _:
            assert_never(event)


def _opened(event: TicketOpened) -> Ticket:
    return Ticket(
        number=event.number,
        status=event.status,
        customer=event.customer,
        channel=event.channel,
        subject=event.subject,
        kind=event.kind,
        priority=event.priority,
        queue=event.queue,
        assignee=event.assignee,
        external_ids=event.external_ids,
        added=Seen() if event.message is None else Seen().add(event.message),
    )


# What a fold can spare itself; the laws in tests/domain hold these lists against `evolve` and `standing`.
STANDING_FROM: frozenset[type[TicketEvent]] = frozenset(
    (
        TicketOpened,
        TicketAssigned,
        TicketQueueChanged,
        TicketEscalated,
        TicketCustomerReplied,
        TicketAgentReplied,
        TicketPended,
        TicketPutOnHold,
        TicketResumed,
        TicketSolved,
        TicketReopened,
        TicketClosed,
    )
)
FOLDED_SEALED: frozenset[type[TicketEvent]] = frozenset(
    (TicketCustomerReplied, TicketAgentReplied, TicketNoteAdded, TicketReopened)
)
OVERWRITES: frozenset[type[TicketEvent]] = frozenset(
    (TicketQueueChanged, TicketPriorityChanged, TicketKindChanged, TicketSubjectChanged, TicketEscalated)
)


def standing(state: Ticket) -> Standing:
    """Its variety is its status: a follow-up asks for it."""
    return Standing(
        kind="ticket",
        active=state.status is not TicketStatus.CLOSED,
        variety=state.status.value,
        place=Place(owner=state.assignee, team=state.escalated_to[1], queue=state.queue),
    )


def subject(state: Ticket) -> UUID | None:
    """The customer whose key seals the ticket's words; without one the ticket has a key of its own."""
    return state.customer


def claims(state: Ticket) -> frozenset[Claim]:
    return frozenset(one.claim("ticket_external_id") for one in state.external_ids)
