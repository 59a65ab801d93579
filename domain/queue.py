"""Queue: where tickets wait for somebody to take them. Created, then active; archived and restored."""

from typing import Annotated, TypeAlias, assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.kernel import (
    NAME,
    Command,
    Decider,
    Doc,
    Event,
    Id,
    Known,
    Rule,
    Standing,
    State,
    TeamNotActive,
    refuse,
    require,
    unless_active,
)

# Events


class QueueCreated(Event, frozen=True, kw_only=True):
    """A queue was opened for tickets."""

    name: str
    team: UUID | None


class QueueRenamed(Event, frozen=True, kw_only=True):
    """The queue has another name."""

    old: str
    new: str


class QueueTeamAssigned(Event, frozen=True, kw_only=True):
    """Another team works on the queue, or none."""

    old: UUID | None
    new: UUID | None


class QueueArchived(Event, frozen=True, kw_only=True):
    """The queue takes no more tickets."""


class QueueRestored(Event, frozen=True, kw_only=True):
    """The archived queue takes tickets again."""


QueueEvent: TypeAlias = QueueCreated | QueueRenamed | QueueTeamAssigned | QueueArchived | QueueRestored


# Commands


class CreateQueue(Command, frozen=True, kw_only=True):
    """Open a queue for tickets."""

    name: Annotated[str, Doc("The queue's name."), NAME]
    team: Annotated[UUID | None, Doc("The team that works on it."), Id("team")] = None


class RenameQueue(Command, frozen=True, kw_only=True):
    """Change a queue's name."""

    name: Annotated[str, Doc("The new name."), NAME]


class AssignQueueTeam(Command, frozen=True, kw_only=True):
    """Let a team work on the queue, or none."""

    team: Annotated[UUID | None, Doc("An active team; null for none."), Id("team")]


class ArchiveQueue(Command, frozen=True, kw_only=True):
    """Close a queue to new tickets. Tickets in it stay there until they are moved."""


class RestoreQueue(Command, frozen=True, kw_only=True):
    """Open an archived queue to tickets again."""


QueueCommand: TypeAlias = CreateQueue | RenameQueue | AssignQueueTeam | ArchiveQueue | RestoreQueue


# Rules


class QueueIsArchived(Rule):
    """This queue is archived; restore it before changing it."""


class Queue(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    created: bool = False
    archived: bool = False
    name: str = ""
    team: UUID | None = None


def decide(state: Queue, command: QueueCommand, known: Known) -> list[QueueEvent]:
    """What follows from a command. A request already met yields nothing."""
    if state.archived and not isinstance(command, ArchiveQueue | RestoreQueue):
        refuse(QueueIsArchived())
    match command:
        case CreateQueue(name=name, team=team):
            require(unless_active(known, team, TeamNotActive(path=("team",))))
            return [] if state.created else [QueueCreated(name=name, team=team)]
        case RenameQueue(name=name):
            return [] if name == state.name else [QueueRenamed(old=state.name, new=name)]
        case AssignQueueTeam(team=team):
            if team == state.team:
                return []
            require(unless_active(known, team, TeamNotActive(path=("team",))))
            return [QueueTeamAssigned(old=state.team, new=team)]
        case ArchiveQueue():
            return [] if state.archived else [QueueArchived()]
        case RestoreQueue():
            return [QueueRestored()] if state.archived else []
        case _:
            assert_never(command)


def evolve(state: Queue, event: QueueEvent) -> Queue:
    """What the queue is after an event."""
    match event:
        case QueueRenamed(new=name):
            return replace(state, name=name)
        case QueueTeamAssigned(new=team):
            return replace(state, team=team)
        case QueueArchived():
            return replace(state, archived=True)
        case QueueRestored():
            return replace(state, archived=False)
        case QueueCreated(name=name, team=team):
            return Queue(created=True, name=name, team=team)
        case _:
            assert_never(event)


queue: Decider[Queue, QueueCommand, QueueEvent] = Decider(
    kind="queue",
    prefix="que",
    initial=Queue(),
    decide=decide,
    evolve=evolve,
    commands={
        "create": CreateQueue,
        "rename": RenameQueue,
        "assignTeam": AssignQueueTeam,
        "archive": ArchiveQueue,
        "restore": RestoreQueue,
    },
    creates=frozenset({CreateQueue}),
    events={
        "QueueCreated": QueueCreated,
        "QueueRenamed": QueueRenamed,
        "QueueTeamAssigned": QueueTeamAssigned,
        "QueueArchived": QueueArchived,
        "QueueRestored": QueueRestored,
    },
    standing=lambda state: Standing(kind="queue", active=state.created and not state.archived),
)
