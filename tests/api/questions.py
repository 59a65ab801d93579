"""Random questions to the schema: valid queries over every read field, with every argument, and their variables."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)
from strawberry.utils.str_converters import to_snake_case

from domain.catalogue import catalogue
from domain.kernel import type_id
from tests.api.sample import CURRENCIES, KINDS, TABLES, TEXTS, Rows
from tests.api.searched import QUESTIONS

T = TypeVar("T")

NOT_COMPARED = (
    "cursor", "startCursor", "endCursor", "asOf", "diff", "whyValue", "pipelineWaterfall", "auditBundle"
)  # fmt: skip
"""The reference makes no cursors, knows no past and has no entries to tell from; all these have tests of their own."""
LONG = "a_response_key_of_more_than_sixty_three_bytes_that_postgresql_would_cut_off_"
DEEPEST = 4
DEEPEST_WHERE = 5


class _Word(str):
    """An enum's value: in a document without quotes."""

    __slots__ = ()


def question(
    seed: int | Random, schema: GraphQLSchema, rows: Rows, root: GraphQLObjectType | None = None
) -> tuple[str, dict[str, Any]]:
    """A query and its variables; `root`, a part of the schema's, where the query is about some fields only."""
    assert schema.query_type is not None
    return Questions(seed, schema, rows).ask(root or schema.query_type)


class Questions:
    """Makes one question, or values for its arguments, out of a seed or of numbers that somebody else draws."""

    def __init__(self, seed: int | Random, schema: GraphQLSchema, rows: Rows) -> None:
        self.random, self.schema = seed if isinstance(seed, Random) else Random(seed), schema
        unknown = [type_id(prefix, UUID(int=1)) for prefix in catalogue.prefixes.values()]
        self.nodes = [row["id"] for name in KINDS for row in rows[name][:3]] + unknown
        ids = [row["id"] for name in TABLES for row in rows[name][:3] if "id" in row] + ["cus_unknown", "x"]
        self.pools = _pools(rows, ids)
        self.unlike = _unlike(schema)
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
        chosen = self.random.choices(fields, k=self.random.randint(1, 4)) if fields else []
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
            kinds = self.several(self.schema.get_possible_types(named), 2)
            of_kinds = " ".join(f"... on {kind.name} {self.selection(kind, depth - 1)}" for kind in kinds)
            below = f"{{ id __typename {of_kinds} }}"
        if not field.args and name not in self.unlike and not self.chance(6):
            return f"{name} {below}"
        # Two uses of a field with other arguments, or with other sub-selections of those, need keys of their own; so do
        # fields that are of another type, or null, in another kind of node.
        self.count += 1
        alias = f"{LONG if self.chance(6) else 'a'}{self.count}"
        given = ", ".join(f"{key}: {value}" for key, value in self.arguments(field).items())
        return f"{alias}: {name}{f'({given})' if given else ''} {below}"

    def wrapped(self, kind: GraphQLObjectType, text: str) -> str:
        match self.random.randint(0, 11):
            case 0:
                return f"... on {kind.name} {{ {text} }}"
            case 1:
                return f"... @include(if: {self.variable('Boolean!', self.chance(2))}) {{ {text} }}"
            case 2:
                return f"... @skip(if: {self.variable('Boolean!', self.chance(2))}) {{ {text} }}"
            case _:
                return text

    def arguments(self, field: GraphQLField) -> dict[str, str]:
        given: dict[str, str] = {}
        if "last" in field.args:
            side = self.random.choice(("first", "last"))
            given[side] = self.value("Int", self.random.randint(1, 6))
        for key, argument in field.args.items():
            named = get_named_type(argument.type)
            if "source" in field.args or key == "email":
                words = {"source": ("old", "shop", "x"), "id": ("1", "2", "4"), "email": ("Ada@Example.com", "x@y.zz")}
                given[key] = self.value("String!", self.random.choice(words[key]))
            elif key == "id":
                given[key] = self.value("ID!", self.random.choice(self.ids_of(get_named_type(field.type))))
            elif key == "ids":
                given[key] = self.value("[ID!]!", self.several(self.nodes, 5))
            elif key == "number":
                given[key] = self.value("Int!", self.random.randint(0, 5))
            elif key == "first" and "by" in field.args:
                given[key] = self.value("Int!", self.random.randint(1, 12))
            elif key == "scheme" and self.chance(2):
                given[key] = self.value("String", self.random.choice(self.schemes).upper())
            elif key == "by":
                assert isinstance(named, GraphQLEnumType)
                given[key] = self.written(argument.type, [_Word(one) for one in self.several(sorted(named.values), 3)])
            elif key == "search" and self.chance(2):
                given[key] = self.value("String", self.random.choice(QUESTIONS))
            elif key in ("where", "orderBy") and self.chance(2):
                given[key] = self.written(argument.type, self.where(named) if key == "where" else self.order(named))
        return given

    def ids_of(self, kind: Any) -> list[str]:
        """Ids that a look-up of this type takes: an error for others is not the reference's to give."""
        if isinstance(kind, GraphQLInterfaceType):
            return self.nodes
        prefix = catalogue.prefixes[to_snake_case(kind.name)]
        return [id for id in self.nodes if id.startswith(f"{prefix}_")]

    def where(self, named: Any) -> dict[str, Any]:
        """The value of a `where` of this type."""
        return self.conditions(named, DEEPEST_WHERE, "where")

    def order(self, named: Any) -> list[dict[str, Any]]:
        """The value of an `orderBy` with steps of this type."""
        by = get_named_type(named.fields["field"].type)
        return [
            {
                "field": _Word(field),
                **({} if self.chance(3) else {"direction": _Word(self.random.choice(("ASC", "DESC")))}),
                **({} if self.chance(3) else {"nulls": self.random.choice((_Word("FIRST"), _Word("LAST"), None))}),
            }
            for field in self.several(sorted(by.values), 3)
        ]

    def conditions(self, named: GraphQLInputObjectType, depth: int, at: str) -> dict[str, Any]:
        """Some fields of an input type of conditions: operators, relations, lists, `and`, `or` and `not` alike."""
        fields = named.fields
        needed = [name for name, field in fields.items() if isinstance(field.type, GraphQLNonNull)]
        leaves = [name for name, field in fields.items() if depth > 0 or not _deeper(field.type)]
        # Many conditions at once are met by nothing; some of the time they show that all of them count.
        most = 1 if self.chance(2) else self.random.randint(0, 2)
        return {
            name: self.condition(fields[name].type, depth - 1, at if name in _OPERATORS else name)
            for name in needed or self.random.sample(leaves, min(len(leaves), most))
        }

    def condition(self, of: Any, depth: int, at: str) -> Any:
        named, inner = get_named_type(of), of.of_type if isinstance(of, GraphQLNonNull) else of
        if isinstance(inner, GraphQLList):
            return [self.one(named, depth, at) for _ in range(self.random.randint(0, 3))]
        return self.one(named, depth, at)

    def one(self, named: Any, depth: int, at: str) -> Any:
        if isinstance(named, GraphQLInputObjectType):
            return self.conditions(named, depth, at)
        if isinstance(named, GraphQLEnumType):
            return _Word(self.random.choice(sorted(named.values)))
        return self.random.choice(self.pools[at if named.name == "ID" and at in self.pools else named.name])

    def written(self, of: Any, value: Any) -> str:
        """A value of this type as it stands in the document; it or parts of it may be variables."""
        if self.chance(6):
            return self.variable(str(of), value)
        inner = of.of_type if isinstance(of, GraphQLNonNull) else of
        if isinstance(value, Mapping):
            fields = inner.fields
            return f"{{{', '.join(f'{key}: {self.written(fields[key].type, each)}' for key, each in value.items())}}}"
        if isinstance(value, list):
            return f"[{', '.join(self.written(inner.of_type, each) for each in value)}]"
        return str(value) if isinstance(value, _Word) else json.dumps(value)

    def several(self, of: Sequence[T], most: int) -> list[T]:
        return self.random.sample(list(of), min(len(of), self.random.randint(0, most)))

    def value(self, kind: str, value: Any) -> str:
        """As a literal, or as a variable."""
        return self.variable(kind, value) if self.chance(2) else json.dumps(value)

    def variable(self, kind: str, value: Any) -> str:
        name = f"v{len(self.variables)}"
        self.variables[name] = (kind, value)
        return f"${name}"

    def chance(self, of: int) -> bool:
        """One in so many."""
        return self.random.randrange(of) == 0


@cache
def _unlike(schema: GraphQLSchema) -> frozenset[str]:
    """Names of fields that are of one type here and of another there."""
    types: dict[str, set[str]] = {}
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType):
            for name, field in kind.fields.items():
                types.setdefault(name, set()).add(str(field.type))
    return frozenset(name for name, several in types.items() if len(several) > 1)


_OPERATORS = frozenset(("eq", "ne", "in", "notIn", "lt", "lte", "gt", "gte", "contains", "startsWith", "isNull"))


def _deeper(of: Any) -> bool:
    named = get_named_type(of)
    return isinstance(named, GraphQLInputObjectType) and not named.name.endswith("Filter")


def _pools(rows: Rows, ids: list[str]) -> Mapping[str, Sequence[Any]]:
    """Values to compare with, by scalar, or by the field's name: such as occur, and others."""
    return {
        "ID": ids,
        "String": [*TEXTS, "zo", "Z", "å", "ss", "Ł", "小", "ab", "0", "'", "\\", "%", "__", "name", "website"],
        "Int": [-1, 0, 1, 2, 3, 20, 2**31 - 1],
        "Decimal": ["0", "10", "10.00", "33.33", "33.34", "100", "12345678901234567.12", "-1e3"],
        "Boolean": [True, False],
        "Date": ["2026-01-01", "2026-01-03", "2026-01-05", "0001-01-01"],
        "DateTime": ["2026-01-01T00:00:00Z", "2026-01-04T01:00:00.000003+01:00", "2026-01-09T00:00:00.000007Z"],
        "Position": ["0", "3", "40", str(2**63 - 1)],
        "CurrencyCode": CURRENCIES,
        "correlationId": [str(row["correlation_id"]) for row in rows["timeline"][:3]],
    }
