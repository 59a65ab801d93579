"""The roles that a new book begins with. A company changes them, and defines its own."""

from collections.abc import Mapping

import msgspec

from domain.kernel.permissions import Grant, Permission, Scope

ALL, TEAM, QUEUE, OWN = Scope.ALL, Scope.TEAM, Scope.QUEUE, Scope.OWN


class ReadyRole(msgspec.Struct, frozen=True):
    """A role as it is defined in a new book."""

    key: str
    """Its name in code; its id is derived from it."""
    name: str
    description: str
    grants: tuple[Grant, ...]


def _role(key: str, name: str, description: str, grants: Mapping[Permission, Scope]) -> ReadyRole:
    return ReadyRole(key, name, description, tuple(Grant(*each) for each in grants.items()))


READY = (
    _role(
        "sales_rep",
        "Sales rep",
        "Reads the team's customers and deals, works on the own ones.",
        {
            Permission.READ_CUSTOMERS: TEAM,
            Permission.REGISTER_CUSTOMERS: OWN,
            Permission.WRITE_CUSTOMERS: OWN,
            Permission.WRITE_CONTACT_DATA: OWN,
            Permission.WRITE_TAGS: OWN,
            Permission.WRITE_CONSENT: OWN,
            Permission.READ_OPPORTUNITIES: TEAM,
            Permission.OPEN_OPPORTUNITIES: OWN,
            Permission.WRITE_OPPORTUNITIES: OWN,
            Permission.READ_TICKETS: TEAM,
            Permission.SEE_AMOUNTS: ALL,
            Permission.SEE_PERSONAL_DATA: ALL,
        },
    ),
    _role(
        "sales_manager",
        "Sales manager",
        "Reads and changes what the team looks after, assigns it, and may override a deal's probability.",
        {
            Permission.READ_CUSTOMERS: TEAM,
            Permission.REGISTER_CUSTOMERS: TEAM,
            Permission.WRITE_CUSTOMERS: TEAM,
            Permission.WRITE_CONTACT_DATA: TEAM,
            Permission.WRITE_TAGS: TEAM,
            Permission.WRITE_CONSENT: TEAM,
            Permission.ASSIGN_CUSTOMERS: TEAM,
            Permission.REQUEST_ERASURE: TEAM,
            Permission.READ_OPPORTUNITIES: TEAM,
            Permission.OPEN_OPPORTUNITIES: TEAM,
            Permission.WRITE_OPPORTUNITIES: TEAM,
            Permission.OVERRIDE_PROBABILITY: TEAM,
            Permission.ASSIGN_OPPORTUNITIES: TEAM,
            Permission.READ_TICKETS: TEAM,
            Permission.SEE_AMOUNTS: ALL,
            Permission.SEE_PERSONAL_DATA: ALL,
        },
    ),
    _role(
        "support_agent",
        "Support agent",
        "Reads all customers, changes how they are reached, works on the tickets in the queues of the own team.",
        {
            Permission.READ_CUSTOMERS: ALL,
            Permission.WRITE_CONTACT_DATA: ALL,
            Permission.READ_TICKETS: QUEUE,
            Permission.OPEN_TICKETS: ALL,
            Permission.WORK_TICKETS: QUEUE,
            Permission.SEE_PERSONAL_DATA: ALL,
        },
    ),
    _role(
        "support_lead",
        "Support lead",
        "Reads all customers and all tickets, registers customers, works on the tickets of the own teams.",
        {
            Permission.READ_CUSTOMERS: ALL,
            Permission.REGISTER_CUSTOMERS: ALL,
            Permission.WRITE_CONTACT_DATA: ALL,
            Permission.REQUEST_ERASURE: ALL,
            Permission.READ_TICKETS: ALL,
            Permission.OPEN_TICKETS: ALL,
            Permission.WORK_TICKETS: TEAM,
            Permission.SEE_PERSONAL_DATA: ALL,
        },
    ),
    _role(
        "marketing",
        "Marketing",
        "Reads all customers, tags them and records consent; never sees amounts.",
        {
            Permission.READ_CUSTOMERS: ALL,
            Permission.WRITE_TAGS: ALL,
            Permission.WRITE_CONSENT: ALL,
            Permission.SEE_PERSONAL_DATA: ALL,
        },
    ),
    _role(
        "auditor",
        "Auditor",
        "Reads everything, personal data hidden until a reason is recorded; changes nothing.",
        {
            Permission.READ_CUSTOMERS: ALL,
            Permission.READ_OPPORTUNITIES: ALL,
            Permission.READ_TICKETS: ALL,
            Permission.SEE_AMOUNTS: ALL,
            Permission.UNMASK_PERSONAL_DATA: ALL,
            Permission.READ_BOOK: ALL,
        },
    ),
    _role(
        "integrator",
        "Integrator",
        "Reads everything and follows all changes; for a token that needs more, define a role of your own.",
        {
            Permission.READ_CUSTOMERS: ALL,
            Permission.READ_OPPORTUNITIES: ALL,
            Permission.READ_TICKETS: ALL,
            Permission.SEE_AMOUNTS: ALL,
            Permission.SEE_PERSONAL_DATA: ALL,
            Permission.READ_BOOK: ALL,
        },
    ),
    _role(
        "administrator",
        "Administrator",
        "Everything that can be allowed. Nobody can alter what happened.",
        dict.fromkeys(Permission, ALL),
    ),
)
