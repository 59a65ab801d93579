"""Random attempts at every mutation of the schema, and selections of all that an object tells."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from domain.catalogue import catalogue, mutation_name
from domain.customer import ExportCustomerPersonalData, UnmaskCustomer
from domain.kernel import Command
from tests.api.bad_values import GOOD, GOOD_BY_NAME, Path, id_prefixes
from tests.projections.fold_oracle import public

WORDS = ("blue", "green", "ada@blue.example", "bob@green.example", "+41446681800", "https://blue.example", " ")
VALUES: Mapping[str, Sequence[Any]] = {
    "String": WORDS,
    "Boolean": (True, False),
    "Int": (1, 2, 5, 0, 2020),
    "Decimal": ("10", "20.5", "1", "0", "-1"),
    "Date": ("2026-03-31", "2026-01-01", "1990-05-05"),
    "DateTime": ("2026-03-31T09:30:00Z", GOOD["DateTime"]),
    "CurrencyCode": ("EUR", "USD", "JPY"),
}
RECORDS = ("customer", "opportunity", "ticket")
OF_RECORDS = {catalogue.prefixes[kind] for kind in RECORDS}
"""What their ids begin with."""
WHEN_AND_WHERE = ("Position", "DateTime")
"""Types of fields that aren't asked for: positions are declared, and the worlds are told one after the other."""


class Attempt(NamedTuple):
    """A mutation with its input."""

    mutation: str
    kind: str
    noun: str
    input: Mapping[str, Any]

    @property
    def target(self) -> str | None:
        """The record that it is for; None where it begins one."""
        id: str | None = self.input.get("id")
        return id


class Attempts:
    """Draws attempts. Ids are drawn from those that there are, of whatever kind is needed, and from nowhere."""

    def __init__(
        self,
        chance: Random,
        schema: GraphQLSchema,
        ids: Mapping[str, list[str]],
        targets: Mapping[str, list[str]],
        out_of_bounds: Callable[["Attempt"], bool],
        *,
        managing: bool,
    ) -> None:
        """`ids`: by their prefix; more may come to be there. `targets`: those that are changed more often.

        `out_of_bounds`: what is not to be tried. `managing`: whether much is about teams, roles and other settings.
        """
        self._of_records = 0.5 if managing else 0.9
        self._chance, self._ids, self._targets, self._out_of_bounds = chance, ids, targets, out_of_bounds
        assert schema.mutation_type is not None
        self._fields = schema.mutation_type.fields
        self._commands = [
            (mutation_name(decider, verb), decider.kind, command)
            for decider in catalogue.deciders.values()
            for verb, command in decider.commands.items()
            # These show what is hidden, and are there for that.
            if command not in (UnmaskCustomer, ExportCustomerPersonalData)
        ]

    def next(self) -> Attempt:
        while self._out_of_bounds(found := self._drawn()):
            pass
        return found

    def _drawn(self) -> Attempt:
        sort = self._chance.random()
        name, kind, command = self._chance.choice(
            [
                one
                for one in self._commands
                if (sort < 0.4 * self._of_records and _names_records(one[2]))
                or (0.4 * self._of_records <= sort < self._of_records and one[1] in RECORDS)
                or (sort >= self._of_records and one[1] not in RECORDS)
            ]
        )
        of = get_named_type(self._fields[name].args["input"].type)
        assert isinstance(of, GraphQLInputObjectType)
        prefixes = {("id",): catalogue.prefixes[kind], **id_prefixes(command)}
        noun = next(iter(mutation_entity(self._fields[name])))
        return Attempt(name, kind, noun, self._object(of, (), prefixes))

    def _object(self, of: GraphQLInputObjectType, at: Path, prefixes: Mapping[Path, str]) -> dict[str, Any]:
        found = dict[str, Any]()
        for name, field in of.fields.items():
            names_record = prefixes.get((*at, name)) in OF_RECORDS
            chance = 0.05 if name == "expectedVersion" else 0.8 if names_record else 0.2
            if is_required_input_field(field) or self._chance.random() < chance:
                found[name] = self._value(field.type, (*at, name), prefixes)
        return found

    def _value(self, of: GraphQLType, at: Path, prefixes: Mapping[Path, str]) -> Any:
        match of:
            case GraphQLNonNull():
                return self._value(of.of_type, at, prefixes)
            case GraphQLList():
                return [self._value(of.of_type, at, prefixes) for _ in range(self._chance.choice((0, 1, 1, 2)))]
            case GraphQLInputObjectType():
                return self._object(of, at, prefixes)
            case GraphQLEnumType():
                return self._chance.choice(list(of.values))
            case _:
                pass
        name = get_named_type(of).name
        if name == "UUID":
            return str(UUID(int=self._chance.getrandbits(128), version=4))
        if name == "ID":
            targets = self._targets.get(prefixes[at]) if at == ("id",) and self._chance.random() < 0.6 else None
            return self._chance.choice(targets) if targets else self._id(prefixes[at])
        return GOOD_BY_NAME.get(at[-1]) or self._chance.choice(VALUES[name])

    def _id(self, prefix: str) -> str:
        if self._chance.random() < 0.05:
            prefix = self._chance.choice([*self._ids])
        there = self._ids.get(prefix, [])
        nowhere = public(prefix, UUID(int=self._chance.getrandbits(128), version=4))
        return nowhere if not there or self._chance.random() < 0.1 else self._chance.choice(there)


def _names_records(command: type[Command]) -> bool:
    """Whether a command names records beside the one that it changes."""
    return not OF_RECORDS.isdisjoint(id_prefixes(command).values())


def mutation_entity(field: GraphQLField) -> Iterator[str]:
    """The field of a mutation's payload that gives the record."""
    payload = get_named_type(field.type)
    assert isinstance(payload, GraphQLObjectType)
    return (name for name in payload.fields if name not in ("position", "userErrors", "secret", "auditBundle"))


def everything(of: GraphQLType, depth: int = 2) -> str:
    """A selection of all that an object tells: its own fields, and what is below them, so many levels down."""
    of = get_named_type(of)
    assert isinstance(of, GraphQLObjectType)
    if "nodes" in of.fields:
        return f"{{ totalCount nodes {everything(of.fields['nodes'].type, depth)} }}"
    return "{ " + " ".join(_fields(of, depth)) + " }"


def _fields(of: GraphQLObjectType, depth: int) -> Iterator[str]:
    for name, field in of.fields.items():
        inner = get_named_type(field.type)
        if is_leaf_type(inner):
            if inner.name not in WHEN_AND_WHERE:
                yield name
        elif depth > 0 and isinstance(inner, GraphQLObjectType):
            needed = [given for given, argument in field.args.items() if is_required_argument(argument)]
            given = "(by: [])" if "by" in needed else "(first: 30)" if "first" in field.args else ""
            if set(needed) <= {"by"}:
                # A record that this one names says who it is, and what of it is hidden; more would cost too much.
                yield f"{name}{given} {everything(inner, 0)}"
