"""Values that hypothesis draws for the schema's types: mostly what a type takes, now and then nothing it knows."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLType,
    get_named_type,
    is_required_input_field,
)
from hypothesis import strategies as st
from hypothesis_graphql import nodes

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.just([]),
    st.just({"no": "such"}),
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "String": TEXTS | st.sampled_from(["ada@example.com", "+41 44 668 18 00", "Europe/Zurich", "de-CH", "EUR", "CH"]),
    "Boolean": st.booleans(),
    "Int": st.integers(0, 100) | st.integers(-(2**31), 2**31 - 1),
    "Decimal": st.decimals(0, 100, places=2).map(str) | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "Date": st.dates().map(str),
    "DateTime": st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    "CurrencyCode": st.sampled_from(["EUR", "CHF", "JPY"]),
    "Position": st.integers(0, 50).map(str) | st.integers(0, 2**63 - 1).map(str),
    "UUID": st.uuids().map(str),
    "ID": st.sampled_from(["cus_01h455vb4pex5vsknk084sn02q", "nonsense", "stf_01h455vb4pex5vsknk084sn02q"]),
    "JSON": TEXTS,
}
LITERALS = {
    name: SCALARS[name].map(nodes.String)
    for name in ("CurrencyCode", "Date", "DateTime", "Decimal", "JSON", "Position", "UUID")
}
"""The same for documents, as hypothesis-graphql takes them."""

_ID = re.compile(r"\b([a-z]{3,4})_[0-7][0-9a-z]{25}\b")


class Ids:
    """The ids that answers have told, by prefix."""

    def __init__(self) -> None:
        self.known: defaultdict[str, list[str]] = defaultdict(list)

    def take_up(self, answer: str) -> None:
        for found in _ID.finditer(answer):
            if found[0] not in self.known[found[1]]:
                self.known[found[1]].append(found[0])

    def of(self, prefix: str) -> st.SearchStrategy[str]:
        known = self.known[prefix]
        return st.sampled_from(known) if known else SCALARS["ID"]


class Drawing:
    """Draws one input."""

    def __init__(self, draw: Any, ids: Ids, prefixes: dict[tuple[str, ...], str], *, faulty: bool) -> None:
        """`prefixes`: what the ids in it begin with, by path; `faulty`: whether some values are junk."""
        self._draw, self._ids, self._prefixes, self._faulty = draw, ids, prefixes, faulty

    def value(self, kind: GraphQLType, path: tuple[str, ...] = ()) -> Any:
        if self._faulty and path and self._draw(st.integers(0, 9)) == 0:
            return self._draw(JUNK)
        match kind.of_type if isinstance(kind, GraphQLNonNull) else kind:
            case GraphQLList() as several:
                return [self.value(several.of_type, path) for _ in range(self._draw(st.integers(1, 2)))]
            case GraphQLInputObjectType() as of:
                return dict(self._fields(of, path))
            case GraphQLEnumType() as words:
                return self._draw(st.sampled_from(sorted(words.values)))
            case _ if path in self._prefixes:
                return self._draw(self._ids.of(self._prefixes[path]))
            case _:
                return self._draw(SCALARS[get_named_type(kind).name])

    def _fields(self, of: GraphQLInputObjectType, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, field in of.fields.items():
            # Nearly every version is the wrong one, and a command that is refused for it shows nothing else.
            chance = 12 if name == "expectedVersion" else 2
            if is_required_input_field(field) or self._draw(st.integers(0, chance)) == 0:
                yield name, self.value(field.type, (*path, name))
