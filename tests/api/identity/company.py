"""A company's people, roles and API tokens, changed by the operator through the API as an administrator would."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from domain.kernel.permissions import Permission, Scope
from tests.api.book import HEADERS, why

ALL = dict.fromkeys(Permission, Scope.ALL)


class Company:
    """Whom the house knows."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._roles: dict[str, str] = {}

    async def ask(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self._http.post("/graphql", json={"query": query, "variables": variables}, headers=HEADERS)
        body = answer.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    async def mutate(self, mutation: str, selection: str, **given: Any) -> dict[str, Any]:
        name = mutation[0].upper() + mutation[1:] + "Input"
        document = f"mutation($i: {name}!) {{ {mutation}(input: $i) {{ {selection} userErrors {{ code message }} }} }}"
        payload: dict[str, Any] = (
            await self.ask(document, {"i": {"idempotencyKey": str(uuid4()), **why(mutation), **given}})
        )[mutation]
        assert payload["userErrors"] == [], payload
        return payload

    async def hire(self, email: str, grants: Mapping[Permission, Scope] = ALL) -> str:
        """Somebody with a role of their own; the id."""
        payload = await self.mutate("staffMemberRegister", "staffMember { id }", name=email, email=email)
        id: str = payload["staffMember"]["id"]
        role = await self.mutate("roleDefine", "role { id }", name=f"Role of {email}", grants=granted(grants))
        self._roles[id] = role["role"]["id"]
        await self.mutate("staffMemberGrantRole", "position", id=id, role=self._roles[id])
        return id

    async def grant(self, id: str, grants: Mapping[Permission, Scope]) -> None:
        """What somebody may do from now on, and nothing else."""
        if grants:
            await self.mutate("roleChangeGrants", "position", id=self._roles[id], grants=granted(grants))
        else:
            await self.mutate("staffMemberRevokeRole", "position", id=id, role=self._roles[id])

    async def deactivate(self, id: str) -> None:
        await self.mutate("staffMemberDeactivate", "position", id=id)

    async def reactivate(self, id: str) -> None:
        await self.mutate("staffMemberReactivate", "position", id=id)

    async def issue(self, lasts: timedelta = timedelta(hours=1)) -> tuple[str, str]:
        """An API token and its id."""
        expires = (datetime.now(UTC) + lasts).isoformat()
        selection = "secret apiToken { id }"
        payload = await self.mutate("apiTokenIssue", selection, name="Shop", grants=granted(ALL), expiresAt=expires)
        return payload["secret"], payload["apiToken"]["id"]

    async def revoke(self, id: str) -> None:
        await self.mutate("apiTokenRevoke", "position", id=id)


def granted(grants: Mapping[Permission, Scope]) -> list[dict[str, str]]:
    return [{"permission": permission.name, "scope": scope.name} for permission, scope in grants.items()]
