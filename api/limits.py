"""Limits of a document, found in one linear pass before validation.

Each fragment is measured once, however often it is spread; walks that follow every spread (as the stock limiters do)
take seconds of CPU for a document of a few hundred bytes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

MOST_TOKENS = 10_000
MOST_DEPTH = 20
MOST_ALIASES = 100
MOST_FIELDS = 1_000
MOST_ALIKE = 50
"""How often one response key, or a fragment, may stand in one selection set: validation compares each with all."""
MOST_NODES = 50_000
"""Records that the connections of a query could return, by their `first` and `last`."""

_ENDLESS = 10**9
_DEFAULT_PAGE = 100
"""What a page counts for whose size is not given: the largest, so that leaving it out is no way round the limit."""


class Limit(NamedTuple):
    """A limit that a document is beyond."""

    what: str
    found: int
    most: int

    @property
    def message(self) -> str:
        found = "too many" if self.found >= _ENDLESS else f"{self.found:,}"
        return f"The query has {found} {self.what}; at most {self.most:,} are allowed. Ask for less at once."


class _Size(NamedTuple):
    """What a selection set amounts to, its fragments included."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    nodes: int = 0
    alike: int = 0

    def beside(self, other: "_Size") -> "_Size":
        return _Size(
            max(self.depth, other.depth),
            min(_ENDLESS, self.aliases + other.aliases),
            min(_ENDLESS, self.fields + other.fields),
            min(_ENDLESS, self.nodes + other.nodes),
            max(self.alike, other.alike),
        )


class Measure:
    """Measures the operations of one document, which may be invalid still."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema, self._document = schema, document
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self.paging_variables = frozenset(_paging_variables(document))
        self._variables: Mapping[str, Any] = {}
        self._measured: dict[str, _Size] = {}

    def exceeded(self, variables: Mapping[str, Any]) -> Limit | None:
        """The first limit that any operation of the document is beyond, or None."""
        self._variables, self._measured = variables, {}
        for operation in self._document.definitions:
            if isinstance(operation, OperationDefinitionNode):
                size = self._of(operation.selection_set, self._schema.get_root_type(operation.operation))
                for what, found, most in (
                    ("levels of fields", size.depth, MOST_DEPTH),
                    ("aliases", size.aliases, MOST_ALIASES),
                    ("fields", size.fields, MOST_FIELDS),
                    ("repetitions side by side", size.alike, MOST_ALIKE),
                    ("records", size.nodes, MOST_NODES),
                ):
                    if found > most:
                        return Limit(what, found, most)
        return None

    def _of(self, selected: SelectionSetNode, of: Any) -> _Size:
        total, keys = _Size(), dict[str, int]()
        for selection in selected.selections:
            if isinstance(selection, FieldNode):
                key = (selection.alias or selection.name).value
                keys[key] = keys.get(key, 0) + 1
                total = total.beside(self._of_field(selection, of))
                continue
            keys["..."] = keys.get("...", 0) + 1
            if isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner = self._schema.type_map.get(condition.name.value) if condition else of
                total = total.beside(self._of(selection.selection_set, inner))
            elif isinstance(selection, FragmentSpreadNode):
                total = total.beside(self._of_fragment(selection.name.value))
        return total._replace(alike=max(total.alike, *keys.values(), 0))

    def _of_fragment(self, name: str) -> _Size:
        fragment = self._fragments.get(name)
        if fragment is None:
            return _Size()
        if name not in self._measured:
            self._measured[name] = _Size()  # a fragment that spreads itself: validation refuses it
            of = self._schema.type_map.get(fragment.type_condition.name.value)
            self._measured[name] = self._of(fragment.selection_set, of)
        return self._measured[name]

    def _of_field(self, node: FieldNode, of: Any) -> _Size:
        field = of.fields.get(node.name.value) if isinstance(of, GraphQLObjectType) else None
        inner = _Size()
        if node.selection_set is not None:
            inner = self._of(node.selection_set, get_named_type(field.type) if field else None)
        nodes = inner.nodes
        if field is not None and "first" in field.args:
            page = self._page(node)
            nodes = min(_ENDLESS, page + page * nodes)
        return _Size(
            inner.depth + 1,
            min(_ENDLESS, inner.aliases + (node.alias is not None)),
            min(_ENDLESS, inner.fields + 1),
            nodes,
            inner.alike,
        )

    def _page(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                value = argument.value
                if isinstance(value, IntValueNode):
                    return _count(int(value.value[:10]))
                if isinstance(value, VariableNode):
                    return _count(self._variables.get(value.name.value))
        return _DEFAULT_PAGE


def _count(given: object) -> int:
    return min(max(given, 0), _ENDLESS) if isinstance(given, int) else _DEFAULT_PAGE


def _paging_variables(document: DocumentNode) -> Iterator[str]:
    """The variables that `first` and `last` take anywhere in the document."""
    pending: list[SelectionSetNode | None] = [getattr(one, "selection_set", None) for one in document.definitions]
    while pending:
        selected = pending.pop()
        for selection in selected.selections if selected else ():
            if isinstance(selection, FieldNode):
                for argument in selection.arguments or ():
                    if argument.name.value in ("first", "last") and isinstance(argument.value, VariableNode):
                        yield argument.value.name.value
            if isinstance(selection, FieldNode | InlineFragmentNode):
                pending.append(selection.selection_set)
