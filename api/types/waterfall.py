"""How the open deals of a pipeline became others between two moments, as a waterfall."""

from typing import Any

import strawberry

from api.reading.declarations import hidden, tally, total, totals_of, waterfall
from api.reading.ids import LETTERS, of_kind
from api.reading.money import Money
from api.reading.sources import Argument, Named, Step
from api.types.opportunities import Opportunity
from domain.catalogue import catalogue
from projections.model import Table
from projections.opportunities import OPPORTUNITIES
from projections.pipelines import PIPELINES, STAGES

MOVED = Table(
    name="moved",
    columns={"step": "text NOT NULL", "amount": "numeric", "currency": "text", "nth": "bigint NOT NULL"},
    key=("step", "nth"),
    of="step",
)
"""No table of the database: its rows are made when a waterfall is asked for."""

COMES, STAYS, GOES = "not {was} and {is}", "{was} and {is}", "{was} and not {is}"
HERE = "{pipeline_id} = {former_pipeline_id}"
AMOUNT, CURRENCY = "{amount}", "{currency}"
FORMER_AMOUNT, FORMER_CURRENCY = "{former_amount}", "{former_currency}"
# An amount that is not known is 0, in whichever currency the other is.
EXCHANGED = f"({CURRENCY} <> {FORMER_CURRENCY} and {AMOUNT} is not null and {FORMER_AMOUNT} is not null)"
MORE = f"(coalesce({AMOUNT}, 0) - coalesce({FORMER_AMOUNT}, 0))"
EITHER_CURRENCY = f"case when {AMOUNT} is null then {FORMER_CURRENCY} else {CURRENCY} end"
PLACE, FORMER_PLACE = "{place}", "{former_place}"
CLOSE, FORMER_CLOSE = "{expected_close}", "{former_expected_close}"

STEPS = (
    Step("created", f"{COMES} and {{began}}", AMOUNT, CURRENCY),
    Step("reopened", f"{COMES} and {HERE}", AMOUNT, CURRENCY),
    Step("moved_in", f"{COMES} and not {HERE}", AMOUNT, CURRENCY),
    Step("grown", f"{STAYS} and {MORE} > 0 and not {EXCHANGED}", MORE, EITHER_CURRENCY),
    Step("shrunk", f"{STAYS} and {MORE} < 0 and not {EXCHANGED}", f"-{MORE}", EITHER_CURRENCY),
    # Out of one currency, and into another.
    Step("shrunk", f"{STAYS} and {EXCHANGED} and {FORMER_AMOUNT} <> 0", FORMER_AMOUNT, FORMER_CURRENCY),
    Step("grown", f"{STAYS} and {EXCHANGED} and {AMOUNT} <> 0", AMOUNT, CURRENCY),
    Step("won", f"{GOES} and {HERE} and {{status}} = 'won'", FORMER_AMOUNT, FORMER_CURRENCY),
    Step("lost", f"{GOES} and {HERE} and {{status}} = 'lost'", FORMER_AMOUNT, FORMER_CURRENCY),
    Step("moved_out", f"{GOES} and not {HERE}", FORMER_AMOUNT, FORMER_CURRENCY),
    Step("advanced", f"{STAYS} and {PLACE} > {FORMER_PLACE}", AMOUNT, CURRENCY),
    Step("went_back", f"{STAYS} and {PLACE} < {FORMER_PLACE}", AMOUNT, CURRENCY),
    Step("slipped", f"{STAYS} and {CLOSE} > {FORMER_CLOSE}", AMOUNT, CURRENCY),
    Step("pulled_in", f"{STAYS} and {CLOSE} < {FORMER_CLOSE}", AMOUNT, CURRENCY),
)


def _times(step: str, description: str) -> Any:
    return tally(description, only=f"{{step}} = '{step}'")


def _sum(step: str, description: str) -> Any:
    return total(AMOUNT, description, currency=CURRENCY, only=f"{{step}} = '{step}'")


def _deals(step: str, description: str, *, reads: tuple[str, ...] = ()) -> Any:
    return tally(description, only=f"{{step}} = '{step}' and {{nth}} = 1", reads=reads)


def _sum_of_deals(step: str) -> Any:
    description = "The sum of their amounts, of each as it was when it last did. It stands beside the waterfall."
    return total(AMOUNT, description, currency=CURRENCY, only=f"{{step}} = '{step}' and {{nth}} = 1")


@totals_of(Opportunity, table=MOVED)
@strawberry.type(
    description="How the open deals of a pipeline became others between two moments. In each currency, `openingAmounts`"
    " + `createdAmounts` + `reopenedAmounts` + `movedInAmounts` + `grownAmounts` - `shrunkAmounts` - `wonAmounts` -"
    " `lostAmounts` - `movedOutAmounts` = `closingAmounts`, exactly; where a currency has no element, it is 0, and so"
    " is an amount that is not known. `opening` + `created` + `reopened` + `movedIn` - `won` - `lost` - `movedOut` ="
    " `closing`. Every entry between the moments counts: a deal that was lost, reopened and won is in each of the"
    " three. `advanced`, `wentBack`, `slipped` and `pulledIn` change no sum and stand beside it. Whoever may not see"
    " amounts is shown no element of any sum, nor how many grew or shrank: `hiddenFields` names these."
)
class PipelineWaterfall:
    opening: int = _times("opening", "How many deals were open at the beginning.")
    opening_amounts: list[Money] = _sum("opening", "The sum of their amounts then.")
    created: int = _times("created", "How many deals began in this pipeline.")
    created_amounts: list[Money] = _sum("created", "The sum of the amounts that they began with.")
    reopened: int = _times("reopened", "How many times a closed deal was opened again.")
    reopened_amounts: list[Money] = _sum("reopened", "The sum of the amounts that they came back with.")
    moved_in: int = _times("moved_in", "How many times an open deal came from another pipeline.")
    moved_in_amounts: list[Money] = _sum("moved_in", "The sum of the amounts that they came with.")
    grown: int | None = _deals(
        "grown", "How many deals grew while they were open here, once or more often.", reads=("amount",)
    )
    grown_amounts: list[Money] = _sum(
        "grown",
        "By how much, all times together. What gets another currency shrinks by all of its amount in the old one, and"
        " grows by all of it in the new one.",
    )
    shrunk: int | None = _deals(
        "shrunk", "How many deals shrank while they were open here, once or more often.", reads=("amount",)
    )
    shrunk_amounts: list[Money] = _sum("shrunk", "By how much, all times together; of currencies as of `grownAmounts`.")
    won: int = _times("won", "How many times an open deal was won.")
    won_amounts: list[Money] = _sum("won", "The sum of the amounts that they left with.")
    lost: int = _times("lost", "How many times an open deal was lost.")
    lost_amounts: list[Money] = _sum("lost", "The sum of the amounts that they left with.")
    moved_out: int = _times("moved_out", "How many times an open deal went to another pipeline.")
    moved_out_amounts: list[Money] = _sum("moved_out", "The sum of the amounts that they left with.")
    closing: int = _times("closing", "How many deals are open at the end.")
    closing_amounts: list[Money] = _sum("closing", "The sum of their amounts then.")
    advanced: int = _deals(
        "advanced",
        "How many open deals went on to a stage that stood further along, as the stages stood when they did, once or"
        " more often.",
    )
    advanced_amounts: list[Money] = _sum_of_deals("advanced")
    went_back: int = _deals("went_back", "How many open deals went back to an earlier stage, once or more often.")
    went_back_amounts: list[Money] = _sum_of_deals("went_back")
    slipped: int = _deals("slipped", "How many open deals' expected close was put off, once or more often.")
    slipped_amounts: list[Money] = _sum_of_deals("slipped")
    pulled_in: int = _deals("pulled_in", "How many open deals' expected close was brought forward, once or more often.")
    pulled_in_amounts: list[Money] = _sum_of_deals("pulled_in")
    hidden_fields: list[str] = hidden()


def pipeline_waterfall() -> Any:
    """The root field."""
    prefix = catalogue.prefixes["pipeline"]
    id = f"Its id, as an earlier answer gave it, such as `{prefix}_{LETTERS}`."
    return waterfall(
        "How the open deals of a pipeline became others between two moments, in steps that add up. Null where there is"
        " no such pipeline. Which deals you see is for today's rights to say, as below `asOf`: the others are in no"
        " figure. Not within `asOf`.",
        of=Argument("pipeline", "pipeline_id", strawberry.ID, id, of_kind(prefix)),
        record=PIPELINES,
        table=OPPORTUNITIES,
        stock="{status} = 'open' and {pipeline_id} = {of}",
        compared=("status", "pipeline_id", "stage_id", "amount", "currency", "expected_close"),
        steps=STEPS,
        named={"place": Named(STAGES, "ordinal", by="stage_id")},
    )
