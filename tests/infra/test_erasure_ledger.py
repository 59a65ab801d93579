"""The erasure ledger: what it says was written down is on the disk, or nothing is erased; replayed, it erases once."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from api.composition import Parts, assembled
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.customer import PERSONAL_DATA_ERASED
from domain.kernel import new_id
from domain.kernel.recorded import Context
from domain.steps import blocking
from infra.erasure.ledger import Ledger, LedgerError


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a disk that is full in the middle of a line: the first write is cut short, and raises nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_was_cut_short_is_not_taken_for_written(tmp_path: Path) -> None:
    ledger, first, second = Ledger(tmp_path / "erasures.jsonl"), new_id(), new_id()
    ledger.begin(first, (first,))
    with no_file_larger_than(ledger.file.stat().st_size + 20), pytest.raises(LedgerError, match="Nothing is erased"):
        ledger.begin(second, (second,))
    assert ledger.erased() == {first: {first}}
    ledger.begin(second, (second,))
    assert ledger.erased() == {first: {first}, second: {second}}


def done(parts: Parts, noun: str, verb: str, actor: str = "user:1", /, **raw: Any) -> UUID:
    context = Context(actor=actor, idempotency_key=uuid4(), correlation_id=uuid4())
    return blocking(parts.commands.submit(catalogue.deciders[noun], verb, raw, context, unlimited(actor))).id


def registered(parts: Parts, name: str) -> UUID:
    return done(parts, "customer", "register", kind="person", name=name)


def approved(parts: Parts, id: UUID | None = None) -> UUID:
    """A customer whose erasure is approved, and waits to be carried out."""
    id = id or registered(parts, "Ada")
    done(parts, "customer", "requestErasure", id=id, ground="person_asked", reason="Asked for")
    done(parts, "customer", "erasePersonalData", "user:2", id=id, reason="Asked for")
    return id


def test_a_ticket_that_goes_over_to_somebody_else_just_then_keeps_its_words(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at what an erasure reaches and its receipt; nor is its key taken for one that came back."""
    with assembled(database, tmp_path / "master.key") as parts:
        ada, bob = registered(parts, "Ada"), registered(parts, "Bob")
        ticket = done(parts, "ticket", "open", channel="email", subject="Whose is it?")
        done(parts, "ticket", "assignCustomer", id=ticket, customer=ada)
        begin = Ledger.begin

        def overtaken(ledger: Ledger, *given: Any) -> None:
            begin(ledger, *given)
            done(parts, "ticket", "assignCustomer", id=ticket, customer=bob)

        monkeypatch.setattr(Ledger, "begin", overtaken)
        approved(parts, ada)
        assert parts.erasures.carry_out_approved() == [ada]
        assert Ledger(tmp_path / "erasures.jsonl").erased() == {ada: {ada, ticket}}
        assert parts.erasures.replay() == []
        parts.daybook.forget()
        entries = parts.store.entries(0, 100, subject=ticket, names=["TicketOpened"])
        assert [one.event.subject for one in parts.mapper.recorded(entries)] == ["Whose is it?"]
        [receipt] = parts.mapper.recorded(parts.store.entries(0, 100, names=PERSONAL_DATA_ERASED))
        assert (receipt.event.keys, receipt.event.tickets) == (1, (ticket,))


def test_what_is_carried_out_elsewhere_while_the_ledger_is_replayed_gets_one_receipt(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command looks at the ledger when it starts, also between a server's line in it and its receipt."""
    file = tmp_path / "master.key"
    with assembled(database, file) as server, assembled(database, file) as command:
        id = approved(server)
        Ledger(tmp_path / "erasures.jsonl").begin(id, (id,))
        append = command.erasures._append  # pyright: ignore[reportPrivateUsage]

        def overtaken(*given: Any) -> int:
            server.erasures.carry_out_approved()
            return append(*given)

        monkeypatch.setattr(command.erasures, "_append", overtaken)
        command.erasures.replay()
        assert len(server.store.entries(0, 100, names=PERSONAL_DATA_ERASED)) == 1


def test_a_receipt_of_a_former_shape_is_one(database: str, tmp_path: Path) -> None:
    """Or a new version would carry out again whatever an older one has."""
    with assembled(database, tmp_path / "master.key") as parts:
        id, state = approved(parts), b'{"ground":"person_asked","opportunities":[],"tickets":[],"keys":1,"entries":3}'
        former = StoredEvent(originator_id=id, originator_version=4, topic=PERSONAL_DATA_ERASED[0], state=state)
        parts.store.insert_events([former])
        assert parts.erasures.carry_out_approved() == []
        assert parts.daybook.fold(id).version == 4
