"""What rows add up to, in plain Python: the formulas as the domain's page has them, exact until the one rounding."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from domain.kernel import MINOR_UNITS
from tests.api.sample import Row, Rows

GROUPS = {
    "OpportunityGroup": {
        "openedMonth": "opened_at",
        "expectedCloseMonth": "expected_close",
        "closedMonth": "closed_on",
    },
    "TicketGroup": {
        "openedMonth": "opened_at",
        "solvedMonth": "solved_at",
        "ratedMonth": "satisfaction_given_at",
    },
    "CustomerGroup": {"createdMonth": "created_at"},
}
"""The months that groups have, and what they are the months of."""


class Calendar:
    """Days and months as the company counts them, and what its stages say of the deals in them."""

    def __init__(self, rows: Rows) -> None:
        self.zone = ZoneInfo(rows["company"][0]["time_zone"])
        self.idle = {stage["id"]: stage["idle_days"] for stage in rows["pipeline_stages"]}
        self.omitted = {stage["id"] for stage in rows["pipeline_stages"] if stage["category"] == "omitted"}

    def day(self, instant: datetime) -> date:
        return instant.astimezone(self.zone).date()

    def month(self, row: Row, name: str) -> date | None:
        column = next(months[name] for months in GROUPS.values() if name in months and months[name] in row)
        at = row[column]
        if at is None:
            return None
        day: date = self.day(at) if isinstance(at, datetime) else at
        return day.replace(day=1)

    def rotten(self, deal: Row) -> bool:
        idle: int | None = self.idle.get(deal["stage_id"])
        if deal["status"] != "open" or idle is None:
            return False
        return (self.day(datetime.now(UTC)) - self.day(deal["last_touched_at"])).days >= idle


def of_deals(deals: Sequence[Row], calendar: Calendar) -> dict[str, Any]:
    won, lost, still = ([deal for deal in deals if deal["status"] == status] for status in ("won", "lost", "open"))
    cycles = [(deal["closed_on"] - calendar.day(deal["opened_at"])).days for deal in won if deal["closed_on"]]
    cycles = [days for days in cycles if days >= 0]  # the others were entered late
    return {
        "count": len(deals),
        "open": len(still),
        "won": len(won),
        "lost": len(lost),
        "rotten": sum(map(calendar.rotten, deals)),
        "amounts": _by_currency((deal["currency"], deal["amount"]) for deal in deals),
        "openAmounts": _by_currency((deal["currency"], deal["amount"]) for deal in still),
        "wonAmounts": _by_currency((deal["currency"], deal["amount"]) for deal in won),
        "averageWonAmounts": _by_currency(((deal["currency"], deal["amount"]) for deal in won), average=True),
        "weighted": _by_currency(
            (deal["currency"], weighted(deal)) for deal in still if deal["stage_id"] not in calendar.omitted
        ),
        "winRate": _two_decimals(100 * len(won), len(won) + len(lost)),
        "averageCycleDays": _two_decimals(sum(cycles), len(cycles)),
    }


def of_tickets(tickets: Sequence[Row]) -> dict[str, Any]:
    scores = [ticket["satisfaction_score"] for ticket in tickets if ticket["satisfaction_score"] is not None]
    return {
        "count": len(tickets),
        "unsolved": sum(ticket["status"] not in ("solved", "closed") for ticket in tickets),
        "escalated": sum(ticket["escalation_level"] > 0 for ticket in tickets),
        "ratings": len(scores),
        "csat": _two_decimals(100 * sum(score in (4, 5) for score in scores), len(scores)),
    }


def money(amount: Decimal, currency: str) -> dict[str, Any]:
    with localcontext(prec=60):
        exact = amount.quantize(Decimal(1).scaleb(-MINOR_UNITS[currency]), ROUND_HALF_EVEN)
    return {"amount": exact, "currency": currency}


def weighted(deal: Row) -> Decimal | None:
    with localcontext(prec=60):
        return None if deal["amount"] is None else deal["amount"] * deal["probability"] / 100


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(prec=60):
        return sum(amounts, Decimal(0))


def _by_currency(amounts: Iterable[tuple[str, Decimal | None]], *, average: bool = False) -> list[dict[str, Any]]:
    found: dict[str, list[Decimal]] = {}
    for currency, amount in amounts:
        if amount is not None:
            found.setdefault(currency, []).append(amount)
    with localcontext(prec=60):
        return [
            money(exact_sum(found[currency]) / (len(found[currency]) if average else 1), currency)
            for currency in sorted(found)
        ]


def _two_decimals(part: int, whole: int) -> Decimal | None:
    if whole == 0:
        return None
    exact = Fraction(part, whole)
    with localcontext(prec=60):
        quotient = Decimal(exact.numerator) / exact.denominator
        return quotient.quantize(Decimal("0.01"), ROUND_HALF_UP)
