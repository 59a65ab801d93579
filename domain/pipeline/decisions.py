"""What follows from a command on a pipeline."""

from collections.abc import Iterator, Sequence
from typing import assert_never
from uuid import UUID

from domain.kernel import Known, Path, Rule, broken, refuse, require, updated
from domain.pipeline.commands import (
    AddPipelineStage,
    ArchivePipeline,
    ChangePipelineStage,
    DefinePipeline,
    PipelineCommand,
    RenamePipeline,
    ReorderPipelineStages,
    RestorePipeline,
    RetirePipelineStage,
)
from domain.pipeline.events import (
    PipelineArchived,
    PipelineDefined,
    PipelineEvent,
    PipelineRenamed,
    PipelineRestored,
    PipelineStageAdded,
    PipelineStageChanged,
    PipelineStageRetired,
    PipelineStagesReordered,
)
from domain.pipeline.rules import (
    LastStage,
    PipelineIsArchived,
    StageNameTaken,
    StageOrderIncomplete,
    StageUnknown,
    TooManyStages,
)
from domain.pipeline.state import Pipeline
from domain.pipeline.words import MOST_STAGES, NewStage, Stage, StageTerms


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
    """The rule against two active stages of one name. A retired one never comes back: its name is in nobody's way."""
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
    renamed = new.name != old.name and command.stage in state.order
    require(_archived(state), _name_taken(state, new.name, command.stage) if renamed else None)
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
