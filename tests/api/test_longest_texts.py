"""The longest texts that commands take, of several scripts: whoever may enter one finds it in the read models.

They are drawn so that they can't be compressed, for PostgreSQL compresses what it puts into an index.
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from projections.sorting import LONGEST_KEY, sort_key
from tests.api.book import Client, serving

pytestmark = pytest.mark.anyio

SCRIPTS: dict[str, Sequence[int]] = {
    "Hangul": range(0xAC00, 0xD7A4),
    "Chinese, beyond the first plane": range(0x20000, 0x2A6D7),
    "emoji": range(0x1F300, 0x1F650),
    "letters that become several in lower case": [0x00DF, 0x0149, 0x0390, 0x03B0, 0x1E96, 0x1FB7, 0x1FF7, 0xFB03],
    "signs that stand for words": [*range(0x3300, 0x3358), *range(0x3380, 0x33E0), 0xFDFA, 0xFDFB],
    "letters that are decomposed": [*range(0x1D15E, 0x1D165), *range(0xFB1D, 0xFB37)],
}
NAME, LABEL, CONTACT_POINT = 200, 60, 1000


@pytest.fixture
def drawn(request: pytest.FixtureRequest) -> Random:
    return Random(request.node.name)


def longest(script: str, length: int, random: Random) -> str:
    """A text of no more letters than so many as the domain counts them: in NFC, which takes some of them apart."""
    letters = [unicodedata.normalize("NFC", chr(random.choice(SCRIPTS[script]))) for _ in range(length)]
    while len(text := unicodedata.normalize("NFC", "".join(letters))) > length:
        letters.pop()
    return text


async def entered(client: Client, mutation: str, selection: str, **given: Any) -> Any:
    payload = await client.mutate(mutation, f"{selection} userErrors {{ code path message }}", **given)
    assert payload["userErrors"] == []
    return payload[selection.split(" ")[0]]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_the_longest_texts_are_in_the_read_models(
    script: str, database: str, tmp_path: Path, drawn: Random
) -> None:
    def name() -> str:
        return longest(script, NAME, drawn)

    def label() -> str:
        return longest(script, LABEL, drawn)

    def external_ids() -> list[dict[str, str]]:
        return [{"source": label(), "id": name()} for _ in range(20)]

    def points() -> list[dict[str, str]]:
        address = [longest(script, CONTACT_POINT, drawn) for _ in range(2)]
        web = f"https://example.com/{longest(script, CONTACT_POINT - 20, drawn)}"
        return [
            *({"kind": "ADDRESS", "value": value, "label": label()} for value in address),
            {"kind": "SOCIAL", "value": longest(script, CONTACT_POINT, drawn)},
            {"kind": "WEB", "value": web},
        ]

    async with serving(database, tmp_path) as client:
        named, called = name(), points()
        id = (
            await entered(
                client, "customerRegister", "customer { id }",
                kind="ORGANISATION", name=named, source=label(), contactPoints=called, externalIds=external_ids(),
            )
        )["id"]  # fmt: skip
        commands: dict[str, dict[str, Any]] = {
            "customerAddTag": {"tag": label()},
            "customerClassify": {"scheme": label(), "value": label()},
            "customerGrantConsent": {"purpose": label(), "channel": "EMAIL", "basis": "CONSENT"},
            "customerChangeDetails": {"legalName": name()},
            "customerAddContactPoint": {"contactPoint": {"kind": "ADDRESS", "value": longest(script, 1000, drawn)}},
        }
        for mutation, given in commands.items():
            await entered(client, mutation, "customer { id }", id=id, **given)
        others: dict[str, dict[str, Any]] = {
            "team": {"name": name(), "externalIds": external_ids()},
            "queue": {"name": name()},
            "product": {"name": name(), "code": label(), "series": name(), "externalIds": external_ids()},
            "staffMember": {"name": name(), "externalIds": external_ids()},
            "ticket": {"subject": name(), "channel": "EMAIL", "customer": id, "externalIds": external_ids()},
        }
        verbs = {"team": "Create", "queue": "Create", "product": "Add", "staffMember": "Register", "ticket": "Open"}
        for kind, given in others.items():
            assert await entered(client, kind + verbs[kind], f"{kind} {{ id }}", **given)
        stages = [{"name": name(), "probability": "50"}]
        pipeline = await entered(client, "pipelineDefine", "pipeline { id }", name=name(), stages=stages)
        deal = {"title": name(), "pipeline": pipeline["id"], "externalIds": external_ids()}
        assert await entered(client, "opportunityOpen", "opportunity { id }", **deal)

        found = await client.data(
            """query($id: ID!, $text: String!, $name: String!) {
              customer(id: $id) { name tags contactPoints { value } externalIds { id } }
              customers(first: 9, orderBy: [{field: NAME}], where: {
                name: {startsWith: $name} contactPoints: {some: {normalised: {eq: $text}}}
              }) { nodes { id } }
            }""",
            {"id": id, "text": " ".join(called[0]["value"].casefold().split()), "name": named},
        )
        assert found["customer"]["name"] == named
        assert [point["value"] for point in found["customer"]["contactPoints"]][:4] == [one["value"] for one in called]
        assert (len(found["customer"]["tags"]), len(found["customer"]["externalIds"])) == (1, 20)
        if len(sort_key(named).encode()) < LONGEST_KEY:
            assert found["customers"]["nodes"] == [{"id": id}]
    with psycopg.connect(database) as db:
        assert db.execute("SELECT model, event, error FROM daybook_projections.parked").fetchall() == []


def test_a_sort_key_leaves_room_for_an_id_beside_it() -> None:
    assert len(sort_key("\ufdfa" * NAME).encode()) <= LONGEST_KEY < 2_704 - 100
    every_script = {script: longest(script, NAME, Random(script)) for script in SCRIPTS if "sign" not in script}
    for text in every_script.values():
        assert sort_key(text[:-1] + "!").endswith("!"), "nothing is cut"


async def test_a_contact_point_of_any_length_is_found_by_an_index(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        await entered(client, "customerRegister", "customer { id }", kind="PERSON", name=str(uuid4()))
    with psycopg.connect(database) as db:
        db.execute("SET enable_seqscan = off")
        for condition in ("= %s", "= any(array[%s, 'another'])"):
            plan = db.execute(
                f"EXPLAIN SELECT FROM daybook_read.customer_contact_points WHERE normalised {condition}",
                ("ada@example.com",),
            ).fetchall()
            assert "customer_contact_points_normalised_idx" in str(plan)
