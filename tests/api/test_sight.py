"""Permissions on the side of reading: the compiler answers as if what one does not see were not there."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count, product
from random import Random
from typing import Any

import msgspec
import pytest
from graphql import GraphQLError
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from strawberry.utils.str_converters import to_snake_case

from api.reading.entries import hidden_fields as hidden_fields_of_entries
from api.reading.policies import POLICIES
from api.reading.sight import Sight
from domain.access import Authority
from domain.catalogue import camel, catalogue
from domain.kernel import parse_type_id
from domain.kernel.permissions import Permission, Scope
from tests.api.desk import Desk, desk
from tests.api.questions import question
from tests.api.reference import Reference, plain
from tests.api.sample import TABLES, Rows, load, sample
from tests.api.seen import elsewhere, hidden_fields, limited, seen, somebody
from tests.api.told import reads

PEOPLE = 40
QUESTIONS = 15
"""Of each of them."""
ROWS = sample(seed=2)


@pytest.fixture(scope="module")
def module_rows(module_database: str) -> str:
    load(module_database, ROWS)
    return module_database


@pytest.fixture
def at(module_rows: str) -> Iterator[Desk]:
    with desk(module_rows) as one:
        yield one


def test_every_table_has_a_policy() -> None:
    assert set(POLICIES) == set(TABLES)


def test_what_is_hidden_may_be_null() -> None:
    for name, policy in POLICIES.items():
        for column, mask in {**policy.personal, **policy.amounts}.items():
            required = "NOT NULL" in TABLES[name].columns[column]
            assert required == (mask.instead != "NULL"), (name, column)


def test_external_ids_are_hidden_in_entries_as_they_are_in_records() -> None:
    hidden = hidden_fields_of_entries(personal=False, amounts=True)
    told = {
        name
        for name, shape in catalogue.shapes.items()
        for field in shape.type.__struct_fields__
        if field.startswith("external_id") and camel(field) not in hidden.get(name, ())
    }
    assert told == {"ProductAdded", "ProductExternalIdAdded"}, "of records, those of products alone are everybody's"


def test_a_currency_is_hidden_in_entries_with_the_amount_that_it_is_of() -> None:
    hidden = hidden_fields_of_entries(personal=True, amounts=False)
    told = {
        name
        for name, shape in catalogue.shapes.items()
        for field in shape.type.__struct_fields__
        if "currency" in field and camel(field) not in hidden.get(name, ())
    }
    assert told == {"PipelineDefined"}, "which currency a pipeline counts in is everybody's"


@contextmanager
def _loaded(conninfo: str, world: Rows) -> Iterator[Desk]:
    load(conninfo, world)
    with desk(conninfo) as at:
        yield at


LISTS = """
query Lists({declared}$id: ID!) {{
  rows: {list}(first: 7{search}) {{
    totalCount edges {{ cursor node {{ id }} }} pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }}
  }}
  last: {list}(last: 3) {{ edges {{ cursor }} pageInfo {{ hasPreviousPage }} }}
  node(id: $id) {{ id }}
}}
"""


def _people() -> Iterator[int]:
    """Seeds of two people for whom personal data, amounts, both or neither are hidden, and who see records of any kind.

    Others are told so little that hardly any question tells two worlds apart.
    """
    found = dict.fromkeys(product((True, False), repeat=2), 0)
    for person in count():
        who = somebody(Random(person), ROWS)
        hidden = (Permission.SEE_PERSONAL_DATA not in who.grants, Permission.SEE_AMOUNTS not in who.grants)
        if found[hidden] == 2:
            continue
        world = seen(ROWS, who)
        if min(len(world[table]) for table in ("customers", "opportunities", "tickets")) >= 5:
            found[hidden] += 1
            yield person
        if min(found.values()) == 2:
            return


@pytest.mark.parametrize("person", tuple(_people()))
def test_what_one_does_not_see_changes_nothing_that_one_is_told(
    another_database: Callable[[], AbstractContextManager[str]], person: int
) -> None:
    """Two worlds that differ only there answer alike, letter by letter: cursors, counts, sums and errors too."""
    chance = Random(person)
    who = somebody(chance, ROWS)
    other = elsewhere(ROWS, who, chance, sample(seed=100 + person))
    assert {table for table in TABLES if ROWS[table] != other[table]}
    with (
        another_database() as one,
        another_database() as another,
        _loaded(one, ROWS) as here,
        _loaded(another, other) as there,
    ):

        def alike(text: str, variables: dict[str, Any]) -> None:
            assert _told(here, who, text, variables) == _told(there, who, text, variables), f"{text} {variables}"

        @seed(person)
        @settings(max_examples=25, database=None)
        @given(st.randoms(use_true_random=False))
        def whatever_is_asked(drawn: Random) -> None:
            alike(*question(drawn, here.schema, ROWS))

        whatever_is_asked()
        for text in reads(1):
            alike(text, {})
        for name in ("customers", "opportunities", "tickets", "staffMembers", "apiTokens"):
            searches = ", search: $search" if name in ("customers", "opportunities", "tickets") else ""
            ids = [row["id"] for row in ROWS[to_snake_case(name)]]
            for search in ("zoe", "a", "example"):
                declared = "$search: String, " if searches else ""
                text = LISTS.format(list=name, search=searches, declared=declared)
                alike(text, {"search": search, "id": chance.choice(ids)})


def _told(at: Desk, who: Authority, text: str, variables: dict[str, Any]) -> str:
    document, operation = at.parsed(text)
    try:
        return at.runner.run(at.reader.query(document, operation, variables, Sight(who))).data.decode()
    except GraphQLError as error:
        return error.message


@pytest.mark.parametrize("person", range(PEOPLE))
def test_everybody_s_answers_are_those_of_the_world_that_they_see(at: Desk, person: int) -> None:
    who = somebody(Random(person), ROWS)
    sight = Sight(who)
    reference = Reference(
        seen(ROWS, who),
        searches=Permission.SEE_PERSONAL_DATA in who.grants,
        hidden=lambda kind, row: hidden_fields(who, kind, row),
        limited=limited(who),
    )
    for number in range(QUESTIONS * person, QUESTIONS * (person + 1)):
        asked, variables = question(number, at.schema, ROWS)
        document, operation = at.parsed(asked)
        expected = plain(reference.answer(document, variables))
        answer = at.runner.run(at.reader.query(document, operation, variables, sight)).data
        assert msgspec.json.decode(answer) == expected, (who, number, asked, variables)


@pytest.mark.parametrize("scope", [None, Scope.OWN])
def test_groups_by_a_record_do_not_tell_hidden_ones_apart(at: Desk, scope: Scope | None) -> None:
    """What is hidden is one group, with what has none: the same as if it were not there."""
    owner = next(row["owner_id"] for row in ROWS["customers"] if row["owner_id"] and "nowhere" not in row["owner_id"])
    grants = {Permission.READ_TICKETS: Scope.ALL, Permission.READ_OPPORTUNITIES: Scope.ALL}
    grants |= {} if scope is None else {Permission.READ_CUSTOMERS: scope}
    who = Authority(actor="user:rosa", staff_member=parse_type_id(owner)[1], grants=grants)
    own = {row["id"] for row in ROWS["customers"] if scope and row["owner_id"] == owner}
    for field, table, records in (
        ("ticketGroups", "tickets", ROWS["tickets"]),
        ("opportunityGroups", "opportunities", ROWS["opportunities"]),
    ):
        told = msgspec.json.decode(_told(at, who, f"{{ {field}(by: [CUSTOMER]) {{ count customer {{ id }} }} }}", {}))
        found = [(one["customer"] and one["customer"]["id"], one["count"]) for one in told[field]]
        expected = Counter(row["customer_id"] if row["customer_id"] in own else None for row in records)
        assert len(found) == len(expected), (table, found)
        assert dict(found) == expected
