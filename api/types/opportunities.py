"""Opportunities, their lines and stages, and what they add up to."""

from datetime import date, datetime
from decimal import Decimal

import strawberry

from api.reading.declarations import all_of, column, connection, part, relation, rows_of, tally, total
from api.reading.money import Money, money
from api.reading.relay import Connection, Node
from api.reading.sources import Grain
from api.scalars import Position
from api.types.later import LaterCustomer, LaterPipeline, LaterProduct, LaterStaffMember, LaterStage, LaterTeam
from api.types.parts import ExternalId, History, Note, history, position, recorded_at, version
from api.types.words import LossReason, OpportunityStatus
from domain.catalogue import catalogue
from projections import opportunities as tables

LINE = Grain(name="line", table=tables.LINES, on={"opportunity_id": "id"})
OF_LINE = "case when {line[id]} is null then {amount} else {line[total]} end"
"""What a line adds to a sum by product; a deal without lines adds its amount, under no product."""


@rows_of(tables.LINES, order="ordinal")
@strawberry.type(description="A line of a deal: so many of a product at a price.")
class OpportunityLine:
    id: strawberry.ID = column("id", "The line's id.")
    product: LaterProduct | None = relation("product_id", "What is sold.")
    quantity: Decimal = column("quantity", "How many or how much of it.")
    price: Money | None = part("price", "For one unit, before discount and tax.", **money("{price}"))
    discount: Decimal = column("discount", "Taken off the price, in per cent.")
    tax: Decimal = column("tax", "In per cent; not part of the deal's amount.")
    total: Money | None = part("total", "Quantity times price, less the discount.", **money("{total}"))
    added_at: datetime = column("added_at", "When it was added.")


@rows_of(tables.STAGE_HISTORY, order="ordinal")
@strawberry.type(description="A deal's entering a stage.")
class StageChange:
    from_stage: LaterStage | None = relation("from_stage_id", "The stage before; null where the deal began.")
    stage: LaterStage | None = relation("stage_id", "The stage that it entered.")
    probability_before: Decimal | None = column("probability_before", "Per cent, before; null where the deal began.")
    probability_after: Decimal = column("probability_after", "Per cent, from then on.")
    entered_at: datetime = column("entered_at", "When.")


@rows_of(tables.OPPORTUNITIES, order="opened_at DESC", prefix=catalogue.prefixes["opportunity"])
@strawberry.type(description="A deal that we hope to win.")
class Opportunity(Node):
    title: str | None = column("title", "What people call the deal; null where it was erased.", sort="title_key")
    status: OpportunityStatus = column("status", "How far it has come.", filtered=True)
    customer: LaterCustomer | None = relation("customer_id", "Who would buy.", filtered=True)
    pipeline: LaterPipeline | None = relation("pipeline_id", "Whose stages it passes through.", filtered=True)
    stage: LaterStage | None = relation("stage_id", "Where it stands; a closed deal keeps its last.", filtered=True)
    stage_entered_at: datetime = column("stage_entered_at", "Since when it stands there.")
    probability: Decimal = column("probability", "How likely it is won, in per cent.", sort="probability")
    probability_overridden: bool = column("probability_overridden", "Whether somebody overrode the stage's.")
    amount: Money | None = part("amount", "What it is worth; null while unknown.", **money("{amount}"))
    weighted: Money | None = part(
        "amount",
        "Its amount times its probability, as forecasts count it.",
        **money("{amount} * {probability} / 100", computed=True),
    )
    lines: list[OpportunityLine] = all_of("What would be sold.", on={"opportunity_id": "id"})
    expected_close: date | None = column("expected_close", "The day it is probably decided.", sort="expected_close")
    closed_on: date | None = column("closed_on", "The day it was won or lost.", sort="closed_on")
    loss_reason: LossReason | None = column("loss_reason", "Why it was lost.", filtered=True)
    competitor: str | None = column("competitor", "To whom it was lost.")
    loss_note: str | None = column("loss_note", "What more there is to say about the loss.")
    owner: LaterStaffMember | None = relation("owner_id", "Who looks after it.", filtered=True)
    team: LaterTeam | None = relation("team_id", "The team that looks after it.", filtered=True)
    source: str | None = column("source", "Where it came from, such as `fair`.")
    campaign: str | None = column("campaign", "The campaign that brought it.")
    stage_changes: Connection[StageChange] = connection("The stages that it passed.", on={"opportunity_id": "id"})
    notes: Connection[Note] = connection(
        "What we wrote down about it.", on={"opportunity_id": "id"}, table=tables.NOTES
    )
    external_ids: list[ExternalId] = all_of(
        "What other systems call it.", on={"opportunity_id": "id"}, table=tables.EXTERNAL_IDS
    )
    opened_at: datetime = column("opened_at", "When it began.", sort="opened_at")
    last_touched_at: datetime = column("last_touched_at", "When something last happened to it.", sort="last_touched_at")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()


@rows_of(tables.OPPORTUNITIES, finer=LINE)
@strawberry.type(description="What deals add up to.")
class OpportunityTotals:
    count: int = tally("How many deals.")
    amounts: list[Money] = total(
        "{amount}", "The sum of their amounts, for each currency.", finer=OF_LINE, currency="{currency}"
    )
    weighted: list[Money] = total(
        "{amount} * {probability} / 100",
        "The forecast: the sum of amount times probability of the open ones, for each currency.",
        finer=f"{OF_LINE} * {{probability}} / 100",
        currency="{currency}",
        only="{status} = 'open'",
    )


@rows_of(tables.OPPORTUNITIES, finer=LINE)
@strawberry.type(description="What the deals of one group add up to. What was not grouped by is null.")
class OpportunityGroup(OpportunityTotals):
    status: OpportunityStatus | None = column("status", "How far the deals have come.", filtered=True)
    pipeline: LaterPipeline | None = relation("pipeline_id", "Their pipeline.", filtered=True)
    stage: LaterStage | None = relation("stage_id", "Their stage; closed deals keep their last.", filtered=True)
    owner: LaterStaffMember | None = relation("owner_id", "Who looks after them.", filtered=True)
    team: LaterTeam | None = relation("team_id", "The team that looks after them.", filtered=True)
    customer: LaterCustomer | None = relation("customer_id", "Who would buy.", filtered=True)
    product: LaterProduct | None = relation(
        "line.product_id",
        "What they sell. By product, or with a condition on it, the sums are those of the lines; a deal counts once for"
        " each product, and deals without lines are under no product.",
        filtered=True,
    )
    loss_reason: LossReason | None = column("loss_reason", "Why they were lost.", filtered=True)
