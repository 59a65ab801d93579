"""Decisions on a customer's details."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from msgspec import UNSET

from domain.customer.commands import ChangeCustomerDetails
from domain.customer.events import CustomerDetailsChanged, CustomerEvent
from domain.customer.rules import BirthdayInTheFuture, OnlyForPersons, RevenueCurrencyMissing
from domain.customer.state import Customer
from domain.customer.words import ONLY_OF_PERSONS, PERSONAL_DETAILS, PUBLIC_DETAILS, Change, CustomerKind, Fact
from domain.kernel import Known, Rule, require, rounded


def details_changed(state: Customer, command: ChangeCustomerDetails, known: Known) -> list[CustomerEvent]:
    asked = {name: getattr(command, name) for name in (*PUBLIC_DETAILS, *PERSONAL_DETAILS)}
    wanted = {**state.details, **{name: _fact(value) for name, value in asked.items() if value is not UNSET}}
    revenue, currency = wanted.get("annual_revenue"), wanted.get("revenue_currency")
    require(
        RevenueCurrencyMissing(path=("revenue_currency",)) if revenue is not None and currency is None else None,
        _only_for_persons(state, asked),
        BirthdayInTheFuture(path=("birthday",))
        if isinstance(command.birthday, date) and command.birthday > known.today
        else None,
    )
    if revenue is not None:
        wanted["annual_revenue"] = f"{rounded(Decimal(str(revenue)), str(currency)):f}"
    changes = {name: Change(old, new) for name, new in wanted.items() if (old := state.details.get(name)) != new}
    if not changes:
        return []
    public = {name: change for name, change in changes.items() if name in PUBLIC_DETAILS}
    personal = {name: change for name, change in changes.items() if name in PERSONAL_DETAILS}
    return [CustomerDetailsChanged(changes=public, personal_changes=personal)]


def _fact(value: Decimal | date | Fact) -> Fact:
    return f"{value:f}" if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value


def _only_for_persons(state: Customer, asked: Mapping[str, object]) -> Iterator[Rule]:
    if state.kind is not CustomerKind.PERSON:
        for name in ONLY_OF_PERSONS:
            if asked[name] not in (None, UNSET):
                yield OnlyForPersons(path=(name,))
