"""Staff member: one of the company's people, who owns records and works on them.

Registered, then active until deactivated; a deactivated one refuses everything but being reactivated, and its e-mail
address is free for another. Its external ids stay its own, so that an import finds it again. Its roles stay too, and
allow nothing meanwhile; they can be revoked.
"""

from typing import Annotated, TypeAlias, assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.kernel import (
    MOST_EXTERNAL_IDS,
    NAME,
    Claim,
    Command,
    Decider,
    Doc,
    Event,
    ExternalId,
    ExternalIds,
    Filled,
    Id,
    IdThere,
    Known,
    Personal,
    Rule,
    Source,
    Standing,
    State,
    TeamNotActive,
    Text,
    Withheld,
    one_too_many,
    opened,
    path_of_claim,
    refuse,
    require,
    unless_active,
)

EMAIL = Text(320)
MOST_ROLES = 20

# Events


class StaffMemberRegistered(Event, frozen=True, kw_only=True):
    """Somebody joined the company's people."""

    name: Personal[str]
    email: Personal[str | None]
    normalised_email: Personal[str | None]
    team: UUID | None
    external_ids: Personal[tuple[ExternalId, ...]]


class StaffMemberRenamed(Event, frozen=True, kw_only=True):
    """The staff member has another name."""

    old: Personal[str]
    new: Personal[str]


class StaffMemberEmailChanged(Event, frozen=True, kw_only=True):
    """The staff member has another e-mail address, or none."""

    old: Personal[str | None]
    new: Personal[str | None]
    normalised_email: Personal[str | None]


class StaffMemberTeamChanged(Event, frozen=True, kw_only=True):
    """The staff member joined another team, or left its team."""

    old: UUID | None
    new: UUID | None


class StaffMemberExternalIdAdded(Event, frozen=True, kw_only=True):
    """It became known what another system calls this staff member."""

    external_id: Personal[ExternalId]


class StaffMemberRoleGranted(Event, frozen=True, kw_only=True):
    """The staff member has a role more."""

    role: UUID


class StaffMemberRoleRevoked(Event, frozen=True, kw_only=True):
    """The staff member has a role less."""

    role: UUID


class StaffMemberDeactivated(Event, frozen=True, kw_only=True):
    """The staff member works here no more: nothing new is assigned to it."""


class StaffMemberReactivated(Event, frozen=True, kw_only=True):
    """The staff member works here again."""


StaffMemberEvent: TypeAlias = (
    StaffMemberRegistered
    | StaffMemberRenamed
    | StaffMemberEmailChanged
    | StaffMemberTeamChanged
    | StaffMemberExternalIdAdded
    | StaffMemberRoleGranted
    | StaffMemberRoleRevoked
    | StaffMemberDeactivated
    | StaffMemberReactivated
)


# Commands


class RegisterStaffMember(Command, frozen=True, kw_only=True):
    """Enter one of the company's people, so that records can be assigned to it."""

    name: Annotated[str, Doc("The full name."), NAME]
    email: Annotated[str | None, Doc("The e-mail address at work; no two active staff members share one."), EMAIL] = (
        None
    )
    normalised_email: Annotated[str | None, Filled()] = None
    team: Annotated[UUID | None, Doc("The team that it belongs to."), Id("team")] = None
    external_ids: ExternalIds = ()


class RenameStaffMember(Command, frozen=True, kw_only=True):
    """Change a staff member's name."""

    name: Annotated[str, Doc("The new name."), NAME]


class ChangeStaffMemberEmail(Command, frozen=True, kw_only=True):
    """Change a staff member's e-mail address, or take it away."""

    email: Annotated[str | None, Doc("The new e-mail address; null for none."), EMAIL]
    normalised_email: Annotated[str | None, Filled()] = None


class JoinTeam(Command, frozen=True, kw_only=True):
    """Let a staff member join a team, in place of its former one, or leave its team."""

    team: Annotated[UUID | None, Doc("The team to join; null to leave."), Id("team")]


class AddStaffMemberExternalId(Command, frozen=True, kw_only=True):
    """Record what another system calls this staff member. No two staff members share an external id."""

    source: Source
    external_id: IdThere


class GrantRole(Command, frozen=True, kw_only=True):
    """Grant a staff member a role, beside those that it has: of several the most permissive wins."""

    role: Annotated[UUID, Doc("An active role."), Id("role")]


class RevokeRole(Command, frozen=True, kw_only=True):
    """Take a role from a staff member."""

    role: Annotated[UUID, Doc("The role to take away."), Id("role")]


class DeactivateStaffMember(Command, frozen=True, kw_only=True):
    """Say that a staff member works here no more: it may do nothing any more. What it owns stays with it until it is
    reassigned.
    """


class ReactivateStaffMember(Command, frozen=True, kw_only=True):
    """Say that a staff member works here again, with the roles that it has."""


StaffMemberCommand: TypeAlias = (
    RegisterStaffMember
    | RenameStaffMember
    | ChangeStaffMemberEmail
    | JoinTeam
    | AddStaffMemberExternalId
    | GrantRole
    | RevokeRole
    | DeactivateStaffMember
    | ReactivateStaffMember
)


# Rules


class StaffMemberIsDeactivated(Rule):
    """This staff member is deactivated; reactivate it before changing it."""


class StaffEmailTaken(Rule):
    """Another active staff member has this e-mail address; use that one, or change the address there first."""


class StaffExternalIdTaken(Rule):
    """Another staff member has this external id; use that one."""


class RoleNotActive(Rule):
    """This role is retired; restore it, or grant another one."""


class StaffMember(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    registered: bool = False
    active: bool = False
    name: str | Withheld | None = None
    email: str | Withheld | None = None
    normalised_email: str | Withheld | None = None
    team: UUID | None = None
    external_ids: frozenset[ExternalId] = frozenset()
    roles: frozenset[UUID] = frozenset()


def decide(state: StaffMember, command: StaffMemberCommand, known: Known) -> list[StaffMemberEvent]:
    """What follows from a command. A request already met yields nothing."""
    while_away = DeactivateStaffMember | ReactivateStaffMember | RevokeRole
    if state.registered and not state.active and not isinstance(command, while_away):
        refuse(StaffMemberIsDeactivated())
    match command:
        case RegisterStaffMember():
            return [] if state.registered else [_registered(command, known)]
        case RenameStaffMember(name=name):
            return [] if name == state.name or state.name is None else [StaffMemberRenamed(old=state.name, new=name)]
        case ChangeStaffMemberEmail(email=new, normalised_email=normalised):
            changed = StaffMemberEmailChanged(old=state.email, new=new, normalised_email=_normalised(new, normalised))
            return [] if new == state.email else [changed]
        case JoinTeam(team=team):
            if team == state.team:
                return []
            require(unless_active(known, team, TeamNotActive(path=("team",))))
            return [StaffMemberTeamChanged(old=state.team, new=team)]
        case AddStaffMemberExternalId(source=source, external_id=external_id):
            added = ExternalId(source=source, id=external_id)
            if added in state.external_ids:
                return []
            require(one_too_many(state.external_ids, MOST_EXTERNAL_IDS, ("external_id",)))
            return [StaffMemberExternalIdAdded(external_id=added)]
        case GrantRole(role=role):
            if role in state.roles:
                return []
            require(
                unless_active(known, role, RoleNotActive(path=("role",))),
                one_too_many(state.roles, MOST_ROLES, ("role",)),
            )
            return [StaffMemberRoleGranted(role=role)]
        case RevokeRole(role=role):
            return [StaffMemberRoleRevoked(role=role)] if role in state.roles else []
        case DeactivateStaffMember():
            return [StaffMemberDeactivated()] if state.active else []
        case ReactivateStaffMember():
            return [] if state.active else [StaffMemberReactivated()]
        case _:
            assert_never(command)


def _registered(command: RegisterStaffMember, known: Known) -> StaffMemberRegistered:
    require(unless_active(known, command.team, TeamNotActive(path=("team",))))
    return StaffMemberRegistered(
        name=command.name,
        email=command.email,
        normalised_email=_normalised(command.email, command.normalised_email),
        team=command.team,
        external_ids=tuple(dict.fromkeys(command.external_ids)),
    )


def _normalised(email: str | None, normalised: str | None) -> str | None:
    return normalised or (email.casefold() if email else None)


def evolve(state: StaffMember, event: StaffMemberEvent) -> StaffMember:
    """What the staff member is after an event."""
    match event:
        case StaffMemberTeamChanged(new=team):
            return replace(state, team=team)
        case StaffMemberRenamed(new=name):
            return replace(state, name=name)
        case StaffMemberEmailChanged(new=email, normalised_email=normalised):
            return replace(state, email=email, normalised_email=normalised)
        case StaffMemberExternalIdAdded(external_id=added):
            return state if isinstance(added, Withheld) else replace(state, external_ids=state.external_ids | {added})
        case StaffMemberRoleGranted(role=role):
            return replace(state, roles=state.roles | {role})
        case StaffMemberRoleRevoked(role=role):
            return replace(state, roles=state.roles - {role})
        case StaffMemberDeactivated():
            return replace(state, active=False)
        case StaffMemberReactivated():
            return replace(state, active=True)
        case StaffMemberRegistered():
            return StaffMember(
                registered=True,
                active=True,
                name=event.name,
                email=event.email,
                normalised_email=event.normalised_email,
                team=event.team,
                external_ids=frozenset(opened(event.external_ids) or ()),
            )
        case _:
            assert_never(event)


def claims(state: StaffMember) -> frozenset[Claim]:
    """The e-mail address of an active staff member, and the external ids of every one."""
    held = {one.claim("staff_external_id") for one in state.external_ids}
    email = opened(state.normalised_email)
    if state.active and email is not None:
        held.add(Claim("staff_email", email))
    return frozenset(held)


def taken(command: StaffMemberCommand, claim: Claim) -> Rule:
    """The rule against a claim that another staff member holds, with the path of the value that makes it."""
    if claim.scope == "staff_email":
        return StaffEmailTaken(path=() if isinstance(command, ReactivateStaffMember) else ("email",))
    return StaffExternalIdTaken(path=path_of_claim(command, claim))


staff_member: Decider[StaffMember, StaffMemberCommand, StaffMemberEvent] = Decider(
    kind="staff_member",
    prefix="stf",
    initial=StaffMember(),
    decide=decide,
    evolve=evolve,
    commands={
        "register": RegisterStaffMember,
        "rename": RenameStaffMember,
        "changeEmail": ChangeStaffMemberEmail,
        "joinTeam": JoinTeam,
        "addExternalId": AddStaffMemberExternalId,
        "grantRole": GrantRole,
        "revokeRole": RevokeRole,
        "deactivate": DeactivateStaffMember,
        "reactivate": ReactivateStaffMember,
    },
    creates=frozenset({RegisterStaffMember}),
    # Who comes in by the identity provider is known by the address; who is reactivated has the former roles again.
    reasoned=frozenset({GrantRole, RevokeRole, ChangeStaffMemberEmail, ReactivateStaffMember}),
    events={
        "StaffMemberRegistered": StaffMemberRegistered,
        "StaffMemberRenamed": StaffMemberRenamed,
        "StaffMemberEmailChanged": StaffMemberEmailChanged,
        "StaffMemberTeamChanged": StaffMemberTeamChanged,
        "StaffMemberExternalIdAdded": StaffMemberExternalIdAdded,
        "StaffMemberRoleGranted": StaffMemberRoleGranted,
        "StaffMemberRoleRevoked": StaffMemberRoleRevoked,
        "StaffMemberDeactivated": StaffMemberDeactivated,
        "StaffMemberReactivated": StaffMemberReactivated,
    },
    standing=lambda state: Standing(kind="staff_member", active=state.active, team=state.team),
    claims=claims,
    taken=taken,
)
