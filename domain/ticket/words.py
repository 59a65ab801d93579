"""The words of tickets: where they stand, what they are about, how they came and how they are solved."""

from decimal import Decimal

from domain.kernel import Number, Word

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


DONE = frozenset((TicketStatus.SOLVED, TicketStatus.CLOSED))
WAITING = frozenset((TicketStatus.PENDING, TicketStatus.ON_HOLD))
UNSOLVED = frozenset((TicketStatus.NEW, TicketStatus.OPEN)) | WAITING
SOLVED = frozenset((TicketStatus.SOLVED,))


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
