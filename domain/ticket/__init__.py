"""Ticket: something that a customer wants answered or mended. New, open, pending or on hold, solved, closed.

The status follows from what happened: a public reply or an assignment takes a new ticket to open, the customer's reply
opens one that waits or is solved. It is never new again, and closed is final: what comes later is a follow-up ticket.
"""

from domain.kernel import MOST_EXTERNAL_IDS, CustomerNotActive, Decider, StaffNotActive, TeamNotActive
from domain.ticket.commands import (
    COMMANDS,
    AddTicketExternalId,
    AddTicketNote,
    AssignTicket,
    AssignTicketCustomer,
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
from domain.ticket.decisions import decide, taken
from domain.ticket.events import (
    EVENTS,
    TicketAgentReplied,
    TicketAssigned,
    TicketClosed,
    TicketComplaintClassified,
    TicketCustomerAssigned,
    TicketCustomerReplied,
    TicketEscalated,
    TicketEvent,
    TicketExternalIdAdded,
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
    note_added_from_1,
)
from domain.ticket.follow_ups import follow_up_of, handed_on
from domain.ticket.rules import (
    EscalationLower,
    FollowedTicketNotDone,
    NotAComplaint,
    QueueNotActive,
    SatisfactionAlreadyGiven,
    TicketExternalIdTaken,
    TicketIsClosed,
    TicketStatusUnfit,
    TooManyTicketExternalIds,
)
from domain.ticket.state import (
    FOLDED_SEALED,
    OVERWRITES,
    STANDING_FROM,
    Ticket,
    claims,
    evolve,
    standing,
    subject,
)
from domain.ticket.words import (
    DONE,
    LEVEL,
    SCORE,
    SOLVED,
    UNSOLVED,
    WAITING,
    ComplaintSeverity,
    SolutionCode,
    TicketChannel,
    TicketKind,
    TicketPriority,
    TicketStatus,
)

ticket: Decider[Ticket, TicketCommand, TicketEvent] = Decider(
    kind="ticket",
    prefix="tkt",
    initial=Ticket(),
    decide=decide,
    evolve=evolve,
    commands=COMMANDS,
    creates=frozenset((OpenTicket,)),
    events=EVENTS,
    hands_on=handed_on,
    standing=standing,
    standing_from=STANDING_FROM,
    folded_sealed=FOLDED_SEALED,
    overwrites=OVERWRITES,
    subject=subject,
    numbered=frozenset((OpenTicket, FollowUpTicket)),
    claims=claims,
    taken=taken,
)


__all__ = [
    "COMMANDS", "DONE", "EVENTS", "LEVEL", "MOST_EXTERNAL_IDS", "SCORE", "SOLVED", "UNSOLVED", "WAITING",
    "AddTicketExternalId", "AddTicketNote", "AssignTicket", "AssignTicketCustomer", "ChangeTicketPriority",
    "ChangeTicketQueue", "ChangeTicketSubject", "ClassifyTicketComplaint", "CloseTicket", "ComplaintSeverity",
    "CustomerNotActive", "EscalateTicket", "EscalationLower", "FollowUpTicket", "FollowedTicketNotDone",
    "GiveTicketSatisfaction", "NotAComplaint", "OpenTicket", "PendTicket", "PutTicketOnHold", "QueueNotActive",
    "ReceiveTicketReply", "ReopenTicket", "ReplyToTicket", "RequestTicketSatisfaction", "ResumeTicket",
    "SatisfactionAlreadyGiven", "SolutionCode", "SolveTicket", "StaffNotActive", "TeamNotActive", "Ticket",
    "TicketAgentReplied", "TicketAssigned", "TicketChannel", "TicketClosed", "TicketCommand",
    "TicketComplaintClassified", "TicketCustomerAssigned", "TicketCustomerReplied", "TicketEscalated", "TicketEvent",
    "TicketExternalIdAdded", "TicketExternalIdTaken", "TicketIsClosed", "TicketKind", "TicketNoteAdded",
    "TicketOpened", "TicketPended", "TicketPriority", "TicketPriorityChanged", "TicketPutOnHold",
    "TicketQueueChanged", "TicketReopened", "TicketResumed", "TicketSatisfactionGiven", "TicketSatisfactionRequested",
    "TicketSolved", "TicketStatus", "TicketStatusUnfit", "TicketSubjectChanged", "TooManyTicketExternalIds", "claims",
    "decide", "evolve", "follow_up_of", "handed_on", "note_added_from_1", "standing", "subject", "taken", "ticket",
]  # fmt: skip
