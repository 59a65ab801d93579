"""Role: what somebody may do who has it. Defined, then active; retired and restored.

A retired role allows nothing to those who have it, until it is restored; its name is free for another.
"""

from typing import Annotated, TypeAlias, assert_never

from msgspec.structs import replace

from domain.kernel import (
    LINE,
    NAME,
    Claim,
    Command,
    Decider,
    Doc,
    Event,
    Known,
    Personal,
    Rule,
    Standing,
    State,
    Withheld,
    refuse,
    require,
)
from domain.kernel.permissions import Grant, Grants, faults_of_grants, in_order

# Events


class RoleDefined(Event, frozen=True, kw_only=True):
    """A role was defined."""

    name: str
    description: Personal[str | None]
    grants: tuple[Grant, ...]


class RoleRenamed(Event, frozen=True, kw_only=True):
    """The role has another name."""

    old: str
    new: str


class RoleDescribed(Event, frozen=True, kw_only=True):
    """The role is described otherwise, or not at all."""

    old: Personal[str | None]
    new: Personal[str | None]


class RoleGrantsChanged(Event, frozen=True, kw_only=True):
    """The role allows something else, to everybody who has it."""

    old: tuple[Grant, ...]
    new: tuple[Grant, ...]


class RoleRetired(Event, frozen=True, kw_only=True):
    """The role allows nothing any more, and can't be granted."""


class RoleRestored(Event, frozen=True, kw_only=True):
    """The retired role is active again, for those who have it too."""


RoleEvent: TypeAlias = RoleDefined | RoleRenamed | RoleDescribed | RoleGrantsChanged | RoleRetired | RoleRestored


# Commands


class DefineRole(Command, frozen=True, kw_only=True):
    """Define a role, so that it can be granted to staff members."""

    name: Annotated[str, Doc("The role's name; no two active roles share one."), NAME]
    description: Annotated[str | None, Doc("Whom it is for, and what it allows."), LINE] = None
    grants: Grants


class RenameRole(Command, frozen=True, kw_only=True):
    """Change a role's name."""

    name: Annotated[str, Doc("The new name; no two active roles share one."), NAME]


class DescribeRole(Command, frozen=True, kw_only=True):
    """Change a role's description."""

    description: Annotated[str | None, Doc("The new description; null for none."), LINE]


class ChangeRoleGrants(Command, frozen=True, kw_only=True):
    """Change what a role allows, for everybody who has it."""

    grants: Grants


class RetireRole(Command, frozen=True, kw_only=True):
    """Let a role allow nothing any more. Those who have it keep it, in case that it is restored."""


class RestoreRole(Command, frozen=True, kw_only=True):
    """Make a retired role active again, for those who have it too."""


RoleCommand: TypeAlias = DefineRole | RenameRole | DescribeRole | ChangeRoleGrants | RetireRole | RestoreRole


# Rules


class RoleIsRetired(Rule):
    """This role is retired; restore it before changing it."""


class RoleNameTaken(Rule):
    """Another active role has this name; use that one, or choose another name."""


class Role(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    defined: bool = False
    retired: bool = False
    name: str = ""
    description: str | Withheld | None = None
    grants: tuple[Grant, ...] = ()


def decide(state: Role, command: RoleCommand, _known: Known) -> list[RoleEvent]:
    """What follows from a command. A request already met yields nothing."""
    if state.retired and not isinstance(command, RetireRole | RestoreRole):
        refuse(RoleIsRetired())
    match command:
        case DefineRole(name=name, description=description, grants=grants):
            require(faults_of_grants(grants, ("grants",)))
            defined = RoleDefined(name=name, description=description, grants=in_order(grants))
            return [] if state.defined else [defined]
        case RenameRole(name=name):
            return [] if name == state.name else [RoleRenamed(old=state.name, new=name)]
        case DescribeRole(description=description):
            changed = RoleDescribed(old=state.description, new=description)
            return [] if description == state.description else [changed]
        case ChangeRoleGrants(grants=grants):
            require(faults_of_grants(grants, ("grants",)))
            new = in_order(grants)
            return [] if new == state.grants else [RoleGrantsChanged(old=state.grants, new=new)]
        case RetireRole():
            return [] if state.retired else [RoleRetired()]
        case RestoreRole():
            return [RoleRestored()] if state.retired else []
        case _:
            assert_never(command)


def evolve(state: Role, event: RoleEvent) -> Role:
    """What the role is after an event."""
    match event:
        case RoleRenamed(new=name):
            return replace(state, name=name)
        case RoleDescribed(new=description):
            return replace(state, description=description)
        case RoleGrantsChanged(new=grants):
            return replace(state, grants=grants)
        case RoleRetired():
            return replace(state, retired=True)
        case RoleRestored():
            return replace(state, retired=False)
        case RoleDefined(name=name, description=description, grants=grants):
            return Role(defined=True, name=name, description=description, grants=grants)
        case _:
            assert_never(event)


def claims(state: Role) -> frozenset[Claim]:
    """The name of an active role, however it is written."""
    active = state.defined and not state.retired
    return frozenset((Claim("role_name", state.name.casefold()),)) if active else frozenset()


def taken(command: RoleCommand, _claim: Claim) -> Rule:
    """The rule against a name that another active role has."""
    return RoleNameTaken(path=() if isinstance(command, RestoreRole) else ("name",))


role: Decider[Role, RoleCommand, RoleEvent] = Decider(
    kind="role",
    prefix="rol",
    initial=Role(),
    decide=decide,
    evolve=evolve,
    commands={
        "define": DefineRole,
        "rename": RenameRole,
        "describe": DescribeRole,
        "changeGrants": ChangeRoleGrants,
        "retire": RetireRole,
        "restore": RestoreRole,
    },
    creates=frozenset({DefineRole}),
    reasoned=frozenset({DefineRole, ChangeRoleGrants, RetireRole, RestoreRole}),
    events={
        "RoleDefined": RoleDefined,
        "RoleRenamed": RoleRenamed,
        "RoleDescribed": RoleDescribed,
        "RoleGrantsChanged": RoleGrantsChanged,
        "RoleRetired": RoleRetired,
        "RoleRestored": RoleRestored,
    },
    standing=lambda state: Standing(kind="role", active=state.defined and not state.retired),
    claims=claims,
    taken=taken,
)
