"""`where` as screens use it: across relations, over money and names, and what is refused."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unicodedata import normalize

import psycopg
import pytest
from graphql import GraphQLError, GraphQLList, get_named_type, get_variable_values
from psycopg import sql

from api.reading import wheres
from api.reading.reader import Reader, read_pool
from projections.model import Table
from projections.sorting import sort_key
from tests.api.desk import Desk, desk
from tests.api.sample import Row, Rows, load, sample
from tests.api.sights import ALL

ROWS: Rows = sample(seed=40)
BAD, COMPLEX = {"code": "BAD_USER_INPUT"}, {"code": "QUERY_TOO_COMPLEX"}


@pytest.fixture(scope="module")
def rows_there(module_database: str) -> str:
    load(module_database, ROWS)
    return module_database


@pytest.fixture
def at(rows_there: str) -> Iterator[Desk]:
    with desk(rows_there) as one:
        yield one


def found(at: Desk, of: str, where: str, variables: dict[str, Any] | None = None, declared: str = "") -> set[str]:
    """The ids of a list's rows that meet conditions."""
    query = f"query Q{declared} {{ {of}(first: 100, where: {where}) {{ nodes {{ id }} }} }}"
    return {node["id"] for node in at.data(query, variables)[of]["nodes"]}


def kept(table: str, condition: Any) -> set[str]:
    rows = {row["id"] for row in ROWS[table] if condition(row)}
    assert 0 < len(rows) < len(ROWS[table]), "the sample has nothing to tell this condition by"
    return rows


def of(table: str, column: str, row: Row) -> list[Row]:
    return [each for each in ROWS[table] if each[column] == row["id"]]


@contextmanager
def named(database: str, name: str | None) -> Iterator[None]:
    """While the block lasts there is a customer of this name, as the model would write it."""
    row = {**ROWS["customers"][0], "id": "cus_named", "status": "active", "name": name, "name_key": sort_key(name)}
    row["since_occurred_at"] = row["changed_at"]
    into = sql.SQL("INSERT INTO daybook_read.customers ({}) VALUES ({})")
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(
            into.format(*(sql.SQL(", ").join(map(each, row)) for each in (sql.Identifier, sql.Placeholder))), row
        )
        try:
            yield
        finally:
            db.execute("DELETE FROM daybook_read.customers WHERE id = 'cus_named'")


def test_customers_with_a_large_open_deal_in_a_stage_and_an_unsolved_complaint(at: Desk) -> None:
    unsolved = [
        row for row in ROWS["tickets"] if row["kind"] == "complaint" and row["status"] not in ("solved", "closed")
    ]
    deals = [
        row
        for row in ROWS["opportunities"]
        if row["status"] == "open" and row["currency"] == "EUR" and row["amount"] is not None and row["amount"] > 10
    ]
    complained = {row["customer_id"] for row in unsolved}
    deal = next(row for row in deals if row["customer_id"] in complained)
    expected = {
        row["customer_id"] for row in deals if row["stage_id"] == deal["stage_id"] and row["customer_id"] in complained
    }
    where = """{
      status: {in: [ACTIVE, ARCHIVED, ERASED]}
      opportunities: {some: {
        status: {eq: OPEN} stage: {id: {eq: $stage}} amount: {gt: {amount: "10", currency: EUR}}
      }}
      tickets: {some: {kind: {eq: COMPLAINT} status: {notIn: [SOLVED, CLOSED]}}}
    }"""
    ids = found(at, "customers", where, {"stage": deal["stage_id"]}, "($stage: ID!)")
    assert ids == expected & {row["id"] for row in ROWS["customers"]}


def test_conditions_on_what_a_table_between_names(at: Desk) -> None:
    """The deals that sell a product, by their lines; the tickets of a team, by its queues."""
    won = {row["id"] for row in ROWS["opportunities"] if row["status"] == "won"}
    sold = {row["product_id"] for row in ROWS["opportunity_lines"] if row["opportunity_id"] in won}
    every = "status: {in: [ACTIVE, DISCONTINUED]}"
    ids = found(at, "products", f"{{{every} opportunities: {{some: {{status: {{eq: WON}}}}}}}}")
    assert ids == kept("products", lambda row: row["id"] in sold)
    waiting = {row["queue_id"] for row in ROWS["tickets"] if row["status"] == "new"}
    teams = {row["team_id"] for row in ROWS["queues"] if row["id"] in waiting}
    every = "status: {in: [ACTIVE, ARCHIVED, ERASED]}"
    ids = found(at, "teams", f"{{{every} tickets: {{none: {{status: {{eq: NEW}}}}}}}}")
    assert ids == kept("teams", lambda row: row["id"] not in teams)


def test_amounts_are_compared_within_their_currency(at: Desk) -> None:
    def more(row: Row) -> bool:
        return row["currency"] == "USD" and row["amount"] is not None and row["amount"] >= 33

    assert found(at, "opportunities", '{amount: {gte: {amount: "33", currency: USD}}}') == kept("opportunities", more)
    less = found(at, "opportunities", '{not: {amount: {gte: {amount: "33", currency: USD}}}}')
    assert less == kept("opportunities", lambda row: not more(row))
    both = found(at, "opportunities", '{amount: {currency: {eq: JPY} lt: {amount: "50", currency: EUR}}}')
    assert both == set()


@pytest.mark.parametrize(
    ("name", "where", "met"),
    [
        ("Zoë Müller", '{contains: "ZOE"}', True),
        ("Zoë Müller", '{contains: "muller"}', True),
        ("Zoë Müller", '{startsWith: "zo"}', True),
        ("Zoë Müller", '{startsWith: "mu"}', False),
        ("Łódź", '{startsWith: "lodz"}', True),
        ("Straße 1", '{contains: "STRASSE"}', True),
        ("李小龍", '{contains: "小"}', True),
        ("李小龍", '{startsWith: "李"}', True),
        ("ＡＢＣ", '{startsWith: "abc"}', True),  # noqa: RUF001 - full width on purpose
        ("100%", '{contains: "0%"}', True),
        ("1000", '{contains: "0%"}', False),
        ("a_b", '{contains: "_"}', True),
        ("Zoë", '{eq: "zoe"}', False),
        ("Zoë", '{eq: "Zoë"}', True),
        *(("Zoë", normalize("NFD", where), True) for where in ('{eq: "Zoë"}', '{in: ["Zoë"]}', '{startsWith: "Zoë"}')),
        ("Zoë", normalize("NFD", '{ne: "Zoë"}'), False),
        ("Zoë", '{contains: ""}', True),
        ("Zoë", '{startsWith: ""}', True),
        (None, '{contains: ""}', False),
        (None, '{ne: "Zoë"}', True),
        (None, "{notIn: []}", True),
        ("Zoë", "{in: []}", False),
    ],
)
def test_names_are_searched_as_people_write_them(at: Desk, rows_there: str, name: str, where: str, met: bool) -> None:
    with named(rows_there, name):
        assert ("cus_named" in found(at, "customers", f'{{id: {{eq: "cus_named"}} name: {where}}}')) is met


def test_tags_schemes_and_purposes_are_the_same_in_capitals(at: Desk) -> None:
    everyone = "status: {in: [ACTIVE, ARCHIVED, ERASED]}"
    tag = next(
        row["tag"] for row in ROWS["customer_tags"] if row["tag"].swapcase().casefold() == row["tag"].casefold() != ""
    )
    tagged = {row["customer_id"] for row in ROWS["customer_tags"] if row["tag"].casefold() == tag.casefold()}
    where = f"{{{everyone} tags: {{some: {{eq: $tag}}}}}}"
    ids = found(at, "customers", where, {"tag": tag.swapcase()}, "($tag: String!)")
    assert ids == kept("customers", lambda row: row["id"] in tagged)
    one = ROWS["customer_classifications"][0]
    classed = {
        row["customer_id"]
        for row in ROWS["customer_classifications"]
        if (row["scheme_key"], row["value"]) == (one["scheme_key"], one["value"])
    }
    where = f"{{{everyone} classifications: {{some: {{scheme: {{eq: $scheme}} value: {{eq: $value}}}}}}}}"
    given = {"scheme": one["scheme_key"], "value": one["value"]}
    ids = found(at, "customers", where, given, "($scheme: String!, $value: String!)")
    assert ids == {row["id"] for row in ROWS["customers"]} & classed


def test_none_and_every_are_about_the_list_as_it_shows_itself(at: Desk) -> None:
    everyone = "status: {in: [ACTIVE, ARCHIVED, ERASED]}"

    def parents(row: Row, status: tuple[str, ...]) -> list[Row]:
        return [each for each in of("customers", "parent_id", row) if each["status"] in status]

    ids = found(at, "customers", f"{{{everyone} subsidiaries: {{none: {{}}}}}}")
    assert ids == kept("customers", lambda row: not parents(row, ("active",)))
    ids = found(at, "customers", f"{{{everyone} subsidiaries: {{none: {{status: {{isNull: false}}}}}}}}")
    assert ids == kept("customers", lambda row: not parents(row, ("active", "archived", "erased")))
    ids = found(at, "customers", f"{{{everyone} subsidiaries: {{some: {{}} every: {{kind: {{eq: PERSON}}}}}}}}")
    shown = {row["id"]: parents(row, ("active",)) for row in ROWS["customers"]}
    assert ids == kept(
        "customers", lambda row: shown[row["id"]] and all(each["kind"] == "person" for each in shown[row["id"]])
    )


def test_a_record_that_is_not_there_has_no_value_in_any_field(at: Desk) -> None:
    names = {row["id"]: row["name"] for row in ROWS["staff_members"]}
    a_name = next(name for name in names.values() if name)

    def by(row: Row) -> bool:
        return bool(names.get(row["owner_id"]) == a_name)

    given: tuple[dict[str, str], str] = ({"name": a_name}, "($name: String!)")
    assert found(at, "opportunities", "{owner: {name: {eq: $name}}}", *given) == kept("opportunities", by)
    others = kept("opportunities", lambda row: not by(row))
    assert found(at, "opportunities", "{owner: {name: {ne: $name}}}", *given) == others
    assert found(at, "opportunities", "{owner: {not: {name: {eq: $name}}}}", *given) == others
    assert found(at, "opportunities", "{not: {owner: {name: {eq: $name}}}}", *given) == others
    nobody = kept("opportunities", lambda row: row["owner_id"] is None)
    assert found(at, "opportunities", "{owner: {id: {isNull: true}}}") == nobody


def test_a_condition_on_what_has_no_value_is_false_not_unknown(at: Desk) -> None:
    staff = {row["id"]: row for row in ROWS["staff_members"]}
    nobody: Row = {"email": None, "name": None}
    unknown = [id for id, row in staff.items() if row["name"] is None and row["email"] is not None]
    assert any(row["owner_id"] in unknown for row in ROWS["opportunities"]), "the sample has none"

    def met(row: Row) -> bool:
        owner = staff.get(row["owner_id"], nobody)
        return owner["email"] is None or owner["name"] == "x"

    either = '{or: [{email: {isNull: true}}, {name: {eq: "x"}}]}'
    assert found(at, "opportunities", f"{{owner: {either}}}") == kept("opportunities", met)
    assert found(at, "opportunities", f"{{owner: {{not: {either}}}}}") == kept(
        "opportunities", lambda row: not met(row)
    )


def test_a_related_id_is_read_from_the_row_without_a_look_at_the_other(at: Desk) -> None:
    at.data('{ opportunities(first: 1, where: {owner: {id: {eq: "x"}}, customer: {id: {in: ["y"]}}}) { totalCount } }')
    (plan,) = at.reader._plans.values()
    assert "staff_members" not in plan.sql
    assert '"customers"' not in plan.sql


def test_conditions_read_the_rows_of_the_row_source(at: Desk, rows_there: str) -> None:
    """As of a past moment: the related rows too, never those of the present."""

    async def elsewhere(query: str) -> str:
        async with read_pool(rows_there, size=1) as pool:

            def nobody(table: Table) -> str:
                shown = "true" if table.name == "customers" else "false"
                return f'(select * from daybook_read."{table.name}" where {shown})'

            document, operation = at.parsed(query)
            return (await Reader(pool, at.strawberry, nobody).query(document, operation, {}, ALL)).data.decode()

    conditions = (
        "owner: {name: {isNull: false}}",
        "opportunities: {some: {}}",
        "tickets: {none: {}}",
        'tags: {every: {eq: "x"}}',
    )
    lists = (f"customers(first: 1, where: {{{each}}}) {{ totalCount }}" for each in conditions)
    query = " ".join(f"a{n}: {each}" for n, each in enumerate(lists))
    total = sum(row["status"] == "active" for row in ROWS["customers"])
    answer = asyncio.run(elsewhere(f"{{ {query} }}"))
    counts = (0, 0, total, total)
    assert answer == "{" + ",".join(f'"a{n}":{{"totalCount":{each}}}' for n, each in enumerate(counts)) + "}"


@pytest.mark.parametrize(
    ("where", "message", "code"),
    [
        ("{owner: {name: null}}", "`where.owner.name` is null", BAD),
        ("{and: [{kind: {eq: PERSON}}, {kind: {eq: null}}]}", "`where.and.kind.eq` is null", BAD),
        ("{not: null}", "`where.not` is null", BAD),
        ("{or: null}", "`where.or` is null", BAD),
        ("{tags: {some: null}}", "`where.tags.some` is null", BAD),
        ('{id: {eq: "a\\u0000"}}', "U\\+0000", BAD),
        ('{annualRevenue: {gt: {amount: "1e999999", currency: EUR}}}', "`where.annualRevenue.gt.amount` has more", BAD),
        (
            '{or: [{not: {annualRevenue: {eq: {amount: "1e-9999", currency: EUR}}}}]}',
            r"or\.0\.not\.annual.* has more",
            BAD,
        ),
        ("{not: " * 16 + "{}" + "}" * 16, "nested 16 levels", COMPLEX),
        (f"{{or: [{'{kind: {eq: PERSON}} ' * 100}]}}", "a query may have 200", COMPLEX),
    ],
)
def test_conditions_that_cannot_be_used_say_why(at: Desk, where: str, message: str, code: dict[str, str]) -> None:
    for _ in range(2):
        with pytest.raises(GraphQLError, match=message) as refused:
            found(at, "customers", where)
        assert refused.value.extensions == code


def test_whatever_scalar_a_condition_is_given_the_answer_names_it(at: Desk) -> None:
    """Every condition on a plain value, with what its GraphQL scalar lets through and an SQL type might not."""
    told: set[str] = set()
    silent: list[tuple[str, str]] = []
    assert at.schema.query_type is not None
    for root, field in at.schema.query_type.fields.items():
        of = field.args.get("where")
        if of is None:
            continue
        paged = "first: 1, " if "after" in field.args else ""
        selected = "nodes { __typename }" if paged else "__typename"
        by = "by: [STATUS] " if "by" in field.args else ""
        for name, condition in get_named_type(of.type).fields.items():
            for operator, operand in getattr(get_named_type(condition.type), "fields", {}).items():
                for value in STRANGE.get(get_named_type(operand.type).name, ()):
                    given = [value] if isinstance(operand.type, GraphQLList) else value
                    query = (
                        f"query Q($v: {operand.type}) {{ {root}({paged}{by}where: {{{name}: {{{operator}: $v}}}})"
                        f" {{ {selected} }} }}"
                    )
                    try:
                        at.data(query, {"v": given})
                    except GraphQLError as error:
                        named = f"`where.{name}.{operator}" in error.message or "$v" in error.message
                        silent += [] if named else [(query, error.message)]
                        told.add(f"{root}.{name}.{operator}")
    assert silent == []
    assert {f"history.correlationId.{operator}" for operator in ("eq", "ne", "in", "notIn")} <= told


@pytest.mark.parametrize("operator", ["contains", "startsWith"])
def test_a_text_that_stands_in_no_name_is_not_folded(at: Desk, operator: str) -> None:
    """It takes long, most of all of signs that stand for eighteen letters, and there may be 200 conditions."""
    query = f"query Q($v: String!) {{ customers(first: 1, where: {{name: {{{operator}: $v}}}}) {{ totalCount }} }}"
    with pytest.raises(GraphQLError, match=f"^`where.name.{operator}`: The text has 801 characters; at most 200"):
        at.data(query, {"v": "\ufdfa" * 801})
    assert at.data(query, {"v": "\ufdfa" * 800}) == {"customers": {"totalCount": 0}}


@pytest.mark.parametrize(
    ("text", "why"),
    [("a" + "\u0301" * 31, "More than 30 combining marks"), ("x" * 80_001, "The text has 80001 characters")],
)
def test_a_text_that_nothing_can_equal_is_refused_in_every_condition(at: Desk, text: str, why: str) -> None:
    refused: set[str] = set()
    assert at.schema.query_type is not None
    for root in ("customers", "history", "staffMembers"):
        for name, condition in get_named_type(at.schema.query_type.fields[root].args["where"].type).fields.items():
            for operator, operand in getattr(get_named_type(condition.type), "fields", {}).items():
                if get_named_type(operand.type).name != "String":
                    continue
                given = [text] if isinstance(operand.type, GraphQLList) else text
                query = f"query Q($v: {operand.type}) {{ {root}(first: 1, where: {{{name}: {{{operator}: $v}}}})"
                with pytest.raises(GraphQLError, match=f"^`where.{name}.{operator}(.0)?`: {why}") as error:
                    at.data(f"{query} {{ totalCount }} }}", {"v": given})
                assert error.value.extensions == BAD
                refused.add(f"{root}.{name}.{operator}")
    assert {"customers.name.contains", "customers.name.in", "history.actor.eq", "staffMembers.email.eq"} <= refused


STRANGE: Mapping[str, Sequence[Any]] = {
    "ID": ["not-a-uuid", "", "{0190163d-8694-739b-aea5-966c26f8ad91}", "0190163d-8694-739b-aea5-966c26f8ad91"],
    "Decimal": ["1e200000", "1e-20000", "1" * 140_000, "0." + "0" * 17_000 + "1", "-0", "1e1000"],
    "MoneyInput": [{"amount": amount, "currency": "EUR"} for amount in ("1e200000", "1" * 140_000)],
    "Date": ["0001-01-01", "9999-12-31"],
    "DateTime": ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"],
    "Position": ["0", "9223372036854775807", "9223372036854775808", "00000000000000000000000001"],
    "Int": [-(2**31), 2**31 - 1],
}


def test_conditions_of_a_whole_query_are_counted_together(at: Desk) -> None:
    one = f"customers(first: 1, where: {{or: [{'{kind: {eq: PERSON}} ' * 40}]}}) {{ totalCount }}"
    assert wheres.MOST == 200
    at.data(f"{{ a: {one} b: {one} }}")
    with pytest.raises(GraphQLError, match="a query may have 200"):
        at.data(f"{{ a: {one} b: {one} c: {one} }}")


def test_numbers_beyond_a_column_s_range_are_just_greater(at: Desk) -> None:
    assert found(at, "customers", "{employees: {gt: 2147483647}}") == set()
    level = "{escalationLevel: {lt: 2147483647}}"
    assert len(found(at, "tickets", level)) == len(ROWS["tickets"])


def test_a_plan_is_shared_by_all_values_and_by_no_other_shape(at: Desk) -> None:
    query = """query Q($where: OpportunityWhere, $by: [OpportunityOrder!]) {
      opportunities(first: 3, where: $where, orderBy: $by) { nodes { id } } }"""

    def plans(*given: dict[str, Any]) -> int:
        at.reader._plans.clear()
        for each in given:
            at.data(query, each)
        return len(at.reader._plans)

    def where(**conditions: Any) -> dict[str, Any]:
        return {"where": conditions}

    def by(**step: Any) -> dict[str, Any]:
        return {"by": [{"field": "CLOSED_ON", **step}]}

    words = [where(status={"eq": "OPEN"}), where(status={"eq": "LOST"})]
    assert plans(*words) == 1
    assert plans(*(where(status={"in": each}) for each in (["OPEN"], ["OPEN", "WON"], []))) == 1
    assert plans(*(where(owner={"id": {"in": each}}) for each in (["a"], ["a", "b"], []))) == 1
    assert plans(*(where(**{"or": [{"title": {"contains": each}}]}) for each in ("a", "b"))) == 1
    assert plans(*(where(**{"or": [{"status": {"eq": "OPEN"}}] * n}) for n in range(4))) == 4
    assert plans(*(where(title={"isNull": each}) for each in (True, False))) == 2
    assert plans(where(title={"eq": "a"}), where(title={"ne": "a"}), where(), {}) == 4
    assert plans(*(where(lines={each: {}}) for each in ("some", "none", "every"))) == 3
    assert plans(by(), by(nulls="FIRST"), by(nulls="LAST"), by(nulls=None), by(direction="DESC")) == 5
    assert plans(by(), {"by": [{"field": "STATUS"}]}, {"by": []}) == 3


INDEXED = [
    ('customers(first: 9, where: {name: {startsWith: "z"}}, orderBy: [{field: NAME}])', "customers_name_key_id_idx"),
    ("customers(first: 9, orderBy: [{field: CHANGED_AT, direction: DESC}])", "customers_changed_at_id_idx"),
    ("opportunities(first: 9, orderBy: [{field: AMOUNT, direction: DESC}])", "opportunities_case_amount_id_idx"),
    ("opportunities(first: 9, orderBy: [{field: CLOSED_ON, direction: DESC}])", "opportunities_closed_on_id_idx"),
    ("opportunities(first: 9, orderBy: [{field: EXPECTED_CLOSE}])", "opportunities_expected_close_id_idx"),
    ("tickets(first: 9, orderBy: [{field: PRIORITY, direction: DESC}])", "tickets_priority_rank_id_idx"),
    ('customers(first: 9, where: {tags: {some: {eq: "a"}}})', "customer_tags_tag_key_customer_id_idx"),
    (
        'customers(first: 9, where: {contactPoints: {some: {kind: {eq: EMAIL} normalised: {eq: "a"}}}})',
        "customer_contact_points_normalised_idx",
    ),
    (
        'customers(first: 9, where: {externalIds: {some: {source: {eq: "a"} id: {eq: "b"}}}})',
        "customer_external_ids_source_external_id_idx",
    ),
]


@pytest.mark.parametrize(("query", "index"), INDEXED)
def test_an_index_serves(at: Desk, rows_there: str, query: str, index: str) -> None:
    """As PostgreSQL plans a kept statement whose values it does not know; of so few rows it would read all."""
    query = f"{{ {query} {{ nodes {{ id }} }} }}"
    at.data(query)
    (plan,) = at.reader._plans.values()
    _, operation = at.parsed(query)
    variables = get_variable_values(at.schema, operation.variable_definitions or (), {})
    assert not isinstance(variables, list)
    parameters = plan.parameters(variables, {})
    with psycopg.connect(rows_there, cursor_factory=psycopg.RawCursor) as db:
        db.execute("ANALYZE")
        for setting in ("enable_seqscan = off", "enable_sort = off", "plan_cache_mode = force_generic_plan"):
            db.execute(f"SET {setting}".encode())
        db.execute(f"PREPARE asked AS {plan.sql}".encode())
        values = ", ".join(sql.Literal(each and each.decode()).as_string(db) for each in parameters)
        lines = [line for (line,) in db.execute(f"EXPLAIN EXECUTE asked({values})".encode())]
    assert any(index in line for line in lines), "\n".join(lines)
    assert not any("Sort" in line for line in lines if "orderBy" in query), "\n".join(lines)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ('{kind: {eq: PERSON}, owner: {id: {eq: "x"}}}', True),
        ('{owner: {name: {eq: "x"}}}', False),
        ('{name: {startsWith: "x"}}', False),
        ('{tags: {some: {eq: "x"}}}', False),
        ("{or: [{kind: {eq: PERSON}}]}", False),
        ("{and: [{kind: {eq: PERSON}}]}", False),
        ("{not: {kind: {eq: PERSON}}}", False),
    ],
)
def test_what_its_values_decide_is_planned_for_them(at: Desk, where: str, kept: bool) -> None:
    at.data(f"{{ customers(first: 1, where: {where}) {{ totalCount }} }}")
    (plan,) = at.reader._plans.values()
    assert plan.planned_anew is not kept
