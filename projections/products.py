"""Products as screens read them."""

from typing import Any, assert_never

from domain.kernel.recorded import Recorded
from domain.product import (
    ProductAdded,
    ProductCodeChanged,
    ProductDiscontinued,
    ProductEvent,
    ProductExternalIdAdded,
    ProductPriceChanged,
    ProductRenamed,
    ProductResumed,
)
from projections.model import STAMP, Model, Posting, Table, public_id, stamp
from projections.parts import add_external_ids, external_ids_of
from projections.searching import found_by, now_found_by, searched_by
from projections.sorting import TEXT_KEY, sort_key

PRODUCTS = Table(
    name="products",
    columns={
        "id": "text NOT NULL",
        "name": "text NOT NULL",
        "name_key": TEXT_KEY,  # the name as it sorts and is searched
        "status": "text NOT NULL",  # active, discontinued
        "series": "text",
        "code": "text",  # the article number
        "price": "numeric",  # the list price for one unit, in currency
        "currency": "text",
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
    indexes=("name_key, id", "created_at DESC, id", "code, id"),
)

EXTERNAL_IDS = external_ids_of("product")

SEARCH = searched_by("product")
"""By name, article number and external ids."""


def post(posting: Posting, recorded: Recorded[ProductEvent]) -> None:
    """What one event of a product changes."""
    id, at = public_id("product", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case ProductAdded() as event:
            return _add(posting, id, recorded, event)
        case ProductRenamed(new=name):
            columns = {"name": name, "name_key": sort_key(name)}
            now_found_by(posting, SEARCH, id, "name", name)
        case ProductPriceChanged(new_price=price, new_currency=currency):
            columns = {"price": price, "currency": currency}
        case ProductCodeChanged(new=code):
            columns = {"code": code}
            now_found_by(posting, SEARCH, id, "code", code)
        case ProductExternalIdAdded(external_id=external_id):
            add_external_ids(posting, EXTERNAL_IDS, id, recorded, (external_id,), SEARCH)
        case ProductDiscontinued():
            columns = {"status": "discontinued"}
        case ProductResumed():
            columns = {"status": "active"}
        case _ as never:
            assert_never(never)
    return posting.change(PRODUCTS, id, **columns, changed_at=at, **stamp(recorded))


def _add(posting: Posting, id: str, recorded: Recorded[Any], event: ProductAdded) -> None:
    posting.insert(
        PRODUCTS,
        id=id,
        name=event.name,
        name_key=sort_key(event.name),
        status="active",
        series=event.series,
        code=event.code,
        price=event.price,
        currency=event.currency,
        created_at=recorded.occurred_at,
        changed_at=recorded.occurred_at,
        **stamp(recorded),
    )
    found_by(posting, SEARCH, id, "name", event.name)
    found_by(posting, SEARCH, id, "code", event.code)
    add_external_ids(posting, EXTERNAL_IDS, id, recorded, event.external_ids, SEARCH)


products = Model(
    name="products",
    version=6,
    tables=(PRODUCTS, EXTERNAL_IDS, SEARCH),
    post=post,
    kinds=frozenset(("product",)),
)
