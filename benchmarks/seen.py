"""What somebody sees of the customers of `growth`, worked out in plain SQL: what their answers must say."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, LiteralString, NamedTuple

import psycopg

from benchmarks.growth import middle
from benchmarks.people import Person
from benchmarks.questions import Question

_ON_PAGE = 50

_TAGGED_WITH_A_LARGE_DEAL = (
    "where: {tags: {some: {eq: $text}}, opportunities: {some: {amount: {gte: {amount: 50000, currency: EUR}}}}}"
)
_TAGGED: LiteralString = "id IN (SELECT customer_id FROM daybook_read.customer_tags WHERE tag = %(text)s)"
_WITH_A_LARGE_DEAL: LiteralString = (
    "id IN (SELECT customer_id FROM daybook_read.opportunities WHERE amount >= 50000 AND currency = 'EUR')"
)
_WHERE: Mapping[str, LiteralString] = {
    "": "true",
    "orderBy: [{field: NAME}]": "true",
    "after: $cursor": "created_at < (SELECT created_at FROM daybook_read.customers WHERE id = %(middle)s)",
    "where: {owner: {id: {eq: $id}}}": "owner_id = %(id)s",
    "where: {tags: {some: {eq: $text}}}": _TAGGED,
    "where: {createdAt: {gte: $from, lt: $until}}": "created_at >= %(from)s AND created_at < %(until)s",
    _TAGGED_WITH_A_LARGE_DEAL: f"{_TAGGED} AND {_WITH_A_LARGE_DEAL}",
    "search: $text": """
        lower(name) LIKE ALL (%(words)s)
        OR id IN (SELECT customer_id FROM daybook_read.customer_contact_points WHERE value = %(number)s)
    """,
}
"""By the arguments of the questions. Of what is searched for, names and numbers alone have it."""

_ORDER: Mapping[str, LiteralString] = {"orderBy: [{field: NAME}]": "name_key, id"}
_LATEST_FIRST: LiteralString = "created_at DESC, id"

_PAGE: LiteralString = """
    SELECT id, name,
        ARRAY(SELECT value FROM daybook_read.customer_contact_points WHERE customer_id = customer.id ORDER BY ordinal),
        ARRAY(SELECT title FROM daybook_read.opportunities WHERE customer_id = customer.id),
        ARRAY(SELECT amount FROM daybook_read.opportunities WHERE customer_id = customer.id)
    FROM daybook_read.customers customer
    WHERE ({sees}) AND ({where})
    ORDER BY {order} LIMIT %(limit)s
"""
_EVERYTHING: LiteralString = "true"
_OWN_OR_THE_TEAMS: LiteralString = "owner_id = %(me)s OR team_id = %(team)s"


class Page(NamedTuple):
    """Customers, with whether there are more."""

    customers: list[tuple[Any, ...]]
    more: bool


def page(db: psycopg.Connection, size: int, person: Person, question: Question, given: Mapping[str, Any]) -> Page:
    """What this question with these values shows to somebody; who is in no team is an administrator."""
    query = _PAGE.format(
        sees=_EVERYTHING if person.team is None else _OWN_OR_THE_TEAMS,
        where=_WHERE[question.arguments],
        order=_ORDER.get(question.arguments, _LATEST_FIRST),
    )
    text = given.get("text", "")
    values = {
        **given, "me": person.id, "team": person.team, "middle": middle(size), "limit": _ON_PAGE + 1,
        "words": [f"%{word}%" for word in text.lower().split()], "number": text.replace(" ", ""),
    }  # fmt: skip
    rows = db.execute(query, values).fetchall()
    return Page(rows[:_ON_PAGE], len(rows) > _ON_PAGE)


def shown(answer: Mapping[str, Any]) -> Page:
    """The same out of an answer."""
    customers = [
        (
            one["id"],
            one["name"],
            [point["value"] for point in one["contactPoints"]],
            [deal["title"] for deal in one["opportunities"]["nodes"]],
            [Decimal(deal["amount"]["amount"]) for deal in one["opportunities"]["nodes"]],
        )
        for one in answer["customers"]["nodes"]
    ]
    return Page(customers, answer["customers"]["pageInfo"]["hasNextPage"])


def many(db: psycopg.Connection, person: Person) -> int:
    """How many customers somebody sees."""
    sees = _EVERYTHING if person.team is None else _OWN_OR_THE_TEAMS
    [(found,)] = db.execute(_MANY.format(sees=sees), {"me": person.id, "team": person.team}).fetchall()
    return int(found)


_MANY: LiteralString = "SELECT count(*) FROM daybook_read.customers WHERE {sees}"
