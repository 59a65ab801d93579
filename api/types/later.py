"""Types that point at each other, named before they are there."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import strawberry

if TYPE_CHECKING:
    from api.types.access import Role
    from api.types.customers import Customer, CustomerGroup, CustomerTotals
    from api.types.opportunities import Opportunity, OpportunityGroup, OpportunityTotals
    from api.types.people import StaffMember, Team
    from api.types.pipelines import Pipeline, Stage
    from api.types.products import Product
    from api.types.tickets import Ticket, TicketGroup, TicketTotals

LaterCustomer: TypeAlias = Annotated["Customer", strawberry.lazy("api.types.customers")]
LaterCustomerGroup: TypeAlias = Annotated["CustomerGroup", strawberry.lazy("api.types.customers")]
LaterCustomerTotals: TypeAlias = Annotated["CustomerTotals", strawberry.lazy("api.types.customers")]
LaterOpportunity: TypeAlias = Annotated["Opportunity", strawberry.lazy("api.types.opportunities")]
LaterOpportunityGroup: TypeAlias = Annotated["OpportunityGroup", strawberry.lazy("api.types.opportunities")]
LaterOpportunityTotals: TypeAlias = Annotated["OpportunityTotals", strawberry.lazy("api.types.opportunities")]
LaterPipeline: TypeAlias = Annotated["Pipeline", strawberry.lazy("api.types.pipelines")]
LaterProduct: TypeAlias = Annotated["Product", strawberry.lazy("api.types.products")]
LaterRole: TypeAlias = Annotated["Role", strawberry.lazy("api.types.access")]
LaterStaffMember: TypeAlias = Annotated["StaffMember", strawberry.lazy("api.types.people")]
LaterStage: TypeAlias = Annotated["Stage", strawberry.lazy("api.types.pipelines")]
LaterTeam: TypeAlias = Annotated["Team", strawberry.lazy("api.types.people")]
LaterTicket: TypeAlias = Annotated["Ticket", strawberry.lazy("api.types.tickets")]
LaterTicketGroup: TypeAlias = Annotated["TicketGroup", strawberry.lazy("api.types.tickets")]
LaterTicketTotals: TypeAlias = Annotated["TicketTotals", strawberry.lazy("api.types.tickets")]
