"""Customers, and what belongs to them."""

from datetime import date, datetime

import strawberry

from api.reading.declarations import (
    all_of,
    column,
    connection,
    expression,
    hidden,
    part,
    relation,
    rows_of,
    tally,
    totals,
    totals_of,
    values,
)
from api.reading.money import Money, money
from api.reading.relay import Connection, Node
from api.reading.sources import Argument, Grain, Search, Through
from api.reading.texts import composed
from api.scalars import Position
from api.types.later import (
    LaterOpportunity,
    LaterOpportunityGroup,
    LaterOpportunityTotals,
    LaterStaffMember,
    LaterTeam,
    LaterTicket,
    LaterTicketGroup,
    LaterTicketTotals,
)
from api.types.parts import (
    THE_COMPANY,
    ExternalId,
    History,
    Note,
    day_of,
    external_ids_in,
    history,
    month_of,
    position,
    recorded_at,
    version,
)
from api.types.words import (
    ConsentBasis,
    ConsentChannel,
    ConsentState,
    ContactKind,
    CustomerKind,
    Erasure,
    RecordStatus,
    Relationship,
)
from domain.catalogue import catalogue
from projections import customers as tables
from projections.opportunities import OPPORTUNITIES
from projections.tickets import TICKETS


@rows_of(tables.CONTACT_POINTS, order="ordinal")
@strawberry.type(description="A way to reach a customer.")
class ContactPoint:
    id: strawberry.ID = column("id", "The contact point's id.", filtered=True)
    kind: ContactKind = column("kind", "What it is.", filtered=True)
    value: str | None = column(
        "value", "As the customer gave it; null where it was erased, or is hidden from you.", filtered=True
    )
    normalised: str | None = column("normalised", "As it is compared: lower case, with country code.", filtered=True)
    label: str | None = column("label", "What it is for, such as `work`.", filtered=True)
    primary: bool = column("is_primary", "Whether it is the first to use among its kind.", filtered=True)
    added_at: datetime = column("added_at", "When it was added.", filtered=True)
    hidden_fields: list[str] = hidden()


@rows_of(tables.CLASSIFICATIONS, order="scheme_key")
@strawberry.type(description="The class that a customer is in, by one of the company's own schemes.")
class Classification:
    scheme: str = column("scheme", "The scheme, such as `industry`.", filtered=True, same="scheme_key")
    value: str = column("value", "The class, such as `retail`.", filtered=True)
    classified_at: datetime = column("classified_at", "Since when.", filtered=True)


@rows_of(tables.CONSENTS, order="purpose_key")
@strawberry.type(description="Whether a customer may be addressed for a purpose on a channel: what was said last.")
class Consent:
    purpose: str = column("purpose", "What for, such as `newsletter`.", filtered=True, same="purpose_key")
    channel: ConsentChannel = column("channel", "By which way to reach the customer.", filtered=True)
    state: ConsentState = column("state", "Whether it was granted or withdrawn.", filtered=True)
    basis: ConsentBasis | None = column(
        "basis", "The legal ground of the grant; null where there never was one.", filtered=True
    )
    text_version: str | None = column("text_version", "Which version of the text the customer saw.", filtered=True)
    proof: str | None = column("proof", "How it can be proved.")
    stated_at: datetime = column("stated_at", "When it was said.", filtered=True)
    hidden_fields: list[str] = hidden()


@rows_of(
    tables.CUSTOMERS,
    order="created_at DESC",
    prefix=catalogue.prefixes["customer"],
    listed=("status", "active"),
    search=Search(
        tables.SEARCH, "name, the legal name, the e-mail addresses, the telephone numbers and the ids in other systems"
    ),
)
@strawberry.type(description="A person or an organisation that we deal with, or would like to.")
class Customer(Node):
    kind: CustomerKind = column("kind", "Whether it is a person or an organisation.", filtered=True)
    name: str | None = column(
        "name",
        "The full name; null where there is none, it was erased, or is hidden from you.",
        sort="name_key",
        filtered=True,
    )
    status: RecordStatus = column("status", "Whether the record is in use.", filtered=True)
    relationship: Relationship = column(
        "relationship", "How we stand with the customer.", filtered=True, sort="relationship"
    )
    owner: LaterStaffMember | None = relation("owner_id", "Who looks after the customer.", filtered=True)
    team: LaterTeam | None = relation("team_id", "The team that looks after the customer.", filtered=True)
    parent: "Customer | None" = relation("parent_id", "The customer that this one belongs to.", filtered=True)
    source: str | None = column("source", "Where the customer came from, in the company's words.", filtered=True)
    language: str | None = column("language", "The language to address it in, as a BCP 47 tag.", filtered=True)
    legal_name: str | None = column("legal_name", "The name in the commercial register.", filtered=True)
    salutation: str | None = column("salutation", "How a person is addressed.")
    job_title: str | None = column("job_title", "A person's position.", filtered=True)
    birthday: date | None = column("birthday", "A person's date of birth.", filtered=True, sort="birthday")
    description: str | None = column("description", "What everybody should know about the customer.")
    founded_year: int | None = column("founded_year", "The year of foundation.", filtered=True, sort="founded_year")
    employees: int | None = column("employees", "How many people work there.", sort="employees", filtered=True)
    annual_revenue: Money | None = part(
        "annual_revenue",
        "Its revenue of a year.",
        **money("{annual_revenue}", "{revenue_currency}"),
        filtered=True,
        sort="revenue_currency, annual_revenue",
    )
    contact_points: list[ContactPoint] = all_of("The ways to reach it.", on={"customer_id": "id"}, filtered=True)
    tags: list[str] = values(
        tables.TAGS, "tag", "Its tags.", on={"customer_id": "id"}, order="tag_key", filtered=True, same="tag_key"
    )
    classifications: list[Classification] = all_of("Its classes, by scheme.", on={"customer_id": "id"}, filtered=True)
    consents: list[Consent] = all_of(
        "What it agreed to, by purpose and channel.", on={"customer_id": "id"}, filtered=True
    )
    external_ids: list[ExternalId] = external_ids_in(tables.EXTERNAL_IDS)
    contacts: "list[ContactLink]" = all_of("An organisation's contacts.", on={"organisation_id": "id"}, filtered=True)
    contact_of: "list[ContactLink]" = all_of(
        "The organisations that a person is a contact of.", on={"person_id": "id"}, order="linked_at", filtered=True
    )
    subsidiaries: "Connection[Customer]" = connection(
        "The customers that belong to this one.", on={"parent_id": "id"}, filtered=True
    )
    opportunities: Connection[LaterOpportunity] = connection("Deals with it.", on={"customer_id": "id"}, filtered=True)
    opportunity_totals: LaterOpportunityTotals = totals(
        "What the deals with it add up to.", on={"customer_id": "id"}, grouped=False
    )
    opportunity_groups: list[LaterOpportunityGroup] = totals(
        "What the deals with it add up to, in groups.", on={"customer_id": "id"}
    )
    tickets: Connection[LaterTicket] = connection("Its tickets.", on={"customer_id": "id"}, filtered=True)
    ticket_totals: LaterTicketTotals = totals("What its tickets add up to.", on={"customer_id": "id"}, grouped=False)
    ticket_groups: list[LaterTicketGroup] = totals("What its tickets add up to, in groups.", on={"customer_id": "id"})
    notes: Connection[Note] = connection("What we wrote down about it.", on={"customer_id": "id"}, filtered=True)
    created_at: datetime = column("created_at", "When it was registered.", sort="created_at", filtered=True)
    changed_at: datetime = column("changed_at", "When something last happened to it.", sort="changed_at", filtered=True)
    archived_at: datetime | None = column("archived_at", "When it was put away.", filtered=True, sort="archived_at")
    erasure: Erasure | None = column(
        "erasure", "How far the erasure of its personal data is; null where nobody asked for it.", filtered=True
    )
    erasure_at: datetime | None = column("erasure_at", "Since when it is so.", filtered=True, sort="erasure_at")
    legal_holds: list[str] = values(
        tables.HOLDS,
        "matter",
        "The matters for which its data is kept: none of it is erased before they are lifted.",
        on={"customer_id": "id"},
        order="matter_key",
        filtered=True,
        same="matter_key",
    )
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()
    timeline: History = connection(
        "Everything that happened to it, to the deals with it and to its tickets, from the beginning.",
        through=(
            Through(tables.CUSTOMERS, on={"id": "id"}, key="id", other="aggregate_id"),
            Through(OPPORTUNITIES, on={"customer_id": "id"}, key="id", other="aggregate_id"),
            Through(TICKETS, on={"customer_id": "id"}, key="id", other="aggregate_id"),
        ),
    )


@rows_of(tables.LINKS, order="ordinal")
@strawberry.type(description="A person's role at an organisation.")
class ContactLink:
    id: strawberry.ID = column("id", "The link's id.", filtered=True)
    organisation: Customer | None = relation("organisation_id", "The organisation.", filtered=True)
    person: Customer | None = relation("person_id", "The person.", filtered=True)
    role: str | None = column("role", "What the person does there.", filtered=True)
    since: date | None = column("since", "The first day in this role.", filtered=True)
    until: date | None = column("until", "The last day in this role; null while it lasts.", filtered=True)
    linked_at: datetime = column("linked_at", "When it was entered.", filtered=True)
    hidden_fields: list[str] = hidden()


def _key(scheme: str) -> str:
    """As the key of a scheme is made of it, however its accents are written."""
    return composed(scheme, "scheme").casefold()


TAG = Grain(name="tag", table=tables.TAGS, on={"customer_id": "id"})
CLASS = Grain(
    name="class",
    table=tables.CLASSIFICATIONS,
    on={"customer_id": "id"},
    given=Argument("scheme", "scheme_key", str, "Only classes of this scheme, such as `industry`.", _key),
)


@totals_of(Customer, finer=(TAG, CLASS), beside={"company": THE_COMPANY})
@strawberry.type(description="What customers add up to.")
class CustomerTotals:
    count: int = tally("How many customers.")
    hidden_fields: list[str] = hidden()


@totals_of(Customer, finer=(TAG, CLASS), beside={"company": THE_COMPANY})
@strawberry.type(description="What the customers of one group add up to. What was not grouped by is null.")
class CustomerGroup(CustomerTotals):
    kind: CustomerKind | None = column("kind", "Whether they are persons or organisations.")
    status: RecordStatus | None = column("status", "Whether the records are in use.")
    relationship: Relationship | None = column("relationship", "How we stand with them.")
    owner: LaterStaffMember | None = relation("owner_id", "Who looks after them.")
    team: LaterTeam | None = relation("team_id", "The team that looks after them.")
    parent: Customer | None = relation("parent_id", "The customer that they belong to.")
    source: str | None = column("source", "Where they came from.")
    language: str | None = column("language", "The language to address them in, as a BCP 47 tag.")
    tag: str | None = column(
        "tag.tag_key", "Their tag, its case folded: `Straße` is `strasse`. A customer counts once for each of its tags."
    )
    scheme: str | None = column(
        "class.scheme_key", "The scheme that they are classified by, its case folded as a tag's."
    )
    classification: str | None = column(
        "class.value", "Their class; without `scheme`, of any scheme. A customer without one is under null."
    )
    created_month: date | None = expression(
        month_of(day_of("{created_at}")),
        "The month in which they were registered, by its first day, in the company's time zone.",
    )
