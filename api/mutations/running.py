"""Running mutations: their root fields one after another, and of what each came to, what is selected.

The algorithm is the specification's (https://spec.graphql.org/September2025/#sec-Execution), of which payloads need
little. The library's executor, made for all that there can be, took a tenth of a mutation's CPU (docs/adr/0036).
"""

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any, NamedTuple, cast

from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    get_argument_values,
    located_error,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import Path

from api.reading.selections import Selections
from api.ready import Ready


class Place(NamedTuple):
    """Where a resolver is asked: what ours, and Strawberry's around them, use of the library's GraphQLResolveInfo."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    operation: OperationDefinitionNode
    variable_values: VariableValues
    context: Any
    field_name: str = ""
    field_nodes: Sequence[FieldNode] = ()
    return_type: Any = None
    path: Path | None = None


async def run(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: VariableValues,
    context: object,
) -> ExecutionResult:
    """What a valid mutation came to. `context` is what resolvers find as `info.context`.

    Raises GraphQLError where @skip or @include of a root field is given null: then nothing was done.
    """
    running = _Running(Place(schema, fragments, operation, variables, context))
    root = cast("GraphQLObjectType", schema.mutation_type)
    data = await running.shown(root, None, [operation.selection_set], None)
    return ExecutionResult(data, running.errors or None)


class _Running:
    """One mutation on its way."""

    def __init__(self, place: Place) -> None:
        self._place, self._variables = place, place.variable_values
        self._selections = Selections(place.fragments, place.variable_values)
        self.errors: list[GraphQLError] = []

    async def shown(
        self, kind: GraphQLObjectType, source: object, selected: Sequence[SelectionSetNode | None], path: Path | None
    ) -> dict[str, Any]:
        """What an object shows, field after field, by response key."""
        fields = self._selections.of(kind, selected)
        return {
            key: await self._field(kind, source, nodes, Path(path, key, kind.name)) for key, nodes in fields.items()
        }

    async def _field(self, kind: GraphQLObjectType, source: object, nodes: list[FieldNode], path: Path) -> Any:
        """A field's value; None, and an error, where it can't be had. Raises GraphQLError where it can't be null."""
        name = nodes[0].name.value
        if name == "__typename":
            return kind.name
        field: Any = kind.fields[name]
        place = self._place._replace(field_name=name, field_nodes=nodes, return_type=field.type, path=path)
        try:
            given = get_argument_values(field, nodes[0], self._variables) if field.args else {}
            found = field.resolve(source, place, **given)
            return await self._completed(field.type, await found if isawaitable(found) else found, place)
        except Exception as error:
            located = located_error(error, nodes, path.as_list())
            if isinstance(field.type, GraphQLNonNull):
                raise located from error
            self.errors.append(located)
            return None

    async def _completed(self, of: Any, found: Any, place: Place) -> Any:
        """A value as its type shows it. Raises what its parts raise, and TypeError where it is null and must not be."""
        if isinstance(found, Ready):
            return found.json
        if isinstance(of, GraphQLNonNull):
            if found is None:
                raise TypeError(f"{place.field_name} can't be null")
            return await self._completed(cast("Any", of).of_type, found, place)
        if found is None:
            return None
        if isinstance(of, GraphQLList):
            items = [(each, place._replace(path=Path(place.path, at, None))) for at, each in enumerate(found)]
            return [await self._completed(cast("Any", of).of_type, each, where) for each, where in items]
        if isinstance(of, GraphQLInterfaceType):
            of = place.schema.get_type(cast("Any", of.resolve_type)(found, place, of))
        if isinstance(of, GraphQLObjectType):
            return await self.shown(of, found, [node.selection_set for node in place.field_nodes], place.path)
        return of.serialize(found)
