"""What can be asked of a ticket, and the verbs of its mutations."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, TypeAlias
from uuid import UUID

from domain.kernel import LABEL, LINE, NAME, PROSE, Command, Derived, Doc, ExternalIds, Id, IdThere, Source
from domain.ticket.words import LEVEL, SCORE, ComplaintSeverity, SolutionCode, TicketChannel, TicketKind, TicketPriority


class OpenTicket(Command, frozen=True, kw_only=True):
    """Begin a ticket. It gets a number that people can say aloud."""

    message: Annotated[UUID, Derived("msg")]
    customer: Annotated[UUID | None, Doc("Whose ticket it is; may be left out until it is known."), Id("customer")] = (
        None
    )
    channel: Annotated[TicketChannel, Doc("The way it came.")]
    subject: Annotated[str, Doc("What it is about, in a line."), NAME]
    text: Annotated[str | None, Doc("The first message."), PROSE] = None
    kind: Annotated[TicketKind, Doc("What kind of ticket it is.")] = TicketKind.QUESTION
    priority: Annotated[TicketPriority, Doc("How soon it wants attention.")] = TicketPriority.NORMAL
    queue: Annotated[UUID | None, Doc("The queue it waits in."), Id("queue")] = None
    assignee: Annotated[UUID | None, Doc("Who is in charge; with somebody it is open at once."), Id("staff_member")] = (
        None
    )
    follows: Annotated[UUID | None, Doc("The solved or closed ticket that this one follows up."), Id("ticket")] = None
    external_ids: ExternalIds = ()


class AssignTicket(Command, frozen=True, kw_only=True):
    """Put somebody in charge, or nobody with null. A new ticket is open from then on."""

    assignee: Annotated[UUID | None, Doc("Who is in charge; null: nobody."), Id("staff_member")]
    rule: Annotated[str | None, Doc("The name of the rule that chose, where a rule did."), LABEL] = None


class ChangeTicketQueue(Command, frozen=True, kw_only=True):
    """Move the ticket to another queue, or out of any with null."""

    queue: Annotated[UUID | None, Doc("The queue; null: none."), Id("queue")]


class ChangeTicketPriority(Command, frozen=True, kw_only=True):
    """Say how soon the ticket wants attention."""

    priority: Annotated[TicketPriority, Doc("The new priority.")]


class ChangeTicketKind(Command, frozen=True, kw_only=True):
    """Say what kind of ticket it is after all. A complaint whose severity was entered stays a complaint."""

    kind: Annotated[TicketKind, Doc("The new kind.")]


class ChangeTicketSubject(Command, frozen=True, kw_only=True):
    """Give the ticket another subject."""

    subject: Annotated[str, Doc("What it is about, in a line."), NAME]


class AssignTicketCustomer(Command, frozen=True, kw_only=True):
    """Say whose ticket it is, where that was not known or was wrong."""

    customer: Annotated[UUID, Doc("Whose ticket it is."), Id("customer")]


class ReceiveTicketReply(Command, frozen=True, kw_only=True):
    """Enter what the customer wrote or said. It opens a ticket that waits or is solved. A closed one stays closed: the
    reply opens a follow-up ticket, or goes on in the one that an earlier reply opened. The payload shows that one."""

    message: Annotated[UUID, Derived("msg")]
    text: Annotated[str, Doc("What the customer wrote or said."), PROSE]
    channel: Annotated[TicketChannel | None, Doc("The way it came; left out, the way the ticket came.")] = None


class FollowUpTicket(Command, frozen=True, kw_only=True):
    """What a reply to a closed ticket is handed on as: it opens the follow-up, or goes on in it. It is no mutation."""

    reply: ReceiveTicketReply
    follows: Annotated[UUID, Id("ticket")]
    customer: UUID | None
    subject: str
    kind: TicketKind
    priority: TicketPriority
    channel: TicketChannel
    queue: Annotated[UUID | None, Id("queue")]
    assignee: Annotated[UUID | None, Id("staff_member")]


class ReplyToTicket(Command, frozen=True, kw_only=True):
    """Reply to the customer, or among yourselves. A public reply opens a new ticket."""

    message: Annotated[UUID, Derived("msg")]
    text: Annotated[str, Doc("The reply."), PROSE]
    public: Annotated[bool, Doc("Whether the customer sees it.")] = True


class AddTicketNote(Command, frozen=True, kw_only=True):
    """Write down something that the customer does not see; closed tickets take notes too."""

    note: Annotated[UUID, Derived("note")]
    text: Annotated[str, Doc("The note."), PROSE]
    pinned: Annotated[bool, Doc("Whether it stays on top.")] = False


class PendTicket(Command, frozen=True, kw_only=True):
    """Wait for the customer."""


class PutTicketOnHold(Command, frozen=True, kw_only=True):
    """Wait for somebody else than the customer."""


class ResumeTicket(Command, frozen=True, kw_only=True):
    """Wait no longer: it is our turn."""


class EscalateTicket(Command, frozen=True, kw_only=True):
    """Call for somebody higher up. The assignee stays until you assign another one."""

    level: Annotated[int, Doc("How high, from 1 to 5; never lower than the ticket already is."), LEVEL]
    staff: Annotated[UUID | None, Doc("Who is called."), Id("staff_member")] = None
    team: Annotated[UUID | None, Doc("Which team is called."), Id("team")] = None
    reason: Annotated[str, Doc("Why it needs somebody higher up."), LINE]


class SolveTicket(Command, frozen=True, kw_only=True):
    """Say that the ticket is done, and how."""

    code: Annotated[SolutionCode, Doc("How it was solved.")]
    note: Annotated[str | None, Doc("What there is to say about it."), PROSE] = None


class ReopenTicket(Command, frozen=True, kw_only=True):
    """Work again on a solved ticket; a closed one needs a follow-up."""

    reason: Annotated[str | None, Doc("Why it was not done."), LINE] = None


class CloseTicket(Command, frozen=True, kw_only=True):
    """Close a solved ticket for good."""


class ClassifyTicketComplaint(Command, frozen=True, kw_only=True):
    """Say how grave a complaint is, and until when a regulator wants it answered."""

    severity: Annotated[ComplaintSeverity, Doc("How grave it is.")]
    due: Annotated[date | None, Doc("The regulator's due date; null: none.")] = None


class RequestTicketSatisfaction(Command, frozen=True, kw_only=True):
    """Note that the customer was asked how content they are; asking again lets them rate again."""


class GiveTicketSatisfaction(Command, frozen=True, kw_only=True):
    """Enter how content the customer is. 4 and 5 count as content."""

    score: Annotated[int, Doc("From 1, not at all, to 5, very."), SCORE]
    comment: Annotated[str | None, Doc("What the customer adds."), PROSE] = None


class AddTicketExternalId(Command, frozen=True, kw_only=True):
    """Make the ticket known by an id of another system."""

    source: Source
    external_id: IdThere


TicketCommand: TypeAlias = (
    OpenTicket
    | AssignTicket
    | ChangeTicketQueue
    | ChangeTicketPriority
    | ChangeTicketKind
    | ChangeTicketSubject
    | AssignTicketCustomer
    | ReceiveTicketReply
    | FollowUpTicket
    | ReplyToTicket
    | AddTicketNote
    | PendTicket
    | PutTicketOnHold
    | ResumeTicket
    | EscalateTicket
    | SolveTicket
    | ReopenTicket
    | CloseTicket
    | ClassifyTicketComplaint
    | RequestTicketSatisfaction
    | GiveTicketSatisfaction
    | AddTicketExternalId
)

COMMANDS: Mapping[str, type[TicketCommand]] = {
    "open": OpenTicket,
    "assign": AssignTicket,
    "changeQueue": ChangeTicketQueue,
    "changePriority": ChangeTicketPriority,
    "changeKind": ChangeTicketKind,
    "changeSubject": ChangeTicketSubject,
    "assignCustomer": AssignTicketCustomer,
    "receiveReply": ReceiveTicketReply,
    "reply": ReplyToTicket,
    "addNote": AddTicketNote,
    "pend": PendTicket,
    "putOnHold": PutTicketOnHold,
    "resume": ResumeTicket,
    "escalate": EscalateTicket,
    "solve": SolveTicket,
    "reopen": ReopenTicket,
    "close": CloseTicket,
    "classifyComplaint": ClassifyTicketComplaint,
    "requestSatisfaction": RequestTicketSatisfaction,
    "giveSatisfaction": GiveTicketSatisfaction,
    "addExternalId": AddTicketExternalId,
}
"""By verb: `solve` is the mutation `ticketSolve`."""
