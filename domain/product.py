"""Product: what deals sell. Added, then active until it is discontinued; it can be resumed.

The list price is a suggestion: the price of a deal's line is the line's own.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, TypeAlias, assert_never

from msgspec.structs import replace

from domain.kernel import (
    AMOUNT,
    LABEL,
    MOST_EXTERNAL_IDS,
    NAME,
    Claim,
    Command,
    Currency,
    Decider,
    Doc,
    Event,
    ExternalId,
    ExternalIds,
    IdThere,
    Known,
    Rule,
    Source,
    Standing,
    State,
    out_of_range,
    path_of_claim,
    require,
    rounded,
)

# Events


class ProductAdded(Event, frozen=True, kw_only=True):
    """A product joined the catalogue; deals may sell it from now on."""

    name: str
    series: str | None
    code: str | None
    price: Decimal | None
    currency: str | None
    external_ids: tuple[ExternalId, ...]


class ProductRenamed(Event, frozen=True, kw_only=True):
    """The product has another name."""

    old: str
    new: str


class ProductPriceChanged(Event, frozen=True, kw_only=True):
    """The product has another list price, or none any more. Lines of deals keep their own prices."""

    old_price: Decimal | None
    old_currency: str | None
    new_price: Decimal | None
    new_currency: str | None


class ProductCodeChanged(Event, frozen=True, kw_only=True):
    """The product has another article number, or none any more."""

    old: str | None
    new: str | None


class ProductExternalIdAdded(Event, frozen=True, kw_only=True):
    """The product became known by an id of another system."""

    external_id: ExternalId


class ProductDiscontinued(Event, frozen=True, kw_only=True):
    """The product is no longer sold: no new lines of deals; existing ones keep it."""


class ProductResumed(Event, frozen=True, kw_only=True):
    """The product is sold again."""


ProductEvent: TypeAlias = (
    ProductAdded
    | ProductRenamed
    | ProductPriceChanged
    | ProductCodeChanged
    | ProductExternalIdAdded
    | ProductDiscontinued
    | ProductResumed
)

# Commands


class AddProduct(Command, frozen=True, kw_only=True):
    """Add a product that deals can sell."""

    name: Annotated[str, Doc("What people call the product."), NAME]
    series: Annotated[str | None, Doc("The family of products it belongs to."), NAME] = None
    code: Annotated[str | None, Doc("Your article number; unique among the products that are sold."), LABEL] = None
    price: Annotated[
        Decimal | None,
        Doc("The list price for one unit; it needs a currency, and is rounded to its minor units."),
        AMOUNT,
    ] = None
    currency: Annotated[str | None, Doc("Its currency; without a price it is left out."), Currency()] = None
    external_ids: ExternalIds = ()


class RenameProduct(Command, frozen=True, kw_only=True):
    """Give the product another name."""

    name: Annotated[str, Doc("The new name."), NAME]


class ChangeProductPrice(Command, frozen=True, kw_only=True):
    """Change the list price, or remove it with null. Lines of deals keep their own prices."""

    price: Annotated[
        Decimal | None,
        Doc("The new list price for one unit, rounded to its currency's minor units; null removes it."),
        AMOUNT,
    ]
    currency: Annotated[str | None, Doc("Its currency; left out, the present one."), Currency()] = None


class ChangeProductCode(Command, frozen=True, kw_only=True):
    """Give the product another article number, or none with null; a discontinued one too, so that it can be resumed."""

    code: Annotated[str | None, Doc("Your article number; unique among the products that are sold. Null: none."), LABEL]


class AddProductExternalId(Command, frozen=True, kw_only=True):
    """Make the product known by an id of another system."""

    source: Source
    external_id: IdThere


class DiscontinueProduct(Command, frozen=True, kw_only=True):
    """Stop selling the product: no new lines of deals; existing ones keep it."""


class ResumeProduct(Command, frozen=True, kw_only=True):
    """Sell a discontinued product again."""


ProductCommand: TypeAlias = (
    AddProduct
    | RenameProduct
    | ChangeProductPrice
    | ChangeProductCode
    | AddProductExternalId
    | DiscontinueProduct
    | ResumeProduct
)

# Rules


class ListPriceNegative(Rule):
    """The list price is below zero; give zero or more."""


class ListPriceNeedsCurrency(Rule):
    """A list price needs a currency; give one."""


class ProductCodeTaken(Rule):
    """Another product that is sold has this code; give another code, or discontinue that product first."""


class ProductExternalIdTaken(Rule):
    """Another product already carries this external id; use that product."""


class TooManyProductExternalIds(Rule):
    """The product already has {most} external ids, which is the most it may have."""

    most: int


class Product(State, frozen=True, kw_only=True):
    """What the rules need to know of a product."""

    name: str = ""
    """Empty only before it was added."""
    code: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    external_ids: tuple[ExternalId, ...] = ()
    active: bool = True


def decide(state: Product, command: ProductCommand, _known: Known) -> Sequence[ProductEvent]:
    match command:
        case AddProduct():
            return [] if state.name else _add(command)
        case RenameProduct():
            return [] if command.name == state.name else [ProductRenamed(old=state.name, new=command.name)]
        case ChangeProductPrice():
            return _change_price(state, command)
        case ChangeProductCode(code=code):
            return [] if code == state.code else [ProductCodeChanged(old=state.code, new=code)]
        case AddProductExternalId():
            return _add_external_id(state, ExternalId(source=command.source, id=command.external_id))
        case DiscontinueProduct():
            return [ProductDiscontinued()] if state.active else []
        case ResumeProduct():
            return [] if state.active else [ProductResumed()]
        case _:
            assert_never(command)


def _add(command: AddProduct) -> Sequence[ProductEvent]:
    price, currency = _list_price(command.price, command.currency)
    return [
        ProductAdded(
            name=command.name,
            series=command.series,
            code=command.code,
            price=price,
            currency=currency,
            external_ids=tuple(dict.fromkeys(command.external_ids)),
        )
    ]


def _change_price(state: Product, command: ChangeProductPrice) -> Sequence[ProductEvent]:
    price, currency = _list_price(command.price, command.currency or state.currency)
    if (price, currency) == (state.price, state.currency):
        return []
    return [
        ProductPriceChanged(old_price=state.price, old_currency=state.currency, new_price=price, new_currency=currency)
    ]


def _list_price(price: Decimal | None, currency: str | None) -> tuple[Decimal | None, str | None]:
    """The list price in minor units, and its currency; none of them without a price."""
    require(
        ListPriceNegative(path=("price",)) if price is not None and price < 0 else None,
        ListPriceNeedsCurrency(path=("currency",)) if price is not None and currency is None else None,
        out_of_range(price, currency, ("price",)),
    )
    return (None, None) if price is None or currency is None else (rounded(price, currency), currency)


def _add_external_id(state: Product, external_id: ExternalId) -> Sequence[ProductEvent]:
    if external_id in state.external_ids:
        return []
    full = len(state.external_ids) >= MOST_EXTERNAL_IDS
    require(TooManyProductExternalIds(path=("external_id",), most=MOST_EXTERNAL_IDS) if full else None)
    return [ProductExternalIdAdded(external_id=external_id)]


def evolve(state: Product, event: ProductEvent) -> Product:
    match event:
        case ProductAdded():
            return Product(
                name=event.name,
                code=event.code,
                price=event.price,
                currency=event.currency,
                external_ids=event.external_ids,
            )
        case ProductPriceChanged():
            return replace(state, price=event.new_price, currency=event.new_currency)
        case ProductCodeChanged():
            return replace(state, code=event.new)
        case ProductRenamed():
            return replace(state, name=event.new)
        case ProductExternalIdAdded():
            return replace(state, external_ids=(*state.external_ids, event.external_id))
        case ProductDiscontinued():
            return replace(state, active=False)
        case ProductResumed():
            return replace(state, active=True)
        case _:
            assert_never(event)


def claims(state: Product) -> frozenset[Claim]:
    """External ids for ever; the code while the product is sold."""
    held = {one.claim("product_external_id") for one in state.external_ids}
    if state.active and state.code is not None:
        held.add(Claim("product_code", state.code.casefold()))
    return frozenset(held)


def taken(command: ProductCommand, claim: Claim) -> Rule:
    if claim.scope == "product_code":
        return ProductCodeTaken(path=("code",) if isinstance(command, AddProduct | ChangeProductCode) else ())
    return ProductExternalIdTaken(path=path_of_claim(command, claim))


def standing(state: Product) -> Standing:
    return Standing(kind="product", active=state.active)


product: Decider[Product, ProductCommand, ProductEvent] = Decider(
    kind="product",
    prefix="prd",
    initial=Product(),
    decide=decide,
    evolve=evolve,
    commands={
        "add": AddProduct,
        "rename": RenameProduct,
        "changePrice": ChangeProductPrice,
        "changeCode": ChangeProductCode,
        "addExternalId": AddProductExternalId,
        "discontinue": DiscontinueProduct,
        "resume": ResumeProduct,
    },
    creates=frozenset((AddProduct,)),
    events={
        "ProductAdded": ProductAdded,
        "ProductRenamed": ProductRenamed,
        "ProductPriceChanged": ProductPriceChanged,
        "ProductCodeChanged": ProductCodeChanged,
        "ProductExternalIdAdded": ProductExternalIdAdded,
        "ProductDiscontinued": ProductDiscontinued,
        "ProductResumed": ProductResumed,
    },
    standing=standing,
    claims=claims,
    taken=taken,
)
