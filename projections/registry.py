"""The registry: every read model there is."""

from projections.api_tokens import api_tokens
from projections.company import company
from projections.customers import customers
from projections.model import Model
from projections.opportunities import opportunities
from projections.pipelines import pipelines
from projections.products import products
from projections.queues import queues
from projections.roles import roles
from projections.staff_members import staff_members
from projections.teams import teams
from projections.tickets import tickets
from projections.timeline import timeline

models: tuple[Model, ...] = (
    customers,
    opportunities,
    tickets,
    pipelines,
    products,
    staff_members,
    teams,
    queues,
    roles,
    api_tokens,
    company,
    timeline,
)


def may_hold_persons(model: Model) -> bool:
    """Whether rows of a model may hold what a customer's key, or that of a record about one, has sealed."""
    return model.kinds is None or not model.kinds.isdisjoint(("customer", "opportunity", "ticket"))
