"""The compiler: what a GraphQL operation selects becomes one SQL statement whose only column is the finished JSON.

It knows SQL, Relay and the sources that fields declare; it knows nothing of customers.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

import msgspec
from graphql import FieldNode, FragmentDefinitionNode, GraphQLField, GraphQLObjectType
from graphql.execution.values import VariableValues

from api.errors import RequestError, RequestErrorCode
from api.reading import pages, sums, waterfalls
from api.reading.entities import Entities, Entity, belonging, bound, json_of, json_of_column, object_of, own_column
from api.reading.ids import of_any_kind
from api.reading.json_text import Json, as_array, computed, constant
from api.reading.moments import by_occurrence
from api.reading.past import REFLECTED, Past
from api.reading.selections import Selections
from api.reading.sight import RowSource, Sight, hidden_fields
from api.reading.sources import (
    NOW,
    AnyNode,
    Argument,
    AsOf,
    Beside,
    Bundled,
    Column,
    Expression,
    Hidden,
    Lookup,
    Many,
    Mean,
    Only,
    Part,
    Rate,
    Reflected,
    Relation,
    Tally,
    Total,
    Totals,
    Traced,
    Values,
    Waterfall,
)
from api.reading.statement import Arguments, Cells, CellsBeside, Plan, Statement, TracedField
from projections.model import Table
from projections.tables import READ, sql_type

MOST_IDS = 100
ABOUT_SCHEMA = ("__schema", "__type")
"""The fields of the root that are not ours."""


def present(table: Table) -> str:
    """The rows as they are now."""
    return f'{READ}."{table.name}"'


class Compiler:
    """Compiles one operation, or one selection; made anew for each."""

    def __init__(
        self,
        entities: Entities,
        source: RowSource,
        sight: Sight,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
        given: Arguments | None = None,
    ) -> None:
        self.entities, self.sight = entities, sight
        self._source, self._then = source, source
        """What stands in FROM for a table: of today, and at the moment that is asked about."""
        self._past: Past | None = None
        """The moment that is asked about, while it is a past one."""
        self.selections = Selections(fragments, variables)
        self.statement = Statement(variables, given or {})
        self.tables: dict[str, Table] = {}
        """By alias, the table of a listed row: a note of a deal stands in another one than a note of a customer."""
        self.conditions = 0
        """How many of them the operation has so far."""

    def rows(self, table: Table) -> str:
        """SQL for FROM: the rows of a table as the caller sees them."""
        return self.rows_from(self._then, table)

    def rows_from(self, source: RowSource | None, table: Table) -> str:
        """The same, out of what another source gives; None: of today."""
        return self.sight.rows(table, source or self._source, self._source, self.statement)

    def parts(self, table: Table) -> Sequence[str]:
        """The same, in parts that have no row in common and that an index reads in a list's order."""
        return self.sight.parts(table, self._then, self._source, self.statement)

    def query(self, root: GraphQLObjectType, selected: Mapping[str, list[FieldNode]]) -> Plan:
        """The plan of an operation's root fields and of the position that they reflect. Raises RequestError."""
        fields = {key: self.field(root, nodes, "") for key, nodes in selected.items()}
        return self.statement.plan(self.statement.object(fields), REFLECTED)

    def record(self, entity: Entity, nodes: Sequence[FieldNode]) -> Plan:
        """The plan of what these fields select of one record, whose id is the given argument `id`."""
        rows = bound(entity)
        alias = self.statement.alias()
        id = self.statement.parameter(self.statement.given, lambda given: given["id"], "text")
        tail = f'from {self.rows(rows.table)} {alias} where {alias}."id" = {id}'
        fields = self.fields(entity.type, nodes, alias)
        return self.statement.plan(self.statement.object(fields, tail))

    def hidden_of(self, entity: Entity) -> Plan:
        """The plan of the names of the hidden fields of one record, whose id is the given argument `id`; null where it
        is not seen."""
        alias = self.statement.alias()
        id = self.statement.parameter(self.statement.given, lambda given: given["id"], "text")
        rows = f'{self.rows(bound(entity).table)} {alias} where {alias}."id" = {id}'
        return self.statement.plan(computed(f"(select {self._hidden(entity, alias).sql} from {rows})"))

    def seen(self, entity: Entity) -> Plan:
        """The plan of the ids of the records that are seen, among those that the given argument `ids` names."""
        alias = self.statement.alias()
        ids = self.statement.parameter(self.statement.given, lambda given: given["ids"], "text[]")
        rows = f'{self.rows(bound(entity).table)} {alias} where {alias}."id" = any({ids})'
        return self.statement.plan(computed(f'(select json_agg({alias}."id") from {rows})'))

    def fields(self, kind: GraphQLObjectType, nodes: Sequence[FieldNode], alias: str) -> dict[str, Json]:
        """JSON by response key: what `nodes` select of an object of this kind, whose row is `alias`."""
        return {key: self.field(kind, uses, alias) for key, uses in self.selections.below(kind, nodes).items()}

    def field(self, kind: GraphQLObjectType, nodes: Sequence[FieldNode], alias: str) -> Json:
        """The JSON of one field."""
        name = nodes[0].name.value
        if name == "__typename":
            return constant(f'"{kind.name}"')
        if name in ABOUT_SCHEMA:
            raise _refused(f"`{name}` stands below another field: ask about the schema at the root of the query.")
        own = self.entities.by_name[kind.name]
        field, source = kind.fields[name], own.sources[name]
        match source:
            case Column():
                return json_of_column(own, field, source.name, alias)
            case Expression():
                return json_of(field, f"({source.sql.format_map(self.cells(own, alias))})")
            case Part():
                return self._part(field, source, nodes, alias)
            case Relation():
                entity = self.entities.of(field)
                return self._one(entity, nodes, source.key, f"{alias}.{own_column(source.column)}")
            case Many(paged=True):
                return pages.connection(self, field, source, nodes, alias)
            case Many():
                return pages.whole_list(self, field, source, nodes, alias)
            case Values():
                return self._values(source, alias)
            case Lookup():
                return self._lookup(field, source, nodes)
            case Only():
                return self._one(self.entities.of(field), nodes, "id", f"'{source.id}'")
            case Hidden():
                return self._hidden(own, alias)
            case AnyNode():
                return self._node(field, source, nodes)
            case AsOf():
                return self._as_of(kind, field, nodes)
            case Reflected():
                return json_of(field, REFLECTED if self._past is None else self._past.reflected, nullable=False)
            case Traced() | Bundled():
                return self._traced(field, source, nodes)
            case Totals():
                return sums.totals(self, field, source, nodes, alias)
            case Waterfall():
                return self._waterfall(field, source, nodes)
            case Tally() | Total() | Rate() | Mean():
                # A totals' row brings its figures under their fields' names.
                raise AssertionError(f"{kind.name}.{name} stands outside totals")
            case _:
                assert_never(source)

    def cells(self, entity: Entity, alias: str, **others: Cells) -> Cells:
        """What templates of an entity's fields name: its row's columns, and those of rows beside it."""
        now = {NOW: "now()" if self._past is None else self._past.now}
        return Cells(alias, **now, **others, **self.beside(entity, lambda column: f'{alias}."{column}"'))

    def beside(self, entity: Entity, ours: Callable[[str], str]) -> dict[str, CellsBeside]:
        """The rows beside an entity's row by name; `ours` gives the SQL of a column of its own."""
        of: Mapping[str, Beside] = entity.rows.beside if entity.rows else {}
        return {
            name: CellsBeside(
                f"{self.rows(one.table)} beside",
                [
                    *(f'beside."{theirs}" = {ours(column)}' for theirs, column in one.on.items()),
                    *self.condition(one.where, "beside"),
                ],
            )
            for name, one in of.items()
        }

    def condition(self, template: str | None, alias: str) -> list[str]:
        """SQL: a declared condition on a row, if there is one."""
        return [] if template is None else [f"({template.format_map(Cells(alias))})"]

    def _as_of(self, root: GraphQLObjectType, field: GraphQLField, nodes: Sequence[FieldNode]) -> Json:
        if self._past is not None:
            raise _refused("`asOf` stands within another `asOf`: ask for each moment at the root of the query.")
        call = self.statement.call(field, nodes[0])
        self._past = Past(*self.statement.moment(call, "at"), by_occurrence(call.values))
        self._then = self._past.rows
        try:
            return self.statement.object(self.fields(root, nodes, ""))
        finally:
            self._past, self._then = None, self._source

    def _part(self, field: GraphQLField, source: Part, nodes: Sequence[FieldNode], alias: str) -> Json:
        whole = self.statement.object(self.templates(object_of(field), source.fields, nodes, Cells(alias)))
        return computed(f"case when {alias}.\"{source.present}\" is not null then {whole.sql} else 'null' end")

    def templates(
        self,
        kind: GraphQLObjectType,
        templates: Mapping[str, str],
        nodes: Sequence[FieldNode],
        cells: Mapping[str, Any],
    ) -> dict[str, Json]:
        """JSON by response key: what `nodes` select of an object whose fields are templates."""
        selected = self.selections.below(kind, nodes)
        return {
            key: constant(f'"{kind.name}"')
            if (name := uses[0].name.value) == "__typename"
            else json_of(kind.fields[name], f"({templates[name].format_map(cells)})")
            for key, uses in selected.items()
        }

    def _one(self, entity: Entity, nodes: Sequence[FieldNode], key: str, value: str) -> Json:
        other = self.statement.alias()
        tail = f'from {self.rows(bound(entity).table)} {other} where {other}."{key}" = {value}'
        return self.statement.object(self.fields(entity.type, nodes, other), tail)

    def _values(self, source: Values, alias: str) -> Json:
        other = self.statement.alias()
        conditions = " and ".join(belonging(alias, other, source.on))
        values = f"""to_json({other}."{source.column}")::text, ',' order by {other}."{source.order}\""""
        rows = f"{self.rows(source.table)} {other} where {conditions}"
        return as_array(f"(select string_agg({values}) from {rows})")

    def _lookup(self, field: GraphQLField, source: Lookup, nodes: Sequence[FieldNode]) -> Json:
        entity, other = self.entities.of(field), self.statement.alias()
        call, through = self.statement.call(field, nodes[0]), source.through
        rows = bound(entity)
        table, alias = (rows.table, other) if through is None else (through[0], self.statement.alias())
        met = " and ".join(
            f'{alias}."{one.column}" = '
            + self.statement.parameter(call, partial(_given, one), sql_type(table.columns[one.column]))
            for one in source.given
        )
        if through is not None:
            met = f'{other}."id" in (select {alias}."{through[1]}" from {self.rows(table)} {alias} where {met})'
        tail = f"from {self.rows(rows.table)} {other} where {met}"
        if source.order:
            tail += f" order by {pages.order_of(rows, source.order, ()).clause(other)} limit 1"
        return self.statement.object(self.fields(entity.type, nodes, other), tail)

    def _traced(self, field: GraphQLField, source: Traced | Bundled, nodes: Sequence[FieldNode]) -> Json:
        """What was told beside the statement, as rows of a table that stands nowhere."""
        if self._past is not None:
            raise _of_moments_itself(nodes)
        entity, other = self.entities.of(field), self.statement.alias()
        name = f"traced {len(self.statement.traced)}"
        self.statement.traced.append(TracedField(name, source, self.statement.call(field, nodes[0])))
        told = self.statement.parameter(self.statement.given, lambda given: given.get(name), "json")
        columns = ", ".join(f'"{column}" {sql_type(of)}' for column, of in bound(entity).table.columns.items())
        tail = f"from json_to_recordset({told}) {other}({columns})"
        fields = self.fields(entity.type, nodes, other)
        if not (isinstance(source, Traced) and source.several):
            return self.statement.object(fields, tail)
        found = self.statement.array(fields, f'{tail} order by {other}."position", {other}."field"')
        return computed(f"case when {told} is null then 'null' else {found.sql} end")

    def _waterfall(self, field: GraphQLField, source: Waterfall, nodes: Sequence[FieldNode]) -> Json:
        if self._past is not None:
            raise _of_moments_itself(nodes)
        return waterfalls.waterfall(self, field, source, nodes)

    def _hidden(self, entity: Entity, alias: str) -> Json:
        """A JSON array of the names of an object's hidden fields."""
        table = self.tables.get(alias, bound(entity).table)
        found = list(hidden_fields(self.entities, entity, self.sight, table))
        if all(unless is None for _, unless in found):
            return constant(msgspec.json.encode([name for name, _ in found]).decode())
        cells = self.sight.cells(alias, self.statement)
        names = (
            f"case when {unless.format_map(cells) if unless else 'false'} then null else '{name}' end"
            for name, unless in found
        )
        return computed(f"to_json(array_remove(array[{', '.join(names)}], null))::text")

    def _node(self, field: GraphQLField, source: AnyNode, nodes: Sequence[FieldNode]) -> Json:
        call = self.statement.call(field, nodes[0])
        if not source.several:
            check = partial(of_any_kind, dict(self.entities.nodes()))
            return self._of_any_type(nodes, self.statement.parameter(call, lambda given: check(given["id"]), "text"))
        ids = self.statement.parameter(call, partial(_at_most_100, dict(self.entities.nodes())), "text[]")
        one = self.statement.alias()
        each = self._of_any_type(nodes, f"{one}.id").sql
        return as_array(
            f"(select string_agg({each}, ',' order by {one}.n) from unnest({ids}) with ordinality {one}(id, n))"
        )

    def _of_any_type(self, nodes: Sequence[FieldNode], id: str) -> Json:
        cases: list[str] = []
        for prefix, entity in self.entities.nodes():
            other = self.statement.alias()
            fields = self.fields(entity.type, nodes, other)
            tail = f'from {self.rows(bound(entity).table)} {other} where {other}."id" = {id}'
            cases.append(f"when '{prefix}' then {self.statement.object(fields, tail).sql}")
        # A TypeID is its prefix, an underscore and 26 letters. CASE evaluates the branch that it takes, no other.
        return computed(f"case left({id}, -27) {' '.join(cases)} else 'null' end")


def _refused(message: str) -> RequestError:
    return RequestError(RequestErrorCode.BAD_USER_INPUT, message)


def _of_moments_itself(nodes: Sequence[FieldNode]) -> RequestError:
    return _refused(f"`{nodes[0].name.value}` names moments itself: ask for it outside of `asOf`.")


def _given(one: Argument, given: Arguments) -> str:
    return one.read(given[one.name])


def _at_most_100(kinds: Collection[str], given: Arguments) -> list[str]:
    ids = [of_any_kind(kinds, str(id)) for id in given["ids"]]
    if len(ids) > MOST_IDS:
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT, f"`ids` names {len(ids)} records; ask for at most {MOST_IDS}."
        )
    return ids
