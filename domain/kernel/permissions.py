"""Permissions: what a role can grant, and on which records."""

from collections.abc import Mapping

import msgspec

from domain.kernel.words import Word


class Scope(Word):
    """On which records a permission holds; each includes the ones before it."""

    OWN = "own", "Records that one looks after oneself: as the owner, or a ticket's assignee."
    QUEUE = "queue", "Also tickets in the queues of one's teams; of other records, no more than the own."
    TEAM = "team", "Also records of one's team and of all teams below it, tickets escalated to them included."
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
    SEE_AMOUNTS = "see_amounts", "See money: amounts, prices of deals, revenues. Its scope does not matter."
    SEE_PERSONAL_DATA = "see_personal_data", "See personal data in clear. Its scope does not matter."
    READ_BOOK = "read_book", "See every entry of the book, and follow all changes. Its scope does not matter."
    CONFIGURE = "configure", "Change pipelines, products, queues, teams and the company. Its scope does not matter."
    MANAGE_STAFF = "manage_staff", "Enter and change staff members. Its scope does not matter."
    MANAGE_ACCESS = "manage_access", "Grant roles, define them, issue and revoke tokens. Its scope does not matter."


class Grant(msgspec.Struct, frozen=True):
    """A permission, and on which records it holds."""

    permission: Permission
    scope: Scope


def widest(grants: "tuple[Grant, ...]") -> Mapping[Permission, Scope]:
    """By permission, the widest scope: of several roles the most permissive wins."""
    found: dict[Permission, Scope] = {}
    for one in grants:
        former = found.get(one.permission)
        if former is None or one.scope.rank > former.rank:
            found[one.permission] = one.scope
    return found
