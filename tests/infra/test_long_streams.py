"""A long history costs a command nothing: what was folded is remembered, and what is remembered is the full fold."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from api.composition import Parts
from domain.appending import Draft, Row
from domain.encoding import Reading
from domain.folds import Fold, Folds
from domain.kernel import State, new_id
from tests.toy import BeginDiary, Diary, PageWritten, WritePage, asking, diary, handled

LONG = 10_000


def long_diary(book: Parts) -> UUID:
    """A diary of LONG entries, written in a few appends."""
    id = handled(book, BeginDiary(id=new_id(), owner="Ada"), asking()).id
    for start in range(2, LONG + 1, 1000):
        drafts = [
            Draft(
                originator_id=id,
                originator_version=version,
                subject=id,
                event=PageWritten(page=new_id(), text=f"page {version}"),
                context=asking(),
            )
            for version in range(start, min(start + 1000, LONG + 1))
        ]
        book.store.insert_events([book.mapper.to_stored_event(draft) for draft in drafts])
    return id


def test_a_command_on_a_long_history_reads_only_what_is_new(
    books: tuple[Parts, Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = books
    id, read = long_diary(here), list[int]()
    histories = here.store.histories

    def counted(after: Mapping[UUID, int], reading: Reading) -> Mapping[UUID, Sequence[Row]]:
        found = histories(after, reading)
        read.append(sum(map(len, found.values())))
        return found

    monkeypatch.setattr(here.store, "histories", counted)
    handled(here, WritePage(id=id, page=new_id(), text="mine"), asking())
    handled(elsewhere, WritePage(id=id, page=new_id(), text="another's"), asking())
    receipt = handled(here, WritePage(id=id, page=new_id(), text="mine again"), asking())
    assert receipt.version == LONG + 3
    assert read == [LONG - 1, 1]
    events = [one.event for one in here.mapper.recorded(here.store.entries(0, 2 * LONG))]
    for book in books:
        fold = book.daybook.fold(id)
        assert fold.state == diary.fold(events)
        assert isinstance(fold.state, Diary)
        assert len(fold.state.pages) == LONG + 2


def test_what_is_remembered_is_bounded() -> None:
    folds, ids = Folds(1_000), [new_id() for _ in range(100)]
    for id in ids:
        folds.put(id, Fold(90, 90, "diary", State(), opened=True), folds.cleared)
    kept = [id for id in ids if folds.get(id, opened=True).version]
    assert kept == ids[-10:]


def test_a_fold_that_was_not_opened_is_no_head_start_for_an_opened_one() -> None:
    folds, id = Folds(1_000), new_id()
    folds.put(id, Fold(5, 5, "diary", State(), opened=False), folds.cleared)
    assert folds.get(id, opened=True).version == 0
    assert folds.get(id, opened=False).version == 5
    folds.put(id, Fold(4, 4, "diary", State(), opened=True), folds.cleared)
    assert folds.get(id, opened=True).version == 4


def test_what_was_read_before_something_was_erased_is_not_remembered_after(
    books: tuple[Parts, Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread may have opened the entries just before every fold was forgotten."""
    book, elsewhere = books
    id = handled(elsewhere, BeginDiary(id=new_id(), owner="Ada"), asking()).id
    histories = book.store.histories

    def overtaken(after: Mapping[UUID, int], reading: Reading) -> Mapping[UUID, Sequence[Row]]:
        found = histories(after, reading)
        book.daybook.forget()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(book.store, "histories", overtaken)
        assert book.daybook.fold(id).version == 1
        handled(book, WritePage(id=id, page=new_id(), text="one"), asking())
    assert book.daybook.recall(id).version == 0
    book.daybook.fold(id)
    assert book.daybook.recall(id).version == 2
