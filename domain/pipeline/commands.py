"""What can be asked of a pipeline, and the verbs of its mutations."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

from msgspec import UNSET, UnsetType

from domain.kernel import NAME, PERCENT, ChildId, Command, Currency, Derived, Doc, Items
from domain.pipeline.words import (
    IDLE_DAYS,
    MOST_STAGES,
    Category,
    ForecastCategory,
    IdleDays,
    NewStage,
    Probability,
    StageName,
)


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
    name: Annotated[str | UnsetType, Doc("Its new name; unique among the active stages."), NAME] = UNSET
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

COMMANDS: Mapping[str, type[PipelineCommand]] = {
    "define": DefinePipeline,
    "rename": RenamePipeline,
    "addStage": AddPipelineStage,
    "changeStage": ChangePipelineStage,
    "reorderStages": ReorderPipelineStages,
    "retireStage": RetirePipelineStage,
    "archive": ArchivePipeline,
    "restore": RestorePipeline,
}
