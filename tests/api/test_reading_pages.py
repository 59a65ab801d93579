"""Pages by cursor: walked in either direction they give the whole list once and in order, whatever the order."""

import base64
import hashlib
import json
from decimal import Decimal
from itertools import product
from operator import itemgetter
from random import Random
from typing import Any, cast

import pytest
from graphql import GraphQLError

from api.reading.sources import SOURCE
from api.schema import the_schema
from tests.api.desk import Desk, desk
from tests.api.reference import Reference, declared
from tests.api.sample import Rows, load, sample

ROWS = sample(seed=3)
PAGE = """query Q($first: Int, $after: String, $last: Int, $before: String, $orderBy: [OpportunityOrder!]) {
  opportunities(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
  }
}"""


@pytest.fixture(scope="module")
def rows_there(module_database: str) -> str:
    load(module_database, ROWS)
    return module_database


def page(at: Desk, order: list[tuple[str, ...]], **given: Any) -> dict[str, Any]:
    by = [dict(zip(("field", "direction", "nulls"), each, strict=False)) for each in order]
    found: dict[str, Any] = at.data(PAGE, {**given, **({"orderBy": by} if by else {})})["opportunities"]
    return found


def ids(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


def walked(at: Desk, order: list[dict[str, str]], whole: list[str], size: int) -> None:
    """Walk the list forwards and backwards: it must be `whole`, and each page must know where it lies."""
    by = {"orderBy": order} if order else {}
    for backward in (False, True):
        side, cursor, further, back = (
            ("last", "startCursor", "hasPreviousPage", "hasNextPage")
            if backward
            else ("first", "endCursor", "hasNextPage", "hasPreviousPage")
        )
        seen: list[str] = []
        given: dict[str, Any] = {side: size, **by}
        while True:
            found = at.data(PAGE, given)["opportunities"]
            info = found["pageInfo"]
            assert info[back] == bool(seen), order
            seen = [*ids(found), *seen] if backward else [*seen, *ids(found)]
            assert info[further] == (len(seen) < len(whole)), order
            assert found["totalCount"] == len(whole)
            if not info[further]:
                break
            given["before" if backward else "after"] = info[cursor]
        assert seen == whole, (order, side)


def test_walking_gives_every_element_once_and_in_order_in_both_directions(rows_there: str) -> None:
    """Every order of one step, with NULL at either end, and orders of several steps."""
    fields = sorted(cast("Any", the_schema()._schema.type_map["OpportunityOrderField"]).values)
    ends = (None, "FIRST", "LAST")
    steps = [step(*each) for each in product(fields, ("ASC", "DESC"), ends)]
    orders: list[list[dict[str, str]]] = [[], *([one] for one in steps), *batched_by_chance(steps, 40)]
    list_of, source = deals(ROWS)
    with desk(rows_there) as at:
        _, operation = at.parsed(PAGE)
        for order in orders:
            given = at.coerced(operation, {"orderBy": order} if order else {})
            whole = [row["id"] for row in list_of.rows_of(*source, {"by": given.get("orderBy")})]
            walked(at, order, whole, 23)


def step(field: str, direction: str, nulls: str | None) -> dict[str, str]:
    return {"field": field, "direction": direction, **({"nulls": nulls} if nulls else {})}


def batched_by_chance(steps: list[dict[str, str]], count: int) -> list[list[dict[str, str]]]:
    chance = Random(7)
    return [chance.sample(steps, chance.randint(2, 4)) for _ in range(count)]


def deals(rows: Rows) -> tuple[Reference, tuple[Any, Any]]:
    """The reference, and the list of all deals in it."""
    reference = Reference(rows)
    field = cast("Any", reference.schema.query_type).fields["opportunities"]
    return reference, (reference.types["Opportunity"], declared(field)[SOURCE])


def test_names_in_every_writing_stand_in_one_order_and_what_has_none_where_it_was_put(rows_there: str) -> None:
    query = """query Q($by: [OpportunityOrder!]) {
      opportunities(first: 100, orderBy: $by, where: {title: {startsWith: "z"}}) { nodes { title } } }"""
    with desk(rows_there) as at:
        found = at.data(query, {"by": [step("TITLE", "ASC", None)]})["opportunities"]["nodes"]
        titles = [each["title"] for each in found]
        assert {title[:3] for title in titles} == {"Zo\u00eb", "zo\u00eb", "ZO\u00cb"}
        assert [title[3:] for title in titles] == sorted(title[3:] for title in titles)
        for nulls, place in (("FIRST", slice(0, 1)), ("LAST", slice(-1, None))):
            for direction in ("ASC", "DESC"):
                order = {"by": [step("TITLE", direction, nulls)]}
                whole = at.data(query.replace(', where: {title: {startsWith: "z"}}', ""), order)
                assert whole["opportunities"]["nodes"][place] in ([{"title": None}], [{"title": ""}])


def test_a_page_between_two_cursors(rows_there: str) -> None:
    with desk(rows_there) as at:
        edges = page(at, [], first=20)["edges"]
        between = {"after": edges[3]["cursor"], "before": edges[9]["cursor"]}
        inner = [edge["node"]["id"] for edge in edges[4:9]]
        found = page(at, [], first=3, **between)
        assert ids(found) == inner[:3]
        assert (found["pageInfo"]["hasPreviousPage"], found["pageInfo"]["hasNextPage"]) == (True, True)
        assert ids(page(at, [], last=2, **between)) == inner[-2:]
        assert ids(page(at, [], first=100, **between)) == inner
        empty = page(at, [], first=5, after=edges[3]["cursor"], before=edges[4]["cursor"])
        assert ids(empty) == []
        assert empty["pageInfo"] == {
            "hasNextPage": True, "hasPreviousPage": True, "startCursor": None, "endCursor": None
        }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "`first` or `last`"),
        ({"first": 2, "last": 2}, "`first` or `last`"),
        ({"first": 0}, "`first` is 0; ask for 1 to 100."),
        ({"last": 101}, "`last` is 101; ask for 1 to 100."),
        ({"first": 2, "after": "no cursor"}, "This is no cursor"),
        ({"first": 2, "after": "WyJhIl0"}, "another list or another order"),
        ({"first": 2, "before": "ü"}, "This is no cursor"),
        ({"first": 2, "before": "W10"}, "This is no cursor"),
    ],
)
def test_arguments_that_make_no_page_are_refused(rows_there: str, given: dict[str, Any], message: str) -> None:
    with desk(rows_there) as at:
        for _ in range(2):  # the second time the plan may be kept
            with pytest.raises(GraphQLError, match=message) as refused:
                page(at, [], **given)
            assert refused.value.extensions == {"code": "BAD_USER_INPUT"}


def test_a_cursor_belongs_to_its_order_and_its_list(rows_there: str) -> None:
    with desk(rows_there) as at:
        cursor = page(at, [], first=1)["pageInfo"]["endCursor"]
        orders: list[list[tuple[str, ...]]] = [[("TITLE", "ASC")], [("OPENED_AT", "ASC")]]
        for order in orders:
            with pytest.raises(GraphQLError, match="another list or another order"):
                page(at, order, first=1, after=cursor)
        with pytest.raises(GraphQLError, match="another list or another order"):
            at.data("query Q($c: String) { tickets(first: 1, after: $c) { nodes { id } } }", {"c": cursor})
        # The same order in other words is the same order; where nulls stand makes it another, if there can be any.
        assert len(ids(page(at, [("OPENED_AT", "DESC")], first=1, after=cursor))) == 1
        assert len(ids(page(at, [("OPENED_AT", "DESC", "FIRST")], first=1, after=cursor))) == 1
        cursor = page(at, [("CLOSED_ON", "DESC")], first=1)["pageInfo"]["endCursor"]
        assert len(ids(page(at, [("CLOSED_ON", "DESC", "LAST")], first=1, after=cursor))) == 1
        with pytest.raises(GraphQLError, match="another list or another order"):
            page(at, [("CLOSED_ON", "DESC", "FIRST")], first=1, after=cursor)


def test_what_has_no_amount_stands_where_nulls_are_put_whatever_its_currency(database: str) -> None:
    """A deal keeps its currency without an amount, a customer that of a revenue that was cleared."""
    rows = sample(seed=3)
    deals, customers = rows["opportunities"], [row for row in rows["customers"] if row["status"] == "active"]
    for at_, row in enumerate(deals):
        row["currency"] = ("CHF", "EUR", "JPY")[at_ % 3]
        row["amount"] = None if at_ % 4 == 0 else Decimal(at_ % 5)
    for at_, row in enumerate(customers):
        row["revenue_currency"] = ("CHF", "EUR")[at_ % 2]
        row["annual_revenue"] = None if at_ % 3 == 0 else Decimal(at_ % 4)
    load(database, rows)
    lists = (
        ("opportunities", "AMOUNT", "amount", [(row["id"], row["currency"], row["amount"]) for row in deals]),
        (
            "customers",
            "ANNUAL_REVENUE",
            "annualRevenue",
            [(row["id"], row["revenue_currency"], row["annual_revenue"]) for row in customers],
        ),
    )
    with desk(database) as at:
        for (listed, field, name, given), direction, nulls, backward in product(
            lists, ("ASC", "DESC"), (None, "FIRST", "LAST"), (False, True)
        ):
            there = sorted((one for one in given if one[2] is not None), key=itemgetter(0))
            there.sort(key=itemgetter(1, 2), reverse=direction == "DESC")
            absent = sorted(id for id, _, amount in given if amount is None)
            values = [id for id, _, _ in there]
            whole = [*absent, *values] if nulls == "FIRST" else [*values, *absent]
            kind = {"opportunities": "Opportunity", "customers": "Customer"}[listed]
            side, bound, cursor = ("last", "before", "startCursor") if backward else ("first", "after", "endCursor")
            query = f"""query Q($c: String, $by: [{kind}Order!]) {{ {listed}({side}: 3, {bound}: $c, orderBy: $by) {{
                nodes {{ id {name} {{ amount }} }} pageInfo {{ {cursor} }} }} }}"""
            seen: list[str] = []
            place: str | None = None
            while place is not None or not seen:
                found = at.data(query, {"c": place, "by": [step(field, direction, nulls)]})[listed]
                ids = [one["id"] for one in found["nodes"]]
                seen = [*ids, *seen] if backward else [*seen, *ids]
                place = found["pageInfo"][cursor]
            assert seen == whole, (listed, direction, nulls, backward)


def test_a_cursor_of_an_order_by_amount_as_it_once_was_is_refused(rows_there: str) -> None:
    """Made when a currency alone was a value to order by: it would begin somewhere else now."""
    order = 'opportunities: row."currency" desc, row."amount" desc, row."id" asc'
    made_for = hashlib.sha256(order.encode()).hexdigest()[:8]
    inside = json.dumps([made_for, "EUR", None, ROWS["opportunities"][0]["id"]])
    with desk(rows_there) as at, pytest.raises(GraphQLError, match="another order; begin again without it"):
        page(at, [("AMOUNT", "DESC")], first=2, after=base64.urlsafe_b64encode(inside.encode()).decode().rstrip("="))


def test_a_cursor_that_was_changed_is_the_client_s_error(rows_there: str) -> None:
    with desk(rows_there) as at:
        cursor = at.data("{ history(first: 1) { pageInfo { endCursor } } }")["history"]["pageInfo"]["endCursor"]
        inside = base64.urlsafe_b64decode(cursor + "==")
        assert b'"1"' in inside
        changed = base64.urlsafe_b64encode(inside.replace(b'"1"', b'"one"')).decode()
        with pytest.raises(GraphQLError, match="A cursor in the arguments") as refused:
            at.data("query Q($c: String) { history(first: 1, after: $c) { nodes { type } } }", {"c": changed})
        assert refused.value.extensions == {"code": "BAD_USER_INPUT"}
