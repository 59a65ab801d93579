"""Decisions on a deal's lines. Where there are lines, the deal's amount is the sum of their totals."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from domain.kernel import Known, Path, Rule, broken, out_of_range, refuse, require, rounded, unless_active, updated
from domain.opportunity.amounts import amount_out_of_range, default_currency, in_minor_units
from domain.opportunity.commands import AddOpportunityLine, ChangeOpportunityLine, RemoveOpportunityLine
from domain.opportunity.events import (
    OpportunityEvent,
    OpportunityLineAdded,
    OpportunityLineChanged,
    OpportunityLineRemoved,
)
from domain.opportunity.rules import CurrencyOfLinesMissing, LineUnknown, PriceNegative, ProductNotSold, TooManyLines
from domain.opportunity.state import Opportunity
from domain.opportunity.words import MOST_LINES, NewOpportunityLine, OpportunityLine


def faults_of_lines(lines: Iterable[NewOpportunityLine], currency: str | None, known: Known) -> Iterator[Rule]:
    """The rules that the lines of a new deal break."""
    for at, new in enumerate(lines):
        yield from broken(
            unless_active(known, new.product, ProductNotSold(path=("lines", at, "product"))),
            _price_out_of_range(new.price, currency, ("lines", at, "price")),
        )


def _price_out_of_range(price: Decimal | None, currency: str | None, path: Path) -> Rule | None:
    return PriceNegative(path=path) if price is not None and price < 0 else out_of_range(price, currency, path)


def priced(new: NewOpportunityLine | AddOpportunityLine | OpportunityLine, currency: str) -> OpportunityLine:
    """The line with its price in minor units and its total."""
    price = in_minor_units(new.price, currency)
    return OpportunityLine(
        line=new.line,
        product=new.product,
        quantity=new.quantity,
        price=price,
        discount=new.discount,
        tax=new.tax,
        total=None if price is None else _total(new.quantity, price, new.discount, currency),
    )


def _total(quantity: Decimal, price: Decimal, discount: Decimal, currency: str) -> Decimal:
    """Exact before its one rounding: within the amount's bounds a product has 25 digits at most, Decimal keeps 28."""
    return rounded(quantity * price * (100 - discount) / 100, currency)


def sum_of(lines: Iterable[OpportunityLine]) -> Decimal | None:
    """The sum of the lines' totals; None while one is unpriced, or where there is no line."""
    totals = [line.total for line in lines]
    found = [total for total in totals if total is not None]
    return sum(found, Decimal(0)) if found and len(found) == len(totals) else None


def add_line(state: Opportunity, command: AddOpportunityLine, known: Known) -> Sequence[OpportunityEvent]:
    currency = state.currency or default_currency(state.pipeline, known)
    faults = broken(
        TooManyLines(most=MOST_LINES) if len(state.lines) >= MOST_LINES else None,
        unless_active(known, command.product, ProductNotSold(path=("product",))),
        _price_out_of_range(command.price, currency, ("price",)),
        CurrencyOfLinesMissing() if currency is None else None,
    )
    if faults or currency is None:
        refuse(*faults)
    line = priced(command, currency)
    amount = sum_of((*state.lines.values(), line))
    require(amount_out_of_range(amount, currency, ("price",)))
    return [OpportunityLineAdded(added=line, old_amount=state.amount, new_amount=amount, currency=currency)]


def change_line(state: Opportunity, command: ChangeOpportunityLine) -> Sequence[OpportunityEvent]:
    old, currency = _existing_line(state, command.line)
    new = replace(
        old,
        quantity=updated(old.quantity, command.quantity),
        price=updated(old.price, command.price),
        discount=updated(old.discount, command.discount),
        tax=updated(old.tax, command.tax),
    )
    # What was let in before there were such bounds stays, and may come nearer to them.
    require(None if new.price == old.price else _price_out_of_range(new.price, currency, ("price",)))
    new = priced(new, currency)
    if new == old:
        return []
    amount = sum_of(new if each.line == new.line else each for each in state.lines.values())
    grows = amount is not None and (state.amount is None or amount > state.amount)
    require(amount_out_of_range(amount, currency, ("price",)) if grows else None)
    return [OpportunityLineChanged(old=old, new=new, old_amount=state.amount, new_amount=amount, currency=currency)]


def remove_line(state: Opportunity, command: RemoveOpportunityLine) -> Sequence[OpportunityEvent]:
    if command.line in state.added and command.line not in state.lines:
        return []
    line, currency = _existing_line(state, command.line)
    amount = sum_of(each for each in state.lines.values() if each.line != line.line)
    return [OpportunityLineRemoved(removed=line, old_amount=state.amount, new_amount=amount, currency=currency)]


def _existing_line(state: Opportunity, line: UUID) -> tuple[OpportunityLine, str]:
    found = state.lines.get(line)
    if found is None or state.currency is None:
        refuse(LineUnknown(path=("line",)))
    return found, state.currency
