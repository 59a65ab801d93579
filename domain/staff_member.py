"""Staff member: one of the company's people, who owns records and works on them.

Registered, then active until deactivated; a deactivated one refuses everything but being reactivated, and its e-mail
address is free for another. Its external ids stay its own, so that an import finds it again.
"""

from collections.abc import Iterator
from typing import Annotated, TypeAlias, assert_never
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.kernel import (
    LABEL,
    NAME,
    Claim,
    Command,
    Decider,
    Doc,
    Event,
    Filled,
    Id,
    Items,
    Known,
    Path,
    Personal,
    Rule,
    Standing,
    State,
    Text,
    Withheld,
    opened,
    refuse,
    require,
)
from domain.kernel.fields import TooManyItems, ValueMalformed

EMAIL, MOST_EXTERNAL_IDS = Text(320), 20


class StaffMemberExternalId(msgspec.Struct, frozen=True, kw_only=True):
    """What another system calls this staff member."""

    source: Annotated[str, Doc("The other system's name, without a colon, e.g. `erp`."), LABEL]
    id: Annotated[str, Doc("The id there, letter for letter."), NAME]


# Events


class StaffMemberRegistered(Event, frozen=True, kw_only=True):
    """Somebody joined the company's people."""

    name: Personal[str]
    email: Personal[str | None]
    normalised_email: Personal[str | None]
    team: UUID | None
    external_ids: Personal[tuple[StaffMemberExternalId, ...]]


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

    external_id: Personal[StaffMemberExternalId]


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
    external_ids: Annotated[
        tuple[StaffMemberExternalId, ...], Doc("What other systems call it."), Items(MOST_EXTERNAL_IDS)
    ] = ()


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

    source: Annotated[str, Doc("The other system's name, without a colon, e.g. `erp`."), LABEL]
    external_id: Annotated[str, Doc("The id there, letter for letter."), NAME]


class DeactivateStaffMember(Command, frozen=True, kw_only=True):
    """Say that a staff member works here no more. What it owns stays with it until it is reassigned."""


class ReactivateStaffMember(Command, frozen=True, kw_only=True):
    """Say that a staff member works here again."""


StaffMemberCommand: TypeAlias = (
    RegisterStaffMember
    | RenameStaffMember
    | ChangeStaffMemberEmail
    | JoinTeam
    | AddStaffMemberExternalId
    | DeactivateStaffMember
    | ReactivateStaffMember
)


# Rules


class StaffMemberIsDeactivated(Rule):
    """This staff member is deactivated; reactivate it before changing it."""


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


class StaffEmailTaken(Rule):
    """Another active staff member has this e-mail address; use that one, or change the address there first."""


class StaffExternalIdTaken(Rule):
    """Another staff member has this external id; use that one."""


class StaffMember(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    registered: bool = False
    active: bool = False
    name: str | Withheld | None = None
    email: str | Withheld | None = None
    normalised_email: str | Withheld | None = None
    team: UUID | None = None
    external_ids: frozenset[StaffMemberExternalId] = frozenset()


def decide(was: StaffMember, command: StaffMemberCommand, known: Known) -> list[StaffMemberEvent]:
    """What follows from a command. A request already met yields nothing."""
    if was.registered and not was.active and not isinstance(command, DeactivateStaffMember | ReactivateStaffMember):
        refuse(StaffMemberIsDeactivated())
    match command:
        case RegisterStaffMember():
            return [] if was.registered else [_registered(command, known)]
        case RenameStaffMember(name=name):
            return [] if name == was.name or was.name is None else [StaffMemberRenamed(old=was.name, new=name)]
        case ChangeStaffMemberEmail(email=new, normalised_email=normalised):
            changed = StaffMemberEmailChanged(old=was.email, new=new, normalised_email=_normalised(new, normalised))
            return [] if new == was.email else [changed]
        case JoinTeam(team=team):
            require(_team_faults(team, known))
            return [] if team == was.team else [StaffMemberTeamChanged(old=was.team, new=team)]
        case AddStaffMemberExternalId(source=source, external_id=external_id):
            return _external_id_added(was, StaffMemberExternalId(source=source, id=external_id))
        case DeactivateStaffMember():
            return [StaffMemberDeactivated()] if was.active else []
        case ReactivateStaffMember():
            return [] if was.active else [StaffMemberReactivated()]
        case _:
            assert_never(command)


def _registered(command: RegisterStaffMember, known: Known) -> StaffMemberRegistered:
    require(
        _team_faults(command.team, known),
        (
            fault
            for at, one in enumerate(command.external_ids)
            if (fault := _source_fault(one.source, ("external_ids", at, "source")))
        ),
    )
    return StaffMemberRegistered(
        name=command.name,
        email=command.email,
        normalised_email=_normalised(command.email, command.normalised_email),
        team=command.team,
        external_ids=tuple(dict.fromkeys(command.external_ids)),
    )


def _normalised(email: str | None, normalised: str | None) -> str | None:
    return normalised or (email.casefold() if email else None)


def _team_faults(team: UUID | None, known: Known) -> Iterator[Rule]:
    if team is not None and not known.of(team).active:
        yield TeamNotActive(path=("team",))


def _external_id_added(was: StaffMember, external_id: StaffMemberExternalId) -> list[StaffMemberEvent]:
    if external_id in was.external_ids:
        return []
    full = len(was.external_ids) >= MOST_EXTERNAL_IDS
    require(
        _source_fault(external_id.source, ("source",)),
        TooManyItems(path=("external_id",), count=MOST_EXTERNAL_IDS + 1, most=MOST_EXTERNAL_IDS) if full else None,
    )
    return [StaffMemberExternalIdAdded(external_id=external_id)]


def _source_fault(source: str, path: Path) -> Rule | None:
    """A claim is written `source:id`; a colon in the source would let two ids meet in one claim."""
    return ValueMalformed(path=path, expected="a system's name without a colon") if ":" in source else None


def evolve(was: StaffMember, event: StaffMemberEvent) -> StaffMember:
    """What the staff member is after an event."""
    match event:
        case StaffMemberTeamChanged(new=team):
            return replace(was, team=team)
        case StaffMemberRenamed(new=name):
            return replace(was, name=name)
        case StaffMemberEmailChanged(new=email, normalised_email=normalised):
            return replace(was, email=email, normalised_email=normalised)
        case StaffMemberExternalIdAdded(external_id=added):
            return was if isinstance(added, Withheld) else replace(was, external_ids=was.external_ids | {added})
        case StaffMemberDeactivated():
            return replace(was, active=False)
        case StaffMemberReactivated():
            return replace(was, active=True)
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


def claims(was: StaffMember) -> frozenset[Claim]:
    """The e-mail address of an active staff member, and the external ids of every one."""
    held = {Claim("staff_external_id", f"{one.source}:{one.id}") for one in was.external_ids}
    email = opened(was.normalised_email)
    if was.active and email is not None:
        held.add(Claim("staff_email", email))
    return frozenset(held)


def taken(command: StaffMemberCommand, claim: Claim) -> Rule:
    """The rule against a claim that another staff member holds, with the path of the value that makes it."""
    if claim.scope == "staff_email":
        return StaffEmailTaken(path=() if isinstance(command, ReactivateStaffMember) else ("email",))
    if not isinstance(command, RegisterStaffMember):
        return StaffExternalIdTaken(path=("external_id",))
    at = [f"{one.source}:{one.id}" for one in command.external_ids].index(claim.value)
    return StaffExternalIdTaken(path=("external_ids", at, "id"))


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
        "deactivate": DeactivateStaffMember,
        "reactivate": ReactivateStaffMember,
    },
    creates=frozenset({RegisterStaffMember}),
    events={
        "StaffMemberRegistered": StaffMemberRegistered,
        "StaffMemberRenamed": StaffMemberRenamed,
        "StaffMemberEmailChanged": StaffMemberEmailChanged,
        "StaffMemberTeamChanged": StaffMemberTeamChanged,
        "StaffMemberExternalIdAdded": StaffMemberExternalIdAdded,
        "StaffMemberDeactivated": StaffMemberDeactivated,
        "StaffMemberReactivated": StaffMemberReactivated,
    },
    standing=lambda was: Standing(kind="staff_member", active=was.active),
    claims=claims,
    taken=taken,
)
