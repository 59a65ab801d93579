"""What the conditions of a `where` weigh, found in one linear pass over what was sent, valid or not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from graphql import (
    GraphQLInputObjectType,
    GraphQLSchema,
    ListValueNode,
    NamedTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    TypeNode,
    VariableNode,
    get_named_type,
)

from api.reading.weights import CONDITION, CONDITION_ELSEWHERE, HEAVIEST

Weights: TypeAlias = Mapping[str, int]
"""What variables weigh, by name."""

_JOINED, _QUANTIFIED = ("and", "or", "not"), ("some", "none", "every")


def weight_of_conditions(of: GraphQLInputObjectType, given: object, variables: Weights) -> int:
    """What a `where`, or a part of one, weighs: a node of the document, or a variable's value as it came.

    A plain condition, and each element of `and`, `or` and `not`, is one CONDITION; each relation that is followed, and
    each `some`, `none` and `every`, looks for rows of another table. Nobody counts on beyond HEAVIEST.
    """
    if isinstance(given, VariableNode):
        return variables.get(given.name.value, 0)
    weight, pending = 0, [(of, given)]
    while pending and weight < HEAVIEST:
        kind, value = pending.pop()
        for name, condition in _fields(value):
            field = kind.fields.get(name)
            if field is None:
                continue  # the document is not valid, and is going to be told so
            below = cast("object", get_named_type(field.type))
            conditions = below if isinstance(below, GraphQLInputObjectType) and _leads_on(below) else None
            several = _elements(condition)
            if name in _JOINED:
                weight += CONDITION * len(several)
            elif name in _QUANTIFIED or (conditions is not None and "and" in conditions.fields):
                weight += CONDITION_ELSEWHERE
            elif conditions is None:
                weight += CONDITION
            if conditions is not None and weight < HEAVIEST:
                for each in several:
                    if isinstance(each, VariableNode):
                        weight += variables.get(each.name.value, 0)
                    else:
                        pending.append((conditions, each))
    return min(weight, HEAVIEST)


def weights_of(schema: GraphQLSchema, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> Weights:
    """What the variables of an operation weigh that hold conditions: a `where`, a part of one, a list for an `and`."""
    found: dict[str, int] = {}
    for one in operation.variable_definitions or ():
        of, name = schema.type_map.get(_named(one.type)), one.variable.name.value
        if isinstance(of, GraphQLInputObjectType) and _leads_on(of):
            several = _elements(given.get(name, one.default_value))
            # Where the variable stands, one element is counted.
            found[name] = CONDITION * (len(several) - 1)
            found[name] += sum(weight_of_conditions(of, each, {}) for each in several[:HEAVIEST])
    return found


def _named(of: TypeNode) -> str:
    while not isinstance(of, NamedTypeNode):
        of = cast("Any", of).type
    return of.name.value


def _leads_on(of: GraphQLInputObjectType) -> bool:
    """Whether further conditions stand below: in those of a record, and of a list."""
    return "and" in of.fields or "some" in of.fields


def _fields(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, ObjectValueNode):
        yield from ((each.name.value, each.value) for each in value.fields)
    elif isinstance(value, Mapping):
        yield from cast("Mapping[str, object]", value).items()


def _elements(value: object) -> Sequence[object]:
    """Those of a list; of one that is no list, itself, as GraphQL has it."""
    if isinstance(value, ListValueNode):
        return value.values
    return cast("list[object]", value) if isinstance(value, list) else (value,)
