"""Policies: of every table of a read model, who sees which of its rows, and which columns tell of persons and of money.

A table without a policy stops the program at its start: nothing is readable that nobody decided upon. Personal is what
the events of `domain/` seal. Rows within a record are reached through it, and through nothing else.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, Protocol, TypeAlias

import msgspec

from api.reading.entries import entry_columns
from api.reading.statement import Cells
from domain.customer import CONTACT_LINKS
from domain.kernel.permissions import Permission, Scope
from projections import (
    api_tokens,
    company,
    customers,
    opportunities,
    pipelines,
    products,
    queues,
    roles,
    staff_members,
    teams,
    tickets,
)
from projections.model import Table
from projections.registry import models
from projections.timeline import TIMELINE


class Who(Enum):
    """What of the caller a row is compared with."""

    ME = "me"
    TEAMS = "my teams"
    QUEUES = "my queues"


class Branch(msgspec.Struct, frozen=True):
    """Rows whose column names the caller, or one of the caller's teams or queues, from a scope on."""

    scope: Scope
    column: str
    who: Who


class Everybody(msgspec.Struct, frozen=True):
    """Whoever may do anything at all sees every row."""


class WithinRecord(msgspec.Struct, frozen=True):
    """Parts of a record: whoever sees the record sees them."""


class PartOf(msgspec.Struct, frozen=True):
    """Parts of the record that a column names, reached from another record too: whoever sees the first sees them."""

    column: str
    record: Table


class OfRecord(msgspec.Struct, frozen=True):
    """A kind of record with a permission of its own, and what its scopes mean."""

    permission: Permission
    branches: tuple[Branch, ...]


class OfEntries(msgspec.Struct, frozen=True):
    """Entries of the book: whoever sees the record sees them."""

    records: Mapping[str, Table]


class Takes(msgspec.Struct, frozen=True):
    """All rows, for whoever has a permission."""

    permission: Permission


Rows: TypeAlias = Everybody | WithinRecord | PartOf | OfRecord | OfEntries | Takes


class Mask(msgspec.Struct, frozen=True):
    """What stands in place of a hidden column."""

    instead: str = "NULL"
    unless: str | None = None
    """A condition on the row, as a template; where it holds the column is not hidden."""

    def unless_also(self, condition: str) -> "Mask":
        """The same, but where another condition holds too."""
        return msgspec.structs.replace(
            self, unless=condition if self.unless is None else f"({self.unless} or {condition})"
        )

    def sql(self, column: str, of: str, seen: Cells) -> str:
        """The SQL of a column of this type, in a row called `seen`, which has these cells."""
        kind, _, _ = of.partition(" NOT NULL")
        nothing = f"{self.instead}::{kind}"
        if self.unless is None:
            return nothing
        return f'case when {self.unless.format_map(seen)} then seen."{column}" else {nothing} end'


UNMASKED = "unmasked"
"""In templates: the public id of the customer who is unmasked."""


class Columns(Protocol):
    """Makes the SQL of a table's columns, by what is seen; `unmasked`: a condition under which persons are."""

    def __call__(self, *, personal: bool, amounts: bool, unmasked: str | None) -> str: ...


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Who sees what of one table."""

    rows: Rows = WithinRecord()
    personal: Mapping[str, Mask] = {}
    """The columns that tell of a person."""
    amounts: Mapping[str, Mask] = {}
    """The columns that hold money."""
    all_personal: bool = False
    """Every row tells of a person, or is found by what does."""
    columns: Columns | None = None
    """In place of masks."""
    customer: str | None = None
    """The column that names the customer whose record this is, or is part of: what unmasking a customer shows."""
    of_others: str | None = None
    """A condition, as a template: such rows of the customer's record speak of somebody else, and are not shown."""

    @property
    def of_unmasked(self) -> str:
        """The condition that a row is of the customer who is unmasked, as a template."""
        own = f"{{{self.customer}}} = {{{UNMASKED}}}"
        return own if self.of_others is None else f"({own} and not ({self.of_others}))"


def _masks(*columns: str) -> dict[str, Mask]:
    return dict.fromkeys(columns, Mask())


_OF_ORGANISATIONS = "{kind} = 'organisation'"
_SAID_OF_CONTACTS = "{subject_id} <> {aggregate_id} or {event} in ('" + "', '".join(CONTACT_LINKS) + "')"
"""An organisation's entries that are sealed under its contacts' keys; in older books under its own."""
_NOTES = Policy(personal=_masks("text"))
_ALL_PERSONAL = Policy(all_personal=True)
_ALL_PERSONAL_OF_CUSTOMER = Policy(all_personal=True, customer="customer_id")

_CUSTOMERS = OfRecord(
    Permission.READ_CUSTOMERS,
    (Branch(Scope.OWN, "owner_id", Who.ME), Branch(Scope.TEAM, "team_id", Who.TEAMS)),
)
_OPPORTUNITIES = OfRecord(
    Permission.READ_OPPORTUNITIES,
    (Branch(Scope.OWN, "owner_id", Who.ME), Branch(Scope.TEAM, "team_id", Who.TEAMS)),
)
_TICKETS = OfRecord(
    Permission.READ_TICKETS,
    (
        Branch(Scope.OWN, "assignee_id", Who.ME),
        Branch(Scope.QUEUE, "queue_id", Who.QUEUES),
        Branch(Scope.TEAM, "escalated_to_team_id", Who.TEAMS),
    ),
)

RECORDS: Final[Mapping[str, Table]] = {
    "customer": customers.CUSTOMERS,
    "opportunity": opportunities.OPPORTUNITIES,
    "ticket": tickets.TICKETS,
}
"""By kind: the records that are not everybody's to see."""

POLICIES: Final[Mapping[str, Policy]] = {
    customers.CUSTOMERS.name: Policy(
        rows=_CUSTOMERS,
        personal={
            "name": Mask(unless=_OF_ORGANISATIONS),
            "name_key": Mask("''", unless=_OF_ORGANISATIONS),
            "legal_name": Mask(unless=_OF_ORGANISATIONS),
            **_masks("salutation", "job_title", "birthday", "description"),
        },
        amounts=_masks("annual_revenue", "revenue_currency"),
        customer="id",
    ),
    customers.CONTACT_POINTS.name: Policy(personal=_masks("value", "normalised", "label"), customer="customer_id"),
    customers.TAGS.name: _ALL_PERSONAL_OF_CUSTOMER,
    customers.HOLDS.name: _ALL_PERSONAL_OF_CUSTOMER,
    customers.CLASSIFICATIONS.name: Policy(),
    customers.LINKS.name: Policy(rows=PartOf("organisation_id", customers.CUSTOMERS), personal=_masks("role")),
    customers.CONSENTS.name: Policy(personal=_masks("proof"), customer="customer_id"),
    customers.NOTES.name: Policy(personal=_masks("text"), customer="customer_id"),
    customers.EXTERNAL_IDS.name: _ALL_PERSONAL_OF_CUSTOMER,
    customers.SEARCH.name: _ALL_PERSONAL,
    opportunities.OPPORTUNITIES.name: Policy(
        rows=_OPPORTUNITIES,
        personal={
            **_masks("title", "source", "campaign", "competitor", "loss_note"),
            "title_key": Mask("''"),
        },
        amounts=_masks("amount", "currency"),
    ),
    opportunities.LINES.name: Policy(amounts=_masks("price", "total")),
    opportunities.STAGE_HISTORY.name: Policy(),
    opportunities.NOTES.name: _NOTES,
    opportunities.EXTERNAL_IDS.name: _ALL_PERSONAL,
    opportunities.SEARCH.name: _ALL_PERSONAL,
    tickets.TICKETS.name: Policy(
        rows=_TICKETS,
        personal={**_masks("subject", "solution_note", "satisfaction_comment"), "subject_key": Mask("''")},
    ),
    tickets.MESSAGES.name: _NOTES,
    tickets.EXTERNAL_IDS.name: _ALL_PERSONAL,
    tickets.SEARCH.name: _ALL_PERSONAL,
    staff_members.STAFF_MEMBERS.name: Policy(
        rows=Everybody(), personal={**_masks("name", "email", "normalised_email"), "name_key": Mask("''")}
    ),
    staff_members.ROLES.name: Policy(rows=Everybody()),
    staff_members.EXTERNAL_IDS.name: _ALL_PERSONAL,
    staff_members.SEARCH.name: _ALL_PERSONAL,
    teams.TEAMS.name: Policy(rows=Everybody()),
    teams.EXTERNAL_IDS.name: _ALL_PERSONAL,
    queues.QUEUES.name: Policy(rows=Everybody()),
    pipelines.PIPELINES.name: Policy(rows=Everybody()),
    pipelines.STAGES.name: Policy(rows=Everybody()),
    products.PRODUCTS.name: Policy(rows=Everybody(), amounts=_masks("price", "currency")),
    products.EXTERNAL_IDS.name: Policy(),
    products.SEARCH.name: Policy(),
    company.COMPANY.name: Policy(rows=Everybody()),
    roles.ROLES.name: Policy(rows=Everybody()),
    roles.GRANTS.name: Policy(),
    api_tokens.API_TOKENS.name: Policy(
        rows=Takes(Permission.MANAGE_ACCESS), personal={"name": Mask(), "name_key": Mask("''")}
    ),
    api_tokens.GRANTS.name: Policy(),
    TIMELINE.name: Policy(
        rows=OfEntries({**RECORDS, "api_token": api_tokens.API_TOKENS}),
        personal=_masks("reason"),
        columns=entry_columns,
        customer="aggregate_id",
        of_others=_SAID_OF_CONTACTS,
    ),
}
"""By the name of the table."""

if undecided := {table.name for model in models for table in model.tables} - POLICIES.keys():
    raise LookupError(f"Say in api/reading/policies.py who sees the rows of {', '.join(sorted(undecided))}.")
