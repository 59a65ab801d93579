"""The rules that a command on a ticket can break."""

from domain.kernel import Rule
from domain.ticket.words import ComplaintSeverity, TicketKind, TicketStatus


class TicketIsClosed(Rule):
    """The ticket is closed for good; open a follow-up ticket that follows this one."""


class TicketStatusUnfit(Rule):
    """The ticket is {status}; for this it must be one of: {needed}."""

    status: TicketStatus
    needed: str


class FollowedTicketNotDone(Rule):
    """Only a solved or closed ticket has follow-ups; reply to that ticket instead."""


class QueueNotActive(Rule):
    """This queue is not active; name one that is."""


class EscalationLower(Rule):
    """The ticket already stands at level {level}; escalate it to that level or a higher one."""

    level: int


class NotAComplaint(Rule):
    """Only a complaint has a severity; this ticket is a {kind}. Change its kind first, if it is a complaint."""

    kind: TicketKind


class ComplaintIsClassified(Rule):
    """The complaint is classified as {severity} and stays a complaint; open another ticket for what else there is."""

    severity: ComplaintSeverity


class SatisfactionAlreadyGiven(Rule):
    """The customer has already rated this ticket; ask again before you enter another rating."""


class TicketExternalIdTaken(Rule):
    """Another ticket already carries this external id; use that ticket."""


class TooManyTicketExternalIds(Rule):
    """The ticket already has {most} external ids, which is the most it may have."""

    most: int
