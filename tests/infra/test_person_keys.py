"""Rotating persons' keys: what comes after is sealed under another key, and nobody else notices anything."""

import hmac
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from api.composition import Parts
from domain.appending import Moved
from domain.encoding import UnreadableEntry
from domain.kernel import Withheld, new_id
from infra import person_keys, rotation
from infra.append import APPEND_LOCK
from infra.master_key import MasterKey
from infra.migrations import migrate
from infra.person_keys import Begun, rotate_all, rotate_one
from infra.rotation import RotationError, rotate
from infra.vault import EventKeys
from tests.infra.test_committer import until
from tests.infra.test_rotation import begun, opens, page, raw
from tests.toy import PageWritten, WritePage, asking, handled, toy_book

ERASE = "UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now() WHERE subject = %s"


@pytest.fixture
def books(database: str, tmp_path: Path) -> Iterator[tuple[Parts, Parts]]:
    migrate(database)
    with toy_book(database, tmp_path) as one, toy_book(database, tmp_path) as other:
        yield one, other


@pytest.fixture
def file(books: tuple[Parts, Parts], tmp_path: Path) -> Path:
    return tmp_path / "master.key"


def write(book: Parts, id: UUID, text: str) -> None:
    handled(book, WritePage(id=id, page=new_id(), text=text), asking())


def texts(book: Parts, *, anew: bool = False) -> list[Any]:
    """Of every page, as the book tells it; `anew`: with the keys as they are in the database."""
    entries = book.store.entries(0, 1000)
    if anew:
        for entry in entries:
            book.vault.forget(entry.subject)
    return [one.event.text for one in book.mapper.recorded(entries) if isinstance(one.event, PageWritten)]


def test_a_rotation_that_stands_still_keeps_nobody_from_writing(
    books: tuple[Parts, Parts], database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = books[0]
    id = begun(book)
    write(book, id, "before")
    goes_on, wrap = threading.Event(), MasterKey.wrap
    monkeypatch.setattr(rotation, "STILL", "300ms")
    monkeypatch.setattr(MasterKey, "wrap", lambda *given: goes_on.wait(30) and wrap(*given))
    with ThreadPoolExecutor() as threads:
        stands = threads.submit(rotate_one, database, file, id)
        with psycopg.connect(database, autocommit=True) as db:
            until(lambda: db.execute(_HOLDS, (APPEND_LOCK & 0xFFFF_FFFF,)).fetchone())
        write(book, id, "meanwhile")
        goes_on.set()
        with pytest.raises(RotationError, match="Run it again"):
            stands.result()
    assert rotate_one(database, file, id).generation == 2
    write(book, id, "after")
    assert texts(book, anew=True) == ["before", "meanwhile", "after"]


_HOLDS = "SELECT true FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = %s"


def keys(database: str, file: Path, subject: UUID) -> list[bytes]:
    """Every generation, by the written format and nothing of ours."""
    with psycopg.connect(database) as db:
        [(wrapped,)] = db.execute("SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s", (subject,)).fetchall()
    opened = opens(raw(file)[-1], wrapped, subject.bytes)
    assert opened is not None
    return [opened[start : start + 32] for start in range(0, len(opened), 40)]


def openable(database: str, key: bytes) -> list[int]:
    """The positions of what opens under a key, by the written format."""
    found = []
    with psycopg.connect(database) as db:
        for position, event_id, originator, version, sealed, commitment in db.execute(
            "SELECT position, event_id, originator_id, originator_version, sealed, commitment FROM daybook.events"
            " WHERE sealed IS NOT NULL ORDER BY position"
        ):
            derived = HKDFExpand(SHA256(), 64, b"daybook event 1" + event_id.bytes).derive(key)
            bound = event_id.bytes + originator.bytes + version.to_bytes(8, "big")
            with suppress(InvalidTag):
                opened = AESGCM(derived[:32]).decrypt(bytes(12), sealed, bound)
                assert hmac.digest(derived[32:], opened, "sha256") == commitment
                found.append(position)
    return found


def test_what_comes_after_opens_under_the_new_key_only(books: tuple[Parts, Parts], database: str, file: Path) -> None:
    """So whoever has a former key reads nothing that was entered later."""
    book, id = books[0], begun(books[0])
    write(book, id, "2")
    assert rotate_one(database, file, id) == Begun(generation=2, after=2)
    write(book, id, "3")
    other = begun(book, "Berta")
    assert rotate_one(database, file, id) == Begun(generation=3, after=4)
    assert rotate_one(database, file, id) == Begun(generation=4, after=4)
    write(book, id, "5")
    write(book, id, "6")
    assert [openable(database, key) for key in keys(database, file, id)] == [[1, 2], [3], [], [5, 6]]
    assert [openable(database, key) for key in keys(database, file, other)] == [[4]]
    assert texts(book, anew=True) == texts(books[1]) == ["2", "3", "5", "6"]


def test_a_process_that_remembers_the_former_key_goes_on(books: tuple[Parts, Parts], database: str, file: Path) -> None:
    one, other = books
    id = begun(one)
    write(one, id, "1")
    write(other, id, "2")
    rotate_one(database, file, id)
    write(one, id, "3")
    assert texts(other) == ["1", "2", "3"], "it reads on"
    rotate_one(database, file, id)
    write(one, id, "4")
    write(other, id, "5")
    fold = other.daybook.fold(id)
    assert fold.version == 6
    assert texts(one) == texts(other) == ["1", "2", "3", "4", "5"]


def test_what_was_sealed_before_and_comes_after_is_sealed_anew(
    books: tuple[Parts, Parts], database: str, file: Path
) -> None:
    book, id = books[0], begun(books[0])
    late = page(book, id)
    rotate_one(database, file, id)
    with pytest.raises(Moved):
        book.store.insert_events([late])
    book.store.insert_events([page(book, id)])
    assert texts(books[1]) == ["secret"]


def test_keys_that_were_read_before_and_are_remembered_after_are_read_again(
    books: tuple[Parts, Parts], database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = books
    id = begun(one)
    unwrap = other.vault._master.unwrap  # pyright: ignore[reportPrivateUsage]
    overtaken: list[bytes] = []

    def slow(wrapped: bytes, purpose: bytes) -> bytes:
        if not overtaken:
            overtaken.append(wrapped)
            rotate_one(database, file, id)
            write(one, id, "new")
            assert texts(other) == ["new"], "another thread is faster"
        return unwrap(wrapped, purpose)

    monkeypatch.setattr(other.vault._master, "unwrap", slow)  # pyright: ignore[reportPrivateUsage]
    [first, *_] = other.store.entries(0, 1)
    assert other.mapper.recorded([first])[0].event.owner == "Ada"
    assert len(overtaken) == 1
    assert texts(other) == ["new"]
    write(other, id, "newer")


def test_an_auditor_is_given_the_keys_that_sealed_each_entry(
    books: tuple[Parts, Parts], database: str, file: Path
) -> None:
    """Also by a process that remembers the former key, and would not notice."""
    one, other = books
    id = begun(one)
    write(other, id, "1")
    rotate_one(database, file, id)
    write(one, id, "2")
    entries = other.store.entries(0, 100)
    for entry, derived in zip(entries, other.vault.event_keys(entries), strict=True):
        assert isinstance(derived, EventKeys)
        assert entry.sealed is not None
        bound = entry.event_id.bytes + id.bytes + entry.originator_version.to_bytes(8, "big")
        assert AESGCM(derived.event).decrypt(bytes(12), entry.sealed, bound)


def test_an_entry_does_not_open_elsewhere_in_the_book(books: tuple[Parts, Parts], database: str, file: Path) -> None:
    book, id = books[0], begun(books[0])
    write(book, id, "before")
    rotate_one(database, file, id)
    with psycopg.connect(database) as db:
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        db.execute("UPDATE daybook.events SET position = 3 WHERE position = 2")
    with pytest.raises(UnreadableEntry, match="Entry 3, PageWritten, does not open"):
        texts(book, anew=True)


def test_the_master_key_wraps_all_generations(books: tuple[Parts, Parts], database: str, file: Path) -> None:
    book, id = books[0], begun(books[0])
    write(book, id, "1")
    rotate_one(database, file, id)
    write(book, id, "2")
    before = keys(database, file, id)
    rotate(database, file)
    write(book, id, "3")
    assert keys(database, file, id) == before
    rotate_one(database, file, id)
    write(book, id, "4")
    assert keys(database, file, id)[:2] == before
    assert texts(book, anew=True) == texts(books[1]) == ["1", "2", "3", "4"]
    with psycopg.connect(database) as db:
        assert db.execute("SELECT epoch FROM daybook_keys.subjects").fetchall() == [(2,)]


def test_an_erasure_destroys_all_generations(
    books: tuple[Parts, Parts], database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, id = books[0], begun(books[0])
    write(book, id, "1")
    rotate_one(database, file, id)
    write(book, id, "2")
    store = person_keys._store  # pyright: ignore[reportPrivateUsage]

    def overtaken(db: psycopg.Connection[Any], anew: list[tuple[UUID, bytes, bytes]]) -> list[tuple[UUID]]:
        with psycopg.connect(database) as eraser:
            eraser.execute(ERASE, (id,))
        return store(db, anew)

    monkeypatch.setattr(person_keys, "_store", overtaken)
    with pytest.raises(RotationError, match="destroyed by an erasure"):
        rotate_one(database, file, id)
    assert rotate_all(database, file).rotated == 0
    assert texts(book, anew=True) == [Withheld.ERASED, Withheld.ERASED]
    with pytest.raises(RotationError, match="nothing personal"):
        rotate_one(database, file, new_id())


def test_of_all_keys_none_is_forgotten_or_rotated_twice(
    books: tuple[Parts, Parts], database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_keys, "BATCH", 3)
    ids = [begun(books[0], f"Ada {n}") for n in range(8)]
    rotate_one(database, file, ids[7])

    def cut_off(_: int) -> None:
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        rotate_all(database, file, cut_off)
    ids.append(begun(books[1], "Berta"))
    told: list[int] = []
    done = rotate_all(database, file, told.append)
    assert (done.rotated, sum(told), done.resumed) == (5, 5, True)
    assert [len(keys(database, file, id)) for id in ids] == [2] * 7 + [3, 1]
    with psycopg.connect(database) as db:
        assert person_keys.due(db) == 9
    again = rotate_all(database, file)
    assert (again.rotated, again.resumed) == (9, False)
    for id in ids:
        write(books[1], id, "late")
    assert texts(books[0], anew=True) == ["late"] * 9


def test_one_at_a_time(books: tuple[Parts, Parts], database: str, file: Path) -> None:
    id = begun(books[0])

    def meanwhile(_: int) -> None:
        for attempt in (lambda: rotate_one(database, file, id), lambda: rotate(database, file)):
            with pytest.raises(RotationError, match="Another process"):
                attempt()

    assert rotate_all(database, file, meanwhile).rotated == 1


def test_nobody_appends_while_a_generation_begins(
    books: tuple[Parts, Parts], database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that came between would be sealed under the former key behind the place where it ends."""
    id, store = begun(books[0]), person_keys._store
    looked = []

    def meanwhile(db: Any, anew: Any) -> Any:
        with psycopg.connect(database) as other:
            looked.append(other.execute("SELECT pg_try_advisory_xact_lock(%s)", (APPEND_LOCK,)).fetchone())
        return store(db, anew)

    monkeypatch.setattr(person_keys, "_store", meanwhile)
    rotate_one(database, file, id)
    rotate_all(database, file)
    assert looked == [(False,), (False,)]


def test_all_keys_are_rotated_that_were_made_while_the_clock_was_ahead(
    books: tuple[Parts, Parts], database: str, file: Path
) -> None:
    ids = [begun(books[0], "Ada")]
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        db.execute("UPDATE daybook.events SET recorded_at = recorded_at + interval '1 hour'")
        db.execute("ALTER TABLE daybook.events ENABLE TRIGGER append_only")
    ids.append(begun(books[0], "Berta"))
    for generations in (2, 3):
        assert rotate_all(database, file).rotated == 2
        assert [len(keys(database, file, id)) for id in ids] == [generations] * 2
