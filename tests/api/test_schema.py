"""The schema: every element is described, and the committed file is the code's."""

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    specified_directives,
)

from api.schema import schema_text
from tests.api.printed import printed_schema


def undescribed(schema: GraphQLSchema) -> Iterator[str]:
    """Every element that has no description."""
    for name, one in schema.type_map.items():
        if name.startswith("__"):
            continue
        if not one.description:
            yield name
        if isinstance(one, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in one.fields.items():
                if not field.description:
                    yield f"{name}.{field_name}"
                yield from (f"{name}.{field_name}({key}:)" for key, arg in field.args.items() if not arg.description)
        if isinstance(one, GraphQLInputObjectType):
            yield from (f"{name}.{key}" for key, field in one.fields.items() if not field.description)
        if isinstance(one, GraphQLEnumType):
            yield from (f"{name}.{key}" for key, value in one.values.items() if not value.description)
    known = {each.name for each in specified_directives}
    for directive in schema.directives:
        if directive.name not in known:
            yield from (f"@{directive.name}({key}:)" for key, arg in directive.args.items() if not arg.description)
            if not directive.description:
                yield f"@{directive.name}"


def test_every_element_is_described() -> None:
    assert list(undescribed(printed_schema())) == []


def test_an_element_without_a_description_is_found_wherever_it_stands() -> None:
    schema = build_schema("""
        directive @shown(as: String) on FIELD
        enum Kind { PERSON }
        input Where { kind: Kind }
        interface Node { id: ID }
        type Query implements Node { id(where: Where): ID }
        scalar Day
        union Any = Query
    """)
    assert set(undescribed(schema)) - {"Boolean", "ID", "String"} == {
        "@shown", "@shown(as:)", "Kind", "Kind.PERSON", "Where", "Where.kind", "Node", "Node.id",
        "Query", "Query.id", "Query.id(where:)", "Day", "Any",
    }  # fmt: skip


def test_null_is_no_default() -> None:
    assert "= null" not in schema_text()


def test_descriptions_name_fields_as_clients_know_them() -> None:
    text = schema_text()
    quoted = {word for line in text.splitlines() for word in line.split("`")[1::2]}
    assert [word for word in quoted if "_" in word and word.replace("_", "").isalpha() and word.islower()] == []


def test_the_committed_schema_is_the_code_s() -> None:
    committed = Path(__file__).parents[2] / "schema.graphql"
    assert committed.read_text(encoding="utf-8") == schema_text(), "run `make schema`"
