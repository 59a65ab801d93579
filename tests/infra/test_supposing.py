"""A process that is alone appends in one round trip, supposing what it would find: with the outcome of looking."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.composition import Parts
from domain.appending import AlreadyHandled, ClaimTaken, Conditions, Entry, Moved
from domain.kernel import Claim, Refused, new_id
from domain.kernel.recorded import Receipt
from domain.steps import Signal
from infra.append import Append
from infra.committer import Committer
from infra.entries import COLUMNS, StoredEntry
from infra.exchange import Asked, Exchange
from infra.submissions import Submission
from tests.infra.submissions import conditions, entry
from tests.toy import BeginDiary, asking, handled

SECONDS = 8.0


class Office(NamedTuple):
    """Two committers on one book, as of two processes, and all that each of them has handed over."""

    committers: tuple[Committer, Committer]
    handed: list[StoredEntry]
    db: psycopg.Connection[Any]

    def append(self, who: int, entries: Sequence[Entry], demanded: Conditions | None) -> list[int]:
        return [*self.committers[who].submit(entries, demanded).wait()]

    def batch(self, who: int, asked: Sequence[tuple[Sequence[Entry], Conditions]]) -> list[list[int] | type[Exception]]:
        """What each comes to, appended in one transaction, in this thread: the committer's own has nothing to do."""
        committer = self.committers[who]
        submissions = [committer.submit(*each) for each in asked]
        committer._commit(submissions, monotonic() + SECONDS)  # pyright: ignore[reportPrivateUsage]
        return [_outcome(one) for one in submissions]


def _outcome(submission: Submission) -> list[int] | type[Exception]:
    try:
        return [*Signal.wait(submission)]  # its own would queue it
    except Exception as error:  # noqa: BLE001 - whichever it is, the model has to name the same
        return type(error)


@pytest.fixture
def office(book: Parts, database: str) -> Iterator[Office]:
    handed: list[StoredEntry] = []
    one, other = (Committer(database, book.vault, lambda made: handed.extend(made())) for _ in range(2))
    with psycopg.connect(database, autocommit=True) as db:
        yield Office((one, other), handed, db)
    one.close()
    other.close()


@pytest.fixture
def supposed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each append that was supposed to fit: whether it did."""
    outcomes: list[bool] = []
    commit_if_so = Append.commit_if_so

    async def noted(self: Append) -> bool:
        outcomes.append(await commit_if_so(self))
        return outcomes[-1]

    monkeypatch.setattr(Append, "commit_if_so", noted)
    return outcomes


def test_who_is_alone_asks_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = Exchange.ask

    def counted(self: Exchange, *statements: Asked, **how: Any) -> Any:
        asked.append(len(statements))
        return ask(self, *statements, **how)

    monkeypatch.setattr(Exchange, "ask", counted)
    id = new_id()
    trips: list[int] = []
    for version in range(1, 7):
        asked.clear()
        demanded = None if version == 6 else conditions(id, version)
        assert office.append(0, [entry(id, version)], demanded) == [version]
        trips.append(len(asked))
    assert trips == [2, 2, 2, 1, 1, 1], "once it has twice found the book as it was left, it does not look"


def test_who_finds_that_another_has_appended_looks_first(office: Office, supposed: list[bool]) -> None:
    def append(who: int) -> list[int]:
        return office.append(who, [entry(id := new_id())], conditions(id))

    assert [append(0) for _ in range(4)] == [[1], [2], [3], [4]]
    assert supposed == [True]
    assert append(1) == [5]
    assert append(0) == [6]
    assert supposed == [True, False], "it finds out under the lock"
    assert [append(who) for who in (1, 1, 0, 0, 1, 1, 0, 0)] == [[position] for position in range(7, 15)]
    assert supposed == [True, False], "and does not suppose it again while somebody else appends"
    assert [append(0), append(0)] == [[15], [16]]
    assert supposed == [True, False, True]


def test_a_look_comes_first_on_a_new_connection(office: Office, supposed: list[bool]) -> None:
    """Another server may be behind it, which has lost what the former one had acknowledged."""
    for _ in range(4):
        office.append(0, [entry(id := new_id())], conditions(id))
    assert supposed == [True]
    office.db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
    office.db.execute("DELETE FROM daybook.events WHERE position = 4")
    office.db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'daybook committer' AND datname = current_database()"
    )
    id = new_id()
    assert office.append(0, [entry(id)], conditions(id)) == [4]
    assert supposed == [True], "what was sent over the lost connection came to nothing"


@pytest.mark.parametrize("looks", [True, False])
def test_times_stand_in_order_whatever_the_clock_says(office: Office, supposed: list[bool], looks: bool) -> None:
    for _ in range(1 if looks else 3):
        office.append(0, [entry(id := new_id())], conditions(id))
    office.db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
    office.db.execute("UPDATE daybook.events SET recorded_at = now() + interval '1 hour'")  # then it was set back
    office.append(0, [entry(id := new_id())], conditions(id))
    assert supposed == ([] if looks else [True])
    [[before], [after]] = office.db.execute(
        "SELECT recorded_at FROM daybook.events ORDER BY position DESC LIMIT 2"
    ).fetchall()
    assert before == after == office.handed[-1].recorded_at


def test_what_gives_something_back_is_looked_up(office: Office, supposed: list[bool]) -> None:
    id, claim = new_id(), Claim("address", "here")
    office.append(0, [entry(id)], conditions(id, takes=[claim]))
    for version in (2, 3, 4):
        office.append(0, [entry(id, version)], conditions(id, version))
    office.append(0, [entry(id, 5)], conditions(id, 5, gives_back=[claim]))
    assert office.append(0, [entry(other := new_id())], conditions(other, takes=[claim])) == [6]
    assert supposed == [True, True]


def test_a_key_is_destroyed_by_one_who_is_alone(office: Office, supposed: list[bool]) -> None:
    """As where several persons are erased one after the other while nobody else works."""
    persons = [new_id() for _ in range(5)]
    for person in persons:
        office.append(0, [entry(person)], conditions(person, destroys=[person]))
    destroyed = office.db.execute("SELECT subject FROM daybook_keys.subjects WHERE destroyed_at IS NOT NULL")
    assert {subject for (subject,) in destroyed} == {*persons}
    assert supposed == []


def test_several_keys_are_found_as_they_were_supposed(office: Office, book: Parts, supposed: list[bool]) -> None:
    """Whatever the plans: made on empty tables, joins would go the other way round, and find keys in another order."""
    office.db.execute("ANALYZE")
    for _ in range(12):  # by then PostgreSQL has its plans
        office.append(0, [entry(id := new_id())], conditions(id))
    ids = [handled(book, BeginDiary(id=new_id(), owner=f"Ada {number}"), asking()).id for number in range(6)]
    supposed.clear()
    backwards = ids[::-1]
    for version in range(2, 8):
        sealed = [entry(id, version, sealed=b"sealed", commitment=b"commitment") for id in backwards]
        each = [([one], conditions(one.originator_id, version)) for one in sealed]
        assert all(isinstance(positions, list) for positions in office.batch(0, each))
    assert supposed == [False, True, True, True], "another had appended; then it looked twice; from then on it knows"


class Asks(NamedTuple):
    """A command that somebody might send, in terms of few records, keys and claims."""

    record: int
    entries: int
    behind: int
    """By how much the version that it was decided on is out of date."""
    other: int | None
    """Another record that was read, and of which version: 0 stands for the newest."""
    other_behind: int
    key: int | None
    """Under which key that was used before; None: a new one."""
    takes: list[tuple[int, bool]]
    """Claims, and whether each may stand beside others. What a record holds it does not take again."""
    gives_back: list[int]
    """Of what it holds."""
    ago: timedelta | None


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * (4 * len(others)) + [*others])


ASKS = st.builds(
    Asks,
    record=st.integers(0, 3),
    entries=mostly(1, 0, 2, 3),
    behind=mostly(0, 1, -1),
    other=st.none() | st.integers(0, 3),
    other_behind=mostly(0, 1),
    key=mostly(None, 0, 1, 2),
    takes=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=2, unique_by=lambda one: one[0]),
    gives_back=mostly([], [0], [1, 2]),
    ago=mostly(None, timedelta(hours=1), timedelta(0), timedelta(hours=-1)),
)


class Book:
    """What an append does, once more, in plain Python: every rule in a line or two."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.versions: dict[UUID, int] = {}
        self.occurred: dict[UUID, datetime] = {}
        self.receipts: dict[UUID, Receipt] = {}
        self.slots: dict[str, dict[int, UUID]] = {}

    def holds(self, id: UUID, claim: int) -> bool:
        return id in self.slots.get(str(claim), {}).values()

    def append(self, entries: Sequence[Entry], demanded: Conditions) -> list[int] | type[Exception]:
        me = demanded.receipt.id
        if demanded.idempotency_key in self.receipts:
            return AlreadyHandled
        if any(self.versions.get(id, 0) != version for id, version in demanded.expects.items()):
            return Moved
        times = [one.occurred_at for one in entries if one.occurred_at is not None]
        now = datetime.now(UTC)
        if any(at > now or at < self.occurred.get(me, at) for at in times):
            return Refused
        for claim in demanded.takes:
            others = {slot for slot, holder in self.slots.get(claim.value, {}).items() if holder != me}
            if others and not claim.shared:
                return ClaimTaken
        for claim in demanded.gives_back:
            held = self.slots.setdefault(claim.value, {})
            self.slots[claim.value] = {slot: holder for slot, holder in held.items() if holder != me}
        for claim in demanded.takes:
            held = self.slots.setdefault(claim.value, {})
            slot = next(one for one in range(9) if one not in {at for at, holder in held.items() if holder != me})
            held[slot] = me
        positions = [self.position + number for number, _ in enumerate(entries, start=1)]
        self.position += len(entries)
        if entries:
            self.versions[me] = entries[-1].originator_version
            self.occurred[me] = entries[-1].occurred_at or now
        self.receipts[demanded.idempotency_key] = Receipt(me, demanded.receipt.version, self.position if entries else 0)
        return positions


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.tuples(mostly(0, 1), st.lists(ASKS, min_size=1, max_size=3)), min_size=3, max_size=15))
def test_the_outcome_is_that_of_looking(office: Office, batches: list[tuple[int, list[Asks]]]) -> None:
    [[begun]] = office.db.execute("SELECT coalesce(max(position), 0) FROM daybook.events").fetchall()
    model, place = Book(begun), str(uuid4())
    ids, keys = [new_id() for _ in range(4)], [uuid4()]
    office.handed.clear()
    for who, asks in batches:
        submissions = [_submission(ask, model, ids, keys, place) for ask in asks]
        expected = [model.append(*each) for each in submissions]
        assert office.batch(who, submissions) == expected
    receipts = office.db.execute(
        "SELECT idempotency_key, aggregate_id, version, position FROM daybook.receipts"
        " WHERE idempotency_key = ANY (%s)",
        (keys,),
    )
    assert {key: Receipt(*kept) for key, *kept in receipts} == model.receipts
    slots = office.db.execute("SELECT slot, holder FROM daybook.reservations WHERE scope = %s", (place,))
    assert sorted(slots) == sorted(each for held in model.slots.values() for each in held.items())
    rows = office.db.execute(
        f"SELECT {COLUMNS} FROM daybook.events WHERE position > {begun} ORDER BY position".encode()
    )
    stored = [StoredEntry(*row) for row in rows]
    assert [one.position for one in stored] == [*range(begun + 1, model.position + 1)]
    assert office.handed == stored, "what is handed over is what stands in the book"
    assert all(one.recorded_at <= other.recorded_at for one, other in pairwise(stored))


def _submission(
    ask: Asks, model: Book, ids: Sequence[UUID], keys: list[UUID], place: str
) -> tuple[list[Entry], Conditions]:
    """What a door would submit that has seen the book as the model is."""
    id = ids[ask.record]
    read = max(model.versions.get(id, 0) - ask.behind, 0)
    expects = {id: read}
    if ask.other is not None and ids[ask.other] != id:
        expects[ids[ask.other]] = max(model.versions.get(ids[ask.other], 0) - ask.other_behind, 0)
    key = keys[ask.key % len(keys)] if ask.key is not None else uuid4()
    keys.append(key)
    at = None if ask.ago is None else datetime.now(UTC) - ask.ago
    entries = [entry(id, read + number, occurred_at=at) for number in range(1, ask.entries + 1)]
    # What changes nothing claims nothing; and what is ahead of the model is decided on what the same batch appends.
    takes, gives_back = (ask.takes, ask.gives_back) if entries and ask.behind >= 0 else ([], [])
    return entries, conditions(
        id,
        read + ask.entries,
        idempotency_key=key,
        expects=expects,
        takes=[Claim(place, str(one), shared=shared) for one, shared in takes if not model.holds(id, one)],
        gives_back=[Claim(place, str(one)) for one in gives_back if model.holds(id, one)],
    )
