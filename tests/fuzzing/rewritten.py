"""Documents that were drawn, changed into what is worth sending as each role."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLObjectType,
    IntValueNode,
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    get_named_type,
    parse,
    print_ast,
    visit,
)
from graphql.utilities import value_from_ast_untyped

from tests.fuzzing.repairs import SCHEMA

WITH_PASSWORDS = {
    "signIn": "SignInInput",
    "passwordChange": "PasswordChangeInput",
    "passwordReset": "PasswordResetInput",
}
WIDTH = 5
"""Of a list."""
MOST_ADDED = 60
"""Fields that are added to a document, each under a name of its own: the server takes 100 of those."""
TELLING = {"String", "Decimal", "Date", "JSON"}
"""Scalars that hold what is anybody's affair."""
LISTS_OF_PARTS = ("notes", "messages", "history")


def wider(document: DocumentNode) -> DocumentNode:
    """A query for more than a field or two of a record or two, mostly without conditions, which nothing meets."""
    types = TypeInfo(SCHEMA)
    done: DocumentNode = visit(document, TypeInfoVisitor(types, _Wider(types)))
    return done


def telling(mutation: DocumentNode) -> DocumentNode:
    """Selects as `told` which rules it broke, and as `done` what a refused mutation has not."""
    done: DocumentNode = visit(mutation, _Telling())
    return done


def request(document: str, mutation: str) -> dict[str, Any]:
    """What is sent: passwords are sent as variables."""
    if mutation not in WITH_PASSWORDS:
        return {"query": document}
    moving = _InVariables(WITH_PASSWORDS[mutation])
    return {"query": print_ast(visit(parse(document), moving)), "variables": moving.variables}


class _Wider(Visitor):
    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types, self._left = types, MOST_ADDED

    def enter_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        given = {one.name.value for one in node.arguments or ()}
        if given.isdisjoint(("first", "last")):
            return None
        dropped = {"first", "last", *(("where", "search") if crc32(print_ast(node).encode()) % 4 else ())}
        kept = (one for one in node.arguments or () if one.name.value not in dropped)
        return replace(node, arguments=(*kept, _first(WIDTH)))

    def enter_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode | None:
        of = self._types.get_parent_type()
        if not isinstance(of, GraphQLObjectType) or of is SCHEMA.query_type:
            return None
        more = " ".join(_plain(of))
        self._left -= more.count(":")
        if not more or self._left < 0:
            return None
        return SelectionSetNode(selections=(*node.selections, *_selected(more)))


def _plain(of: GraphQLObjectType) -> Iterator[str]:
    """What an object tells of itself and of its parts, under names that no other object has."""
    for name, field in of.fields.items():
        kind = get_named_type(field.type)
        if kind.name in TELLING:
            yield f"{of.name}_{name}: {name}"
        elif isinstance(kind, GraphQLObjectType) and (name == "nodes" or not (field.args or kind.interfaces)):
            yield f"{of.name}_{name}: {name} {{ __typename }}"
        elif name in LISTS_OF_PARTS:
            yield f"{of.name}_{name}: {name}(first: {WIDTH}) {{ __typename }}"


class _Telling(Visitor):
    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> OperationDefinitionNode:
        assert SCHEMA.mutation_type is not None
        fields = [one for one in node.selection_set.selections if isinstance(one, FieldNode)]
        told = [replace(one, selection_set=self._selecting(one, SCHEMA.mutation_type)) for one in fields]
        return replace(node, selection_set=SelectionSetNode(selections=tuple(told)))

    def _selecting(self, field: FieldNode, mutations: GraphQLObjectType) -> SelectionSetNode:
        payload = get_named_type(mutations.fields[field.name.value].type)
        assert isinstance(payload, GraphQLObjectType)
        assert field.selection_set is not None
        done = next((name for name in ("position", "token") if name in payload.fields), "__typename")
        more = _selected(f"told: userErrors {{ code }} done: {done}")
        return SelectionSetNode(selections=(*field.selection_set.selections, *more))


class _InVariables(Visitor):
    def __init__(self, kind: str) -> None:
        super().__init__()
        (self._asking,) = parse(f"mutation($i: {kind}!) {{ __typename }}").definitions
        self.variables: dict[str, Any] = {}

    def enter_argument(self, node: ArgumentNode, *_: Any) -> ArgumentNode | None:
        if node.name.value != "input":
            return None
        self.variables["i"] = value_from_ast_untyped(node.value)
        return replace(node, value=VariableNode(name=NameNode(value="i")))

    def leave_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> OperationDefinitionNode | None:
        assert isinstance(self._asking, OperationDefinitionNode)
        return replace(node, variable_definitions=self._asking.variable_definitions) if self.variables else None


def _selected(text: str) -> Sequence[SelectionNode]:
    (operation,) = parse(f"{{ {text} }}").definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation.selection_set.selections


def _first(many: int) -> ArgumentNode:
    return ArgumentNode(name=NameNode(value="first"), value=IntValueNode(value=str(many)))
