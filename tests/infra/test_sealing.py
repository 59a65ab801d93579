"""Sealing: what is personal is never stored in plain, opens only under its own key, and can't be swapped or altered."""

import hmac
import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.composition import Parts, assembled
from domain.appending import Draft, Entry, Moved
from domain.encoding import Catalogue, SealBroken, UnknownEventName, UnreadableEntry
from domain.kernel import Withheld, new_id
from domain.kernel.recorded import Recorded
from infra.master_key import MasterKey, MasterKeyError, master_key
from infra.seals import Prf, derive
from infra.vault import Vault
from tests.toy import BeginDiary, DiaryBegun, PageWritten, WritePage, asking, diary, handled, toy_book, toy_catalogue

NAME = "Ιωάννα Müller-李"


def written(book: Parts, owner: str = NAME, reason: str | None = None) -> UUID:
    return handled(book, BeginDiary(id=new_id(), owner=owner), asking(reason=reason)).id


def page(book: Parts, subject: UUID, originator: UUID | None = None, version: int = 1) -> Entry:
    """A sealed entry of a diary whose personal part is another's."""
    event = PageWritten(page=new_id(), text="secret")
    id = originator or new_id()
    draft = Draft(originator_id=id, originator_version=version, subject=subject, event=event, context=asking())
    return book.mapper.to_stored_event(draft)


def recorded(book: Parts) -> list[Recorded[object]]:
    return book.mapper.recorded(book.store.entries(0, 100))


def test_an_entry_comes_back_as_it_was_said(book: Parts) -> None:
    id = written(book, reason="because")
    [entry] = recorded(book)
    assert entry.event == DiaryBegun(owner=NAME)
    assert (entry.originator_id, entry.subject, entry.reason, entry.kind, entry.position) == (
        id,
        id,
        "because",
        "diary",
        1,
    )


def test_the_store_holds_no_personal_value_in_plain(book: Parts, database: str) -> None:
    written(book, reason="a very private reason")
    with psycopg.connect(database) as db:
        text = repr(
            db.execute(
                "SELECT e::text, encode(e.state, 'escape'), encode(e.sealed, 'escape') FROM daybook.events e"
            ).fetchall()
        )
    assert "private" not in text
    assert "Müller" not in text
    assert "DiaryBegun" in text


def test_keys_are_those_of_rfc_5869(book: Parts) -> None:
    key, event_id = os.urandom(32), uuid4()
    expanded = HKDFExpand(SHA256(), 64, b"daybook event 1" + event_id.bytes).derive(key)
    assert b"".join(derive(key, event_id)) == expanded


def test_a_stranger_can_open_and_check_an_entry_by_the_written_format(
    book: Parts, database: str, tmp_path: Path
) -> None:
    """The format in infra/seals.py, followed with nothing but the library `cryptography`."""
    id = written(book)
    master = master_key(tmp_path / "master.key", begun=True)
    with psycopg.connect(database) as db:
        row = db.execute("SELECT event_id, sealed, commitment FROM daybook.events").fetchone()
        wrapped = db.execute("SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s", (id,)).fetchone()
    assert row is not None
    assert wrapped is not None
    keys = HKDFExpand(SHA256(), 64, b"daybook event 1" + row[0].bytes).derive(master.unwrap(wrapped[0], id.bytes))
    opened = AESGCM(keys[:32]).decrypt(bytes(12), row[1], row[0].bytes + id.bytes + (1).to_bytes(8, "big"))
    assert NAME in opened.decode()
    assert hmac.digest(keys[32:], opened, "sha256") == row[2]


@pytest.mark.parametrize(
    "damage", ["sealed = set_byte(sealed, 3, (get_byte(sealed, 3) + 1) % 256)", "originator_version = 9"]
)
def test_what_was_altered_does_not_open(book: Parts, database: str, damage: LiteralString) -> None:
    written(book)
    with psycopg.connect(database) as db:
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        db.execute(f"UPDATE daybook.events SET {damage}")
    with pytest.raises(UnreadableEntry, match="Entry 1, DiaryBegun, does not open under") as unread:
        recorded(book)
    assert unread.value.altered


def test_a_destroyed_key_leaves_erased_and_the_rest(book: Parts, database: str) -> None:
    id = written(book, reason="because")
    page = new_id()
    handled(book, WritePage(id=id, page=page, text="secret"), asking())
    with psycopg.connect(database) as db:
        db.execute("UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now()")
    book.vault.forget(id)
    first, second = recorded(book)
    assert first.event == DiaryBegun(owner=Withheld.ERASED, address=Withheld.ERASED)
    assert second.event == PageWritten(page=page, text=Withheld.ERASED)
    assert (first.erased, first.reason) == (True, None)


@pytest.mark.parametrize("told", [Vault.destroyed, lambda vault, subjects: vault.look_for_destroyed(subjects)])
def test_what_was_opened_a_moment_ago_is_shut_with_its_key(
    book: Parts, database: str, told: Callable[[Vault, list[UUID]], None]
) -> None:
    id = written(book)
    assert recorded(book)[0].event == DiaryBegun(owner=NAME)
    with psycopg.connect(database) as db:
        db.execute("UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now()")
    told(book.vault, [id])
    assert recorded(book)[0].event == DiaryBegun(owner=Withheld.ERASED, address=Withheld.ERASED)
    assert book.vault._openers == {}


def test_no_more_keys_are_remembered_than_asked_and_everything_opens(book: Parts, tmp_path: Path) -> None:
    owners = ["Ada", "Bo", "Cy", "Di", "Ed"]
    for owner in owners:
        written(book, owner)
    entries = book.store.entries(0, 100)
    vault = Vault(master_key(tmp_path / "master.key", begun=True), book.vault._pool, remember=2)
    for step in (1, -1, 1):
        for entry, part, owner in zip(
            entries[::step], vault.open_entries(entries[::step]), owners[::step], strict=True
        ):
            assert toy_catalogue.decode(entry.topic, entry.state, part) == DiaryBegun(owner=owner)
        assert vault._openers.keys() == {one.int for one in vault._keys}
        assert len(vault._keys) == 2


def test_a_key_that_is_missing_is_no_erasure(book: Parts, database: str) -> None:
    """Half a restore must not look like the erasure of everybody."""
    id = written(book)
    with psycopg.connect(database) as db:
        db.execute("DELETE FROM daybook_keys.subjects")
    book.vault.forget(id)
    with pytest.raises(UnreadableEntry, match="key is missing from") as unread:
        recorded(book)
    assert unread.value.altered


def test_no_other_key_is_made_beside_a_missing_one(book: Parts, database: str) -> None:
    """The rest of the restore could not be put back: half of the entries would be lost."""
    id = written(book)
    with psycopg.connect(database) as db:
        rows = db.execute("DELETE FROM daybook_keys.subjects RETURNING subject, wrapped, made_at").fetchall()
    book.vault.forget(id)
    with pytest.raises(SealBroken, match=rf"subject {id} .* key is missing from"):
        page(book, id)
    with psycopg.connect(database) as db:
        db.cursor().executemany(
            "INSERT INTO daybook_keys.subjects (subject, wrapped, made_at) VALUES (%s, %s, %s)", rows
        )
    book.store.insert_events([page(book, id)])
    assert [type(one.event) for one in recorded(book)] == [DiaryBegun, PageWritten]


@pytest.mark.parametrize(
    "damage",
    [
        "wrapped = (SELECT wrapped FROM daybook_keys.subjects AS other WHERE other.subject <> subjects.subject)",
        "wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))",
        "wrapped = '\\x0000000101'",
    ],
)
def test_a_key_that_was_altered_is_not_said_to_be_the_master_key_s_fault(
    book: Parts, database: str, damage: LiteralString
) -> None:
    """Nobody would look for it, and clients would be told to ask again in a moment. Others' entries open."""
    id, other = written(book), written(book)
    with psycopg.connect(database) as db:
        db.execute(f"UPDATE daybook_keys.subjects SET {damage} WHERE subject = %s", (id,))
    for one in (id, other):
        book.vault.forget(one)
    with pytest.raises(UnreadableEntry, match=r"or was altered there") as unread:
        recorded(book)
    assert unread.value.altered
    others = book.store.entries(0, 100, subject=other)
    assert [one.event for one in book.mapper.recorded(others)] == [DiaryBegun(owner=NAME)]
    with pytest.raises(SealBroken, match=rf"key of subject {id} .* was altered"):
        page(book, id)


def test_two_who_seal_for_a_new_subject_at_once_seal_under_one_key(
    book: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the second one sealed must open too, and all that is sealed after them."""
    vault, subject = book.vault, uuid4()
    inner: list[Entry] = []
    look_up = Vault._keys_of  # pyright: ignore[reportPrivateUsage]

    def overtaken(self: Vault, subjects: Collection[UUID]) -> dict[UUID, bytes]:
        monkeypatch.setattr(Vault, "_keys_of", look_up)
        inner.append(page(book, subject))  # while the first one looks for a key in the store
        return look_up(self, subjects)

    monkeypatch.setattr(Vault, "_keys_of", overtaken)
    outer = page(book, subject)
    assert outer.new_key == inner[0].new_key
    book.store.insert_events([outer, *inner])
    book.store.insert_events([page(book, subject)])
    vault.forget(subject)
    assert [entry.event.text for entry in recorded(book) if isinstance(entry.event, PageWritten)] == ["secret"] * 3


def test_a_subjects_first_key_is_stored_once_and_who_comes_later_seals_again(book: Parts) -> None:
    """Who appends may not read the key that stands there, so cannot tell whether it is the same."""
    subject = uuid4()
    first, late = page(book, subject), page(book, subject)
    assert first.new_key == late.new_key
    book.store.insert_events([first])
    with pytest.raises(Moved):
        book.store.insert_events([late])
    again = page(book, subject)
    assert again.new_key is None
    book.store.insert_events([again])
    assert [entry.event.text for entry in recorded(book) if isinstance(entry.event, PageWritten)] == ["secret"] * 2


def test_a_command_that_was_sealed_under_two_keys_is_not_appended(book: Parts) -> None:
    subject = uuid4()
    first = page(book, subject)
    book.vault.forget(subject)
    second = page(book, subject, originator=first.originator_id, version=2)
    assert first.new_key != second.new_key
    with pytest.raises(Moved):
        book.store.insert_events([first, second])
    assert recorded(book) == []


def test_another_master_key_is_refused_at_the_start(book: Parts, database: str, tmp_path: Path) -> None:
    master_key(tmp_path / "other.key", begun=False)
    with (
        pytest.raises(MasterKeyError, match="does not open this book"),
        assembled(database, tmp_path / "other.key", catalogue=toy_catalogue),
    ):
        pass


def test_a_missing_master_key_is_refused_at_the_start_and_none_is_made(
    book: Parts, database: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(MasterKeyError, match="does not exist"),
        assembled(database, tmp_path / "lost.key", catalogue=toy_catalogue),
    ):
        pass
    assert not (tmp_path / "lost.key").exists()


@pytest.mark.parametrize("content", ["", "daybook-master-key-1:", "daybook-master-key-1:AAAA", "garbage", "\x00\xff"])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "master.key").write_text(content, encoding="latin-1")
    (tmp_path / "master.key").chmod(0o600)
    with pytest.raises(MasterKeyError, match=r"master\.key"):
        master_key(tmp_path / "master.key", begun=True)


def test_a_master_key_is_its_owners_alone_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: master_key(file, begun=False), range(8)))
    assert file.stat().st_mode & 0o777 == 0o600
    wrapped = keys[0].wrap(b"k" * 32, b"one", 1)
    assert {key.unwrap(wrapped, b"one") for key in keys} == {b"k" * 32}
    file.chmod(0o644)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        master_key(file, begun=True)


def test_of_many_processes_that_begin_a_book_one_makes_its_master_key(database: str, tmp_path: Path) -> None:
    gate = threading.Barrier(4)

    def begin(_: int) -> UUID:
        gate.wait()
        with toy_book(database, tmp_path) as book:
            return written(book)

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(begin, range(4)))) == 4


def test_a_wrapped_key_serves_its_own_purpose_only() -> None:
    master = MasterKey({1: os.urandom(32)}.copy)
    wrapped = master.wrap(b"k" * 32, b"one", 1)
    assert master.unwrap(wrapped, b"one") == b"k" * 32
    with pytest.raises(MasterKeyError):
        master.unwrap(wrapped, b"two")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owner=texts, address=st.none() | texts, reason=st.none() | texts)
def test_any_event_comes_back_whole_and_withheld_where_it_is_not_opened(
    book: Parts, owner: str, address: str | None, reason: str | None
) -> None:
    event = DiaryBegun(owner=owner, address=address)
    name, public, personal = toy_catalogue.encode(event, reason)
    assert personal is not None
    subject, event_id, originator = uuid4(), uuid4(), uuid4()
    sealed = book.vault.seal(subject, event_id, originator, 1, personal)
    assert toy_catalogue.decode(name, public, personal) == event
    for how in Withheld:
        assert toy_catalogue.decode(name, public, how) == DiaryBegun(owner=how, address=how)
    again = book.vault.seal(subject, uuid4(), originator, 1, personal)
    assert sealed.new_key == again.new_key, "one key for a subject, however often it is sealed before its first append"
    assert sealed.ciphertext != again.ciphertext, "equal values must not look equal"


def test_an_older_shape_is_read_as_todays(book: Parts) -> None:
    page = uuid4()
    old = b'{"id":"%s"}' % str(page).encode()
    assert toy_catalogue.decode("PageScribbled", old, b'{"body":"hi","$reason":"r"}') == PageWritten(
        page=page, text="hi"
    )
    assert toy_catalogue.decode("PageScribbled", old, Withheld.ERASED) == PageWritten(page=page, text=Withheld.ERASED)


def test_a_name_that_nobody_registered_is_never_decoded() -> None:
    with pytest.raises(UnknownEventName):
        toy_catalogue.decode("os.system", b"{}", None)


def test_two_events_can_not_share_a_name() -> None:
    with pytest.raises(ValueError, match="two events are stored as DiaryBegun"):
        Catalogue((diary, diary), older={})


@given(key=st.binary(min_size=32, max_size=32), messages=st.lists(st.binary(max_size=100), max_size=3))
def test_a_prf_is_hmac_sha256(key: bytes, messages: list[bytes]) -> None:
    prf = Prf(key)
    assert [prf(message) for message in messages] == [hmac.digest(key, message, "sha256") for message in messages]
