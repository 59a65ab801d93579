"""API tokens over the real application: shown once, stored as a hash, the same for a retry."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from graphql import GraphQLObjectType

from domain.access import unlimited
from domain.api_token import api_token
from domain.kernel import Refused
from domain.kernel.recorded import Context
from domain.steps import blocking
from tests.api.book import Client, serving
from tests.api.filled import in_plain, opened, raw_dump
from tests.api.printed import printed_schema
from tests.databases import forget_receipts

pytestmark = pytest.mark.anyio

ISSUED = (
    "secret apiToken { id name status issuedBy expiresAt revokedAt grants { permission scope } } userErrors { code }"
)


def wanted(**given: Any) -> dict[str, Any]:
    grants = [{"permission": "READ_BOOK", "scope": "ALL"}, {"permission": "READ_CUSTOMERS", "scope": "ALL"}]
    later = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0).isoformat()
    return {"idempotencyKey": str(uuid4()), "name": "Ada's shop", "grants": grants, "expiresAt": later, **given}


async def issued(client: Client, given: dict[str, Any]) -> dict[str, Any]:
    payload = await client.mutate("apiTokenIssue", ISSUED, **given)
    assert payload["userErrors"] == []
    return payload


async def test_a_token_is_shown_and_only_its_hash_is_kept(database: str, tmp_path: Path) -> None:
    given = wanted()
    async with serving(database, tmp_path) as client:
        payload = await issued(client, given)
        secret = payload["secret"]
        assert re.fullmatch(r"daybook_[A-Za-z0-9_-]{43}", secret)
        token = payload["apiToken"]
        assert (token["name"], token["status"], token["issuedBy"]) == ("Ada's shop", "ACTIVE", "administrator")
        assert [grant["permission"] for grant in token["grants"]] == ["READ_CUSTOMERS", "READ_BOOK"]
        with psycopg.connect(database) as db:
            [(kept,)] = db.execute("SELECT hash FROM daybook_read.api_tokens").fetchall()
            [(data,)] = db.execute("SELECT data FROM daybook_read.timeline").fetchall()
        assert kept == sha256(secret.encode()).hexdigest()
        assert set(data) == {"name", "grants", "expiresAt"}
        told = await client.post("{ history(first: 1) { nodes { data } } apiTokens(first: 1) { nodes { id name } } }")
        assert kept not in told.text
    assert in_plain([secret, "Ada's shop"], raw_dump(database)) == []


async def test_a_retry_shows_the_same_token_after_a_restart_too(database: str, tmp_path: Path) -> None:
    given = wanted()
    async with serving(database, tmp_path) as client:
        first = await issued(client, given)
        assert await issued(client, given) == first
        another = await issued(client, wanted())
        assert another["secret"] != first["secret"]
    async with serving(database, tmp_path) as client:
        assert await issued(client, given) == first
        refused = await client.mutate("apiTokenIssue", ISSUED, **{**given, "name": "Another shop"})
    assert refused["secret"] is None
    assert [error["code"] for error in refused["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_a_key_whose_receipt_is_forgotten_issues_no_second_token(database: str, tmp_path: Path) -> None:
    given = wanted()
    async with serving(database, tmp_path) as client:
        payload = await issued(client, given)
        await client.mutate("apiTokenRevoke", "position", id=payload["apiToken"]["id"])
        forget_receipts(database)
        again = await client.mutate("apiTokenIssue", "secret userErrors { code path }", **given)
    assert again == {"secret": None, "userErrors": [{"code": "TOKEN_ISSUED_BEFORE", "path": ["idempotencyKey"]}]}


def test_tokens_of_different_actors_books_and_keys_differ(database: str, tmp_path: Path) -> None:
    key, other = UUID(int=1), UUID(int=2)
    with opened(database, tmp_path) as parts:
        drawn = [parts.vault.api_token(*one) for one in (("ada", key), ("ada", other), ("bob", key))]
        assert drawn[0] == parts.vault.api_token("ada", key)
    assert len(set(drawn)) == 3


def test_nobody_chooses_a_tokens_hash(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        context = Context(actor="ada", idempotency_key=uuid4(), correlation_id=uuid4())
        raw = {
            "name": "Shop",
            "grants": [{"permission": "read_book", "scope": "all"}],
            "expires_at": datetime.now(UTC) + timedelta(days=1),
        }
        with pytest.raises(Refused, match="no such field"):
            blocking(parts.commands.submit(api_token, "issue", {**raw, "hash": "ab" * 32}, context, unlimited("ada")))


def test_no_type_that_is_read_has_the_hash() -> None:
    schema = printed_schema()
    for kind in schema.type_map.values():
        fields = getattr(kind, "fields", {})
        assert "hash" not in fields, kind.name
        if isinstance(kind, GraphQLObjectType):
            assert ("secret" in fields) == (kind.name == "ApiTokenIssuedPayload")


async def test_the_rules_are_told(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        errors = "userErrors { code path message }"
        past = await client.mutate("apiTokenIssue", errors, **wanted(expiresAt="2020-01-01T00:00:00Z"))
        assert [error["code"] for error in past["userErrors"]] == ["TOKEN_EXPIRES_IN_THE_PAST"]
        own = [{"permission": "READ_CUSTOMERS", "scope": "OWN"}]
        narrow = await client.mutate("apiTokenIssue", errors, **wanted(grants=own))
        assert [(error["code"], error["path"]) for error in narrow["userErrors"]] == [
            ("TOKEN_OWNS_NOTHING", ["grants", "0", "scope"])
        ]
