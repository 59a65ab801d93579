"""The reference executor: the same schema answered by graphql-core over rows in Python, resolver by resolver.

It reads the same declarations as the compiler (which column, which relation), but shares none of its work: selection,
paging, order, conditions, sums and the writing of values are graphql-core's and Python's. What is SQL in a declaration
is written here once more, by hand.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import partial
from itertools import groupby
from typing import Any, cast

import msgspec
from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    execute_sync,
    get_named_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from api.reading.sources import (
    ROWS,
    SOURCE,
    AnyNode,
    Column,
    Expression,
    Lookup,
    Many,
    Only,
    Part,
    Relation,
    Rows,
    Source,
    Totals,
    Values,
)
from api.schema import make_schema
from domain.kernel import MINOR_UNITS
from tests.api import sample

Row = sample.Row


def _amount(column: str, currency: str = "currency") -> Callable[[Row], Any]:
    return lambda row: None if row[column] is None else _money(row[column], row[currency])


def _money(amount: Decimal, currency: str) -> dict[str, Any]:
    with localcontext(prec=60):
        exact = amount.quantize(Decimal(1).scaleb(-MINOR_UNITS[currency]), ROUND_HALF_EVEN)
    return {"amount": exact, "currency": currency}


def _weighted(row: Row) -> Any:
    return None if row["amount"] is None else _money(_times(row["amount"], row["probability"]), row["currency"])


def _times(amount: Decimal, probability: Decimal) -> Decimal:
    with localcontext(prec=60):
        return amount * probability / 100


def _satisfaction(row: Row) -> Any:
    score = row["satisfaction_score"]
    return None if score is None else {"score": score, "comment": row["satisfaction_comment"]}


BY_HAND: Mapping[tuple[str, str], Callable[[Row], Any]] = {
    ("Customer", "annualRevenue"): _amount("annual_revenue", "revenue_currency"),
    ("Opportunity", "amount"): _amount("amount"),
    ("Opportunity", "weighted"): _weighted,
    ("OpportunityLine", "price"): _amount("price"),
    ("OpportunityLine", "total"): _amount("total"),
    ("Product", "price"): _amount("price"),
    ("Ticket", "escalated"): lambda row: row["escalation_level"] > 0,
    ("Ticket", "satisfaction"): _satisfaction,
}
CONDITIONS: Mapping[str | None, Callable[[Row], bool]] = {
    None: lambda _: True,
    "{status} = 'open'": lambda row: bool(row["status"] == "open"),
    "not {retired}": lambda row: not row["retired"],
    "{retired}": lambda row: bool(row["retired"]),
}


PLAIN = ("PageInfo", "Money", "Satisfaction")


class Reference:
    """Answers operations over rows in Python."""

    def __init__(self, rows: sample.Rows) -> None:
        self.rows = rows
        self.schema = make_schema()._schema
        self.types: dict[str, GraphQLObjectType] = {}
        for kind in self.schema.type_map.values():
            if isinstance(kind, GraphQLInterfaceType) and kind.name == "Node":
                kind.resolve_type = lambda row, *_: str(row["*type"])
            if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
                self.types[kind.name] = kind
                kind.is_type_of = None
                for name, field in kind.fields.items():
                    if source := _source(field):
                        field.resolve = self._resolver(kind, name, field, source)
                    elif kind.name.endswith(("Connection", "Edge")) or kind.name in PLAIN:
                        field.resolve = _of_mapping

    def answer(self, document: DocumentNode, variables: Mapping[str, Any]) -> Any:
        result = execute_sync(self.schema, document, variable_values=dict(variables))
        assert not result.errors, result.errors
        return result.data

    def _resolver(self, kind: GraphQLObjectType, name: str, field: GraphQLField, source: Source) -> Callable[..., Any]:
        match source:
            case Column():
                return lambda row, _: _value(field, row[source.name.rpartition(".")[2]])
            case Expression() | Part():
                by_hand = BY_HAND[kind.name, name]
                return lambda row, _: by_hand(row)
            case Relation():
                column = source.column.rpartition(".")[2]
                return lambda row, _: self._one(field, source.key, row[column])
            case Values():
                return lambda row, _: [
                    each[source.column] for each in in_order(self._of(source.table.name, source.on, row), source.order)
                ]
            case Lookup():
                return lambda _, __, **given: self._one(field, source.column, given[source.argument])
            case Only():
                return lambda _, __: self._one(field, "id", source.id)
            case AnyNode(several=False):
                return lambda _, __, id: self._any(id)
            case AnyNode():
                return lambda _, __, ids: [self._any(id) for id in ids]
            case Many(paged=False):
                return lambda row, _: self._whole(field, source, row)
            case Many():
                return lambda row, _, **given: self._page(field, source, row, given)
            case Totals():
                return partial(self._totals, field, source)
            case _:
                # A group brings its sums along.
                return lambda row, _: row[name]

    def _bound(self, field: GraphQLField) -> tuple[GraphQLObjectType, Rows]:
        kind = cast("GraphQLObjectType", get_named_type(field.type))
        if "nodes" in kind.fields:
            kind = cast("GraphQLObjectType", get_named_type(kind.fields["nodes"].type))
        return kind, rows_of(kind)

    def _one(self, field: GraphQLField, column: str, value: Any) -> Row | None:
        table = self._bound(field)[1].table.name
        return next((row for row in self.rows[table] if value is not None and row[column] == value), None)

    def _any(self, id: str) -> Row | None:
        for kind in self.types.values():
            if any(each.name == "Node" for each in kind.interfaces):
                for row in self.rows[rows_of(kind).table.name]:
                    if row["id"] == id:
                        return {**row, "*type": kind.name}
        return None

    def _of(self, table: str, on: Mapping[str, str], row: Row | None) -> list[Row]:
        return [
            each
            for each in self.rows[table]
            if all(row is not None and each[theirs] == row[ours] for theirs, ours in on.items())
        ]

    def _whole(self, field: GraphQLField, source: Many, row: Row) -> list[Row]:
        rows = self._bound(field)[1]
        table = source.table or rows.table
        found = [each for each in self._of(table.name, source.on, row) if CONDITIONS[source.where](each)]
        return in_order(found, source.order or rows.order, table.key)

    def _page(self, field: GraphQLField, source: Many, row: Row | None, given: Mapping[str, Any]) -> dict[str, Any]:
        kind, rows = self._bound(field)
        table = source.table or rows.table
        where = given.get("where") or {}
        found = [each for each in self._of(table.name, source.on, row) if CONDITIONS[source.where](each)]
        if rows.listed and rows.listed[0] not in where:
            found = [each for each in found if each[rows.listed[0]] == rows.listed[1]]
        found = [each for each in found if _meets(kind, each, where)]
        order = source.order or rows.order
        if given.get("orderBy"):
            order = ", ".join(f"{step['field'].value} {step['direction'].name}" for step in given["orderBy"])
        found = in_order(found, order, table.key)
        if given.get("first") is not None:
            page, before, after = found[: given["first"]], False, len(found) > given["first"]
        else:
            page, before, after = found[-given["last"] :], len(found) > given["last"], False
        return {
            "nodes": page,
            "edges": [{"node": each} for each in page],
            "totalCount": len(found),
            "pageInfo": {"hasNextPage": after, "hasPreviousPage": before},
        }

    def _totals(self, field: GraphQLField, source: Totals, row: Row | None, _: Any, **given: Any) -> Any:
        kind, rows = self._bound(field)
        deals = [each for each in self._of(rows.table.name, source.on, row) if CONDITIONS[source.where](each)]
        by = [_column(kind, _camel(each.value)) for each in given.get("by") or ()]
        where = given.get("where") or {}
        if any("." in column for column in (*by, *(_column(kind, name) for name in where))):
            lines = self.rows["opportunity_lines"]
            parts = {deal["id"]: [line for line in lines if line["opportunity_id"] == deal["id"]] for deal in deals}
            deals = [
                {**deal, "amount": line["total"], "product_id": line["product_id"]}
                for deal in deals
                for line in parts[deal["id"]] or [{"total": deal["amount"], "product_id": None}]
            ]
        columns = list(dict.fromkeys(column.rpartition(".")[2] for column in by))
        deals = [deal for deal in deals if _meets(kind, deal, where)]
        dimensions = [source.name if isinstance(source, Column) else source.column for source in _dimensions(kind)]
        nothing = {column.rpartition(".")[2]: None for column in dimensions}

        def group(deal: Row) -> tuple[Any, ...]:
            return tuple((deal[column] is None, deal[column] or "") for column in columns)

        groups = [list(each) for _, each in groupby(sorted(deals, key=group), group)] if columns else [deals]
        found = [{**nothing, **{column: each[0][column] for column in columns}, **_sums(each)} for each in groups]
        return found if source.grouped else found[0]


def _sums(deals: list[Row]) -> dict[str, Any]:
    valued = [deal for deal in deals if deal["amount"] is not None]
    return {
        "count": len({deal["id"] for deal in deals}),
        "amounts": _by_currency((deal["currency"], deal["amount"]) for deal in valued),
        "weighted": _by_currency(
            (deal["currency"], _times(deal["amount"], deal["probability"]))
            for deal in valued
            if deal["status"] == "open"
        ),
    }


def _by_currency(amounts: Iterable[tuple[str, Decimal]]) -> list[dict[str, Any]]:
    found: dict[str, Decimal] = {}
    with localcontext(prec=60):
        for currency, amount in amounts:
            found[currency] = found.get(currency, Decimal(0)) + amount
    return [_money(found[currency], currency) for currency in sorted(found)]


def rows_of(kind: GraphQLObjectType) -> Rows:
    definition = kind.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    return cast("Rows", getattr(definition.origin, ROWS))


def _source(field: GraphQLField) -> Source | None:
    declared = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return declared.metadata.get(SOURCE) if declared is not None else None


def _dimensions(kind: GraphQLObjectType) -> Iterable[Column | Relation]:
    for field in kind.fields.values():
        if isinstance(source := _source(field), Column | Relation):
            yield source


def _column(kind: GraphQLObjectType, name: str) -> str:
    source = _source(kind.fields[name])
    assert isinstance(source, Column | Relation)
    return source.name if isinstance(source, Column) else source.column


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _value(field: GraphQLField, value: Any) -> Any:
    kind = get_named_type(field.type)
    if value is not None and isinstance(kind, GraphQLEnumType):
        return kind.wrapped_cls(value)  # type: ignore[attr-defined]
    return value


def _of_mapping(value: Mapping[str, Any], info: Any, **_: Any) -> Any:
    return value[info.field_name]


def _meets(kind: GraphQLObjectType, row: Row, where: Mapping[str, Any]) -> bool:
    for name, operators in where.items():
        value = row[_column(kind, name).rpartition(".")[2]]
        for operator, operand in operators.items():
            if operator == "isNull":
                met = (value is None) is operand
            else:
                wanted = operand if operator == "in" else [operand]
                met = value in [getattr(each, "value", each) for each in wanted]
            if not met:
                return False
    return True


def in_order(rows: list[Row], order: str, key: tuple[str, ...] = ()) -> list[Row]:
    """By each step, NULL last either way; Python's sort is stable, so the last step goes first."""
    for step in reversed([*order.split(", "), *key]):
        column, _, direction = step.partition(" ")
        present = [row for row in rows if row[column] is not None]
        present.sort(key=lambda row: row[column], reverse=direction.upper() == "DESC")
        rows = [*present, *(row for row in rows if row[column] is None)]
    return rows


def plain(value: Any) -> Any:
    """An answer as its JSON says it."""
    return msgspec.json.decode(msgspec.json.encode(value))
