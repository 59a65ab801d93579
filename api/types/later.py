"""Types that point at each other, named before they are there."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import strawberry

if TYPE_CHECKING:
    from api.types.customers import Customer
    from api.types.opportunities import Opportunity
    from api.types.people import StaffMember, Team
    from api.types.pipelines import Pipeline, Stage
    from api.types.products import Product
    from api.types.tickets import Ticket

LaterCustomer: TypeAlias = Annotated["Customer", strawberry.lazy("api.types.customers")]
LaterOpportunity: TypeAlias = Annotated["Opportunity", strawberry.lazy("api.types.opportunities")]
LaterPipeline: TypeAlias = Annotated["Pipeline", strawberry.lazy("api.types.pipelines")]
LaterProduct: TypeAlias = Annotated["Product", strawberry.lazy("api.types.products")]
LaterStaffMember: TypeAlias = Annotated["StaffMember", strawberry.lazy("api.types.people")]
LaterStage: TypeAlias = Annotated["Stage", strawberry.lazy("api.types.pipelines")]
LaterTeam: TypeAlias = Annotated["Team", strawberry.lazy("api.types.people")]
LaterTicket: TypeAlias = Annotated["Ticket", strawberry.lazy("api.types.tickets")]
