"""Growth: the same list of customers, with ten thousand of them and with a million: pages, filters, searches."""

import asyncio
import base64
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import msgspec
import psycopg
import strawberry
from graphql import get_operation_ast, parse

from api.reading.reader import Reader, read_pool
from api.reading.sight import Sight
from api.schema import make_schema
from benchmarks.laboratory import Laboratory
from benchmarks.laboratory import laboratory as furnished
from benchmarks.questions import QUESTIONS, Question, Taken
from benchmarks.results import Figure, Goal, Section, shown
from domain.access import unlimited
from infra.migrations import migrate
from projections import customers, opportunities
from projections.past import with_past
from projections.registry import models
from projections.tables import READ, create, drop, index, install

EVERYTHING = Sight(unlimited("benchmark"))
TABLES = (*customers.customers.tables, *opportunities.opportunities.tables)
_FILL = Path(__file__).with_suffix(".sql")
_TURNS, TIMES = 10, 10
"""In each round: how often the sizes take turns, and how many requests each then answers; one of those that grow."""
_MEMORY = 4
"""Kilobytes for each customer that PostgreSQL may keep in memory: all that is read of them."""


class Book:
    """A database of one size, and what somebody asks of it."""

    def __init__(self, conninfo: str, size: int, schema: strawberry.Schema, sight: Sight = EVERYTHING) -> None:
        self.conninfo, self.size, self._sight = conninfo, size, sight
        self.taken = Taken()
        self._runner = asyncio.Runner()
        self._pool = read_pool(conninfo, size=1, seconds=60)
        self._runner.run(self._pool.open())
        self._reader = Reader(self._pool, schema)
        self._cursor = in_the_middle(self._end_of_first_page(), conninfo, size)

    def close(self) -> None:
        self._runner.run(self._pool.close())
        self._runner.close()

    def ask(self, question: Question, turn: int) -> None:
        """Ask so many times, each time with other values."""
        document, operation = question.parsed()

        times = TIMES if question.constant else 1

        async def asked() -> list[float]:
            found: list[float] = []
            for n in range(turn * times, (turn + 1) * times):
                variables = {"cursor": self._cursor, **question.variables(self.size, n)}
                begin = perf_counter()
                await self._reader.query(document, operation, variables, self._sight)
                found.append(perf_counter() - begin)
            return found

        self.taken.add(question, self._runner.run(asked()))

    def _end_of_first_page(self) -> str:
        document = parse("{ customers(first: 1) { pageInfo { endCursor } } }")
        operation = get_operation_ast(document)
        assert operation is not None
        found = self._runner.run(self._reader.query(document, operation, {}, self._sight)).data
        cursor: str = msgspec.json.decode(found)["customers"]["pageInfo"]["endCursor"]
        return cursor


def middle(size: int) -> str:
    """The id of the customer in the middle of the list."""
    return f"cus_{size // 2:026d}"


def in_the_middle(cursor: str, conninfo: str, size: int) -> str:
    """The cursor of the customer in the middle of the list: a cursor of its first page, moved."""
    made_for, *_ = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=="))
    with psycopg.connect(conninfo) as db:
        db.execute("SET timezone = 'UTC'")
        place = db.execute(_MIDDLE, (middle(size),)).fetchone()
    assert place is not None
    return base64.urlsafe_b64encode(msgspec.json.encode([made_for, *place])).decode().rstrip("=")


_MIDDLE = "SELECT created_at::text, id FROM daybook_read.customers WHERE id = %s"


def run(laboratory: Laboratory) -> Section:
    # A server with the memory that its largest book wants, as an operator would give it.
    with furnished(laboratory.scale, megabytes=max(128, laboratory.scale.sizes[-1] * _MEMORY // 1000)) as place:
        return _measured(place)


def _measured(place: Laboratory) -> Section:
    schema, turns = make_schema(), range(place.scale.rounds * _TURNS)
    with ExitStack() as stack:
        books: list[Book] = []
        seconds: list[float] = []
        for size in place.scale.sizes:
            place.say(f"growth: filling {size:,} customers")
            begin = perf_counter()
            conninfo = stack.enter_context(filled(place, size))
            seconds.append(perf_counter() - begin)
            books.append(Book(conninfo, size, schema))
            stack.callback(books[-1].close)
        for told in ("asking all of it once, unmeasured: plans are made, pages come into memory", "measuring"):
            place.say(f"growth: {told}")
            for book in books:
                book.taken.clear()
            for turn in turns:
                for question in QUESTIONS:
                    for book in books:
                        book.ask(question, turn)
        [(memory,)] = place.administer("SHOW shared_buffers")
        return Section("Growth", [*_figures(books)], [*_said(books, seconds, memory, _held(books[-1]))])


def _figures(books: list[Book]) -> Iterator[Figure]:
    first, last = books[0], books[-1]
    for question in QUESTIONS:
        ratio = last.taken.percentile(question, 95) / first.taken.percentile(question, 95)
        goal = Goal(1.5, "at most") if question.constant else None
        yield Figure(f"{question.what}: p95 with {last.size:,} against {first.size:,}", ratio, "x", goal)


def _said(books: list[Book], filled: list[float], memory: str, held: str) -> Iterator[str]:
    head = " | ".join(f"{book.size:,}" for book in books)
    lines = [f"| p50 / p95 in ms | {head} |", "|---|" + "---:|" * len(books)]
    for question in QUESTIONS:
        cells = (
            f"{book.taken.percentile(question, 50):.1f} / {book.taken.percentile(question, 95):.1f}" for book in books
        )
        lines.append(f"| {question.what} | {' | '.join(cells)} |")
    yield "\n".join(lines)
    yield (
        "Read models filled straight with made-up rows, not from a book: customers with an e-mail address, a telephone"
        f" number, a tag and a deal each; filling them took {', '.join(shown(each, 's') for each in filled)}. Each"
        " request is a page of 50 with contact points and deals, with other values each time, through the compiler and"
        f" the reader, on one connection; {TIMES} at one size, then at the next. PostgreSQL has {memory} of"
        " shared_buffers, enough for all tables, and every request has been made once before: what is measured is"
        f" finding and reading, not a disk. {held}"
    )
    yield (
        "Without a goal, because what is read grows with the book: frequent words, which are counted, or put in order,"
        " or of which few have the other word too."
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
def filled(laboratory: Laboratory, size: int) -> Iterator[str]:
    """A database with so many customers."""
    with laboratory.database() as conninfo:
        fill(conninfo, size)
        yield conninfo


def fill(conninfo: str, size: int, then: bytes = b"") -> None:
    """Put so many customers into a database without any; `then` is SQL that changes their rows before there are
    indexes."""
    migrate(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as db:
        install(db, models)
        # Indexes come last, as when a model is rebuilt.
        drop(db, READ, (table.name for table in with_past(TABLES)))
        create(db, READ, TABLES)
        psycopg.ClientCursor(db).execute(_FILL.read_bytes() + then, {"size": size})
        index(db, READ, TABLES)
        db.execute("VACUUM ANALYZE")
