"""Pages by cursor: walked in either direction they give the whole list once and in order, whatever the order."""

import base64
from typing import Any

import pytest
from graphql import GraphQLError

from tests.api.desk import Desk, desk
from tests.api.reference import in_order
from tests.api.sample import load, sample

ORDERS = [
    [],
    [("CLOSED_ON", "ASC")],
    [("CLOSED_ON", "DESC")],
    [("EXPECTED_CLOSE", "DESC"), ("CLOSED_ON", "ASC")],
    [("PROBABILITY", "ASC"), ("OPENED_AT", "DESC"), ("EXPECTED_CLOSE", "ASC")],
    [("TITLE", "DESC")],
]
COLUMNS = {"TITLE": "title_key"}
PAGE = """query Q($first: Int, $after: String, $last: Int, $before: String, $orderBy: [OpportunityOrder!]) {
  opportunities(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
  }
}"""


@pytest.fixture(scope="module")
def rows_there(module_database: str) -> str:
    load(module_database, sample(seed=2))
    return module_database


def page(at: Desk, order: list[tuple[str, str]], **given: Any) -> dict[str, Any]:
    by = [{"field": field, "direction": direction} for field, direction in order]
    found: dict[str, Any] = at.data(PAGE, {**given, **({"orderBy": by} if by else {})})["opportunities"]
    return found


def ids(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


def test_walking_gives_every_element_once_and_in_order_in_both_directions(rows_there: str) -> None:
    rows = sample(seed=2)
    with desk(rows_there) as at:
        for order in ORDERS:
            steps = ", ".join(f"{COLUMNS.get(field, field.lower())} {direction}" for field, direction in order)
            whole = [row["id"] for row in in_order(rows["opportunities"], steps or "opened_at DESC", ("id",))]
            forward: list[str] = []
            found = page(at, order, first=7)
            assert not found["pageInfo"]["hasPreviousPage"]
            while True:
                forward += ids(found)
                assert found["pageInfo"]["hasNextPage"] == (len(forward) < len(whole))
                assert found["totalCount"] == len(whole)
                if not found["pageInfo"]["hasNextPage"]:
                    break
                found = page(at, order, first=7, after=found["pageInfo"]["endCursor"])
                assert found["pageInfo"]["hasPreviousPage"]
            assert forward == whole
            backward: list[str] = []
            found = page(at, order, last=7)
            while True:
                backward = ids(found) + backward
                assert found["pageInfo"]["hasPreviousPage"] == (len(backward) < len(whole))
                if not found["pageInfo"]["hasPreviousPage"]:
                    break
                found = page(at, order, last=7, before=found["pageInfo"]["startCursor"])
                assert found["pageInfo"]["hasNextPage"]
            assert backward == whole


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
        for order in ([("TITLE", "ASC")], [("OPENED_AT", "ASC")]):
            with pytest.raises(GraphQLError, match="another list or another order"):
                page(at, order, first=1, after=cursor)
        with pytest.raises(GraphQLError, match="another list or another order"):
            at.data("query Q($c: String) { tickets(first: 1, after: $c) { nodes { id } } }", {"c": cursor})
        # The same order in other words is the same order.
        assert len(ids(page(at, [("OPENED_AT", "DESC")], first=1, after=cursor))) == 1


def test_a_cursor_that_was_changed_is_the_client_s_error(rows_there: str) -> None:
    with desk(rows_there) as at:
        cursor = at.data("{ history(first: 1) { pageInfo { endCursor } } }")["history"]["pageInfo"]["endCursor"]
        inside = base64.urlsafe_b64decode(cursor + "==")
        assert b'"1"' in inside
        changed = base64.urlsafe_b64encode(inside.replace(b'"1"', b'"one"')).decode()
        with pytest.raises(GraphQLError, match="a cursor that was changed, perhaps") as refused:
            at.data("query Q($c: String) { history(first: 1, after: $c) { nodes { type } } }", {"c": changed})
        assert refused.value.extensions == {"code": "BAD_USER_INPUT"}
