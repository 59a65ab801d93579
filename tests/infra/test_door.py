"""The door on the real store: once for each key, in order, nothing half done, whoever races."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest

from api.composition import Parts
from domain.appending import (
    BookUnavailable,
    IdempotencyKeyReused,
    OccurredBeforeLast,
    OccurredInTheFuture,
    RecordAltered,
    SubjectErased,
    VersionConflict,
)
from domain.kernel import Refused, new_id
from domain.kernel.fields import UnknownId
from domain.kernel.recorded import Receipt
from infra.append import APPEND_LOCK
from tests.toy import (
    AddressTaken,
    BeginDiary,
    CloseDiary,
    Diary,
    DiaryIsClosed,
    EncloseDiary,
    MoveDiary,
    OtherDiaryIsClosed,
    WritePage,
    asking,
    diary,
    handled,
)

R = TypeVar("R")


def begin(book: Parts, owner: str = "Ada", address: str | None = None) -> UUID:
    return handled(book, BeginDiary(id=new_id(), owner=owner, address=address), asking()).id


def at_once(calls: Sequence[Callable[[], R]]) -> list[R | Refused]:
    """The outcomes of calls that all start at the same moment."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], R]) -> R | Refused:
        gate.wait()
        try:
            return call()
        except Refused as refused:
            return refused

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def broken(call: Callable[[], object]) -> list[type]:
    with pytest.raises(Refused) as refused:
        call()
    return [type(rule) for rule in refused.value.broken]


def column(book: Parts, query: LiteralString) -> list[object]:
    with book.pool.connection() as db:
        return [row[0] for row in db.execute(query)]


def test_forty_commands_on_one_aggregate_from_two_processes_all_succeed(books: tuple[Parts, Parts]) -> None:
    id = begin(books[0])
    pages = [new_id() for _ in range(40)]
    calls = [
        partial(handled, books[n % 2], WritePage(id=id, page=page, text=f"page {n}"), asking())
        for n, page in enumerate(pages)
    ]
    receipts = at_once(calls)
    assert sorted(receipt.version for receipt in receipts if isinstance(receipt, Receipt)) == list(range(2, 42))
    for book in books:
        state = book.daybook.fold(id).state
        assert isinstance(state, Diary)
        assert all(page in state.pages for page in pages)


def test_one_key_twenty_times_at_once_happens_once(books: tuple[Parts, Parts]) -> None:
    context = asking(uuid4())
    calls = [
        partial(handled, books[n % 2], BeginDiary(id=new_id(), owner="Ada", address="Here"), context) for n in range(20)
    ]
    receipts = at_once(calls)
    assert len({receipt for receipt in receipts if isinstance(receipt, Receipt)}) == 1
    assert not [receipt for receipt in receipts if isinstance(receipt, Refused)]
    assert column(books[0], "SELECT count(*) FROM daybook.events") == [1]


def test_a_key_used_for_another_command_is_refused(books: tuple[Parts, Parts]) -> None:
    context = asking(uuid4())
    handled(books[0], BeginDiary(id=new_id(), owner="Ada"), context)
    another = BeginDiary(id=new_id(), owner="Bob")
    assert broken(lambda: handled(books[1], another, context)) == [IdempotencyKeyReused]


def test_what_a_receipt_remembers_of_a_command_never_changes(books: tuple[Parts, Parts]) -> None:
    """Receipts outlive an upgrade: what is hashed for them stands here, byte for byte."""
    page = UUID("01900000-0000-7000-8000-000000000002")
    asked = asking(reason="why", on_behalf_of="Eve", occurred_at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC))
    id = handled(books[0], BeginDiary(id=new_id(), owner='"Ада"', address=None), asked).id
    handled(books[0], WritePage(id=id, page=page, text="1\n"), asking())
    said = (
        '["BeginDiary",{"owner":"\\"Ада\\"","address":null},"why","Eve","2026-01-02T03:04:05.000006Z"]',
        f'["WritePage",{{"page":"{page}","text":"1\\n","id":"{id}"}},null,null,null]',
    )
    assert column(books[0], "SELECT fingerprint FROM daybook.receipts ORDER BY position") == [
        books[1].vault.fingerprint(one.encode()) for one in said
    ]


def test_a_refused_key_may_be_used_again(books: tuple[Parts, Parts]) -> None:
    id, context = begin(books[0], address="Here"), asking(uuid4())
    assert broken(lambda: handled(books[0], BeginDiary(id=new_id(), owner="Bob", address="here"), context)) == [
        AddressTaken
    ]
    handled(books[0], CloseDiary(id=id), asking())
    assert handled(books[0], BeginDiary(id=new_id(), owner="Bob", address="here"), context).version == 1


def test_a_retry_is_answered_even_when_the_command_would_be_refused_now(books: tuple[Parts, Parts]) -> None:
    id, context = begin(books[0]), asking(uuid4())
    first = handled(books[0], CloseDiary(id=id), context)
    assert handled(books[1], CloseDiary(id=id), context) == first
    assert broken(lambda: handled(books[1], CloseDiary(id=id), asking())) == [DiaryIsClosed]


def test_a_command_that_changes_nothing_has_a_receipt_and_no_entry(books: tuple[Parts, Parts]) -> None:
    id, context = begin(books[0], address="Here"), asking(uuid4())
    receipt = handled(books[0], MoveDiary(id=id, address="Here"), context)
    assert receipt == Receipt(id, 1, 1)
    handled(books[0], MoveDiary(id=id, address="There"), asking())
    assert handled(books[1], MoveDiary(id=id, address="Here"), context) == receipt
    assert column(books[0], "SELECT count(*) FROM daybook.events") == [2]


def test_two_who_claim_one_address_one_wins(books: tuple[Parts, Parts]) -> None:
    calls = [
        partial(handled, books[n % 2], BeginDiary(id=new_id(), owner=f"{n}", address="One Street"), asking())
        for n in range(8)
    ]
    outcomes = at_once(calls)
    assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 1
    assert all(type(o.broken[0]) is AddressTaken for o in outcomes if isinstance(o, Refused))


def test_a_claim_is_given_back(books: tuple[Parts, Parts]) -> None:
    id = begin(books[0], address="Here")
    handled(books[0], MoveDiary(id=id, address="There"), asking())
    begin(books[1], "Bob", "Here")
    assert column(books[0], "SELECT count(*) FROM daybook.reservations") == [2]


def test_a_stale_version_is_refused_and_named(books: tuple[Parts, Parts]) -> None:
    id = begin(books[0])
    handled(books[1], WritePage(id=id, page=new_id(), text="one"), asking())
    with pytest.raises(Refused) as refused:
        handled(books[0], WritePage(id=id, page=new_id(), text="two"), asking(expected_version=1))
    assert refused.value.broken == (VersionConflict(expected=1, actual=2, path=("expected_version",)),)


def test_what_a_decision_knew_of_others_holds_at_its_append(books: tuple[Parts, Parts]) -> None:
    """Enclosing into a diary races with closing it: never is one enclosed after the other was closed."""
    for _ in range(10):
        inner, outer = begin(books[0]), begin(books[1])
        enclosed, closed = at_once(
            [
                partial(handled, books[0], EncloseDiary(id=inner, into=outer), asking()),
                partial(handled, books[1], CloseDiary(id=outer), asking()),
            ]
        )
        assert isinstance(closed, Receipt)
        if isinstance(enclosed, Receipt):
            assert enclosed.position < closed.position
        else:
            assert [type(rule) for rule in enclosed.broken] == [OtherDiaryIsClosed]


def test_unknown_ids_are_named_with_their_path(books: tuple[Parts, Parts]) -> None:
    assert broken(lambda: handled(books[0], CloseDiary(id=new_id()), asking())) == [UnknownId]
    id = begin(books[0])
    with pytest.raises(Refused) as refused:
        handled(books[0], EncloseDiary(id=id, into=new_id()), asking())
    assert refused.value.broken == (UnknownId(kind="diary", path=("into",)),)


def test_whose_connection_is_lost_again_and_again_is_not_told_that_others_were_faster(
    books: tuple[Parts, Parts], database: str
) -> None:
    command, context = BeginDiary(id=new_id(), owner="Ada"), asking()
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("""
            CREATE FUNCTION daybook.lose() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
            CREATE TRIGGER lose BEFORE INSERT ON daybook.events FOR EACH ROW EXECUTE FUNCTION daybook.lose()
        """)
        with pytest.raises(BookUnavailable):
            handled(books[0], command, context)
        db.execute("DROP TRIGGER lose ON daybook.events")
    assert handled(books[0], command, context).version == 1


def test_positions_are_dense_and_times_never_go_back(books: tuple[Parts, Parts]) -> None:
    id = begin(books[0], address="Here")
    begun = [BeginDiary(id=new_id(), owner="x", address="Here" if n % 3 else None) for n in range(30)]
    calls = [partial(handled, books[n % 2], command, asking()) for n, command in enumerate(begun)]
    at_once(calls)
    handled(books[0], CloseDiary(id=id), asking())
    positions = column(books[0], "SELECT position FROM daybook.events ORDER BY position")
    assert positions == list(range(1, len(positions) + 1))
    times = column(books[0], "SELECT recorded_at FROM daybook.events ORDER BY position")
    assert times == sorted(times)  # type: ignore[type-var]


def test_what_happened_stands_in_order_and_never_in_the_future(books: tuple[Parts, Parts]) -> None:
    book, then = books[0], datetime(2020, 5, 1, tzinfo=UTC)
    id = handled(book, BeginDiary(id=new_id(), owner="Ada"), asking(occurred_at=then)).id
    page = WritePage(id=id, page=new_id(), text="one")
    assert broken(lambda: handled(book, page, asking(occurred_at=then - timedelta(days=1)))) == [OccurredBeforeLast]
    assert broken(lambda: handled(book, page, asking(occurred_at=datetime.now(UTC) + timedelta(days=1)))) == [
        OccurredInTheFuture
    ]
    handled(book, page, asking(occurred_at=then))
    assert column(books[0], "SELECT count(*) FROM daybook.events WHERE occurred_at = '2020-05-01Z'") == [2]


def test_a_destroyed_key_is_never_made_again(books: tuple[Parts, Parts]) -> None:
    id = begin(books[0], owner="Somebody")
    with psycopg.connect(books[0].conninfo) as db:
        db.execute("UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now() WHERE subject = %s", (id,))
    for book in books:
        book.vault.forget(id)
    assert broken(lambda: handled(books[1], WritePage(id=id, page=new_id(), text="one"), asking())) == [SubjectErased]
    state = books[1].daybook.fold(id).state
    assert isinstance(state, Diary)
    assert state.owner is not None
    assert "Somebody" not in repr(state)


def test_a_remembered_fold_is_the_full_fold(books: tuple[Parts, Parts]) -> None:
    id = begin(books[0], address="Here")
    for n in range(30):
        handled(books[n % 2], WritePage(id=id, page=new_id(), text=f"{n}"), asking())
    remembered = books[0].daybook.fold(id)
    events = [recorded.event for recorded in books[0].mapper.recorded(books[0].store.entries(0, 1000))]
    assert remembered.state == diary.fold(events)
    assert remembered.version == 31


def test_the_lock_of_another_process_that_died_is_no_obstacle(books: tuple[Parts, Parts], database: str) -> None:
    with psycopg.connect(database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        waiting = ThreadPoolExecutor(1).submit(begin, books[0])
        holder.rollback()
        assert waiting.result(10)


def test_an_entry_at_no_position_stands_in_nobody_s_way(books: tuple[Parts, Parts], database: str) -> None:
    """Who may alter the table makes room for one; it is no end of the book."""
    ids = [begin(books[0]) for _ in range(2)]
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("ALTER TABLE daybook.events DROP CONSTRAINT events_pkey")
        db.execute("ALTER TABLE daybook.events ALTER position DROP NOT NULL")
        db.execute("CREATE TEMP TABLE one AS SELECT * FROM daybook.events WHERE position = 1")
        db.execute("UPDATE one SET position = NULL, originator_version = 2, event_id = gen_random_uuid()")
        db.execute("INSERT INTO daybook.events SELECT * FROM one")
        # Looked at and, from the third on, supposed.
        positions = [
            handled(book, WritePage(id=ids[1], page=new_id(), text="x"), asking()).position
            for book in books
            for _ in range(4)
        ]
        assert positions == [*range(3, 11)]
        for book in books:
            with pytest.raises(Refused) as refused:
                handled(book, WritePage(id=ids[0], page=new_id(), text="x"), asking())
            assert [type(rule) for rule in refused.value.broken] == [RecordAltered]
        stored = db.execute("SELECT position FROM daybook.events ORDER BY position").fetchall()
    assert stored == [*((position,) for position in range(1, 11)), (None,)]
