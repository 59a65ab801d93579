"""Scanning the book: what is read ahead is what would be read now."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import psycopg
import pytest

from domain.kernel import new_id
from infra.entries import StoredEntry
from infra.exchange import Exchange
from projections.scanning import Scanner
from tests.projections.conftest import Diaries
from tests.projections.diaries import append
from tests.toy import DiaryBegun, PageWritten

OTHERS = [*(f"NeverStored{n}" for n in range(20)), "PageWritten"]


@pytest.fixture
def scanner(book: Diaries) -> Iterator[Scanner]:
    with psycopg.connect(book.parts.conninfo, autocommit=True) as db, ThreadPoolExecutor(1) as ahead:
        yield Scanner(Exchange(db), ahead)


def write(book: Diaries, many: int) -> int:
    last = 0
    for n in range(many):
        last = append(book.parts, new_id(), 1, DiaryBegun(owner=f"O {n}"), PageWritten(page=new_id(), text="a"))
    return last


def stored(book: Diaries) -> list[StoredEntry]:
    return [*book.parts.store.entries(0, 1_000_000)]


def test_stretch_after_stretch_gives_each_entry_once(book: Diaries, scanner: Scanner) -> None:
    last, after, found = write(book, 20), 0, list[StoredEntry]()
    while after < last:
        scanned = scanner.scan(after, None, 7)
        found += scanned.entries
        assert scanned.upto > after
        after = scanned.upto
    assert found == stored(book)


def test_what_comes_after_the_end_was_read_ahead_is_seen(book: Diaries, scanner: Scanner) -> None:
    last = write(book, 5)
    # Both are full: beyond the second one there is nothing yet, and that is what is read ahead.
    assert [scanner.scan(after, None, 5).full for after in (0, 5)] == [True, True]
    diary = new_id()
    append(book.parts, diary, 1, DiaryBegun(owner="Late"))
    assert [entry.originator_id for entry in scanner.scan(last, None, 5).entries] == [diary]


@pytest.mark.parametrize("end", [True, False])
def test_no_look_goes_far_for_the_entries_of_a_few_kinds(
    book: Diaries, scanner: Scanner, monkeypatch: pytest.MonkeyPatch, end: bool
) -> None:
    """A long book may hold none of them: to look through all of it at once takes longer than a lease lasts."""
    monkeypatch.setattr("projections.scanning.FARTHEST", 7)
    last = write(book, 10)
    assert last == 20
    looks, after = list[int](), 0
    while after < last:
        scanned = scanner.scan(after, None if end else last, 100, [*OTHERS, "DiaryBegun"])
        assert (scanned.entries, scanned.full) == ([], scanned.upto < last)
        looks.append(scanned.upto)
        after = scanned.upto
    assert looks == [7, 14, 20]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_asked_in_between(book: Diaries, scanner: Scanner, seed: int) -> None:
    random = Random(seed)
    write(book, 10)
    for _ in range(60):
        entries = stored(book)
        after, limit = random.randrange(len(entries)), random.randrange(1, 8)
        match random.randrange(5):
            case 0:
                write(book, random.randrange(1, 3))
            case 1:
                assert scanner.head() == len(entries)
            case 2:
                one = random.choice(entries)
                assert scanner.history(one.originator_id, after) == [
                    each for each in entries if each.originator_id == one.originator_id and each.position <= after
                ]
            case _:
                stop = random.choice([None, random.randrange(after, len(entries)) + 1])
                others = random.choice([(), OTHERS])
                for _ in range(random.randrange(1, 4)):
                    scanned = scanner.scan(after, stop, limit, others)
                    right = [each for each in entries[after:stop] if each.topic not in others][:limit]
                    assert scanned.entries == right
                    assert scanned.full == (len(right) == limit)
                    looked_at = len(entries) if stop is None else stop
                    # Beyond the last entry of others, only where the whole stretch was looked at.
                    assert scanned.upto == (right[-1].position if scanned.full else looked_at)
                    after = scanned.upto


def test_a_connection_that_broke_while_reading_ahead_is_told_to_whoever_asks_next(
    book: Diaries, scanner: Scanner
) -> None:
    write(book, 10)
    scanner.scan(0, None, 5)
    book.db.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%position > $1%'"
    )
    with pytest.raises(psycopg.OperationalError):
        scanner.head()
