"""The words every aggregate shares: command, event, state, decider, and what the door hands to a decision."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, NamedTuple, Self, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UnsetType

from domain.kernel.identifiers import COMPANY_ID
from domain.kernel.rules import Path, Rule


class Word(StrEnum):
    """An enum whose members say what they mean: `LOW = "low", "Can wait a week."`"""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        word = str.__new__(cls, value)
        word._value_ = value
        word.meaning = meaning
        return word


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks of one aggregate. Values are plain and normalised: `admission` made it."""

    id: UUID


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact, in the past tense. Its stored name stands in its decider's `events` and never changes."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a decider remembers: only what its rules need; screens read projections."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a record stands: who looks after it."""

    owner: UUID | None = None
    """Of a customer or a deal; of a ticket, the assignee."""
    team: UUID | None = None
    """Of a ticket, the team that it was escalated to."""
    queue: UUID | None = None


class PipelineStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a pipeline as opportunities see it."""

    id: UUID
    name: str
    probability: Decimal
    """Per cent, 0 to 100."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What other aggregates may know of one: plain data, handed over by the door."""

    kind: str
    active: bool = True
    variety: str = ""
    parent: UUID | None = None
    stages: tuple[PipelineStage, ...] = ()
    currency: str | None = None
    zone: str = "UTC"
    place: Place = Place()
    """Who looks after it: what permissions ask."""
    team: UUID | None = None
    """The team that a staff member is in."""


class Reference(NamedTuple):
    """Another aggregate that a decision has to know. Its version joins the read set that the append checks."""

    kind: str
    id: UUID
    path: Path
    optional: bool = False
    """True: not existing is an answer, not an error."""


class Claim(NamedTuple):
    """What one aggregate at a time may hold, such as a person's e-mail. Kept as a blind index, never in plain text."""

    scope: str
    value: str
    shared: bool = False
    """True: taken knowingly beside another holder; it occupies an extra slot."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the door hands to a decision besides state and command."""

    now: datetime
    standings: Mapping[UUID, Standing] = {}
    number: int | None = None
    """The next human-friendly number, drawn for the decider's `numbered` commands."""
    actor: str = ""
    """Who asks, as entries name it: for what takes two."""
    on_behalf: bool = False
    """Whether it is asked on behalf of somebody else."""

    def of(self, id: UUID) -> Standing:
        """The standing of an aggregate that the command or `consults` named."""
        return self.standings[id]

    @property
    def today(self) -> date:
        """The date in the company's time zone, where the company was consulted; else in UTC."""
        company = self.standings.get(COMPANY_ID)
        return self.now.astimezone(ZoneInfo(company.zone) if company else UTC).date()


S = TypeVar("S", bound=State)
C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=Event)
T = TypeVar("T")


def updated(old: T, new: T | UnsetType) -> T:
    """The new value, or the old one where the command leaves it out."""
    return old if isinstance(new, UnsetType) else new


def _nobody(_state: State) -> UUID | None:
    return None


def _nothing_more(_state: State, _command: Command, _known: Known) -> Iterable[Reference]:
    return ()


def _keeps(_state: State, _command: Command) -> None:
    return None


def _no_claims(_state: State) -> frozenset[Claim]:
    return frozenset()


def _no_rule(_command: Command, claim: Claim) -> Rule:
    raise LookupError(f"no rule speaks of claim {claim.scope}")


class Decider(msgspec.Struct, Generic[S, C, E], frozen=True, kw_only=True):
    """One aggregate's rules as plain functions.

    `decide` refuses by raising `Refused`, `evolve` never refuses: it happened. Before `decide` the door has checked
    that the aggregate exists (or, for the commands in `creates`, that it does not), that every reference exists and is
    of its kind, and that the version is the expected one.
    """

    kind: str
    """The aggregate's name, in lower case: also its GraphQL noun (`staff_member` -> `staffMember`)."""
    prefix: str
    """TypeID prefix of its ids."""
    initial: S
    decide: Callable[[S, C, Known], Sequence[E]]
    evolve: Callable[[S, E], S]
    commands: Mapping[str, type[C]]
    """Mutation verb -> command: {"rename": RenameCustomer} is `customerRename`. Never renamed: ids are made of it."""
    creates: frozenset[type[C]]
    """The commands that begin an aggregate."""
    events: Mapping[str, type[E]]
    """Stored name -> type: a closed registry. Add, never rename."""
    standing: Callable[[S], Standing]
    standing_from: frozenset[type[E]] | None = None
    """The only events that a standing depends on; None: all. To know others, the door folds nothing else of them."""
    folded_sealed: frozenset[type[E]] = frozenset()
    """Events of whose personal values a state keeps nothing: no fold has to open them."""
    overwrites: frozenset[type[E]] = frozenset()
    """Events that leave nothing of an earlier one of their type: of several, a fold needs only the last."""
    subject: Callable[[S], UUID | None] = _nobody
    """Whose key seals an event, asked of the state after that event; None: the record's own key."""
    concerns: Mapping[type[E], str] = {}
    """Events about somebody else than the record's subject -> the field with their id: their key seals these."""
    consults: Callable[[S, C, Known], Iterable[Reference]] = _nothing_more
    """References beyond the command's own ids; asked again until it names nothing new (a chain of parents)."""
    hands_on: Callable[[S, C], C | None] = _keeps
    """The command on another record, perhaps not begun yet, that is decided in place of this one; None: this one is."""
    claims: Callable[[S], frozenset[Claim]] = _no_claims
    """What this state holds of what must be unique."""
    taken: Callable[[C, Claim], Rule] = _no_rule
    """The rule that a command broke when somebody else holds the claim."""
    absent: type[Rule] | None = None
    """The rule broken by a command on what was never begun, where clients give no id; None: that its id is unknown."""
    numbered: frozenset[type[C]] = frozenset()
    reasoned: frozenset[type[C]] = frozenset()
    """The commands that the door refuses without a reason: those that change who may do what."""

    def sealed_for(self, record: UUID, state: S, event: E) -> UUID:
        """Whose key seals an event of a record; `state`: of the record, after that event."""
        concerned = self.concerns.get(type(event))
        other: UUID | None = self.subject(state) if concerned is None else getattr(event, concerned)
        return other or record

    def fold(self, events: Iterable[E], state: S | None = None) -> S:
        state = self.initial if state is None else state
        for event in events:
            state = self.evolve(state, event)
        return state


class Seen(msgspec.Struct, frozen=True):
    """A growing set of ids that shares most of itself with its former selves.

    A frozenset would be copied whole at every addition: 10,000 notes, 50 million copies. Here a few ids wait in the
    order they came, and runs of doubling size merge like a binary counter: an addition copies log2(n) ids and half of
    those that wait on average, a look-up asks log2(n) runs.
    """

    runs: tuple[frozenset[int], ...] = ()
    """The ids as integers: a UUID is hashed and compared in Python, an integer is not."""
    waiting: tuple[int, ...] = ()
    """Ids that may be in a run too, for that is not looked at before they become one."""

    def __contains__(self, id: UUID) -> bool:
        return id.int in self.waiting or any(id.int in run for run in self.runs)

    def __len__(self) -> int:
        return sum(map(len, self.runs)) + len(self._in_no_run(self.waiting))

    def add(self, id: UUID) -> "Seen":
        waiting = (*self.waiting, id.int)
        if len(waiting) < _WAITING:
            return Seen(self.runs, waiting)
        run, runs = self._in_no_run(waiting), self.runs
        if not run:
            return Seen(runs)
        while runs and len(runs[-1]) <= len(run):
            run, runs = run | runs[-1], runs[:-1]
        return Seen((*runs, run))

    def _in_no_run(self, ids: Iterable[int]) -> frozenset[int]:
        return frozenset(ids).difference(*self.runs)


_WAITING = 32
"""How many ids make a run."""
