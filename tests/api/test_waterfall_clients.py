"""The waterfall as clients ask for it: a year of a small pipeline, computed by hand, and what others see of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.book import serving
from tests.api.stocktaking import STEPS
from tests.api.test_erasure import Story

pytestmark = pytest.mark.anyio

WATERFALL = f"""query Waterfall($pipeline: ID!, $from: Moment!, $to: Moment) {{
    pipelineWaterfall(pipeline: $pipeline, from: $from, to: $to) {{
        {" ".join(f"{step} {step}Amounts {{ amount currency }}" for step in STEPS)}
    }}
}}"""
COUNTED = {
    "opening": 2, "created": 2, "reopened": 1, "movedIn": 1, "won": 2, "lost": 1, "movedOut": 1, "closing": 2,
    "grown": 2, "shrunk": 2, "advanced": 1, "wentBack": 0, "slipped": 1, "pulledIn": 1,
}  # fmt: skip
SUMS: Mapping[str, Mapping[str, str]] = {
    "opening": {"EUR": "300.00"},
    "created": {"EUR": "80.00"},  # the other one's amount was not known yet
    "reopened": {"EUR": "120.00"},
    "movedIn": {"EUR": "40.00"},
    "grown": {"EUR": "200.50", "USD": "300.00"},
    "shrunk": {"EUR": "330.50"},
    "won": {"EUR": "200.00"},
    "lost": {"EUR": "120.00"},
    "movedOut": {"USD": "300.00"},
    "closing": {"EUR": "90.00"},
    "advanced": {"EUR": "250.50"},
    "slipped": {"EUR": "50.00"},
    "pulledIn": {"EUR": "40.00"},
}


async def test_the_waterfall_of_a_small_pipeline(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:

        async def done(mutation: str, of: str, selection: str = "id", **given: Any) -> tuple[Any, str]:
            payload = await client.mutate(
                mutation, f"{of} {{ {selection} }} position userErrors {{ message }}", **given
            )
            assert payload["userErrors"] == [], (mutation, payload)
            return payload[of], payload["position"]

        async def pipeline(name: str) -> tuple[str, list[str]]:
            stages = [{"name": each, "probability": "10", "category": "PIPELINE"} for each in ("New", "Talking")]
            made, _ = await done("pipelineDefine", "pipeline", "id stages { id }", name=name, stages=stages)
            return made["id"], [stage["id"] for stage in made["stages"]]

        async def opened(title: str, of: str, amount: str | None) -> tuple[str, str]:
            about = {"title": title, "customer": buyer, "pipeline": of, "expectedClose": "2026-06-30"}
            deal, position = await done("opportunityOpen", "opportunity", **about, amount=amount, currency="EUR")
            return deal["id"], position

        async def then(deal: str, what: str, **given: Any) -> str:
            return (await done(f"opportunity{what}", "opportunity", id=deal, **given))[1]

        buyer = (await done("customerRegister", "customer", kind="PERSON", name="Ada"))[0]["id"]
        (sales, stages), (other, _) = await pipeline("Sales"), await pipeline("Partners")
        violin, _ = await opened("Violin", sales, "100")
        viola, _ = await opened("Viola", sales, "200")
        harp, beginning = await opened("Harp", other, "40")

        await then(violin, "ChangeAmount", amount="250.5", currency="EUR")
        await then(violin, "ChangeStage", stage=stages[1])
        await then(violin, "ChangeAmount", amount="300", currency="USD")
        await then(violin, "ChangePipeline", pipeline=other)
        await then(violin, "ChangeAmount", amount="999", currency="USD")  # elsewhere: no concern of this pipeline
        await then(viola, "ChangeAmount", amount="120", currency="EUR")
        await then(viola, "Lose", reason="PRICE")
        await then(viola, "Reopen", reason="They called")
        await then(viola, "Win")
        cello, _ = await opened("Cello", sales, None)
        await then(cello, "MoveCloseDate", expectedClose="2026-07-31")
        await then(cello, "ChangeAmount", amount="0", currency="USD")  # nothing more than nothing
        await then(cello, "ChangeAmount", amount="50", currency="EUR")
        await then(cello, "MoveCloseDate", expectedClose="2026-08-31")
        flute, _ = await opened("Flute", sales, "80")
        await then(flute, "Win")
        await then(harp, "ChangePipeline", pipeline=sales)
        end = await then(harp, "MoveCloseDate", expectedClose="2026-06-01")

        async def asked(since: Any, until: Any = None, **headers: str) -> Any:
            given = {"pipeline": sales, "from": since, "to": until}
            return (await client.data(WATERFALL, given, **headers))["pipelineWaterfall"]

        at_the_beginning = {"position": beginning}
        found = await asked(at_the_beginning)
        assert {step: found[step] for step in STEPS} == COUNTED
        assert {step: _sums(found, step) for step in STEPS} == {step: SUMS.get(step, {}) for step in STEPS}
        assert await asked(at_the_beginning, {"position": end}) == found
        await client.mutate("opportunityRename", "position", id=harp, title="Golden harp")
        assert await asked(at_the_beginning) == found
        still = await asked({"position": end})
        both = {"opening", "closing"}
        assert {step for step in STEPS if still[step]} == both
        assert {step: _sums(still, step) for step in both} == {step: {"EUR": "90.00"} for step in both}
        before = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        whole = await asked({"time": before})
        assert (whole["opening"], whole["created"], whole["closing"]) == (0, 4, 2)

        blind = await asked(at_the_beginning, **await client.token("READ_OPPORTUNITIES"))
        assert blind == {**COUNTED, "grown": None, "shrunk": None, **{f"{step}Amounts": [] for step in STEPS}}
        nothing = await asked(at_the_beginning, **await client.token("READ_CUSTOMERS", "SEE_AMOUNTS"))
        assert nothing == {**dict.fromkeys(STEPS, 0), **{f"{step}Amounts": [] for step in STEPS}}

        tomorrow = {"time": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
        for since, until, code, message in (
            (tomorrow, None, "BAD_USER_INPUT", "`from` lies in the future"),
            (at_the_beginning, tomorrow, "BAD_USER_INPUT", "`to` lies in the future"),
            (at_the_beginning, {"position": "1"}, "BAD_USER_INPUT", "`from` lies behind `to`"),
            (at_the_beginning, {"position": "9999999"}, "POSITION_UNKNOWN", "The book ends at position"),
        ):
            given = {"pipeline": sales, "from": since, "to": until}
            [error] = (await client.post(WATERFALL, given)).json()["errors"]
            assert (error["extensions"]["code"], error["message"].startswith(message)) == (code, True), error


def _sums(found: Mapping[str, Any], step: str) -> dict[str, str]:
    return {one["currency"]: one["amount"] for one in found[f"{step}Amounts"]}


async def test_an_erasure_leaves_the_figures(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        story = Story(client)
        await story.tell()
        [pipeline] = (await client.data("{ pipelines(first: 1) { nodes { id } } }"))["pipelines"]["nodes"]
        await story.do("opportunityChangeAmount", id=story.deal, amount="1500", currency="CHF")
        for day in ("2027-01-01", "2027-02-01"):
            await story.do("opportunityMoveCloseDate", id=story.deal, expectedClose=day)
        await story.do("opportunityLose", id=story.deal, reason="PRICE")
        await story.do("opportunityReopen", id=story.deal, reason="They called")
        end = int((await story.do("opportunityWin", id=story.deal))["position"])

        async def figures() -> list[Any]:
            return [
                await client.data(
                    WATERFALL,
                    {"pipeline": pipeline["id"], "from": {"position": str(at)}, "to": {"position": str(end)}},
                )
                for at in range(end)
            ]

        before = await figures()
        assert before[0]["pipelineWaterfall"]["wonAmounts"] == [{"amount": "1500.00", "currency": "CHF"}]
        await story.erase(story.person)
        assert await figures() == before
