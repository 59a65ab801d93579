"""Rotating the master key: whoever has the former one opens nothing any more, and everybody else notices nothing."""

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api import changes
from api.composition import Parts, assembled
from domain.appending import Draft, Entry, Moved
from domain.kernel import new_id
from infra import rotation
from infra.master_key import MasterKeyError, keys_in
from infra.migrations import migrate
from infra.person_keys import rotate_all, rotate_one
from infra.rotation import Rotated, RotationError, rotate
from projections import posting
from tests.projections.diaries import diaries
from tests.toy import BeginDiary, PageWritten, WritePage, asking, handled, toy_book, toy_catalogue


@pytest.fixture
def book(database: str, tmp_path: Path) -> Iterator[Parts]:
    migrate(database)
    with toy_book(database, tmp_path) as parts:
        yield parts


@pytest.fixture
def file(book: Parts, tmp_path: Path) -> Path:
    return tmp_path / "master.key"


def begun(book: Parts, owner: str = "Ada") -> UUID:
    return handled(book, BeginDiary(id=new_id(), owner=owner), asking()).id


def owners(book: Parts) -> list[str]:
    """Of every diary, as the book tells it; every key is fetched."""
    entries = book.store.entries(0, 1000)
    for entry in entries:
        book.vault.forget(entry.subject)
    return [recorded.event.owner for recorded in book.mapper.recorded(entries) if recorded.name == "DiaryBegun"]


def page(book: Parts, subject: UUID) -> Entry:
    """A sealed entry that is not appended yet."""
    event = PageWritten(page=new_id(), text="secret")
    draft = Draft(originator_id=new_id(), originator_version=1, subject=subject, event=event, context=asking())
    return book.mapper.to_stored_event(draft)


def raw(file: Path) -> list[bytes]:
    """The keys in the file, read apart from the code."""
    return [base64.b64decode(line.rsplit(":", 1)[1]) for line in file.read_text().splitlines()]


def wrapped_keys(database: str) -> list[tuple[bytes, bytes]]:
    """Every wrapped key, as it is stored, and what it is bound to."""
    with psycopg.connect(database) as db:
        subjects = db.execute("SELECT wrapped, uuid_send(subject) FROM daybook_keys.subjects").fetchall()
        purposes = db.execute("SELECT wrapped, convert_to(purpose, 'UTF8') FROM daybook_keys.purposes").fetchall()
    return [(bytes(wrapped), bytes(bound)) for wrapped, bound in (*subjects, *purposes)]


def opens(master: bytes, wrapped: bytes, bound: bytes) -> bytes | None:
    """What opens by the written format: but for 60 bytes under the first master key, its number stands before."""
    bare = wrapped if len(wrapped) == 60 else wrapped[4:]
    with suppress(InvalidTag):
        return AESGCM(master).decrypt(bare[:12], bare[12:], bound)
    return None


def test_the_former_key_opens_nothing_and_the_new_one_the_same_keys(
    book: Parts, database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 7)
    names = [f"Ada {n}" for n in range(20)]
    for name in names:
        begun(book, name)
    [former] = raw(file)
    before = {bound: opens(former, wrapped, bound) for wrapped, bound in wrapped_keys(database)}
    assert None not in before.values()
    told: list[int] = []
    assert rotate(database, file, told.append) == Rotated(epoch=2, wrapped=20, done=True)
    assert sum(told) == 20
    [master] = raw(file)
    stored = wrapped_keys(database)
    assert [opens(former, *one) for one in stored] == [None] * len(before)
    assert {bound: opens(master, wrapped, bound) for wrapped, bound in stored} == before
    assert owners(book) == names
    begun(book, "Berta")
    assert owners(book)[-1] == "Berta"
    with toy_book(database, file.parent) as another:
        assert owners(another) == [*names, "Berta"]
    assert rotate(database, file) == Rotated(epoch=3, wrapped=21, done=True)
    assert owners(book) == [*names, "Berta"]


@pytest.mark.parametrize("turn", [rotate, rotate_all, rotate_one])
def test_a_key_that_was_altered_is_named_and_the_master_key_not_blamed(
    book: Parts, database: str, file: Path, turn: Callable[..., object]
) -> None:
    """Who is told to put back another master key would look for what is not lost, and no rotation would ever end."""
    ada, _bob = begun(book), begun(book, "Bob")
    with psycopg.connect(database, autocommit=True) as db:
        [(sound,)] = db.execute("SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s", (ada,))
        altered = "UPDATE daybook_keys.subjects SET wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))"
        db.execute(altered + " WHERE subject = %s", (ada,))
        one = (ada,) if turn is rotate_one else ()
        with pytest.raises(RotationError, match=f"The key of subject {ada} .* was altered. Restore that row"):
            turn(database, file, *one)
        db.execute("UPDATE daybook_keys.subjects SET wrapped = %s WHERE subject = %s", (sound, ada))
        turn(database, file, *one)
    assert owners(book) == ["Ada", "Bob"]


def test_the_file_is_its_owners_alone_and_what_held_the_former_key_is_overwritten(
    book: Parts, database: str, file: Path
) -> None:
    begun(book)
    (file.parent / ".master.key.0123456789abcdef").write_text("left by a killed process")
    with file.open("rb") as former:
        rotate(database, file)
        assert set(former.read()) == {0}
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("daybook-master-key-2:2:")
    assert [one.name for one in file.parent.iterdir()] == ["master.key"]


def test_a_copy_of_the_owners_under_another_name_is_theirs(book: Parts, database: str, file: Path) -> None:
    begun(book)
    copy = file.with_name("copy")
    copy.hardlink_to(file)
    [former] = raw(file)
    rotate(database, file)
    assert raw(copy) == [former]


def test_a_key_that_was_made_before_and_comes_after_is_made_anew(book: Parts, database: str, file: Path) -> None:
    begun(book)
    subject = new_id()
    late = page(book, subject)
    rotate(database, file)
    with pytest.raises(Moved):
        book.store.insert_events([late])
    book.store.insert_events([page(book, subject)])
    begun(book, "Berta")
    assert owners(book) == ["Ada", "Berta"]
    [master] = raw(file)
    assert None not in [opens(master, *one) for one in wrapped_keys(database)]


def test_what_an_erasure_destroys_meanwhile_stays_destroyed(
    book: Parts, database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = begun(book, "Ada"), begun(book, "Berta")
    store = rotation._store  # pyright: ignore[reportPrivateUsage]

    def overtaken(db: psycopg.Connection[Any], anew: list[tuple[UUID, bytes, bytes]]) -> None:
        with psycopg.connect(database) as eraser:
            eraser.execute(
                "UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now() WHERE subject = %s", (gone,)
            )
        store(db, anew)

    monkeypatch.setattr(rotation, "_store", overtaken)
    rotate(database, file)
    with psycopg.connect(database) as db:
        kept = db.execute(
            "SELECT subject, wrapped IS NULL, epoch FROM daybook_keys.subjects ORDER BY subject"
        ).fetchall()
    assert kept == sorted([(gone, True, None), (stays, False, 2)])


def test_a_reader_that_is_overtaken_reads_again(
    book: Parts, database: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read a wrapped key; before it opens that, the key is wrapped anew and the former master key is gone."""
    id = begun(book)
    vault = book.vault
    vault.forget(id)
    unwrap = vault._master.unwrap  # pyright: ignore[reportPrivateUsage]
    overtaken: list[bytes] = []

    def slow(wrapped: bytes, purpose: bytes) -> bytes:
        if not overtaken:
            overtaken.append(wrapped)
            rotate(database, file)
            other = begun(book, "Berta")  # another thread: meets the new epoch, and reads the file again
            vault.forget(other)
            assert owners_of(vault_entry(book, other)) == ["Berta"]
        return unwrap(wrapped, purpose)

    def vault_entry(book: Parts, id: UUID) -> list[Any]:
        return [one for one in book.store.entries(0, 100) if one.originator_id == id]

    def owners_of(entries: list[Any]) -> list[str]:
        return [recorded.event.owner for recorded in book.mapper.recorded(entries)]

    monkeypatch.setattr(vault._master, "unwrap", slow)  # pyright: ignore[reportPrivateUsage]
    assert owners_of(vault_entry(book, id)) == ["Ada"]
    assert len(overtaken) == 1


def test_a_process_of_an_older_version_adds_no_key_under_a_former_master_key(
    book: Parts, database: str, file: Path
) -> None:
    begun(book)
    rotate(database, file)
    with psycopg.connect(database) as db, pytest.raises(psycopg.errors.ForeignKeyViolation):
        db.execute(
            "INSERT INTO daybook_keys.subjects (subject, wrapped, made_at) VALUES (%s, %s, now())",
            (uuid4(), bytes(60)),
        )


def test_a_host_that_has_another_new_key_is_found_before_it_seals(
    book: Parts, database: str, file: Path, tmp_path: Path
) -> None:
    begun(book)
    host = tmp_path / "host"
    host.mkdir()
    (host / "master.key").write_bytes(file.read_bytes())
    (host / "master.key").chmod(0o600)
    with toy_book(database, host) as other:
        rotate(database, host / "master.key", only_prepare=True)  # on the wrong host
        rotate(database, file)
        with pytest.raises(MasterKeyError, match="does not open this book"):
            begun(other)
        with pytest.raises(MasterKeyError):
            owners(other)
        serving, [entry] = SimpleNamespace(mapper=other.mapper), other.store.entries(0, 1)
        with pytest.raises(MasterKeyError):  # or the feed would tell it without its data, for good
            changes._said(cast("Any", serving), cast("Any", None), entry)
        with pytest.raises(MasterKeyError):  # or every lane would be parked
            posting.post(other.mapper, [entry], [diaries], {})
    (host / "master.key").write_bytes(file.read_bytes())
    with toy_book(database, host) as other:
        assert owners(other) == ["Ada"]


def test_prepared_brought_along_and_rotated(book: Parts, database: str, file: Path, tmp_path: Path) -> None:
    begun(book)
    assert rotate(database, file, only_prepare=True) == Rotated(epoch=1, wrapped=0, done=False)
    assert rotate(database, file, only_prepare=True) == Rotated(epoch=1, wrapped=0, done=False)
    assert len(raw(file)) == 2
    begun(book, "Berta")
    host = tmp_path / "host"
    host.mkdir()
    (host / "master.key").write_bytes(file.read_bytes())
    (host / "master.key").chmod(0o600)
    with toy_book(database, host) as other:
        assert rotate(database, file) == Rotated(epoch=2, wrapped=2, done=True)
        begun(other, "Carl")
        assert owners(other) == owners(book) == ["Ada", "Berta", "Carl"]


def test_one_at_a_time(book: Parts, database: str, file: Path) -> None:
    begun(book)
    with psycopg.connect(database) as db:
        db.execute("SELECT pg_advisory_lock(%s)", (rotation._LOCK,))  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(RotationError, match="Another process"):
            rotate(database, file)
    assert keys_in(file).keys() == {1}


@pytest.mark.parametrize("left", ["half a line", "the former key", "one that was never there", "nothing"])
def test_a_file_that_is_not_of_today_is_refused_at_the_start(book: Parts, database: str, file: Path, left: str) -> None:
    begun(book)
    former = file.read_text()
    rotate(database, file)
    today = file.read_text()
    wrong = {
        "half a line": (former + today[:40], "holds no Daybook master key"),
        "the former key": (former, "wrapped under the master key of epoch 2, and the key file holds epoch 1"),
        "one that was never there": (today.replace(":2:", ":3:"), "of epoch 2, and the key file holds epoch 3"),
        "nothing": ("", "is empty"),
    }
    text, says = wrong[left]
    file.write_text(text)
    for attempt in (lambda: rotate(database, file), lambda: started(database, file)):
        with pytest.raises(MasterKeyError, match=says):
            attempt()
    file.write_text(today)
    started(database, file)


def started(database: str, file: Path) -> None:
    with assembled(database, file, catalogue=toy_catalogue):
        pass


def test_a_backup_of_before_wants_the_key_of_before(book: Parts, database: str, file: Path) -> None:
    """What stands in the database as it was, and the key file as it is."""
    begun(book)
    former = keys_in(file)
    with psycopg.connect(database) as db:
        subjects = db.execute("SELECT subject, wrapped FROM daybook_keys.subjects").fetchall()
        purposes = db.execute("SELECT purpose, wrapped FROM daybook_keys.purposes").fetchall()
    rotate(database, file)
    with psycopg.connect(database) as db:
        db.execute("INSERT INTO daybook_keys.epochs (epoch) VALUES (1)")
        for subject, wrapped in subjects:
            db.execute("UPDATE daybook_keys.subjects SET wrapped = %s WHERE subject = %s", (wrapped, subject))
        for purpose, wrapped in purposes:
            db.execute("UPDATE daybook_keys.purposes SET wrapped = %s WHERE purpose = %s", (wrapped, purpose))
        db.execute("DELETE FROM daybook_keys.epochs WHERE epoch = 2")
    with pytest.raises(MasterKeyError, match="for an older backup, the file of its time"):
        started(database, file)
    file.write_text(f"daybook-master-key-1:{base64.b64encode(former[1]).decode()}\n")
    with toy_book(database, file.parent) as again:
        assert owners(again) == ["Ada"]


def test_a_book_that_goes_on_writing_to_old_and_new_persons(book: Parts, database: str, file: Path) -> None:
    id = begun(book)
    for epoch in (2, 3):
        rotate(database, file)
        handled(book, WritePage(id=id, page=new_id(), text=f"page {epoch}"), asking())
        begun(book, f"Ada {epoch}")
    for entry in (entries := book.store.entries(0, 100)):
        book.vault.forget(entry.subject)
    texts = [one.event.text for one in book.mapper.recorded(entries) if isinstance(one.event, PageWritten)]
    assert texts == ["page 2", "page 3"]


def test_a_key_file_of_another_account_is_left_alone(book: Parts, database: str, file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    begun(book)
    before = file.read_bytes()
    os.chown(file, 12345, -1)
    with pytest.raises(MasterKeyError, match="belongs to another account"):
        rotate(database, file)
    assert file.read_bytes() == before
