"""The words of deals: how far they have come, why they are lost, what they sell."""

from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

from domain.kernel import AMOUNT, PERCENT, QUANTITY, Derived, Doc, Id, Word

MOST_LINES = 200
CERTAIN, NEVER = Decimal(100), Decimal(0)


class OpportunityStatus(Word):
    """How far a deal has come."""

    OPEN = "open", "We are working on it."
    WON = "won", "The customer said yes."
    LOST = "lost", "It came to nothing."


class LossReason(Word):
    """Why a deal was lost."""

    PRICE = "price", "It was too expensive."
    COMPETITOR = "competitor", "The customer chose somebody else."
    TIMING = "timing", "It came too early or too late."
    NO_BUDGET = "no_budget", "The customer has no money for it."
    NO_DECISION = "no_decision", "The customer never decided."
    FIT = "fit", "It is not what the customer needs."
    DUPLICATE = "duplicate", "It was entered twice."
    OTHER = "other", "Something else: the note says what."


Quantity: TypeAlias = Annotated[Decimal, Doc("How many or how much of it."), QUANTITY]
Price: TypeAlias = Annotated[
    Decimal | None,
    Doc(
        "For one unit, in the deal's currency, before discount and tax; rounded to its minor units before it is"
        " multiplied. Null: unknown yet."
    ),
    AMOUNT,
]
Discount: TypeAlias = Annotated[Decimal, Doc("Taken off the price, in per cent."), PERCENT]
Tax: TypeAlias = Annotated[Decimal, Doc("In per cent; recorded, not part of the deal's amount."), PERCENT]


class NewOpportunityLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a deal: so many of a product at a price."""

    line: Annotated[UUID, Derived("lin")]
    product: Annotated[UUID, Doc("What is sold; it must not be discontinued."), Id("product")]
    quantity: Quantity = Decimal(1)
    price: Price = None
    discount: Discount = Decimal(0)
    tax: Tax = Decimal(0)


class OpportunityLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it stands in a deal."""

    line: UUID
    product: UUID
    quantity: Decimal
    price: Decimal | None
    discount: Decimal
    tax: Decimal
    total: Decimal | None
    """Quantity times price less discount, in minor units of the deal's currency; None while unpriced."""
