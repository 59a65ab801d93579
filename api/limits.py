"""What a document amounts to, found in one linear pass before validation, and how much of it is too much.

Each fragment is measured once, however often it is spread; walks that follow every spread (as the stock limiters do)
take seconds of CPU for a document of a few hundred bytes. Figures are upper bounds: of what `@skip`, `@include` and
type conditions leave out, everything counts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from api.reading.entities import is_bound, is_list, named_type, source_of
from api.reading.sources import AnyNode, AsOf, Many, Totals
from api.reading.weights import ARGUMENTS, BY_THEMSELVES, weight_of
from api.weighing import Weights, weight_of_conditions, weights_of

MOST_CHARACTERS = 12_000
"""Long texts belong into variables."""
MOST_TOKENS = 800
"""The library's parser takes 4 µs for each, so this decides what the dearest bomb costs."""
MOST_OPERATIONS = 20
MOST_DEPTH = 20
MOST_ROOTS = 20
MOST_ALIASES = 100
MOST_DIRECTIVES = 50
MOST_FIELDS = 500
MOST_COMPARISONS = 2_000
"""Steps in which validation compares fields of one response key with each other, as the library counts them."""
MOST_NODES = 20_000
"""Records that a query could return, by the sizes of its pages."""
MOST_COST = 25_000
MOST_VALUES = 20_000
"""In the variables of an operation, elements of lists and fields of objects. What is done to each of them adds up."""
MOST_FOLLOWED_WITH = 16 * 1024
"""Bytes of a subscription's variables, as JSON: they are kept for as long as it lasts."""

OPERATION_COSTS = {OperationType.QUERY: 0, OperationType.MUTATION: 10, OperationType.SUBSCRIPTION: 10}
"""What each root field costs, beside what is selected below it."""

_SIZING = ("first", "last", "ids")
"""The arguments that say how many records a field brings."""
_LARGEST_PAGE = 100
"""What a page counts for whose size is not given, so that leaving it out is no way round the limit."""

_MOST_COUNTED = 2**31 - 1
"""Of a page: GraphQL has no greater Int. What is multiplied stays a number that can be written down."""


class Limit(NamedTuple):
    """A limit that a document is beyond."""

    what: str
    found: int
    most: int

    @property
    def message(self) -> str:
        found = "too many" if self.found > 10**9 else f"{self.found:,}"
        return f"The query has {found} {self.what}; at most {self.most:,} are allowed. Ask for less at once."


class Cost(NamedTuple):
    """What an operation costs with the page sizes that it was sent with."""

    requested: int
    beyond: Limit | None
    """The limit that it is beyond, if it is."""


class _Size(NamedTuple):
    """What a selection set amounts to, its fragments included."""

    depth: int = 0
    width: int = 0
    """Its own fields, those of its fragments included."""
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    records: int = 0
    cost_of_each: int = 0
    """In a connection: of each element on the page."""
    records_of_each: int = 0


_NOTHING = _Size()


class Measure:
    """Measures the operations of one document, which may be invalid still."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self.operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        self.sizing_variables = tuple(sorted({*_sizing_variables(document)}))
        """The variables whose values decide about the cost, beside those that hold conditions."""
        self._conditional = any(weights_of(schema, one, {}) for one in self.operations)
        """Whether any variable does: most documents have none."""
        self._weights: Weights = {}
        self.introspects = False
        """Whether an operation asks about the schema; known once `shape` has been asked for."""
        self._given: Mapping[str, Any] = {}
        self._measured: dict[str, _Size] = {}

    def shape(self) -> Limit | None:
        """The first limit that any operation of the document is beyond, whatever its variables; None if none is."""
        if len(self.operations) > MOST_OPERATIONS:
            return Limit("operations", len(self.operations), MOST_OPERATIONS)
        self._given, self._measured, self._weights = {}, {}, {}
        for operation in self.operations:
            size = self._of_operation(operation)
            for what, found, most in (
                ("levels of fields", size.depth, MOST_DEPTH),
                ("fields at its root", size.width, MOST_ROOTS),
                ("aliases", size.aliases, MOST_ALIASES),
                ("directives", size.directives, MOST_DIRECTIVES),
                ("fields", size.fields, MOST_FIELDS),
            ):
                if found > most:
                    return Limit(what, found, most)
        return None

    def weights(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> Weights:
        """What the conditions in these variables weigh."""
        return weights_of(self._schema, operation, variables) if self._conditional else {}

    def cost(self, operation: OperationDefinitionNode, variables: Mapping[str, Any], weights: Weights) -> Cost:
        """What an operation of the document costs with these variables, as they came."""
        self._given, self._measured = {**dict(_defaults(operation)), **variables}, {}
        self._weights = weights
        size = self._of_operation(operation)
        requested = size.cost + size.width * OPERATION_COSTS[operation.operation]
        for what, found, most in (("records", size.records, MOST_NODES), ("points of cost", requested, MOST_COST)):
            if found > most:
                return Cost(requested, Limit(what, found, most))
        return Cost(requested, None)

    def _of_operation(self, operation: OperationDefinitionNode) -> _Size:
        size = self._of(operation.selection_set, self._schema.get_root_type(operation.operation))
        return size._replace(directives=size.directives + len(operation.directives or ()))

    def _of(self, selected: SelectionSetNode, of: Any) -> _Size:
        composite = isinstance(of, GraphQLObjectType | GraphQLInterfaceType)
        known: Mapping[str, GraphQLField] = of.fields if composite else {}
        depth = width = fields = aliases = directives = cost = records = cost_of_each = records_of_each = 0
        for selection in selected.selections:
            directives += len(selection.directives or ())
            if isinstance(selection, FieldNode):
                name = selection.name.value
                self.introspects = self.introspects or name in ("__schema", "__type")
                field, inner = known.get(name), _NOTHING
                if selection.selection_set is not None:
                    inner = self._of(selection.selection_set, named_type(field) if field else None)
                its_cost, its_records = self._price(selection, field, inner)
                if field is not None and "pageInfo" in known and is_list(field):
                    cost_of_each += its_cost
                    records_of_each += its_records
                else:
                    cost += its_cost
                    records += its_records
                depth = max(depth, inner.depth + 1)
                # Below a past moment stands a root again.
                width += 1 + (inner.width if field is not None and isinstance(source_of(field), AsOf) else 0)
                fields += inner.fields + 1
                aliases += inner.aliases + (selection.alias is not None)
            else:
                if isinstance(selection, InlineFragmentNode):
                    condition = selection.type_condition
                    within = self._schema.type_map.get(condition.name.value) if condition else of
                    inner = self._of(selection.selection_set, within)
                else:
                    inner = self._of_fragment(selection.name.value)  # type: ignore[attr-defined]
                depth = max(depth, inner.depth)
                width += inner.width
                fields += inner.fields
                aliases += inner.aliases
                cost += inner.cost
                records += inner.records
                cost_of_each += inner.cost_of_each
                records_of_each += inner.records_of_each
            directives += inner.directives
        return _Size(depth, width, fields, aliases, directives, cost, records, cost_of_each, records_of_each)

    def _of_fragment(self, name: str) -> _Size:
        if name not in self._measured:
            self._measured[name] = _NOTHING  # until it is known: one that spreads itself is refused by validation
            fragment = self._fragments.get(name)
            if fragment is not None:
                of = self._schema.type_map.get(fragment.type_condition.name.value)
                self._measured[name] = self._of(fragment.selection_set, of)
        return self._measured[name]

    def _price(self, node: FieldNode, field: GraphQLField | None, inner: _Size) -> tuple[int, int]:
        """Cost and records of a field, by those of what is selected below it."""
        if field is None:
            return inner.cost, inner.records
        source = source_of(field)
        if source is None:
            record = int(is_bound(named_type(field)))
            return BY_THEMSELVES.get(node.name.value, 0) + record + inner.cost, record + inner.records
        weight = weight_of(source)
        given = {one.name.value: one.value for one in node.arguments or () if not isinstance(one.value, NullValueNode)}
        own = weight.own + sum(ARGUMENTS.get(name, 0) for name in given)
        if "where" in given and "where" in field.args:
            of = cast("GraphQLInputObjectType", get_named_type(cast("Any", field.args["where"]).type))
            own += weight_of_conditions(of, given["where"], self._weights)
        match source:
            case Many(paged=True):
                page = next((self._count(given[name]) for name in ("first", "last") if name in given), _LARGEST_PAGE)
                return own + inner.cost + page * inner.cost_of_each, inner.records + page * inner.records_of_each
            case AsOf():
                return own + inner.cost, inner.records
            case AnyNode(several=True):
                times = self._count(given["ids"]) if "ids" in given else _LARGEST_PAGE
            case Totals(grouped=True):
                times = self._count(given["first"]) if "first" in given else _LARGEST_PAGE
            case _:
                times = weight.records
        return own + times * (1 + inner.cost), times * (1 + inner.records)

    def _count(self, value: ValueNode) -> int:
        """How many records the value of an argument asks for."""
        match value:
            case IntValueNode():
                return _written(value)
            case ListValueNode():
                return len(value.values)
            case VariableNode():
                return counted(self._given.get(value.name.value))
            case _:
                return _LARGEST_PAGE


def counted(given: object) -> int:
    """How many records a variable's value asks for: a page's size, or so many ids."""
    if isinstance(given, int):
        return min(max(given, 0), _MOST_COUNTED)
    return len(cast("list[object]", given)) if isinstance(given, list) else _LARGEST_PAGE


def has_too_many_values(variables: Mapping[str, Any]) -> bool:
    """Whether variables, as JSON has them, hold more than MOST_VALUES, however deep. Nobody counts on beyond."""
    count, pending = 0, [cast("Sequence[object]", list(variables.values()))]
    while pending:
        within = pending.pop()
        count += len(within)
        if count > MOST_VALUES:
            return True
        pending += [cast("list[object]", each) for each in within if isinstance(each, list)]
        pending += [list(cast("dict[str, object]", each).values()) for each in within if isinstance(each, dict)]
    return False


def followed_with(variables: Mapping[str, Any]) -> int:
    """How many bytes the variables of a subscription have, as JSON in UTF-8."""
    return len(json.dumps(variables, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))


def _written(value: IntValueNode) -> int:
    """The same of a number in a document. What is longer is beyond any count, and takes Python long to read."""
    return counted(int(value.value[:20]))


def _defaults(operation: OperationDefinitionNode) -> Iterator[tuple[str, int]]:
    for one in operation.variable_definitions or ():
        if isinstance(one.default_value, IntValueNode):
            yield one.variable.name.value, _written(one.default_value)


def _sizing_variables(document: DocumentNode) -> Iterator[str]:
    """The variables that say anywhere in the document how many records a field brings."""
    pending: list[SelectionSetNode | None] = [getattr(one, "selection_set", None) for one in document.definitions]
    while pending:
        selected = pending.pop()
        for selection in selected.selections if selected else ():
            if isinstance(selection, FieldNode):
                for argument in selection.arguments or ():
                    if argument.name.value in _SIZING and isinstance(argument.value, VariableNode):
                        yield argument.value.name.value
            if isinstance(selection, FieldNode | InlineFragmentNode):
                pending.append(selection.selection_set)
