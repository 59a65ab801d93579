"""Poison: an event that can't be posted parks its lane, visibly, and all the others go on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from domain.kernel import new_id
from domain.kernel.recorded import Recorded
from projections.lanes import is_poison
from projections.model import Model, Posting
from projections.rebuild import rebuild
from projections.retry import retry
from projections.status import status
from projections.tables import install
from tests.projections.conftest import Diaries, until
from tests.projections.diaries import DIARIES, append, append_raw, counted, diaries, plain_fold, post, rows
from tests.toy import DiaryBegun, DiaryClosed, DiaryMoved, PageWritten

NAME = "Mr Unmistakable"


def begin(book: Diaries) -> UUID:
    id = new_id()
    append(book.parts, id, 1, DiaryBegun(owner=NAME))
    return id


def expected(book: Diaries, *, without: dict[UUID, int]) -> dict[str, list[tuple[Any, ...]]]:
    """The plain fold, of these aggregates only what stands before a position."""
    entries = book.parts.store.entries(0, 1_000)
    good = [entry for entry in entries if entry.position < without.get(entry.originator_id, 1_000)]
    return plain_fold(book.parts.mapper.recorded(good))


@pytest.mark.parametrize("batch", [1, 3, 500])
@pytest.mark.parametrize("where", ["post", "decode", "name", "constraint", "too long", "not a text", "seal"])
def test_a_poison_event_parks_its_lane_and_no_other(book: Diaries, where: str, batch: int) -> None:
    begin(book)
    id = begin(book)
    match where:
        case "post":
            position = append(book.parts, id, 2, DiaryMoved(address="bug"))
        case "decode":
            position = append_raw(book.parts, id, 2, "PageWritten", b'{"page":"Mr Unmistakable"}')
        case "name":
            position = append_raw(book.parts, id, 2, "FromTheFuture", b"{}")
        case "constraint":
            position = append(book.parts, id, 2, DiaryMoved(address="nowhere"))
        case "too long":
            position = append(book.parts, id, 2, PageWritten(page=new_id(), text=NAME * 2))
        case "not a text":
            position = append(book.parts, id, 2, PageWritten(page=new_id(), text="\0" + NAME))
        case _:
            position = append_raw(book.parts, id, 2, "DiaryClosed", b"{}", sealed=b"altered " * 4)
    begin(book)
    append(book.parts, id, 3, DiaryClosed())
    last = append(book.parts, begin(book), 2, DiaryClosed())
    with book.running(batch=batch):
        book.wait(last)
        last = append(book.parts, id, 4, DiaryMoved(address="too late"))
        book.wait(last)
    assert rows(book.db) == expected(book, without={id: position})
    unreadable = where in ("decode", "name", "seal")
    lanes = [("counted", id)] if unreadable else []
    assert [(model, lane, at) for model, lane, at, _, _ in book.parked()] == [
        (model, lane, position) for model, lane in [*lanes, ("diaries", id)]
    ]
    [(count,)] = book.db.execute("SELECT count(*) FROM daybook_read.counted")
    assert count == (last - 3 if unreadable else last)
    seen = status(book.db, book.models)
    assert (seen.parked, len(seen.parked_lanes)) == (len(lanes) + 1,) * 2
    assert "Unmistakable" not in repr(seen)


@pytest.mark.parametrize("batch", [1, 500])
@pytest.mark.parametrize("time", ["infinity", "-infinity", "10000-01-01 00:00Z", "0001-12-31 23:59Z BC"])
@pytest.mark.parametrize("column", ["recorded_at", "occurred_at"])
def test_a_time_that_nobody_can_hold_parks_its_lane_and_no_other(
    book: Diaries, column: str, time: str, batch: int
) -> None:
    """Somebody has altered it, with the rights of a superuser."""
    begin(book)
    id = begin(book)
    position = append(book.parts, id, 2, DiaryMoved(address="here"))
    last = append(book.parts, begin(book), 2, DiaryClosed())
    book.db.execute("ALTER TABLE daybook.events DISABLE TRIGGER USER")
    alter = SQL("UPDATE daybook.events SET {} = %s WHERE position = %s").format(Identifier(column))
    [(was,)] = book.db.execute(
        SQL("SELECT {} FROM daybook.events WHERE position = %s").format(Identifier(column)), (position,)
    )
    book.db.execute(alter, (time, position))
    with book.running(batch=batch):
        book.wait(last)
    lanes = [("counted", id, position), ("diaries", id, position)]
    assert [(model, lane, at) for model, lane, at, _, _ in book.parked()] == lanes
    assert rows(book.db) == expected(book, without={id: position})
    rebuild(book.parts.conninfo, book.parts.mapper, diaries)
    assert [one.error is None for one in retry(book.parts.logins.posting, book.parts.mapper, book.models)] == [
        False
    ] * 2
    assert [(model, lane, at) for model, lane, at, _, _ in book.parked()] == lanes

    book.db.execute(alter, (was, position))
    assert [one.error for one in retry(book.parts.logins.posting, book.parts.mapper, book.models)] == [None] * 2
    assert rows(book.db) == expected(book, without={})


def test_many_poison_lanes_in_one_batch(book: Diaries) -> None:
    ids = [begin(book) for _ in range(40)]
    bad = {id: append(book.parts, id, 2, DiaryMoved(address="nowhere")) for id in ids[::3]}
    last = [append(book.parts, id, 3 if id in bad else 2, DiaryClosed()) for id in ids][-1]
    with book.running():
        book.wait(last)
    assert rows(book.db) == expected(book, without=bad)
    assert {(lane, at) for _, lane, at, _, _ in book.parked()} == set(bad.items())


def test_after_a_poison_event_what_comes_is_posted_at_once_again(
    book: Diaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg deallocates what is prepared after a rollback. What it was then is prepared anew, once."""
    refused: list[str] = []

    def noted(error: Exception) -> bool:
        refused.append(type(error).__name__)
        return is_poison(error)

    def alone(address: str) -> None:
        """Two entries, each of which is posted alone."""
        id = new_id()
        book.wait(append(book.parts, id, 1, DiaryBegun(owner=NAME)))
        book.wait(append(book.parts, id, 2, DiaryMoved(address=address)))

    monkeypatch.setattr("projections.ledger.is_poison", noted)
    with book.running():
        for address in ("a street", "a street", "nowhere", "a street", "a street", "a street"):
            alone(address)
    assert refused == ["CheckViolation", "InvalidSqlStatementName"]


def test_of_two_poison_events_in_one_batch_the_first_stops_the_lane(book: Diaries) -> None:
    """One is found as it is read, and the one before it only as it is written."""
    begin(book)
    id = begin(book)
    position = append(book.parts, id, 2, DiaryMoved(address="nowhere"))
    append_raw(book.parts, id, 3, "FromTheFuture", b"{}")
    last = append(book.parts, begin(book), 2, DiaryClosed())
    with book.running():
        book.wait(last)
    assert rows(book.db) == expected(book, without={id: position})
    assert {(model, at) for model, _, at, _, _ in book.parked()} == {("diaries", position), ("counted", position + 1)}


def test_an_entry_that_is_posted_a_second_time_changes_nothing_and_is_told(book: Diaries) -> None:
    """Somebody has set a model back by hand, or restored half a backup: its rows are there, its position is not."""
    first = begin(book)
    last = append(book.parts, begin(book), 2, DiaryMoved(address="here"))
    with book.running():
        book.wait(last)
    before = rows(book.db)
    book.db.execute("UPDATE daybook_projections.models SET position = 0 WHERE name = 'diaries'")
    with book.running():
        until(lambda: status(book.db, [diaries]).parked == 2)
    assert rows(book.db) == before
    lanes = book.db.execute("SELECT error FROM daybook_projections.parked WHERE aggregate_id = %s", (first,)).fetchall()
    assert lanes == [("UniqueViolation; SQLSTATE 23505; constraint diaries_pkey; table diaries",)]


def test_a_value_that_is_too_large_for_its_index_parks_its_lane(book: Diaries) -> None:
    begin(book)
    large = "".join(new_id().hex for _ in range(300))  # too random to be compressed
    position = append(book.parts, id := new_id(), 1, DiaryBegun(owner=large))
    begin(book)
    last = append(book.parts, begin(book), 2, DiaryClosed())
    with book.running():
        book.wait(last)
    assert [(model, lane, at) for model, lane, at, *_ in book.parked()] == [("diaries", id, position)]
    assert rows(book.db)["diaries"] == expected(book, without={id: position})["diaries"]


def test_a_value_that_can_not_be_written_parks_its_lane(book: Diaries) -> None:
    def strange(posting: Posting, recorded: Recorded[Any]) -> None:
        post(posting, recorded)
        if isinstance(recorded.event, DiaryClosed):
            posting.change(DIARIES, recorded.originator_id, more=object())
        if isinstance(recorded.event, DiaryMoved):
            posting.change(DIARIES, recorded.originator_id, no_such_column=1)

    odd = book._replace(models=(Model(name="diaries", version=1, tables=diaries.tables, post=strange), counted))
    one, two = begin(book), begin(book)
    bad = {one: append(book.parts, one, 2, DiaryClosed()), two: append(book.parts, two, 2, DiaryMoved(address="there"))}
    begin(book)
    with odd.running():
        odd.wait(5)
    assert rows(book.db) == expected(book, without=bad)
    assert {(lane, at) for _, lane, at, _, _ in book.parked()} == set(bad.items())


def test_retrying_posts_what_the_lane_missed_with_the_code_of_today(book: Diaries) -> None:
    id, other = begin(book), begin(book)
    position = append(book.parts, id, 2, DiaryMoved(address="bug"))
    append(book.parts, id, 3, PageWritten(page=new_id(), text="kept"))
    append(book.parts, other, 2, DiaryMoved(address="bug"))

    def mended(posting: Posting, recorded: Recorded[Any]) -> None:
        if isinstance(recorded.event, DiaryMoved) and recorded.originator_id == id:
            posting.change(DIARIES, id, address="bug")
        else:
            post(posting, recorded)

    today = Model(name="diaries", version=1, tables=diaries.tables, post=mended)
    with book.running():
        last = append(book.parts, id, 4, DiaryClosed())
        book.wait(last)
        retried = retry(book.parts.logins.posting, book.parts.mapper, book.models)
        assert {(one.aggregate_id, one.error is None) for one in retried} == {(id, False), (other, False)}
        assert [attempts for *_, attempts in book.parked()] == [2, 2]
        retried = retry(book.parts.logins.posting, book.parts.mapper, (today, counted))
        assert {(one.aggregate_id, one.error is None) for one in retried} == {(id, True), (other, False)}
        # The runner, which has known the lane for parked all along, posts it again.
        last = append(book.parts, id, 5, PageWritten(page=new_id(), text="new"))
        book.wait(last)
    assert [lane for _, lane, *_ in book.parked()] == [other]
    entries = book.parts.store.entries(0, 1_000)
    whole = plain_fold(book.parts.mapper.recorded([entry for entry in entries if entry.originator_id == id]))
    [row] = [row for row in rows(book.db)["diaries"] if row[0] == id]
    # The mended code leaves the stamp of that event out; the events after it have stamped the row.
    assert (row, rows(book.db)["pages"]) == (whole["diaries"][0], whole["pages"])
    assert position < last


def test_a_lane_that_gets_further_before_it_stops_again_stands_there(book: Diaries) -> None:
    id = begin(book)
    append(book.parts, id, 2, DiaryMoved(address="bug"))
    second = append(book.parts, id, 3, DiaryMoved(address="nowhere"))

    def mended(posting: Posting, recorded: Recorded[Any]) -> None:
        if recorded.originator_version != 2:
            post(posting, recorded)

    with book.running():
        book.wait(second)
    today = Model(name="diaries", version=1, tables=diaries.tables, post=mended)
    [retried] = retry(book.parts.logins.posting, book.parts.mapper, [today], aggregate_id=id)
    assert retried.error is not None
    assert "CheckViolation" in retried.error
    assert book.parked() == [("diaries", id, second, "DiaryMoved", 2)]


def test_a_retry_that_is_suspended_holds_nobody_up(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped, or whose host sleeps, kept the model's row locked for as long."""
    monkeypatch.setattr("projections.flush.LONGEST_IDLE", 0.5)
    begun, goes_on = threading.Event(), threading.Event()

    def suspended(posting: Posting, recorded: Recorded[Any]) -> None:
        begun.set()
        goes_on.wait(60)
        post(posting, recorded)

    id = new_id()
    append(book.parts, id, 1, DiaryBegun(owner="Ada"))
    today = Model(name="diaries", version=1, tables=diaries.tables, post=suspended)
    with book.running(), ThreadPoolExecutor(1) as beside:
        book.wait(append(book.parts, id, 2, DiaryMoved(address="nowhere")))
        retried = beside.submit(retry, book.parts.logins.posting, book.parts.mapper, [today])
        try:
            assert begun.wait(20)
            book.wait(append(book.parts, new_id(), 1, DiaryBegun(owner="Eva")))
        finally:
            goes_on.set()
        with pytest.raises((psycopg.errors.IdleInTransactionSessionTimeout, psycopg.OperationalError)):
            retried.result()
    assert len(book.parked()) == 1


def test_retrying_nothing(book: Diaries) -> None:
    assert retry(book.parts.logins.posting, book.parts.mapper, book.models) == []
    install(book.db, book.models)
    assert retry(book.parts.logins.posting, book.parts.mapper, book.models, aggregate_id=new_id()) == []


def test_a_right_that_is_missing_parks_nothing(book: Diaries, caplog: pytest.LogCaptureFixture) -> None:
    """It would park every lane; as it is, all stand still, and go on once it is granted."""
    book.db.execute("REVOKE INSERT ON daybook_read.diaries FROM daybook_posting")
    begin(book)
    last = append(book.parts, begin(book), 2, DiaryClosed())
    with book.running():
        until(lambda: "InsufficientPrivilege" in caplog.text)
        assert (book.parked(), book.position()) == ([], 0)
        book.db.execute("GRANT INSERT ON daybook_read.diaries TO daybook_posting")
        book.wait(last)
    assert rows(book.db) == expected(book, without={})
