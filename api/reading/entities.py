"""The sources of a schema's fields, gathered from its types and checked against the tables once, at start."""

from collections.abc import Iterable, Iterator, Mapping
from string import Formatter
from typing import Any, cast

import msgspec
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from api.reading.json_text import Json, bare, escaped, plain
from api.reading.sources import (
    NOW,
    ROWS,
    SOURCE,
    Column,
    Expression,
    Lookup,
    Many,
    Mean,
    Part,
    Rate,
    Relation,
    Rows,
    Source,
    Tally,
    Total,
    Totals,
    Values,
)


class DeclarationError(Exception):
    """A read field's declaration does not fit its table or its type; the message says how."""


class Entity(msgspec.Struct, frozen=True):
    """A GraphQL type with read fields: its rows and its sources, by GraphQL field."""

    type: GraphQLObjectType
    rows: Rows | None
    sources: Mapping[str, Source]


class Entities:
    """The entities of a schema, by type name. Raises DeclarationError where one does not fit its table."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self.schema: GraphQLSchema = schema._schema  # pyright: ignore[reportPrivateUsage]  # no public way to it
        self.by_name: dict[str, Entity] = {}
        for each in self.schema.type_map.values():
            if isinstance(each, GraphQLObjectType) and (entity := _entity(each)):
                self.by_name[each.name] = entity
        for entity in self.by_name.values():
            for name, source in entity.sources.items():
                self._check(entity, name, source)

    def of(self, field: GraphQLField) -> Entity:
        """The entity that a field leads to; that of the elements where it is a list or a connection."""
        kind = object_of(field)
        nodes = kind.fields.get("nodes")
        return self.by_name[(kind if nodes is None else object_of(nodes)).name]

    def nodes(self) -> Iterator[tuple[str, Entity]]:
        """Every entity that `node(id:)` finds, with the prefix of its ids."""
        for entity in self.by_name.values():
            if entity.rows is not None and entity.rows.prefix is not None:
                yield entity.rows.prefix, entity

    def counted(self, entity: Entity) -> Entity:
        """The entity whose rows a type of totals counts."""
        kind: Any = bound(entity).counted
        return self.by_name[kind.__strawberry_definition__.name]

    def _check(self, entity: Entity, name: str, source: Source) -> None:
        where = f"{entity.type.name}.{name}"
        for column in columns_of(source):
            if entity.rows is None or not _has(entity.rows, column):
                raise DeclarationError(f"{where} reads column {column}, which its table does not have.")
        field = entity.type.fields[name]
        if isinstance(source, Column) and _rewritten(field) and is_list(field):
            raise DeclarationError(f"{where} is a list of values that SQL has to rewrite; that is not supported.")
        if isinstance(source, Many | Totals):
            for one in source.through:
                self._check_columns(where, Rows(one.table), (*one.on, one.key))
        if isinstance(source, Lookup) and source.through is not None:
            table, key = source.through
            self._check_columns(where, Rows(table), (key, *(given.column for given in source.given)))
        if isinstance(source, Values):
            self._check_columns(where, Rows(source.table), _their_columns(source))
        elif isinstance(source, Relation | Many | Lookup | Totals):
            target = self.of(field).rows
            if target is None:
                raise DeclarationError(f"{where} leads to a type that no rows_of binds to a table.")
            if isinstance(source, Many) and source.table:
                target = Rows(source.table)
            self._check_columns(where, target, _their_columns(source))

    def _check_columns(self, where: str, rows: Rows, columns: Iterable[str]) -> None:
        for column in columns:
            if not _has(rows, column):
                raise DeclarationError(f"{where} reads column {column}, which the other table does not have.")


def _has(rows: Rows, column: str) -> bool:
    """Whether a type has a column: of its table, or `line.total` of a finer grain or a row beside it."""
    outer, _, inner = column.rpartition(".")
    tables = {grain.name: grain.table for grain in rows.finer} | {name: one.table for name, one in rows.beside.items()}
    table = tables.get(outer) if outer else rows.table
    return table is not None and inner in table.columns


def object_of(field: GraphQLField) -> GraphQLObjectType:
    """The object type that a field's value is of, or its elements are."""
    return cast("GraphQLObjectType", named_type(field))


def named_type(field: GraphQLField) -> GraphQLNamedType:
    """The type of a field's value, or of the elements where it is a list."""
    return cast("GraphQLNamedType", get_named_type(cast("Any", field).type))


def is_list(field: GraphQLField) -> bool:
    """Whether a field's value is a list, null or not."""
    return str(cast("Any", field).type).startswith("[")


_REWRITTEN: Mapping[str, str] = {
    "DateTime": "to_char({value} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    "Decimal": "{value}::text",
    "Position": "{value}::text",
}
"""SQL template by GraphQL scalar, where PostgreSQL's own JSON is not the scalar's."""
_PLAIN: Mapping[str, str] = {**_REWRITTEN, "CurrencyCode": "{value}"}
"""By scalar, the SQL of a text that needs no escaping; the currencies are those of a closed list."""


def json_of(field: GraphQLField, sql: str, *, nullable: bool = True) -> Json:
    """A leaf field's JSON, out of the SQL of its value. `nullable`: whether that may be NULL."""
    named = named_type(field)
    if is_list(field):
        return escaped(sql, nullable=nullable)
    if isinstance(named, GraphQLEnumType):
        return plain(f"upper({sql})", nullable=nullable)  # a word of the domain
    if named.name in _PLAIN:
        return plain(_PLAIN[named.name].format(value=sql), nullable=nullable)
    return (bare if named.name in ("Int", "Boolean") else escaped)(sql, nullable=nullable)


def json_of_column(entity: Entity, field: GraphQLField, column: str, alias: str) -> Json:
    """A leaf field's JSON, out of a column of an entity's row."""
    rows, value = bound(entity), f"{alias}.{own_column(column)}"
    if rows.prefix is not None and column == "id":
        return plain(value, nullable=False)  # a TypeID
    # A column of a finer grain, such as `line.product_id`, is not the table's: it is NULL where there are no lines.
    return json_of(field, value, nullable="NOT NULL" not in rows.table.columns.get(column, ""))


def _rewritten(field: GraphQLField) -> bool:
    named = named_type(field)
    return isinstance(named, GraphQLEnumType) or named.name in _REWRITTEN


def source_of(field: GraphQLField) -> Source | None:
    """The source that a field declares; None where the types say nothing of where it comes from."""
    return _metadata(field).get(SOURCE)


def is_bound(kind: GraphQLNamedType) -> bool:
    """Whether the objects of a type are rows of a table."""
    definition = kind.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return hasattr(getattr(definition, "origin", None), ROWS)


def _entity(kind: GraphQLObjectType) -> Entity | None:
    sources = {name: source for name, field in kind.fields.items() if (source := source_of(field))}
    if not sources:
        return None
    definition = kind.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    return Entity(kind, getattr(definition.origin, ROWS, None), sources)


def _metadata(field: GraphQLField) -> Mapping[Any, Any]:
    declared = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return {} if declared is None else cast("Mapping[Any, Any]", declared.metadata)


def columns_of(source: Source) -> Iterator[str]:
    """The columns of its own row that a source reads."""
    match source:
        case Column(name=name, sort=sort, same=same):
            yield from (each for each in (name, sort, same) if each)
        case Part(present=name, sort=sort):
            yield from (name, *(sort.split(", ") if sort else ()))
        case Relation(column=name):
            yield name
        case Many(on=on, through=through) | Totals(on=on, through=through):
            yield from on.values()
            for one in through:
                yield from one.on.values()
        case Values(on=on):
            yield from on.values()
        case _:
            pass
    match source:
        case Expression(sql=sql):
            yield from in_template(sql)
        case Part(fields=fields):
            for sql in fields.values():
                yield from in_template(sql)
        case Tally() | Total() | Rate() | Mean():
            for sql in msgspec.structs.astuple(source):
                if isinstance(sql, str):
                    yield from in_template(sql)
            yield from source.reads if isinstance(source, Tally) else ()
        case _:
            pass


def _their_columns(source: Relation | Many | Lookup | Totals | Values) -> Iterator[str]:
    """The columns of the other table that a source reads."""
    match source:
        case Relation(key=name):
            yield name
        case Lookup(through=None):
            yield from (given.column for given in source.given)
        case Values():
            yield from (source.column, *source.on, *((source.same,) if source.same else ()))
        case Many() | Totals():
            yield from source.on
            yield from in_template(source.where or "")
            yield from (one.other for one in source.through)
        case _:
            pass


def in_template(sql: str) -> Iterator[str]:
    """Its columns: `{amount}` -> amount; `{line[total]}` -> line.total."""
    for _, name, _, _ in Formatter().parse(sql):
        if name is not None and name != NOW:
            outer, bracket, inner = name.partition("[")
            yield f"{outer}.{inner[:-1]}" if bracket else outer


def belonging(alias: str, other: str, on: Mapping[str, str]) -> list[str]:
    """SQL conditions: the row `other` belongs to the row `alias`."""
    return [f'{other}."{theirs}" = {alias}."{ours}"' for theirs, ours in on.items()]


def bound(entity: Entity) -> Rows:
    """The rows that a type is bound to; entities.py checked that it is."""
    if entity.rows is None:
        raise LookupError(f"{entity.type.name} is bound to no table")
    return entity.rows


def own_column(name: str) -> str:
    """SQL: a column by its name alone; a group's rows bring `line.product_id` as `product_id`."""
    return f'"{name.rpartition(".")[2]}"'
