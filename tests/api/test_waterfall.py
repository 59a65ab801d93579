"""The waterfall of a pipeline: what is told of two moments is what the events between them say, and it adds up.

`DAYBOOK_CAMPAIGN=full` asks at many more pairs of moments of a longer book.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import pytest
from graphql import GraphQLError

from api.reading.sight import Sight
from domain.access import Authority
from domain.catalogue import catalogue
from domain.kernel import Command, parse_type_id, rounded, type_id
from domain.kernel.permissions import Permission, Scope
from domain.opportunity import OpenOpportunity, ReopenOpportunity
from domain.pipeline import AddPipelineStage, DefinePipeline, ReorderPipelineStages
from tests.api.sights import ALL
from tests.api.stocktaking import ADDING, STEPS, TAKING, Clock, Deal, Stocktaking
from tests.api.test_past import EACH, Book, answer, entered, reading
from tests.faults.report import FIRST_SEED, FULL
from tests.projections.books import made_up_book

PAIRS = 2_000 if FULL else 100
FIGURES = " ".join(f"{step} {step}Amounts {{ amount currency }}" for step in STEPS)
QUERY = f"""query Q($pipeline: ID!, $from: Moment!, $to: Moment, $basis: Basis! = RECORDED) {{
    pipelineWaterfall(pipeline: $pipeline, from: $from, to: $to, basis: $basis) {{ {FIGURES} hiddenFields }}
}}"""


@pytest.fixture(scope="module")
def book(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    of_deals: list[type[Command]] = [
        kind for kind, decider in catalogue.by_command.items() if decider.kind == "opportunity"
    ]
    # Few pipelines, many deals that begin, and more that come back than go.
    often: tuple[type[Command], ...] = (
        *of_deals,
        OpenOpportunity,
        OpenOpportunity,
        ReopenOpportunity,
        ReopenOpportunity,
        ReorderPipelineStages,
        AddPipelineStage,
    )
    commands: tuple[type[Command], ...] = (*often * 10, DefinePipeline)
    # Always this one: of what is seldom, not every book has enough.
    made = made_up_book(21, wishes=10_000 if FULL else 2_500, commands=commands)
    with entered(made, module_database, tmp_path_factory.mktemp("waterfall") / "master.key") as one:
        yield one


@pytest.fixture(scope="module")
def stocktaking(book: Book) -> Stocktaking:
    return Stocktaking(book.recorded)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


def test_every_figure_is_what_the_events_between_two_moments_say(
    book: Book, stocktaking: Stocktaking, runner: asyncio.Runner
) -> None:
    random, seldom = Random(FIRST_SEED), Counter[str]()
    deals = stocktaking.then("position", len(book.recorded))
    callers = _callers(random, deals)
    pipelines = [row["id"] for row in book.rows["pipelines"]]
    with reading(runner, book) as reader:
        for _ in range(PAIRS):
            clock: Clock = random.choice(("position", "recorded_at", "occurred_at"))
            since, until = sorted(_moment(random, book, clock) for _ in range(2))
            sight, seen, amounts = random.choice(callers)
            pipeline = random.choice(pipelines)
            given = {"pipeline": pipeline, "from": _named(since), "to": _named(until)}
            if clock == "occurred_at":
                given["basis"] = "OCCURRED"
            if random.random() < 0.1:
                given["to"], until = None, max(getattr(one, clock) for one in book.recorded)
            found = answer(runner, reader, book, QUERY, given, sight)["pipelineWaterfall"]
            counts, sums = stocktaking.waterfall(_uuid(pipeline), clock, since, until, seen)
            told: dict[str, int | None] = {**counts}
            if not amounts:
                told |= {"grown": None, "shrunk": None}
                sums = {step: {} for step in STEPS}
            hidden = () if amounts else ("grown", "shrunk", *(f"{step}Amounts" for step in STEPS))
            assert set(found["hiddenFields"]) == set(hidden)
            assert {step: found[step] for step in STEPS} == told, (given, sight.plan_key)
            assert {step: _sum(found[f"{step}Amounts"]) for step in STEPS} == sums, (given, sight.plan_key)
            _adds_up(found)
            seldom.update(step for step in STEPS if counts[step])
            seldom["somebody's"] += 0 < len(seen) < len(deals) and any(counts.values())
        assert len(reader._plans) < PAIRS
    # All of it occurs.
    assert all(seldom[what] > PAIRS / 20 for what in (*STEPS, "somebody's")), seldom


def _adds_up(found: dict[str, Any]) -> None:
    """Counts and sums, as a client would add them."""
    assert (
        found["opening"]
        + sum(
            sign * found[step]
            for steps, sign in ((ADDING, 1), (TAKING, -1))
            for step in steps
            if step not in ("grown", "shrunk")
        )
        == found["closing"]
    )
    left: dict[str, Decimal] = defaultdict(Decimal)
    for steps, sign in ((("opening", *ADDING), 1), ((*TAKING, "closing"), -1)):
        for step in steps:
            for one in found[f"{step}Amounts"]:
                left[one["currency"]] += sign * Decimal(one["amount"])
    assert not any(left.values())


def _sum(monies: list[dict[str, str]]) -> dict[str, Decimal]:
    """Without what is 0: a deal may be worth nothing."""
    for one in monies:
        assert Decimal(one["amount"]) == rounded(Decimal(one["amount"]), one["currency"])
    assert [one["currency"] for one in monies] == sorted({one["currency"] for one in monies})
    return {one["currency"]: Decimal(one["amount"]) for one in monies if Decimal(one["amount"])}


def _moment(random: Random, book: Book, clock: Clock) -> Any:
    """One of an entry, or one between two."""
    moment = getattr(random.choice(book.recorded), clock)
    if clock == "position":
        return random.choice((0, moment))
    return moment + random.choice((timedelta(0), EACH / 2, -EACH / 2))


def _named(moment: int | datetime) -> dict[str, str]:
    return {"position": str(moment)} if isinstance(moment, int) else {"time": moment.isoformat()}


def _callers(random: Random, deals: dict[UUID, Deal]) -> list[tuple[Sight, set[UUID], bool]]:
    """What somebody sees: all, or the deals that they or their teams look after today; with amounts or without."""
    owners = sorted({deal.owner for deal in deals.values() if deal.owner}, key=str)
    teams = sorted({deal.team for deal in deals.values() if deal.team}, key=str)
    callers: list[tuple[Sight, set[UUID], bool]] = [(ALL, set(deals), True)] * 3
    for scope in (Scope.OWN, Scope.TEAM, Scope.ALL):
        for amounts in (True, False):
            me, mine = random.choice(owners), frozenset(random.sample(teams, min(len(teams), random.choice((1, 6)))))
            grants = {Permission.READ_OPPORTUNITIES: scope}
            if amounts:
                grants[Permission.SEE_AMOUNTS] = Scope.ALL
            authority = Authority(actor="user:x", staff_member=me, teams=mine, grants=grants)
            seen = {
                id
                for id, deal in deals.items()
                if scope is Scope.ALL or deal.owner == me or (scope is Scope.TEAM and deal.team in mine)
            }
            callers.append((Sight(authority), seen, amounts))
    return callers


def _uuid(id: str) -> UUID:
    return parse_type_id(id)[1]


def test_one_period_after_the_other_is_both_together(book: Book, runner: asyncio.Runner) -> None:
    """What happens between two moments is told once, however the time between is divided."""
    random, last = Random(FIRST_SEED), len(book.recorded)
    pipeline = random.choice(book.rows["pipelines"])["id"]
    with reading(runner, book) as reader:
        for _ in range(5):
            cuts = [0, *sorted(random.sample(range(1, last), 3)), last]
            pieces = [
                answer(runner, reader, book, QUERY, {"pipeline": pipeline, "from": _named(one), "to": _named(other)})
                for one, other in pairwise(cuts)
            ]
            told = [piece["pipelineWaterfall"] for piece in pieces]
            [whole] = [
                answer(runner, reader, book, QUERY, {"pipeline": pipeline, "from": _named(0), "to": _named(last)})
            ]
            for step in ("created", "reopened", "movedIn", "won", "lost", "movedOut"):
                assert sum(one[step] for one in told) == whole["pipelineWaterfall"][step]
            for step in (*ADDING, *TAKING):
                together: dict[str, Decimal] = defaultdict(Decimal)
                for one in told:
                    for currency, amount in _sum(one[f"{step}Amounts"]).items():
                        together[currency] += amount
                assert together == _sum(whole["pipelineWaterfall"][f"{step}Amounts"])
            assert [one["closing"] for one in told[:-1]] == [one["opening"] for one in told[1:]]


NOBODY = type_id("pip", UUID(int=1))
ASKED = f'pipelineWaterfall(pipeline: "{NOBODY}", from: {{position: "0"}}'
REFUSED = {
    f"{{ {ASKED}, to: {{}}) {{ won }} }}": "`to` needs `time` or `position`",
    f'{{ pipelineWaterfall(pipeline: "{NOBODY}", from: {{}}) {{ won }} }}': "`from` needs `time` or `position`",
    f'{{ {ASKED}, to: {{position: "1", time: "2020-02-01T00:00:00Z"}}) {{ won }} }}': "`to` needs `time` or `position`",
    f"{{ {ASKED}, basis: OCCURRED) {{ won }} }}": "`from` names a position, but things occur at a time",
    f'{{ pipelineWaterfall(pipeline: "{NOBODY}", from: {{position: "2"}}, to: {{position: "1"}}) {{ won }} }}': (
        "`from` lies behind `to`"
    ),
    f'{{ pipelineWaterfall(pipeline: "{NOBODY}", from: {{time: "2020-03-01T00:00:00Z"}}, to: {{position: "1"}})'
    " { won } }": "`from` lies behind `to`",
    f'{{ pipelineWaterfall(pipeline: "{NOBODY}", from: {{time: "2019-12-01T00:00:00Z"}},'
    ' to: {time: "2019-11-01T00:00:00Z"}) { won } }': "`from` lies behind `to`",
    f'{{ asOf(at: {{position: "1"}}) {{ {ASKED}) {{ won }} }} }}': "names moments itself",
    '{ pipelineWaterfall(pipeline: "sales", from: {position: "0"}) { won } }': "is no id",
    '{ pipelineWaterfall(pipeline: "cus_01h455vb4pex5vsknk084sn02q", from: {position: "0"}) { won } }': "another kind",
}


@pytest.mark.parametrize("query", REFUSED)
def test_what_cannot_be_asked_is_refused(book: Book, runner: asyncio.Runner, query: str) -> None:
    with reading(runner, book) as reader, pytest.raises(GraphQLError, match=REFUSED[query]) as refused:
        answer(runner, reader, book, query)
    assert refused.value.extensions == {"code": "BAD_USER_INPUT"}


def test_of_a_pipeline_that_is_not_there_nothing_is_told(book: Book, runner: asyncio.Runner) -> None:
    with reading(runner, book) as reader:
        assert answer(runner, reader, book, f"{{ {ASKED}) {{ won }} }}") == {"pipelineWaterfall": None}
