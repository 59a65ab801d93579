"""The fields of a record by their GraphQL names, out of its rows: `name`, `amount`, `contactPoints[cpt_…].value`."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from graphql import GraphQLEnumType, GraphQLField

from api.reading.entities import Entities, Entity, bound, columns_of, in_template, named_type
from api.reading.ids import shortened
from api.reading.sight import Sight, hidden_fields
from api.reading.sources import Column, Expression, Many, Part, Relation, Source, Values
from domain.kernel import rounded
from domain.kernel.composing import fault_of
from projections.model import Key, Model, Table
from projections.refolding import Row

LONGEST = 1_000
"""Characters of a field's name, that of its element included."""


class NotNamed(LookupError):
    """No field of the record is called so; the message says which there are."""


class Place(NamedTuple):
    """Where the rows of a table of the record stand among its fields."""

    field: str
    """The field that lists them; "": the record itself."""
    entity: Entity | None
    """Their own type; None: they are plain values, out of one column."""
    column: str = ""
    order: tuple[str, ...] = ()
    """The columns that its list is ordered by."""


class Names:
    """Of one kind of record."""

    def __init__(self, entities: Entities, entity: Entity, model: Model) -> None:
        self._entities, self._entity = entities, entity
        self._tables = {table.name: table for table in model.tables}
        self._places: dict[str, Place] = {}
        self._also: dict[str, str] = {}
        """Fields whose elements stand under another: a pipeline's stages are `stages`, retired or not."""
        for table, place in _places(entities, entity, model):
            if (first := self._places.setdefault(table, place)) is not place:
                self._also[place.field] = first.field
        self._lists = {place.field: table for table, place in self._places.items() if place.field}

    @property
    def fields(self) -> list[str]:
        """The names there are, `[…]` where each element of a list has its own; parts of values as `amount.currency`."""
        return sorted(name for table in self._places for name in self._declared(table))

    def checked(self, field: str) -> str:
        """The name under which the field's steps are told. Raises NotNamed where no entry of the record sets it."""
        if (fault := fault_of(field, LONGEST)) is not None:
            raise NotNamed(f"`{shortened(field)}` is no field: {fault.message}")
        of, bracket, rest = field.partition("[")
        of = self._also.get(of, of)
        _, closing, part = rest.rpartition("]")
        if (f"{of}[…]{part}" if closing else f"{of}{bracket}{rest}") in self.fields:
            return f"{of}{bracket}{rest}"
        there = f"There are: {', '.join(self.fields)}."
        if field in self._entity.type.fields:
            raise NotNamed(
                f"No entry of this record sets `{field}`: it is computed when it is read, or of other records. {there}"
            )
        raise NotNamed(f"`{shortened(field)}` is no field of this record that an entry sets. {there}")

    def is_list(self, field: str) -> bool:
        return field in self._lists

    def has_fields(self, of: str) -> bool:
        """Whether the elements of a list have fields, and are no plain values."""
        return self._places[self._lists[of]].entity is not None

    def in_order(self, of: str, elements: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        """A list as GraphQL has it, out of its elements by name, each with its parts; "" is a plain value's."""
        table = self._tables[self._lists[of]]
        place = self._places[table.name]
        sources: Mapping[str, Source] = {} if place.entity is None else place.entity.sources
        parts = {source.name: name for name, source in sources.items() if isinstance(source, Column)}
        names = [*elements]
        if place.order and all(
            column in table.key and table.columns[column].startswith("text") for column in place.order
        ):
            names.sort()
        elif set(place.order) <= parts.keys():
            names.sort(key=lambda name: [elements[name].get(parts[column]) for column in place.order])
        if place.entity is None:
            return [elements[name][""] for name in names]
        stored = [name for name, source in sources.items() if _is_stored(source)]
        return [{part: elements[name].get(part) for part in stored} for name in names]

    def list_of(self, table: str) -> str:
        """The field that lists the rows of a table; "": none does."""
        place = self._places.get(table)
        return "" if place is None else place.field

    def is_hidden(self, field: str, hidden: Collection[str], sight: Sight) -> bool:
        """Whether a field is hidden from whom this sight is. `hidden`: the names of the record's own that are."""
        whole, bracket, inner = field.partition("[")
        if any(_is_in(whole, name) for name in hidden):
            return True
        # Of an element's field, whatever is hidden in any row of its kind: nobody is unmasked here.
        part = inner.rpartition("].")[2]
        return any(
            _is_in(part, name)
            for table, place in self._places.items()
            if bracket and place.field == whole and place.entity is not None
            for name, _ in hidden_fields(self._entities, place.entity, sight, self._tables[table])
        )

    def of(self, table: Table, key: Key, row: Row | None) -> dict[str, Any]:
        """The fields of a row that is there, as JSON has their values."""
        place = self._places.get(table.name)
        if place is None or row is None:
            return {}
        if place.entity is None:
            return {f"{place.field}[{_element(table, key)}]": _plain(row.get(place.column))}
        prefix = f"{place.field}[{_element(table, key)}]." if place.field else ""
        found = _values(place.entity, row)
        return {f"{prefix}{name}": value for name, value in found}

    def _declared(self, table: str) -> Iterator[str]:
        place = self._places[table]
        if place.field:
            yield place.field
            yield f"{place.field}[…]"
        prefix = f"{place.field}[…]." if place.field else ""
        sources: Mapping[str, Source] = {} if place.entity is None else place.entity.sources
        for name, source in sources.items():
            if _is_stored(source):
                yield f"{prefix}{name}"
                if isinstance(source, Part):
                    yield from (f"{prefix}{name}.{part}" for part in source.fields)


def _places(entities: Entities, entity: Entity, model: Model) -> Iterator[tuple[str, Place]]:
    """The tables of the record by name. Those that only serve to find it are no field of it."""
    own = {table.name: table for table in model.tables}
    yield bound(entity).table.name, Place("", entity)
    for name, source in entity.sources.items():
        match source:
            case Values(table=table) if table.name in own:
                yield table.name, Place(name, None, source.column, _columns_of_order(source.order))
            case Many(through=(between,)) if between.table.name in own and between.on == {between.table.of: "id"}:
                yield between.table.name, Place(name, None, between.key)
            case Many(through=()):
                listed = entities.of(entity.type.fields[name])
                table = source.table or bound(listed).table
                if table.name in own and source.on == {table.of: "id"}:
                    yield table.name, Place(name, listed, order=_columns_of_order(bound(listed).order))
            case _:
                pass


def _is_in(field: str, whole: str) -> bool:
    """Whether a field is the other one, or a part of its value."""
    return field == whole or field.startswith(f"{whole}.")


def _columns_of_order(order: str) -> tuple[str, ...]:
    return tuple(one.partition(" ")[0] for one in order.split(", "))


def _element(table: Table, key: Key) -> str:
    """What tells an element from others of its list: its key, without the record's."""
    return "/".join(str(value) for name, value in zip(table.key, key, strict=True) if name != table.of)


def _is_stored(source: Source) -> bool:
    """Whether it is as it stands in its row; what is computed, from several columns or from today, no entry set."""
    match source:
        case Column() | Relation() | Expression(told=Callable()):
            return True
        case Part(present=present, fields=fields):
            return set(columns_of(source)) <= {present, *_columns(fields, but="amount")}
        case _:
            return False


def _values(entity: Entity, row: Row) -> Iterator[tuple[str, Any]]:
    for name, source in entity.sources.items():
        if not _is_stored(source):
            continue
        match source:
            case Column(name=column):
                yield name, _shown(entity.type.fields[name], row.get(column))
            case Relation(column=column):
                yield name, _plain(row.get(column))
            case Part():
                yield name, _part(source, row)
            case Expression(told=told) if told is not None:
                yield name, told(row)
            case _:
                pass


def _part(source: Part, row: Row) -> Any:
    """An object out of several columns. Of money, the amount has the decimals of its currency."""
    if row.get(source.present) is None:
        return None
    if set(source.fields) == {"amount", "currency"}:
        [currency] = _columns(source.fields, but="amount")
        code = row.get(currency)
        amount = Decimal(row[source.present])
        return {"amount": str(rounded(amount, code) if code else amount), "currency": code}
    return {
        name: _plain(row.get(column)) for name, template in source.fields.items() for column in in_template(template)
    }


def _columns(fields: Mapping[str, str], *, but: str) -> set[str]:
    return {column for name, template in fields.items() if name != but for column in in_template(template)}


def _shown(field: GraphQLField, value: Any) -> Any:
    named = named_type(field)
    if value is not None and named.name == "Position":
        return str(value)
    return value.upper() if isinstance(named, GraphQLEnumType) and value is not None else _plain(value)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case _:
            return value
