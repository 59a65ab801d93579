"""Variables: what is remembered of an operation says the same as the library, for whatever is sent."""

from typing import Any

import pytest
from graphql import GraphQLError, OperationDefinitionNode, build_schema, get_variable_values, parse
from graphql.execution.values import VariableValues

from api.reading import variables
from api.reading.variables import Variables

SCHEMA = build_schema("""
    enum Colour { RED GREEN }
    input Box { size: Int }
    input Crate { box: Box!, boxes: [Box!]! = [], colour: Colour = RED, label: String, sizes: [[Int]!] = [[7]] }
    input Shelf { boxes: [Box!], above: Shelf }
    input Place @oneOf { crate: Crate, shelf: Shelf }
    type Query { nothing(a: ID, b: Float, c: String, d: Boolean, e: Colour, f: Crate, g: Place): Int }
""")
MISSING = object()
VALUES: tuple[Any, ...] = (
    MISSING,
    None,
    1,
    1.5,
    -(2**40),
    "",
    "RED",
    "BLUE",
    True,
    [1],
    ["RED"],
    {"size": 1},
    {"size": "x"},
    {},
)
TYPES = ("Int", "Int!", "Int = 7", "ID", "ID!", "Float!", "String", "Boolean = true", "Colour", "Colour!")
OTHERS = ("[Int]", "[Colour!]!", "Box", "Box!")
INPUTS = ("Crate", "Crate!", "[Crate!]", "Crate = {box: {size: 2}}", "Shelf", "Shelf!", "[Shelf]!", "Place", "Place!")
BOXES: tuple[Any, ...] = (MISSING, None, {}, {"size": 1}, {"size": None}, {"size": "x"}, {"size": 1, "more": 2}, 3, [])
PARTS: tuple[tuple[str, Any], ...] = (
    ("boxes", None),
    ("boxes", []),
    ("boxes", [{"size": 1}, {}]),
    ("boxes", {"size": 1}),
    ("boxes", [None]),
    ("boxes", ({"size": 1},)),
    ("colour", None),
    ("colour", "GREEN"),
    ("colour", "BLUE"),
    ("label", "there"),
    ("label", 1),
    ("sizes", [[1], [None]]),
    ("sizes", [None]),
    ("sizes", [1]),
    ("sizes", None),
    ("above", {"boxes": [{}], "above": {"above": None}}),
    ("crate", {"box": {}}),
    ("shelf", None),
    ("shelf", {}),
)


def operation(*types: str) -> OperationDefinitionNode:
    declared = ", ".join(f"$v{at}: {type_}" for at, type_ in enumerate(types))
    (found,) = parse(f"query ({declared}) {{ nothing }}").definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


def told(values: VariableValues) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two of them have to agree in: the library's types know no equality."""
    sources = {
        name: (source.signature.name, str(source.signature.type), source.value)
        for name, source in values.sources.items()
    }
    return values.coerced, sources


def by_library(asked: OperationDefinitionNode, given: dict[str, Any]) -> object:
    found = get_variable_values(SCHEMA, asked.variable_definitions or (), given, max_errors=1)
    return told(found) if isinstance(found, VariableValues) else found[0].message


def by_us(ours: Variables, asked: OperationDefinitionNode, given: dict[str, Any]) -> object:
    try:
        return told(ours.coerced(asked, given))
    except GraphQLError as error:
        return error.message


def test_every_value_is_what_the_library_makes_of_it() -> None:
    ours = Variables(SCHEMA, hide_suggestions=False)
    fitting = 0
    for types in [(one,) for one in (*TYPES, *OTHERS)] + [(one, two) for one in TYPES for two in (*TYPES, *OTHERS)]:
        asked = operation(*types)
        for first in VALUES:
            for second in VALUES if len(types) > 1 else (MISSING,):
                given = {name: one for name, one in (("v0", first), ("v1", second)) if one is not MISSING}
                right = by_library(asked, given)
                assert by_us(ours, asked, given) == right, (types, given)
                fitting += not isinstance(right, str)
    assert fitting > 1_000


def test_inputs_are_what_the_library_makes_of_them() -> None:
    ours = Variables(SCHEMA, hide_suggestions=False)
    boxed = [{} if box is MISSING else {"box": box} for box in BOXES]
    values = [
        one | dict(parts)
        for one in boxed
        for parts in [(), *((part,) for part in PARTS), *((part, ("label", "")) for part in PARTS)]
    ]
    fitting = 0
    for type_ in INPUTS:
        asked = operation(type_)
        for sent in [None, 1, "RED", [], *values, *([one] for one in values), *([one, None] for one in boxed)]:
            right = by_library(asked, {"v0": sent})
            assert by_us(ours, asked, {"v0": sent}) == right, (type_, sent)
            fitting += ours.fitting(asked, {"v0": sent}) is not None
    assert fitting > 100


def test_an_input_in_which_a_type_holds_itself_is_left_to_the_library() -> None:
    ours = Variables(SCHEMA, hide_suggestions=False)
    for type_, sent in (("Shelf", {"boxes": []}), ("[Shelf!]", [{}]), ("Place", {"crate": {"box": {}}})):
        assert ours.fitting(operation(type_), {"v0": sent}) is None
    assert ours.fitting(operation("Crate"), {"v0": {"box": {}}}) is not None


def test_what_was_sent_beside_the_variables_is_let_go() -> None:
    asked = operation("Int!")
    found = Variables(SCHEMA, hide_suggestions=False).coerced(asked, {"v0": 1, "another": 2})
    assert told(found) == by_library(asked, {"v0": 1, "another": 2}) == ({"v0": 1}, {"v0": ("v0", "Int!", 1)})


def test_of_many_errors_the_first_are_told() -> None:
    asked, ours = operation("[Int!]"), Variables(SCHEMA, hide_suggestions=False)
    for many, told_of in ((3, 3), (50, 50), (51, 51), (5_000, 51)):
        found = ours.of(asked, {"v0": ["x"] * many})
        assert isinstance(found, list)
        assert len(found) == told_of


def test_operations_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "MOST_REMEMBERED", 3)
    ours = Variables(SCHEMA, hide_suggestions=False)
    for at in range(10):
        assert ours.coerced(operation("Int!", "ID!"), {"v0": at, "v1": "a"}).coerced == {"v0": at, "v1": "a"}
    assert len(ours._remembered) == 3
