"""Team: some of the company's people, who look after records together. Created, then active; archived and restored."""

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
    Id,
    IdThere,
    Known,
    Personal,
    Rule,
    Source,
    StaffNotActive,
    Standing,
    State,
    TeamNotActive,
    Withheld,
    one_too_many,
    opened,
    path_of_claim,
    refuse,
    require,
    unless_active,
)

# Events


class TeamCreated(Event, frozen=True, kw_only=True):
    """A team came together. Its external ids are sealed: other systems know teams by their leader's name."""

    name: str
    parent: UUID | None
    lead: UUID | None
    external_ids: Personal[tuple[ExternalId, ...]]


class TeamRenamed(Event, frozen=True, kw_only=True):
    """The team has another name."""

    old: str
    new: str


class TeamLeadAssigned(Event, frozen=True, kw_only=True):
    """Somebody else leads the team, or nobody."""

    old: UUID | None
    new: UUID | None


class TeamExternalIdAdded(Event, frozen=True, kw_only=True):
    """It became known what another system calls this team."""

    external_id: Personal[ExternalId]


class TeamArchived(Event, frozen=True, kw_only=True):
    """The team is no more: nothing new is assigned to it."""


class TeamRestored(Event, frozen=True, kw_only=True):
    """The archived team is active again."""


TeamEvent: TypeAlias = TeamCreated | TeamRenamed | TeamLeadAssigned | TeamExternalIdAdded | TeamArchived | TeamRestored


# Commands


class CreateTeam(Command, frozen=True, kw_only=True):
    """Create a team, so that people can join it and records can be assigned to it."""

    name: Annotated[str, Doc("The team's name."), NAME]
    parent: Annotated[UUID | None, Doc("The team that it is a part of."), Id("team")] = None
    lead: Annotated[UUID | None, Doc("The staff member who leads it."), Id("staff_member")] = None
    external_ids: ExternalIds = ()


class RenameTeam(Command, frozen=True, kw_only=True):
    """Change a team's name."""

    name: Annotated[str, Doc("The new name."), NAME]


class AssignTeamLead(Command, frozen=True, kw_only=True):
    """Let a staff member lead the team, or nobody."""

    lead: Annotated[UUID | None, Doc("An active staff member; null for nobody."), Id("staff_member")]


class AddTeamExternalId(Command, frozen=True, kw_only=True):
    """Record what another system calls this team. No two teams share an external id."""

    source: Source
    external_id: IdThere


class ArchiveTeam(Command, frozen=True, kw_only=True):
    """Put a team away. What it looks after stays with it until it is reassigned."""


class RestoreTeam(Command, frozen=True, kw_only=True):
    """Make an archived team active again."""


TeamCommand: TypeAlias = CreateTeam | RenameTeam | AssignTeamLead | AddTeamExternalId | ArchiveTeam | RestoreTeam


# Rules


class TeamIsArchived(Rule):
    """This team is archived; restore it before changing it."""


class TeamExternalIdTaken(Rule):
    """Another team has this external id; use that one."""


class Team(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    created: bool = False
    archived: bool = False
    name: str = ""
    parent: UUID | None = None
    lead: UUID | None = None
    external_ids: frozenset[ExternalId] = frozenset()


def decide(state: Team, command: TeamCommand, known: Known) -> list[TeamEvent]:
    """What follows from a command. A request already met yields nothing."""
    if state.archived and not isinstance(command, ArchiveTeam | RestoreTeam):
        refuse(TeamIsArchived())
    match command:
        case CreateTeam():
            return [] if state.created else [_created(command, known)]
        case RenameTeam(name=name):
            return [] if name == state.name else [TeamRenamed(old=state.name, new=name)]
        case AssignTeamLead(lead=lead):
            if lead == state.lead:
                return []
            require(unless_active(known, lead, StaffNotActive(path=("lead",))))
            return [TeamLeadAssigned(old=state.lead, new=lead)]
        case AddTeamExternalId(source=source, external_id=external_id):
            added = ExternalId(source=source, id=external_id)
            if added in state.external_ids:
                return []
            require(one_too_many(state.external_ids, MOST_EXTERNAL_IDS, ("external_id",)))
            return [TeamExternalIdAdded(external_id=added)]
        case ArchiveTeam():
            return [] if state.archived else [TeamArchived()]
        case RestoreTeam():
            return [TeamRestored()] if state.archived else []
        case _:
            assert_never(command)


def _created(command: CreateTeam, known: Known) -> TeamCreated:
    require(
        unless_active(known, command.parent, TeamNotActive(path=("parent",))),
        unless_active(known, command.lead, StaffNotActive(path=("lead",))),
    )
    external_ids = tuple(dict.fromkeys(command.external_ids))
    return TeamCreated(name=command.name, parent=command.parent, lead=command.lead, external_ids=external_ids)


def evolve(state: Team, event: TeamEvent) -> Team:
    """What the team is after an event."""
    match event:
        case TeamRenamed(new=name):
            return replace(state, name=name)
        case TeamLeadAssigned(new=lead):
            return replace(state, lead=lead)
        case TeamExternalIdAdded(external_id=added):
            return state if isinstance(added, Withheld) else replace(state, external_ids=state.external_ids | {added})
        case TeamArchived():
            return replace(state, archived=True)
        case TeamRestored():
            return replace(state, archived=False)
        case TeamCreated(name=name, parent=parent, lead=lead):
            external_ids = frozenset(opened(event.external_ids) or ())
            return Team(created=True, name=name, parent=parent, lead=lead, external_ids=external_ids)
        case _:
            assert_never(event)


def claims(state: Team) -> frozenset[Claim]:
    """The external ids of every team, archived or not."""
    return frozenset(one.claim("team_external_id") for one in state.external_ids)


def taken(command: TeamCommand, claim: Claim) -> Rule:
    """The rule against an external id that another team has, with the path of the value."""
    return TeamExternalIdTaken(path=path_of_claim(command, claim))


team: Decider[Team, TeamCommand, TeamEvent] = Decider(
    kind="team",
    prefix="tem",
    initial=Team(),
    decide=decide,
    evolve=evolve,
    commands={
        "create": CreateTeam,
        "rename": RenameTeam,
        "assignLead": AssignTeamLead,
        "addExternalId": AddTeamExternalId,
        "archive": ArchiveTeam,
        "restore": RestoreTeam,
    },
    creates=frozenset({CreateTeam}),
    events={
        "TeamCreated": TeamCreated,
        "TeamRenamed": TeamRenamed,
        "TeamLeadAssigned": TeamLeadAssigned,
        "TeamExternalIdAdded": TeamExternalIdAdded,
        "TeamArchived": TeamArchived,
        "TeamRestored": TeamRestored,
    },
    standing=lambda state: Standing(kind="team", active=state.created and not state.archived, parent=state.parent),
    claims=claims,
    taken=taken,
)
