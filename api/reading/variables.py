"""Variables: what was sent for them, as values of their types."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from graphql import (
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    coerce_input_value,  # pyright: ignore[reportUnknownVariableType]  # lists of what is left open
    get_nullable_type,  # pyright: ignore[reportUnknownVariableType]
    get_variable_values,
    is_leaf_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource

from api.errors import RequestErrorCode

MOST_REMEMBERED = 1_000
"""Operations."""

_Leaves: TypeAlias = Sequence[Any]
"""GraphQLVariableSignature, whose types the library leaves open."""


class Variables:
    """The library's `get_variable_values`, which finds out anew each time what types the variables have.

    Where all of them are scalars or enums, their types are remembered: a page's size and an id took a tenth of the CPU
    of the process for a small query. What is not as simple, or does not fit, is left to the library.
    """

    def __init__(self, schema: GraphQLSchema, *, hide_suggestions: bool) -> None:
        self._schema, self._hide_suggestions = schema, hide_suggestions
        self._remembered: OrderedDict[int, tuple[OperationDefinitionNode, _Leaves | None]] = OrderedDict()

    def coerced(self, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> VariableValues:
        """The values for a valid operation. Raises GraphQLError where they do not fit."""
        if (leaves := self._leaves(operation)) is not None:
            coerced = {each.name: coerce_input_value(given.get(each.name, Undefined), each.type) for each in leaves}
            if coerced.keys() <= given.keys() and Undefined not in coerced.values():
                sources = {each.name: VariableValueSource(each, given[each.name]) for each in leaves}
                return VariableValues(sources, coerced)
        found = get_variable_values(
            self._schema,
            operation.variable_definitions or (),
            dict(given),
            max_errors=1,
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(found, VariableValues):
            return found
        error = found[0]
        raise GraphQLError(error.message, error.nodes, extensions={"code": RequestErrorCode.BAD_USER_INPUT.value})

    def _leaves(self, operation: OperationDefinitionNode) -> _Leaves | None:
        """The variables of an operation, where they are all scalars or enums."""
        known = self._remembered.get(id(operation))
        if known is None:
            signatures = [get_variable_signature(self._schema, one) for one in operation.variable_definitions or ()]
            leaves = [one for one in signatures if isinstance(one, GraphQLVariableSignature) and _is_leaf(one)]
            # Kept with the operation, so that its id stays its own.
            known = self._remembered[id(operation)] = operation, leaves if len(leaves) == len(signatures) else None
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return known[1]


def _is_leaf(variable: GraphQLVariableSignature) -> bool:
    return is_leaf_type(get_nullable_type(cast("Any", variable).type))
