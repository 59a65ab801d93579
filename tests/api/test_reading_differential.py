"""The compiler against the reference: whatever is asked, one statement answers what Python finds in the same rows."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from api.reading.sources import SOURCE, Many
from tests.api.desk import Desk, desk
from tests.api.questions import Questions, question
from tests.api.reference import Reference, declared, plain
from tests.api.sample import load, sample
from tests.api.sights import ALL
from tests.postgres import MAJOR, NEWEST

QUESTIONS = 1_600 if MAJOR == NEWEST else 200
CONDITIONS = 600 if MAJOR == NEWEST else 100
"""For each list. On other versions of PostgreSQL fewer: what the compiler writes is the same."""
ROWS = sample(seed=1)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(ROWS)


@pytest.fixture
def at(module_rows: str) -> Iterator[Desk]:
    with desk(module_rows) as one:
        yield one


@pytest.fixture(scope="module")
def module_rows(module_database: str) -> str:
    load(module_database, ROWS)
    return module_database


def test_random_questions_have_the_reference_s_answer(at: Desk, reference: Reference) -> None:
    for seed in range(QUESTIONS):
        asked, variables = question(seed, at.schema, ROWS)
        document, operation = at.parsed(asked)
        expected = plain(reference.answer(document, variables))
        for _ in range(2):  # the second time out of the plan cache
            answer = at.runner.run(at.reader.query(document, operation, variables, ALL)).data
            assert msgspec.json.decode(answer) == expected, (seed, asked, variables)


def lists(desk: Desk) -> Iterator[tuple[str, GraphQLField, GraphQLObjectType, Many]]:
    """Every list at the root, with the type of its elements."""
    query = desk.schema.query_type
    assert query is not None
    for name, field in query.fields.items():
        source = declared(field).get(SOURCE)
        if isinstance(source, Many):
            nodes = get_named_type(field.type).fields["nodes"]
            kind = get_named_type(nodes.type)
            assert isinstance(kind, GraphQLObjectType)
            yield name, field, kind, source


def test_random_filters_and_orders_keep_the_rows_that_python_keeps(at: Desk, reference: Reference) -> None:
    """Conditions and orders alone, as variables of one document: one list after the other, all rows of it."""
    kept: dict[str, set[int]] = {}
    for name, field, kind, source in lists(at):
        key = "position" if name == "history" else "id"
        where, order = field.args["where"].type, field.args["orderBy"].type
        document, operation = at.parsed(
            f"query Q($where: {where}, $by: {order}) {{ rows: {name}(first: 100, where: $where, orderBy: $by) {{"
            f" totalCount nodes {{ {key} }} }} }}"
        )
        for seed in range(CONDITIONS):
            questions = Questions(seed, at.schema, ROWS)
            given: dict[str, Any] = {"where": questions.where(get_named_type(where))}
            if questions.chance(2):
                given["by"] = questions.order(get_named_type(order))
            expected = [str(row[key]) for row in reference.rows_of(kind, source, at.coerced(operation, given))]
            found = msgspec.json.decode(at.runner.run(at.reader.query(document, operation, given, ALL)).data)["rows"]
            assert [each[key] for each in found["nodes"]] == expected, (name, seed, given)
            assert found["totalCount"] == len(expected)
            kept.setdefault(name, set()).add(len(expected))
    # The conditions are worth something: they keep now all, now nothing, now this, now that.
    assert all({0} < counts and len(counts) > 3 for counts in kept.values()), kept
