"""Set-based statements leave the rows that the changes leave one by one, however they are cut into batches."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.flush import Flush, folded
from projections.model import Posting, Table
from projections.past import At, Turn
from projections.statements import Text, text_of
from projections.tables import READ, Change, create, sql_type

THINGS = Table(
    name="things",
    columns={"id": "integer NOT NULL", "name": "text", "amount": "numeric(20, 2)", "tags": "text[]", "more": "jsonb"},
)
PAIRS = Table(name="pairs", columns={"one": "text NOT NULL", "two": "integer NOT NULL"}, key=("one", "two"), of="one")


@pytest.fixture
def db(bare_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(bare_database, autocommit=True) as db:
        db.execute("CREATE SCHEMA daybook_read")
        yield db


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.none() | TEXTS,
    "amount": st.none() | st.decimals(-(10**15), 10**15, places=2),
    "tags": st.none() | st.lists(st.none() | TEXTS, max_size=3),
    "more": st.none() | st.dictionaries(TEXTS, st.integers(-(2**53), 2**53) | TEXTS | st.booleans(), max_size=3),
}
SOME = st.fixed_dictionaries({}, optional=VALUES)
CHANGES = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 4), SOME),
    st.tuples(st.just("change"), st.integers(0, 4), SOME),
    st.tuples(st.sampled_from(("remove", "clear")), st.integers(0, 4), st.just(dict[str, Any]())),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CHANGES, max_size=25), st.lists(st.integers(0, 25), max_size=5))
def test_any_batching_gives_the_rows_of_one_by_one(
    db: psycopg.Connection[Any], changes: list[tuple[str, int, dict[str, Any]]], cuts: list[int]
) -> None:
    expected: dict[int, dict[str, Any]] = {}
    pairs: set[tuple[str, int]] = set()
    postings: list[Posting] = []
    history: list[dict[int, dict[str, Any]]] = []
    for verb, id, columns in changes:
        posting = Posting()
        match verb:
            case "insert":
                if id in expected:
                    posting.remove(THINGS, id)
                    posting.remove(PAIRS, str(id % 2), id)
                posting.insert(THINGS, id=id, **columns)
                posting.insert(PAIRS, one=str(id % 2), two=id)
                expected[id] = dict.fromkeys(VALUES) | columns
                pairs.add((str(id % 2), id))
            case "change":
                posting.change(THINGS, id, **columns)
                if id in expected:
                    expected[id] |= columns
            case "clear":
                posting.clear(PAIRS, str(id % 2))
                pairs = {pair for pair in pairs if pair[0] != str(id % 2)}
            case _:
                posting.remove(THINGS, id)
                posting.remove(PAIRS, str(id % 2), id)
                expected.pop(id, None)
                pairs.discard((str(id % 2), id))
        postings.append(posting)
        history.append({id: {**row} for id, row in expected.items()})
    flush, edges = Flush(READ), sorted({0, *cuts, len(postings)})
    with db.transaction(force_rollback=True):
        create(db, READ, [THINGS, PAIRS])
        for begin, end in pairwise(edges):
            flush.write(
                db, flush.statements((entry(at), postings[at].changes) for at in range(begin, min(end, len(postings))))
            )
        found = db.execute("SELECT id, name, amount, tags, more FROM daybook_read.things ORDER BY id").fetchall()
        assert found == [(id, *expected[id].values()) for id in sorted(expected)]
        assert set(db.execute("SELECT one, two FROM daybook_read.pairs")) == pairs
        for position, then in enumerate(history):
            found = db.execute(_THEN, {"position": position}).fetchall()
            assert found == [(id, *then[id].values()) for id in sorted(then)], f"as of {position}"


def entry(position: int) -> At:
    return At(position, datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=position))


def stamped(position: int) -> tuple[int, datetime]:
    """The columns of a row that are of that entry."""
    return position, entry(position).occurred_at


_THEN = """
    SELECT id, name, amount, tags, more FROM daybook_read.things WHERE since_position <= %(position)s
    UNION ALL
    SELECT id, name, amount, tags, more FROM daybook_read.things_past
    WHERE since_position <= %(position)s AND until_position > %(position)s
    ORDER BY id
"""


def test_every_sort_of_value_arrives_as_it_was(db: psycopg.Connection[Any]) -> None:
    kinds: dict[str, tuple[str, Any]] = {
        "id": ("uuid NOT NULL", UUID(int=7)),
        "a": ("bigint CHECK (a > 0)", 2**62 + 1),
        "b": ("numeric", Decimal("12345678901234567890.123456789")),
        "c": ("timestamptz", datetime(2026, 3, 1, 10, 20, 30, 123456, tzinfo=UTC)),
        "d": ("date", date(1900, 1, 1)),
        "e": ("boolean NOT NULL", False),
        "f": ("text", "quotes \" ' \\ and 東京 \U0001f600 \n\t"),
        "g": ("uuid[]", [UUID(int=1), UUID(int=2)]),
        "h": ("date[]", []),
        "i": ("json", {"a": [1, None, {"b": "c"}]}),
        "j": ("jsonb", "a text"),
        "k": ("varchar(3)", None),
    }
    table = Table(name="kinds", columns={name: kind for name, (kind, _) in kinds.items()})
    values = {name: value for name, (_, value) in kinds.items()}
    posting = Posting()
    posting.insert(table, **values)
    create(db, READ, [table])
    flush = Flush(READ)
    flush.write(db, flush.statements([(entry(1), posting.changes)]))
    assert db.execute("SELECT * FROM daybook_read.kinds").fetchall() == [(*values.values(), *stamped(1))]
    changing = Posting()
    del values["id"]
    changing.change(table, UUID(int=7), **values)
    flush.write(db, flush.statements([(entry(2), changing.changes), (entry(3), changing.changes)]))
    assert db.execute("SELECT * FROM daybook_read.kinds").fetchall() == [(UUID(int=7), *values.values(), *stamped(3))]
    past = db.execute("SELECT * FROM daybook_read.kinds_past ORDER BY since_position").fetchall()
    assert past == [(UUID(int=7), *values.values(), *stamped(at), *stamped(at + 1)) for at in (1, 2)]


def test_a_batch_of_any_size_is_a_few_statements() -> None:
    posting = Posting()
    for id in range(1_000):
        posting.insert(THINGS, id=id, name="a")
        posting.change(THINGS, id, amount=Decimal(1))
        posting.change(THINGS, id + 5_000, name="b")
        posting.remove(THINGS, id + 10_000)
    assert len(Flush(READ).statements([(entry(1), posting.changes)])) == 4


def test_a_row_that_changes_once_is_kept_as_it_was_until_then(db: psycopg.Connection[Any]) -> None:
    """By one statement, beside which others change rows more often, or in other columns."""
    create(db, READ, [THINGS])
    flush, begun, once, twice = Flush(READ), Posting(), Posting(), Posting()
    for id in (1, 2, 3):
        begun.insert(THINGS, id=id, name=f"thing {id}", amount=Decimal(id))
    once.change(THINGS, 1, amount=Decimal(10))
    once.change(THINGS, 2, amount=Decimal(20))
    once.change(THINGS, 3, name="another")
    twice.change(THINGS, 2, amount=Decimal(30))
    flush.write(db, flush.statements([(entry(1), begun.changes)]))
    flush.write(db, flush.statements([(entry(2), once.changes), (entry(3), twice.changes)]))
    columns = "id, name, amount, since_position, since_occurred_at"
    now = db.execute(f"SELECT {columns} FROM daybook_read.things ORDER BY id".encode()).fetchall()
    assert now == [
        (1, "thing 1", Decimal(10), *stamped(2)),
        (2, "thing 2", Decimal(30), *stamped(3)),
        (3, "another", Decimal(3), *stamped(2)),
    ]
    past = db.execute(
        f"SELECT {columns}, until_position, until_occurred_at FROM daybook_read.things_past ORDER BY id, 4".encode()
    ).fetchall()
    assert past == [
        (1, "thing 1", Decimal(1), *stamped(1), *stamped(2)),
        (2, "thing 2", Decimal(2), *stamped(1), *stamped(2)),
        (2, "thing 2", Decimal(20), *stamped(2), *stamped(3)),
        (3, "thing 3", Decimal(3), *stamped(1), *stamped(2)),
    ]


def test_what_two_threads_make_at_once_can_stand_in_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """One writes a batch with care while the other prepares the next one."""
    flush, made = Flush(READ), list[Text]()

    def change(**columns: object) -> Text:
        posting = Posting()
        posting.change(THINGS, 1, **columns)
        [statement] = flush.statements([(entry(1), posting.changes)])
        return statement.text

    def interrupted(schema: str, table: Table, verb: str, given: Sequence[str], number: int) -> Text:
        if not made:
            made.append(text_of(schema, table, verb, given, number))
            made.append(change(name="the other thread's"))
            return made[0]
        return text_of(schema, table, verb, given, number)

    monkeypatch.setattr("projections.flush.text_of", interrupted)
    change(amount=Decimal(1))
    first, second = (set(re.findall(rb'"\w+ \d+"', text.beforehand)) for text in made)
    assert len(first) == len(second) == 2
    assert first.isdisjoint(second)


PARTS = Table(name="parts", columns={"id": "text NOT NULL", "owner": "text", "text": "text"}, of="owner")
OWNERS = st.sampled_from(("a", "b", "c"))
IDS = st.sampled_from(("a", "p", "q", "r"))  # one that is an owner's name too
CLEARED = st.one_of(
    st.tuples(st.just("clear"), st.just(PARTS), st.tuples(OWNERS), st.just(dict[str, Any]())),
    st.tuples(st.just("remove"), st.just(PARTS), st.tuples(IDS), st.just(dict[str, Any]())),
    st.tuples(
        st.just("change"),
        st.just(PARTS),
        st.tuples(IDS),
        st.fixed_dictionaries({}, optional={"text": st.sampled_from(("x", "y"))}),
    ),
    st.builds(lambda id, owner: ("insert", PARTS, (id,), {"id": id, "owner": owner}), IDS, OWNERS),
)


@given(st.lists(CLEARED, max_size=30))
def test_what_is_cleared_are_the_rows_that_name_the_record(changes: list[Change]) -> None:
    rows: dict[tuple[Any, ...], Turn] = {}
    cleared: set[str] = set()
    for position, (verb, _, key, columns) in enumerate(changes):
        if verb == "clear":
            cleared.add(key[0])
            rows = {one: turn for one, turn in rows.items() if key[0] not in (turn.columns.get("owner"), *one)}
        elif key in rows:
            rows[key].goes_on(verb, columns, entry(position))
        elif verb != "change" or columns:
            rows[key] = Turn(verb, columns, entry(position))

    def told(rows: dict[tuple[Any, ...], Turn]) -> list[tuple[Any, ...]]:
        return [(key, *(getattr(turn, name) for name in Turn.__slots__)) for key, turn in rows.items()]

    found = folded((entry(position), [change]) for position, change in enumerate(changes))
    assert [(told(one.rows), one.cleared) for one in found] == ([(told(rows), cleared)] if changes and found else [])


class Compared(str):
    """A text that counts how often it is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_clearing_many_records_looks_at_each_row_a_few_times() -> None:
    """An erasure names thousands of records; to look through all rows for each took minutes."""
    posting, many = Posting(), 300
    for n in range(many):
        owner = Compared(f"owner {n}")
        posting.clear(PARTS, owner)
        posting.insert(PARTS, id=Compared(f"part {n}"), owner=Compared(f"owner {n}"))
    for n in range(many):
        posting.clear(PARTS, Compared(f"owner {n}"))
    Compared.times = 0
    [(_, rows, cleared)] = folded([(entry(1), posting.changes)])
    assert (len(rows), len(cleared)) == (0, many)
    assert Compared.times < 20 * many


def test_a_row_that_is_there_is_only_replaced_where_it_was_removed(db: psycopg.Connection[Any]) -> None:
    """An entry that is posted twice is refused, and not written over what the first posting made."""
    create(db, READ, [THINGS])
    flush, first, removed, second = Flush(READ), Posting(), Posting(), Posting()
    first.insert(THINGS, id=1, name="first")
    removed.remove(THINGS, 1)
    second.insert(THINGS, id=1, name="second")
    flush.write(db, flush.statements([(entry(1), first.changes)]))
    with pytest.raises(psycopg.errors.UniqueViolation):
        flush.write(db, flush.statements([(entry(2), second.changes)]))
    assert db.execute("SELECT name FROM daybook_read.things").fetchall() == [("first",)]
    flush.write(db, flush.statements([(entry(2), removed.changes), (entry(3), second.changes)]))
    assert db.execute("SELECT name FROM daybook_read.things").fetchall() == [("second",)]


def test_a_part_whose_id_another_record_has_stops_nobody(db: psycopg.Connection[Any]) -> None:
    """In a book of before ADR 38, from a key that was given again after 30 days. The newest has the row."""
    parts = Table(name="parts", columns={"id": "integer NOT NULL", "owner": "text NOT NULL"}, of="owner")
    create(db, READ, [parts])
    flush = Flush(READ)
    for at, owner in enumerate(("first", "second"), 1):
        posting = Posting()
        posting.insert(parts, id=1, owner=owner)
        flush.write(db, flush.statements([(entry(at), posting.changes)]))
    assert db.execute("SELECT owner FROM daybook_read.parts").fetchall() == [("second",)]


def test_a_posting_that_does_not_fit_its_table_is_refused() -> None:
    def statements(verb: str, *key: Any, **columns: Any) -> None:
        posting = Posting()
        getattr(posting, verb)(THINGS, *key, **columns)
        Flush(READ).statements([(entry(1), posting.changes)])

    with pytest.raises(KeyError, match="no column of things"):
        statements("insert", id=1, colour="red")
    with pytest.raises(KeyError, match="no column of things"):
        statements("change", 1, colour="red")
    with pytest.raises(KeyError, match="its key"):
        statements("change", 1, id=2)
    with pytest.raises(ValueError, match="zip"):
        statements("remove", 1, 2)
    wrong, right = Posting(), Posting()
    wrong.change(THINGS, 1, id=2)
    right.insert(THINGS, id=1)
    with pytest.raises(KeyError, match="its key"):  # it would stand in the past alone
        Flush(READ).statements([(entry(1), wrong.changes), (entry(2), right.changes)])


@pytest.mark.parametrize(
    ("declared", "bare"),
    [
        ("text", "text"),
        ("text NOT NULL", "text"),
        ("numeric(20, 2)  not  null", "numeric(20, 2)"),
        ("timestamp with time zone NOT NULL", "timestamp with time zone"),
        ("text[] CHECK (cardinality(tags) < 3)", "text[]"),
        ('text COLLATE "C" NOT NULL', "text"),
    ],
)
def test_the_bare_type_of_a_column(declared: str, bare: str) -> None:
    assert sql_type(declared) == bare
