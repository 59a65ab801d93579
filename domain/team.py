"""Team: some of the company's people, who look after records together. Created, then active; archived and restored."""

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
    Id,
    Items,
    Known,
    Path,
    Personal,
    Rule,
    Standing,
    State,
    Withheld,
    opened,
    refuse,
    require,
)
from domain.kernel.fields import TooManyItems, ValueMalformed

MOST_EXTERNAL_IDS = 20


class TeamExternalId(msgspec.Struct, frozen=True, kw_only=True):
    """What another system calls this team."""

    source: Annotated[str, Doc("The other system's name, without a colon, e.g. `erp`."), LABEL]
    id: Annotated[str, Doc("The id there, letter for letter."), NAME]


# Events


class TeamCreated(Event, frozen=True, kw_only=True):
    """A team came together. Its external ids are sealed: other systems know teams by their leader's name."""

    name: str
    parent: UUID | None
    lead: UUID | None
    external_ids: Personal[tuple[TeamExternalId, ...]]


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

    external_id: Personal[TeamExternalId]


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
    external_ids: Annotated[
        tuple[TeamExternalId, ...], Doc("What other systems call it."), Items(MOST_EXTERNAL_IDS)
    ] = ()


class RenameTeam(Command, frozen=True, kw_only=True):
    """Change a team's name."""

    name: Annotated[str, Doc("The new name."), NAME]


class AssignTeamLead(Command, frozen=True, kw_only=True):
    """Let a staff member lead the team, or nobody."""

    lead: Annotated[UUID | None, Doc("An active staff member; null for nobody."), Id("staff_member")]


class AddTeamExternalId(Command, frozen=True, kw_only=True):
    """Record what another system calls this team. No two teams share an external id."""

    source: Annotated[str, Doc("The other system's name, without a colon, e.g. `erp`."), LABEL]
    external_id: Annotated[str, Doc("The id there, letter for letter."), NAME]


class ArchiveTeam(Command, frozen=True, kw_only=True):
    """Put a team away. What it looks after stays with it until it is reassigned."""


class RestoreTeam(Command, frozen=True, kw_only=True):
    """Make an archived team active again."""


TeamCommand: TypeAlias = CreateTeam | RenameTeam | AssignTeamLead | AddTeamExternalId | ArchiveTeam | RestoreTeam


# Rules


class TeamIsArchived(Rule):
    """This team is archived; restore it before changing it."""


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


class StaffNotActive(Rule):
    """This staff member is not active; name one who is."""


class TeamExternalIdTaken(Rule):
    """Another team has this external id; use that one."""


class Team(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    created: bool = False
    archived: bool = False
    name: str = ""
    parent: UUID | None = None
    lead: UUID | None = None
    external_ids: frozenset[TeamExternalId] = frozenset()


def decide(was: Team, command: TeamCommand, known: Known) -> list[TeamEvent]:
    """What follows from a command. A request already met yields nothing."""
    if was.archived and not isinstance(command, ArchiveTeam | RestoreTeam):
        refuse(TeamIsArchived())
    match command:
        case CreateTeam():
            return [] if was.created else [_created(command, known)]
        case RenameTeam(name=name):
            return [] if name == was.name else [TeamRenamed(old=was.name, new=name)]
        case AssignTeamLead(lead=lead):
            require(_lead_faults(lead, known))
            return [] if lead == was.lead else [TeamLeadAssigned(old=was.lead, new=lead)]
        case AddTeamExternalId(source=source, external_id=external_id):
            return _external_id_added(was, TeamExternalId(source=source, id=external_id))
        case ArchiveTeam():
            return [] if was.archived else [TeamArchived()]
        case RestoreTeam():
            return [TeamRestored()] if was.archived else []
        case _:
            assert_never(command)


def _created(command: CreateTeam, known: Known) -> TeamCreated:
    parent = command.parent
    require(
        None if parent is None or known.of(parent).active else TeamNotActive(path=("parent",)),
        _lead_faults(command.lead, known),
        (
            fault
            for at, one in enumerate(command.external_ids)
            if (fault := _source_fault(one.source, ("external_ids", at, "source")))
        ),
    )
    external_ids = tuple(dict.fromkeys(command.external_ids))
    return TeamCreated(name=command.name, parent=parent, lead=command.lead, external_ids=external_ids)


def _lead_faults(lead: UUID | None, known: Known) -> Iterator[Rule]:
    if lead is not None and not known.of(lead).active:
        yield StaffNotActive(path=("lead",))


def _external_id_added(was: Team, external_id: TeamExternalId) -> list[TeamEvent]:
    if external_id in was.external_ids:
        return []
    full = len(was.external_ids) >= MOST_EXTERNAL_IDS
    require(
        _source_fault(external_id.source, ("source",)),
        TooManyItems(path=("external_id",), count=MOST_EXTERNAL_IDS + 1, most=MOST_EXTERNAL_IDS) if full else None,
    )
    return [TeamExternalIdAdded(external_id=external_id)]


def _source_fault(source: str, path: Path) -> Rule | None:
    """A claim is written `source:id`; a colon in the source would let two ids meet in one claim."""
    return ValueMalformed(path=path, expected="a system's name without a colon") if ":" in source else None


def evolve(was: Team, event: TeamEvent) -> Team:
    """What the team is after an event."""
    match event:
        case TeamRenamed(new=name):
            return replace(was, name=name)
        case TeamLeadAssigned(new=lead):
            return replace(was, lead=lead)
        case TeamExternalIdAdded(external_id=added):
            return was if isinstance(added, Withheld) else replace(was, external_ids=was.external_ids | {added})
        case TeamArchived():
            return replace(was, archived=True)
        case TeamRestored():
            return replace(was, archived=False)
        case TeamCreated(name=name, parent=parent, lead=lead):
            external_ids = frozenset(opened(event.external_ids) or ())
            return Team(created=True, name=name, parent=parent, lead=lead, external_ids=external_ids)
        case _:
            assert_never(event)


def claims(was: Team) -> frozenset[Claim]:
    """The external ids of every team, archived or not."""
    return frozenset(Claim("team_external_id", f"{one.source}:{one.id}") for one in was.external_ids)


def taken(command: TeamCommand, claim: Claim) -> Rule:
    """The rule against an external id that another team has, with the path of the value."""
    if not isinstance(command, CreateTeam):
        return TeamExternalIdTaken(path=("external_id",))
    at = [f"{one.source}:{one.id}" for one in command.external_ids].index(claim.value)
    return TeamExternalIdTaken(path=("external_ids", at, "id"))


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
    standing=lambda was: Standing(kind="team", active=was.created and not was.archived, parent=was.parent),
    claims=claims,
    taken=taken,
)
