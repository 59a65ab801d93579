"""Limits and cost: what a document amounts to, and that finding out is cheap, whatever the document."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLError, SourceLocation, parse_value, value_from_ast_untyped

from api.documents import Document, Documents, Faulty, Policy, TooCostly
from api.errors import RequestError
from api.limits import (
    MOST_ALIASES,
    MOST_CHARACTERS,
    MOST_COST,
    MOST_DEPTH,
    MOST_DIRECTIVES,
    MOST_FIELDS,
    MOST_NODES,
    MOST_OPERATIONS,
    MOST_ROOTS,
    MOST_TOKENS,
)
from api.reading.reader import Reader, read_pool
from api.schema import the_schema
from api.trusted import DocumentId, TrustedText
from tests.api.bombs import BOMBS
from tests.api.book import serving
from tests.api.sights import ALL

MOST_WORK = 55_000
"""Calls of functions, of which a core does 11,000 in a millisecond while nobody counts them: 5 ms."""

TICKETS = "tickets(first: 100) { nodes { id } }"


def documents(**policy: Any) -> Documents:
    return Documents(the_schema()._schema, Policy(**policy))


def cost(text: str, variables: Mapping[str, Any] | None = None, name: str | None = None) -> int:
    document, operation = documents().of(text, name, variables or {})
    return document.cost(operation, variables or {})


def refusal(text: str, variables: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(RequestError) as refused:
        documents().of(text, None, variables or {})
    assert (refused.value.extensions or {})["code"] == "QUERY_TOO_COMPLEX"
    return refused.value.message


def work(run: Callable[[], object]) -> int:
    """How many functions are called, ours, the library's and Python's own."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_for_little_work(name: str, production: bool) -> None:
    mine = documents(production=production)
    mine.of("{ __typename }", None, {})

    def run() -> None:
        with pytest.raises((GraphQLError, Faulty)):
            mine.of(BOMBS[name], None, {})

    assert work(run) < MOST_WORK


def test_the_work_for_the_largest_document_is_bounded_too() -> None:
    """The yardstick of the test above: it counts what a valid document of that size takes, several times more."""
    fields = " ".join(f"a{at}: name" for at in range(90)) + " id" * 30
    valid = f'{{ customer(id: "x") {{ {fields} }} }}'
    assert MOST_WORK / 20 < work(lambda: documents().of(valid, None, {})) < 3 * MOST_WORK


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{ __typename } #" + "x" * MOST_CHARACTERS, f"at most {MOST_CHARACTERS:,} are allowed"),
        ("{ " + "id " * MOST_TOKENS + "}", f"more than {MOST_TOKENS:,} tokens"),
        (
            " ".join(f"query q{at} {{ __typename }}" for at in range(MOST_OPERATIONS + 1)),
            f"{MOST_OPERATIONS + 1} operations; at most {MOST_OPERATIONS}",
        ),
        (
            "{ customer(id: 1) " + "{ parent " * MOST_DEPTH + "{ id }" + " }" * MOST_DEPTH + " }",
            f"{MOST_DEPTH + 2} levels of fields; at most {MOST_DEPTH}",
        ),
        ("{ " + "__typename " * (MOST_ROOTS + 1) + "}", f"{MOST_ROOTS + 1} fields at its root; at most {MOST_ROOTS}"),
        (
            "{ customer(id: 1) { " + " ".join(f"a{at}: id" for at in range(MOST_ALIASES + 1)) + " } }",
            f"{MOST_ALIASES + 1} aliases; at most {MOST_ALIASES}",
        ),
        (
            "{ customer(id: 1) { ...f ...f } } fragment f on Customer { id " + "@skip(if: true)" * 26 + " }",
            f"52 directives; at most {MOST_DIRECTIVES}",
        ),
        (
            "{ customer(id: 1) { " + "...f " * 11 + "} } fragment f on Customer { " + "id " * 100 + "}",
            f"1,101 fields; at most {MOST_FIELDS:,}",
        ),
        ("{ customer(id: 1) { " + "id " * 100 + "} }", "the same fields again and again"),
        (
            f"{{ customers(first: 100) {{ nodes {{ a: {TICKETS} b: {TICKETS} }} }} }}",
            f"20,100 records; at most {MOST_NODES:,}",
        ),
        (
            "{ customers(first: 100) { nodes { "
            + " ".join(f"t{at}: tickets(first: 10) {{ totalCount nodes {{ id }} }}" for at in range(15))
            + " } } }",
            f"33,102 points of cost; at most {MOST_COST:,}",
        ),
    ],
)
def test_each_limit_says_what_is_too_much(text: str, what: str) -> None:
    assert what in refusal(text)


def test_at_its_limits_a_document_is_served() -> None:
    documents().of("{ " + "__typename " * MOST_ROOTS + "}", None, {})
    documents().of("{ customer(id: 1) " + "{ parent " * (MOST_DEPTH - 2) + "{ id }" + " }" * (MOST_DEPTH - 1), None, {})
    documents().of("{ customer(id: 1) { " + " ".join(f"a{at}: id" for at in range(MOST_ALIASES)) + " } }", None, {})
    documents().of("{ __typename } #" + "x" * (MOST_CHARACTERS - 50), None, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ __typename }", 0),
        ('{ customer(id: "x") { id name annualRevenue { amount currency } } }', 1),
        ('{ customer(id: "x") { owner { name team { name } } } }', 3),
        ('{ customer(id: "x") { tags } }', 2),
        ('{ customer(id: "x") { contactPoints { value } } }', 1 + 1 + 5),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 3),
        ("{ customers(first: 10) { nodes { id } } }", 2 + 10),
        ("{ customers(last: 10) { edges { cursor node { id } } pageInfo { endCursor } } }", 2 + 10),
        ("{ customers(first: 10) { totalCount nodes { id } } }", 2 + 10 + 10),
        ("{ customers(first: 10) { ...page } } fragment page on CustomerConnection { totalCount nodes { id } }", 22),
        ("{ customers(first: 10) { nodes { tickets(first: 5) { nodes { id } } } } }", 2 + 10 * (1 + 2 + 5)),
        ("{ customers(first: 10) { nodes { ...f } } } fragment f on Customer { owner { name } }", 2 + 10 * 2),
        ("{ opportunityTotals { count } }", 20 + 1),
        ("{ opportunityGroups(by: [OWNER]) { count } }", 20 + 100),
        ("{ opportunityGroups(by: [OWNER], first: 7) { count owner { name } } }", 20 + 7 * 2),
        ('{ pipelineWaterfall(pipeline: "x", from: {position: "0"}) { won } }', 1_000 + 1),
        ('{ auditBundle(customer: "x") { file } }', 12_500 + 1),
        ("mutation M($of: CustomerArchiveInput!) { customerArchive(input: $of) { customer { id } } }", 11),
        ("subscription { changes { position } }", 10),
        ("{ __schema { types { name } } }", 0),
    ],
)
def test_what_a_document_costs(text: str, expected: int) -> None:
    assert cost(text) == expected


def test_the_example_of_the_documentation() -> None:
    text = """{
      customers(first: 50) { totalCount nodes {
        name owner { name }
        opportunities(first: 5) { nodes { title } }
        tickets(first: 3) { nodes { subject } }
      } }
    }"""
    assert cost(text) == 2 + 10 + 50 * (1 + 1 + (2 + 5) + (2 + 3)) == 712


WHERES = [
    ("{}", 0),
    ('{name: {startsWith: "A"}}', 1),
    ('{name: {startsWith: "A", ne: "Ada"} kind: {eq: PERSON}}', 1 + 1),
    ("{and: [{kind: {eq: PERSON}} {kind: {eq: PERSON}} {}]}", 3 + 1 + 1),
    ("{not: {or: [{kind: {eq: PERSON}}]}}", 1 + 1 + 1),
    ('{owner: {name: {eq: "Ada"}}}', 5 + 1),
    ('{owner: {team: {name: {eq: "Ada"}}}}', 5 + 5 + 1),
    ('{tags: {some: {eq: "a"} none: {eq: "b"}}}', 5 + 5),
    ("{opportunities: {some: {status: {eq: OPEN}}}}", 5 + 1),
    ('{opportunities: {some: {stage: {name: {eq: "a"}} not: {status: {eq: OPEN}}}}}', 5 + (5 + 1) + (1 + 1)),
    ('{annualRevenue: {gt: {amount: "1", currency: EUR}}}', 1),
]


@pytest.mark.parametrize(("where", "weight"), WHERES)
def test_what_conditions_cost(where: str, weight: int) -> None:
    """By hand: 1 for each condition, and each element of `and`, `or` and `not`; 5 for each look at another table."""
    listed = f"customers(first: 10, where: {where}) {{ nodes {{ id }} }}"
    assert cost(f"{{ {listed} }}") == 2 + weight + 10
    assert cost(f"{{ customerTotals(where: {where}) {{ count }} }}") == 20 + weight + 1
    assert cost(f'{{ customers(first: 3, search: "a", where: {where}) {{ totalCount }} }}') == 2 + 10 + weight + 10
    below = f"{{ customers(first: 20) {{ nodes {{ owner {{ {listed} }} }} }} }}"
    assert cost(below) == 2 + 20 * (1 + 1 + 2 + weight + 10), "each time that the list is read"
    variable = "query Q($w: CustomerWhere) { customers(first: 10, where: $w) { nodes { id } } }"
    assert cost(variable, {"w": as_json(where)}) == 2 + weight + 10
    default = f"query Q($w: CustomerWhere = {where}) {{ customers(first: 10, where: $w) {{ nodes {{ id }} }} }}"
    assert cost(default) == 2 + weight + 10
    part = "query Q($w: [CustomerWhere!]) { customers(first: 10, where: {or: $w}) { nodes { id } } }"
    assert cost(part, {"w": [as_json(where)] * 3}) == 2 + 3 * (1 + weight) + 10
    assert cost(part, {"w": []}) == 2 + 10


def as_json(where: str) -> Any:
    return value_from_ast_untyped(parse_value(where))


def test_what_is_asked_of_the_past_costs_what_it_does_now_and_the_moment() -> None:
    asked = "customers(first: 20) { totalCount nodes { id owner { name } } } opportunityTotals { count }"
    assert cost(f'{{ asOf(at: {{position: "1"}}) {{ {asked} }} }}') == cost(f"{{ {asked} }}") + 5


def test_a_document_costs_what_its_conditions_do_each_time() -> None:
    mine = documents()
    text = "query Q($w: CustomerWhere) { customers(first: 10, where: $w) { nodes { id } } }"
    document, operation = mine.of(text, None, {})
    for _ in range(2):
        for where, weight in WHERES:
            assert document.cost(operation, {"w": as_json(where)}) == 2 + weight + 10


@pytest.mark.anyio
async def test_thousands_of_conditions_never_reach_the_database() -> None:
    """Nor does it take long to refuse them: there is no database here at all."""
    text = "query Q($w: CustomerWhere) { customers(first: 1, where: $w) { nodes { id } } }"
    one = {"opportunities": {"some": {"status": {"eq": "OPEN"}}}}
    many = {"w": {"or": [one] * 20_000}}
    assert "points of cost; at most 25,000" in refusal(text, many)
    mine = documents(trusted=[TrustedText("file", "many", text)])
    trusted, operation = mine.of(DocumentId("many"), None, many)
    for given in (many, {"w": {"and": [{"kind": {"eq": "PERSON"}}] * 3_000}}):
        reader = Reader(read_pool("host=nowhere.invalid"), the_schema())
        with pytest.raises(RequestError, match="a query may have 200"):
            await reader.query(trusted.parsed, operation, given, ALL)
    flood: dict[str, Any] = {"w": {"or": [{}] * 500_000}}
    assert work(lambda: refusal(text, flood)) < MOST_WORK


def test_variables_decide_about_the_pages_and_their_defaults_count() -> None:
    text = "query Q($n: Int = 7, $ids: [ID!]!) { customers(first: $n) { nodes { id } } nodes(ids: $ids) { id } }"
    assert cost(text, {"ids": ["a"]}) == 2 + 7 + 1
    assert cost(text, {"n": 50, "ids": ["a", "b"]}) == 2 + 50 + 2
    assert cost(text, {"n": None, "ids": []}) == 2 + 100, "what is not known counts as the largest page"
    mine = documents()
    document, operation = mine.of(text, None, {"n": 1, "ids": []})
    assert [document.cost(operation, {"n": n, "ids": []}) for n in (1, 2, 1)] == [3, 4, 3]


@pytest.mark.parametrize("many", [2**31, 10**18, 10**4_200], ids=["33 bits", "60 bits", "4,200 digits"])
def test_numbers_beyond_all_pages_count_as_the_greatest(many: int) -> None:
    """What they come to is told in the answer, so it has to stay a number that can be written down."""
    inner = "customer { opportunities(first: $n) { nodes { id } } }"
    deals = f"opportunities(first: $n) {{ nodes {{ {inner} }} }}"
    text = f"query Q($n: Int!) {{ customers(first: $n) {{ nodes {{ {deals} }} }} }}"
    most = 2**31 - 1
    expected = 2 + most * (1 + 2 + most * (1 + 1 + 2 + most))
    told = set[int]()
    for given, variables in ((text, {"n": many}), (text.replace("$n: Int!", f"$n: Int = {many}"), {})):
        with pytest.raises(TooCostly, match="too many records") as refused:
            cost(given, variables)
        told.add(refused.value.cost)
    literal = text.replace("query Q($n: Int!)", "").replace("$n", str(many)[:2_000])
    with pytest.raises(TooCostly, match="too many records") as refused:
        cost(literal)
    assert told | {refused.value.cost} == {expected}


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("{ customers(first: NUMBER) { nodes { id } } }", 20),
        ("query Q($n: Int = NUMBER) { customers(first: $n) { nodes { id } } }", 19),
        ('mutation { ticketClose(input: {idempotencyKey: "", id: "", expectedVersion: NUMBER}) { position } }', 77),
    ],
)
def test_a_number_that_python_does_not_read_is_told_at_its_place(text: str, column: int) -> None:
    with pytest.raises(Faulty) as refused:
        cost(text.replace("NUMBER", "-" + "9" * 4_301))
    [error] = refused.value.errors
    assert error.message == "This number has 4,301 digits; an Int lies between -2,147,483,648 and 2,147,483,647."
    assert error.locations == [SourceLocation(1, column)]


@pytest.mark.parametrize("variables", [None, {"n": -(10**9)}])
def test_a_page_of_less_than_nothing_pays_for_nothing_else(variables: dict[str, int] | None) -> None:
    n = "-1000000000" if variables is None else "$n"
    said = "" if variables is None else "query Q($n: Int!) "
    less = f"less: customers(first: {n}) @skip(if: true) {{ nodes {{ id }} }}"
    more = "customers(first: 100) { nodes { opportunities(first: 100) { nodes { id } } } }"
    assert cost(f"{said}{{ {less} {more} }}", variables) == cost(f"{{ {more} }}") + 2


def test_only_the_operation_that_runs_has_to_be_cheap() -> None:
    inner = "(first: 100) { nodes { "
    dear = "query Dear { customers" + inner + "opportunities" + inner + "history" + inner + "type } } } } } } }"
    text = f"query Cheap {{ __typename }} {dear}"
    assert cost(text, name="Cheap") == 0
    with pytest.raises(TooCostly):
        cost(text, name="Dear")


def test_the_measure_is_remembered() -> None:
    text = "query Q($n: Int!) { customers(first: $n) { nodes { id name } } }"
    mine = documents()
    first = work(lambda: mine.of(text, None, {"n": 1}))
    again = work(lambda: mine.of(text, None, {"n": 1}))
    assert again < 50 < first / 10
    found: Document = mine.of(text, None, {"n": 1})[0]
    assert mine.of(text, None, {"n": 2})[0] is found


@pytest.mark.anyio
async def test_each_answer_says_what_it_cost_and_a_refusal_too(database: str, tmp_path: Path) -> None:
    inner = "opportunities(first: 100) { nodes { history(first: 9) { nodes { type } } } }"
    text = f"query Q($n: Int!) {{ customers(first: $n) {{ nodes {{ {inner} }} }} }}"
    async with serving(database, tmp_path, projections=False, patience=0.2) as client:
        answer = (await client.post(text, {"n": 2})).json()
        assert answer["extensions"]["cost"] == {"requested": 2 + 2 * (1 + 2 + 100 * (1 + 2 + 9)), "limit": MOST_COST}
        refused = (await client.post(text, {"n": 100})).json()
        assert "data" not in refused
        assert refused["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"
        assert refused["extensions"]["cost"] == {"requested": 2 + 100 * 1203, "limit": MOST_COST}
        key = "6f1c1e0e-52c5-4f0a-9c39-0a4d4f3a7d11"
        said = f'{{idempotencyKey: "{key}", kind: PERSON, name: "Ada"}}'
        register = f"mutation {{ customerRegister(input: {said}) {{ position }} }}"
        assert (await client.post(register)).json()["extensions"]["cost"]["requested"] == 10
