"""Opportunities, their lines and stages, and what they add up to."""

from datetime import date, datetime
from decimal import Decimal

import strawberry

from api.reading.declarations import (
    all_of,
    column,
    connection,
    expression,
    hidden,
    mean,
    part,
    rate,
    relation,
    rows_of,
    tally,
    total,
    totals_of,
)
from api.reading.money import Money, money
from api.reading.relay import Connection, Node
from api.reading.sources import Beside, Grain, Search
from api.scalars import Position
from api.types.later import LaterCustomer, LaterPipeline, LaterProduct, LaterStaffMember, LaterStage, LaterTeam
from api.types.parts import (
    THE_COMPANY,
    ExternalId,
    History,
    Note,
    day_of,
    external_ids_in,
    history,
    month_of,
    position,
    recorded_at,
    version,
)
from api.types.words import LossReason, OpportunityStatus
from domain.catalogue import catalogue
from projections import opportunities as tables
from projections.pipelines import STAGES

LINE = Grain(name="line", table=tables.LINES, on={"opportunity_id": "id"}, amount="total")
OF_LINE = "case when {line[product_id]} is null then {amount} when {amount} is not null then {line[total]} end"
"""What a product's lines add to a sum; a deal without lines adds its amount, under no product. Of a deal that has no
amount yet, as one of its lines is unpriced, no line counts: the products' sums would be more than the deals'.
"""
IDLE = f"{day_of('{now}')} - {day_of('{last_touched_at}')}"
ROTTEN = f"coalesce({{status}} = 'open' and {IDLE} >= {{stage[idle_days]}}, false)"


@rows_of(tables.LINES, order="ordinal")
@strawberry.type(description="A line of a deal: so many of a product at a price.")
class OpportunityLine:
    id: strawberry.ID = column("id", "The line's id.", filtered=True)
    product: LaterProduct | None = relation("product_id", "What is sold.", filtered=True)
    quantity: Decimal = column("quantity", "How many or how much of it.", filtered=True)
    price: Money | None = part("price", "For one unit, before discount and tax.", **money("{price}"), filtered=True)
    discount: Decimal = column("discount", "Taken off the price, in per cent.", filtered=True)
    tax: Decimal = column("tax", "In per cent; not part of the deal's amount.", filtered=True)
    total: Money | None = part(
        "total",
        "Quantity times `price`, which has whole minor units, less the discount; rounded once more.",
        **money("{total}"),
        filtered=True,
    )
    added_at: datetime = column("added_at", "When it was added.", filtered=True)
    hidden_fields: list[str] = hidden()


@rows_of(tables.STAGE_HISTORY, order="ordinal")
@strawberry.type(description="A deal's entering a stage.")
class StageChange:
    from_stage: LaterStage | None = relation(
        "from_stage_id", "The stage before; null where the deal began.", filtered=True
    )
    stage: LaterStage | None = relation("stage_id", "The stage that it entered.", filtered=True)
    probability_before: Decimal | None = column(
        "probability_before", "Per cent, before; null where the deal began.", filtered=True
    )
    probability_after: Decimal = column("probability_after", "Per cent, from then on.", filtered=True)
    entered_at: datetime = column("entered_at", "When the deal entered the stage.", filtered=True, sort="entered_at")


@rows_of(
    tables.OPPORTUNITIES,
    order="opened_at DESC",
    prefix=catalogue.prefixes["opportunity"],
    beside={"company": THE_COMPANY, "stage": Beside(STAGES, on={"id": "stage_id"})},
    search=Search(tables.SEARCH, "title and the ids in other systems"),
)
@strawberry.type(description="A deal that we hope to win.")
class Opportunity(Node):
    title: str | None = column(
        "title",
        "What people call the deal; null where it was erased, or is hidden from you.",
        sort="title_key",
        filtered=True,
    )
    status: OpportunityStatus = column("status", "How far it has come.", filtered=True, sort="status")
    customer: LaterCustomer | None = relation("customer_id", "Who would buy.", filtered=True)
    pipeline: LaterPipeline | None = relation("pipeline_id", "Whose stages it passes through.", filtered=True)
    stage: LaterStage | None = relation("stage_id", "Where it stands; a closed deal keeps its last.", filtered=True)
    stage_entered_at: datetime = column(
        "stage_entered_at", "Since when it stands there.", filtered=True, sort="stage_entered_at"
    )
    probability: Decimal = column(
        "probability", "How likely it is won, in per cent.", sort="probability", filtered=True
    )
    probability_overridden: bool = column(
        "probability_overridden", "Whether somebody overrode the stage's.", filtered=True
    )
    amount: Money | None = part(
        "amount", "What it is worth; null while unknown.", **money("{amount}"), filtered=True, sort="currency, amount"
    )
    weighted: Money | None = part(
        "amount",
        "Its amount times its probability, of a closed deal too, and whatever its stage's forecast category is. The"
        " forecast (`OpportunityTotals.weighted`) counts open deals only, and leaves out stages that are `OMITTED`.",
        **money("{amount} * {probability} / 100", computed=True),
        filtered=False,
    )
    lines: list[OpportunityLine] = all_of("What would be sold.", on={"opportunity_id": "id"}, filtered=True)
    expected_close: date | None = column(
        "expected_close", "The day it is probably decided.", sort="expected_close", filtered=True
    )
    closed_on: date | None = column("closed_on", "The day it was won or lost.", sort="closed_on", filtered=True)
    loss_reason: LossReason | None = column("loss_reason", "Why it was lost.", filtered=True)
    competitor: str | None = column("competitor", "To whom it was lost.", filtered=True)
    loss_note: str | None = column("loss_note", "What more there is to say about the loss.")
    owner: LaterStaffMember | None = relation("owner_id", "Who looks after it.", filtered=True)
    team: LaterTeam | None = relation("team_id", "The team that looks after it.", filtered=True)
    source: str | None = column("source", "Where it came from, such as `fair`.", filtered=True)
    campaign: str | None = column("campaign", "The campaign that brought it.", filtered=True)
    stage_changes: Connection[StageChange] = connection(
        "The stages that it passed.", on={"opportunity_id": "id"}, filtered=True
    )
    notes: Connection[Note] = connection(
        "What we wrote down about it.", on={"opportunity_id": "id"}, table=tables.NOTES, filtered=True
    )
    external_ids: list[ExternalId] = external_ids_in(tables.EXTERNAL_IDS)
    opened_at: datetime = column("opened_at", "When it began.", sort="opened_at", filtered=True)
    last_touched_at: datetime = column(
        "last_touched_at", "When something last happened to it.", sort="last_touched_at", filtered=True
    )
    rotten: bool = expression(
        ROTTEN,
        "Whether it is open and was left alone for too long: today less the day when something last happened to it, in"
        " the company's time zone, is at least the stage's idle days.",
        filtered=True,
    )
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()


WON, LOST, OPEN = "{status} = 'won'", "{status} = 'lost'", "{status} = 'open'"
OMITTED = {"omitted": Beside(STAGES, where="{category} = 'omitted'")}
# Without naming the deal, so that the few stages are looked up once, not beside each deal.
FORECAST = f"{OPEN} and {{stage_id}} not in {{omitted[id]}}"
CYCLE = f"{{closed_on}} - {day_of('{opened_at}')}"


@totals_of(Opportunity, finer=(LINE,), beside=OMITTED)
@strawberry.type(description="What deals add up to. A sum has one element for each currency; nothing is converted.")
class OpportunityTotals:
    count: int = tally("How many deals.")
    open: int = tally("How many of them are open.", only=OPEN)
    won: int = tally("How many of them are won.", only=WON)
    lost: int = tally("How many of them are lost.", only=LOST)
    rotten: int = tally("How many of them are rotten: open, and left alone for too long.", only=ROTTEN)
    amounts: list[Money] = total(
        "{amount}", "The sum of their amounts, whatever became of them.", finer=OF_LINE, currency="{currency}"
    )
    open_amounts: list[Money] = total(
        "{amount}", "The sum of the amounts of the open ones.", finer=OF_LINE, currency="{currency}", only=OPEN
    )
    won_amounts: list[Money] = total(
        "{amount}", "The sum of the amounts of the won ones.", finer=OF_LINE, currency="{currency}", only=WON
    )
    average_won_amounts: list[Money] = total(
        "{amount}",
        "The sum of the amounts of the won ones / how many won ones have an amount.",
        finer=OF_LINE,
        currency="{currency}",
        only=WON,
        mean=True,
    )
    weighted: list[Money] = total(
        "{amount} * {probability} / 100",
        "The forecast: the sum of amount x probability / 100 of the open ones, but for those whose stage's forecast"
        " category is `OMITTED`.",
        finer=f"{OF_LINE} * {{probability}} / 100",
        currency="{currency}",
        only=FORECAST,
    )
    win_rate: Decimal | None = rate(
        "100 x won / (won + lost), in per cent with two decimals; null where none is won or lost.",
        of=WON,
        among=f"({WON} or {LOST})",
    )
    average_cycle_days: Decimal | None = mean(
        CYCLE,
        "The mean of the days from opening to closing of the won ones, with two decimals. Those that were closed before"
        " they were entered tell of none; null where no other is won.",
        only=f"{WON} AND {CYCLE} >= 0",
    )
    hidden_fields: list[str] = hidden()


@totals_of(Opportunity, finer=(LINE,), beside=OMITTED)
@strawberry.type(description="What the deals of one group add up to. What was not grouped by is null.")
class OpportunityGroup(OpportunityTotals):
    status: OpportunityStatus | None = column("status", "How far the deals have come.")
    pipeline: LaterPipeline | None = relation("pipeline_id", "Their pipeline.")
    stage: LaterStage | None = relation("stage_id", "Their stage; closed deals keep their last.")
    owner: LaterStaffMember | None = relation("owner_id", "Who looks after them.")
    team: LaterTeam | None = relation("team_id", "The team that looks after them.")
    customer: LaterCustomer | None = relation("customer_id", "Who would buy.")
    product: LaterProduct | None = relation(
        "line.product_id",
        "What they sell. By product, the sums are those of the lines; a deal counts once for each product, and deals"
        " without lines are under no product, with their amount. Lines of a deal without an amount, as another one is"
        " unpriced, add nothing.",
    )
    loss_reason: LossReason | None = column("loss_reason", "Why they were lost.")
    source: str | None = column("source", "Where they came from.")
    campaign: str | None = column("campaign", "The campaign that brought them.")
    opened_month: date | None = expression(
        month_of(day_of("{opened_at}")), "The month in which they began, by its first day, in the company's time zone."
    )
    expected_close_month: date | None = expression(
        month_of("{expected_close}"), "The month in which they are probably decided, by its first day."
    )
    closed_month: date | None = expression(
        month_of("{closed_on}"), "The month in which they were won or lost, by its first day."
    )
