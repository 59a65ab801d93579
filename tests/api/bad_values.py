"""What no field of a mutation's input takes. Found by walking the schema: a new mutation is covered by itself."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints
from uuid import uuid4

import msgspec
from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLType,
    get_named_type,
    get_nullable_type,
    is_required_input_field,
)

from domain.catalogue import camel, catalogue
from domain.kernel.admission import members
from domain.kernel.fields import ChildId, Id
from tests.api.book import REASONED
from tests.projections.fold_oracle import public

Path = tuple[str, ...]

LEFT_OUT = object()

CONTROL = ["a\x00b", "a\x07b", "a\x1b[31mb", "a\x7fb", "a\x9fb"]
SURROGATES = ["a\ud800b", "\udfff"]
LONG = "x" * 100_001

SCALARS: Mapping[str, list[Any]] = {
    "String": ["", " \u00a0\t", LONG, *CONTROL, *SURROGATES, 5, 1.5, True, [], {}],
    "ID": ["", "nonsense", LONG, *CONTROL, *SURROGATES, 5, 1.5, True, [], {}],
    "Boolean": ["true", 1, 0, "", [], {}],
    "Int": [-(2**31), 2**31, -(2**31) - 1, 10**30, 10**400, 1.5, "1", "", True, [], {}],
    "Decimal": [
        "1e13", "-1e13", "1e400", "-1e400", "1e999999999", "1e-30", "1e-999999999", "1" * 5000, 10**400,
        "0." + "1" * 5000, "NaN", "sNaN", "Infinity", "-Infinity", "one", "", " ", "1,5", "1_000", "0x10",
        "\u0664\u0662", "1\x00", *SURROGATES, True, [], {},
    ],
    "Date": [
        "0001-01-01", "1899-12-31", "2200-01-01", "9999-12-31", "10000-01-01", "-2026-01-01", "2026-02-30",
        "2026-13-01", "yesterday", "20260331", "2026-W14-2", "2026-03-31T00:00:00Z", "", LONG, "2026-03-31\x00",
        *SURROGATES, 20260331, 0, 1.5, True, [], {},
    ],
    "DateTime": [
        "0001-01-01T00:00:00+14:00", "1899-12-31T00:00:00Z", "2020-03-31T09:30:00Z", "2199-12-31T00:00:00Z",
        "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2026-03-31T09:30:00", "2026-03-31", "yesterday", "",
        LONG, "2026-03-31T09:30:00Z\x00", *SURROGATES, 20260331, 0, 1.5, True, [], {},
    ],
    "CurrencyCode": ["eur", "EURO", "XXX", "ZZZ", "", "E\x00R", *SURROGATES, LONG, 978, True, [], {}],
    "UUID": ["", "nonsense", LONG, "0190163d-8694-739b-aea5-966c26f8ad9", *CONTROL, *SURROGATES, 5, True, [], {}],
}  # fmt: skip
"""By scalar: over-long, of another type, control characters, half surrogate pairs, huge, tiny, out of range."""

GOOD: Mapping[str, Any] = {
    "String": "ada@example.com",  # a text, and an address where one is needed
    "Boolean": True,
    "Int": 1,
    "Decimal": "1",
    "Date": "2026-03-31",
    "DateTime": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
    "CurrencyCode": "EUR",
}
GOOD_BY_NAME: Mapping[str, Any] = {"timeZone": "Europe/Zurich", "language": "en", "phoneRegion": "CH"}


class Case(NamedTuple):
    """An input with one fault."""

    mutation: str
    path: Path
    """Where the fault stands."""
    what: str
    input: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.mutation}({'.'.join(self.path)}): {self.what}"


class Inputs:
    """Inputs of one mutation: a good one, and every bad one."""

    def __init__(self, mutation: str, field: GraphQLField, records: Mapping[str, str]) -> None:
        """`records`: an id of an existing record of each kind."""
        self.mutation, self._records = mutation, records
        of = get_named_type(field.args["input"].type)
        assert isinstance(of, GraphQLInputObjectType)
        self._type: GraphQLInputObjectType = of
        kind, verb = next(
            (decider.kind, verb)
            for decider in catalogue.deciders.values()
            for verb in decider.commands
            if camel(decider.kind) + verb[0].upper() + verb[1:] == mutation
        )
        self.kind = kind
        command = catalogue.deciders[kind].commands[verb]
        self._prefixes = {("id",): catalogue.prefixes[kind], **id_prefixes(command)}
        self._required = {(camel(one.name),) for one in msgspec.structs.fields(command) if one.required}
        """With those that may be null but not left out, and reasons that are needed: the schema can't say that."""
        if mutation in REASONED:
            self._required.add(("reason",))

    def good(self) -> dict[str, Any]:
        """An input without fault, of what may not be left out."""
        return self._good_object(self._type, ())

    def bad(self) -> Iterator[Case]:
        """Every fault that there is, one at a time."""
        yield from self._faults_of(self._type, ())
        for value in (99, -1):
            yield self._case(("expectedVersion",), "a stale version", value)

    def with_texts(self, texts: Mapping[str, str]) -> Iterator[Case]:
        """Inputs without fault but for one text in one place, in every place that takes a text."""
        for path in self._texts_of(self._type, ()):
            for what, text in texts.items():
                yield self._case(path, what, text)

    def _texts_of(self, of: GraphQLInputObjectType, path: Path) -> Iterator[Path]:
        for name, field in of.fields.items():
            kind, here = get_nullable_type(field.type), (*path, name)
            while isinstance(kind, GraphQLList):
                kind, here = get_nullable_type(kind.of_type), (*here, "0")
            if isinstance(kind, GraphQLInputObjectType):
                yield from self._texts_of(kind, here)
            elif not isinstance(kind, GraphQLEnumType) and kind not in (GraphQLBoolean, GraphQLInt):
                yield here

    def _faults_of(self, of: GraphQLInputObjectType, path: Path) -> Iterator[Case]:
        yield self._case((*path, "noSuchField"), "unknown field", 1)
        for name, field in of.fields.items():
            here = (*path, name)
            if is_required_input_field(field) or here in self._required:
                yield self._case(here, "missing", LEFT_OUT)
            if isinstance(field.type, GraphQLNonNull):
                yield self._case(here, "null", None)
            yield from self._faults(field.type, here)

    def _faults(self, kind: GraphQLType, path: Path) -> Iterator[Case]:
        bare = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        match bare:
            case GraphQLList():
                yield self._case(path, "no list", {"no": "list"})
                yield self._case(path, "a list with null", [None])
                yield self._case(path, "a list too long", 1001 * [self._good(bare.of_type, (*path, "0"))])
                yield from self._faults(bare.of_type, (*path, "0"))
            case GraphQLInputObjectType():
                for value in ("x", 5, True, [5]):
                    yield self._case(path, f"no object: {value!r}", value)
                yield from self._faults_of(bare, path)
            case GraphQLEnumType():
                for value in ("NO_SUCH_WORD", next(iter(bare.values)).lower(), "", 5, True, [], {}, *SURROGATES):
                    yield self._case(path, f"no word: {value!r}", value)
            case _:
                name = get_named_type(bare).name
                for value in SCALARS[name]:
                    yield self._case(path, f"{value!r:.60}", value)
                if name == "ID":
                    yield from self._wrong_ids(path)

    def _wrong_ids(self, path: Path) -> Iterator[Case]:
        prefix = self._prefix(path)
        yield self._case(path, "an unknown id", public(prefix, uuid4()))
        other = next(id for id in self._records.values() if not id.startswith(prefix + "_"))
        yield self._case(path, "another type's id", other)
        yield self._case(path, "an id with a digit too many", public(prefix, uuid4()) + "0")

    def _case(self, path: Path, what: str, value: Any) -> Case:
        given = self._good_object(self._type, (), path)
        target: Any = given
        for step in path[:-1]:
            target = target[int(step) if step.isdigit() else step]
        last = path[-1]
        if value is LEFT_OUT:
            del target[last]
        else:
            target[int(last) if last.isdigit() else last] = value
        return Case(self.mutation, path, what, given)

    def _good_object(self, of: GraphQLInputObjectType, at: Path, towards: Path = ()) -> dict[str, Any]:
        """A good object; of what may be left out it has only the field on the way to `towards`."""
        found: dict[str, Any] = {}
        for name, field in of.fields.items():
            here = (*at, name)
            if is_required_input_field(field) or here in self._required or towards[: len(here)] == here:
                found[name] = self._good(field.type, here, towards)
        return found

    def _good(self, kind: GraphQLType, path: Path, towards: Path = ()) -> Any:
        bare = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        match bare:
            case GraphQLList():
                return [self._good(bare.of_type, (*path, "0"), towards)]
            case GraphQLInputObjectType():
                return self._good_object(bare, path, towards)
            case GraphQLEnumType():
                return next(iter(bare.values))
            case _:
                pass
        name = get_named_type(bare).name
        if name == "UUID":
            return str(uuid4())
        if name == "ID":
            prefix = self._prefix(path)
            return next((id for id in self._records.values() if id.startswith(prefix + "_")), public(prefix, uuid4()))
        return GOOD_BY_NAME.get(path[-1], GOOD[name])

    def _prefix(self, path: Path) -> str:
        return self._prefixes[tuple(step for step in path if not step.isdigit())]


def id_prefixes(struct: type[msgspec.Struct], at: Path = ()) -> dict[Path, str]:
    """What the ids in a command begin with, by path."""
    found: dict[Path, str] = {}
    for name, hint in get_type_hints(struct, include_extras=True).items():
        path = (*at, camel(name))
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        for mark in marks:
            if isinstance(mark, Id):
                found[path] = catalogue.prefixes[mark.kind]
            elif isinstance(mark, ChildId):
                found[path] = mark.prefix
        for one in members(plain):
            inner = get_args(one)[0] if get_origin(one) is tuple else one
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                found.update(id_prefixes(inner, path))
    return found
