"""Random questions to the schema: hypothesis draws valid queries over every read field, with their variables."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)
from hypothesis import strategies as st
from strawberry.utils.str_converters import to_snake_case

from domain.catalogue import catalogue
from domain.kernel import type_id
from tests.api.sample import KINDS, TABLES, Rows
from tests.api.searched import QUESTIONS

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

NOT_COMPARED = ("cursor", "startCursor", "endCursor")
"""The reference makes no cursors; paging by them has a test of its own."""
LONG = "a_response_key_of_more_than_sixty_three_bytes_that_postgresql_would_cut_off_"
DEEPEST = 4


@st.composite
def questions(
    draw: Draw, schema: GraphQLSchema, rows: Rows, root: GraphQLObjectType | None = None
) -> tuple[str, dict[str, Any]]:
    """A query and its variables; `root`, a part of the schema's, where the query is about some fields only."""
    assert schema.query_type is not None
    return _Question(draw, schema, rows).ask(root or schema.query_type)


class _Question:
    def __init__(self, draw: Draw, schema: GraphQLSchema, rows: Rows) -> None:
        self.draw, self.schema = draw, schema
        self.ids = [row["id"] for name in TABLES for row in rows[name][:3] if "id" in row]
        unknown = [type_id(prefix, UUID(int=1)) for prefix in catalogue.prefixes.values()]
        self.nodes = [row["id"] for name in KINDS for row in rows[name][:3]] + unknown
        self.ids.append("x")
        self.schemes = [row["scheme_key"] for row in rows["customer_classifications"]]
        self.count = 0
        self.variables: dict[str, tuple[str, Any]] = {}

    def ask(self, root: GraphQLObjectType) -> tuple[str, dict[str, Any]]:
        selection = self.selection(root, DEEPEST)
        declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in self.variables.items())
        values = {name: value for name, (_, value) in self.variables.items()}
        return f"query Q{f'({declared})' if declared else ''} {selection}", values

    def selection(self, kind: GraphQLObjectType, depth: int) -> str:
        fields = [(name, field) for name, field in kind.fields.items() if self.fits(name, field, depth)]
        chosen = self.draw(st.lists(st.sampled_from(fields), min_size=1, max_size=4)) if fields else []
        parts = [self.wrapped(kind, self.field(name, field, depth)) for name, field in chosen]
        if not parts or self.chance(8):
            parts.append("__typename")
        return f"{{ {' '.join(parts)} }}"

    def fits(self, name: str, field: GraphQLField, depth: int) -> bool:
        if name in NOT_COMPARED:
            return False
        named = get_named_type(field.type)
        # Connections and their edges lead on; one level is left for what they hold.
        return depth > 0 or not isinstance(named, GraphQLObjectType | GraphQLInterfaceType)

    def field(self, name: str, field: GraphQLField, depth: int) -> str:
        named = get_named_type(field.type)
        below = ""
        if isinstance(named, GraphQLObjectType):
            below = self.selection(named, depth - 1)
        elif isinstance(named, GraphQLInterfaceType):
            kinds = self.draw(st.lists(st.sampled_from(self.schema.get_possible_types(named)), max_size=2))
            of_kinds = " ".join(f"... on {kind.name} {self.selection(kind, depth - 1)}" for kind in kinds)
            below = f"{{ id __typename {of_kinds} }}"
        if not field.args and not self.chance(6):
            return f"{name} {below}"
        # Two uses of a field with other arguments, or with other sub-selections of those, need keys of their own.
        self.count += 1
        alias = f"{LONG if self.chance(6) else 'a'}{self.count}"
        given = ", ".join(f"{key}: {value}" for key, value in self.arguments(field).items())
        return f"{alias}: {name}{f'({given})' if given else ''} {below}"

    def wrapped(self, kind: GraphQLObjectType, text: str) -> str:
        match self.draw(st.integers(0, 11)):
            case 0:
                return f"... on {kind.name} {{ {text} }}"
            case 1:
                return f"... @include(if: {self.variable('Boolean!', self.draw(st.booleans()))}) {{ {text} }}"
            case 2:
                return f"... @skip(if: {self.variable('Boolean!', self.draw(st.booleans()))}) {{ {text} }}"
            case _:
                return text

    def arguments(self, field: GraphQLField) -> dict[str, str]:
        given: dict[str, str] = {}
        if "last" in field.args:
            side = self.draw(st.sampled_from(("first", "last")))
            given[side] = self.value("Int", self.draw(st.integers(1, 6)))
        for key, argument in field.args.items():
            named = get_named_type(argument.type)
            if "source" in field.args or key == "email":
                words = {"source": ("old", "shop", "x"), "id": ("1", "2", "4"), "email": ("Ada@Example.com", "x@y.zz")}
                given[key] = self.value("String!", self.one(words[key]))
            elif key == "id":
                given[key] = self.value("ID!", self.one(self.ids_of(get_named_type(field.type))))
            elif key == "ids":
                given[key] = self.value("[ID!]!", self.draw(st.lists(st.sampled_from(self.nodes), max_size=5)))
            elif key == "number":
                given[key] = self.value("Int!", self.draw(st.integers(0, 5)))
            elif key == "first" and "by" in field.args:
                given[key] = self.value("Int!", self.draw(st.integers(1, 12)))
            elif key == "scheme" and self.chance(2):
                given[key] = self.value("String", self.one(self.schemes).upper())
            elif key == "by":
                given[key] = f"[{', '.join(self.some(named))}]"
            elif key == "search" and self.chance(2):
                given[key] = self.value("String", self.draw(st.sampled_from(QUESTIONS)))
            elif key == "where" and self.chance(2):
                given[key] = self.where(named)
            elif key == "orderBy" and self.chance(2):
                assert isinstance(named, GraphQLInputObjectType)
                by = get_named_type(named.fields["field"].type)
                steps = [f"{{field: {one}, direction: {self.one(('ASC', 'DESC'))}}}" for one in self.some(by)]
                given[key] = f"[{', '.join(steps)}]"
        return given

    def ids_of(self, kind: Any) -> list[str]:
        """Ids that a look-up of this type takes: an error for others is not the reference's to give."""
        if isinstance(kind, GraphQLInterfaceType):
            return self.nodes
        prefix = catalogue.prefixes[to_snake_case(kind.name)]
        return [id for id in self.nodes if id.startswith(f"{prefix}_")]

    def where(self, named: Any) -> str:
        names = self.draw(st.lists(st.sampled_from(sorted(named.fields)), max_size=2, unique=True))
        conditions: dict[str, str] = {}
        for name in names:
            operators = get_named_type(named.fields[name].type)
            assert isinstance(operators, GraphQLInputObjectType)
            of = get_named_type(operators.fields["eq"].type)
            values = of.values if isinstance(of, GraphQLEnumType) else [json.dumps(id) for id in self.ids]
            match self.draw(st.integers(0, 2)):
                case 0:
                    conditions[name] = f"{{eq: {self.one(sorted(values))}}}"
                case 1:
                    several = self.draw(st.lists(st.sampled_from(sorted(values)), max_size=3))
                    conditions[name] = f"{{in: [{', '.join(several)}]}}"
                case _:
                    conditions[name] = f"{{isNull: {self.one(('true', 'false'))}}}"
        return f"{{{', '.join(f'{name}: {condition}' for name, condition in conditions.items())}}}"

    def some(self, named: Any) -> list[str]:
        assert isinstance(named, GraphQLEnumType)
        chosen: list[str] = self.draw(st.lists(st.sampled_from(sorted(named.values)), max_size=3, unique=True))
        return chosen

    def one(self, of: Sequence[str]) -> str:
        chosen: str = self.draw(st.sampled_from(list(of)))
        return chosen

    def value(self, kind: str, value: Any) -> str:
        """As a literal, or as a variable."""
        return self.variable(kind, value) if self.chance(2) else json.dumps(value)

    def variable(self, kind: str, value: Any) -> str:
        name = f"v{len(self.variables)}"
        self.variables[name] = (kind, value)
        return f"${name}"

    def chance(self, of: int) -> bool:
        return bool(self.draw(st.integers(1, of)) == of)
