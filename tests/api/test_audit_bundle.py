"""`auditBundle` as clients ask it: proven offline, up to any moment, and no word in it that is hidden from them."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import anyio
import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domain.kernel import parse_type_id, type_id
from infra.log.note import Signer
from tests.api.book import Client, serving
from tests.infra.log.superuser import add_unreadable, disarm, forge_last, run
from verifier.daybook_verify_bundle import Verdict, verify

pytestmark = pytest.mark.anyio

BUNDLE = """
    query Bundle($id: ID!, $at: Moment) {
        position
        auditBundle(customer: $id, asOf: $at) { file position checkpoint }
    }
"""
HISTORY = "query H($id: ID!) { customer(id: $id) { history(first: 100) { nodes { position recordedAt data } } } }"
NOBODY = type_id("cus", UUID(int=1))
SEEN = ("READ_CUSTOMERS", "SEE_AMOUNTS", "READ_BOOK")
SECRETS = ("Grace Hopper", "grace@example.com", "4711-secret", "Navy", "A ship for Grace", "Because she asked")


class Office(NamedTuple):
    client: Client
    customer: str
    other: str
    deal: str
    vkey: str

    async def bundle(self, at: Any = None, customer: str = "", **headers: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (
            await self.client.data(BUNDLE, {"id": customer or self.customer, "at": at}, **headers)
        )["auditBundle"]
        return found

    async def signed(self, customer: str, position: str) -> dict[str, Any]:
        """The bundle up to a position, once a checkpoint is over it: within seconds."""
        with anyio.fail_after(30):
            while True:
                answer = (await self.client.post(BUNDLE, {"id": customer, "at": {"position": position}})).json()
                if "errors" not in answer:
                    found: dict[str, Any] = answer["data"]["auditBundle"]
                    return found
                assert [one["extensions"]["code"] for one in answer["errors"]] == ["POSITION_NOT_REACHED"]
                await anyio.sleep(0.1)

    async def proven(self, at: Any = None, **headers: str) -> Verdict:
        bundle = await self.bundle(at, **headers)
        assert bundle is not None
        verdict = verify(bundle["file"].encode(), self.vkey)
        assert bundle["checkpoint"] == msgspec.json.decode(bundle["file"])["checkpoint"]
        assert verdict.through == int(bundle["position"])
        return verdict

    async def code(self, query: str, given: Any, **headers: str) -> str:
        [error] = (await self.client.post(query, given, **headers)).json()["errors"]
        code: str = error["extensions"]["code"]
        return code


@asynccontextmanager
async def office(database: str, folder: Path) -> AsyncIterator[Office]:
    async with serving(database, folder) as client:

        async def done(mutation: str, of: str = "customer", /, **given: Any) -> str:
            payload = await client.mutate(mutation, f"{of} {{ id }} userErrors {{ message }}", **given)
            assert payload["userErrors"] == []
            id: str = payload[of]["id"]
            return id

        points = [{"kind": "EMAIL", "value": "grace@example.com"}]
        ids = [{"source": "erp", "id": "4711-secret"}]
        named = {"kind": "PERSON", "name": "Grace Hopper"}
        customer = await done("customerRegister", **named, contactPoints=points, externalIds=ids)
        other = await done("customerRegister", kind="PERSON", name="Ada Lovelace")
        stages = [{"name": "Talking", "probability": "10", "category": "PIPELINE"}]
        pipeline = await done("pipelineDefine", "pipeline", name="Sales", currency="EUR", stages=stages)
        deal = await done("opportunityOpen", "opportunity", title="A ship", customer=customer, pipeline=pipeline)
        await done("customerAddTag", id=customer, tag="Navy")
        await done("customerAddNote", id=customer, text="A ship for Grace")
        await done("customerArchive", id=customer, reason="Because she asked")
        vkey = str(Signer.read((folder / "signing.key").read_text().strip()).verifier)
        here = Office(client, customer, other, deal, vkey)
        await here.signed(customer, (await client.data("{ position }"))["position"])
        yield here


async def test_what_an_auditor_takes_along(database: str, tmp_path: Path) -> None:
    async with office(database, tmp_path) as at:
        history = (await at.client.data(HISTORY, {"id": at.customer}))["customer"]["history"]["nodes"]
        whole = await at.proven()
        assert (whole.customer, whole.entries, whole.opened) == (at.customer, len(history), 0)

        # At each moment, by position or by time, the entries up to there, proven against the newest checkpoint.
        for many, entry in enumerate(history, start=1):
            for moment in ({"position": entry["position"]}, {"time": entry["recordedAt"]}):
                then = await at.proven(moment)
                assert (then.entries, then.through) == (many, int(entry["position"]))
                assert then.story == whole.story[:many]
        assert await at.bundle({"position": "0"}) is None
        assert await at.bundle(customer=NOBODY) is None

        # Nobody's personal data stands in it, also for those who see it everywhere else: no key leaves unrecorded.
        before = (await at.client.data("{ position }"))["position"]
        bundle = await at.bundle()
        assert bundle is not None
        leaves = [base64.b64decode(one["leaf"]) for one in msgspec.json.decode(bundle["file"])["entries"]]
        bare = bundle["file"].encode() + b"".join(leaves)
        assert [one for one in SECRETS if one.encode() in bare] == []
        assert "event_key" not in bundle["file"]
        assert (await at.client.data("{ position }"))["position"] == before

        future = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        for given, code in (
            ({"id": at.deal}, "BAD_USER_INPUT"),
            ({"id": "nobody"}, "BAD_USER_INPUT"),
            ({"id": at.customer, "at": {}}, "BAD_USER_INPUT"),
            ({"id": at.customer, "at": {"position": "1", "time": future}}, "BAD_USER_INPUT"),
            ({"id": at.customer, "at": {"time": future}}, "BAD_USER_INPUT"),
            ({"id": at.customer, "at": {"position": "9223372036854775807"}}, "POSITION_UNKNOWN"),
        ):
            assert await at.code(BUNDLE, given) == code
        position = (await at.client.mutate("customerRename", "position", id=at.other, name="Ada Byron"))["position"]
        assert (await at.signed(at.other, position))["position"] == position


async def test_what_was_altered_is_not_bundled(database: str, superuser: str, tmp_path: Path) -> None:
    async with office(database, tmp_path) as at:
        with psycopg.connect(
            make_conninfo(superuser, dbname=conninfo_to_dict(database)["dbname"]), autocommit=True
        ) as db:
            disarm(db)
            run(db, "UPDATE daybook.events SET actor = 'nobody' WHERE topic = 'CustomerTagAdded'")
        [error] = (await at.client.post(BUNDLE, {"id": at.customer})).json()["errors"]
        assert error["extensions"]["code"] == "RECORD_ALTERED"
        assert "can't be proven" in error["message"]
        assert await at.bundle(customer=at.other) is not None, "the others' entries are as they were"


async def test_nothing_is_proven_against_a_checkpoint_that_was_forged(
    database: str, superuser: str, tmp_path: Path
) -> None:
    async with office(database, tmp_path) as at:
        with psycopg.connect(
            make_conninfo(superuser, dbname=conninfo_to_dict(database)["dbname"]), autocommit=True
        ) as db:
            disarm(db)
            forge_last(db)
        assert await at.code(BUNDLE, {"id": at.customer}) == "RECORD_ALTERED"


async def test_a_history_whose_versions_have_a_gap_is_not_bundled(database: str, tmp_path: Path) -> None:
    async with office(database, tmp_path) as at:
        changed = await at.client.mutate("customerChangeRelationship", "position", id=at.other, relationship="DORMANT")
        with psycopg.connect(database, autocommit=True) as db:
            run(
                db, f"CREATE TEMP TABLE skipping AS SELECT * FROM daybook.events WHERE position = {changed['position']}"
            )
            run(
                db,
                "UPDATE skipping SET position = (SELECT max(position) + 1 FROM daybook.events), recorded_at = now(),"
                " originator_version = originator_version + 2, event_id = gen_random_uuid()",
            )
            inserted = db.execute("INSERT INTO daybook.events SELECT * FROM skipping RETURNING position")
            [(position,)] = inserted.fetchall()
        await at.client.data("{ position }", Daybook_At_Least=str(position))
        await at.signed(at.customer, str(position))
        assert await at.code(BUNDLE, {"id": at.other}) == "RECORD_ALTERED"
        then = await at.bundle({"position": changed["position"]}, at.other)
        assert then is not None


async def test_it_is_for_whoever_sees_the_customer_and_every_column(database: str, tmp_path: Path) -> None:
    async with office(database, tmp_path) as at:
        masked = await at.client.token(*SEEN)
        assert (await at.proven(**masked)).story == (await at.proven()).story
        # Who does not see all of it is told what they are told of a customer that is not there.
        for without in SEEN:
            blind = await at.client.token("READ_TICKETS", *(one for one in SEEN if one != without))
            assert await at.bundle(**blind) is None
            assert await at.bundle(customer=NOBODY, **blind) is None


async def test_it_ends_before_an_entry_that_cannot_be_read(database: str, tmp_path: Path) -> None:
    async with office(database, tmp_path) as at:
        whole = await at.proven()
        with psycopg.connect(database, autocommit=True) as db:
            position = add_unreadable(db, parse_type_id(at.customer)[1])
        await at.client.data("{ position }", Daybook_At_Least=str(position))
        await at.signed(at.other, str(position))
        for moment in (None, {"position": str(position)}):
            assert (await at.proven(moment)).entries == whole.entries
