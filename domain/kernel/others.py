"""Others: who may be named, for only what is active may be, and whose team looks after what is new."""

from collections.abc import Iterator
from uuid import UUID

from msgspec import UnsetType

from domain.kernel.rules import Rule
from domain.kernel.words import Known, Reference


class CustomerNotActive(Rule):
    """This customer is not active; restore it, or name another one."""


class StaffNotActive(Rule):
    """This staff member is not active; name one who is."""


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


def unless_active(known: Known, id: UUID | UnsetType | None, rule: Rule) -> Rule | None:
    """The rule, where the record that the command names is not active. Naming none breaks none."""
    return rule if isinstance(id, UUID) and not known.of(id).active else None


def team_of(known: Known, owner: UUID | None, team: UUID | None) -> UUID | None:
    """The team that looks after a new record: the one that is named, else its owner's, if that is active.

    So the owner's colleagues, who may do what their team may, find it.
    """
    if team is not None or owner is None:
        return team
    theirs = known.of(owner).team
    return theirs if theirs is not None and known.of(theirs).active else None


def team_behind(known: Known, owner: UUID | None, team: UUID | None) -> Iterator[Reference]:
    """What `team_of` has to know, for `consults`."""
    if team is None and owner is not None and (theirs := known.of(owner).team):
        yield Reference("team", theirs, ("owner",))
