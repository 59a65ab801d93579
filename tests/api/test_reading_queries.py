"""Queries as clients ask them: totals, nodes, directives, plans that are shared, and requests that can't be served."""

import asyncio
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
import strawberry
from graphql import (
    GraphQLError,
    GraphQLResolveInfo,
    build_client_schema,
    get_introspection_query,
    graphql,
    lexicographic_sort_schema,
    print_schema,
)
from psycopg import sql
from strawberry.schema.config import StrawberryConfig

from api.reading import reader as reading
from api.reading.reader import Reader, read_pool
from api.scalars import SCALARS
from api.types.customers import Customer
from api.types.query import Query
from domain.kernel import COMPANY_ID, type_id
from projections.model import Table
from tests.api.desk import Desk, desk
from tests.api.printed import printed_schema
from tests.api.sample import Rows, load, sample
from tests.api.sights import ALL

ROWS: Rows = sample(seed=3)
BAD = "BAD_USER_INPUT"


@pytest.fixture(scope="module")
def rows_there(module_database: str) -> str:
    load(module_database, ROWS)
    return module_database


@pytest.fixture
def at(rows_there: str) -> Iterator[Desk]:
    with desk(rows_there) as one:
        yield one


def test_totals_are_the_sums_of_the_rows(at: Desk) -> None:
    found = at.data("{ opportunityGroups(by: [STATUS]) { status count amounts { amount currency } } }")
    for group in found["opportunityGroups"]:
        deals = [row for row in ROWS["opportunities"] if row["status"].upper() == group["status"]]
        assert group["count"] == len(deals)
        assert {each["currency"]: Decimal(each["amount"]) for each in group["amounts"]} == {
            currency: sum(row["amount"] for row in deals if row["currency"] == currency and row["amount"] is not None)
            for currency in {row["currency"] for row in deals if row["amount"] is not None}
        }


def test_by_product_the_sums_are_those_of_the_lines_and_add_up_to_the_whole(at: Desk) -> None:
    found = at.data("{ opportunityGroups(by: [PRODUCT]) { product { id } amounts { amount currency } count } }")
    euros = sum(
        Decimal(each["amount"])
        for group in found["opportunityGroups"]
        for each in group["amounts"]
        if each["currency"] == "EUR"
    )
    deals = {row["id"]: row for row in ROWS["opportunities"]}
    # A deal without an amount adds to no sum, also where some of its lines are priced.
    known = {id for id, row in deals.items() if row["amount"] is not None}
    lines = [row for row in ROWS["opportunity_lines"] if row["opportunity_id"] in known and row["currency"] == "EUR"]
    without = deals.keys() - {row["opportunity_id"] for row in ROWS["opportunity_lines"]}
    of_lines = sum(row["total"] or 0 for row in lines)
    assert euros == of_lines + sum(deals[id]["amount"] or 0 for id in without if deals[id]["currency"] == "EUR")
    assert found["opportunityGroups"][-1]["product"] is None
    assert found["opportunityGroups"][-1]["count"] >= len(without)


def test_a_deal_counts_once_for_each_product_however_many_lines_it_has_of_it(at: Desk) -> None:
    deals = {row["id"] for row in ROWS["opportunities"]}
    sold = [(row["product_id"], row["opportunity_id"]) for row in ROWS["opportunity_lines"]]
    assert len(set(sold)) < len(sold)
    for product in {row["id"] for row in ROWS["products"]}:
        query = "query Q($product: ID!) { product(id: $product) { opportunityTotals { count } } }"
        expected = len({deal for one, deal in sold if one == product and deal in deals})
        assert at.data(query, {"product": product}) == {"product": {"opportunityTotals": {"count": expected}}}


def test_the_whole_is_one_group_even_of_nothing(at: Desk) -> None:
    found = at.data(
        '{ opportunityGroups(by: [], where: {owner: {id: {eq: "stf_nobody"}}})'
        " { count amounts { amount } owner { id } } }"
    )
    assert found == {"opportunityGroups": [{"count": 0, "amounts": [], "owner": None}]}


@pytest.mark.parametrize(
    ("amount", "currency", "probability", "weighted"),
    [
        ("100.25", "EUR", "50", "50.12"),
        ("100.35", "EUR", "50", "50.18"),
        ("-100.25", "EUR", "50", "-50.12"),
        ("100.27", "EUR", "50", "50.14"),
        ("3", "JPY", "50", "2"),
        ("1", "JPY", "50", "0"),
        ("1.001", "KWD", "50", "0.500"),
        ("99999999999999999.99", "EUR", "100", "99999999999999999.99"),
    ],
)
def test_money_is_rounded_half_even_and_has_its_currency_s_decimals(
    at: Desk, rows_there: str, amount: str, currency: str, probability: str, weighted: str
) -> None:
    deal = {**ROWS["opportunities"][0], "id": type_id("opp", UUID(int=7))}
    deal |= {"amount": amount, "currency": currency, "probability": probability}
    deal["since_occurred_at"] = deal["last_touched_at"]
    columns = sql.SQL(", ").join(map(sql.Identifier, deal))
    values = sql.SQL(", ").join(map(sql.Placeholder, deal))
    insert = sql.SQL("INSERT INTO daybook_read.opportunities ({}) VALUES ({})").format(columns, values)
    query = "query Q($id: ID!) { opportunity(id: $id) { amount { amount } weighted { amount } } }"
    with psycopg.connect(rows_there, autocommit=True) as db:
        db.execute(insert, deal)
        found = at.data(query, {"id": deal["id"]})
        db.execute("DELETE FROM daybook_read.opportunities WHERE id = %(id)s", deal)
    assert found == {"opportunity": {"amount": {"amount": amount}, "weighted": {"amount": weighted}}}


def test_what_a_client_sends_is_never_sql(at: Desk) -> None:
    nasty = "x'); DROP TABLE daybook_read.customers; -- $1 %s {name} \\ \" \n"
    query = """query Q($source: String!, $where: CustomerWhere) {
      customerByExternalId(source: $source, id: $source) { id }
      customers(first: 1, where: $where) { nodes { id } }
      customerGroups(by: [CLASSIFICATION], scheme: $source, where: $where) { count }
    }"""
    where = {"source": {"eq": nasty, "in": [nasty, "{a,b}", 'a"b', "NULL"]}}
    nothing: dict[str, Any] = {"customerByExternalId": None, "customers": {"nodes": []}, "customerGroups": []}
    assert at.data(query, {"source": nasty, "where": where}) == nothing
    assert at.data("{ customers(first: 1) { totalCount } }")["customers"]["totalCount"] > 0


@pytest.mark.parametrize("text", ["\x00", "a\ud800"])
def test_text_that_is_no_unicode_is_refused(at: Desk, text: str) -> None:
    with pytest.raises(GraphQLError, match="U\\+0000 or half a surrogate pair") as refused:
        at.data("query Q($id: String!) { customerByExternalId(source: $id, id: $id) { id } }", {"id": text})
    assert refused.value.extensions == {"code": "BAD_USER_INPUT"}


@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        (
            "{ customers(first: 1, where: {owner: {id: {eq: null}}}) { totalCount } }",
            "`where.owner.id.eq` is null",
            "BAD_USER_INPUT",
        ),
        ("{ customers(first: 1, where: {owner: null}) { totalCount } }", "`where.owner` is null", "BAD_USER_INPUT"),
        (
            f"{{ nodes(ids: {[type_id('cus', COMPANY_ID)] * 101}) {{ id }} }}".replace("'", '"'),
            "101 records; ask for at most 100",
            "BAD_USER_INPUT",
        ),
    ],
)
def test_what_cannot_be_served_says_why(at: Desk, query: str, message: str, code: str) -> None:
    with pytest.raises(GraphQLError, match=message) as refused:
        at.data(query)
    assert refused.value.extensions == {"code": code}


def test_variables_that_their_types_do_not_take_are_refused(at: Desk) -> None:
    with pytest.raises(GraphQLError, match="Int cannot represent") as refused:
        at.data("query Q($first: Int) { customers(first: $first) { totalCount } }", {"first": "two"})
    assert refused.value.extensions == {"code": "BAD_USER_INPUT"}


def test_thousands_of_fields_of_one_object_are_served(at: Desk) -> None:
    """PostgreSQL would read their texts, joined one by one, as a tree of that depth."""
    said = at.data("{ company { name } }")["company"]["name"]
    found = at.data(f"{{ company {{ {' '.join(f'a{n}: name' for n in range(5_000))} }} }}")["company"]
    assert found == {f"a{n}": said for n in range(5_000)}


def test_every_character_comes_back_as_it_is(at: Desk, rows_there: str) -> None:
    text = "".join(map(chr, (*range(1, 0x250), 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0x1D11E, 0x10FFFF)))
    id = ROWS["customers"][0]["id"]
    with psycopg.connect(rows_there, autocommit=True) as db:
        db.execute("UPDATE daybook_read.customers SET description = %s WHERE id = %s", (text, id))
        found = at.data("query Q($id: ID!) { customer(id: $id) { description } }", {"id": id})
        was = ROWS["customers"][0]["description"]
        db.execute("UPDATE daybook_read.customers SET description = %s WHERE id = %s", (was, id))
    assert found == {"customer": {"description": text}}


def test_what_is_null_in_the_rows_is_null(at: Desk, rows_there: str) -> None:
    """Of every kind: a text that is joined to NULL is NULL."""
    id = ROWS["opportunities"][0]["id"]
    nothing = {"title": None, "amount": None, "expectedClose": None, "lossReason": None, "owner": None}
    with psycopg.connect(rows_there) as db:
        db.execute(
            "UPDATE daybook_read.opportunities SET title = NULL, amount = NULL, expected_close = NULL,"
            " loss_reason = NULL, owner_id = NULL, customer_id = NULL WHERE id = %s",
            (id,),
        )
        db.commit()
        query = """query Q($id: ID!) { opportunity(id: $id) {
          id title amount { amount } expectedClose lossReason owner { id } } }"""
        found = at.data(query, {"id": id})
        restored = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in ROWS["opportunities"][0]
        )
        update = sql.SQL("UPDATE daybook_read.opportunities SET {} WHERE id = %(id)s").format(restored)
        db.execute(update, ROWS["opportunities"][0])
    assert found == {"opportunity": {"id": id, **nothing}}


def test_a_type_s_name_alone_can_be_asked_of_every_level(at: Desk) -> None:
    """Then there is nothing that the rows say, in objects and arrays all the same."""
    found = at.data("""{
      customers(first: 2) { __typename nodes { __typename opportunities(first: 1) { __typename } } }
      opportunityGroups(by: [STATUS], first: 1) { __typename amounts { __typename } }
    }""")
    assert (
        found["customers"]["nodes"]
        == [{"__typename": "Customer", "opportunities": {"__typename": "OpportunityConnection"}}] * 2
    )
    assert {one["__typename"] for one in found["opportunityGroups"][0]["amounts"]} == {"Money"}


def test_introspection_stands_beside_data(at: Desk) -> None:
    data = "s: __schema { queryType { name } } customers(first: 1) { totalCount }"
    found = at.data(f'{{ __typename {data} t: __type(name: "Money") {{ name }} }}')
    total = sum(row["status"] == "active" for row in ROWS["customers"])
    assert list(found.items()) == [
        ("__typename", "Query"),
        ("s", {"queryType": {"name": "Query"}}),
        ("customers", {"totalCount": total}),
        ("t", {"name": "Money"}),
    ]


def test_the_introspected_schema_is_the_schema(at: Desk) -> None:
    asked = get_introspection_query(specified_by_url=True, input_value_deprecation=True)
    introspected = lexicographic_sort_schema(build_client_schema(at.data(asked)))
    assert print_schema(introspected) == print_schema(lexicographic_sort_schema(printed_schema()))


def test_plans_are_shared_by_the_shape_of_the_variables_only(at: Desk) -> None:
    query = """query Q($n: Int, $m: Int, $where: CustomerWhere, $named: Boolean!) {
      customers(first: $n, last: $m, where: $where) { nodes { id name @include(if: $named) } }
    }"""
    for n in range(1, 6):
        at.data(query, {"n": n, "named": True, "where": {"kind": {"eq": "PERSON"}}})
    assert len(at.reader._plans) == 1
    assert list(at.data(query, {"m": 1, "named": False})["customers"]["nodes"][0]) == ["id"]
    assert list(at.data(query, {"n": 1, "named": True})["customers"]["nodes"][0]) == ["id", "name"]
    assert len(at.reader._plans) == 3


def test_fragments_that_spread_each_other_twice_are_read_once(at: Desk) -> None:
    """Expanded they would be 2 ** 40 fields."""
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40))
    assert at.data(f"{{ ...F0 }} {chain} fragment F40 on Query {{ __typename }}") == {"__typename": "Query"}


def test_plans_are_bounded(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_PLANS", 3)
    for n in range(10):
        at.data(f"{{ a{n}: __typename }}")
        at.data("{ often: __typename }")
    assert len(at.reader._plans) == 3
    assert any("often" in plan.sql for plan in at.reader._plans.values())


def test_questions_are_answered_side_by_side(at: Desk) -> None:
    document, operation = at.parsed("query Q($n: Int) { customers(first: $n) { nodes { id } } }")

    async def all_at_once() -> list[bytes]:
        found = await asyncio.gather(*(at.reader.query(document, operation, {"n": n}, ALL) for n in range(1, 20)))
        return [one.data for one in found]

    answers = at.runner.run(all_at_once())
    active = sum(row["status"] == "active" for row in ROWS["customers"])
    assert [answer.count(b'"id"') for answer in answers] == [min(n, active) for n in range(1, 20)]


def test_a_statement_that_takes_too_long_is_given_up(at: Desk, rows_there: str) -> None:
    async def slowly() -> None:
        async with read_pool(rows_there, size=1, seconds=2) as pool:

            def slow(table: Table) -> str:
                return f'(select t.* from daybook_read."{table.name}" t, pg_sleep(60))'

            document, operation = at.parsed("{ company { name } }")
            await Reader(pool, at.strawberry, slow).query(document, operation, {}, ALL)

    with pytest.raises(GraphQLError, match="takes too long") as refused:
        at.runner.run(slowly())
    assert refused.value.extensions == {"code": "QUERY_TOO_COMPLEX"}


def test_rows_come_from_where_the_row_source_says(at: Desk, rows_there: str) -> None:
    """As for a past moment, or for a model that is being rebuilt."""

    async def elsewhere() -> bytes:
        async with read_pool(rows_there, size=1) as pool:

            def renamed(table: Table) -> str:
                if table.name != "customers":
                    return f'daybook_read."{table.name}"'
                columns = ", ".join("'then'::text as name" if name == "name" else name for name in table.columns)
                return f"(select {columns} from daybook_read.customers)"

            document, operation = at.parsed("{ customers(first: 1) { nodes { name } } }")
            return (await Reader(pool, at.strawberry, renamed).query(document, operation, {}, ALL)).data

    assert at.runner.run(elsewhere()) == b'{"customers":{"nodes":[{"name":"then"}]}}'


def test_a_selection_below_a_resolver_s_field_is_read_by_the_same_compiler(at: Desk) -> None:
    """As for payloads of mutations: with the operation's fragments and variables."""
    texts: list[bytes] = []

    async def customer(info: strawberry.Info, id: strawberry.ID) -> Customer | None:
        raw: GraphQLResolveInfo[Any] = info._raw_info
        texts.append(await at.reader.select(id, raw, ALL))
        return None

    field = strawberry.field(resolver=customer)
    mutation = strawberry.type(type("Mutation", (), {"__annotations__": {}, "find": field}))
    schema = strawberry.Schema(Query, mutation, config=StrawberryConfig(scalar_map=SCALARS))._schema
    query = """mutation M($id: ID!, $first: Int, $see: Boolean!, $kind: Boolean!, $beside: Boolean!) {
      a: find(id: $id) { ...Some opportunities(first: $first) { totalCount } version @include(if: $see) }
      b: find(id: "cus_unknown") { id }
      c: find(id: "cus_unknown") @skip(if: $beside) { id }
    } fragment Some on Customer { renamed: name kind @include(if: $kind) }"""
    row = ROWS["customers"][0]
    count = sum(deal["customer_id"] == row["id"] for deal in ROWS["opportunities"])
    for first, see, kind, beside in itertools.product((1, 2), (False, True), (False, True), (True, False)):
        variables = {"id": row["id"], "first": first, "see": see, "kind": kind, "beside": beside}
        result = at.runner.run(graphql(schema, query, variable_values=variables))
        assert not result.errors, result.errors
        expected = {"renamed": row["name"], "opportunities": {"totalCount": count}}
        expected |= ({"version": row["version"]} if see else {}) | ({"kind": row["kind"].upper()} if kind else {})
        assert [msgspec.json.decode(text) for text in texts] == [expected, None] + ([] if beside else [None])
        texts.clear()
    # By what stands in a selection or in a fragment, and by nothing beside it: four of a, two of b, two of c.
    assert len(at.reader._plans) == 8


def test_an_answer_reflects_what_the_slowest_read_model_does(at: Desk, rows_there: str) -> None:
    document, operation = at.parsed("{ company { name } }")
    with psycopg.connect(rows_there, autocommit=True) as db:
        db.execute("UPDATE daybook_projections.models SET position = 12345678901234567")
        db.execute("UPDATE daybook_projections.models SET position = 12345678901234566 WHERE name = 'tickets'")
        found = at.runner.run(at.reader.query(document, operation, {}, ALL))
        db.execute("UPDATE daybook_projections.models SET position = 0")
    assert found.position == "12345678901234566"
    document, operation = at.parsed("{ __schema { queryType { name } } }")
    assert at.runner.run(at.reader.query(document, operation, {}, ALL)).position is None
