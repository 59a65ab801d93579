"""The real application over a fresh database, as an HTTP client sees it in the test's own event loop."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from starlette.applications import Starlette

from api.server import create_app

TOKEN = "test-token-of-the-administrator"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/graphql-response+json"}


def make_app(database: str, directory: Path, **options: Any) -> Starlette:
    """The application on a book."""
    master, signing = directory / "master.key", directory / "signing.key"
    return create_app(database, master_key_file=master, signing_key_file=signing, admin_token=TOKEN, **options)


REASONED = frozenset((
    "staffMemberGrantRole", "staffMemberRevokeRole", "roleDefine", "roleChangeGrants", "roleRetire", "roleRestore",
    "apiTokenIssue", "apiTokenRevoke", "staffMemberChangeEmail", "staffMemberReactivate",
))  # fmt: skip


class Client:
    """Sends GraphQL over HTTP."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(self, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return await self.http.post("/graphql", json=body, headers=_headers(headers))

    async def data(self, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = (await self.post(query, variables, **headers)).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    async def mutate(self, mutation: str, selection: str, **given: Any) -> dict[str, Any]:
        """The payload of one mutation; a key is made where none is given."""
        given = {"idempotencyKey": str(uuid4()), **why(mutation), **given}
        name = mutation[0].upper() + mutation[1:] + "Input"
        document = f"mutation M($input: {name}!) {{ {mutation}(input: $input) {{ {selection} }} }}"
        payload: dict[str, Any] = (await self.data(document, {"input": given}))[mutation]
        return payload

    async def token(self, *permissions: str) -> dict[str, str]:
        """Headers of somebody who may do this everywhere."""
        payload = await self.mutate(
            "apiTokenIssue",
            "secret userErrors { message }",
            name="somebody",
            grants=[{"permission": one, "scope": "ALL"} for one in permissions],
            expiresAt=(datetime.now(UTC) + timedelta(days=1)).isoformat(),
        )
        assert payload["userErrors"] == []
        return {"Authorization": f"Bearer {payload['secret']}"}


def why(mutation: str) -> dict[str, str]:
    """The reason that a change of who may do what needs."""
    return {"reason": "The test wants it so"} if mutation in REASONED else {}


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in given.items()}


@asynccontextmanager
async def serving(database: str, directory: Path, **options: Any) -> AsyncIterator[Client]:
    """A client of the running application."""
    app = make_app(database, directory, **options)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8000", headers=HEADERS, timeout=30
        ) as http,
    ):
        yield Client(http)
