"""Pipeline: the stages that deals pass through, as the company defines them. Active, then archived; it can be restored.

The definition is versioned by its events. A retired stage takes no more deals; those that stand in it stay.
"""

from domain.kernel import Decider
from domain.pipeline.commands import (
    COMMANDS,
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
from domain.pipeline.decisions import decide
from domain.pipeline.events import (
    EVENTS,
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
from domain.pipeline.state import Pipeline, evolve, standing
from domain.pipeline.words import (
    IDLE_DAYS,
    MOST_STAGES,
    Category,
    ForecastCategory,
    IdleDays,
    NewStage,
    Probability,
    Stage,
    StageName,
    StageTerms,
)

pipeline: Decider[Pipeline, PipelineCommand, PipelineEvent] = Decider(
    kind="pipeline",
    prefix="pip",
    initial=Pipeline(),
    decide=decide,
    evolve=evolve,
    commands=COMMANDS,
    creates=frozenset((DefinePipeline,)),
    events=EVENTS,
    standing=standing,
)


__all__ = [
    "COMMANDS", "EVENTS", "IDLE_DAYS", "MOST_STAGES", "AddPipelineStage", "ArchivePipeline", "Category",
    "ChangePipelineStage", "DefinePipeline", "ForecastCategory", "IdleDays", "LastStage", "NewStage", "Pipeline",
    "PipelineArchived", "PipelineCommand", "PipelineDefined", "PipelineEvent", "PipelineIsArchived",
    "PipelineRenamed", "PipelineRestored", "PipelineStageAdded", "PipelineStageChanged", "PipelineStageRetired",
    "PipelineStagesReordered", "Probability", "RenamePipeline", "ReorderPipelineStages", "RestorePipeline",
    "RetirePipelineStage", "Stage", "StageName", "StageNameTaken", "StageOrderIncomplete", "StageTerms",
    "StageUnknown", "TooManyStages", "decide", "evolve", "pipeline", "standing",
]  # fmt: skip
