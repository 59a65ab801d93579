"""What is sold."""

from datetime import datetime

import strawberry

from api.reading.declarations import all_of, column, part, rows_of
from api.reading.money import Money, money
from api.reading.relay import Node
from api.scalars import Position
from api.types.parts import ExternalId, History, history, position, recorded_at, version
from api.types.words import ProductStatus
from domain.catalogue import catalogue
from projections import products as tables


@rows_of(tables.PRODUCTS, order="name_key", prefix=catalogue.prefixes["product"], listed=("status", "active"))
@strawberry.type(description="What deals sell.")
class Product(Node):
    name: str = column("name", "What people call it.", sort="name_key")
    status: ProductStatus = column("status", "Whether it is sold.", filtered=True)
    series: str | None = column("series", "The family of products that it belongs to.", filtered=True)
    code: str | None = column("code", "The article number.", filtered=True)
    price: Money | None = part("price", "The list price for one unit.", **money("{price}"))
    external_ids: list[ExternalId] = all_of(
        "What other systems call it.", on={"product_id": "id"}, table=tables.EXTERNAL_IDS
    )
    created_at: datetime = column("created_at", "When it was added.", sort="created_at")
    changed_at: datetime = column("changed_at", "When something last happened to it.")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()
