"""Decisions on where a deal stands in its pipeline, and how likely it is won."""

from collections.abc import Sequence
from uuid import UUID

from domain.kernel import Known, PipelineStage, Standing, broken, opened, refuse, unless_active
from domain.opportunity.commands import ChangeOpportunityPipeline, OverrideOpportunityProbability
from domain.opportunity.events import (
    OpportunityEvent,
    OpportunityPipelineChanged,
    OpportunityProbabilityOverridden,
    OpportunityStageChanged,
)
from domain.opportunity.rules import PipelineNotActive, StageNotOfPipeline
from domain.opportunity.state import Opportunity


def stage_of(pipeline: Standing, stage: UUID | None) -> PipelineStage | None:
    """The active stage of this id; the first one where none is named."""
    return next((each for each in pipeline.stages if stage is None or each.id == stage), None)


def change_stage(state: Opportunity, to: UUID, known: Known) -> Sequence[OpportunityEvent]:
    if to == state.stage:
        return []
    stage = stage_of(known.of(state.pipeline), to)
    if stage is None:
        refuse(StageNotOfPipeline(path=("stage",)))
    return [
        OpportunityStageChanged(
            from_stage=state.stage,
            to_stage=stage.id,
            stage_probability=stage.probability,
            probability_before=state.probability,
            probability_after=stage.probability if state.override is None else state.override,
        )
    ]


def change_pipeline(state: Opportunity, command: ChangeOpportunityPipeline, known: Known) -> Sequence[OpportunityEvent]:
    if command.pipeline == state.pipeline:
        return [] if command.stage is None else change_stage(state, command.stage, known)
    stage = stage_of(known.of(command.pipeline), command.stage)
    faults = broken(
        unless_active(known, command.pipeline, PipelineNotActive(path=("pipeline",))),
        StageNotOfPipeline(path=("stage",)) if stage is None else None,
    )
    if faults or stage is None:
        refuse(*faults)
    return [
        OpportunityPipelineChanged(
            from_pipeline=state.pipeline,
            to_pipeline=command.pipeline,
            from_stage=state.stage,
            to_stage=stage.id,
            stage_probability=stage.probability,
            probability_before=state.probability,
            probability_after=stage.probability if state.override is None else state.override,
        )
    ]


def override_probability(state: Opportunity, command: OverrideOpportunityProbability) -> Sequence[OpportunityEvent]:
    known_better = command.probability is not None and command.reason != opened(state.override_because)
    if command.probability == state.override and not known_better:
        return []
    return [
        OpportunityProbabilityOverridden(
            old=state.probability,
            new=state.stage_probability if command.probability is None else command.probability,
            overridden=command.probability is not None,
            reason=command.reason,
        )
    ]
