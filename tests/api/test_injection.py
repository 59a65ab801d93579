"""SQL, NUL and tricks of Unicode in every text that a client can send: none does anything but be a text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from psycopg import sql

from tests.api.bad_values import Case, Inputs
from tests.api.book import Client, serving
from tests.api.printed import printed_schema
from tests.api.test_bad_input import KINDS, MUTATIONS, OF_SIGNING_IN, answer, seeded

pytestmark = pytest.mark.anyio

SQL = "x'); DELETE FROM daybook_read.customers; SELECT pg_sleep(60); -- $1 %s %(i)s {name} \\' \\\" $$ /* E'\\x27"
ALIKE = "\u02bc\uff07); \u2028 \u202egnp \u200b\ufeff\u0130\ufb03 e\u0301 \U0001f469\u200d\U0001f4bb ; DROP"
TEXTS = {"SQL": SQL, "alike": ALIKE, "NUL": "a\x00'); --", "half a pair": "\udfff'"}
CODES = {"BAD_USER_INPUT", "BAD_REQUEST"}

SCHEMA = printed_schema()
QUERY = SCHEMA.query_type
# The log is made of the book every two seconds, whoever asks what.
TABLES = """
    SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'daybook%' AND schemaname <> 'daybook_log'
    ORDER BY 1, 2
"""


def counts(db: psycopg.Connection[Any]) -> dict[str, int]:
    """How many rows each table of ours has, but for the log's."""
    found: dict[str, int] = {}
    for name in db.execute(TABLES).fetchall():
        (found[".".join(name)],) = db.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*name))
        ).fetchone()  # type: ignore[misc]
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_in_every_text_of_every_mutation(database: str, tmp_path: Path, kind: str) -> None:
    assert isinstance(MUTATIONS, GraphQLObjectType)
    tried, faults = 0, list[str]()
    async with serving(database, tmp_path) as client:
        records = await seeded(client)
        with psycopg.connect(database, autocommit=True) as db:
            before = counts(db)
        for name, field in MUTATIONS.fields.items():
            if name in OF_SIGNING_IN or (inputs := Inputs(name, field, records)).kind != kind:
                continue
            for case in inputs.with_texts(TEXTS):
                tried += 1
                if fault := await fault_of(client, case):
                    faults.append(f"{case}: {fault}")
        with psycopg.connect(database, autocommit=True) as db:
            after = counts(db)
        assert {name: rows for name, rows in before.items() if after.get(name, 0) < rows} == {}, "something is gone"
    assert tried
    assert not faults, "\n".join(faults)


async def fault_of(client: Client, case: Case) -> str | None:
    response = await answer(client, case)
    body = response.json()
    codes = {error["extensions"]["code"] for error in body.get("errors", ())}
    if not codes <= CODES:
        return json.dumps(body)
    if codes or body["data"][case.mutation]["userErrors"]:
        return None
    return None if case.what in ("SQL", "alike") else "it was accepted"


class Place(NamedTuple):
    """A text in the arguments of a query field."""

    field: str
    path: tuple[str, ...]
    kind: str

    def __str__(self) -> str:
        return f"{self.field}({'.'.join(self.path)})"


def places(field: str, kind: GraphQLType, path: tuple[str, ...], met: set[str]) -> Iterator[Place]:
    """Every text of each input type, by the first way to it: conditions hold conditions, without end."""
    bare = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    match bare:
        case GraphQLList():
            yield from places(field, bare.of_type, (*path, "0"), met)
        case GraphQLInputObjectType():
            shared = bare.name.endswith("Filter")  # of a type, and not of a table
            if shared or bare.name not in met:
                met.add(bare.name)
                for name, one in bare.fields.items():
                    yield from places(field, one.type, (*path, name), met)
        case _ if get_named_type(bare).name in ("String", "ID", "CurrencyCode", "UUID", "Decimal", "DateTime", "Date"):
            yield Place(field, path, get_named_type(bare).name)
        case _:
            pass


def given(place: Place, text: str) -> Any:
    """The argument's value with this text in its place, and nothing else."""
    value: Any = text
    for step in reversed(place.path[1:]):
        value = [value] if step.isdigit() else {step: value}
    return value


def selected(field: GraphQLField) -> str:
    of = get_named_type(field.type)
    return "" if is_leaf_type(of) else " { __typename }"


def others(field: GraphQLField, but: str) -> Iterator[str]:
    """What else the field can't be asked without."""
    for name, argument in field.args.items():
        if name == but:
            continue
        if name == "first":
            yield "first: 1"
        elif is_required_argument(argument):
            yield f"{name}: {REQUIRED.get(name) or plain(argument)}"


REQUIRED = {"by": "[]"}


def plain(argument: GraphQLArgument) -> str:
    name = get_named_type(argument.type).name
    return {"String": '"x"', "ID": '"cus_01h455vb4pex5vsknk084sn02q"', "Int": "1", "Moment": '{position: "1"}'}[name]


async def test_in_every_text_of_every_query(database: str, tmp_path: Path) -> None:
    assert isinstance(QUERY, GraphQLObjectType)
    tried, served, faults, met = 0, 0, list[str](), set[str]()
    async with serving(database, tmp_path) as client:
        await seeded(client)
        with psycopg.connect(database, autocommit=True) as db:
            before = counts(db)
            for name, field in QUERY.fields.items():
                for argument, one in field.args.items():
                    for place in places(name, one.type, (argument,), met):
                        more = ", ".join([f"{argument}: $x", *others(field, argument)])
                        query = f"query($x: {one.type}) {{ {name}({more}){selected(field)} }}"
                        for what, text in TEXTS.items():
                            tried += 1
                            content = json.dumps({"query": query, "variables": {"x": given(place, text)}})
                            answered = await client.http.post(
                                "/graphql", content=content, headers={"Content-Type": "application/json"}
                            )
                            body = answered.json()
                            codes = {error["extensions"]["code"] for error in body.get("errors", ())}
                            served += not codes
                            if not codes <= CODES:
                                faults.append(f"{place}, {what}: {query} {answered.text[:300]}")
            assert counts(db) == before
    assert (tried > 3000, served > 500) == (True, True), (tried, served)
    assert not faults, f"{len(faults)} of {tried}\n" + "\n".join(faults[:30])
