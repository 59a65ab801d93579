"""A deal's amount and currency: in minor units, within bounds, and whose currency counts where none is named."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

from domain.kernel import AMOUNT, COMPANY_ID, Known, Path, Rule, rounded
from domain.opportunity.events import OpportunityAmountChanged, OpportunityEvent
from domain.opportunity.rules import AmountComesFromLines, AmountNegative, AmountTooLarge, CurrencyComesFromLines
from domain.opportunity.state import Opportunity


def in_minor_units(amount: Decimal | None, currency: str | None) -> Decimal | None:
    """In minor units; an amount whose currency is missing stays as it is, and is refused for that."""
    return amount if amount is None or currency is None else rounded(amount, currency)


def amount_out_of_range(amount: Decimal | None, currency: str | None, path: Path) -> Rule | None:
    """The rule against an amount below zero as it was given, or above what any deal may be worth once it is rounded."""
    worth = in_minor_units(amount, currency)
    if amount is None or worth is None:
        return None
    if amount < 0:  # rounding makes nothing of less than half a minor unit
        return AmountNegative(path=path)
    return None if worth <= AMOUNT.most else AmountTooLarge(path=path, most=str(AMOUNT.most))


def default_currency(pipeline: UUID, known: Known) -> str | None:
    """The pipeline's currency, or else the company's."""
    standings = (known.standings.get(pipeline), known.standings.get(COMPANY_ID))
    return next((each.currency for each in standings if each is not None and each.currency is not None), None)


def currency_for(state: Opportunity, amount: Decimal | None, named: str | None, known: Known) -> str | None:
    """The currency named, or else the deal's; a first amount may take the pipeline's or the company's. No amount, no
    other currency."""
    if amount is None:
        return state.currency
    return named or state.currency or default_currency(state.pipeline, known)


def other_than_lines(state: Opportunity, amount: Decimal | None, named: str | None) -> Iterator[Rule]:
    """The rules against an amount or a currency other than that of the lines."""
    if state.currency is not None and state.lines:
        if in_minor_units(amount, state.currency) != state.amount:
            yield AmountComesFromLines(path=("amount",))
        if named not in (None, state.currency):
            yield CurrencyComesFromLines(path=("currency",))


def amount_changed(state: Opportunity, amount: Decimal | None, currency: str | None) -> list[OpportunityEvent]:
    if (amount, currency) == (state.amount, state.currency):
        return []
    return [
        OpportunityAmountChanged(
            old_amount=state.amount, old_currency=state.currency, new_amount=amount, new_currency=currency
        )
    ]
