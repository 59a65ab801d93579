"""What happens to pipelines, and the names under which it is stored."""

from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

from domain.kernel import Event
from domain.pipeline.words import Stage, StageTerms


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

EVENTS: Mapping[str, type[PipelineEvent]] = {
    "PipelineDefined": PipelineDefined,
    "PipelineRenamed": PipelineRenamed,
    "PipelineStageAdded": PipelineStageAdded,
    "PipelineStageChanged": PipelineStageChanged,
    "PipelineStagesReordered": PipelineStagesReordered,
    "PipelineStageRetired": PipelineStageRetired,
    "PipelineArchived": PipelineArchived,
    "PipelineRestored": PipelineRestored,
}
