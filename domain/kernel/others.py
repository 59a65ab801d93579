"""Others: the rules against naming a customer, a staff member or a team that is not active."""

from uuid import UUID

from msgspec import UnsetType

from domain.kernel.rules import Rule
from domain.kernel.words import Known


class CustomerNotActive(Rule):
    """This customer is not active; restore it, or name another one."""


class StaffNotActive(Rule):
    """This staff member is not active; name one who is."""


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


def unless_active(known: Known, id: UUID | UnsetType | None, rule: Rule) -> Rule | None:
    """The rule, where the record that the command names is not active. Naming none breaks none."""
    return rule if isinstance(id, UUID) and not known.of(id).active else None
