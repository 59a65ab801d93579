"""What follows from a command on a ticket."""

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from domain.kernel import (
    MOST_EXTERNAL_IDS,
    Claim,
    CustomerNotActive,
    ExternalId,
    Known,
    Rule,
    StaffNotActive,
    TeamNotActive,
    opened,
    path_of_claim,
    require,
    unless_active,
)
from domain.ticket.commands import (
    AddTicketExternalId,
    AddTicketNote,
    AssignTicket,
    AssignTicketCustomer,
    ChangeTicketKind,
    ChangeTicketPriority,
    ChangeTicketQueue,
    ChangeTicketSubject,
    ClassifyTicketComplaint,
    CloseTicket,
    EscalateTicket,
    FollowUpTicket,
    GiveTicketSatisfaction,
    OpenTicket,
    PendTicket,
    PutTicketOnHold,
    ReceiveTicketReply,
    ReopenTicket,
    ReplyToTicket,
    RequestTicketSatisfaction,
    ResumeTicket,
    SolveTicket,
    TicketCommand,
)
from domain.ticket.events import (
    TicketAgentReplied,
    TicketAssigned,
    TicketClosed,
    TicketComplaintClassified,
    TicketCustomerAssigned,
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
    TicketSubjectChanged,
)
from domain.ticket.follow_ups import followed_up, received
from domain.ticket.rules import (
    ComplaintIsClassified,
    EscalationLower,
    FollowedTicketNotDone,
    NotAComplaint,
    QueueNotActive,
    SatisfactionAlreadyGiven,
    TicketExternalIdTaken,
    TooManyTicketExternalIds,
)
from domain.ticket.state import Ticket
from domain.ticket.statuses import if_closed, moved, solved, unless_in
from domain.ticket.words import DONE, SOLVED, UNSOLVED, WAITING, TicketKind, TicketStatus


def decide(state: Ticket, command: TicketCommand, known: Known) -> Sequence[TicketEvent]:
    match command:
        case OpenTicket():
            return [] if state.number else _open(command, known)
        case ReceiveTicketReply():
            return received(state, command)
        case FollowUpTicket():
            return followed_up(state, command, known)
        case ReplyToTicket():
            return _reply(state, command)
        case AddTicketNote(note=note):
            added = TicketNoteAdded(note=note, text=command.text, pinned=command.pinned)
            return [] if note in state.added else [added]
        case AssignTicket():
            return _assign(state, command, known)
        case ChangeTicketQueue():
            return _change_queue(state, command, known)
        case ChangeTicketPriority(priority=priority):
            require(if_closed(state))
            return [] if priority == state.priority else [TicketPriorityChanged(old=state.priority, new=priority)]
        case ChangeTicketKind(kind=kind):
            return _change_kind(state, kind)
        case ChangeTicketSubject(subject=subject):
            require(if_closed(state))
            same = subject == opened(state.subject)
            return [] if same else [TicketSubjectChanged(old=state.subject, new=subject)]
        case AssignTicketCustomer():
            return _assign_customer(state, command, known)
        case AddTicketExternalId():
            return _add_external_id(state, ExternalId(source=command.source, id=command.external_id))
        case EscalateTicket():
            return _escalate(state, command, known)
        case ClassifyTicketComplaint():
            return _classify(state, command)
        case RequestTicketSatisfaction():
            require(unless_in(state, DONE))
            return [] if state.asked else [TicketSatisfactionRequested()]
        case GiveTicketSatisfaction():
            return _give_satisfaction(state, command)
        case PendTicket():
            return moved(state, TicketPended(), UNSOLVED)
        case PutTicketOnHold():
            return moved(state, TicketPutOnHold(), UNSOLVED)
        case ResumeTicket():
            return moved(state, TicketResumed(), WAITING)
        case SolveTicket():
            return solved(state, command)
        case ReopenTicket():
            return moved(state, TicketReopened(reason=command.reason), SOLVED)
        case CloseTicket():
            return moved(state, TicketClosed(), SOLVED)
        case _:
            assert_never(command)


def _open(command: OpenTicket, known: Known) -> Sequence[TicketEvent]:
    require(
        unless_active(known, command.customer, CustomerNotActive(path=("customer",))),
        unless_active(known, command.queue, QueueNotActive(path=("queue",))),
        unless_active(known, command.assignee, StaffNotActive(path=("assignee",))),
        _follows_unfinished(command.follows, known),
    )
    if known.number is None:
        raise LookupError("the door draws a number for every new ticket")
    return [
        TicketOpened(
            number=known.number,
            status=TicketStatus.NEW if command.assignee is None else TicketStatus.OPEN,
            customer=command.customer,
            channel=command.channel,
            subject=command.subject,
            message=None if command.text is None else command.message,
            text=command.text,
            kind=command.kind,
            priority=command.priority,
            queue=command.queue,
            assignee=command.assignee,
            follows=command.follows,
            external_ids=tuple(dict.fromkeys(command.external_ids)),
        )
    ]


def _follows_unfinished(follows: UUID | None, known: Known) -> Rule | None:
    done = follows is None or known.of(follows).variety in DONE
    return None if done else FollowedTicketNotDone(path=("follows",))


def _assign(state: Ticket, command: AssignTicket, known: Known) -> Sequence[TicketEvent]:
    if command.assignee == state.assignee:
        return []
    require(if_closed(state), unless_active(known, command.assignee, StaffNotActive(path=("assignee",))))
    taken_up = state.status is TicketStatus.NEW and command.assignee is not None
    status = TicketStatus.OPEN if taken_up else state.status
    return [TicketAssigned(old=state.assignee, new=command.assignee, rule=command.rule, status=status)]


def _change_queue(state: Ticket, command: ChangeTicketQueue, known: Known) -> Sequence[TicketEvent]:
    if command.queue == state.queue:
        return []
    require(if_closed(state), unless_active(known, command.queue, QueueNotActive(path=("queue",))))
    return [TicketQueueChanged(old=state.queue, new=command.queue)]


def _change_kind(state: Ticket, kind: TicketKind) -> Sequence[TicketEvent]:
    require(if_closed(state))
    if kind is state.kind:
        return []
    # A regulator may wait for its answer: what was classified can't be made into something that has no due date.
    require(None if state.severity is None else ComplaintIsClassified(severity=state.severity))
    return [TicketKindChanged(old=state.kind, new=kind)]


def _assign_customer(state: Ticket, command: AssignTicketCustomer, known: Known) -> Sequence[TicketEvent]:
    if command.customer == state.customer:
        return []
    require(if_closed(state), unless_active(known, command.customer, CustomerNotActive(path=("customer",))))
    return [TicketCustomerAssigned(old=state.customer, new=command.customer)]


def _escalate(state: Ticket, command: EscalateTicket, known: Known) -> Sequence[TicketEvent]:
    staff, team = state.escalated_to
    require(
        unless_in(state, UNSOLVED),
        EscalationLower(path=("level",), level=state.level) if command.level < state.level else None,
        unless_active(known, None if command.staff == staff else command.staff, StaffNotActive(path=("staff",))),
        unless_active(known, None if command.team == team else command.team, TeamNotActive(path=("team",))),
    )
    asked, present = (command.level, command.staff, command.team), (state.level, staff, team)
    if asked == present and command.reason == opened(state.escalated_because):
        return []
    return [
        TicketEscalated(
            old_level=state.level,
            level=command.level,
            staff=command.staff,
            team=command.team,
            reason=command.reason,
        )
    ]


def _reply(state: Ticket, command: ReplyToTicket) -> Sequence[TicketEvent]:
    if command.message in state.added:
        return []
    require(if_closed(state))
    taken_up = state.status is TicketStatus.NEW and command.public
    return [
        TicketAgentReplied(
            message=command.message,
            text=command.text,
            public=command.public,
            first_response=command.public and not state.answered,
            status=TicketStatus.OPEN if taken_up else state.status,
        )
    ]


def _classify(state: Ticket, command: ClassifyTicketComplaint) -> Sequence[TicketEvent]:
    complaint = state.kind is TicketKind.COMPLAINT
    require(if_closed(state), None if complaint else NotAComplaint(kind=state.kind))
    if (command.severity, command.due) == (state.severity, state.due):
        return []
    return [
        TicketComplaintClassified(
            old_severity=state.severity, severity=command.severity, old_due=state.due, due=command.due
        )
    ]


def _give_satisfaction(state: Ticket, command: GiveTicketSatisfaction) -> Sequence[TicketEvent]:
    if (command.score, command.comment) == (state.score, opened(state.comment)) and not state.asked:
        return []
    again = state.score is not None and not state.asked
    require(unless_in(state, DONE), SatisfactionAlreadyGiven() if again else None)
    return [TicketSatisfactionGiven(old_score=state.score, score=command.score, comment=command.comment)]


def _add_external_id(state: Ticket, external_id: ExternalId) -> Sequence[TicketEvent]:
    if external_id in state.external_ids:
        return []
    full = len(state.external_ids) >= MOST_EXTERNAL_IDS
    require(TooManyTicketExternalIds(path=("external_id",), most=MOST_EXTERNAL_IDS) if full else None)
    return [TicketExternalIdAdded(external_id=external_id)]


def taken(command: TicketCommand, claim: Claim) -> Rule:
    """The rule against an external id that another ticket has, with the path of the value."""
    return TicketExternalIdTaken(path=path_of_claim(command, claim))
