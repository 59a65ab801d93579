"""Decisions on closing a deal and opening it again."""

from collections.abc import Sequence
from datetime import date

from domain.kernel import Known, Rule, broken, refuse, require
from domain.opportunity.amounts import (
    amount_changed,
    amount_out_of_range,
    currency_for,
    in_minor_units,
    other_than_lines,
)
from domain.opportunity.commands import LoseOpportunity, ReopenOpportunity, WinOpportunity
from domain.opportunity.events import OpportunityEvent, OpportunityLost, OpportunityReopened, OpportunityWon
from domain.opportunity.rules import (
    AmountMissing,
    ClosedInFuture,
    CurrencyMissing,
    CurrencyNeedsAmount,
    CustomerMissing,
    LossNoteMissing,
    OpportunityClosed,
)
from domain.opportunity.state import Loss, Opportunity
from domain.opportunity.words import LossReason, OpportunityStatus


def unless_open(state: Opportunity) -> Rule | None:
    """The rule against changing a closed deal."""
    return None if state.status is OpportunityStatus.OPEN else OpportunityClosed(status=state.status)


def win(state: Opportunity, command: WinOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    if state.status is OpportunityStatus.WON and _same_win(state, command):
        return []
    require(unless_open(state))
    customer, asked = state.customer, state.amount if command.amount is None else command.amount
    currency = currency_for(state, asked, command.currency, known)
    amount = in_minor_units(asked, currency)
    alone = command.amount is None and not state.lines and command.currency not in (None, state.currency)
    faults = broken(
        CustomerMissing() if customer is None else None,
        AmountMissing(path=("amount",)) if amount is None else None,
        other_than_lines(state, asked, command.currency),
        CurrencyMissing(path=("currency",)) if amount is not None and currency is None else None,
        CurrencyNeedsAmount(path=("currency",)) if alone else None,
        amount_out_of_range(asked, currency, ("amount",)),
        _in_future(command.closed_on, known),
    )
    if faults or customer is None or amount is None or currency is None:
        refuse(*faults)
    won = OpportunityWon(
        customer=customer,
        amount=amount,
        currency=currency,
        closed_on=command.closed_on or known.today,
        probability_before=state.probability,
    )
    return [*amount_changed(state, amount, currency), won]


def _same_win(state: Opportunity, command: WinOpportunity) -> bool:
    return (
        command.closed_on in (None, state.closed_on)
        and command.currency in (None, state.currency)
        and in_minor_units(command.amount, state.currency) in (None, state.amount)
    )


def lose(state: Opportunity, command: LoseOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    if state.status is OpportunityStatus.LOST and _same_loss(state, command):
        return []
    require(unless_open(state))
    without_note = command.reason is LossReason.OTHER and command.note is None
    require(LossNoteMissing(path=("note",)) if without_note else None, _in_future(command.closed_on, known))
    return [
        OpportunityLost(
            reason=command.reason,
            competitor=command.competitor,
            note=command.note,
            closed_on=command.closed_on or known.today,
            amount=state.amount,
            currency=state.currency,
            probability_before=state.probability,
        )
    ]


def _same_loss(state: Opportunity, command: LoseOpportunity) -> bool:
    told = Loss(reason=command.reason, competitor=command.competitor, note=command.note)
    return told == state.loss and command.closed_on in (None, state.closed_on)


def _in_future(day: date | None, known: Known) -> Rule | None:
    return None if day is None or day <= known.today else ClosedInFuture(path=("closed_on",), today=known.today)


def reopen(state: Opportunity, command: ReopenOpportunity) -> Sequence[OpportunityEvent]:
    if state.closed_on is None:
        return []
    return [
        OpportunityReopened(
            was=state.status,
            closed_on=state.closed_on,
            reason=command.reason,
            probability_before=state.probability,
            probability_after=state.stage_probability,
        )
    ]
