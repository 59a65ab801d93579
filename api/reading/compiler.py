"""The compiler: what a GraphQL operation selects becomes one SQL statement whose only column is the finished JSON.

It knows SQL, Relay and the sources that fields declare; it knows nothing of customers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, assert_never

from graphql import FieldNode, FragmentDefinitionNode, GraphQLField, GraphQLObjectType
from graphql.execution.values import VariableValues

from api.errors import RequestError, RequestErrorCode
from api.reading import pages, sums
from api.reading.entities import Entities, Entity, belonging, bound, json_of, object_of, own_column
from api.reading.selections import Selections
from api.reading.sources import (
    AnyNode,
    Column,
    Expression,
    Lookup,
    Many,
    Only,
    Part,
    Relation,
    Tally,
    Total,
    Totals,
    Values,
)
from api.reading.statement import Arguments, Cells, Plan, Statement
from projections.model import Table
from projections.tables import READ, sql_type

RowSource: TypeAlias = Callable[[Table], str]
"""From a table to what stands in FROM for it: the present, a past moment, a model that is being rebuilt."""

MOST_IDS = 100


def present(table: Table) -> str:
    """The rows as they are now."""
    return f'{READ}."{table.name}"'


class Compiler:
    """Compiles one operation, or one selection; made anew for each."""

    def __init__(
        self,
        entities: Entities,
        rows: RowSource,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
        given: Arguments | None = None,
    ) -> None:
        self.entities, self.rows = entities, rows
        self.selections = Selections(fragments, variables)
        self.statement = Statement(variables, given or {})

    def query(self, root: GraphQLObjectType, selected: Mapping[str, list[FieldNode]]) -> Plan:
        """The plan of an operation's root fields. Raises RequestError where it can't be served."""
        fields = {key: self.field(root, nodes, "") for key, nodes in selected.items()}
        return self.statement.plan(self.statement.object(fields))

    def record(self, entity: Entity, nodes: Sequence[FieldNode]) -> Plan:
        """The plan of what these fields select of one record, whose id is the given argument `id`."""
        rows = bound(entity)
        alias = self.statement.alias()
        id = self.statement.parameter(self.statement.given, lambda given: given["id"], "text")
        tail = f'from {self.rows(rows.table)} {alias} where {alias}."id" = {id}'
        fields = self.fields(entity.type, nodes, alias)
        return self.statement.plan(self.statement.object(fields, tail))

    def fields(self, kind: GraphQLObjectType, nodes: Sequence[FieldNode], alias: str) -> dict[str, str]:
        """SQL by response key: what `nodes` select of an object of this kind, whose row is `alias`."""
        return {key: self.field(kind, uses, alias) for key, uses in self.selections.below(kind, nodes).items()}

    def field(self, kind: GraphQLObjectType, nodes: Sequence[FieldNode], alias: str) -> str:
        """The SQL of one field."""
        name = nodes[0].name.value
        if name == "__typename":
            return f"'{kind.name}'::text"
        field, source = kind.fields[name], self.entities.by_name[kind.name].sources[name]
        match source:
            case Column():
                return json_of(field, f"{alias}.{own_column(source.name)}")
            case Expression():
                return json_of(field, f"({source.sql.format_map(Cells(alias))})")
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
            case AnyNode():
                return self._node(field, source, nodes)
            case Totals():
                return sums.totals(self, field, source, nodes, alias)
            case Tally() | Total():
                # A totals' row brings its sums under their fields' names.
                raise AssertionError(f"{kind.name}.{name} stands outside totals")
            case _:
                assert_never(source)

    def condition(self, template: str | None, alias: str) -> list[str]:
        """SQL: a declared condition on a row, if there is one."""
        return [] if template is None else [f"({template.format_map(Cells(alias))})"]

    def _part(self, field: GraphQLField, source: Part, nodes: Sequence[FieldNode], alias: str) -> str:
        kind = object_of(field)
        fields = self.templates(kind, source.fields, nodes, Cells(alias))
        return self.statement.object(fields, f'where {alias}."{source.present}" is not null')

    def templates(
        self,
        kind: GraphQLObjectType,
        templates: Mapping[str, str],
        nodes: Sequence[FieldNode],
        cells: Mapping[str, Any],
    ) -> dict[str, str]:
        """SQL by response key: what `nodes` select of an object whose fields are templates."""
        selected = self.selections.below(kind, nodes)
        return {
            key: f"'{kind.name}'::text"
            if (name := uses[0].name.value) == "__typename"
            else json_of(kind.fields[name], f"({templates[name].format_map(cells)})")
            for key, uses in selected.items()
        }

    def _one(self, entity: Entity, nodes: Sequence[FieldNode], key: str, value: str) -> str:
        other = self.statement.alias()
        tail = f'from {self.rows(bound(entity).table)} {other} where {other}."{key}" = {value}'
        return self.statement.object(self.fields(entity.type, nodes, other), tail)

    def _values(self, source: Values, alias: str) -> str:
        other = self.statement.alias()
        conditions = " and ".join(belonging(alias, other, source.on))
        value = f'{other}."{source.column}" order by {other}."{source.order}"'
        rows = f"{self.rows(source.table)} {other} where {conditions}"
        return f"(select coalesce(json_agg({value}), '[]'::json) from {rows})"

    def _lookup(self, field: GraphQLField, source: Lookup, nodes: Sequence[FieldNode]) -> str:
        entity = self.entities.of(field)
        call = self.statement.call(field, nodes[0])
        of = sql_type(bound(entity).table.columns[source.column])
        value = self.statement.parameter(call, lambda given: str(given[source.argument]), of)
        return self._one(entity, nodes, source.column, value)

    def _node(self, field: GraphQLField, source: AnyNode, nodes: Sequence[FieldNode]) -> str:
        call = self.statement.call(field, nodes[0])
        if not source.several:
            return self._of_any_type(nodes, self.statement.parameter(call, lambda given: given["id"], "text"))
        ids = self.statement.parameter(call, _at_most_100, "text[]")
        one = self.statement.alias()
        return (
            f"(select coalesce(json_agg({self._of_any_type(nodes, f'{one}.id')} order by {one}.n), '[]'::json)"
            f" from unnest({ids}) with ordinality {one}(id, n))"
        )

    def _of_any_type(self, nodes: Sequence[FieldNode], id: str) -> str:
        cases: list[str] = []
        for prefix, entity in self.entities.nodes():
            other = self.statement.alias()
            fields = self.fields(entity.type, nodes, other)
            tail = f'from {self.rows(bound(entity).table)} {other} where {other}."id" = {id}'
            cases.append(f"when '{prefix}' then {self.statement.object(fields, tail)}")
        # A TypeID is its prefix, an underscore and 26 letters. CASE evaluates the branch that it takes, no other.
        return f"case left({id}, -27) {' '.join(cases)} end"


def _at_most_100(given: Arguments) -> list[str]:
    ids = [str(id) for id in given["ids"]]
    if len(ids) > MOST_IDS:
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT, f"`ids` names {len(ids)} records; ask for at most {MOST_IDS}."
        )
    return ids
