"""An erasure that names many records: it takes work for each of them, and for each of them once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from infra.entries import StoredEntry
from projections.posting import post
from projections.registry import models
from projections.runner import ProjectionRunner
from projections.tables import install
from tests.api.filled import opened
from tests.api.test_contacts_in_the_book import approved, doer
from tests.projections.conftest import until

MANY = 200


def test_a_customer_with_many_tickets_is_posted_anew(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(database, tmp_path) as parts, psycopg.connect(database, autocommit=True) as db:
        install(db, models)
        do, opens = doer(parts), doer(parts, "ticket")
        ada = do("register", kind="person", name="Ada").id
        for at in range(MANY):
            opens("open", customer=ada, channel="email", subject=f"Subject {at}")
        approved(do, ada)
        assert parts.erasures.carry_out_approved() == [ada]
        entries = parts.store.entries(0, 1_000_000)
        head = entries[-1].position

        def history(id: UUID, last: int) -> Sequence[StoredEntry]:
            return [entry for entry in entries if entry.originator_id == id and entry.position <= last]

        with monkeypatch.context() as patched:
            hashed = _counted(patched)
            posted = post(parts.mapper, entries, models, {}, history)
            assert hashed() < 50 * len(entries)
        lanes = [unit.lane for unit in posted.units if unit.at.position == head]
        assert {lane for lane in lanes if lane[0] == "tickets"} == {
            ("tickets", entry.originator_id) for entry in entries if entry.topic == "TicketOpened"
        }
        runner = ProjectionRunner(parts.logins.posting, parts.mapper, models, lease_seconds=1.0)
        runner.start()
        try:
            least = "SELECT min(position) FROM daybook_projections.models"
            until(lambda: db.execute(least).fetchone() == (head,))
        finally:
            runner.stop()
        assert db.execute("SELECT count(*), count(subject) FROM daybook_read.tickets").fetchone() == (MANY, 0)


def _counted(patched: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often ids were hashed: once for whatever looks whether a lane is among others."""
    times, was = 0, UUID.__hash__

    def counting(id: UUID) -> int:
        nonlocal times
        times += 1
        return was(id)

    patched.setattr(UUID, "__hash__", counting)
    return lambda: times
