"""Running mutations: whatever is selected, it comes to what the GraphQL library's own executor makes of it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from random import Random
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    build_schema,
    execute,  # pyright: ignore[reportUnknownVariableType]  # its types are left open
    get_named_type,
    get_nullable_type,
    get_variable_values,
    is_composite_type,
    is_interface_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    parse,
    validate,
)
from graphql.execution.values import VariableValues

from api.execution import Executor
from api.mutations.running import run
from api.reading.selections import fragments_of
from api.ready import Ready
from api.schema import ENTITIES, the_schema

SCHEMA = build_schema("""
    interface Fault { code: Int!, where: [String!] }
    type Small implements Fault { code: Int!, where: [String!] }
    type Big implements Fault { code: Int!, where: [String!], weight: Float }
    type Payload {
        record: Record, position: String, faults: [Fault!]!, echo(of: Int = 4, also: [String!]): String
        late: String, fails: String, failsLate: String!, promised: String!, inner: Payload, part: [Payload]
    }
    scalar Record
    type Query { none: Int }
    type Mutation { first(n: Int): Payload, second: Payload, breaks: Payload, third: Payload }
""")
_RECORD = b'{"id":"cus_1"}'


class Failed(Exception):
    """What a resolver may raise."""


class Came:
    """What a mutation came to."""

    record, position, promised, part = Ready(_RECORD), 12, "kept", ()

    def __init__(self, depth: int) -> None:
        self.depth = depth


class Flaw(msgspec.Struct):
    code: int | None
    where: list[str] | None = None
    weight: float = 2.5


def _attribute(name: str) -> Callable[[Any, Any], object]:
    return lambda source, _info: getattr(source, name)


async def _late(_source: Came, _info: Any) -> str:
    await asyncio.sleep(0)
    return "late"


async def _fails_late(source: Came, _info: Any) -> str:
    await asyncio.sleep(0)
    raise Failed(source.depth)


def _fails(_source: Came, _info: Any) -> str:
    raise GraphQLError("in its own words", extensions={"code": "OWN"})


def _inner(source: Came, _info: Any) -> Came | None:
    return Came(source.depth + 1) if source.depth < 3 else None


async def _root(_source: None, info: Any, n: int = 0) -> Came:
    info.context.append(("begun", info.field_name))
    await asyncio.sleep(0)
    info.context.append(("ended", info.field_name))
    return Came(n)


def _breaks(_source: None, info: Any) -> Came:
    info.context.append(("broke", info.field_name))
    raise Failed("at the root")


_FLAWS = [Flaw(1), Flaw(200, ["a", "b"]), Flaw(3, [])]


def _resolvers(name: str, resolvers: Mapping[str, Callable[..., object]]) -> None:
    for field, resolve in resolvers.items():
        cast("GraphQLObjectType", SCHEMA.get_type(name)).fields[field].resolve = resolve


_resolvers(
    "Payload",
    {
        **{name: _attribute(name) for name in ("record", "position", "promised", "part")},
        "faults": lambda _source, _info: _FLAWS,
        "echo": lambda _source, _info, of, also=None: f"{of} {also}",
        "late": _late,
        "fails": _fails,
        "failsLate": _fails_late,
        "inner": _inner,
    },
)
_resolvers("Mutation", {"first": _root, "second": _root, "third": _root, "breaks": _breaks})
for _kind, _names in {"Small": ("code", "where"), "Big": ("code", "where", "weight")}.items():
    _resolvers(_kind, {name: _attribute(name) for name in _names})
cast("Any", SCHEMA.get_type("Fault")).resolve_type = lambda found, _info, _type: "Big" if found.code > 100 else "Small"

ARGUMENTS = {"echo": ["", "(of: 9)", '(also: ["x"])', "(of: $n)"], "first": ["", "(n: $n)", "(n: 1)"]}
VARIABLES = {"yes": True, "no": False, "n": 2}


class Writer:
    """Writes mutations of all sorts."""

    def __init__(self, random: Random, *, failing: bool) -> None:
        self._random, self._failing = random, failing
        self._fragments: list[str] = []

    def document(self) -> str:
        selected = self._selected(cast("GraphQLObjectType", SCHEMA.mutation_type), 3)
        return "\n".join([f"mutation ($yes: Boolean!, $no: Boolean!, $n: Int) {selected}", *self._fragments])

    def _selected(self, kind: Any, depth: int) -> str:
        selected = [self._one(kind, depth) for _ in range(self._random.randint(1, 4))]
        return f"{{ {' '.join(selected)} }}"

    def _one(self, kind: Any, depth: int) -> str:
        when = self._random.choice(["", "", "", "@include(if: $yes)", "@skip(if: $no)", "@skip(if: $yes)"])
        match self._random.randrange(8):
            case 0:
                return f"... {when} {self._selected(kind, depth - 1)}" if depth else "__typename"
            case 1 if depth:
                name = f"F{len(self._fragments)}"
                self._fragments.append("")
                at = len(self._fragments) - 1
                self._fragments[at] = f"fragment {name} on {kind.name} {self._selected(kind, depth - 1)}"
                return f"...{name} {when}"
            case 2:
                return f"again: __typename {when}"
            case 3 if kind.name == "Fault":
                return f"... on Big {when} {{ weight __typename }}"
            case _:
                return self._field(kind, depth, when)

    def _field(self, kind: Any, depth: int, when: str) -> str:
        failing = {"fails", "failsLate", "breaks"}
        names = [name for name in kind.fields if self._failing or name not in failing]
        name = self._random.choice(names)
        of = kind.fields[name]
        below = ""
        if is_composite_type(get_named_type(of.type)):
            if not depth:
                return "__typename"
            below = self._selected(get_named_type(of.type), depth - 1)
        given = {"echo": ["", "(of: 9)", '(also: ["x"])', "(of: $n)"], "first": ["", "(n: $n)", "(n: 1)"]}.get(
            name, [""]
        )
        picked = self._random.choice(given)
        alias = f"{name}{given.index(picked)}" if picked else name
        return f"{alias}: {name}{picked} {when} {below}"


class Told(NamedTuple):
    """What a mutation came to."""

    data: Any
    errors: list[tuple[Any, ...]]
    context: list[object]
    """What was begun and ended, in this order."""

    @property
    def nulls(self) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
        """The errors by where in the data they left a null."""
        found = defaultdict[tuple[Any, ...], list[tuple[Any, ...]]](list)
        for error in self.errors:
            path, value, at = error[0], self.data, 0
            while value is not None:
                value, at = value[path[at]], at + 1
            found[path[:at]].append(error)
        return found


def both(text: str) -> tuple[Told, Told]:
    """What ours and the library's come to."""
    document = parse(text)
    operation = next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    given = get_variable_values(SCHEMA, operation.variable_definitions or (), dict(VARIABLES))
    assert isinstance(given, VariableValues)

    async def by_library(context: list[object]) -> ExecutionResult:
        found = cast("Any", execute)(
            SCHEMA, document, context_value=context, variable_values=dict(VARIABLES), executor_class=Executor
        )
        return await cast("Awaitable[ExecutionResult]", found) if asyncio.iscoroutine(found) else found

    def told(ran: Callable[[list[object]], Any]) -> Told:
        context: list[object] = []
        result = asyncio.run(ran(context))
        errors = [(tuple(each.path), each.message, each.locations, each.extensions) for each in result.errors or ()]
        # Encoded and decoded, for what is finished text already is.
        return Told(msgspec.json.decode(msgspec.json.encode(result.data)), sorted(errors, key=repr), context)

    return told(lambda context: run(SCHEMA, fragments_of(document), operation, given, context)), told(by_library)


@pytest.mark.parametrize("failing", [False, True])
def test_it_comes_to_what_the_library_makes_of_it(failing: bool) -> None:
    random, compared, failed = Random(7), 0, 0
    while compared < 200:
        text = Writer(random, failing=failing).document()
        if len(text) > 5_000 or validate(SCHEMA, parse(text)):
            continue
        compared += 1
        ours, theirs = both(text)
        assert list(_keys(ours.data)) == list(_keys(theirs.data)), text
        assert (ours.data, ours.context) == (theirs.data, theirs.context), text
        # Of an object that can't be shown, the specification wants one error; there may be others of its parts beside.
        assert ours.nulls.keys() == theirs.nulls.keys(), text
        assert all(any(each in theirs.errors for each in errors) for errors in ours.nulls.values()), text
        failed += bool(ours.errors)
    assert (failed > 80) == failing


def _keys(data: object) -> Iterator[str]:
    """The keys of all objects, in order."""
    if isinstance(data, dict):
        for key, value in cast("dict[str, object]", data).items():
            yield key
            yield from _keys(value)
    elif isinstance(data, list):
        for value in cast("list[object]", data):
            yield from _keys(value)


def test_payloads_are_made_of_what_can_be_run() -> None:
    """Objects, interfaces, leaves, and lists of what is not null. A record is finished text, whatever it holds."""
    schema = cast("Any", the_schema())._schema
    records = {kind.__name__ for kind in ENTITIES.values()}
    seen = set[str]()

    def look(kind: Any) -> None:
        if kind.name in seen or kind.name in records:
            return
        seen.add(kind.name)
        assert is_leaf_type(kind) or is_object_type(kind) or is_interface_type(kind), kind
        for field in getattr(kind, "fields", {}).values():
            of = get_nullable_type(field.type)
            assert not is_list_type(of) or is_non_null_type(of.of_type), field
            look(get_named_type(field.type))
        for implements in schema.get_possible_types(kind) if is_interface_type(kind) else ():
            look(implements)

    for field in schema.mutation_type.fields.values():
        look(get_named_type(field.type))
    assert {"CustomerPayload", "SignInPayload", "UserError", "BrokenRule", "AuditBundle"} <= seen
