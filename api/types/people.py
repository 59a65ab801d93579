"""Who works here: staff, teams, and the queues that tickets wait in."""

from datetime import datetime

import strawberry

from api.reading.declarations import column, connection, relation, rows_of, totals
from api.reading.relay import Connection, Node
from api.reading.sources import Search, Through
from api.scalars import Position
from api.types.later import (
    LaterCustomer,
    LaterCustomerGroup,
    LaterCustomerTotals,
    LaterOpportunity,
    LaterOpportunityGroup,
    LaterOpportunityTotals,
    LaterRole,
    LaterTicket,
    LaterTicketGroup,
    LaterTicketTotals,
)
from api.types.parts import ExternalId, History, external_ids_in, history, position, recorded_at, version
from api.types.words import RecordStatus, StaffStatus
from domain.catalogue import catalogue
from projections import staff_members
from projections.queues import QUEUES
from projections.teams import EXTERNAL_IDS as TEAM_EXTERNAL_IDS
from projections.teams import TEAMS


@rows_of(
    staff_members.STAFF_MEMBERS,
    order="name_key",
    prefix=catalogue.prefixes["staff_member"],
    listed=("status", "active"),
    search=Search(staff_members.SEARCH, "name, the e-mail address and the ids in other systems"),
)
@strawberry.type(description="Somebody who works here.")
class StaffMember(Node):
    name: str | None = column("name", "The name; null where it is hidden from you.", sort="name_key", filtered=True)
    status: StaffStatus = column("status", "Whether they work here.", filtered=True)
    email: str | None = column("email", "The e-mail address at work.", filtered=True)
    team: "Team | None" = relation("team_id", "Their team.", filtered=True)
    roles: Connection[LaterRole] = connection(
        "What they may do, while they work here.",
        through=(Through(staff_members.ROLES, on={"staff_member_id": "id"}, key="role_id"),),
        filtered=True,
    )
    customers: Connection[LaterCustomer] = connection(
        "The customers they look after.", on={"owner_id": "id"}, filtered=True
    )
    customer_totals: LaterCustomerTotals = totals("What those add up to.", on={"owner_id": "id"}, grouped=False)
    customer_groups: list[LaterCustomerGroup] = totals("What those add up to, in groups.", on={"owner_id": "id"})
    opportunities: Connection[LaterOpportunity] = connection(
        "The deals they look after.", on={"owner_id": "id"}, filtered=True
    )
    opportunity_totals: LaterOpportunityTotals = totals("What those add up to.", on={"owner_id": "id"}, grouped=False)
    opportunity_groups: list[LaterOpportunityGroup] = totals("What those add up to, in groups.", on={"owner_id": "id"})
    tickets: Connection[LaterTicket] = connection("The tickets they work on.", on={"assignee_id": "id"}, filtered=True)
    ticket_totals: LaterTicketTotals = totals("What those add up to.", on={"assignee_id": "id"}, grouped=False)
    ticket_groups: list[LaterTicketGroup] = totals("What those add up to, in groups.", on={"assignee_id": "id"})
    escalations: Connection[LaterTicket] = connection(
        "The tickets that were escalated to them.", on={"escalated_to_staff_id": "id"}, filtered=True
    )
    leads: "Connection[Team]" = connection("The teams they lead.", on={"lead_id": "id"}, filtered=True)
    external_ids: list[ExternalId] = external_ids_in(staff_members.EXTERNAL_IDS, of="them")
    created_at: datetime = column("created_at", "When they were entered.", sort="created_at", filtered=True)
    changed_at: datetime = column(
        "changed_at", "When something last happened to the record.", filtered=True, sort="changed_at"
    )
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()


IN_ITS_QUEUES = (Through(QUEUES, on={"team_id": "id"}, key="id", other="queue_id"),)


@rows_of(TEAMS, order="name_key", prefix=catalogue.prefixes["team"], listed=("status", "active"))
@strawberry.type(description="People who work together.")
class Team(Node):
    name: str = column("name", "What people call it.", sort="name_key", filtered=True)
    status: RecordStatus = column("status", "Whether it is in use.", filtered=True)
    parent: "Team | None" = relation("parent_id", "The team that it is a part of.", filtered=True)
    lead: StaffMember | None = relation("lead_id", "Who leads it.", filtered=True)
    members: Connection[StaffMember] = connection("Who is in it.", on={"team_id": "id"}, filtered=True)
    teams: "Connection[Team]" = connection("The teams that are parts of it.", on={"parent_id": "id"}, filtered=True)
    queues: "Connection[Queue]" = connection("The queues that it works on.", on={"team_id": "id"}, filtered=True)
    customers: Connection[LaterCustomer] = connection(
        "The customers that it looks after.", on={"team_id": "id"}, filtered=True
    )
    customer_totals: LaterCustomerTotals = totals("What those add up to.", on={"team_id": "id"}, grouped=False)
    customer_groups: list[LaterCustomerGroup] = totals("What those add up to, in groups.", on={"team_id": "id"})
    opportunities: Connection[LaterOpportunity] = connection(
        "The deals that it looks after.", on={"team_id": "id"}, filtered=True
    )
    opportunity_totals: LaterOpportunityTotals = totals("What those add up to.", on={"team_id": "id"}, grouped=False)
    opportunity_groups: list[LaterOpportunityGroup] = totals("What those add up to, in groups.", on={"team_id": "id"})
    tickets: Connection[LaterTicket] = connection(
        "The tickets in the queues that it works on.", through=IN_ITS_QUEUES, filtered=True
    )
    ticket_totals: LaterTicketTotals = totals("What those add up to.", through=IN_ITS_QUEUES, grouped=False)
    ticket_groups: list[LaterTicketGroup] = totals("What those add up to, in groups.", through=IN_ITS_QUEUES)
    escalations: Connection[LaterTicket] = connection(
        "The tickets that were escalated to it.", on={"escalated_to_team_id": "id"}, filtered=True
    )
    external_ids: list[ExternalId] = external_ids_in(TEAM_EXTERNAL_IDS)
    created_at: datetime = column("created_at", "When it was founded here.", sort="created_at", filtered=True)
    changed_at: datetime = column("changed_at", "When something last happened to it.", filtered=True, sort="changed_at")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()


@rows_of(QUEUES, order="name_key", prefix=catalogue.prefixes["queue"], listed=("status", "active"))
@strawberry.type(description="Where tickets wait until somebody takes them.")
class Queue(Node):
    name: str = column("name", "What people call it.", sort="name_key", filtered=True)
    status: RecordStatus = column("status", "Whether it takes tickets.", filtered=True)
    team: Team | None = relation("team_id", "The team that works on it.", filtered=True)
    tickets: Connection[LaterTicket] = connection("The tickets in it.", on={"queue_id": "id"}, filtered=True)
    ticket_totals: LaterTicketTotals = totals("What those add up to.", on={"queue_id": "id"}, grouped=False)
    ticket_groups: list[LaterTicketGroup] = totals("What those add up to, in groups.", on={"queue_id": "id"})
    created_at: datetime = column("created_at", "When it was made.", sort="created_at", filtered=True)
    changed_at: datetime = column("changed_at", "When something last happened to it.", filtered=True, sort="changed_at")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()
