"""The root of everything that can be read."""

import strawberry

from api.reading.declarations import any_node, connection, lookup, only, totals
from api.reading.relay import Connection, Node
from api.types.company import Company
from api.types.customers import Customer
from api.types.opportunities import Opportunity, OpportunityGroup
from api.types.parts import HistoryEntry
from api.types.people import Queue, StaffMember, Team
from api.types.pipelines import Pipeline
from api.types.products import Product
from api.types.tickets import Ticket
from domain.kernel import COMPANY_ID
from projections.model import public_id

ID = "The id, as an earlier answer gave it."


@strawberry.type(description="Everything that can be read. A query is one snapshot of the book.")
class Query:
    node: Node | None = any_node("The record with this id, whatever it is; null where there is none.")
    nodes: list[Node | None] = any_node(
        "The records with these ids; null in the place of each that is not there.", several=True
    )
    company: Company | None = only(
        public_id("company", COMPANY_ID), "The company that keeps this book; null before it is set up."
    )
    customer: Customer | None = lookup("id", "id", "The customer with this id; null where there is none.", said=ID)
    customers: Connection[Customer] = connection("Customers, the latest first; archived ones only where `where` asks.")
    opportunity: Opportunity | None = lookup("id", "id", "The deal with this id; null where there is none.", said=ID)
    opportunities: Connection[Opportunity] = connection("Deals, the latest first.")
    opportunity_totals: list[OpportunityGroup] = totals("What deals add up to, in groups.", grouped=True)
    pipeline: Pipeline | None = lookup("id", "id", "The pipeline with this id; null where there is none.", said=ID)
    pipelines: Connection[Pipeline] = connection("Pipelines, by name; archived ones only where `where` asks.")
    ticket: Ticket | None = lookup("id", "id", "The ticket with this id; null where there is none.", said=ID)
    ticket_by_number: Ticket | None = lookup(
        "number",
        "number",
        "The ticket with this number; null where there is none.",
        of=int,
        said="The ticket's number.",
    )
    tickets: Connection[Ticket] = connection("Tickets, the latest first.")
    product: Product | None = lookup("id", "id", "The product with this id; null where there is none.", said=ID)
    products: Connection[Product] = connection("Products, by name; discontinued ones only where `where` asks.")
    staff_member: StaffMember | None = lookup("id", "id", "Whoever has this id; null where nobody does.", said=ID)
    staff_members: Connection[StaffMember] = connection("Who works here, by name; former ones only where `where` asks.")
    team: Team | None = lookup("id", "id", "The team with this id; null where there is none.", said=ID)
    teams: Connection[Team] = connection("Teams, by name; archived ones only where `where` asks.")
    queue: Queue | None = lookup("id", "id", "The queue with this id; null where there is none.", said=ID)
    queues: Connection[Queue] = connection("Queues, by name; archived ones only where `where` asks.")
    history: Connection[HistoryEntry] = connection("The whole book, from its first entry.")
