"""Pipelines and their stages."""

from datetime import datetime
from decimal import Decimal

import strawberry

from api.reading.declarations import all_of, column, connection, relation, rows_of, totals
from api.reading.relay import Connection, Node
from api.scalars import CurrencyCode, Position
from api.types.opportunities import Opportunity, OpportunityGroup, OpportunityTotals
from api.types.parts import History, history, position, recorded_at, version
from api.types.words import ForecastCategory, RecordStatus
from domain.catalogue import catalogue
from projections import pipelines as tables


@rows_of(tables.STAGES, order="retired, ordinal")
@strawberry.type(description="A stage that deals of a pipeline stand in.")
class Stage:
    id: strawberry.ID = column("id", "The stage's id.", filtered=True)
    name: str = column("name", "What people call it.", filtered=True)
    pipeline: "Pipeline | None" = relation("pipeline_id", "The pipeline that it belongs to.", filtered=True)
    place: int = column("ordinal", "Its place among them, from 0; a retired one keeps its last.", filtered=True)
    probability: Decimal = column("probability", "How likely a deal here is won, in per cent.", filtered=True)
    category: ForecastCategory = column("category", "How forecasts count the deals here.", filtered=True)
    idle_days: int | None = column(
        "idle_days", "Days without a touch after which a deal is rotten; null: never.", filtered=True
    )
    retired: bool = column("retired", "Whether it takes no more deals; those that stand in it stay.", filtered=True)
    opportunities: Connection[Opportunity] = connection(
        "The deals that stand in it, and those that were closed in it.", on={"stage_id": "id"}, filtered=True
    )
    opportunity_totals: OpportunityTotals = totals("What those add up to.", on={"stage_id": "id"}, grouped=False)
    opportunity_groups: list[OpportunityGroup] = totals("What those add up to, in groups.", on={"stage_id": "id"})
    cards: Connection[Opportunity] = connection(
        "The open deals that stand in it: its column on a board.",
        on={"stage_id": "id"},
        where="{status} = 'open'",
        filtered=True,
    )
    totals: OpportunityTotals = totals(
        "What its cards add up to.", on={"stage_id": "id"}, where="{status} = 'open'", grouped=False
    )


@rows_of(tables.PIPELINES, order="name_key", prefix=catalogue.prefixes["pipeline"], listed=("status", "active"))
@strawberry.type(description="The stages that deals pass through, as the company defines them.")
class Pipeline(Node):
    name: str = column("name", "What people call it.", sort="name_key", filtered=True)
    status: RecordStatus = column("status", "Whether it takes deals.", filtered=True)
    currency: CurrencyCode | None = column("currency", "The currency of its deals where they name none.", filtered=True)
    stages: list[Stage] = all_of(
        "Its active stages, first to last.",
        on={"pipeline_id": "id"},
        where="not {retired}",
        order="ordinal",
        filtered=True,
    )
    retired_stages: list[Stage] = all_of(
        "Stages that take no more deals.", on={"pipeline_id": "id"}, where="{retired}", order="ordinal", filtered=True
    )
    opportunities: Connection[Opportunity] = connection("Its deals.", on={"pipeline_id": "id"}, filtered=True)
    opportunity_totals: OpportunityTotals = totals(
        "What its deals add up to, those that are won or lost too.", on={"pipeline_id": "id"}, grouped=False
    )
    opportunity_groups: list[OpportunityGroup] = totals(
        "What its deals add up to, in groups.", on={"pipeline_id": "id"}
    )
    totals: OpportunityTotals = totals(
        "What the cards of all its stages add up to.",
        on={"pipeline_id": "id"},
        where="{status} = 'open'",
        grouped=False,
    )
    created_at: datetime = column("created_at", "When it was defined.", sort="created_at", filtered=True)
    changed_at: datetime = column("changed_at", "When something last happened to it.", filtered=True, sort="changed_at")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()
