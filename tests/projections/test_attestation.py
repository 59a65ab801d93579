"""Attestation: what makes rows differ from the book is found within so many rounds; whatever else happens is not."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from math import ceil
from random import Random
from typing import Any, NamedTuple

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from api.composition import Parts, assembled
from domain.kernel.recorded import Recorded
from infra.migrations import migrate
from projections import posting
from projections.attestation import Attestation, Looked, Record
from projections.attesting import AGAIN, Attestor
from projections.drawing import OWNERS
from projections.lanes import Unit
from projections.model import Table
from projections.past import with_past
from projections.rebuild import NoMomentToSwitch, rebuild
from projections.registry import models
from projections.runner import ProjectionRunner
from projections.status import status
from projections.tables import install
from tests.projections.books import made_up_book
from tests.projections.comparison import TABLES, complete, rows_in
from tests.projections.conftest import until
from tests.projections.fold_oracle import expected_rows
from tests.projections.test_models_tables import append_recorded, wait_until_posted

Db = psycopg.Connection[Any]
ROUND = 20
STORED = {table.name: table for table in with_past(TABLES.values())}
"""All tables, with all columns that they have in the database."""


class Book(NamedTuple):
    """A book of every kind of event, posted."""

    parts: Parts
    db: Db
    rest: list[Recorded[Any]]
    """What comes next."""

    @property
    def head(self) -> int:
        return self.parts.store.max_notification_id() or 0

    def append(self, many: int) -> list[Recorded[Any]]:
        taken, self.rest[:] = self.rest[:many], self.rest[many:]
        append_recorded(self.parts, taken)
        return taken

    def attestor(self, seed: int = 0) -> Attestor:
        return Attestor(self.parts.mapper, models, Random(seed))

    def rounds(self) -> int:
        """After which every record was looked at, and every id in the rows."""
        [(records,)] = self.db.execute("SELECT count(DISTINCT originator_id) FROM daybook.events")
        pages = [
            1 + self.db.execute(SQL("SELECT FROM daybook_read.{}").format(Identifier(name))).rowcount // OWNERS
            for name in STORED
        ]
        return max(ceil(int(records) / (ROUND // 2)) + 1, sum(pages))

    def wrong_ones(self) -> set[Record]:
        """The records whose rows are not what a plain fold of the book holds."""
        must = complete(expected_rows(self.parts.mapper.recorded(self.parts.store.entries(0, self.head))))
        there, found = rows_in(self.db), set[Record]()
        for model in models:
            for table in model.tables:
                sides = must.get(table.name, {}), there.get(table.name, {})
                for key in sides[0].keys() | sides[1].keys():
                    row, other = (side.get(key) for side in sides)
                    if row != other:
                        found |= {(model.name, one[table.of]) for one in (row, other) if one}
        return found

    def attest(self, attestor: Attestor | None = None) -> None:
        """As many rounds as it takes."""
        attestor = attestor or self.attestor()
        for _ in range(self.rounds()):
            attestor.round(self.db, ROUND)


@contextmanager
def running(parts: Parts, batch: int = 100) -> Iterator[ProjectionRunner]:
    runner = ProjectionRunner(parts.logins.posting, parts.mapper, models, batch=batch)
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


@pytest.fixture(scope="module")
def book(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A book that has been posted so far, in which every table has rows."""
    migrate(module_database)
    with (
        assembled(module_database, tmp_path_factory.mktemp("attestation") / "master.key") as parts,
        psycopg.connect(module_database, autocommit=True) as owner,
        psycopg.connect(parts.logins.posting, autocommit=True) as db,
    ):
        install(owner, models)
        found = Book(parts, db, made_up_book(1, wishes=2_420))
        found.append(850)
        with running(parts):
            wait_until_posted(owner, found.head)
        yield found


def test_rows_as_they_should_be_raise_no_alarm(book: Book) -> None:
    steps = list(book.attestor().all(book.db))
    assert [one for _, looked in steps for one in looked.mismatches] == []
    # Whatever a table holds has been looked at: the column that names the record is the right one.
    looked = {record for _, step in steps for record in step.records}
    for model in models:
        for table in with_past(model.tables):
            query = SQL("SELECT DISTINCT {} FROM daybook_read.{}").format(Identifier(table.of), Identifier(table.name))
            owners = {(model.name, owner) for (owner,) in book.db.execute(query)}
            assert owners or table.name not in TABLES, f"{table.name} is empty here"
            assert owners <= looked
    attested = status(book.db, models).attested
    assert attested.looked_at is not None
    assert attested.passed_at is not None
    assert attested.records >= len(looked)


def changed(table: Table, random: Random, key: Composed) -> Composed:
    """A statement that changes one value of a row, whichever."""
    column = random.choice(values_of(table) or [table.of])
    kind = table.columns[column].split()[0]
    value = {
        "text": "{0} || ' '",
        "bigint": "{0} + 1",
        "integer": "{0} + 1",
        "smallint": "{0} + 1",
        "numeric": "{0} + 0.01",
        "boolean": "NOT {0}",
        "date": "{0} + 1",
        "timestamptz": "{0} + interval '1 microsecond'",
        "uuid": "gen_random_uuid()",
        "json": "'{{}}'::json",
        "text[]": "ARRAY['more']",
    }[kind]
    other = {"text": "'other'", "numeric": "1", "bigint": "1", "integer": "1", "smallint": "1", "date": "'2026-01-01'"}
    instead = SQL("coalesce({}, {})").format(
        SQL(value).format(Identifier(column)),  # pyright: ignore[reportArgumentType]
        SQL(other.get(kind, "now()" if kind == "timestamptz" else "NULL")),  # pyright: ignore[reportArgumentType]
    )
    return SQL("UPDATE daybook_read.{} SET {} = {} WHERE {}").format(
        Identifier(table.name), Identifier(column), instead, key
    )


def values_of(table: Table) -> list[str]:
    return [name for name in table.columns if name not in (*table.key, table.of)]


def added(table: Table, random: Random, key: Composed) -> Composed:
    """A statement that adds a row that no entry made: of a record that there is, or of one that nobody knows."""
    stranger = random.random() < 0.5
    instead: dict[str, Composable] = {name: Identifier(name) for name in table.columns}
    for name in table.key:
        kind = table.columns[name].split()[0]
        instead[name] = SQL("{} || 'x'" if kind == "text" else "{} + 1000000").format(Identifier(name))
    if table.of in table.key and not stranger and len(table.key) > 1:
        instead[table.of] = Identifier(table.of)
    elif table.of not in table.key and stranger:
        instead[table.of] = Literal("cus_00000000000000000000000000")
    if "number" in instead:  # the one that is unique
        instead["number"] = SQL("number + 1000000")
    values = SQL(", ").join(instead.values())
    return SQL("INSERT INTO daybook_read.{0} SELECT {1} FROM daybook_read.{0} WHERE {2}").format(
        Identifier(table.name), values, key
    )


def removed(table: Table, random: Random, key: Composed) -> Composed:
    return SQL("DELETE FROM daybook_read.{} WHERE {}").format(Identifier(table.name), key)


FAULTS = {changed: "with another", removed: "missing", added: "no entry made"}
WORDS = {"missing", "that", "no", "entry", "made", "with", "another"}
NAMES = {name for table in STORED.values() for name in (table.name, *table.columns)}


def test_what_somebody_did_to_rows_is_found_in_so_many_rounds_and_forgotten_once_they_were_built_anew(
    book: Book,
) -> None:
    random, planted = Random(7), list[tuple[str, str, str]]()
    with psycopg.connect(book.parts.conninfo, autocommit=True) as owner:
        for name in STORED:
            owner.execute(f"CREATE TEMP TABLE old_{name} AS SELECT * FROM daybook_read.{name}".encode())
        for model in models:
            for table in with_past(model.tables):
                for how, row in zip((changed, removed, added), keys(owner, table, random), strict=False):
                    assert owner.execute(how(table, random, row)).rowcount == 1
                    moved = how is changed and not values_of(table)  # there is nothing to change but whose it is
                    planted.append((model.name, table.name, "missing" if moved else FAULTS[how]))
        book.attest(book.attestor(seed=1))
        told = status(book.db, models)
        found = {(one.model, one.what) for one in told.mismatched_records}
        missed = [one for one in planted if not any(one[0] == model and fits(one, what) for model, what in found)]
        assert missed == []
        assert told.mismatched <= len(planted) + 10, "what was not touched is right; a row that moved is two"
        words = {word for _, what in found for word in re.findall(r"[^\W\d]+", what)}
        assert words <= NAMES | WORDS, "no value in an alarm"
        rebuild(book.parts.conninfo, book.parts.mapper, models[0])
        for name in STORED:
            owner.execute(f"DELETE FROM daybook_read.{name}".encode())
            owner.execute(f"INSERT INTO daybook_read.{name} SELECT * FROM old_{name}".encode())
        assert status(book.db, models).mismatched == told.mismatched, "only a look clears an alarm"
        attestor = book.attestor(seed=2)
        for _ in range(ceil(told.mismatched / AGAIN)):
            attestor.round(book.db, 2)
        assert status(book.db, models).mismatched == 0


def keys(owner: Db, table: Table, random: Random) -> list[Composed]:
    """Conditions that each hold for one row of a table, for three at most."""
    names = SQL(", ").join(map(Identifier, table.key))
    rows = owner.execute(SQL("SELECT {} FROM daybook_read.{}").format(names, Identifier(table.name))).fetchall()
    return [
        SQL(" AND ").join(
            SQL("{} = {}").format(Identifier(name), Literal(value)) for name, value in zip(table.key, row, strict=True)
        )
        for row in random.sample(rows, min(3, len(rows)))
    ]


def fits(planted: tuple[str, str, str], what: str) -> bool:
    _, table, fault = planted
    return any(one.startswith(f"{table}: ") and fault in one for one in what.split("; "))


def test_a_rebuild_does_not_switch_the_tables_under_a_look(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = """
        SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation'
            AND relation IN ('daybook_read.teams'::regclass, 'daybook_read.team_external_ids'::regclass)
    """
    fold = Attestation._fold
    [teams] = [model for model in models if model.name == "teams"]
    with ThreadPoolExecutor(1) as workers, psycopg.connect(book.parts.conninfo, autocommit=True) as owner:
        switches = list[Future[None]]()

        def folded(*arguments: Any) -> int:
            """In the midst of a look, a rebuild wants to switch, or has done so."""
            switches.append(workers.submit(rebuild, book.parts.conninfo, book.parts.mapper, teams))
            until(lambda: switches[0].done() or owner.execute(waits).rowcount)
            monkeypatch.undo()
            return fold(*arguments)

        monkeypatch.setattr(Attestation, "_fold", folded)
        looked = [one for _, one in book.attestor().all(book.db)]
        switches[0].result()
    assert [mismatch for one in looked for mismatch in one.mismatches] == []


def inserts(unit: Unit) -> bool:
    """Whether it makes rows that the tables refuse a second time, so that its lane is parked."""
    return any(verb == "insert" and table.is_keyed_by_record for verb, table, _, _ in unit.changes)


def test_entries_that_were_posted_never_or_twice_are_found(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner itself goes wrong; positions, lag and lanes say that all is well."""
    post, random, planted = posting.post, Random(3), Counter[str]()

    def wrong(*arguments: Any) -> posting.Posted:
        made = post(*arguments)
        units = list(made.units)
        for unit in units:
            if random.random() < 0.1:
                planted["skipped"] += 1
                made.units.remove(unit)
            elif random.random() < 0.1 and unit is not units[-1] and not inserts(unit):
                planted["doubled"] += 1
                made.units.append(unit)  # side by side they would leave the rows as they are
        return made

    monkeypatch.setattr(posting, "post", wrong)
    with running(book.parts, batch=30):
        book.append(150)
        wait_until_posted(book.db, book.head)
        now = status(book.db, models)
        assert (now.ready, {one.lag for one in now.models}) == (True, {0})
        wrong_ones = book.wrong_ones()
        assert min(planted["skipped"], planted["doubled"], len({model for model, _ in wrong_ones})) >= 3
        book.attest()
        found = {(one.model, one.record): one.what for one in status(book.db, models).mismatched_records}
        assert found.keys() >= wrong_ones
        # What was skipped, and made good by a later event, is wrong in the past only.
        rest = {record: what for record, what in found.items() if record not in wrong_ones}
        assert [what for what in rest.values() if not re.search("_past: |since_", what)] == []


def test_a_race_and_lanes_that_stand_still_are_no_alarm(book: Book) -> None:
    known = {(one.model, one.record) for one in status(book.db, models).mismatched_records}
    with running(book.parts, batch=7), ThreadPoolExecutor(1) as workers:
        random = Random(1)

        def write() -> None:
            while many := book.append(random.choice((1, 3, 20))):
                stopped = random.choice(many).originator_id
                unreadable = StoredEvent(stopped, 1_000_000 + random.randrange(1_000_000), "NobodyKnows", b"{}")
                book.parts.store.insert_events([unreadable])

        writer = workers.submit(write)
        attestor, looks = book.attestor(), list[Looked]()
        while not writer.done():
            looks.append(attestor.round(book.db, 40))
            with suppress(NoMomentToSwitch):
                rebuild(book.parts.conninfo, book.parts.mapper, models[len(looks) % len(models)])
        writer.result()
        wait_until_posted(book.db, book.head)
        book.attest(attestor)
        assert {one.record for looked in looks for one in looked.mismatches} <= known
        assert status(book.db, models).parked > 5
