"""The schema of what is read: every element described, every source there, nullable what may be hidden or erased."""

from collections.abc import Iterator
from typing import Any

import pytest
import strawberry
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLNonNull, GraphQLObjectType
from strawberry.schema.config import StrawberryConfig

from api.reading.declarations import all_of, column, connection, expression, lookup, relation, rows_of
from api.reading.entities import DeclarationError, Entities
from api.reading.relay import Connection
from api.reading.sources import Argument, Column, Part
from api.scalars import SCALARS
from api.schema import the_schema
from domain.kernel import Word
from projections.model import Table

SHELVES = Table(name="shelves", columns={"id": "text NOT NULL", "label": "text"})
BOOKS = Table(name="books", columns={"id": "text NOT NULL", "title": "text", "shelf_id": "text"})


def _undescribed(schema: Any) -> Iterator[str]:
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        if not kind.description:
            yield kind.name
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, field in kind.fields.items():
                if not field.description:
                    yield f"{kind.name}.{name}"
                for argument, of in getattr(field, "args", {}).items():
                    if not of.description:
                        yield f"{kind.name}.{name}({argument})"
        if isinstance(kind, GraphQLEnumType):
            yield from (f"{kind.name}.{name}" for name, value in kind.values.items() if not value.description)


def test_every_type_field_argument_and_value_is_described() -> None:
    assert list(_undescribed(the_schema()._schema)) == []


def test_what_may_be_hidden_or_erased_is_nullable_and_what_stands_for_ever_is_not() -> None:
    entities = Entities(the_schema())
    stable = {"id", "status", "version", "kind", "position"}
    for entity in entities.by_name.values():
        assert entity.rows is not None or entity.type.name == "Query"
        for name, source in entity.sources.items():
            field = entity.type.fields[name]
            if isinstance(source, Column) and entity.rows is not None:
                declared = entity.rows.table.columns.get(source.name, "NOT NULL")
                assert isinstance(field.type, GraphQLNonNull) <= ("NOT NULL" in declared), f"{entity.type.name}.{name}"
                if name in stable and not entity.type.name.endswith("Group"):
                    assert isinstance(field.type, GraphQLNonNull), f"{entity.type.name}.{name}"
            if isinstance(source, Part):
                assert not isinstance(field.type, GraphQLNonNull), f"{entity.type.name}.{name}"


def test_words_in_tables_are_the_lower_case_of_enum_values() -> None:
    """The compiler writes `upper(column)`."""
    for kind in the_schema()._schema.type_map.values():
        word: Any = getattr(kind, "wrapped_cls", object)
        if isinstance(kind, GraphQLEnumType) and issubclass(word, Word):
            assert {member.value.upper() for member in word} == set(kind.values)


def _schema(query: type[Any]) -> strawberry.Schema:
    return strawberry.Schema(query, config=StrawberryConfig(scalar_map=SCALARS))


@rows_of(BOOKS)
@strawberry.type
class Book:
    title: str | None = column("title", "Its title.", filtered=True, sort="title")


@pytest.mark.parametrize(
    ("field", "of", "message"),
    [
        (column("colour", "x"), str | None, "Shelf.field reads column colour"),
        (expression("{label} || {colour}", "x"), str | None, "Shelf.field reads column colour"),
        (relation("book_id", "x"), Book | None, "Shelf.field reads column book_id"),
        (relation("label", "x", key="isbn"), Book | None, "Shelf.field reads column isbn, which the other"),
        (all_of("x", on={"room_id": "id"}), list[Book], "Shelf.field reads column room_id, which the other"),
        (all_of("x", on={"shelf_id": "key"}), list[Book], "Shelf.field reads column key"),
        (
            connection("x", on={"shelf_id": "id"}, where="{colour} = 1"),
            Connection[Book],
            "column colour, which the other",
        ),
    ],
)
def test_a_declaration_that_does_not_fit_its_table_is_refused_at_start(field: Any, of: Any, message: str) -> None:
    shelf: Any = rows_of(SHELVES)(
        strawberry.type(type("Shelf", (), {"__annotations__": {"field": of}, "field": field}))
    )
    root = lookup(Argument("id", "id", strawberry.ID, "x"), description="x")
    query = strawberry.type(type("Query", (), {"__annotations__": {"shelf": shelf | None}, "shelf": root}))
    with pytest.raises(DeclarationError, match=message):
        Entities(_schema(query))


def test_filtered_and_sorted_fields_make_the_arguments_of_lists() -> None:
    root = connection("Books.")
    query = strawberry.type(type("Query", (), {"__annotations__": {"books": Connection[Book]}, "books": root}))
    fields = _schema(query)._schema.query_type.fields  # type: ignore[union-attr]
    assert {name: str(argument.type) for name, argument in fields["books"].args.items()} == {
        "first": "Int",
        "after": "String",
        "last": "Int",
        "before": "String",
        "where": "BookWhere",
        "orderBy": "[BookOrder!]",
    }
