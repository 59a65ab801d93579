"""Rebuilding: from the first entry, beside the rows that serve, and switched in one transaction."""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from domain.kernel import new_id
from domain.kernel.recorded import Recorded
from infra.embedded.software import wheel_binaries
from projections import rebuild as rebuilding
from projections import tables
from projections.model import Model, Posting, Table
from projections.rebuild import NoMomentToSwitch, RebuildUnderWay, drop_leftovers, rebuild
from projections.status import status
from projections.tables import ModelError, install
from tests.postgres import NEWEST
from tests.projections.conftest import Diaries, until
from tests.projections.diaries import DIARIES, PAGES, append, counted, diaries, plain_fold, post, rows
from tests.toy import DiaryBegun, DiaryClosed, DiaryMoved, PageWritten


def write(book: Diaries, many: int = 20) -> int:
    last = 0
    for n in range(many):
        events = DiaryBegun(owner=f"Owner {n}"), PageWritten(page=new_id(), text="a"), DiaryMoved(address=f"Street {n}")
        last = append(book.parts, new_id(), 1, *events)
    return last


def folded(book: Diaries) -> dict[str, list[tuple[Any, ...]]]:
    return plain_fold(book.parts.mapper.recorded(book.parts.store.entries(0, 1_000_000)))


def test_a_rebuild_repairs_rows_while_the_runner_runs_and_commands_go_on(
    book: Diaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "SIZE", 25)
    last = write(book)
    reports: list[tuple[int, int]] = []
    with book.running(batch=10):
        book.wait(last)
        book.db.execute("UPDATE daybook_read.diaries SET owner = 'wrong'; DELETE FROM daybook_read.diary_pages")

        def report(position: int, of: int) -> None:
            reports.append((position, of))
            write(book, 2)

        rebuild(book.parts.conninfo, book.parts.mapper, diaries, report)
        book.wait(write(book, 3))
    assert rows(book.db) == folded(book)
    assert len(reports) >= 3
    assert reports == sorted(reports)
    assert book.db.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%rebuild%'").fetchone() == (0,)
    # Keys and indexes came along.
    [(indexes,)] = book.db.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'diaries'")
    assert indexes == 2


def test_another_version_is_not_written_until_it_is_rebuilt(book: Diaries) -> None:
    with book.running():
        last = write(book)
        book.wait(last)
    by_text = Table(name="pages_by_text", columns={"page": "uuid NOT NULL", "text": "text"}, key=("page",))

    def post_2(posting: Posting, recorded: Recorded[Any]) -> None:
        if isinstance(recorded.event, PageWritten):
            posting.insert(by_text, page=recorded.event.page, text=recorded.event.text)

    newer = book._replace(models=(Model(name="diaries", version=2, tables=(by_text,), post=post_2), counted))
    assert install(book.db, newer.models) == ["diaries"]
    before = rows(book.db)
    with newer.running():
        last = write(book)
        until(lambda: newer.position("counted") == last)
        seen = status(book.db, newer.models)
        assert not seen.ready
        assert "daybook rebuild diaries" in seen.problems[0]
        assert rows(book.db) == before
        rebuild(book.parts.conninfo, book.parts.mapper, newer.models[0])
        newer.wait(write(book))
        assert status(book.db, newer.models).ready
    assert book.db.execute("SELECT count(*) FROM daybook_read.pages_by_text").fetchone() == (60,)
    assert book.db.execute("SELECT to_regclass('daybook_read.diaries')").fetchone() == (None,)


def test_without_a_runner_the_model_stands_where_the_rebuild_has_read_to(book: Diaries) -> None:
    last = write(book)
    rebuild(book.parts.conninfo, book.parts.mapper, diaries)
    assert (book.position("diaries"), book.position("counted")) == (last, 0)
    assert rows(book.db) == folded(book)
    with book.running():
        book.wait(write(book))
    assert rows(book.db) == folded(book)


def test_the_switch_takes_what_came_at_the_last_moment(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = rebuilding.Rebuild._switch

    def late(self: rebuilding.Rebuild) -> None:
        append(book.parts, new_id(), 1, DiaryBegun(owner="a"), DiaryMoved(address="bug"))
        with book.running():
            book.wait(write(book))
        switch(self)

    monkeypatch.setattr(rebuilding.Rebuild, "_switch", late)
    write(book)
    rebuild(book.parts.conninfo, book.parts.mapper, diaries)
    assert book.position("diaries") == book.position("counted")
    [(_, _, bad, event, _)] = book.parked()
    assert event == "DiaryMoved"
    entries = [entry for entry in book.parts.store.entries(0, 1_000) if entry.position != bad]
    assert rows(book.db) == plain_fold(book.parts.mapper.recorded(entries))


def test_a_switch_that_has_to_be_tried_again_skips_nothing(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autovacuum holds a new table for a moment, say, when the switch has just caught up in its transaction."""
    switch, drop, tried = rebuilding.Rebuild._switch, tables.drop, list[int]()

    def late(self: rebuilding.Rebuild) -> None:
        if not tried:
            append(book.parts, new_id(), 1, DiaryBegun(owner="a"), DiaryMoved(address="bug"))
            with book.running():
                book.wait(write(book))
        switch(self)

    def busy(*arguments: Any) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise psycopg.errors.LockNotAvailable
        drop(*arguments)

    monkeypatch.setattr(rebuilding.Rebuild, "_switch", late)
    monkeypatch.setattr(tables, "drop", busy)
    write(book)
    rebuild(book.parts.conninfo, book.parts.mapper, diaries)
    assert len(tried) == 2
    [(_, _, bad, event, _)] = book.parked()
    assert event == "DiaryMoved"
    entries = [entry for entry in book.parts.store.entries(0, 1_000) if entry.position != bad]
    assert rows(book.db) == plain_fold(book.parts.mapper.recorded(entries))


def test_a_rebuild_finds_poison_anew(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "SIZE", 2)
    sick, healed = new_id(), new_id()
    append(book.parts, sick, 1, DiaryBegun(owner="a"), DiaryMoved(address="nowhere"), DiaryClosed(), DiaryClosed())
    append(book.parts, healed, 1, DiaryBegun(owner="b"), DiaryMoved(address="bug"))
    with book.running():
        book.wait(write(book))
        assert {lane for _, lane, *_ in book.parked()} == {sick, healed}

        def mended(posting: Posting, recorded: Recorded[Any]) -> None:
            if recorded.originator_id == healed:
                posting.insert(DIARIES, id=healed, closed=True, version=1, position=1, recorded_at=recorded.recorded_at)
            else:
                post(posting, recorded)

        today = Model(name="diaries", version=1, tables=(DIARIES, PAGES), post=mended)
        rebuild(book.parts.conninfo, book.parts.mapper, today)
        book.wait(write(book))
    assert [(lane, at, event) for _, lane, at, event, _ in book.parked()] == [(sick, 2, "DiaryMoved")]


def test_two_rebuilds_of_one_model_are_refused(book: Diaries) -> None:
    write(book)
    begun, go_on = threading.Event(), threading.Event()

    def report(position: int, of: int) -> None:
        begun.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(1) as other:
        first = other.submit(rebuild, book.parts.conninfo, book.parts.mapper, diaries, report)
        assert begun.wait(20)
        with pytest.raises(RebuildUnderWay, match="diaries"):
            rebuild(book.parts.conninfo, book.parts.mapper, diaries)
        rebuild(book.parts.conninfo, book.parts.mapper, counted)
        go_on.set()
        first.result(20)
    assert rows(book.db) == folded(book)


KILLED = """
import os, signal, sys
from pathlib import Path
from projections import rebuild as rebuilding
from tests.projections.diaries import diaries
from tests.toy import toy_book

conninfo, folder, point = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def die(*anything):
    os.kill(os.getpid(), signal.SIGKILL)

match point:
    case "in the switch": rebuilding.tell = die
    case "before the switch": rebuilding.Rebuild._switch = die
    case _: pass

with toy_book(conninfo, folder) as parts:
    rebuilding.rebuild(conninfo, parts.mapper, diaries, die if point == "after rows" else lambda position, of: None)
"""


@pytest.mark.parametrize("point", ["after rows", "before the switch", "in the switch"])
def test_killed_it_leaves_the_old_rows_and_the_next_begins_anew(book: Diaries, tmp_path: Path, point: str) -> None:
    with book.running():
        last = write(book)
        book.wait(last)
        before = rows(book.db)
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, book.parts.conninfo, str(tmp_path), point],
            timeout=60, cwd=Path(__file__).parents[2], check=False, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert killed.returncode == -9, killed.stderr.decode()[-2000:]
        assert rows(book.db) == before
        book.wait(write(book))
        until(lambda: book.db.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,))
        rebuild(book.parts.conninfo, book.parts.mapper, diaries)
    assert rows(book.db) == folded(book)


def schemas(book: Diaries) -> list[str]:
    return [name for (name,) in book.db.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%rebuild%'")]


def test_what_killed_rebuilds_have_left_is_dropped_and_what_others_build_is_not(book: Diaries) -> None:
    write(book)
    for schema in ("daybook_rebuild_counted", "daybook_rebuild_of_another_version"):
        book.db.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.rows ()")
    begun, go_on = threading.Event(), threading.Event()

    def report(position: int, of: int) -> None:
        begun.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(1) as other:
        under_way = other.submit(rebuild, book.parts.conninfo, book.parts.mapper, diaries, report)
        assert begun.wait(20)
        drop_leftovers(book.db)
        assert schemas(book) == ["daybook_rebuild_diaries"]
        go_on.set()
        under_way.result(20)
    rebuild(book.parts.conninfo, book.parts.mapper, counted)  # whoever drops keeps nobody from it
    assert rows(book.db) == folded(book)


def test_the_documented_backup_holds_no_rows_of_a_rebuild(book: Diaries) -> None:
    """It says that it holds no personal value in plain text."""
    book.db.execute("CREATE SCHEMA daybook_rebuild_diaries")
    book.db.execute("CREATE TABLE daybook_rebuild_diaries.diaries AS SELECT 'Ada Lovelace' AS owner")
    pages = (Path(__file__).parents[2] / "docs/operator/README.md").read_text(encoding="utf-8")
    found = re.findall(r"--exclude-(?:table|schema|table-data) [^ ]+", pages[: pages.index("## Restore")])
    options = [part.strip("'") for option in found for part in option.split()]
    assert options
    dump = subprocess.run(
        [wheel_binaries(NEWEST) / "pg_dump", "--dbname", book.parts.conninfo, *options],
        timeout=60, check=True, capture_output=True,
    ).stdout  # fmt: skip
    assert b"daybook.events" in dump
    assert b"Ada Lovelace" not in dump


def test_a_long_query_is_waited_for_and_holds_nobody_up(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    with book.running():
        last = write(book)
        book.wait(last)
        with psycopg.connect(book.parts.conninfo) as reading:
            reading.execute("SELECT count(*) FROM daybook_read.diaries")
            monkeypatch.setattr(rebuilding, "PATIENCE", 1.0)
            with pytest.raises(NoMomentToSwitch, match="old rows still serve"):
                rebuild(book.parts.conninfo, book.parts.mapper, diaries)
            book.wait(write(book))
        monkeypatch.setattr(rebuilding, "PATIENCE", 60.0)
        rebuild(book.parts.conninfo, book.parts.mapper, diaries)
    assert rows(book.db) == folded(book)


def test_a_vacuum_gives_way_to_the_switch(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autovacuum does so for whoever has waited for a second; the switch waited for less, again and again."""
    monkeypatch.setattr(rebuilding, "PATIENCE", 3.0)
    last = write(book)
    waits = """
        SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'daybook_read.diaries'::regclass
        AND NOT granted AND waitstart < clock_timestamp() - interval '1 s')
    """
    with psycopg.connect(book.parts.conninfo) as vacuum, book.running(), ThreadPoolExecutor(1) as beside:
        book.wait(last)
        vacuum.execute("LOCK TABLE daybook_read.diaries IN SHARE UPDATE EXCLUSIVE MODE")
        rebuilt = beside.submit(rebuild, book.parts.conninfo, book.parts.mapper, diaries)
        until(lambda: rebuilt.done() or book.db.execute(waits).fetchone() == (True,))
        book.wait(write(book, 1))
        vacuum.rollback()
        rebuilt.result()
    assert rows(book.db) == folded(book)


def test_whoever_looks_in_while_a_runner_posts_waits_for_nothing(book: Diaries) -> None:
    """Every command does, in development: it must not fail for that, nor keep the runner from posting."""
    with psycopg.connect(book.parts.conninfo) as runner:
        runner.execute("UPDATE daybook_projections.models SET moved_at = now()")
        book.db.execute("SET lock_timeout = '1s'")
        assert install(book.db, book.models) == []
        with pytest.raises(psycopg.errors.LockNotAvailable):
            install(book.db, ())  # what is to be dropped is waited for


def test_what_is_not_installed_can_not_be_rebuilt(book: Diaries) -> None:
    other = Model(name="other", version=1, tables=(Table(name="t", columns={"id": "text"}),), post=post)
    with pytest.raises(ModelError, match="daybook migrate"):
        rebuild(book.parts.conninfo, book.parts.mapper, other)


@pytest.mark.parametrize(
    ("columns", "key", "complaint"),
    [
        ({"id": "text DEFAULT 'x'"}, ("id",), "default"),
        ({"id": "bytea"}, ("id",), "JSON"),
        ({"id": "text"}, ("no",), "no column"),
    ],
)
def test_a_table_that_can_not_be_used_is_refused(
    book: Diaries, columns: dict[str, str], key: tuple[str, ...], complaint: str
) -> None:
    table = Table(name="t", columns=columns, key=key)
    with pytest.raises(ModelError, match=complaint):
        install(book.db, [Model(name="other", version=1, tables=(table,), post=post)])
    two = [Model(name=name, version=1, tables=(DIARIES,), post=post) for name in ("a", "b")]
    with pytest.raises(ModelError, match="both declare"):
        install(book.db, two)


def test_a_model_that_the_code_no_longer_has_is_dropped(book: Diaries) -> None:
    install(book.db, [counted])
    assert book.db.execute("SELECT to_regclass('daybook_read.diaries')").fetchone() == (None,)
    assert book.db.execute("SELECT name FROM daybook_projections.models").fetchall() == [("counted",)]
