"""Money in SQL: amounts and sums with the right decimals."""

from collections.abc import Mapping
from decimal import Decimal

import strawberry

from api.scalars import CurrencyCode
from domain.kernel import MINOR_UNITS

_CASES = " ".join(
    f"when {{currency}} in ({', '.join(repr(code) for code, units in MINOR_UNITS.items() if units == decimals)})"
    f" then {decimals}"
    for decimals in sorted(set(MINOR_UNITS.values()) - {2})
)
_DECIMALS = f"case {_CASES} else 2 end"

AMOUNT = f"round({{amount}}, {_DECIMALS})"
"""SQL: `{amount}`, which has the decimals of `{currency}` or fewer, with all of them."""
HALF_EVEN = (
    f"case when round({{amount}}, {_DECIMALS}) <> {{amount}} and round({{amount}} * 2, {_DECIMALS}) = {{amount}} * 2"
    f" then round({{amount}} * 0.5, {_DECIMALS}) * 2 else {AMOUNT} end"
)
"""SQL: `{amount}` rounded half-even, with the decimals of `{currency}`. Its own round() takes a half away from zero."""


def money(amount: str, currency: str = "{currency}", *, computed: bool = False) -> Mapping[str, str]:
    """Templates for a `part` of type Money. `computed`: the amount may have more decimals than its currency has."""
    template = HALF_EVEN if computed else AMOUNT
    return {"amount": template.format(amount=f"({amount})", currency=currency), "currency": currency}


@strawberry.type(description="An amount of money in a currency.")
class Money:
    amount: Decimal = strawberry.field(description="The amount, with the currency's decimals; negative: a credit.")
    currency: CurrencyCode = strawberry.field(description="The currency.")
