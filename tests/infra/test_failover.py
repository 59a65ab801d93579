"""Another server takes over without the last entries, as an asynchronous standby may: nobody goes on from them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from api.composition import Parts, assembled
from domain.customer import PERSONAL_DATA_ERASED, AddCustomerNote, CustomerKind, RegisterCustomer
from domain.kernel import Refused, new_id
from domain.queue import CreateQueue, RenameQueue
from infra.append import APPEND_LOCK
from infra.person_keys import rotate_one
from tests.api.filled import opened
from tests.api.test_contacts_in_the_book import approved, doer
from tests.faults.processes import until
from tests.standby import Standby
from tests.toy import (
    AddressTaken,
    BeginDiary,
    CloseDiary,
    DiaryIsClosed,
    MoveDiary,
    WritePage,
    asking,
    handled,
    toy_book,
)


def test_what_is_lost_is_not_decided_on(books: tuple[Parts, Parts], standby: Standby) -> None:
    one, two = books
    written, closed, moved = (handled(one, BeginDiary(id=new_id(), owner="Ada"), asking()).id for _ in range(3))
    standby.falls_behind()
    handled(one, WritePage(id=written, page=new_id(), text="lost"), asking())
    handled(one, CloseDiary(id=closed), asking())
    handled(one, MoveDiary(id=moved, address="X"), asking())
    standby.takes_over()
    assert handled(one, WritePage(id=written, page=new_id(), text="kept"), asking()).version == 2
    assert handled(one, WritePage(id=closed, page=new_id(), text="it is open"), asking()).version == 2
    handled(two, MoveDiary(id=moved, address="Y"), asking())
    handled(one, MoveDiary(id=moved, address="Z"), asking())
    handled(two, BeginDiary(id=new_id(), owner="Eve", address="Y"), asking())
    with pytest.raises(Refused) as taken:
        handled(two, BeginDiary(id=new_id(), owner="Eve", address="Z"), asking())
    assert taken.value.broken == (AddressTaken(path=("address",)),)


def test_what_was_decided_on_what_is_lost_is_decided_anew(
    books: tuple[Parts, Parts], standby: Standby, database: str, tmp_path: Path
) -> None:
    one, _ = books
    id = handled(one, BeginDiary(id=new_id(), owner="Ada"), asking()).id
    standby.falls_behind()
    with toy_book(standby.conninfo, tmp_path) as elsewhere:
        handled(elsewhere, CloseDiary(id=id), asking())
    handled(one, WritePage(id=id, page=new_id(), text="lost, in the place of the closing"), asking())
    with ThreadPoolExecutor() as pool, psycopg.connect(database, autocommit=True) as db:
        db.execute("SELECT pg_advisory_lock(%s)", (APPEND_LOCK,))
        going = pool.submit(handled, one, WritePage(id=id, page=new_id(), text="on its way"), asking())
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: db.execute(waiting).fetchall(), "it waits for the lock")
        standby.takes_over()
        with pytest.raises(Refused) as refused:
            going.result(30)
    assert refused.value.broken == (DiaryIsClosed(),)


def test_nothing_is_sealed_under_a_key_that_is_lost(database: str, tmp_path: Path, standby: Standby) -> None:
    file = tmp_path / "master.key"
    with assembled(database, file) as one, assembled(database, file) as two:
        id = handled(one, CreateQueue(id=new_id(), name="1"), asking()).id

        def named(parts: Parts, name: str) -> None:
            handled(parts, RenameQueue(id=id, name=name), asking(reason="the first that is sealed makes the key"))

        standby.falls_behind()
        named(one, "lost")
        standby.takes_over()
        named(two, "2")
        named(one, "3")
    with assembled(database, file) as another:
        parts = another.vault.open_entries(another.store.entries(0, 10))
    assert [type(part) for part in parts] == [type(None), bytes, bytes]


def test_nothing_is_sealed_under_a_generation_that_is_lost(database: str, tmp_path: Path, standby: Standby) -> None:
    """Notes, for what a fold opens would tell that the generation is another one."""
    file = tmp_path / "master.key"
    with assembled(database, file) as one, assembled(database, file) as two:
        id = handled(one, RegisterCustomer(id=new_id(), kind=CustomerKind.PERSON, name="Ada"), asking()).id

        def noted(parts: Parts, text: str) -> None:
            handled(parts, AddCustomerNote(id=id, note=new_id(), text=text), asking())

        standby.falls_behind()
        rotate_one(database, file, id)
        noted(one, "lost")
        standby.takes_over()
        rotate_one(database, file, id)
        noted(two, "2")
        noted(one, "3")
    with assembled(database, file) as another:
        parts = another.vault.open_entries(another.store.entries(0, 10))
    assert [type(part) for part in parts] == 3 * [bytes]


def test_an_erasure_whose_receipt_is_lost_is_carried_out_again(database: str, tmp_path: Path, standby: Standby) -> None:
    with opened(database, tmp_path) as parts:
        do = doer(parts)
        ada = do("register", kind="person", name="Ada").id
        approved(do, ada)
        standby.falls_behind()
        forgotten = parts.daybook.forgotten
        until(lambda: carried_out(parts), "it is carried out")
        until(lambda: parts.daybook.forgotten > forgotten, "what was known of her is forgotten")
        parts.daybook.fold(ada)  # and how she stands is remembered again
        standby.takes_over()
        with psycopg.connect(database, autocommit=True) as db:
            receipts = "SELECT FROM daybook.events WHERE topic = ANY(%s)"

            def again() -> bool:
                carried_out(parts)
                return db.execute(receipts, ([*PERSONAL_DATA_ERASED],)).rowcount == 1

            until(again, "it is carried out again")
            kept = db.execute("SELECT FROM daybook_keys.subjects WHERE subject = %s AND wrapped IS NOT NULL", (ada,))
            assert not kept.rowcount


def carried_out(parts: Parts) -> list[UUID]:
    """Whose erasure was; nobody's where a connection was found to be broken."""
    with suppress(psycopg.OperationalError):
        return parts.erasures.carry_out_approved()
    return []
