"""The past: whatever is asked as of a moment, the answer is that of a book that ends there.

The oracle is a second set of read models, to which the book was posted as far as the moment and no further. It shares
the compiler with what is tested, whose answers have an oracle of their own, and nothing of what keeps the past.
`DAYBOOK_CAMPAIGN=full` asks at 200 moments; `DAYBOOK_CAMPAIGN_SEED=1000` begins with another seed.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest
from graphql import GraphQLError, GraphQLObjectType, get_operation_ast, parse, validate
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from api.composition import assembled
from api.reading.moments import Asked, Then, named
from api.reading.reader import Reader, read_pool
from api.reading.sight import Sight
from api.schema import the_schema
from domain.access import Authority, unlimited
from domain.kernel import parse_type_id, rounded
from domain.kernel.permissions import Permission, Scope
from domain.kernel.recorded import Recorded
from infra.event_store import EventStore
from infra.migrations import migrate
from infra.roles import logins
from projections.flush import Flush
from projections.past import At
from projections.registry import models
from projections.tables import READ, create, install
from tests.api.questions import DEEPEST, Questions
from tests.api.sample import Rows
from tests.api.sights import ALL
from tests.faults.report import FIRST_SEED, FULL
from tests.projections.books import made_up_book
from tests.projections.comparison import TABLES, rows_in
from tests.projections.fold_oracle import expected_rows
from tests.projections.test_models_tables import appended, changes

MOMENTS = 200 if FULL else 15
QUESTIONS = 40 if FULL else 7
"""At each moment."""
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
EACH = timedelta(hours=7)
"""From one entry to the next: deals go rotten meanwhile."""
BESIDE = "book_up_to_there"


SIGHTS = [
    Sight(msgspec.structs.replace(unlimited("x"), grants=dict.fromkeys(set(Permission) - hidden, Scope.ALL)))
    for hidden in (set[Permission](), {Permission.SEE_PERSONAL_DATA}, {Permission.SEE_AMOUNTS})
]
"""Of all records: some with columns hidden, for conditions, orders and sums too, whenever it was."""


class Book(NamedTuple):
    """A made-up book, its read models, and what asks about them."""

    conninfo: str
    store: EventStore
    recorded: list[Recorded[Any]]
    rows: Rows

    async def moment(self, asked: Asked) -> Then:
        moment = named(asked)
        if isinstance(moment, int):
            return Then(moment, None)
        position = await asyncio.to_thread(self.store.position_at, moment)
        assert position is not None
        return Then(position, moment)


def time_of(position: int) -> datetime:
    return BEGINNING + position * EACH


@pytest.fixture(scope="module")
def book(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = made_up_book(FIRST_SEED + 13, wishes=6_000 if FULL else 1_500)  # in which records change hands
    with entered(made, module_database, tmp_path_factory.mktemp("past") / "master.key") as one:
        yield one


@contextmanager
def entered(made: list[Recorded[Any]], database: str, key: Path) -> Iterator[Book]:
    """A made-up book in a database, each entry at a time of its own, and posted to the read models."""
    migrate(database)
    random, flush = Random(FIRST_SEED), Flush(READ)
    with assembled(database, key) as parts, psycopg.connect(database, autocommit=True) as db:
        install(db, models)
        appended(parts, made)
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        # A third of the records was entered as it happened; of the others, all was entered long after.
        db.execute(
            "UPDATE daybook.events SET recorded_at = at,"
            " occurred_at = at - get_byte(uuid_send(originator_id), 15) %% 3 * interval '200 days'"
            " FROM (SELECT position AS of, %(from)s + position * %(each)s::interval AS at FROM daybook.events) AS told"
            " WHERE position = of",
            {"from": BEGINNING, "each": EACH},
        )
        recorded = parts.mapper.recorded(parts.store.entries(0, len(made)))
        left = [(place(one), changes(one)) for one in recorded]
        while left:
            batch = random.choice((1, 7, 200))
            flush.write(db, flush.statements(left[:batch]))
            left = left[batch:]
        db.execute("UPDATE daybook_projections.models SET position = %s", (len(recorded),))
        db.execute("ANALYZE")
        found = rows_in(db)
        rows = {name: list(found.get(name, {}).values()) for name in TABLES}
        yield Book(database, parts.store, recorded, rows)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@contextmanager
def reading(runner: asyncio.Runner, book: Book, schema: str = READ, path: str = "pg_catalog") -> Iterator[Reader]:
    """A reader of the tables of a schema, whose functions come from this path."""
    conninfo = make_conninfo(logins(book.conninfo).reading, options=f"-c search_path={path}")
    pool = read_pool(conninfo, size=1)
    runner.run(pool.open())
    try:
        yield Reader(pool, the_schema(), lambda table: f'{schema}."{table.name}"')
    finally:
        runner.run(pool.close())


def answer(
    runner: asyncio.Runner, reader: Reader, book: Book, query: str, variables: Any = None, sight: Sight = ALL
) -> Any:
    """The data that a query finds. Raises GraphQLError."""
    document = parse(query)
    errors = validate(the_schema()._schema, document)
    assert not errors, (errors, query)
    operation = get_operation_ast(document)
    assert operation is not None
    found = runner.run(reader.query(document, operation, variables or {}, sight, book.moment))
    return msgspec.json.decode(found.data)


def root() -> GraphQLObjectType:
    """What is asked at a moment: all of the root but what is about moments itself."""
    query = the_schema()._schema.query_type
    assert query is not None
    fields = {name: field for name, field in query.fields.items() if name not in ("asOf", "position")}
    return GraphQLObjectType("Query", fields)


@pytest.mark.campaign
@pytest.mark.parametrize("basis", ["RECORDED", "OCCURRED"])
def test_every_answer_as_of_a_moment_is_that_of_a_book_that_ends_there(
    book: Book, runner: asyncio.Runner, basis: str
) -> None:
    random = Random(FIRST_SEED)
    # What came first by this clock; of one record in its own order by both.
    coming = sorted(book.recorded, key=lambda one: (by(basis, one), one.position))
    first, last = by(basis, coming[0]), max(by(basis, coming[-1]), time_of(len(coming)))
    moments = [first - EACH, first, last, *(by(basis, random.choice(coming)) for _ in range(MOMENTS // 3))]
    moments += [first + random.random() * (last - first) for _ in range(MOMENTS // 2 - len(moments))]
    flush, otherwise = Flush(BESIDE), 0
    with (
        psycopg.connect(book.conninfo, autocommit=True) as db,
        reading(runner, book) as then,
        reading(runner, book, BESIDE, f"{BESIDE},pg_catalog") as ended,
    ):
        db.execute(f"DROP SCHEMA IF EXISTS {BESIDE} CASCADE; CREATE SCHEMA {BESIDE}")
        db.execute(SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(Identifier(BESIDE)))
        create(db, BESIDE, TABLES.values())
        for time in sorted(moments):
            reached = sum(by(basis, one) <= time for one in coming)
            flush.write(db, flush.statements((place(one), changes(one)) for one in coming[:reached]))
            coming = coming[reached:]
            position = len(book.recorded) - len(coming)
            # The clock of that book has stopped.
            db.execute(
                f"CREATE OR REPLACE FUNCTION {BESIDE}.now() RETURNS timestamptz LANGUAGE sql STABLE"
                f" AS $$ SELECT timestamptz '{time.isoformat()}' $$".encode()
            )
            for at in range(QUESTIONS):
                questions = Questions(random.getrandbits(32), the_schema()._schema, book.rows)
                selection = questions.selection(root(), DEEPEST)
                values = {name: value for name, (_, value) in questions.variables.items()}
                declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in questions.variables.items())
                query = f"query Q{f'({declared})' if declared else ''} {{}}"
                moment = f'{{time: "{time.isoformat()}"}}'
                if basis == "RECORDED" and time == time_of(position) and at % 2:
                    moment = f'{{position: "{position}"}}'
                asked = f"{{ asOf(at: {moment}, basis: {basis}) {selection} }}"
                sight = random.choice(SIGHTS)
                expected = answer(runner, ended, book, query.replace("{}", selection), values, sight)
                found = answer(runner, then, book, query.replace("{}", asked), values, sight)["asOf"]
                assert found == expected, (time, position, asked, values, sight.plan_key)
                otherwise += answer(runner, then, book, query.replace("{}", selection), values, sight) != expected
    # It is worth something: most answers are others today.
    assert otherwise > len(moments) * QUESTIONS / 3


def by(basis: str, one: Recorded[Any]) -> datetime:
    """The time that an entry counts by."""
    return one.recorded_at if basis == "RECORDED" else one.occurred_at


def place(one: Recorded[Any]) -> At:
    return At(one.position, one.occurred_at)


PAGE = "(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes { %s } }"


def everything(runner: asyncio.Runner, reader: Reader, book: Book, position: int, what: str, fields: str) -> list[Any]:
    """All elements of a list as of a position, page by page."""
    query = f'query Q($after: String) {{ asOf(at: {{position: "{position}"}}) {{ page: {what}{PAGE % fields} }} }}'
    query = query.replace("(first: 100,", "(where: {}, first: 100,") if "where" not in what else query
    nodes, after = [], None
    while True:
        page = answer(runner, reader, book, query, {"after": after})["asOf"]["page"]
        nodes += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return nodes
        after = page["pageInfo"]["endCursor"]


def test_records_and_sums_as_of_a_moment_are_a_plain_fold_of_the_entries_up_to_there(
    book: Book, runner: asyncio.Runner
) -> None:
    random = Random(FIRST_SEED)
    with reading(runner, book) as reader:
        for position in random.sample(range(1, len(book.recorded) + 1), MOMENTS // 3):
            rows = expected_rows(book.recorded[:position])
            deals = rows.get("opportunities", {}).values()
            found = everything(runner, reader, book, position, "opportunities", "id title status version lines { id }")
            lines: dict[str, list[str]] = {row["id"]: [] for row in deals}
            for line in rows.get("opportunity_lines", {}).values():
                lines[line["opportunity_id"]].append(line["id"])
            assert sorted((one["id"], one["title"], one["status"].lower(), one["version"]) for one in found) == sorted(
                (row["id"], row["title"], row["status"], row["version"]) for row in deals
            )
            assert {one["id"]: {line["id"] for line in one["lines"]} for one in found} == {
                id: set(several) for id, several in lines.items()
            }
            sums: dict[str, Decimal] = defaultdict(Decimal)
            forecast: dict[str, Decimal] = defaultdict(Decimal)
            stages = rows.get("pipeline_stages", {}).values()
            omitted = {stage["id"] for stage in stages if stage["category"] == "omitted"}
            for row in deals:
                if row["amount"] is not None:
                    sums[row["currency"]] += row["amount"]
                    if row["status"] == "open" and row["stage_id"] not in omitted:
                        forecast[row["currency"]] += row["amount"] * row["probability"] / 100
            query = "opportunityTotals { count amounts { amount currency } weighted { amount currency } }"
            query = f'{{ asOf(at: {{position: "{position}"}}) {{ {query} }} }}'
            totals = answer(runner, reader, book, query)["asOf"]["opportunityTotals"]
            assert totals["count"] == len(deals)
            for figure, exact in (("amounts", sums), ("weighted", forecast)):
                assert {one["currency"]: Decimal(one["amount"]) for one in totals[figure]} == {
                    currency: rounded(amount, currency) for currency, amount in exact.items()
                }
            tickets = everything(runner, reader, book, position, "tickets", "id subject priority")
            assert sorted((one["id"], one["subject"], one["priority"].lower()) for one in tickets) == sorted(
                (row["id"], row["subject"], row["priority"]) for row in rows.get("tickets", {}).values()
            )
            told = everything(runner, reader, book, position, "history", "position")
            assert [int(one["position"]) for one in told] == list(range(1, position + 1))


def test_a_time_is_the_last_entry_recorded_at_it_or_before(book: Book) -> None:
    last = len(book.recorded)
    for position in {0, 1, 2, 3, last - 1, last, *Random(1).sample(range(last), 50)}:
        for later in (timedelta(0), EACH - timedelta(microseconds=1)):
            assert book.store.position_at(time_of(position) + later) == position
    assert book.store.found_at(time_of(last - 1)) == (last - 1, last), "it stays so"
    assert book.store.found_at(time_of(last)) == (last, last), "more may come at a time after the last entry"
    assert book.store.position_at(datetime(1, 1, 1, tzinfo=UTC)) == 0
    assert book.store.position_at(datetime.now(UTC) - timedelta(seconds=1)) == last
    assert book.store.position_at(datetime.now(UTC) + timedelta(hours=1)) is None


IDS = {"customers": Permission.READ_CUSTOMERS, "opportunities": Permission.READ_OPPORTUNITIES,
       "tickets": Permission.READ_TICKETS}  # fmt: skip


@pytest.mark.parametrize("scope", [Scope.OWN, Scope.QUEUE, Scope.TEAM])
def test_what_is_seen_of_the_past_is_for_the_records_of_today_to_say(
    book: Book, runner: asyncio.Runner, scope: Scope
) -> None:
    """Also where somebody else looked after the record then."""
    owners = Counter(row["owner_id"] for name in ("customers", "opportunities") for row in book.rows[name])
    me = next(owner for owner, _ in owners.most_common() if owner is not None)
    teams = frozenset(parse_type_id(row["id"])[1] for row in book.rows["teams"][:3])
    queues = frozenset(parse_type_id(row["queue_id"])[1] for row in book.rows["tickets"][-3:] if row["queue_id"])
    mine = parse_type_id(me)[1]
    authority = Authority(
        actor="user:x", staff_member=mine, teams=teams, queues=queues, grants=dict.fromkeys(IDS.values(), scope)
    )
    limited, handed_over = set[str](), 0
    with reading(runner, book) as reader:
        for name in IDS:
            today = asked(runner, reader, book, name, Sight(authority))
            for position in (len(book.recorded) // 3, 2 * len(book.recorded) // 3):
                then = asked(runner, reader, book, name, ALL, position)
                assert asked(runner, reader, book, name, Sight(authority), position) == then & today
                limited |= {name} if then & today and then - today else set()
                rows = expected_rows(book.recorded[:position]).get(name, {}).values()
                was_mine = {row["id"] for row in rows if row.get("owner_id", row.get("assignee_id")) == me}
                handed_over += bool(was_mine - today) + bool((then & today) - was_mine)
    assert limited
    assert handed_over


def asked(
    runner: asyncio.Runner, reader: Reader, book: Book, name: str, sight: Sight, position: int | None = None
) -> set[str]:
    """The ids that a list shows; it is short, and its records have a history."""
    where = ", where: {status: {in: [ACTIVE, ARCHIVED, ERASED]}}" if name == "customers" else ""
    query = f"{{ {name}(first: 100{where}) {{ totalCount nodes {{ id history(first: 100) {{ totalCount }} }} }} }}"
    if position is not None:
        query = f'{{ asOf(at: {{position: "{position}"}}) {query} }}'
    found = answer(runner, reader, book, query, sight=sight)
    page = found.get("asOf", found)[name]
    assert page["totalCount"] == len(page["nodes"]), "there are more than a page"
    assert all(one["history"]["totalCount"] for one in page["nodes"])
    return {one["id"] for one in page["nodes"]}


REFUSED = {
    "{ asOf(at: {}) { position } }": "needs `time` or `position`",
    '{ asOf(at: {time: "2020-02-01T00:00:00Z", position: "1"}) { position } }': "needs `time` or `position`",
    "{ asOf(at: {time: null}) { position } }": "needs `time` or `position`",
    '{ asOf(at: {position: "2"}, basis: OCCURRED) { position } }': "things occur at a time",
    '{ asOf(at: {position: "2"}) { asOf(at: {position: "1"}) { position } } }': "stands within another",
    '{ asOf(at: {position: "2"}) { whyValue(id: "x", field: "name") { field } } }': "names moments itself",
    '{ asOf(at: {position: "2"}) { auditBundle(customer: "x") { file } } }': "names moments itself",
    '{ asOf(at: {position: "2"}) { __schema { queryType { name } } } }': "ask about the schema at the root",
}


@pytest.mark.parametrize("query", REFUSED)
def test_a_moment_that_cannot_be_asked_about_is_refused(book: Book, runner: asyncio.Runner, query: str) -> None:
    with reading(runner, book) as reader, pytest.raises(GraphQLError, match=REFUSED[query]) as refused:
        answer(runner, reader, book, query)
    assert refused.value.extensions == {"code": "BAD_USER_INPUT"}


def test_several_moments_stand_beside_each_other_and_beside_now(book: Book, runner: asyncio.Runner) -> None:
    query = """query Q($at: Moment!, $time: DateTime) {
        now: position
        asOf(at: $at) { position opportunityTotals { count } }
        before: asOf(at: {position: "0"}) {
            position opportunityTotals { count } node(id: "cus_01h455vb4pex5vsknk084sn02q") { id }
        }
        timed: asOf(at: {time: $time}) { position __typename }
        opportunityTotals { count }
    }"""
    last = len(book.recorded)
    with reading(runner, book) as reader:
        for position in (last // 2, 3 * last // 4):
            values = {"at": {"position": str(position)}, "time": time_of(position - 1).isoformat()}
            deals = len(expected_rows(book.recorded[:position]).get("opportunities", {}))
            assert answer(runner, reader, book, query, values) == {
                "now": str(last),
                "asOf": {"position": str(position), "opportunityTotals": {"count": deals}},
                "before": {"position": "0", "opportunityTotals": {"count": 0}, "node": None},
                "timed": {"position": str(position - 1), "__typename": "Query"},
                "opportunityTotals": {"count": len(book.rows["opportunities"])},
            }
        assert len(reader._plans) == 1
