"""Looking records up: by id, which can be wrong in two ways, by what others call them, by e-mail."""

from collections.abc import Iterator
from typing import Literal
from unicodedata import normalize
from uuid import UUID

import psycopg
import pytest
from graphql import GraphQLError

from domain.catalogue import catalogue
from domain.kernel import type_id
from tests.api.desk import Desk, desk
from tests.api.sample import Rows, load, sample

ROWS: Rows = sample(seed=4)
NOBODY = {prefix: type_id(prefix, UUID(int=5)) for prefix in catalogue.prefixes.values()}


@pytest.fixture(scope="module")
def rows_there(module_database: str) -> str:
    load(module_database, ROWS)
    return module_database


@pytest.fixture
def at(rows_there: str) -> Iterator[Desk]:
    with desk(rows_there) as one:
        yield one


@pytest.mark.parametrize("field", ["customer", "opportunity", "pipeline", "ticket", "product", "staffMember", "team"])
def test_an_id_is_found_unknown_of_another_kind_or_none(at: Desk, field: str) -> None:
    snake = "staff_member" if field == "staffMember" else field
    prefix = catalogue.prefixes[snake]
    table = "opportunities" if field == "opportunity" else f"{snake}s"
    query = f"query Q($id: ID!) {{ {field}(id: $id) {{ id }} }}"
    there = ROWS[table][0]["id"]
    assert at.data(query, {"id": there}) == {field: {"id": there}}
    assert at.data(query, {"id": NOBODY[prefix]}) == {field: None}
    other = NOBODY[next(one for one in NOBODY if one != prefix)]
    for wrong, what in (
        (other, "is an id of another kind of record"),
        ("x", "is no id"),
        ("", "is no id"),
        (there.upper(), "is no id"),
        (f"{there} ", "is no id"),
        (f"{there}0", "is no id"),
        ("x'); DROP TABLE daybook_read.customers; --", "is no id"),
    ):
        with pytest.raises(GraphQLError, match=what) as refused:
            at.data(query, {"id": wrong})
        assert refused.value.extensions == {"code": "BAD_USER_INPUT"}
        assert f"looks like `{prefix}_01h455vb4pex5vsknk084sn02q`" in refused.value.message


def test_a_node_is_a_record_of_any_kind_but_of_no_other(at: Desk) -> None:
    there = ROWS["teams"][0]["id"]
    query = "query Q($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert at.data(query, {"ids": [NOBODY["cus"], there]}) == {"nodes": [None, {"id": there}]}
    stage = type_id("stg", UUID(int=5))
    for wrong in ("", "x" * 500, stage):
        with pytest.raises(GraphQLError, match=r"is no id|is an id of another kind of record") as refused:
            at.data(query, {"ids": [there, wrong]})
        assert len(refused.value.message) < 300
        with pytest.raises(GraphQLError, match="`cmp_01h455vb4pex5vsknk084sn02q`, or begins with `cus_`"):
            at.data("query Q($id: ID!) { node(id: $id) { id } }", {"id": wrong})


@pytest.mark.parametrize("kind", ["customer", "opportunity", "ticket", "product"])
def test_what_another_system_calls_it(at: Desk, kind: str) -> None:
    table = ROWS["opportunities" if kind == "opportunity" else f"{kind}s"]
    present = {row["id"] for row in table}
    query = f"query Q($source: String!, $id: String!) {{ it: {kind}ByExternalId(source: $source, id: $id) {{ id }} }}"
    found = 0
    for row in ROWS[f"{kind}_external_ids"]:
        named = {row["source"], row["external_id"]}
        ours = {
            one[f"{kind}_id"]
            for one in ROWS[f"{kind}_external_ids"]
            if {one["source"], one["external_id"]} == named and one[f"{kind}_id"] in present
        }
        it = at.data(query, {"source": row["source"], "id": row["external_id"]})["it"]
        assert it is None if not ours else it["id"] in ours
        found += bool(ours)
    assert found
    assert at.data(query, {"source": "OLD", "id": "1"}) == {"it": None}


def test_an_external_id_is_found_however_its_accents_are_written(at: Desk, rows_there: str) -> None:
    query = "query Q($source: String!, $id: String!) { it: customerByExternalId(source: $source, id: $id) { id } }"
    there = ROWS["customers"][0]["id"]
    with psycopg.connect(rows_there, autocommit=True) as db:
        insert = "INSERT INTO daybook_read.customer_external_ids VALUES (%s, 'büro', 'Öl', 1, 1, now())"
        db.execute(insert, (there,))
    forms: tuple[Literal["NFC", "NFD"], ...] = "NFC", "NFD"
    for form in forms:
        assert at.data(query, {"source": normalize(form, "büro"), "id": normalize(form, "Öl")}) == {"it": {"id": there}}


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ('productByExternalId(source: $text, id: "1") { id }', "source"),
        ('ticketByExternalId(source: "x", id: $text) { id }', "id"),
        ("customerByEmail(email: $text) { id }", "email"),
        ("customerGroups(by: [CLASSIFICATION], scheme: $text) { count }", "scheme"),
    ],
)
def test_a_text_with_more_marks_than_any_language_has_is_not_even_composed(at: Desk, field: str, given: str) -> None:
    for text, why in (("o" + "\u0308" * 31, "More than 30"), ("x" * 80_001, "The text has 80001")):
        with pytest.raises(GraphQLError, match=f"^`{given}`: {why}") as refused:
            at.data(f"query Q($text: String!) {{ {field} }}", {"text": text})
        assert refused.value.extensions == {"code": "BAD_USER_INPUT"}


def test_an_address_in_any_spelling_and_one_in_use_first(at: Desk, rows_there: str) -> None:
    query = "query Q($email: String!) { it: customerByEmail(email: $email) { id } }"
    active = [row["id"] for row in ROWS["customers"] if row["status"] == "active"][:2]
    archived = next(row["id"] for row in ROWS["customers"] if row["status"] == "archived")
    point = {**ROWS["customer_contact_points"][0], "kind": "email", "normalised": "zoë@xn--bcher-kva.example"}
    with psycopg.connect(rows_there, autocommit=True) as db:
        for n, (customer, registered) in enumerate(((archived, 1), (active[0], 3), (active[1], 2))):
            db.execute(
                "INSERT INTO daybook_read.customer_contact_points"
                " VALUES (%s, %s, 'email', 'x', %s, NULL, false, %s, now(), 1, now())",
                (f"cpt_{n}", customer, point["normalised"], n),
            )
            db.execute(
                "UPDATE daybook_read.customers SET registered_position = %s WHERE id = %s", (registered, customer)
            )
    apart = normalize("NFD", "zoë@bücher.example")
    for spelling in (
        "zoë@bücher.example",
        "ZOË@BÜCHER.example",
        "zoë@xn--bcher-kva.example",
        apart,
        " zoë@bücher.example\n",
    ):
        assert at.data(query, {"email": spelling}) == {"it": {"id": active[1]}}
    assert at.data(query, {"email": "nobody@example.com"}) == {"it": None}
    with pytest.raises(GraphQLError, match="`zoë at home` is no e-mail address") as refused:
        at.data(query, {"email": "zoë at home"})
    assert refused.value.extensions == {"code": "BAD_USER_INPUT"}
