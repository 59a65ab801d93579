"""The words that read types speak, as GraphQL enums: the domain's, and the standings of records."""

from api.words import enum_of
from domain.customer import ConsentBasis, ConsentChannel, CustomerKind, Erasure, Relationship
from domain.kernel import ContactKind, Word
from domain.kernel.permissions import Permission, Scope
from domain.opportunity import LossReason, OpportunityStatus
from domain.pipeline import ForecastCategory
from domain.ticket import ComplaintSeverity, SolutionCode, TicketChannel, TicketKind, TicketPriority, TicketStatus


class RecordStatus(Word):
    """Whether a record is in use."""

    ACTIVE = "active", "In use."
    ARCHIVED = "archived", "Put away: it leaves the lists, links to it still resolve, and it can be restored."
    ERASED = "erased", "A customer whose personal data was erased, for ever: links to it still resolve."


class StaffStatus(Word):
    """Whether somebody works here."""

    ACTIVE = "active", "Works here."
    DEACTIVATED = "deactivated", "Does not work here any more."


class ProductStatus(Word):
    """Whether a product is sold."""

    ACTIVE = "active", "It is sold."
    DISCONTINUED = "discontinued", "It is not sold any more; deals that have it keep it."


class RoleStatus(Word):
    """Whether a role allows anything."""

    ACTIVE = "active", "It allows what it grants, and can be granted."
    RETIRED = "retired", "It allows nothing, to those who have it too; it can be restored."


class ApiTokenStatus(Word):
    """Whether a token was revoked. One that has expired opens nothing either, whatever stands here."""

    ACTIVE = "active", "It opens what it grants, until it expires."
    REVOKED = "revoked", "It opens nothing any more."


class ConsentState(Word):
    """What was said last about a consent."""

    GRANTED = "granted", "The customer may be addressed so."
    WITHDRAWN = "withdrawn", "The customer may not be addressed so any more."


class MessageKind(Word):
    """What an element of a ticket's conversation is."""

    CUSTOMER_REPLY = "customer_reply", "The customer wrote."
    AGENT_REPLY = "agent_reply", "We wrote to the customer, or to each other where it is not public."
    NOTE = "note", "A note of ours, which the customer never sees."


_WORDS: tuple[type[Word], ...] = (
    ApiTokenStatus,
    ComplaintSeverity,
    ConsentBasis,
    ConsentChannel,
    ConsentState,
    ContactKind,
    CustomerKind,
    Erasure,
    ForecastCategory,
    LossReason,
    MessageKind,
    OpportunityStatus,
    Permission,
    ProductStatus,
    RecordStatus,
    Relationship,
    RoleStatus,
    Scope,
    SolutionCode,
    StaffStatus,
    TicketChannel,
    TicketKind,
    TicketPriority,
    TicketStatus,
)
for _word in _WORDS:
    enum_of(_word)

__all__ = [
    "ApiTokenStatus",
    "ComplaintSeverity",
    "ConsentBasis",
    "ConsentChannel",
    "ConsentState",
    "ContactKind",
    "CustomerKind",
    "Erasure",
    "ForecastCategory",
    "LossReason",
    "MessageKind",
    "OpportunityStatus",
    "Permission",
    "ProductStatus",
    "RecordStatus",
    "Relationship",
    "RoleStatus",
    "Scope",
    "SolutionCode",
    "StaffStatus",
    "TicketChannel",
    "TicketKind",
    "TicketPriority",
    "TicketStatus",
]
