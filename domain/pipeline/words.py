"""The words of pipelines: what a stage is, and how forecasts count it."""

from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

from domain.kernel import NAME, PERCENT, Derived, Doc, Number, Word

MOST_STAGES = 30
IDLE_DAYS = Number(Decimal(1), Decimal(3650))


class ForecastCategory(Word):
    """How a forecast counts the deals of a stage."""

    PIPELINE = "pipeline", "Too early to say; forecasts count it by its probability all the same."
    BEST_CASE = "best_case", "Won if all goes well."
    COMMIT = "commit", "Promised for the period."
    OMITTED = "omitted", "Left out of forecasts."


StageName: TypeAlias = Annotated[str, Doc("What people call the stage; unique among the pipeline's active ones."), NAME]
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
