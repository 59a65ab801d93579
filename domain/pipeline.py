"""Pipeline: the stages that deals pass through, as the company defines them. Active, then archived; it can be restored.

The definition is versioned by its events. A retired stage takes no more deals; those that stand in it stay.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, TypeAlias, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from domain.kernel import (
    NAME,
    PERCENT,
    ChildId,
    Command,
    Currency,
    Decider,
    Derived,
    Doc,
    Event,
    Items,
    Known,
    Number,
    Path,
    PipelineStage,
    Rule,
    Standing,
    State,
    Word,
    broken,
    refuse,
    require,
    updated,
)

MOST_STAGES = 30
IDLE_DAYS = Number(Decimal(1), Decimal(3650))


class ForecastCategory(Word):
    """How a forecast counts the deals of a stage."""

    PIPELINE = "pipeline", "Counted in the pipeline only: too early to say."
    BEST_CASE = "best_case", "Won if all goes well."
    COMMIT = "commit", "Promised for the period."
    OMITTED = "omitted", "Left out of forecasts."


StageName: TypeAlias = Annotated[str, Doc("What people call the stage; unique within the pipeline."), NAME]
Probability: TypeAlias = Annotated[Decimal, Doc("How likely a deal here is won, in per cent."), PERCENT]
Category: TypeAlias = Annotated[ForecastCategory, Doc("How forecasts count the deals here.")]
IdleDays: TypeAlias = Annotated[
    int | None,
    Doc("Days without a touch after which a deal is rotten; null: never."),
    IDLE_DAYS,
]


class StageTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage is called and what it means for the deals in it."""

    name: str
    probability: Decimal
    """Per cent, 0 to 100."""
    category: ForecastCategory
    idle_days: int | None
    """After so many days without a touch a deal is rotten; None: never."""


class Stage(StageTerms, frozen=True, kw_only=True):
    """A stage of a pipeline: its id and its terms."""

    stage: UUID


class NewStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage to begin with."""

    stage: Annotated[UUID, Derived("stg")]
    name: StageName
    probability: Probability
    category: Category = ForecastCategory.PIPELINE
    idle_days: IdleDays = None


# Events


class PipelineDefined(Event, frozen=True, kw_only=True):
    """A pipeline was defined, with its first stages in their order."""

    name: str
    currency: str | None
    stages: tuple[Stage, ...]


class PipelineRenamed(Event, frozen=True, kw_only=True):
    """The pipeline has another name."""

    old: str
    new: str


class PipelineStageAdded(Event, frozen=True, kw_only=True):
    """The pipeline has one more stage. `order` is the order of the active stages now."""

    added: Stage
    order: tuple[UUID, ...]


class PipelineStageChanged(Event, frozen=True, kw_only=True):
    """A stage has another name, probability, forecast category or limit of idle days. Deals in it keep theirs."""

    stage: UUID
    old: StageTerms
    new: StageTerms


class PipelineStagesReordered(Event, frozen=True, kw_only=True):
    """The active stages stand in another order."""

    old: tuple[UUID, ...]
    new: tuple[UUID, ...]


class PipelineStageRetired(Event, frozen=True, kw_only=True):
    """A stage takes no more deals; those that stand in it stay. `order` is the order of the active stages now."""

    stage: UUID
    order: tuple[UUID, ...]


class PipelineArchived(Event, frozen=True, kw_only=True):
    """The pipeline takes no more deals; those that stand in it stay."""


class PipelineRestored(Event, frozen=True, kw_only=True):
    """The archived pipeline takes deals again."""


PipelineEvent: TypeAlias = (
    PipelineDefined
    | PipelineRenamed
    | PipelineStageAdded
    | PipelineStageChanged
    | PipelineStagesReordered
    | PipelineStageRetired
    | PipelineArchived
    | PipelineRestored
)

# Commands


class DefinePipeline(Command, frozen=True, kw_only=True):
    """Define a pipeline and the stages that its deals pass through."""

    name: Annotated[str, Doc("What people call the pipeline."), NAME]
    currency: Annotated[str | None, Doc("The currency of its deals where they name none."), Currency()] = None
    stages: Annotated[tuple[NewStage, ...], Doc("The stages, first to last."), Items(MOST_STAGES, least=1)]


class RenamePipeline(Command, frozen=True, kw_only=True):
    """Give the pipeline another name."""

    name: Annotated[str, Doc("The new name."), NAME]


class AddPipelineStage(Command, frozen=True, kw_only=True):
    """Add a stage to the pipeline."""

    stage: Annotated[UUID, Derived("stg")]
    name: StageName
    probability: Probability
    category: Category = ForecastCategory.PIPELINE
    idle_days: IdleDays = None
    before: Annotated[UUID | None, Doc("The stage it stands before; left out, it is the last."), ChildId("stg")] = None


class ChangePipelineStage(Command, frozen=True, kw_only=True):
    """Change a stage's terms; what is left out stays. Deals in the stage keep the probability they entered with."""

    stage: Annotated[UUID, Doc("The stage to change."), ChildId("stg")]
    name: Annotated[str | UnsetType, Doc("Its new name; unique within the pipeline."), NAME] = UNSET
    probability: Annotated[Decimal | UnsetType, Doc("How likely a deal here is won, in per cent."), PERCENT] = UNSET
    category: Annotated[ForecastCategory | UnsetType, Doc("How forecasts count the deals here.")] = UNSET
    idle_days: Annotated[
        int | UnsetType | None, Doc("Days without a touch after which a deal is rotten; null: never."), IDLE_DAYS
    ] = UNSET


class ReorderPipelineStages(Command, frozen=True, kw_only=True):
    """Put the active stages into another order."""

    stages: Annotated[
        tuple[UUID, ...], Doc("Every active stage once, first to last."), ChildId("stg"), Items(MOST_STAGES, least=1)
    ]


class RetirePipelineStage(Command, frozen=True, kw_only=True):
    """Close a stage to deals that are not in it yet; those that stand in it stay."""

    stage: Annotated[UUID, Doc("The stage to retire."), ChildId("stg")]


class ArchivePipeline(Command, frozen=True, kw_only=True):
    """Close the pipeline to deals that are not in it yet; those that stand in it stay."""


class RestorePipeline(Command, frozen=True, kw_only=True):
    """Open an archived pipeline to deals again."""


PipelineCommand: TypeAlias = (
    DefinePipeline
    | RenamePipeline
    | AddPipelineStage
    | ChangePipelineStage
    | ReorderPipelineStages
    | RetirePipelineStage
    | ArchivePipeline
    | RestorePipeline
)

# Rules


class PipelineIsArchived(Rule):
    """The pipeline is archived; restore it first."""


class StageNameTaken(Rule):
    """Another stage of this pipeline is called {name}; stage names are unique, whatever their case."""

    name: str


class StageUnknown(Rule):
    """The pipeline has no active stage with this id."""


class LastStage(Rule):
    """This is the pipeline's last active stage; add another one first, or archive the pipeline."""


class TooManyStages(Rule):
    """The pipeline already has {most} active stages, which is the most it may have; retire one first."""

    most: int


class StageOrderIncomplete(Rule):
    """The order must name every active stage of the pipeline exactly once."""


class Pipeline(State, frozen=True, kw_only=True):
    """What the rules need to know of a pipeline."""

    name: str = ""
    currency: str | None = None
    stages: tuple[Stage, ...] = ()
    """The active ones, in their order; none only before it was defined."""
    retired: tuple[Stage, ...] = ()
    active: bool = True

    @property
    def order(self) -> tuple[UUID, ...]:
        return tuple(each.stage for each in self.stages)

    def find(self, stage: UUID) -> Stage | None:
        """The stage of this id, active or retired."""
        return next((each for each in (*self.stages, *self.retired) if each.stage == stage), None)


def decide(state: Pipeline, command: PipelineCommand, _known: Known) -> Sequence[PipelineEvent]:
    match command:
        case DefinePipeline():
            return [] if state.stages else _define(command)
        case ArchivePipeline():
            return [PipelineArchived()] if state.active else []
        case RestorePipeline():
            return [] if state.active else [PipelineRestored()]
        case RenamePipeline():
            require(_archived(state))
            return [] if command.name == state.name else [PipelineRenamed(old=state.name, new=command.name)]
        case AddPipelineStage():
            return _add_stage(state, command)
        case ChangePipelineStage():
            return _change_stage(state, command)
        case ReorderPipelineStages():
            return _reorder(state, command)
        case RetirePipelineStage():
            return _retire(state, command)
        case _:
            assert_never(command)


def _archived(state: Pipeline) -> Rule | None:
    return None if state.active else PipelineIsArchived()


def _define(command: DefinePipeline) -> Sequence[PipelineEvent]:
    require(_repeated_names(command.stages))
    stages = tuple(_stage(new) for new in command.stages)
    return [PipelineDefined(name=command.name, currency=command.currency, stages=stages)]


def _stage(new: NewStage | AddPipelineStage) -> Stage:
    return Stage(
        stage=new.stage,
        name=new.name,
        probability=new.probability,
        category=new.category,
        idle_days=new.idle_days,
    )


def _repeated_names(stages: Sequence[NewStage]) -> Iterator[Rule]:
    seen: set[str] = set()
    for at, stage in enumerate(stages):
        if stage.name.casefold() in seen:
            yield StageNameTaken(name=stage.name, path=("stages", at, "name"))
        seen.add(stage.name.casefold())


def _add_stage(state: Pipeline, command: AddPipelineStage) -> Sequence[PipelineEvent]:
    if state.find(command.stage) is not None:
        return []
    require(
        _archived(state),
        _name_taken(state, command.name, command.stage),
        TooManyStages(most=MOST_STAGES) if len(state.stages) >= MOST_STAGES else None,
        None if command.before is None else _not_active(state, command.before, ("before",)),
    )
    order = state.order
    at = len(order) if command.before is None else order.index(command.before)
    return [PipelineStageAdded(added=_stage(command), order=(*order[:at], command.stage, *order[at:]))]


def _name_taken(state: Pipeline, name: str, stage: UUID) -> Rule | None:
    others = {each.name.casefold() for each in state.stages if each.stage != stage}
    return StageNameTaken(name=name, path=("name",)) if name.casefold() in others else None


def _not_active(state: Pipeline, stage: UUID, path: Path) -> Rule | None:
    return None if stage in state.order else StageUnknown(path=path)


def _change_stage(state: Pipeline, command: ChangePipelineStage) -> Sequence[PipelineEvent]:
    was = state.find(command.stage)
    if was is None:
        refuse(*broken(_archived(state), StageUnknown(path=("stage",))))
    old = StageTerms(name=was.name, probability=was.probability, category=was.category, idle_days=was.idle_days)
    new = StageTerms(
        name=updated(old.name, command.name),
        probability=updated(old.probability, command.probability),
        category=updated(old.category, command.category),
        idle_days=updated(old.idle_days, command.idle_days),
    )
    require(_archived(state), None if new.name == old.name else _name_taken(state, new.name, command.stage))
    return [] if new == old else [PipelineStageChanged(stage=command.stage, old=old, new=new)]


def _reorder(state: Pipeline, command: ReorderPipelineStages) -> Sequence[PipelineEvent]:
    complete = sorted(command.stages) == sorted(state.order)
    require(_archived(state), None if complete else StageOrderIncomplete(path=("stages",)))
    if command.stages == state.order:
        return []
    return [PipelineStagesReordered(old=state.order, new=command.stages)]


def _retire(state: Pipeline, command: RetirePipelineStage) -> Sequence[PipelineEvent]:
    if any(each.stage == command.stage for each in state.retired):
        return []
    unknown = _not_active(state, command.stage, ("stage",))
    last = LastStage(path=("stage",)) if unknown is None and len(state.stages) == 1 else None
    require(_archived(state), unknown, last)
    order = tuple(each for each in state.order if each != command.stage)
    return [PipelineStageRetired(stage=command.stage, order=order)]


def evolve(state: Pipeline, event: PipelineEvent) -> Pipeline:
    match event:
        case PipelineDefined():
            return Pipeline(name=event.name, currency=event.currency, stages=event.stages)
        case PipelineStageChanged():
            return replace(state, stages=_with_terms(state.stages, event), retired=_with_terms(state.retired, event))
        case PipelineStageAdded():
            return replace(state, stages=_in_order((*state.stages, event.added), event.order))
        case PipelineStagesReordered():
            return replace(state, stages=_in_order(state.stages, event.new))
        case PipelineStageRetired():
            gone = tuple(each for each in state.stages if each.stage == event.stage)
            return replace(state, stages=_in_order(state.stages, event.order), retired=(*state.retired, *gone))
        case PipelineRenamed():
            return replace(state, name=event.new)
        case PipelineArchived():
            return replace(state, active=False)
        case PipelineRestored():
            return replace(state, active=True)
        case _:
            assert_never(event)


def _with_terms(stages: tuple[Stage, ...], event: PipelineStageChanged) -> tuple[Stage, ...]:
    new = event.new
    return tuple(
        replace(each, name=new.name, probability=new.probability, category=new.category, idle_days=new.idle_days)
        if each.stage == event.stage
        else each
        for each in stages
    )


def _in_order(stages: tuple[Stage, ...], order: tuple[UUID, ...]) -> tuple[Stage, ...]:
    by_id = {each.stage: each for each in stages}
    return tuple(by_id[stage] for stage in order)


def standing(state: Pipeline) -> Standing:
    """Its active stages: the ones that a deal may enter."""
    stages = tuple(PipelineStage(id=one.stage, name=one.name, probability=one.probability) for one in state.stages)
    return Standing(kind="pipeline", active=state.active, stages=stages, currency=state.currency)


pipeline: Decider[Pipeline, PipelineCommand, PipelineEvent] = Decider(
    kind="pipeline",
    prefix="pip",
    initial=Pipeline(),
    decide=decide,
    evolve=evolve,
    commands={
        "define": DefinePipeline,
        "rename": RenamePipeline,
        "addStage": AddPipelineStage,
        "changeStage": ChangePipelineStage,
        "reorderStages": ReorderPipelineStages,
        "retireStage": RetirePipelineStage,
        "archive": ArchivePipeline,
        "restore": RestorePipeline,
    },
    creates=frozenset((DefinePipeline,)),
    events={
        "PipelineDefined": PipelineDefined,
        "PipelineRenamed": PipelineRenamed,
        "PipelineStageAdded": PipelineStageAdded,
        "PipelineStageChanged": PipelineStageChanged,
        "PipelineStagesReordered": PipelineStagesReordered,
        "PipelineStageRetired": PipelineStageRetired,
        "PipelineArchived": PipelineArchived,
        "PipelineRestored": PipelineRestored,
    },
    standing=standing,
)
