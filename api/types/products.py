"""What is sold."""

from datetime import datetime

import strawberry

from api.reading.declarations import column, connection, part, rows_of, totals
from api.reading.money import Money, money
from api.reading.relay import Connection, Node
from api.reading.sources import Search, Through
from api.scalars import Position
from api.types.later import LaterOpportunity, LaterOpportunityGroup, LaterOpportunityTotals
from api.types.parts import ExternalId, History, external_ids_in, history, position, recorded_at, version
from api.types.words import ProductStatus
from domain.catalogue import catalogue
from projections import products as tables
from projections.opportunities import LINES


@rows_of(
    tables.PRODUCTS,
    order="name_key",
    prefix=catalogue.prefixes["product"],
    listed=("status", "active"),
    search=Search(tables.SEARCH, "name, the article number and the ids in other systems"),
)
@strawberry.type(description="What deals sell.")
class Product(Node):
    name: str = column("name", "What people call it.", sort="name_key", filtered=True)
    status: ProductStatus = column("status", "Whether it is sold.", filtered=True)
    series: str | None = column("series", "The family of products that it belongs to.", filtered=True, sort="series")
    code: str | None = column("code", "The article number.", filtered=True, sort="code")
    price: Money | None = part(
        "price", "The list price for one unit.", **money("{price}"), filtered=True, sort="currency, price"
    )
    external_ids: list[ExternalId] = external_ids_in(tables.EXTERNAL_IDS)
    opportunities: Connection[LaterOpportunity] = connection(
        "The deals that have a line of it.",
        through=(Through(LINES, on={"product_id": "id"}, key="opportunity_id"),),
        filtered=True,
    )
    opportunity_totals: LaterOpportunityTotals = totals(
        "What those add up to: the sums are those of the lines of this product.",
        on={"line.product_id": "id"},
        grouped=False,
    )
    opportunity_groups: list[LaterOpportunityGroup] = totals(
        "What those add up to, in groups: the sums are those of the lines of this product.",
        on={"line.product_id": "id"},
    )
    created_at: datetime = column("created_at", "When it was added.", sort="created_at", filtered=True)
    changed_at: datetime = column("changed_at", "When something last happened to it.", filtered=True, sort="changed_at")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()
