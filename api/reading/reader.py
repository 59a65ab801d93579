"""The reader: runs compiled plans on PostgreSQL and hands out JSON text."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    execute_sync,  # pyright: ignore[reportUnknownVariableType]  # its middleware is not typed
    get_named_type,
    print_ast,
)
from graphql.execution.values import VariableValues
from psycopg import AsyncConnection, DataError, OperationalError
from psycopg.errors import QueryCanceled
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from api.errors import UNAVAILABLE, RequestError, RequestErrorCode
from api.reading.compiler import ABOUT_SCHEMA, Compiler, present
from api.reading.entities import Entities
from api.reading.ids import of_any_kind
from api.reading.inputs import Choice
from api.reading.lines import Lines
from api.reading.moments import Asked, FindMoment, Then
from api.reading.selections import Selections, fragments_of, variables_in
from api.reading.sight import RowSource, Sight
from api.reading.sources import Argument, Bundled
from api.reading.statement import Arguments, Plan
from api.reading.variables import Variables
from domain.kernel.identifiers import prefix_of
from infra import silence
from infra.times import IN_UTC

MOST_PLANS = 1_000


def read_pool(conninfo: str, *, size: int = 8, seconds: float = 10) -> Lines:
    """Lines that read, not open yet. A statement that takes more than so many seconds is given up."""

    async def configure(connection: AsyncConnection[tuple[Any, ...]]) -> None:
        # JIT costs more than it gives where a statement has hundreds of small sub-selects.
        await connection.execute(IN_UTC)
        await connection.execute("SET jit = off")
        # Nor may one request take several cores: a plan for the mean is for many rows, and most requests want a page.
        await connection.execute("SET max_parallel_workers_per_gather = 0")
        await connection.execute("SET default_transaction_read_only = on")
        await connection.execute("SELECT set_config('statement_timeout', %s, false)", (str(int(seconds * 1000)),))

    return Lines(
        AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]](
            conninfo,
            min_size=1,
            max_size=size,
            kwargs={"autocommit": True, "client_encoding": "utf8", "application_name": "daybook reading"},
            connection_class=silence.AsyncConnection,
            configure=configure,
            timeout=seconds,
            open=False,
            name="reading",
        )
    )


Tell: TypeAlias = Callable[[Arguments, Sequence[str], Sight], Awaitable[str]]
"""Tells from a record's entries what `diff` or `whyValue` asks, as JSON of rows: by the arguments, without the fields
that are hidden: of the record those named, of its parts what the sight says. Raises RequestError."""

Prove: TypeAlias = Callable[[Arguments, Sight], Awaitable[str | None]]
"""Makes the bundle that `auditBundle` asks for, as JSON of one row; None where there is nothing to show. Raises
RequestError."""


class Found(NamedTuple):
    """What a query found."""

    data: bytes
    """JSON text."""
    position: str | None = None
    """The position that it reflects: every entry up to it. None where no row was read, as for the schema's own."""


class Reader:
    """Answers queries, and selections below a record. One for each process, used from its event loop only."""

    def __init__(
        self,
        lines: Lines,
        schema: strawberry.Schema,
        rows: RowSource = present,
        *,
        hide_suggestions: bool = False,
        tell: Tell | None = None,
        prove: Prove | None = None,
    ) -> None:
        """`tell`: tells from entries what became of a record's fields; None: nothing is known of that. `prove`: makes
        bundles of them; None: there are none.

        Raises DeclarationError where a read field of the schema does not fit its table.
        """
        self._tell, self._prove = tell, prove
        self._lines, self._rows = lines, rows
        self._entities = Entities(schema)
        self._schema: GraphQLSchema = self._entities.schema
        self._variables = Variables(self._schema, hide_suggestions=hide_suggestions)
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()
        self._names: OrderedDict[Hashable, Sequence[str]] = OrderedDict()

    async def query(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        sight: Sight,
        moment: FindMoment | None = None,
    ) -> Found:
        """The JSON text of `data`, for a valid document's query and its variables as they came. Raises GraphQLError.

        `moment` finds the past moments that it names; without it, none can be asked about.
        """
        coerced = self._variables.coerced(operation, variables)
        key = (_text(document), operation.loc and operation.loc.start, shape(coerced.coerced), sight.plan_key)
        plan = self._plans.get(key)
        if plan is not None:
            self._plans.move_to_end(key)
            return await self._answered(plan, coerced, sight, moment)
        fragments = fragments_of(document)
        root = cast("GraphQLObjectType", self._schema.query_type)
        selected = Selections(fragments, coerced).of(root, [operation.selection_set])
        about_schema = {name: nodes for name, nodes in selected.items() if nodes[0].name.value in ABOUT_SCHEMA}
        rows = {name: nodes for name, nodes in selected.items() if name not in about_schema}
        plan = Compiler(self._entities, self._rows, sight, fragments, coerced).query(root, rows)
        if not about_schema:
            self._keep(key, plan)
            return await self._answered(plan, coerced, sight, moment)
        parts, position = self._introspected(document, operation, about_schema, variables), None
        if rows:
            found, position = await self._answered(plan, coerced, sight, moment)
            parts |= msgspec.json.decode(found, type=dict[str, msgspec.Raw])
        return Found(msgspec.json.encode({name: parts[name] for name in selected}), position)

    async def _answered(self, plan: Plan, variables: VariableValues, sight: Sight, moment: FindMoment | None) -> Found:
        """The answer to a query, with what has to be told from entries first."""
        told = dict[str, str | None]()
        for one in plan.traced:
            arguments = plan.arguments_of(one.call, variables)
            told[one.name] = await (
                self._proven(one.source.record, arguments, sight)
                if isinstance(one.source, Bundled)
                else self._traced(arguments, sight)
            )
        return await self._run(plan, variables, {**sight.values, **told} if told else sight.values, moment)

    async def _traced(self, given: Arguments, sight: Sight) -> str | None:
        """What became of the fields of the record that these arguments name, as JSON; None where it is not seen.

        What is hidden today is not told of any day. Raises RequestError.
        """
        id = of_any_kind(dict(self._entities.nodes()), given["id"])
        hidden = await self._hidden(id, sight)
        return None if hidden is None or self._tell is None else await self._tell(given, hidden, sight)

    async def _proven(self, record: Argument, given: Arguments, sight: Sight) -> str | None:
        """The bundle of the record that an argument names, as JSON; None where it is not seen. Raises RequestError."""
        id = record.read(given[record.name])
        if self._prove is None or await self._hidden(id, sight) is None:
            return None
        return await self._prove({**given, "id": id}, sight)

    async def _hidden(self, id: str, sight: Sight) -> Sequence[str] | None:
        """The names of the hidden fields of the record with this id; None where it is not seen."""
        entity = dict(self._entities.nodes())[prefix_of(id)]
        asked = {**sight.values, "id": id}
        key = ("hidden fields", entity.type.name, sight.plan_key)
        nothing = VariableValues({}, {})
        if (plan := self._plans.get(key)) is None:
            plan = Compiler(self._entities, self._rows, sight, {}, nothing, asked).hidden_of(entity)
            self._keep(key, plan)
        return msgspec.json.decode((await self._run(plan, nothing, asked)).data, type=list[str] | None)

    async def seen(self, prefix: str, ids: Sequence[str], sight: Sight) -> Sequence[str]:
        """Of these ids, all with this prefix, those of records that are seen. Raises GraphQLError."""
        entity = dict(self._entities.nodes())[prefix]
        asked = {**sight.values, "ids": list(ids)}
        key = ("seen", entity.type.name, sight.plan_key)
        nothing = VariableValues({}, {})
        if (plan := self._plans.get(key)) is None:
            plan = Compiler(self._entities, self._rows, sight, {}, nothing, asked).seen(entity)
            self._keep(key, plan)
        return msgspec.json.decode((await self._run(plan, nothing, asked)).data, type=list[str] | None) or ()

    async def select(self, id: str, info: GraphQLResolveInfo[Any], sight: Sight) -> bytes:
        """The JSON text of what a resolver's field selects of the record with this id; `null` where none is seen.

        The field's type is the record's. Raises GraphQLError.
        """
        kind = cast("GraphQLObjectType", get_named_type(cast("Any", info).return_type))
        entity = self._entities.by_name[kind.name]
        given = {**sight.values, "id": id}
        places = tuple(node.loc and node.loc.start for node in info.field_nodes)
        source = info.field_nodes[0].loc
        text = source.source.body if source else print_ast(info.operation)
        given_values = info.variable_values.coerced
        named = {name: given_values[name] for name in self._named(text, places, info) if name in given_values}
        key = (text, places, entity.type.name, shape(named), sight.plan_key)
        plan = self._plans.get(key)
        if plan is None:
            compiler = Compiler(self._entities, self._rows, sight, info.fragments, info.variable_values, given)
            plan = compiler.record(entity, info.field_nodes)
            self._keep(key, plan)
        return (await self._run(plan, info.variable_values, given)).data

    def _named(self, text: str, places: Hashable, info: GraphQLResolveInfo[Any]) -> Sequence[str]:
        """The variables that a selection names, or a fragment of its document: the input of a mutation is none."""
        names = self._names.get((text, places))
        if names is None:
            names = self._names[text, places] = variables_in((*info.field_nodes, *info.fragments.values()))
            if len(self._names) > MOST_PLANS:
                self._names.popitem(last=False)
        return names

    def _keep(self, key: Hashable, plan: Plan) -> None:
        self._plans[key] = plan
        if len(self._plans) > MOST_PLANS:
            self._plans.popitem(last=False)

    async def _run(
        self, plan: Plan, variables: VariableValues, given: Arguments, moment: FindMoment | None = None
    ) -> Found:
        asked = plan.moments_asked(variables) if plan.moments else ()
        moments = [await _found(moment, each) for each in asked]
        try:
            row = await self._lines.fetch(plan.sql, plan.parameters(variables, given, moments), anew=plan.planned_anew)
        except QueryCanceled:
            raise RequestError(
                RequestErrorCode.QUERY_TOO_COMPLEX, "This query takes too long; ask for less, or in parts."
            ) from None
        except DataError:
            raise RequestError(
                RequestErrorCode.BAD_USER_INPUT,
                "A cursor in the arguments can't be used: it was changed. Take one from `pageInfo` or from an edge.",
            ) from None
        except (PoolTimeout, OperationalError) as error:
            raise UNAVAILABLE from error
        data, *position = row
        return Found(b"null" if data is None else data, position[0].decode() if position and position[0] else None)

    def _introspected(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        selected: Mapping[str, list[FieldNode]],
        variables: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What the fields `__schema` and `__type` say, by response key."""
        about_schema = SelectionSetNode(selections=tuple(node for nodes in selected.values() for node in nodes))
        alone = OperationDefinitionNode(
            operation=operation.operation,
            variable_definitions=operation.variable_definitions,
            selection_set=about_schema,
        )
        definitions = (alone, *fragments_of(document).values())
        result = execute_sync(self._schema, DocumentNode(definitions=definitions), variable_values=dict(variables))
        for error in result.errors or ():
            raise error
        return result.data or {}


async def _found(moment: FindMoment | None, asked: Asked) -> Then:
    if moment is None:
        raise LookupError("nobody here finds past moments")
    return await moment(asked)


def shape(value: object) -> Hashable:
    """What of the variables decides the SQL: which are given and null, the keys of inputs, Booleans, what to order and
    group by, and which texts are blank. Words and other texts are parameters.
    """
    # What most variables are comes first: to see that something is no mapping takes long.
    if isinstance(value, str):
        return "value" if value.strip() else "blank"
    if value is None or isinstance(value, _AS_IT_IS):
        return cast("Hashable", value)
    if isinstance(value, list):
        items = cast("list[object]", value)
        return tuple(map(shape, items)) if items and isinstance(items[0], Mapping | Choice) else "list"
    if isinstance(value, Mapping):
        return tuple([(key, shape(each)) for key, each in cast("Mapping[str, Any]", value).items()])
    return "value"


_AS_IT_IS = (bool, Choice)


def _text(document: DocumentNode) -> str:
    return document.loc.source.body if document.loc else print_ast(document)
