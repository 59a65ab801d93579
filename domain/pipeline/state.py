"""What the rules remember of a pipeline, how an event changes it, and what others may know of it."""

from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.kernel import PipelineStage, Standing, State
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
from domain.pipeline.words import Stage


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
