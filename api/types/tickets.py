"""Tickets and their conversation."""

from datetime import date, datetime
from decimal import Decimal

import strawberry

from api.reading.declarations import (
    column,
    connection,
    expression,
    hidden,
    part,
    rate,
    relation,
    rows_of,
    tally,
    totals_of,
)
from api.reading.relay import Connection, Node
from api.reading.sources import Search
from api.scalars import Position
from api.types.later import LaterCustomer, LaterStaffMember, LaterTeam
from api.types.parts import (
    THE_COMPANY,
    ExternalId,
    History,
    day_of,
    external_ids_in,
    history,
    month_of,
    position,
    recorded_at,
    version,
)
from api.types.people import Queue
from api.types.words import (
    ComplaintSeverity,
    MessageKind,
    SolutionCode,
    TicketChannel,
    TicketKind,
    TicketPriority,
    TicketStatus,
)
from domain.catalogue import catalogue
from projections import tickets as tables


@rows_of(tables.MESSAGES, order="ordinal")
@strawberry.type(description="An element of a ticket's conversation.")
class Message:
    id: strawberry.ID = column("id", "The message's id.", filtered=True)
    kind: MessageKind = column("kind", "What it is.", filtered=True)
    public: bool = column("is_public", "Whether the customer sees it.", filtered=True)
    pinned: bool = column("is_pinned", "Whether a note is pinned.", filtered=True)
    channel: TicketChannel | None = column("channel", "The way that a customer's message came.", filtered=True)
    text: str | None = column("text", "What it says; null where it was erased, or is hidden from you.")
    author: str = column("author", "Who wrote it, or entered what the customer wrote.", filtered=True)
    written_at: datetime = column("written_at", "When it was written.", filtered=True, sort="written_at")
    hidden_fields: list[str] = hidden()


@strawberry.type(description="What a customer said about our service.")
class Satisfaction:
    score: int = strawberry.field(description="1 to 5; 4 and 5 are satisfied.")
    comment: str | None = strawberry.field(
        description="What the customer said; null where nothing, erased, or hidden from you."
    )


@rows_of(
    tables.TICKETS,
    order="opened_at DESC",
    prefix=catalogue.prefixes["ticket"],
    search=Search(tables.SEARCH, "number, the subject and the ids in other systems"),
)
@strawberry.type(description="A question, an incident, a problem or a complaint.")
class Ticket(Node):
    number: int = column(
        "number", "Its number, for people: ascending and unique, with gaps.", sort="number", filtered=True
    )
    subject: str | None = column(
        "subject",
        "What it is about; null where it was erased, or is hidden from you.",
        sort="subject_key",
        filtered=True,
    )
    status: TicketStatus = column("status", "Where it stands.", filtered=True, sort="status")
    kind: TicketKind = column("kind", "What sort of concern it is.", filtered=True)
    priority: TicketPriority = column("priority", "How soon it wants attention.", filtered=True, sort="priority_rank")
    channel: TicketChannel = column("channel", "The way that it first came.", filtered=True)
    customer: LaterCustomer | None = relation("customer_id", "Whose concern it is.", filtered=True)
    queue: Queue | None = relation("queue_id", "The queue that it waits in.", filtered=True)
    assignee: LaterStaffMember | None = relation("assignee_id", "Who works on it.", filtered=True)
    follows: "Ticket | None" = relation(
        "follows_id", "The solved or closed ticket that this one follows up.", filtered=True
    )
    follow_ups: "Connection[Ticket]" = connection(
        "Tickets that follow this one up.", on={"follows_id": "id"}, filtered=True
    )
    severity: ComplaintSeverity | None = column("severity", "How grave a complaint is.", filtered=True, sort="severity")
    regulator_due: date | None = column(
        "regulator_due", "Until when a regulator wants a complaint answered.", sort="regulator_due", filtered=True
    )
    escalated: bool = expression(
        "{escalation_level} > 0",
        "Whether it was escalated.",
        filtered=True,
        told=lambda row: row["escalation_level"] > 0,
    )
    escalation_level: int = column(
        "escalation_level", "How far it was escalated; 0: never.", filtered=True, sort="escalation_level"
    )
    escalated_to: LaterStaffMember | None = relation(
        "escalated_to_staff_id", "To whom it was escalated.", filtered=True
    )
    escalated_to_team: LaterTeam | None = relation(
        "escalated_to_team_id", "To which team it was escalated.", filtered=True
    )
    messages: Connection[Message] = connection(
        "The conversation, from the beginning.", on={"ticket_id": "id"}, filtered=True
    )
    solution: SolutionCode | None = column("solution", "How it was solved.", filtered=True)
    solution_note: str | None = column("solution_note", "What more there is to say about the solution.")
    satisfaction: Satisfaction | None = part(
        "satisfaction_score",
        "What the customer said about our service.",
        score="{satisfaction_score}",
        comment="{satisfaction_comment}",
        filtered=True,
    )
    satisfaction_requested_at: datetime | None = column(
        "satisfaction_requested_at", "When we asked for it.", filtered=True
    )
    satisfaction_given_at: datetime | None = column(
        "satisfaction_given_at", "When the customer said it.", filtered=True
    )
    external_ids: list[ExternalId] = external_ids_in(tables.EXTERNAL_IDS)
    opened_at: datetime = column("opened_at", "When it was opened.", sort="opened_at", filtered=True)
    first_responded_at: datetime | None = column(
        "first_responded_at", "When we first answered publicly.", filtered=True, sort="first_responded_at"
    )
    solved_at: datetime | None = column(
        "solved_at", "When it was solved; null while it is not.", filtered=True, sort="solved_at"
    )
    closed_at: datetime | None = column("closed_at", "When it was closed for good.", filtered=True, sort="closed_at")
    changed_at: datetime = column("changed_at", "When something last happened to it.", sort="changed_at", filtered=True)
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()


@totals_of(Ticket, beside={"company": THE_COMPANY})
@strawberry.type(description="What tickets add up to.")
class TicketTotals:
    count: int = tally("How many tickets.")
    unsolved: int = tally(
        "How many of them are neither solved nor closed.", only="{status} not in ('solved', 'closed')"
    )
    escalated: int = tally("How many of them were escalated.", only="{escalation_level} > 0")
    ratings: int = tally("How many of them a customer has rated.", only="{satisfaction_score} is not null")
    csat: Decimal | None = rate(
        "Customer satisfaction: 100 x ratings of 4 and 5 / ratings, in per cent, two decimals; null without ratings.",
        of="{satisfaction_score} >= 4",
        among="{satisfaction_score} is not null",
    )


@totals_of(Ticket, beside={"company": THE_COMPANY})
@strawberry.type(description="What the tickets of one group add up to. What was not grouped by is null.")
class TicketGroup(TicketTotals):
    status: TicketStatus | None = column("status", "Where they stand.")
    kind: TicketKind | None = column("kind", "What sort of concern they are.")
    priority: TicketPriority | None = column("priority", "How soon they want attention.")
    channel: TicketChannel | None = column("channel", "The way that they first came.")
    customer: LaterCustomer | None = relation("customer_id", "Whose concern they are.")
    queue: Queue | None = relation("queue_id", "The queue that they wait in.")
    assignee: LaterStaffMember | None = relation("assignee_id", "Who works on them.")
    severity: ComplaintSeverity | None = column("severity", "How grave the complaints are.")
    solution: SolutionCode | None = column("solution", "How they were solved.")
    opened_month: date | None = expression(
        month_of(day_of("{opened_at}")), "The month in which they came, by its first day, in the company's time zone."
    )
    solved_month: date | None = expression(
        month_of(day_of("{solved_at}")), "The month in which they were solved, by its first day, likewise."
    )
    rated_month: date | None = expression(
        month_of(day_of("{satisfaction_given_at}")),
        "The month in which they were rated, by its first day, likewise.",
    )
