"""Ticket: something that a customer wants answered or mended. New, open, pending or on hold, solved, closed.

The status follows from what happened: a public reply or an assignment takes a new ticket to open, the customer's reply
opens one that waits or is solved. It is never new again, and closed is final: what comes later is a follow-up ticket.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, TypeAlias, assert_never
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.kernel import (
    LABEL,
    LINE,
    NAME,
    PROSE,
    Claim,
    Command,
    Decider,
    Derived,
    Doc,
    Event,
    Id,
    Items,
    Known,
    Number,
    Path,
    Personal,
    Rule,
    Seen,
    Standing,
    State,
    Text,
    Word,
    opened,
    require,
)
from domain.kernel.fields import ValueMalformed

MOST_EXTERNAL_IDS = 20
LEVEL = Number(Decimal(1), Decimal(5))
SCORE = Number(Decimal(1), Decimal(5))


class TicketStatus(Word):
    """Where a ticket stands."""

    NEW = "new", "Nobody has taken it up yet."
    OPEN = "open", "It is our turn."
    PENDING = "pending", "It is the customer's turn."
    ON_HOLD = "on_hold", "It waits for somebody else."
    SOLVED = "solved", "We think it is done; the customer may disagree."
    CLOSED = "closed", "Done for good."


class TicketKind(Word):
    """What a ticket is about."""

    QUESTION = "question", "Somebody wants to know something."
    INCIDENT = "incident", "Something does not work for somebody."
    PROBLEM = "problem", "The cause of incidents."
    COMPLAINT = "complaint", "Somebody is not content with us."


class TicketPriority(Word):
    """How soon a ticket wants attention."""

    LOW = "low", "Can wait."
    NORMAL = "normal", "In its turn."
    HIGH = "high", "Before others."
    URGENT = "urgent", "At once."


class TicketChannel(Word):
    """The way that a message came."""

    EMAIL = "email", "By e-mail."
    PHONE = "phone", "By telephone."
    WEB = "web", "By a form on the web."
    CHAT = "chat", "In a chat."
    SOCIAL = "social", "On a social network."
    IN_PERSON = "in_person", "Face to face."


class SolutionCode(Word):
    """How a ticket was solved."""

    ANSWERED = "answered", "The question was answered."
    FIXED = "fixed", "What was broken works again."
    WORKAROUND = "workaround", "There is a way round it."
    DUPLICATE = "duplicate", "Another ticket is about the same."
    NOT_REPRODUCIBLE = "not_reproducible", "We could not see it happen."
    REFUSED = "refused", "We do not do what was asked."
    OTHER = "other", "Something else."


class ComplaintSeverity(Word):
    """How grave a complaint is."""

    MINOR = "minor", "An annoyance."
    MAJOR = "major", "Harm to the customer."
    CRITICAL = "critical", "Grave harm, or a breach of law."


class TicketExternalId(msgspec.Struct, frozen=True, kw_only=True):
    """The ticket's id in another system."""

    source: Annotated[str, Doc("Which system, e.g. `old-desk`."), LABEL]
    id: Annotated[str, Doc("The id there, letter for letter."), Text(200)]


# Events


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
    external_ids: tuple[TicketExternalId, ...]


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

    external_id: TicketExternalId


TicketEvent: TypeAlias = (
    TicketOpened
    | TicketAssigned
    | TicketQueueChanged
    | TicketPriorityChanged
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


def note_added_from_1(old: dict[str, Any]) -> dict[str, Any]:
    """The fields of the first `TicketNoteAdded`, which knew no pinned notes, as those of `TicketNoteAdded.2`."""
    return {**old, "pinned": False}


# Commands


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
    external_ids: Annotated[
        tuple[TicketExternalId, ...], Doc("The ticket's ids in other systems."), Items(MOST_EXTERNAL_IDS)
    ] = ()


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


class ChangeTicketSubject(Command, frozen=True, kw_only=True):
    """Give the ticket another subject."""

    subject: Annotated[str, Doc("What it is about, in a line."), NAME]


class AssignTicketCustomer(Command, frozen=True, kw_only=True):
    """Say whose ticket it is, where that was not known or was wrong."""

    customer: Annotated[UUID, Doc("Whose ticket it is."), Id("customer")]


class ReceiveTicketReply(Command, frozen=True, kw_only=True):
    """Enter what the customer wrote or said. It opens a ticket that waits or is solved; a closed one is refused."""

    message: Annotated[UUID, Derived("msg")]
    text: Annotated[str, Doc("What the customer wrote or said."), PROSE]
    channel: Annotated[TicketChannel | None, Doc("The way it came; left out, the way the ticket came.")] = None


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

    source: Annotated[str, Doc("Which system, e.g. `old-desk`."), LABEL]
    external_id: Annotated[str, Doc("The id there, letter for letter."), Text(200)]


TicketCommand: TypeAlias = (
    OpenTicket
    | AssignTicket
    | ChangeTicketQueue
    | ChangeTicketPriority
    | ChangeTicketSubject
    | AssignTicketCustomer
    | ReceiveTicketReply
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

# Rules


class TicketIsClosed(Rule):
    """The ticket is closed for good; open a follow-up ticket that follows this one."""


class TicketStatusUnfit(Rule):
    """The ticket is {status}; for this it must be one of: {needed}."""

    status: TicketStatus
    needed: str


class FollowedTicketNotDone(Rule):
    """Only a solved or closed ticket has follow-ups; reply to that ticket instead."""


class CustomerNotActive(Rule):
    """This customer is not active; restore it, or name another one."""


class StaffNotActive(Rule):
    """This staff member is not active; name one who is."""


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


class QueueNotActive(Rule):
    """This queue is not active; name one that is."""


class EscalationLower(Rule):
    """The ticket already stands at level {level}; escalate it to that level or a higher one."""

    level: int


class NotAComplaint(Rule):
    """Only a complaint has a severity; this ticket is a {kind}."""

    kind: TicketKind


class SatisfactionAlreadyGiven(Rule):
    """The customer has already rated this ticket; ask again before you enter another rating."""


class TicketExternalIdTaken(Rule):
    """Another ticket already carries this external id; use that ticket."""


class TooManyTicketExternalIds(Rule):
    """The ticket already has {most} external ids, which is the most it may have."""

    most: int


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
    code: SolutionCode | None = None
    solution: Personal[str | None] = None
    """What was said of the solution: the same once more changes nothing."""
    severity: ComplaintSeverity | None = None
    due: date | None = None
    asked: bool = False
    """Whether the customer was asked for a rating and has not given it yet."""
    score: int | None = None
    comment: Personal[str | None] = None
    external_ids: tuple[TicketExternalId, ...] = ()
    added: Seen = Seen()
    """Messages and notes that were ever added: the same id again yields nothing."""


DONE = frozenset((TicketStatus.SOLVED, TicketStatus.CLOSED))
WAITING = frozenset((TicketStatus.PENDING, TicketStatus.ON_HOLD))
UNSOLVED = frozenset((TicketStatus.NEW, TicketStatus.OPEN)) | WAITING


def decide(state: Ticket, command: TicketCommand, known: Known) -> Sequence[TicketEvent]:
    match command:
        case OpenTicket():
            return [] if state.number else _open(command, known)
        case ReceiveTicketReply():
            return _receive_reply(state, command)
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
            require(_closed(state))
            return [] if priority == state.priority else [TicketPriorityChanged(old=state.priority, new=priority)]
        case ChangeTicketSubject(subject=subject):
            require(_closed(state))
            same = subject == opened(state.subject)
            return [] if same else [TicketSubjectChanged(old=state.subject, new=subject)]
        case AssignTicketCustomer():
            return _assign_customer(state, command, known)
        case AddTicketExternalId():
            return _add_external_id(state, TicketExternalId(source=command.source, id=command.external_id))
        case EscalateTicket():
            return _escalate(state, command, known)
        case ClassifyTicketComplaint():
            return _classify(state, command)
        case RequestTicketSatisfaction():
            require(_unfit(state, DONE))
            return [] if state.asked else [TicketSatisfactionRequested()]
        case GiveTicketSatisfaction():
            return _give_satisfaction(state, command)
        case _:
            return _move(state, command)


Move: TypeAlias = PendTicket | PutTicketOnHold | ResumeTicket | SolveTicket | ReopenTicket | CloseTicket


def _move(state: Ticket, command: Move) -> Sequence[TicketEvent]:
    """The commands that ask for another status by name."""
    match command:
        case PendTicket():
            return _to(state, TicketPended(), UNSOLVED)
        case PutTicketOnHold():
            return _to(state, TicketPutOnHold(), UNSOLVED)
        case ResumeTicket():
            return _to(state, TicketResumed(), WAITING)
        case SolveTicket():
            return _solve(state, command)
        case ReopenTicket():
            return _to(state, TicketReopened(reason=command.reason), frozenset((TicketStatus.SOLVED,)))
        case CloseTicket():
            return _to(state, TicketClosed(), frozenset((TicketStatus.SOLVED,)))
        case _:
            assert_never(command)


def _to(
    state: Ticket,
    event: TicketPended | TicketPutOnHold | TicketResumed | TicketReopened | TicketClosed,
    needed: frozenset[TicketStatus],
) -> Sequence[TicketEvent]:
    """The event, where the ticket stands in one of the statuses needed; nothing where it is there already."""
    if state.status is event.status:
        return []
    require(_unfit(state, needed))
    return [event]


def _closed(state: Ticket) -> Rule | None:
    return TicketIsClosed() if state.status is TicketStatus.CLOSED else None


def _unfit(state: Ticket, needed: frozenset[TicketStatus]) -> Rule | None:
    if state.status in needed:
        return None
    names = ", ".join(status.value for status in TicketStatus if status in needed)
    return _closed(state) or TicketStatusUnfit(status=state.status, needed=names)


def _not_active(known: Known, one: UUID | None, rule: Rule) -> Rule | None:
    return None if one is None or known.of(one).active else rule


# Opening and people


def _open(command: OpenTicket, known: Known) -> Sequence[TicketEvent]:
    require(
        _not_active(known, command.customer, CustomerNotActive(path=("customer",))),
        _not_active(known, command.queue, QueueNotActive(path=("queue",))),
        _not_active(known, command.assignee, StaffNotActive(path=("assignee",))),
        _follows_unfinished(command.follows, known),
        _broken_by_sources(command.external_ids),
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
    require(_closed(state), _not_active(known, command.assignee, StaffNotActive(path=("assignee",))))
    taken_up = state.status is TicketStatus.NEW and command.assignee is not None
    status = TicketStatus.OPEN if taken_up else state.status
    return [TicketAssigned(old=state.assignee, new=command.assignee, rule=command.rule, status=status)]


def _change_queue(state: Ticket, command: ChangeTicketQueue, known: Known) -> Sequence[TicketEvent]:
    if command.queue == state.queue:
        return []
    require(_closed(state), _not_active(known, command.queue, QueueNotActive(path=("queue",))))
    return [TicketQueueChanged(old=state.queue, new=command.queue)]


def _assign_customer(state: Ticket, command: AssignTicketCustomer, known: Known) -> Sequence[TicketEvent]:
    if command.customer == state.customer:
        return []
    require(_closed(state), _not_active(known, command.customer, CustomerNotActive(path=("customer",))))
    return [TicketCustomerAssigned(old=state.customer, new=command.customer)]


def _escalate(state: Ticket, command: EscalateTicket, known: Known) -> Sequence[TicketEvent]:
    to = (command.staff, command.team)
    require(
        _unfit(state, UNSOLVED),
        EscalationLower(path=("level",), level=state.level) if command.level < state.level else None,
        _not_active(known, command.staff, StaffNotActive(path=("staff",))),
        _not_active(known, command.team, TeamNotActive(path=("team",))),
    )
    if (command.level, to) == (state.level, state.escalated_to):
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


# Conversation


def _receive_reply(state: Ticket, command: ReceiveTicketReply) -> Sequence[TicketEvent]:
    if command.message in state.added:
        return []
    require(_closed(state))
    return [
        TicketCustomerReplied(
            message=command.message,
            text=command.text,
            channel=command.channel or state.channel,
            status=TicketStatus.NEW if state.status is TicketStatus.NEW else TicketStatus.OPEN,
        )
    ]


def _reply(state: Ticket, command: ReplyToTicket) -> Sequence[TicketEvent]:
    if command.message in state.added:
        return []
    require(_closed(state))
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


# Solution, complaint, satisfaction


def _solve(state: Ticket, command: SolveTicket) -> Sequence[TicketEvent]:
    if state.status is TicketStatus.SOLVED and (command.code, command.note) == (state.code, opened(state.solution)):
        return []
    require(_unfit(state, UNSOLVED))
    return [TicketSolved(code=command.code, note=command.note)]


def _classify(state: Ticket, command: ClassifyTicketComplaint) -> Sequence[TicketEvent]:
    complaint = state.kind is TicketKind.COMPLAINT
    require(_closed(state), None if complaint else NotAComplaint(kind=state.kind))
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
    require(_unfit(state, DONE), SatisfactionAlreadyGiven() if again else None)
    return [TicketSatisfactionGiven(old_score=state.score, score=command.score, comment=command.comment)]


def _add_external_id(state: Ticket, external_id: TicketExternalId) -> Sequence[TicketEvent]:
    if external_id in state.external_ids:
        return []
    full = len(state.external_ids) >= MOST_EXTERNAL_IDS
    require(
        _source_fault(external_id.source, ("source",)),
        TooManyTicketExternalIds(path=("external_id",), most=MOST_EXTERNAL_IDS) if full else None,
    )
    return [TicketExternalIdAdded(external_id=external_id)]


def _broken_by_sources(external_ids: Iterable[TicketExternalId]) -> Iterator[Rule]:
    for at, one in enumerate(external_ids):
        if fault := _source_fault(one.source, ("external_ids", at, "source")):
            yield fault


def _source_fault(source: str, path: Path) -> Rule | None:
    """A claim is written `source:id`; a colon in the source would let two ids meet in one claim."""
    return ValueMalformed(path=path, expected="a system's name without a colon") if ":" in source else None


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
        case _:
            return _evolve_seldom(state, event)


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


Seldom: TypeAlias = (
    TicketQueueChanged
    | TicketPriorityChanged
    | TicketSubjectChanged
    | TicketCustomerAssigned
    | TicketEscalated
    | TicketComplaintClassified
    | TicketExternalIdAdded
)


def _evolve_seldom(state: Ticket, event: Seldom) -> Ticket:
    match event:
        case TicketQueueChanged():
            return replace(state, queue=event.new)
        case TicketPriorityChanged():
            return replace(state, priority=event.new)
        case TicketSubjectChanged():
            return replace(state, subject=event.new)
        case TicketCustomerAssigned():
            return replace(state, customer=event.new)
        case TicketEscalated():
            return replace(state, level=event.level, escalated_to=(event.staff, event.team))
        case TicketComplaintClassified():
            return replace(state, severity=event.severity, due=event.due)
        case TicketExternalIdAdded():
            return replace(state, external_ids=(*state.external_ids, event.external_id))
        case _:
            assert_never(event)


def claims(state: Ticket) -> frozenset[Claim]:
    return frozenset(Claim("ticket_external_id", f"{one.source}:{one.id}") for one in state.external_ids)


def taken(command: TicketCommand, _claim: Claim) -> Rule:
    return TicketExternalIdTaken(path=("external_ids",) if isinstance(command, OpenTicket) else ("external_id",))


def standing(state: Ticket) -> Standing:
    """Its variety is its status: a follow-up asks for it."""
    return Standing(kind="ticket", active=state.status is not TicketStatus.CLOSED, variety=state.status.value)


def subject(state: Ticket) -> UUID | None:
    """The customer whose key seals the ticket's words; without one the ticket has a key of its own."""
    return state.customer


ticket: Decider[Ticket, TicketCommand, TicketEvent] = Decider(
    kind="ticket",
    prefix="tkt",
    initial=Ticket(),
    decide=decide,
    evolve=evolve,
    commands={
        "open": OpenTicket,
        "assign": AssignTicket,
        "changeQueue": ChangeTicketQueue,
        "changePriority": ChangeTicketPriority,
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
    },
    creates=frozenset((OpenTicket,)),
    events={
        "TicketOpened": TicketOpened,
        "TicketAssigned": TicketAssigned,
        "TicketQueueChanged": TicketQueueChanged,
        "TicketPriorityChanged": TicketPriorityChanged,
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
    },
    standing=standing,
    subject=subject,
    numbered=frozenset((OpenTicket,)),
    claims=claims,
    taken=taken,
)
