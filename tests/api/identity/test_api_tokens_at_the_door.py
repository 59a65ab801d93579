"""API tokens at the door, and beside them the operator's token and the identity provider's."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from api.identity import upkeep
from tests.api.book import TOKEN
from tests.api.identity.issuer import AUDIENCE, issuing
from tests.api.identity.signing_in import ASK, EMAIL, Browser, code, house

pytestmark = pytest.mark.anyio


async def asked(browser: Browser, token: str, query: str = ASK) -> httpx.Response:
    return await browser.http.post("/graphql", json={"query": query}, headers={"Authorization": f"Bearer {token}"})


async def test_a_token_opens_until_it_is_revoked_or_has_expired(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "WRITE", 0.1)
    async with house(database, tmp_path) as acme, acme.browser() as browser:
        token, id = await acme.company.issue()
        used = f'{{ apiToken(id: "{id}") {{ lastUsedAt }} }}'
        assert (await acme.company.ask(used))["apiToken"] == {"lastUsedAt": None}
        for _ in range(3):
            assert (await asked(browser, token)).status_code == 200
        with anyio.fail_after(20):
            while not acme.sql("SELECT 1 FROM daybook_access.token_uses"):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        assert (await acme.company.ask(used))["apiToken"]["lastUsedAt"].endswith("Z")
        assert acme.sql("SELECT token_id FROM daybook_access.token_uses") == [(id,)]
        for wrong in (token[:-1], token + "x", token.upper(), token.replace("daybook_", ""), "daybook_", "daybook_ä"):
            answer = await browser.http.post(
                "/graphql", json={"query": ASK}, headers={b"Authorization": f"Bearer {wrong}".encode()}
            )
            assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED"), wrong
        twice = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer daybook_")]
        for several in (twice, twice[::-1], [twice[0], twice[0]]):
            answer = await browser.http.post("/graphql", json={"query": ASK}, headers=several)
            assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED")
            assert "one header `Authorization`" in answer.text
        await acme.company.revoke(id)
        assert (await asked(browser, token)).status_code == 401, "at once"
        brief, _ = await acme.company.issue(timedelta(seconds=3))
        assert (await asked(browser, brief)).status_code == 200
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 4)
        assert (await asked(browser, brief)).status_code == 401


async def test_the_providers_tokens_let_in_active_staff_members_alone(database: str, tmp_path: Path) -> None:
    with issuing() as issuer:
        async with house(database, tmp_path, oidc=(issuer.address, AUDIENCE)) as acme, acme.browser() as browser:
            id = await acme.company.hire(EMAIL)
            assert (await asked(browser, issuer.token())).status_code == 200
            assert (await asked(browser, issuer.token(email="Rosa@Acme.Example"))).status_code == 200
            strangers: list[dict[str, Any]] = [
                {"email": "x@acme.example"},
                {"email_verified": False},
                {"email": None},
                {"email": "no address"},
            ]
            for claims in strangers:
                answer = await asked(browser, issuer.token(**claims))
                assert (answer.status_code, code(answer)) == (403, "FORBIDDEN"), claims
            for token in (issuer.token(aud="x"), issuer.forged({"alg": "none", "kid": "first"}, None), "a.b.c", "a.b"):
                answer = await asked(browser, token)
                assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED")
            rename = "mutation($i: StaffMemberRenameInput!) { staffMemberRename(input: $i) { position } }"
            given = {"idempotencyKey": "6f1c1e0e-52c5-4f0a-9c39-0a4d4f3a7d11", "id": id, "name": "Rosa"}
            bearer = {"Authorization": f"Bearer {issuer.token()}"}
            await browser.http.post("/graphql", json={"query": rename, "variables": {"i": given}}, headers=bearer)
            with psycopg.connect(database) as db:
                last = db.execute("SELECT actor FROM daybook.events ORDER BY position DESC LIMIT 1").fetchone()
            assert last == (f"user:{id}",)
            await acme.company.deactivate(id)
            assert (await asked(browser, issuer.token())).status_code == 403


async def test_a_provider_that_never_answered_is_said_to_be_away(database: str, tmp_path: Path) -> None:
    with issuing() as issuer:
        token = issuer.token()
    async with house(database, tmp_path, oidc=(issuer.address, AUDIENCE)) as acme, acme.browser() as browser:
        answer = await asked(browser, token)
        assert (answer.status_code, code(answer)) == (503, "UNAVAILABLE")
        assert "retry-after" in answer.headers
        assert (await asked(browser, TOKEN)).status_code == 200, "the operator comes in all the same"
