"""Variables: what was sent for them, as values of their types."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from graphql import (
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    get_variable_values,
    is_input_object_type,
    is_leaf_type,
    is_list_type,  # pyright: ignore[reportUnknownVariableType]  # of what is left open
    is_non_null_type,  # pyright: ignore[reportUnknownVariableType]
    is_required_input_field,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value  # pyright: ignore[reportUnknownVariableType]

from api.errors import RequestErrorCode

MOST_REMEMBERED = 1_000
"""Operations."""

MOST_ERRORS = 50
"""That are looked for: in two megabytes of variables there can be a million, which would take a gigabyte."""

Coerce: TypeAlias = Callable[[Any], Any]
"""What the library's `coerce_input_value` makes of a value; Undefined where it does not fit, or is for the library."""


class _Variable(NamedTuple):
    signature: GraphQLVariableSignature
    coerce: Coerce


class Variables:
    """The library's `get_variable_values`, which finds out anew each time what types the variables have.

    What they are is remembered here: a page's size and an id took a tenth of the CPU of the process for a small query,
    the input of a mutation as much. Types that hold themselves, and what does not fit, are left to the library.
    """

    def __init__(self, schema: GraphQLSchema, *, hide_suggestions: bool) -> None:
        self._schema, self._hide_suggestions = schema, hide_suggestions
        self._remembered: OrderedDict[int, tuple[OperationDefinitionNode, Sequence[_Variable] | None]] = OrderedDict()

    def coerced(self, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> VariableValues:
        """The values for a valid operation. Raises GraphQLError, the first one, where they do not fit."""
        found = self.of(operation, given)
        if isinstance(found, VariableValues):
            return found
        error = found[0]
        raise GraphQLError(error.message, error.nodes, extensions={"code": RequestErrorCode.BAD_USER_INPUT.value})

    def of(self, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The values for a valid operation; what is wrong where they do not fit."""
        if (fitting := self.fitting(operation, given)) is not None:
            return fitting
        wanted = operation.variable_definitions or ()
        return get_variable_values(
            self._schema, wanted, dict(given), max_errors=MOST_ERRORS, hide_suggestions=self._hide_suggestions
        )

    def fitting(self, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> VariableValues | None:
        """The values for a valid operation; None where only the library can tell whether they fit."""
        variables = self._of(operation)
        if variables is None or not all(each.signature.name in given for each in variables):
            return None
        coerced = {each.signature.name: each.coerce(given[each.signature.name]) for each in variables}
        if any(value is Undefined for value in coerced.values()):
            return None
        names = {
            each.signature.name: VariableValueSource(each.signature, given[each.signature.name]) for each in variables
        }
        return VariableValues(names, coerced)

    def _of(self, operation: OperationDefinitionNode) -> Sequence[_Variable] | None:
        """The variables of an operation; None where one of them is left to the library."""
        known = self._remembered.get(id(operation))
        if known is None:
            signatures = [get_variable_signature(self._schema, one) for one in operation.variable_definitions or ()]
            found = [
                _Variable(one, coerce)
                for one in signatures
                if isinstance(one, GraphQLVariableSignature) and (coerce := _coerce(cast("Any", one).type)) is not None
            ]
            # Kept with the operation, so that its id stays its own.
            known = self._remembered[id(operation)] = operation, found if len(found) == len(signatures) else None
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return known[1]


def _coerce(kind: Any, none: Any = None, around: Sequence[Any] = ()) -> Coerce | None:
    """How values of a type are coerced; None where it is for the library. `none`: what null is."""
    if is_non_null_type(kind):
        return _coerce(cast("Any", kind).of_type, Undefined, around)
    if is_leaf_type(kind):
        return _leaf(cast("Any", kind).coerce_input_value, none)
    if is_list_type(kind):
        item = _coerce(cast("Any", kind).of_type, None, around)
        return None if item is None else _list(item, none)
    if not is_input_object_type(kind) or kind in around or kind.is_one_of:
        return None
    fields: list[_Field] = []
    for name, field in kind.fields.items():
        coerce = _coerce(field.type, None, (*around, kind))
        if coerce is None:
            return None
        left_out = _REQUIRED if is_required_input_field(field) else coerce_default_value(field)
        fields.append(_Field(name, field.out_name or name, coerce, left_out))
    return _object(fields, kind.out_type, none)


class _Field(NamedTuple):
    name: str
    out_name: str
    coerce: Coerce
    left_out: Any
    """What it is where it is left out; Undefined: nothing."""


_REQUIRED = object()


def _leaf(of_type: Coerce, none: Any) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            return none
        try:
            return of_type(value)
        except Exception:  # noqa: BLE001  # as the library has it: whatever a scalar raises, the value does not fit
            return Undefined

    return coerce


def _list(item: Coerce, none: Any) -> Coerce:
    def coerce(value: Any) -> Any:
        if not isinstance(value, list):  # the library takes other values too, as a list of one
            return none if value is None else Undefined
        made = [item(one) for one in value]  # pyright: ignore[reportUnknownVariableType]  # whatever it holds
        return Undefined if any(one is Undefined for one in made) else made

    return coerce


def _object(fields: Sequence[_Field], out_type: Coerce, none: Any) -> Coerce:
    names = {field.name for field in fields}

    def coerce(value: Any) -> Any:
        if not isinstance(value, dict) or not value.keys() <= names:
            return none if value is None else Undefined
        given, made = cast("dict[str, Any]", value), dict[str, Any]()
        for name, out_name, of_field, left_out in fields:
            if name in given:
                made[out_name] = one = of_field(given[name])
                if one is Undefined:
                    return Undefined
            elif left_out is _REQUIRED:
                return Undefined
            elif left_out is not Undefined:
                made[out_name] = left_out
        return out_type(made)

    return coerce
