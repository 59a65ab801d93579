"""The root of everything that can be read."""

from functools import partial
from typing import Annotated, Any

import strawberry

from api.errors import RequestError, RequestErrorCode
from api.reading.declarations import any_node, as_of, bundled, connection, lookup, only, reflected, totals, traced
from api.reading.ids import LETTERS, of_kind, shortened
from api.reading.relay import Connection, Node
from api.reading.sources import Argument
from api.reading.texts import composed
from api.scalars import Position
from api.types.access import ApiToken, Role
from api.types.auditing import AuditBundle
from api.types.company import Company
from api.types.customers import Customer, CustomerGroup, CustomerTotals
from api.types.opportunities import Opportunity, OpportunityGroup, OpportunityTotals
from api.types.parts import HistoryEntry
from api.types.people import Queue, StaffMember, Team
from api.types.pipelines import Pipeline
from api.types.products import Product
from api.types.tickets import Ticket, TicketGroup, TicketTotals
from api.types.tracing import FieldChange
from api.types.waterfall import PipelineWaterfall, pipeline_waterfall
from domain.catalogue import catalogue
from domain.kernel import COMPANY_ID, Refused
from infra.contacts import email_address
from projections.customers import CONTACT_POINTS
from projections.model import public_id
from projections.parts import external_ids_of

_FIRST = "status, registered_position"
"""Of several that match: one in use before one put away, then the one that was entered first."""


def _by_id(kind: str, what: str) -> Any:
    prefix = catalogue.prefixes[kind]
    said = f"Its id, as an earlier answer gave it, such as `{prefix}_{LETTERS}`."
    return lookup(
        Argument("id", "id", strawberry.ID, said, of_kind(prefix)),
        description=f"{what} with this id; null where none is.",
    )


def _by_external_id(kind: str, order: str) -> Any:
    return lookup(
        Argument(
            "source", "source", str, "The other system's name, letter for letter.", partial(composed, where="source")
        ),
        Argument("id", "external_id", str, "The id there, letter for letter.", partial(composed, where="id")),
        description="The one that another system calls so; null where there is none.",
        through=(external_ids_of(kind), f"{kind}_id"),
        order=order,
    )


def _e_mail(address: str) -> str:
    try:
        return composed(email_address(composed(address.strip(), "email")), "email")
    except Refused:
        message = f"`{shortened(address)}` is no e-mail address; one looks like ada@example.com."
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, message) from None


@strawberry.type(description="Everything that can be read. A query is one snapshot of the book.")
class Query:
    node: Node | None = any_node(
        "The record with this id, whatever it is; null where there is none. What is no id is an error."
    )
    nodes: list[Node | None] = any_node(
        "The records with these ids; null in the place of each that is not there. What is no id is an error.",
        several=True,
    )
    company: Company | None = only(
        public_id("company", COMPANY_ID), "The company that keeps this book; null before it is set up."
    )
    customer: Customer | None = _by_id("customer", "The customer")
    customer_by_email: Customer | None = lookup(
        Argument("email", "normalised", str, "An e-mail address, in any spelling.", _e_mail),
        description="The customer that is reached by this address; where it is several, one in use, then the one that"
        " was registered first. Null where there is none.",
        through=(CONTACT_POINTS, "customer_id"),
        order=_FIRST,
    )
    customer_by_external_id: Customer | None = _by_external_id("customer", _FIRST)
    customers: Connection[Customer] = connection("Customers, the latest first; archived ones only where `where` asks.")
    customer_totals: CustomerTotals = totals(
        "What customers add up to; archived ones only where `where` asks.", grouped=False
    )
    customer_groups: list[CustomerGroup] = totals(
        "What customers add up to, in groups; archived ones only where `where` asks."
    )
    opportunity: Opportunity | None = _by_id("opportunity", "The deal")
    opportunity_by_external_id: Opportunity | None = _by_external_id("opportunity", "registered_position")
    opportunities: Connection[Opportunity] = connection("Deals, the latest first.")
    opportunity_totals: OpportunityTotals = totals("What deals add up to.", grouped=False)
    opportunity_groups: list[OpportunityGroup] = totals("What deals add up to, in groups.")
    pipeline: Pipeline | None = _by_id("pipeline", "The pipeline")
    pipelines: Connection[Pipeline] = connection("Pipelines, by name; archived ones only where `where` asks.")
    pipeline_waterfall: PipelineWaterfall | None = pipeline_waterfall()
    ticket: Ticket | None = _by_id("ticket", "The ticket")
    ticket_by_number: Ticket | None = lookup(
        Argument("number", "number", int, "The ticket's number."),
        description="The ticket with this number; null where there is none.",
    )
    ticket_by_external_id: Ticket | None = _by_external_id("ticket", "registered_position")
    tickets: Connection[Ticket] = connection("Tickets, the latest first.")
    ticket_totals: TicketTotals = totals("What tickets add up to.", grouped=False)
    ticket_groups: list[TicketGroup] = totals("What tickets add up to, in groups.")
    product: Product | None = _by_id("product", "The product")
    product_by_external_id: Product | None = _by_external_id("product", "status, created_at")
    products: Connection[Product] = connection("Products, by name; discontinued ones only where `where` asks.")
    staff_member: StaffMember | None = _by_id("staff_member", "The person")
    staff_members: Connection[StaffMember] = connection("Who works here, by name; former ones only where `where` asks.")
    team: Team | None = _by_id("team", "The team")
    teams: Connection[Team] = connection("Teams, by name; archived ones only where `where` asks.")
    queue: Queue | None = _by_id("queue", "The queue")
    queues: Connection[Queue] = connection("Queues, by name; archived ones only where `where` asks.")
    role: Role | None = _by_id("role", "The role")
    roles: Connection[Role] = connection("Roles, by name; retired ones only where `where` asks.")
    api_token: ApiToken | None = _by_id("api_token", "The API token")
    api_tokens: Connection[ApiToken] = connection("API tokens, by name; revoked ones only where `where` asks.")
    diff: list[FieldChange] | None = traced(
        "What differs in a record between two moments, field by field, each with the last entry between them that"
        " changed it. Null where there is no such record. What is hidden from you is not told.",
        several=True,
    )
    why_value: FieldChange | None = traced(
        "The entry that gave a field the value that it has: `after`. Null where there is no such record, where no entry"
        " ever set the field, or where it is hidden from you."
    )
    audit_bundle: AuditBundle | None = bundled(
        Argument("customer", "id", strawberry.ID, "The customer's id.", of_kind(catalogue.prefixes["customer"])),
        "A customer's entries as a file that proves itself offline, without the keys of personal data: that stays"
        " sealed. Null where there is no such customer, none by then that a checkpoint is over, where amounts are"
        " hidden from you, or without `READ_BOOK`: no column can be left out of a proof. With keys, it stands under"
        " `customerUnmask`.",
    )
    history: Connection[HistoryEntry] = connection("The whole book, from its first entry.")
    position: Position = reflected(
        "The entry of the book up to which everything beside it is known; below `asOf`, the one that was asked about."
    )
    as_of: Annotated["Query", strawberry.lazy("api.types.query")] = as_of(
        "Everything that can be read, as we knew it at a past moment: records, lists, filters, orders, searches, sums"
        " and whatever they lead to. What you may see is for today's rights to say, on the records as they stand today;"
        " what was erased since stays erased. Not within another `asOf`."
    )
