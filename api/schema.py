"""The one GraphQL schema: what is read, every command, what is told as it happens."""

from functools import cache
from typing import Any
from uuid import UUID

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig

from api.errors import BrokenRule, VersionConflictError
from api.mutations import mutation_type, resolve_directly
from api.scalars import SCALARS
from api.subscriptions import subscription_type
from api.types.access import ApiToken, Role
from api.types.company import Company
from api.types.customers import Customer
from api.types.opportunities import Opportunity
from api.types.people import Queue, StaffMember, Team
from api.types.pipelines import Pipeline
from api.types.products import Product
from api.types.query import Query
from api.types.tickets import Ticket
from domain.catalogue import catalogue


def _parsed(value: object) -> UUID:
    try:
        return UUID(value) if isinstance(value, str) else UUID("")
    except ValueError:
        raise GraphQLError("A UUID is written like 0190163d-8694-739b-aea5-966c26f8ad91.") from None


_UUID = strawberry.scalar(
    name="UUID",
    description="A UUID, such as `0190163d-8694-739b-aea5-966c26f8ad91`.",
    serialize=str,
    parse_value=_parsed,
)


ENTITIES: dict[str, type[Any]] = {
    "api_token": ApiToken,
    "company": Company,
    "customer": Customer,
    "opportunity": Opportunity,
    "pipeline": Pipeline,
    "product": Product,
    "queue": Queue,
    "role": Role,
    "staff_member": StaffMember,
    "team": Team,
    "ticket": Ticket,
}
"""The GraphQL types by kind of aggregate."""


def make_schema() -> strawberry.Schema:
    """The schema, built anew."""
    scalars: dict[object, Any] = {**SCALARS, UUID: _UUID}
    schema = strawberry.Schema(
        Query,
        mutation_type(catalogue, ENTITIES),
        subscription_type(ENTITIES),
        types=[BrokenRule, VersionConflictError],
        config=StrawberryConfig(scalar_map=scalars),
    )
    resolve_directly(schema)
    return schema


the_schema = cache(make_schema)
"""For whoever does not change it: a process makes it once, for that takes a quarter of a second."""


def schema_text() -> str:
    """The schema as `schema.graphql` holds it."""
    return the_schema().as_str() + "\n"
