"""The recipe of `docs/frontend/lists.md` for a newsletter finds who may be sent it, and nobody else."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.book import serving
from tests.docs.blocks import blocks


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_who_withdrew_email_is_sent_no_newsletter_whatever_else_was_granted(
    database: str, tmp_path: Path
) -> None:
    [recipe] = [one.text for one in blocks("docs/frontend/lists.md") if "readers:" in one.text]
    async with serving(database, tmp_path) as client:

        async def registered(*consents: tuple[str, str], purpose: str = "Newsletter") -> None:
            made = await client.mutate("customerRegister", "customer { id }", kind="PERSON", name="Ada")
            for verb, channel in consents:
                given: dict[str, Any] = {"purpose": purpose, "channel": channel, "proof": "Form 12"}
                if verb == "Grant":
                    given |= {"basis": "CONSENT"}
                done = await client.mutate(
                    f"customer{verb}Consent", "userErrors { message }", id=made["customer"]["id"], **given
                )
                assert done["userErrors"] == []

        async def readers() -> int:
            return int((await client.data(recipe))["readers"]["totalCount"])

        await registered(("Grant", "EMAIL"))
        await registered(("Grant", "ANY"))
        await registered(("Grant", "ANY"), ("Withdraw", "SMS"))
        await registered(("Withdraw", "ANY"), ("Grant", "EMAIL"))
        assert await readers() == 4
        await registered(("Grant", "ANY"), ("Withdraw", "EMAIL"))
        await registered(("Grant", "EMAIL"), ("Withdraw", "ANY"))
        await registered(("Grant", "SMS"))
        await registered(("Grant", "ANY"), purpose="Survey")
        await registered()
        assert await readers() == 4
