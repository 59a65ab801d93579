"""What a process has just committed is handed to the runner: the same entries as in the book, and none left out."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.composition import Parts
from domain.kernel import new_id
from infra.entries import StoredEntry
from infra.exchange import Exchange
from projections.runner import ProjectionRunner
from projections.scanning import Handed, Scanner
from tests.projections.books import made_up_book
from tests.projections.conftest import Diaries, until
from tests.projections.diaries import append, plain_fold, rows
from tests.projections.test_models_tables import append_recorded
from tests.projections.test_models_tables import parts as parts
from tests.projections.test_runner import recorded, scribble
from tests.toy import DiaryBegun, toy_book


def entries_at(positions: Sequence[int]) -> list[StoredEntry]:
    return [StoredEntry(position, *[None] * 14) for position in positions]  # type: ignore[arg-type]


def begin(book: Diaries) -> int:
    """Append one entry; returns its position."""
    return append(book.parts, new_id(), 1, DiaryBegun(owner="Ada"))


Act = tuple[str, list[int]]
acts: st.SearchStrategy[list[Act]] = st.lists(
    st.tuples(st.sampled_from(["put", "put", "take", "take", "doubt"]), st.lists(st.integers(1, 12), max_size=4)),
    max_size=40,
)


@given(acts)
def test_all_that_was_put_is_taken_where_it_follows_on_and_nothing_else(acts: list[Act]) -> None:
    """Whatever is put, in whatever order: a second account of it says what may be taken."""
    handed, put, doubted = Handed(most=5), set[int](), True
    for act, positions in acts:
        match act:
            case "put":
                new = [position for position in dict.fromkeys(positions) if position not in put]
                handed.put(entries_at(new))
                put.update(new)
                if not new or len(put) > 5:
                    put, doubted = set(), True
            case "doubt":
                handed.doubt()
                doubted = True
            case _:
                after = positions[0] if positions else 0
                following = {position for position in put if position > after}
                dense = following == set(range(after + 1, after + 1 + len(following)))
                taken = [entry.position for entry in handed.take(after)]
                assert taken == (sorted(following) if dense and not doubted else [])
                put, doubted = set(), False


def test_all_of_it_is_taken_in_turn() -> None:
    handed = Handed(most=5)
    assert handed.take(0) == [], "the book is read first"
    handed.put(entries_at([3, 4]))
    handed.put(entries_at([5]))
    assert handed.take(2) == entries_at([3, 4, 5])
    handed.put(entries_at([7]))
    handed.put(entries_at([5, 6]))
    assert handed.take(5) == entries_at([6, 7])
    handed.put(entries_at(range(8, 14)))
    assert handed.take(7) == [], "more than it keeps is read"
    handed.put(entries_at([14]))
    assert handed.take(13) == entries_at([14])


def test_where_some_were_let_go_all_are_read() -> None:
    """The last one among them: it was told of first."""
    handed = Handed(most=2)
    assert handed.take(0) == [], "the book is read first"
    handed.put(entries_at([4]))
    handed.put(entries_at([1, 2, 3]))
    assert handed.take(0) == []
    assert handed.take(2) == [], "4 would never be taken"


@contextmanager
def told_by_us_alone(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ProjectionRunner, int]]:
    """A runner at the end of the book, and that position; it looks at the book only where it is told to."""
    monkeypatch.setattr("projections.runner.POLL", 300.0)
    monkeypatch.setattr("projections.runner.APPENDED", "nobody_speaks_here")
    with book.running() as runner:
        begun = begin(book)
        until(lambda: runner.leads)
        runner.wake()
        book.wait(begun)
        yield runner, begun


def test_where_some_are_missing_in_between_all_are_read(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two committers of one process tell in another order than they commit in: nobody tells of the last one again."""
    with told_by_us_alone(book, monkeypatch) as (runner, begun):
        last = [begin(book) for _ in range(3)][-1]
        first, second, third = book.parts.store.entries(begun, 3)
        runner._handed.put([first])
        runner._appended([third])
        book.wait(first.position)
        runner._appended([second])
        book.wait(last)


def test_of_a_commit_whose_answer_was_lost_the_book_is_read(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent again, and brings nothing new: what was told before it is not all that there is."""
    with told_by_us_alone(book, monkeypatch) as (runner, begun):
        last = [begin(book) for _ in range(2)][-1]
        runner._handed.put(book.parts.store.entries(begun, 1))
        runner._appended([])
        book.wait(last)


@pytest.mark.parametrize(("limit", "again_from"), [(3, 3), (10, 0)])
def test_until_the_end_of_the_book_was_seen_nothing_is_taken(book: Diaries, limit: int, again_from: int) -> None:
    """Read in part, or again since what was read could not be posted: others told of what is not all here."""
    last = [begin(book) for _ in range(5)][-1]
    entries = book.parts.store.entries(0, last)
    handed = Handed(most=limit)
    with ThreadPoolExecutor(1) as ahead:
        scanner = Scanner(Exchange(book.db), ahead, handed)
        assert scanner.scan(0, None, limit).upto == min(limit, last)
        handed.put(entries[again_from:][:1])
        assert scanner.scan(again_from, None, limit).upto == last


def test_what_is_handed_over_is_what_stands_in_the_book(parts: Parts) -> None:
    found = list[StoredEntry]()
    parts.announcer.heard_here = True
    parts.announcer.also(found.extend)
    append_recorded(parts, made_up_book(3, wishes=300))
    stored = parts.store.entries(0, 1_000_000)
    until(lambda: len(found) == len(stored))
    assert found == stored
    assert [[*map(repr, entry)] for entry in found] == [[*map(repr, entry)] for entry in stored]


def test_nobody_who_is_not_here_has_anything_made_for_them(book: Diaries) -> None:
    calls = list[Sequence[StoredEntry]]()
    book.parts.announcer.also(calls.append)
    begin(book)
    until(lambda: calls)
    assert calls == [()]


def test_the_runner_reads_nothing_that_its_own_process_commits(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry is waited for, and nothing polls: it would look just after a commit, before that is told, too."""
    monkeypatch.setattr("projections.runner.POLL", 300.0)
    read = list[int]()
    of_the_book: Callable[..., object] = Scanner._read  # pyright: ignore[reportPrivateUsage]

    def reads(scanner: Scanner, stretch: Any) -> object:
        scanned = of_the_book(scanner, stretch)
        read.append(len(scanned.entries))  # type: ignore[attr-defined]
        return scanned

    monkeypatch.setattr(Scanner, "_read", reads)
    with book.running(announcer=book.parts.announcer):
        until(lambda: read and book.parts.announcer.heard_here)
        for _ in range(10):
            book.wait(begin(book))
    assert sum(read) == 0
    assert rows(book.db) == plain_fold(recorded(book))


def test_two_processes_that_commit_at_once_lose_nothing(
    book: Diaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them leads; it hears of the other's by notices alone: no poll would find what was left out."""
    monkeypatch.setattr("projections.runner.POLL", 300.0)
    with toy_book(book.parts.conninfo, tmp_path) as elsewhere, book.running(announcer=book.parts.announcer, batch=20):
        until(lambda: book.parts.announcer.heard_here)
        writers = [
            threading.Thread(target=scribble, args=(book._replace(parts=parts), 60))
            for parts in (book.parts, elsewhere, book.parts, elsewhere)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        last = book.parts.store.max_notification_id() or 0
        book.wait(last)
    assert rows(book.db) == plain_fold(recorded(book))
    counted = book.db.execute("SELECT array_agg(position ORDER BY position) FROM daybook_read.counted").fetchone()
    assert counted == (list(range(1, last + 1)),)
