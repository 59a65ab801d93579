"""Permissions: what a role can grant, and on which records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

from domain.kernel.fields import Doc, Items
from domain.kernel.rules import Path, Rule
from domain.kernel.words import Word


class Scope(Word):
    """On which records a permission holds; each includes the ones before it."""

    OWN = "own", "Records that one looks after oneself: as the owner, or a ticket's assignee."
    QUEUE = "queue", "Also tickets in the queues of one's teams; of other records, no more than the own."
    TEAM = (
        "team",
        "Also records of one's team, of those that one leads and of all below; tickets escalated to them too.",
    )
    ALL = "all", "Every record."

    @property
    def rank(self) -> int:
        return list(Scope).index(self)


class Permission(Word):
    """What a role can allow. Whoever has a role at all sees teams, colleagues, queues, products and pipelines."""

    READ_CUSTOMERS = "read_customers", "See customers and what happened to them."
    REGISTER_CUSTOMERS = "register_customers", "Enter new customers."
    WRITE_CUSTOMERS = "write_customers", "Change customers: names, details, links, notes, archiving."
    WRITE_CONTACT_DATA = "write_contact_data", "Change how customers are reached: e-mail addresses, numbers, language."
    WRITE_TAGS = "write_tags", "Tag and classify customers."
    WRITE_CONSENT = "write_consent", "Record what customers agreed to, and what they withdrew."
    ASSIGN_CUSTOMERS = "assign_customers", "Say who looks after a customer."
    READ_OPPORTUNITIES = "read_opportunities", "See deals and what happened to them."
    OPEN_OPPORTUNITIES = "open_opportunities", "Open new deals."
    WRITE_OPPORTUNITIES = "write_opportunities", "Change deals: stages, amounts, lines, dates; win and lose them."
    OVERRIDE_PROBABILITY = "override_probability", "Set a deal's probability by hand."
    ASSIGN_OPPORTUNITIES = "assign_opportunities", "Say who looks after a deal."
    READ_TICKETS = "read_tickets", "See tickets and their conversations."
    OPEN_TICKETS = "open_tickets", "Open new tickets."
    WORK_TICKETS = "work_tickets", "Answer, move, assign and solve tickets."
    SEE_AMOUNTS = "see_amounts", "See money: amounts of deals, prices, revenues. Its scope is always ALL."
    SEE_PERSONAL_DATA = "see_personal_data", "See personal data in clear. Its scope is always ALL."
    READ_BOOK = "read_book", "See every entry of the book, and follow all changes. Its scope is always ALL."
    CONFIGURE = "configure", "Change pipelines, products, queues, teams and the company. Its scope is always ALL."
    MANAGE_STAFF = "manage_staff", "Enter and change staff members. Its scope is always ALL."
    MANAGE_ACCESS = "manage_access", "Grant roles, define them, issue and revoke tokens. Its scope is always ALL."
    UNMASK_PERSONAL_DATA = (
        "unmask_personal_data",
        "Be shown one customer's personal data for a reason, which is recorded. Its scope is always ALL.",
    )
    REQUEST_ERASURE = "request_erasure", "Ask for customers' personal data to be erased; another has to approve it."
    APPROVE_ERASURE = (
        "approve_erasure",
        "Erase customers' personal data, for ever, once another has asked for it. Its scope is always ALL.",
    )
    HOLD_DATA = (
        "hold_data",
        "Keep customers' data from erasure by legal holds, and lift these. Its scope is always ALL.",
    )
    ACT_ON_BEHALF = (
        "act_on_behalf",
        "Say for which staff member a command is given, which then takes both to be allowed. Its scope is always ALL.",
    )


class Grant(msgspec.Struct, frozen=True):
    """A permission, and on which records it holds."""

    permission: Annotated[Permission, Doc("What is allowed.")]
    scope: Annotated[Scope, Doc("On which records.")]


MOST_GRANTS = 50
Grants: TypeAlias = Annotated[
    tuple[Grant, ...], Doc("What it allows; each permission once."), Items(MOST_GRANTS, least=1)
]
"""What a role or an API token allows, as a command has it."""

SCOPELESS: Final = frozenset(
    (
        Permission.SEE_AMOUNTS,
        Permission.SEE_PERSONAL_DATA,
        Permission.UNMASK_PERSONAL_DATA,
        Permission.READ_BOOK,
        Permission.CONFIGURE,
        Permission.MANAGE_STAFF,
        Permission.MANAGE_ACCESS,
        Permission.APPROVE_ERASURE,
        Permission.HOLD_DATA,
        Permission.ACT_ON_BEHALF,
    )
)
"""Permissions that are not about some records more than about others: they hold everywhere or nowhere."""


class PermissionRepeated(Rule):
    """The permission {permission} stands here twice; say once on which records it holds."""

    permission: str


class ScopeMustBeAll(Rule):
    """The permission {permission} holds everywhere or nowhere; grant it with the scope ALL."""

    permission: str


def in_order(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """The same grants as they are stored: in the order of the permissions, so that equal ones are equal."""
    order = list(Permission)
    return tuple(sorted(grants, key=lambda grant: order.index(grant.permission)))


def faults_of_grants(grants: Sequence[Grant], path: Path) -> list[Rule]:
    """The rules against these grants, each with the path of the one that breaks it."""
    found: list[Rule] = []
    for at, grant in enumerate(grants):
        if any(grant.permission is former.permission for former in grants[:at]):
            found.append(PermissionRepeated(path=(*path, at, "permission"), permission=grant.permission.name))
        if grant.permission in SCOPELESS and grant.scope is not Scope.ALL:
            found.append(ScopeMustBeAll(path=(*path, at, "scope"), permission=grant.permission.name))
    return found


def widest(grants: "tuple[Grant, ...]") -> Mapping[Permission, Scope]:
    """By permission, the widest scope: of several roles the most permissive wins."""
    found: dict[Permission, Scope] = {}
    for one in grants:
        former = found.get(one.permission)
        if former is None or one.scope.rank > former.rank:
            found[one.permission] = one.scope
    return found
