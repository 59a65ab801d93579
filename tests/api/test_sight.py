"""Permissions on the side of reading: the compiler answers as if what one does not see were not there."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from graphql import parse

from api.reading.policies import POLICIES
from api.reading.sight import Sight
from domain.kernel.permissions import Permission
from tests.api.desk import Desk, desk
from tests.api.questions import question
from tests.api.reference import Reference, plain
from tests.api.sample import TABLES, load, sample
from tests.api.seen import hidden_fields, seen, somebody

PEOPLE = 40
QUESTIONS = 30
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


@pytest.mark.parametrize("seed", range(PEOPLE))
def test_everybody_s_answers_are_those_of_the_world_that_they_see(at: Desk, seed: int) -> None:
    who = somebody(Random(seed), ROWS)
    sight = Sight(who)
    reference = Reference(
        seen(ROWS, who),
        searches=Permission.SEE_PERSONAL_DATA in who.grants,
        hidden=lambda kind, row: hidden_fields(who, kind, row),
    )
    for number in range(QUESTIONS * seed, QUESTIONS * (seed + 1)):
        asked, variables = question(number, at.schema, ROWS)
        expected = plain(reference.answer(parse(asked), variables))
        document, operation = at.parsed(asked)
        answer = at.runner.run(at.reader.query(document, operation, variables, sight)).data
        assert msgspec.json.decode(answer) == expected, (who, number, asked, variables)
