"""Searching lists: every word, anywhere in a text, whatever its case and accents; with conditions, and counted."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import psycopg
import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from projections.searching import PIECES, pieces_of, search_key
from tests.api.book import Client, serving
from tests.api.desk import desk
from tests.api.plain_lists import in_order
from tests.api.sample import load, sample
from tests.api.searched import QUESTIONS, is_found
from tests.api.sights import ALL

LISTS = {
    "customers": ("customers", "created_at DESC", "status: {in: [ACTIVE, ARCHIVED, ERASED]}"),
    "opportunities": ("opportunities", "opened_at DESC", ""),
    "tickets": ("tickets", "opened_at DESC", ""),
    "products": ("products", "name_key ASC", "status: {in: [ACTIVE, DISCONTINUED]}"),
    "staffMembers": ("staff_members", "name_key ASC", "status: {in: [ACTIVE, DEACTIVATED]}"),
}
FOUND = "query Q($search: String) { customers(first: 9, search: $search) { nodes { name } totalCount } }"


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_what_has_every_word_of_a_search(database: str, name: str) -> None:
    rows, (table, order, where) = sample(seed=3), LISTS[name]
    load(database, rows)
    asked = f"query Q($search: String) {{ {name}(first: 100, search: $search, where: {{{where}}})"
    seen = 0
    with desk(database) as at:
        for search in QUESTIONS:
            found = at.data(f"{asked} {{ nodes {{ id }} totalCount }} }}", {"search": search})[name]
            expected = [
                row["id"] for row in in_order(rows[table], order, ("id",)) if is_found(rows, table, row, search)
            ]
            assert ([node["id"] for node in found["nodes"]], found["totalCount"]) == (expected, len(expected)), search
            seen += len(expected) if search.strip() else 0
    assert seen > 5


@pytest.mark.anyio
async def test_people_are_found_by_names_addresses_and_numbers_in_any_script(database: str, tmp_path: Path) -> None:
    people = {
        "Jürgen Müller-Lüdenscheidt": ["jürgen", "JURGEN", "ludens", "muller ludens", "müllerlü", "gen", "r m"],
        "王小明": ["王", "小明", "王小明", "明"],
        "Владимир Йотов": ["влад", "ЙОТОВ", "иотов"],
        "Ελένη Παπαδοπούλου": ["ελενη", "ΠΑΠΑΔΟΠΟΥΛΟΥ", "παπα ελε"],
        "Seán O'Brien": ["o'brien", "obrien", "brien sean"],
        "Ada Lovelace": [
            "ada@example.com",
            "EXAMPLE",
            "044 668 18 00",
            "+41446681800",
            "668-18-00",
            "ada 6681",
            "4466",
            "81800",
        ],
    }
    points = [{"kind": "EMAIL", "value": "Ada@Example.com"}, {"kind": "PHONE", "value": "+41 (0)44 668 18 00"}]
    async with serving(database, tmp_path) as client:
        for name in people:
            given: dict[str, Any] = {"contactPoints": points} if name == "Ada Lovelace" else {}
            await client.mutate("customerRegister", "position", kind="PERSON", name=name, **given)
        for name, searches in people.items():
            for search in searches:
                assert await found(client, search) == [name], search
        assert await found(client, "müller 王小明") == []
        assert await found(client, "180041446") == []  # the end of one number and the beginning of the next


WORDS = st.text("0123456789", min_size=1, max_size=16) | st.text("0123456789aß王", min_size=1, max_size=16)


def test_every_part_of_a_word_is_looked_up_by_pieces_that_its_text_has(database: str) -> None:
    with psycopg.connect(database) as db:

        @given(st.lists(WORDS, min_size=1, max_size=3))
        def looked_up(words: list[str]) -> None:
            text = search_key(" ".join(words))
            asked = f"SELECT {PIECES.format(text='$1::text')}".encode()
            [(pieces,)] = psycopg.RawCursor(db).execute(asked, [text]).fetchall()
            for word in text.split():
                for begin, end in combinations(range(len(word) + 1), 2):
                    assert {*pieces_of(word[begin:end])} <= {*pieces}

        looked_up()


def neighbours(text: str, many: int) -> list[str]:
    return [text[at : at + many] for at in range(len(text) - many + 1)]


def test_the_index_holds_the_pieces_of_a_text_and_nothing_else(database: str) -> None:
    with psycopg.connect(database) as db:

        @given(st.lists(WORDS, max_size=4))
        def held(words: list[str]) -> None:
            text = search_key(" ".join(words))
            asked = f"SELECT {PIECES.format(text='$1::text')}".encode()
            [(pieces,)] = psycopg.RawCursor(db).execute(asked, [text]).fetchall()
            digits = "".join(letter for letter in text if letter in "0123456789")
            numbers = [*neighbours(digits, 4)] if re.search("[0-9]{4}", text) else []
            words_alone = [letter for letter in text if letter > "\u2e7f"]
            assert sorted(pieces) == sorted([*neighbours(text, 2), *neighbours(text, 3), *words_alone, *numbers])

        held()


async def found(client: Client, search: str) -> list[str]:
    nodes = (await client.data(FOUND, {"search": search}))["customers"]["nodes"]
    return [node["name"] for node in nodes]


@pytest.mark.anyio
async def test_what_was_renamed_or_removed_is_not_found_any_more(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        given = {
            "kind": "PERSON",
            "name": "Quetzal",
            "contactPoints": [{"kind": "EMAIL", "value": "q@feathers.example"}],
        }
        shown = "customer { id contactPoints { id } } userErrors { message }"
        customer = (await client.mutate("customerRegister", shown, **given))["customer"]
        assert await found(client, "quetz") == await found(client, "feathers") == ["Quetzal"]
        await client.mutate("customerRename", shown, id=customer["id"], name="Ibis")
        point = customer["contactPoints"][0]["id"]
        gone = await client.mutate("customerRemoveContactPoint", shown, id=customer["id"], contactPoint=point)
        assert gone["userErrors"] == []
        assert await found(client, "quetz") == await found(client, "feathers") == []
        assert await found(client, "ibis") == ["Ibis"]
    with psycopg.connect(database) as db:
        left = db.execute("SELECT text FROM daybook_read.customer_search").fetchall()
    assert left == [("ibis",)]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("?! - .", "`search` holds no letter and no digit to look for"),
        ("\u0000", "`search` holds no letter and no digit to look for"),
        ("\ud800", "`search` holds no letter and no digit to look for"),
        ("a" * 101, "`search` has 101 characters; at most 100"),
        ("a b c d e f g h i j k", "`search` has 11 words; at most 10"),
    ],
)
def test_what_can_t_be_searched_for_is_refused(database: str, search: str, message: str) -> None:
    load(database, sample(seed=1))
    with desk(database) as at:
        for _ in range(2):  # the second time the plan is kept
            with pytest.raises(GraphQLError, match=message) as refused:
                at.data(FOUND, {"search": search})
            assert refused.value.extensions == {"code": "BAD_USER_INPUT"}
        # A plan serves searches of any number of words.
        assert at.data(FOUND, {"search": "nobody of this name"})["customers"] == {"nodes": [], "totalCount": 0}


@pytest.mark.parametrize(
    ("search", "served"),
    [
        ("c4ca4238a0", "Bitmap Index Scan on customer_search"),
        ("x c4ca4238a0", "Bitmap Index Scan on customer_search"),
        # So frequent that the first of the list have it.
        ("lovelace", "Index Scan using customers_created_at_id_idx"),
    ],
)
def test_a_search_is_served_by_an_index(database: str, search: str, served: str) -> None:
    shown = "\n".join(line for (line,) in explained(database, search, "EXPLAIN"))
    assert served in shown
    assert "Seq Scan on customer" not in shown


@pytest.mark.parametrize(
    ("search", "planned"),
    [
        ("c4ca42", {"regexp_replace"}),
        ("e", set[str]()),
        ("a e", {"unnest"}),
        ("c4ca42 e", {"regexp_replace", "unnest"}),
    ],
)
def test_nothing_is_planned_for_what_a_search_has_none_of(database: str, search: str, planned: set[str]) -> None:
    """Else who counts the records with a letter has the pieces of all their texts made, to compare them with none."""
    shown = "\n".join(line for (line,) in explained(database, search, "EXPLAIN", FOUND))
    assert {word for word in ("regexp_replace", "unnest") if word in shown} == planned


def test_pieces_of_a_word_that_everybody_has_are_made_for_those_alone_that_have_the_others(database: str) -> None:
    """To make a text's pieces takes ten times as long as to look for a word in it."""
    [(told,)] = explained(database, "lovelace c4ca42", "EXPLAIN (ANALYZE, FORMAT JSON)")

    def making(node: dict[str, Any]) -> Iterator[int]:
        if "regexp_replace" in node.get("Filter", ""):
            yield node["Actual Loops"]
        for one in node.get("Plans", ()):
            yield from making(one)

    assert "lovelace" in json.dumps(told)
    assert 0 < sum(making(told[0]["Plan"])) < 100


def explained(database: str, search: str, how: str, query: str = FOUND.replace(" totalCount", "")) -> list[tuple[Any]]:
    """How PostgreSQL finds it among 20,000 that are called Lovelace."""
    load(database, sample(seed=1))
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(_MANY)
        db.execute("ANALYZE")
    with desk(database) as at, psycopg.connect(database, cursor_factory=psycopg.RawCursor) as db:
        document, operation = at.parsed(query)
        at.runner.run(at.reader.query(document, operation, {"search": "other words"}, ALL))
        [plan] = at.reader._plans.values()
        sent = plan.parameters(at.reader._variables.coerced(operation, {"search": search}), {})
        parameters = [None if one is None else one.decode() for one in sent]
        return db.execute(f"{how} {plan.sql}".encode(), parameters).fetchall()


_MANY = """
    INSERT INTO daybook_read.customers (
        id, kind, name_key, status, relationship, created_at, registered_position, changed_at, version, position,
        recorded_at, since_occurred_at
    )
    SELECT 'cus_' || n, 'person', '', 'active', 'active', now() + n * interval '1 second', n, now(), 1, n, now(), now()
    FROM generate_series(1, 20000) n;
    INSERT INTO daybook_read.customer_search
    SELECT 'cus_' || n, 'name', '', 'lovelace ' || md5(n::text), n, now() FROM generate_series(1, 20000) n
"""


def test_a_search_is_planned_for_its_words_each_time(database: str) -> None:
    """A statement that the server keeps may be planned for none in particular: then rare words are looked for as slowly
    as frequent ones.
    """
    load(database, sample(seed=1))
    with desk(database) as at:
        for _ in range(4):
            at.data(FOUND, {"search": "zoe"})
            at.data(FOUND, {"search": None})
        # One after another, all went over the same line.
        kept = "SELECT string_agg(statement, ';') FROM pg_prepared_statements"
        [statements] = at.runner.run(at.reader._lines.fetch(kept, []))
    assert statements is not None
    assert b"customers" in statements
    assert b"customer_search" not in statements
