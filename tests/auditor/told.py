"""A book with whatever a customer's history may hold, and entries that no version of ours would write."""

import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.kernel import parse_type_id
from infra.master_key import master_key
from infra.seals import derive
from tests.api.book import Client
from tests.api.identity.signing_in import asked_by_somebody

AWKWARD = "  A\u202eB\u2066 \u2028|  → nothing, : \U0001f98a\u200d\u00a0_ x "

STRANGE: Sequence[Mapping[str, Any]] = (
    {"topic": "NobodyKnows"},
    {"topic": "NobodyKnows", "personal": b'{"mood": "good"}'},
    {"topic": "a: b\n   by demo", "actor": "a\nb\u202e", "on_behalf_of": "user:\u2028x", "causation_id": UUID(int=0)},
    {"actor": "", "on_behalf_of": "", "idempotency_key": UUID(int=1)},
    *({"state": state} for state in (b"", b"\xff", b"[]", b'{"mood": "good"}', b"\xef\xbb\xbf{}", b" {} ", b"{}\n{}")),
    *(
        {"topic": "CustomerRelationshipChanged", "state": state}
        for state in (
            b'{"old": "active", "new": "enemy"}',
            b'{"new": 1.50, "old": -0}',
            b'{"new": 1e5, "old": true}',
            b'{"new": [], "old": [null, {}, [1, ""]]}',
            b'{"new": {"old": null, "new": {"10": 1, "2": 2, "a_b\\n": 3}}, "old": {"old": 1}}',
            b'{"new": "a", "new": "b", "old": 1}',
            b'{"new": {"a": 1, "a": 2}, "old": 1}',
            b'{"new": "\\ud800", "old": 1}',
            b'{"new": "\\ud83e\\udd8a\\u0000", "old": "\x7f"}',
        )
    ),
    {
        "topic": "CustomerPersonalDataErased",  # an older shape
        "state": b'{"ground": "person_asked", "opportunities": [], "tickets": [], "keys": 2, "entries": 17}',
    },
    *(
        {"personal": personal}
        for personal in (
            b'{"tag": "VIP"}',
            b'{"tag": "VIP", "$reason": "So"}',
            b'{"$reason": "So"}',
            b"{}",
            b'{"tag": "VIP", "mood": 1}',
            b'{"tag": {"a": [" ", "\\u0000\\n"], "b": [1, [2, 3]], "$reason": "x"}}',
            b'{"tag": "a", "tag": "b"}',
            b"",
            b"\xff",
        )
    ),
)
"""Columns of entries; `personal` is what is sealed, under the customer's key."""


class Story:
    """Customers who have been through everything."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def begin(self) -> None:
        points = [
            {"kind": "EMAIL", "value": "grace@example.com", "label": AWKWARD},
            {"kind": "WEB", "value": "g.example"},
        ]
        known: dict[str, Any] = {"externalIds": [{"source": "erp", "id": "1"}], "contactPoints": points}
        self.grace = grace = await self.registered(name=f"Grace{AWKWARD}Hopper", **known)
        self.navy = navy = await self.registered(kind="ORGANISATION", name="Navy")
        self.gone = await self.registered(name="Gone", contactPoints=[{"kind": "WEB", "value": "gone.example"}])
        await self._do("customerRename", id=grace, name="Grace", reason=AWKWARD)
        texts: dict[str, Any] = {
            "jobTitle": AWKWARD,
            "description": "A\nB\r\n\r\nC",
            "language": "en",
            "birthday": "1906-12-09",
        }
        await self._do("customerChangeDetails", id=grace, **texts)
        nothing: dict[str, Any] = dict.fromkeys(texts)
        await self._do("customerChangeDetails", id=grace, **nothing)
        numbers: dict[str, Any] = {
            "employees": 3,
            "foundedYear": 1775,
            "annualRevenue": "1000000.50",
            "revenueCurrency": "USD",
        }
        await self._do("customerChangeDetails", id=navy, **numbers)
        for rank in ("admiral", None):
            await self._do("customerClassify", id=grace, scheme="Rank", value=rank)
        for tag in ("VIP", "$reason", "__proto__", "10"):
            await self._do("customerAddTag", id=grace, tag=tag)
        await self._do("customerAddNote", id=grace, text=AWKWARD * 20, reason="A note")
        consent = {"id": grace, "purpose": "news", "channel": "EMAIL"}
        await self._do("customerGrantConsent", **consent, basis="CONSENT", textVersion="1_2")
        await self._do("customerWithdrawConsent", **consent)
        await self._do("customerPlaceLegalHold", id=grace, matter="Case 7")
        await self._do("customerLinkContact", id=navy, person=grace, role="Admiral", since="1943-12-01")
        await self._do("customerAssignParent", id=grace, parent=navy)
        await self._do("customerArchive", id=navy)

    async def go_on(self) -> None:
        """Once Grace's key was rotated."""
        await self._do("customerAddTag", id=self.grace, tag="after the rotation")
        await self._erase(self.gone)

    async def registered(self, kind: str = "PERSON", **given: Any) -> str:
        id: str = (await self._do("customerRegister", "customer { id }", kind=kind, **given))["customer"]["id"]
        return id

    async def bundles(self, id: str) -> dict[str, bytes]:
        """By GraphQL: of all, of half of the book, and with keys."""
        whole = (await self._client.data("{ position }"))["position"]
        query = "query B($id: ID!, $at: Moment) { auditBundle(customer: $id, asOf: $at) { file } }"
        given = {"id": id, "at": {"position": whole}}
        with anyio.fail_after(30):
            while "errors" in (answer := (await self._client.post(query, given)).json()):  # noqa: ASYNC110 - it is signed by another thread
                await anyio.sleep(0.05)
        past = await self._client.data(query, {"id": id, "at": {"position": str(int(whole) // 2)}})
        opened = await self._do("customerUnmask", "auditBundle { file }", id=id, reason="For the court")
        made = {"of all": answer["data"], "of a past moment": past, "with keys": opened}
        return {f"by GraphQL, {what}": found["auditBundle"]["file"].encode() for what, found in made.items()}

    async def _do(self, mutation: str, selection: str = "position", **given: Any) -> dict[str, Any]:
        payload = await self._client.mutate(mutation, f"{selection} userErrors {{ code message }}", **given)
        assert payload["userErrors"] == [], payload
        return payload

    async def _erase(self, id: str) -> None:
        asking = "mutation($i: CustomerRequestErasureInput!) { customerRequestErasure(input: $i) { position } }"
        given = {"id": id, "ground": "PERSON_ASKED", "reason": "Please", "idempotencyKey": str(uuid4())}
        requested = await asked_by_somebody(self._client.http, asking, given)
        assert requested["customerRequestErasure"]["position"], requested
        await self._do("customerErasePersonalData", id=id, reason="Right so")
        asked = "query($id: ID!) { customer(id: $id) { erasure } }"
        with anyio.fail_after(20):
            while (await self._client.data(asked, {"id": id}))["customer"]["erasure"] != "ERASED":  # noqa: ASYNC110
                await anyio.sleep(0.02)


def append(db: psycopg.Connection[Any], folder: Path, of: str, columns: Mapping[str, Any]) -> None:
    """An entry after a customer's last one. `db`: the owner's."""
    id, event = parse_type_id(of)[1], uuid4()
    found = db.execute("SELECT max(originator_version) + 1 FROM daybook.events WHERE originator_id = %s", (id,))
    [(version,)] = found.fetchall()
    sealed = commitment = None
    if (personal := columns.get("personal")) is not None:
        found = db.execute("SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s", (id,))
        key = master_key(folder / "master.key", begun=True).unwrap(found.fetchall()[0][0], id.bytes)
        opening, committing = derive(key, event)
        bound = event.bytes + id.bytes + int(version).to_bytes(8, "big")
        sealed, commitment = (
            AESGCM(opening).encrypt(bytes(12), personal, bound),
            hmac.digest(committing, personal, "sha256"),
        )
    values = {
        "originator_id": id, "subject": id, "correlation_id": event, "event_id": event, "originator_version": version,
        "topic": "CustomerTagAdded", "state": b"{}", "actor": "tester", "sealed": sealed, "commitment": commitment,
        **{name: value for name, value in columns.items() if name != "personal"},
    }  # fmt: skip
    statement = (
        f"INSERT INTO daybook.events (position, recorded_at, occurred_at, {', '.join(values)})"
        f" SELECT max(position) + 1, now(), now(), {', '.join(['%s'] * len(values))} FROM daybook.events"
    )
    db.execute(statement.encode(), [*values.values()])
