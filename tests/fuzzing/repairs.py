"""What schemathesis can't know of our schema: how scalars are written, that a page has one size, which ids there are.

Ids are what makes it stateful: those in answers are taken up, and later operations are about those records. (Its own
stateful phase finds no link between our operations: it looks for mutations that return the record, not a payload.)

A document that does not fit the schema was made so on purpose, and is sent as it is.
"""

import re
from collections import defaultdict, deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID
from zlib import crc32

import schemathesis
from graphql import (
    REMOVE,
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLID,
    GraphQLObjectType,
    IntValueNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    parse,
    print_ast,
    validate,
    visit,
)
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from api.reading.searches import MOST_CHARACTERS, MOST_WORDS
from api.schema import the_schema
from domain.catalogue import camel, catalogue
from domain.kernel import MINOR_UNITS, type_id

for name, written in {
    "CurrencyCode": st.sampled_from(sorted(MINOR_UNITS)),
    "Date": st.dates().map(str),
    "DateTime": (
        st.datetimes(timezones=st.timezones())
        | st.integers(1, 300).map(lambda days: datetime.now(UTC) + timedelta(days=days))
    ).map(lambda at: at.isoformat()),
    "Decimal": st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "JSON": st.text(),
    "Position": st.integers(0, 2**63 - 1).map(str),
    "UUID": st.uuids().map(str),
}.items():
    schemathesis.graphql.scalar(name, written.map(nodes.String))

SCHEMA = the_schema()._schema
PAST = "asOf"
TRACED = {
    "diff": 'from: {{position: "{}"}}, to: {{position: "{}"}}',
    "whyValue": 'field: "name", at: {{position: "{}"}}',
    "auditBundle": "",
}
"""Fields that are asked about a record of a kind that has these fields, at moments that there are; a checkpoint is over
none of them yet."""
WATERFALL = "pipelineWaterfall"
PAGING = frozenset(("first", "last", "after", "before"))
NOUNS = {camel(kind): prefix for kind, prefix in catalogue.prefixes.items()}
"""What ids begin with, by the noun that names a record: of a root field (`customerRename`), or an input's field."""
NOUNS |= {"parent": "cus", "contact": "cus", "owner": "stf", "assignee": "stf", "lead": "stf"}

_ID = re.compile(r"\b([a-z]{3})_[0-7][0-9a-z]{25}\b")
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_known: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=30))


def take_up(answer: str) -> None:
    """Remember the ids in an answer."""
    for found in _ID.finditer(answer):
        if found[0] not in _known[found[1]]:
            _known[found[1]].append(found[0])


class Repair(Visitor):
    """Makes a valid document one that Daybook has something to say to."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types, self._noun, self._command, self._past = types, "", False, False

    def enter_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        if self._types.get_parent_type() in (SCHEMA.query_type, SCHEMA.mutation_type):
            self._command = self._types.get_parent_type() is SCHEMA.mutation_type
            self._noun = next((noun for noun in NOUNS if re.match(rf"{noun}(s|[A-Z]|$)", node.name.value)), "")
        else:
            self._command = False  # what is selected below a mutation is a query
        if self._past and node.name.value in (PAST, WATERFALL, *TRACED):
            return FieldNode(name=NameNode(value="__typename"), alias=node.alias)
        drawn = crc32(print_ast(node).encode())
        if node.name.value == PAST:
            self._past = True
            return replace(node, arguments=_moment(drawn))
        if node.name.value in TRACED:
            id = tuple(one for one in node.arguments or () if one.name.value in ("id", "customer"))
            given = TRACED[node.name.value].format(*sorted(_positions(drawn)))
            return replace(node, arguments=(*id, *(_arguments(given) if given else ())))
        if node.name.value == WATERFALL:
            of = tuple(one for one in node.arguments or () if one.name.value == "pipeline")
            first, last = sorted(_positions(drawn))
            moments = f'from: {{position: "{first}"}}, to: {{position: "{last}"}}'
            return replace(node, arguments=(*of, *_arguments(moments)))
        field = self._types.get_field_def()
        if field is None or "first" not in field.args:
            return None
        end = "last" if "last" in field.args and drawn % 4 == 0 else "first"
        size = ArgumentNode(name=NameNode(value=end), value=IntValueNode(value=str(1 + drawn % 3)))
        return replace(node, arguments=(*(one for one in node.arguments or () if one.name.value not in PAGING), size))

    def leave_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value == PAST:
            self._past = False

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> object:
        # In a command, null clears; in a condition it is refused: there is `isNull`.
        parent = get_named_type(self._types.get_parent_input_type())
        if isinstance(node.value, NullValueNode) and parent is not None and not parent.name.endswith("Input"):
            return REMOVE
        # A request's id is a UUID, which its type does not say; another one is refused.
        if node.name.value == "correlationId":
            return REMOVE
        # Nearly every version is the wrong one, and a command that is refused for it shows nothing else.
        if node.name.value == "expectedVersion" and crc32(print_ast(node.value).encode()) % 4:
            return REMOVE
        return None

    def leave_object_field(self, node: ObjectFieldNode, *_: Any) -> object:
        # What is left of a condition without its nulls.
        return REMOVE if isinstance(node.value, ObjectValueNode) and not node.value.fields else None

    def enter_string_value(self, node: StringValueNode, _key: Any, parent: Any, *_: Any) -> StringValueNode | None:
        fitting = self._fitting(node.value, parent)
        # What no text may hold is a broken rule of a command, but an error of a query.
        sendable = node.value if self._command else _UNSENDABLE.sub("", node.value)
        return StringValueNode(value=sendable) if fitting is None and sendable != node.value else fitting

    def enter_int_value(self, node: IntValueNode, _key: Any, parent: Any, *_: Any) -> StringValueNode | None:
        return self._fitting(node.value, parent)

    def _fitting(self, drawn: str, parent: Any) -> StringValueNode | None:
        """An id that there is in the place of one that was made up; a command is told of some that there are not."""
        said = getattr(getattr(parent, "name", None), "value", "")
        if said == "email" and not self._command:
            return StringValueNode(value="ada@example.com")
        if said == "search" and (len(drawn) > MOST_CHARACTERS or len(drawn.split()) > MOST_WORDS):
            drawn = _UNSENDABLE.sub("", " ".join(drawn[:MOST_CHARACTERS].split()[:MOST_WORDS]))
            return StringValueNode(value=drawn if any(map(str.isalnum, drawn)) else "ada")
        if said == "search" and not any(map(str.isalnum, drawn)):
            return StringValueNode(value="ada")
        if get_named_type(self._types.get_input_type()) is not GraphQLID:
            return None
        chance = crc32(drawn.encode("utf-8", "surrogatepass"))
        prefix = NOUNS.get(said, "") or NOUNS.get(self._noun, "") or "cus"
        ids = _known[prefix] or [type_id(prefix, UUID(int=chance))]
        return StringValueNode(value=ids[chance % len(ids)]) if not self._command or chance % 8 != 7 else None


def _moment(drawn: int) -> tuple[ArgumentNode, ...]:
    """Arguments of `asOf` that name a moment of the demo's book, by either clock."""
    if drawn % 2:
        time = datetime.now(UTC) - timedelta(days=drawn % 500)
        given = f'at: {{time: "{time.isoformat()}"}}, basis: {"OCCURRED" if drawn % 4 == 1 else "RECORDED"}'
    else:
        given = f'at: {{position: "{drawn % 40}"}}'
    return _arguments(given)


def _positions(drawn: int) -> tuple[int, int]:
    """Two positions of every book that is asked."""
    return drawn % 40, drawn // 40 % 40


def _arguments(given: str) -> tuple[ArgumentNode, ...]:
    (operation,) = parse(f"{{ field({given}) }}").definitions
    (field,) = cast("OperationDefinitionNode", operation).selection_set.selections
    return tuple(cast("FieldNode", field).arguments or ())


def repaired(document: DocumentNode) -> DocumentNode | None:
    """A document as it is sent; None: it does not fit the schema."""
    if validate(SCHEMA, document):
        return None
    types = TypeInfo(SCHEMA)
    done: DocumentNode = visit(document, TypeInfoVisitor(types, Repair(types)))
    return done


def lists() -> str:
    """A query for the ids of every kind of record that can be listed."""
    assert SCHEMA.query_type is not None
    lists = [
        name
        for name, field in SCHEMA.query_type.fields.items()
        if "first" in field.args
        and isinstance(connection := get_named_type(field.type), GraphQLObjectType)
        and "nodes" in connection.fields
        and "id" in get_named_type(connection.fields["nodes"].type).fields
    ]
    return "{" + " ".join(f"{name}(first: 20) {{ nodes {{ id }} }}" for name in lists) + "}"
