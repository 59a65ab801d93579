"""What must hold of a book whatever happened to its processes, checked against its raw tables.

The oracles stand outside the code under test: what clients were told, SQL over the tables, and a plain fold. Only to
open what is sealed, the book's own mapper is used.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psycopg

from api.composition import Parts, assembled
from domain.catalogue import catalogue
from domain.kernel.recorded import Recorded
from infra.entries import COLUMNS, StoredEntry
from tests.faults.commands import Acknowledged, Asked, Refused
from tests.faults.follower import Follower
from tests.faults.load import Load
from tests.faults.processes import until
from tests.projections.comparison import rows_in
from tests.projections.fold_oracle import PREFIXES, expected_rows, public

Db = psycopg.Connection[Any]
Told = Sequence[tuple[Asked, Acknowledged]]


def hold(conninfo: str, directory: Path, load: Load, follower: Follower | None = None) -> int:
    """Everything, once the clients are done: book, receipts, reservations, read models, feed. Returns the events."""
    with psycopg.connect(conninfo, autocommit=True) as db:
        head = book_holds(db)
        acknowledged_are_there(db, load.known())
        nothing_else_is_there(db, load.known(), load.refused)
        until(lambda: _posted(db) == head, f"the read models reach position {head}")
        assert db.execute("SELECT model, event, error FROM daybook_projections.parked").fetchall() == []
        read_models_and_reservations_follow(db, conninfo, directory)
        if follower is not None:
            follower.wait_for(head)
            the_feed_was_the_book(db, follower)
    return head


def book_holds(db: Db) -> int:
    """Positions are dense and in order of time, versions are dense, what is sealed has its key. Returns the head."""
    [(count, first, last)] = db.execute("SELECT count(*), min(position), max(position) FROM daybook.events")
    assert (first, last) == (1, count), f"{count} entries stand at positions {first} to {last}"
    backwards = db.execute(
        "SELECT position FROM (SELECT position, recorded_at, lag(recorded_at) OVER (ORDER BY position) AS former"
        " FROM daybook.events) AS entries WHERE recorded_at < former"
    ).fetchall()
    assert backwards == [], f"recorded before the entry before them: {backwards}"
    gaps = db.execute(
        "SELECT originator_id FROM daybook.events GROUP BY originator_id"
        " HAVING min(originator_version) <> 1 OR max(originator_version) <> count(*)"
    ).fetchall()
    assert gaps == [], f"versions have gaps in {gaps}"
    unordered = db.execute(
        "SELECT position FROM (SELECT position, originator_version AS version, lag(originator_version, 1, 0::bigint)"
        " OVER (PARTITION BY originator_id ORDER BY position) AS former FROM daybook.events) AS entries"
        " WHERE version <> former + 1"
    ).fetchall()
    assert unordered == [], f"versions and positions disagree at {unordered}"
    keyless = db.execute(
        "SELECT position FROM daybook.events LEFT JOIN daybook_keys.subjects USING (subject)"
        " WHERE sealed IS NOT NULL AND wrapped IS NULL"
    ).fetchall()
    assert keyless == [], f"sealed without a key: {keyless}"
    return int(count)


def acknowledged_are_there(db: Db, told: Told) -> None:
    """Every acknowledged command is there exactly once, where the client was told, and its receipt says so."""
    events: dict[UUID, list[tuple[UUID, int, int]]] = {}
    for key, *entry in db.execute(
        "SELECT idempotency_key, originator_id, originator_version, position FROM daybook.events ORDER BY position"
    ):
        events.setdefault(key, []).append(cast("tuple[UUID, int, int]", tuple(entry)))
    receipts = {
        key: receipt
        for key, *receipt in db.execute("SELECT idempotency_key, aggregate_id, version, position FROM daybook.receipts")
    }
    for asked, answer in told:
        found = events.get(asked.key, [])
        assert len(found) == asked.events, f"{asked} left {len(found)} events"
        assert asked.key in receipts, f"{asked} left no receipt"
        aggregate, version, position = receipts[asked.key]
        assert position == answer.position, f"{asked} was told position {answer.position}, its receipt says {position}"
        if answer.id is not None:
            assert public(_prefix(asked.noun), aggregate) == answer.id, f"{asked} was told {answer.id}"
        assert {id for id, _, _ in found} <= {aggregate}, f"{asked} left events in {found}"
        if found:
            assert found[-1][1:] == (version, position), f"{asked}: the receipt says {version}, {position}: {found}"


_ASKED = "WHERE actor <> 'daybook'"
"""The roles that every book begins with are defined by the first process itself."""


def nothing_else_is_there(db: Db, told: Told, refused: Collection[tuple[Asked, Refused]]) -> None:
    """The book holds what was acknowledged and nothing beside it: nothing twice, nothing that was refused."""
    assert len({asked.key for asked, _ in told}) == len(told), "a command was acknowledged twice"
    expected = Counter({asked.key: asked.events for asked, _ in told if asked.events})
    found = Counter(dict(db.execute(f"SELECT idempotency_key, count(*) FROM daybook.events {_ASKED} GROUP BY 1")))
    assert found == expected, f"nobody was told of {found - expected}"
    receipts = {key for (key,) in db.execute(f"SELECT idempotency_key FROM daybook.receipts {_ASKED}")}
    assert receipts == {asked.key for asked, _ in told}, "receipts stand for commands that nobody was told of"
    assert not receipts & {asked.key for asked, _ in refused}, "a refused command left a receipt"


def read_models_and_reservations_follow(db: Db, conninfo: str, directory: Path) -> None:
    """Read models equal a plain fold of the book; reservations are what its aggregates claim, and nobody else's."""
    with assembled(conninfo, directory / "master.key") as parts, db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        entries = [StoredEntry(*row) for row in db.execute(f"SELECT {COLUMNS} FROM daybook.events ORDER BY position")]
        recorded = parts.mapper.recorded(entries)
        expected = {name: rows for name, rows in expected_rows(recorded).items() if rows}
        found = rows_in(db)
        assert found.keys() == expected.keys()
        for name, rows in expected.items():
            assert found[name].keys() == rows.keys(), f"{name}: {found[name].keys() ^ rows.keys()}"
            for key, row in rows.items():
                there = {column: value for column, value in found[name][key].items() if value is not None}
                assert there == {column: value for column, value in row.items() if value is not None}, (name, key)
        held_is_what_is_claimed(db, parts, recorded)
        shared = db.execute(
            "SELECT normalised FROM daybook_read.customer_contact_points JOIN daybook_read.customers"
            " ON customers.id = customer_id WHERE customer_contact_points.kind = 'email' AND status = 'active'"
            " GROUP BY 1 HAVING count(DISTINCT customer_id) > 1"
        ).fetchall()
        assert shared == [], f"two active customers have one address: {shared}"


def held_is_what_is_claimed(db: Db, parts: Parts, book: Iterable[Recorded[Any]]) -> None:
    """Reservations are what the aggregates of the book claim as they stand, and nobody else's."""
    states: dict[UUID, tuple[str, Any]] = {}
    for entry in book:
        decider = catalogue.deciders[entry.kind]
        _, state = states.get(entry.originator_id, (entry.kind, decider.initial))
        states[entry.originator_id] = (entry.kind, decider.evolve(state, entry.event))
    claimed = Counter(
        (claim.scope, parts.vault.blind_index(claim), holder)
        for holder, (kind, state) in states.items()
        for claim in catalogue.deciders[kind].claims(state)
    )
    held = Counter(db.execute("SELECT scope, fingerprint, holder FROM daybook.reservations").fetchall())
    assert held == claimed, f"held but not claimed: {held - claimed}; claimed but not held: {claimed - held}"


def the_feed_was_the_book(db: Db, follower: Follower) -> None:
    """What the subscriber saw is the book, entry by entry."""
    book = db.execute("SELECT position, event_id, originator_id, originator_version, topic FROM daybook.events")
    expected = sorted(
        (position, public("evt", event), public(_prefix(catalogue.kind(topic)), id), version)
        for position, event, id, version, topic in book
    )
    assert follower.seen == expected[: len(follower.seen)]
    assert len(follower.seen) == len(expected)


def _posted(db: Db) -> int:
    [(position,)] = db.execute("SELECT min(position) FROM daybook_projections.models")
    return int(position)


def _prefix(noun: str) -> str:
    return PREFIXES["".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in noun)]
