"""Decisions on a customer's details."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from msgspec import UNSET

from domain.customer.commands import ChangeCustomerDetails
from domain.customer.events import CustomerDetailsChanged, CustomerEvent
from domain.customer.rules import BirthdayInTheFuture, OnlyForPersons, RevenueCurrencyAlone, RevenueCurrencyMissing
from domain.customer.state import Customer
from domain.customer.words import ONLY_OF_PERSONS, PERSONAL_DETAILS, PUBLIC_DETAILS, Change, CustomerKind, Fact
from domain.kernel import Known, Rule, out_of_range, require, rounded, updated


def details_changed(state: Customer, command: ChangeCustomerDetails, known: Known) -> list[CustomerEvent]:
    asked = {name: getattr(command, name) for name in (*PUBLIC_DETAILS, *PERSONAL_DETAILS)}
    wanted = {**state.details, **{name: _fact(value) for name, value in asked.items() if value is not UNSET}}
    require(
        _revenue_fault(state, command),
        _revenue_out_of_range(command, wanted.get("revenue_currency")),
        _only_for_persons(state, asked),
        BirthdayInTheFuture(path=("birthday",))
        if isinstance(command.birthday, date) and command.birthday > known.today
        else None,
    )
    if isinstance(command.annual_revenue, Decimal):
        wanted["annual_revenue"] = f"{rounded(command.annual_revenue, str(wanted['revenue_currency'])):f}"
    elif command.annual_revenue is None:
        wanted["revenue_currency"] = None
    changes = {name: Change(old, new) for name, new in wanted.items() if (old := state.details.get(name)) != new}
    if not changes:
        return []
    public = {name: change for name, change in changes.items() if name in PUBLIC_DETAILS}
    personal = {name: change for name, change in changes.items() if name in PERSONAL_DETAILS}
    return [CustomerDetailsChanged(changes=public, personal_changes=personal)]


def _revenue_fault(state: Customer, command: ChangeCustomerDetails) -> Rule | None:
    """The rule against a revenue or its currency without the other. A currency that stands alone counts for none."""
    revenue, currency = (state.details.get(name) for name in ("annual_revenue", "revenue_currency"))
    present = None if revenue is None else currency
    path, named = ("revenue_currency",), updated(present, command.revenue_currency)
    if isinstance(command.annual_revenue, Decimal):
        return RevenueCurrencyMissing(path=path) if named is None else None
    if command.annual_revenue is None or named == present:
        return None
    return RevenueCurrencyMissing(path=path) if named is None else RevenueCurrencyAlone(path=path)


def _fact(value: Decimal | date | Fact) -> Fact:
    return f"{value:f}" if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value


def _revenue_out_of_range(command: ChangeCustomerDetails, currency: Fact) -> Rule | None:
    if not isinstance(command.annual_revenue, Decimal) or currency is None:
        return None
    return out_of_range(command.annual_revenue, str(currency), ("annual_revenue",))


def _only_for_persons(state: Customer, asked: Mapping[str, object]) -> Iterator[Rule]:
    if state.kind is not CustomerKind.PERSON:
        for name in ONLY_OF_PERSONS:
            if asked[name] not in (None, UNSET):
                yield OnlyForPersons(path=(name,))
