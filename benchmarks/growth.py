"""Growth: the same list of customers, with ten thousand of them and with a million: pages, filters, searches."""

import asyncio
import base64
import hashlib
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
import psycopg
from graphql import OperationDefinitionNode, get_operation_ast, parse

from api.reading.reader import Reader, read_pool
from api.reading.sight import Sight
from api.schema import make_schema
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Goal, Section, shown
from domain.access import unlimited
from infra.migrations import migrate
from projections import customers, opportunities
from projections.registry import models
from projections.tables import READ, create, drop, index, install

EVERYTHING = Sight(unlimited("benchmark"))
TABLES = (*customers.customers.tables, *opportunities.opportunities.tables)
_FILL = Path(__file__).with_suffix(".sql")
_TIMES = 25
"""Requests in a round, each with other values."""


class Question(NamedTuple):
    """What a screen asks, with the values of its n-th request."""

    what: str
    arguments: str
    variables: Callable[[int, int], Mapping[str, Any]] = lambda _size, _n: {}
    constant: bool = True
    """Whether as much is found at every size, or the page is the beginning of an index."""


def _owner(size: int, n: int) -> Mapping[str, Any]:
    return {"id": f"stf_{n * 37 % (size // 50):026d}"}


def _tag(size: int, n: int) -> Mapping[str, Any]:
    number = n * 37 % (size // 50)
    return {"text": f"tag {number - (number % 4 == 0)}"}


def _range(size: int, n: int) -> Mapping[str, Any]:
    begin = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=n * 9973 % (size - 50))
    return {"from": begin.isoformat(), "until": (begin + timedelta(minutes=50)).isoformat()}


def _rare(_size: int, n: int) -> Mapping[str, Any]:
    return {"text": _rare_word(n)}


def _beginning(_size: int, n: int) -> Mapping[str, Any]:
    return {"text": _rare_word(n)[:7]}


def _with_a_frequent_one(_size: int, n: int) -> Mapping[str, Any]:
    return {"text": f"ada {_rare_word(n)}"}


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
    Question("filtered by a rare tag: some 40 customers", "where: {tags: {some: {eq: $text}}}", _tag),
    Question("filtered by a range: 50 customers", "where: {createdAt: {gte: $from, lt: $until}}", _range),
    Question(
        "filtered across: a rare tag and a deal above an amount",
        "where: {tags: {some: {eq: $text}}, opportunities: {some: {amount: {gte: {amount: 50000, currency: EUR}}}}}",
        _tag,
    ),
    Question("filtered by a tag that every fourth has", 'where: {tags: {some: {eq: "frequent"}}}', constant=False),
    Question("searched for a rare name: 10 customers", "search: $text", _rare),
    Question("searched for the beginning of a rare name", "search: $text", _beginning),
    Question("searched for a rare name and a frequent one", "search: $text", _with_a_frequent_one),
    Question("searched for a telephone number: one customer", "search: $text", _number),
    Question("searched for what every tenth has", "search: $text", _text("and", "ander", "andre"), False),
    Question("searched for what all have", "search: $text", _text("example", "@example.com", "a", "exam"), False),
    Question(
        "searched for a frequent first and a last name", "search: $text", _text("andrea bro", "nora thoma"), False
    ),
    Question("searched for what nobody has", "search: $text", _text("xyzzy", "nobody here", "陈")),
    Question("counted: a frequent beginning", "search: $text", _text("and", "nor"), False),
)
_DOCUMENT = """
query Page($cursor: String, $id: ID, $text: String, $from: DateTime, $until: DateTime) {{
  customers(first: 50{arguments}) {{
    nodes {{
      id name relationship contactPoints {{ value }}
      opportunities(first: 3) {{ nodes {{ title amount {{ amount }} }} }}
    }}
    pageInfo {{ hasNextPage endCursor }} {counted}
  }}
}}
"""


class Book:
    """A database of one size, and what is asked of it."""

    def __init__(self, conninfo: str, size: int, schema: Any) -> None:
        self.conninfo, self.size, self._schema = conninfo, size, schema
        self.taken: dict[str, list[float]] = {}
        self._runner = asyncio.Runner()
        self._pool = read_pool(conninfo, size=1, seconds=60)
        self._runner.run(self._pool.open())
        self._reader = Reader(self._pool, schema)
        self._cursor = self._in_the_middle()

    def close(self) -> None:
        self._runner.run(self._pool.close())
        self._runner.close()

    def ask(self, question: Question, turn: int) -> None:
        document, operation = _parsed(question)

        async def asked() -> list[float]:
            found: list[float] = []
            for n in range(_TIMES):
                variables = {"cursor": self._cursor, **question.variables(self.size, turn * _TIMES + n)}
                begin = perf_counter()
                await self._reader.query(document, operation, variables, EVERYTHING)
                found.append(perf_counter() - begin)
            return found

        self.taken.setdefault(question.what, []).extend(self._runner.run(asked()))

    def percentile(self, question: Question, of: int) -> float:
        """In milliseconds."""
        return statistics.quantiles(self.taken[question.what], n=100, method="inclusive")[of - 1] * 1000

    def _in_the_middle(self) -> str:
        """The cursor of the customer in the middle of the list: a cursor of its first page, moved."""
        document = parse("{ customers(first: 1) { pageInfo { endCursor } } }")
        operation = get_operation_ast(document)
        assert operation is not None
        found = self._runner.run(self._reader.query(document, operation, {}, EVERYTHING)).data
        cursor: str = msgspec.json.decode(found)["customers"]["pageInfo"]["endCursor"]
        made_for, *_ = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=="))
        with psycopg.connect(self.conninfo) as db:
            db.execute("SET timezone = 'UTC'")
            place = db.execute(_MIDDLE, (f"cus_{self.size // 2:026d}",)).fetchone()
        assert place is not None
        return base64.urlsafe_b64encode(msgspec.json.encode([made_for, *place])).decode().rstrip("=")


_MIDDLE = "SELECT created_at::text, id FROM daybook_read.customers WHERE id = %s"


def run(laboratory: Laboratory) -> Section:
    schema, sizes = make_schema(), laboratory.scale.sizes
    with ExitStack() as stack:
        books: list[Book] = []
        filled: list[float] = []
        for size in sizes:
            laboratory.say(f"growth: filling {size:,} customers")
            begin = perf_counter()
            conninfo = stack.enter_context(_filled(laboratory, size))
            filled.append(perf_counter() - begin)
            books.append(Book(conninfo, size, schema))
            stack.callback(books[-1].close)
        for turn in range(laboratory.scale.rounds + 1):
            laboratory.say(f"growth: round {turn}")
            for question in QUESTIONS:
                for book in books:
                    book.ask(question, turn)
            if turn == 0:
                for book in books:
                    book.taken.clear()  # every plan and page has been used once
        held = _held(books[-1])
        return Section("Growth", [*_figures(books)], [*_said(books, filled, held)])


def _figures(books: list[Book]) -> Iterator[Figure]:
    first, last = books[0], books[-1]
    for question in QUESTIONS:
        ratio = last.percentile(question, 95) / first.percentile(question, 95)
        goal = Goal(1.5, "at most") if question.constant else None
        yield Figure(f"{question.what}: p95 with {last.size:,} against {first.size:,}", ratio, "x", goal)


def _said(books: list[Book], filled: list[float], held: str) -> Iterator[str]:
    head = " | ".join(f"{book.size:,}" for book in books)
    lines = [f"| p50 / p95 in ms | {head} |", "|---|" + "---:|" * len(books)]
    for question in QUESTIONS:
        cells = (f"{book.percentile(question, 50):.1f} / {book.percentile(question, 95):.1f}" for book in books)
        lines.append(f"| {question.what} | {' | '.join(cells)} |")
    yield "\n".join(lines)
    yield (
        "Read models filled straight with made-up rows, not from a book: customers with an e-mail address, a telephone"
        f" number, a tag and a deal each; filling them took {', '.join(shown(each, 's') for each in filled)}. Each"
        " request is a page of 50 with contact points and deals, with other values each time, through the compiler and"
        f" the reader, on one connection. {held}"
    )


def _held(book: Book) -> str:
    with psycopg.connect(book.conninfo) as db:
        [(rows, table, found_by, all_of)] = db.execute(_SIZES).fetchall()
    return (
        f"With {book.size:,} customers, the {rows:,} texts to search by take {table} MB and their index {found_by} MB;"
        f" all tables and indexes of customers and deals take {all_of:,} MB."
    )


_SIZES = """
    SELECT (SELECT count(*) FROM daybook_read.customer_search),
        pg_total_relation_size('daybook_read.customer_search') / 1048576,
        (SELECT pg_relation_size(indexrelid) / 1048576 FROM pg_index JOIN pg_class ON oid = indexrelid JOIN pg_am ON
         pg_am.oid = relam WHERE indrelid = 'daybook_read.customer_search'::regclass AND amname = 'gin'),
        (SELECT sum(pg_total_relation_size(oid)) / 1048576 FROM pg_class WHERE relkind = 'r' AND relname ~
         '^(customer|opportunit)' AND relnamespace = 'daybook_read'::regnamespace)::bigint
"""


@contextmanager
def _filled(laboratory: Laboratory, size: int) -> Iterator[str]:
    with laboratory.database() as conninfo:
        migrate(conninfo)
        with psycopg.connect(conninfo, autocommit=True) as db:
            install(db, models)
            # Indexes come last, as when a model is rebuilt.
            drop(db, READ, (table.name for table in TABLES))
            create(db, READ, TABLES)
            psycopg.ClientCursor(db).execute(_FILL.read_bytes(), {"size": size})
            index(db, READ, TABLES)
            db.execute("VACUUM ANALYZE")
        yield conninfo


def _rare_word(n: int) -> str:
    return _RARE_WORDS[n % len(_RARE_WORDS)]


def _parsed(question: Question) -> tuple[Any, OperationDefinitionNode]:
    counted = "totalCount" if question.what.startswith("counted") else ""
    arguments = f", {question.arguments}" if question.arguments else ""
    document = parse(_DOCUMENT.format(arguments=arguments, counted=counted))
    operation = get_operation_ast(document)
    assert operation is not None
    return document, operation


_RARE_WORDS = [
    "q" + hashlib.md5(str(n).encode()).hexdigest()[:9].translate(str.maketrans("0123456789", "ghijklmnop"))
    for n in range(20)
]
"""As the SQL makes them."""
