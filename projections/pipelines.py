"""Pipelines as screens read them, with their stages in order."""

from collections.abc import Sequence
from typing import Any, assert_never
from uuid import UUID

from domain.kernel import type_id
from domain.kernel.recorded import Recorded
from domain.pipeline import (
    PipelineArchived,
    PipelineDefined,
    PipelineEvent,
    PipelineRenamed,
    PipelineRestored,
    PipelineStageAdded,
    PipelineStageChanged,
    PipelineStageRetired,
    PipelineStagesReordered,
    Stage,
)
from projections.model import STAMP, Model, Posting, Table, public_id, stamp
from projections.sorting import TEXT_KEY, sort_key

PIPELINES = Table(
    name="pipelines",
    columns={
        "id": "text NOT NULL",
        "name": "text NOT NULL",
        "name_key": TEXT_KEY,  # the name as it sorts
        "status": "text NOT NULL",  # active, archived
        "currency": "text",  # of its deals where they name none
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
    indexes=("name_key, id", "created_at DESC, id"),
)

STAGES = Table(
    name="pipeline_stages",
    columns={
        "id": "text NOT NULL",  # stg_...
        "pipeline_id": "text NOT NULL",
        "name": "text NOT NULL",
        "ordinal": "integer NOT NULL",  # its place from 0; a retired stage keeps its last one
        "probability": "numeric NOT NULL",  # per cent
        "category": "text NOT NULL",  # pipeline, best_case, commit, omitted
        "idle_days": "integer",  # days without a touch after which a deal is rotten; NULL: never
        "retired": "boolean NOT NULL",
    },
    of="pipeline_id",
    indexes=("pipeline_id, retired, ordinal, id",),
)


def post(posting: Posting, recorded: Recorded[PipelineEvent]) -> None:
    """What one event of a pipeline changes: its stages, and always the stamp of its record."""
    id, at = public_id("pipeline", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case PipelineDefined() as event:
            return _define(posting, id, recorded, event)
        case PipelineRenamed(new=name):
            columns = {"name": name, "name_key": sort_key(name)}
        case PipelineStageAdded(added=added, order=order):
            _insert_stage(posting, id, added, order.index(added.stage))
            _put_in_order(posting, order)
        case PipelineStageChanged(stage=stage, new=new):
            posting.change(
                STAGES,
                type_id("stg", stage),
                name=new.name,
                probability=new.probability,
                category=new.category.value,
                idle_days=new.idle_days,
            )
        case PipelineStagesReordered(new=order):
            _put_in_order(posting, order)
        case PipelineStageRetired(stage=stage, order=order):
            posting.change(STAGES, type_id("stg", stage), retired=True)
            _put_in_order(posting, order)
        case PipelineArchived():
            columns = {"status": "archived"}
        case PipelineRestored():
            columns = {"status": "active"}
        case _ as never:
            assert_never(never)
    return posting.change(PIPELINES, id, **columns, changed_at=at, **stamp(recorded))


def _define(posting: Posting, id: str, recorded: Recorded[Any], event: PipelineDefined) -> None:
    posting.insert(
        PIPELINES,
        id=id,
        name=event.name,
        name_key=sort_key(event.name),
        status="active",
        currency=event.currency,
        created_at=recorded.occurred_at,
        changed_at=recorded.occurred_at,
        **stamp(recorded),
    )
    for place, stage in enumerate(event.stages):
        _insert_stage(posting, id, stage, place)


def _insert_stage(posting: Posting, id: str, stage: Stage, place: int) -> None:
    posting.insert(
        STAGES,
        id=type_id("stg", stage.stage),
        pipeline_id=id,
        name=stage.name,
        ordinal=place,
        probability=stage.probability,
        category=stage.category.value,
        idle_days=stage.idle_days,
        retired=False,
    )


def _put_in_order(posting: Posting, order: Sequence[UUID]) -> None:
    for place, stage in enumerate(order):
        posting.change(STAGES, type_id("stg", stage), ordinal=place)


pipelines = Model(
    name="pipelines",
    version=3,
    tables=(PIPELINES, STAGES),
    post=post,
    kinds=frozenset(("pipeline",)),
)
