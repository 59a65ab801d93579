"""Whoever changes who may do what says why, and that is kept beside the change."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.access import NEEDS
from domain.catalogue import catalogue, mutation_name
from domain.kernel.permissions import Permission
from tests.api.book import REASONED, serving

pytestmark = pytest.mark.anyio

WITHOUT = {"roleRename", "roleDescribe"}
"""What takes the permission to manage access, and changes nobody's."""
GRANTS = [{"permission": "READ_BOOK", "scope": "ALL"}]


async def test_no_grant_revocation_or_change_of_a_role_is_without_a_reason(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        hired = await client.mutate("staffMemberRegister", "staffMember { id }", name="Rosa")
        person = hired["staffMember"]["id"]
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()

        async def asked(mutation: str, noun: str, **given: Any) -> str:
            """The id of the record that it changed, after it was refused without a reason."""
            before = (await client.data("{ history(last: 1) { nodes { position } } }"))["history"]["nodes"]
            for none in ({"reason": None}, {"reason": ""}, {"reason": "   "}):
                said = await client.mutate(mutation, "position userErrors { code path }", **given, **none)
                code = "TEXT_EMPTY" if none["reason"] is not None else "REASON_REQUIRED"
                assert said == {"position": None, "userErrors": [{"code": code, "path": ["reason"]}]}, mutation
            after = (await client.data("{ history(last: 1) { nodes { position } } }"))["history"]["nodes"]
            assert after == before, mutation
            why = f"Because of {mutation}"
            done = await client.mutate(mutation, f"{noun} {{ id }} userErrors {{ code }}", **given, reason=why)
            assert done["userErrors"] == []
            (last,) = (await client.data("{ history(last: 1) { nodes { reason actor } } }"))["history"]["nodes"]
            assert last == {"reason": why, "actor": "administrator"}
            tried.add(mutation)
            id: str = done[noun]["id"]
            return id

        tried = set[str]()
        role = await asked("roleDefine", "role", name="Reader", grants=GRANTS)
        await asked("staffMemberGrantRole", "staffMember", id=person, role=role)
        await asked("roleChangeGrants", "role", id=role, grants=[*GRANTS, {"permission": "CONFIGURE", "scope": "ALL"}])
        await asked("roleRetire", "role", id=role)
        await asked("roleRestore", "role", id=role)
        await asked("staffMemberRevokeRole", "staffMember", id=person, role=role)
        token = await asked("apiTokenIssue", "apiToken", name="Shop", grants=GRANTS, expiresAt=later)
        await asked("apiTokenRevoke", "apiToken", id=token)
        await asked("staffMemberChangeEmail", "staffMember", id=person, email="rosa@acme.example")
        assert (await client.mutate("staffMemberDeactivate", "userErrors { code }", id=person))["userErrors"] == []
        await asked("staffMemberReactivate", "staffMember", id=person)
        assert tried == REASONED


def test_what_manages_access_needs_a_reason_or_is_named_here() -> None:
    managing = {
        mutation_name(decider, verb)
        for decider in catalogue.deciders.values()
        for verb, command in decider.commands.items()
        if NEEDS.get(command) is Permission.MANAGE_ACCESS
    }
    assert managing == REASONED | WITHOUT
