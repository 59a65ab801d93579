"""What screens ask of a list of customers that grows: pages, filters, searches, each time with other values."""

import hashlib
import statistics
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from graphql import DocumentNode, OperationDefinitionNode, get_operation_ast, parse

_VARIABLES = {"cursor": "String", "id": "ID", "text": "String", "from": "DateTime", "until": "DateTime"}
_DOCUMENT = """
query Page{variables} {{
  customers(first: 50{arguments}) {{
    nodes {{
      id name relationship contactPoints {{ value }}
      opportunities(first: 3) {{ nodes {{ title amount {{ amount }} }} }}
    }}
    pageInfo {{ hasNextPage endCursor }} {counted}
  }}
}}
"""
_RARE_WORDS = [
    "q" + hashlib.md5(str(n).encode()).hexdigest()[:9].translate(str.maketrans("0123456789", "ghijklmnop"))
    for n in range(20)
]
"""Rare names, as the SQL makes them."""


class Question(NamedTuple):
    """What a screen asks, with the values of its n-th request."""

    what: str
    arguments: str
    variables: Callable[[int, int], Mapping[str, Any]] = lambda _size, _n: {}
    constant: bool = True
    """Whether as much is found at every size, or the page is the beginning of an index."""

    @property
    def asks_with(self) -> list[str]:
        """The names of its variables."""
        return [name for name in _VARIABLES if f"${name}" in self.arguments]

    @property
    def text(self) -> str:
        """The document that is sent."""
        declared = ", ".join(f"${name}: {_VARIABLES[name]}" for name in self.asks_with)
        return _DOCUMENT.format(
            variables=f"({declared})" if declared else "",
            arguments=f", {self.arguments}" if self.arguments else "",
            counted="totalCount" if self.what.startswith("counted") else "",
        )

    def parsed(self) -> tuple[DocumentNode, OperationDefinitionNode]:
        document = parse(self.text)
        operation = get_operation_ast(document)
        assert operation is not None
        return document, operation


class Taken:
    """The seconds that the answers to each question took."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def add(self, question: Question, seconds: list[float]) -> None:
        self._seconds.setdefault(question.what, []).extend(seconds)

    def clear(self) -> None:
        self._seconds.clear()

    def percentile(self, question: Question, of: int) -> float:
        """In milliseconds."""
        return statistics.quantiles(self._seconds[question.what], n=100, method="inclusive")[of - 1] * 1000


def _owner(size: int, n: int) -> Mapping[str, Any]:
    return {"id": f"stf_{n * 37 % (size // 50):026d}"}


def _tag(size: int, n: int) -> Mapping[str, Any]:
    number = n * 37 % (size // 50)
    return {"text": f"tag {number - (number % 4 == 0)}"}


def _range(size: int, n: int) -> Mapping[str, Any]:
    begin = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=n * 9973 % (size - 50))
    return {"from": begin.isoformat(), "until": (begin + timedelta(minutes=50)).isoformat()}


def _rare(_size: int, n: int) -> Mapping[str, Any]:
    return {"text": _RARE_WORDS[n % len(_RARE_WORDS)]}


def _beginning(_size: int, n: int) -> Mapping[str, Any]:
    return {"text": _RARE_WORDS[n % len(_RARE_WORDS)][:7]}


def _with_a_frequent_one(_size: int, n: int) -> Mapping[str, Any]:
    return {"text": f"ada {_RARE_WORDS[n % len(_RARE_WORDS)]}"}


def _number(size: int, n: int) -> Mapping[str, Any]:
    phone = f"04{(n * 997 % size + 1) * 7919 % 100_000_000:08d}"
    return {"text": f"{phone[:3]} {phone[3:]}" if n % 2 else phone}


def _text(*texts: str) -> Callable[[int, int], Mapping[str, Any]]:
    return lambda _size, n: {"text": texts[n % len(texts)]}


QUESTIONS = (
    Question("first page, the latest first", ""),
    Question("first page, by name", "orderBy: [{field: NAME}]"),
    Question("a page in the middle, by its cursor", "after: $cursor"),
    Question("filtered by owner: 50 customers", "where: {owner: {id: {eq: $id}}}", _owner),
    Question("filtered by a rare tag: 50 customers", "where: {tags: {some: {eq: $text}}}", _tag),
    Question("filtered by a range: 50 customers", "where: {createdAt: {gte: $from, lt: $until}}", _range),
    Question(
        "filtered across: a rare tag and a deal above an amount",
        "where: {tags: {some: {eq: $text}}, opportunities: {some: {amount: {gte: {amount: 50000, currency: EUR}}}}}",
        _tag,
    ),
    Question("filtered by a tag that every fourth has", 'where: {tags: {some: {eq: "frequent"}}}', constant=False),
    Question(
        "a page in the middle of what every fourth has, by its cursor",
        'after: $cursor, where: {tags: {some: {eq: "frequent"}}}',
        constant=False,
    ),
    Question("searched for a rare name: 10 customers", "search: $text", _rare),
    Question("searched for the beginning of a rare name", "search: $text", _beginning),
    Question("searched for a rare name and a frequent one", "search: $text", _with_a_frequent_one),
    Question("searched for what nobody has", "search: $text", _text("xyzzy", "nobody here", "陈")),
    Question("searched for a telephone number: one customer", "search: $text", _number),
    Question("searched for what every tenth has", "search: $text", _text("and", "ander", "andre"), False),
    Question("searched for what all have", "search: $text", _text("example", "@example.com", "a", "exam"), False),
    Question(
        "a page in the middle of what all have, by its cursor",
        "after: $cursor, search: $text",
        _text("example", "@example.com", "a", "exam"),
        constant=False,
    ),
    Question(
        "searched for a frequent first and a last name", "search: $text", _text("andrea bro", "nora thoma"), False
    ),
    Question("counted: a frequent beginning", "search: $text", _text("and", "nor"), False),
)
