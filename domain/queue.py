"""Queue: where tickets wait for somebody to take them. Created, then active; archived and restored."""

from collections.abc import Iterator
from typing import Annotated, TypeAlias, assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.kernel import NAME, Command, Decider, Doc, Event, Id, Known, Rule, Standing, State, refuse, require

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


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


class Queue(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    created: bool = False
    archived: bool = False
    name: str = ""
    team: UUID | None = None


def decide(was: Queue, command: QueueCommand, known: Known) -> list[QueueEvent]:
    """What follows from a command. A request already met yields nothing."""
    if was.archived and not isinstance(command, ArchiveQueue | RestoreQueue):
        refuse(QueueIsArchived())
    match command:
        case CreateQueue(name=name, team=team):
            require(_team_faults(team, known))
            return [] if was.created else [QueueCreated(name=name, team=team)]
        case RenameQueue(name=name):
            return [] if name == was.name else [QueueRenamed(old=was.name, new=name)]
        case AssignQueueTeam(team=team):
            require(_team_faults(team, known))
            return [] if team == was.team else [QueueTeamAssigned(old=was.team, new=team)]
        case ArchiveQueue():
            return [] if was.archived else [QueueArchived()]
        case RestoreQueue():
            return [QueueRestored()] if was.archived else []
        case _:
            assert_never(command)


def _team_faults(team: UUID | None, known: Known) -> Iterator[Rule]:
    if team is not None and not known.of(team).active:
        yield TeamNotActive(path=("team",))


def evolve(was: Queue, event: QueueEvent) -> Queue:
    """What the queue is after an event."""
    match event:
        case QueueRenamed(new=name):
            return replace(was, name=name)
        case QueueTeamAssigned(new=team):
            return replace(was, team=team)
        case QueueArchived():
            return replace(was, archived=True)
        case QueueRestored():
            return replace(was, archived=False)
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
    standing=lambda was: Standing(kind="queue", active=was.created and not was.archived),
)
