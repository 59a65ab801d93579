"""The recipe of `docs/frontend/board.md` for a funnel, beside a fold of the cohort's stages by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.book import Client, serving
from tests.docs.blocks import Block, blocks


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def recipe() -> tuple[Block, Block]:
    """The query, and its variables."""
    found = blocks("docs/frontend/board.md")
    [at] = [place for place, one in enumerate(found) if "query Funnel" in one.text]
    return found[at], found[at + 1]


class Sales:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def pipeline(self, name: str) -> tuple[str, list[str]]:
        """Its id, and those of its four stages."""
        stages = [{"name": f"{name} {place}", "probability": 10 * place, "category": "PIPELINE"} for place in range(4)]
        payload = await self.client.mutate(
            "pipelineDefine", "pipeline { id stages { id } } userErrors { message }", name=name, stages=stages
        )
        assert payload["userErrors"] == []
        return payload["pipeline"]["id"], [stage["id"] for stage in payload["pipeline"]["stages"]]

    async def done(self, mutation: str, **given: Any) -> str:
        payload = await self.client.mutate(mutation, "opportunity { id } userErrors { message }", **given)
        assert payload["userErrors"] == [], (mutation, payload)
        id: str = payload["opportunity"]["id"]
        return id

    async def deal(self, pipeline: str, *stages: str) -> str:
        """A deal that went through these stages."""
        first, *later = stages
        id = await self.done("opportunityOpen", title="Pump", pipeline=pipeline, stage=first)
        for stage in later:
            await self.done("opportunityChangeStage", id=id, stage=stage)
        return id


@pytest.mark.anyio
async def test_each_deal_of_the_cohort_counts_at_every_stage_that_it_reached_or_passed(
    database: str, tmp_path: Path
) -> None:
    query, variables = recipe()
    async with serving(database, tmp_path) as client:
        sales = Sales(client)
        pipeline, (a, b, c, d) = await sales.pipeline("New business")
        other, (x, y, *_) = await sales.pipeline("Renewals")
        await sales.deal(pipeline, a)
        await sales.deal(pipeline, a, b, a)  # it went back, and had reached the second
        await sales.deal(pipeline, a, d)  # it passed over two
        lost = await sales.deal(pipeline, b, c, b)
        await sales.done("opportunityLose", id=lost, reason="PRICE")
        moved = await sales.deal(other, x, y)
        await sales.done("opportunityChangePipeline", id=moved, pipeline=pipeline, stage=c)
        left = await sales.deal(pipeline, a, b)
        await sales.done("opportunityChangePipeline", id=left, pipeline=other, stage=x)
        await sales.deal(other, x, y)

        async def funnel(since: str, until: str) -> dict[str, Any]:
            said = json.loads(variables.text.replace("pip_01h455vb4pex5vsknk084sn02q", pipeline))
            said["cohort"]["stageChanges"]["some"]["enteredAt"] = {"gte": since, "lt": until}
            return await client.data(query.text, said)

        found = await funnel("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
        # Entered by all but the last; the third reached by the one that went to the fourth, by the lost and the moved.
        assert [found[step]["count"] for step in ("entered", "second", "third")] == [6, 5, 3]
        assert (found["now"]["open"], found["now"]["lost"], found["now"]["won"]) == (5, 1, 0)
        found = await funnel("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
        assert [found[step]["count"] for step in ("entered", "second", "third")] == [0, 0, 0]
