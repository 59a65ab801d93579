"""Waiting for the read models, and saying how they are."""

import asyncio
import errno
import json
import os
from collections.abc import Coroutine
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest

from domain.kernel import new_id
from domain.kernel.recorded import Recorded
from infra.log.checkpointer import Growth
from infra.log.note import Signer
from projections.ledger import LISTEN, PROJECTED, UNLISTEN
from projections.model import Model, Posting, Table
from projections.progress import Progress
from projections.rebuild import rebuild
from projections.retry import retry
from projections.status import STILL, UNSIGNED, status
from projections.tables import install
from tests.projections.conftest import Diaries, until
from tests.projections.diaries import append, counted, diaries, post
from tests.toy import DiaryBegun, DiaryClosed, DiaryMoved

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await main

    return asyncio.run(bounded())


def begin(book: Diaries) -> int:
    return append(book.parts, new_id(), 1, DiaryBegun(owner="Ada"))


def test_reached_behind_and_beyond(book: Diaries) -> None:
    async def main() -> None:
        first = begin(book)
        async with Progress(book.parts.logins.reading, book.models) as progress:
            assert progress.position == 0
            assert await progress.reached(0, 0) == "REACHED"
            assert await progress.reached(first, 0.05) == "BEHIND"
            waiting = [asyncio.create_task(progress.reached(first, 20)), asyncio.create_task(progress.beyond(0))]
            await asyncio.sleep(0)
            with book.running():
                assert await asyncio.gather(*waiting) == ["REACHED", first]
                assert progress.position == first
                position = first
                for _ in range(20):
                    position = await asyncio.to_thread(begin, book)
                    assert await progress.reached(position, 20) == "REACHED"
                assert await progress.reached(position + 1, 0.05) == "BEHIND"

    run(main())


def test_only_the_models_that_are_asked_for(book: Diaries) -> None:
    async def main() -> None:
        last = begin(book)
        with book._replace(models=(counted,)).running():
            async with Progress(book.parts.logins.reading, book.models) as progress:
                assert await progress.reached(last, 20, models=["counted"]) == "REACHED"
                assert await progress.reached(last, 0.05) == "BEHIND"
                assert await progress.reached(last, 0.05, models=["diaries", "counted"]) == "BEHIND"

    run(main())


def test_a_parked_lane_is_told_at_once(book: Diaries) -> None:
    async def main() -> None:
        sick, well = new_id(), new_id()
        good = append(book.parts, sick, 1, DiaryBegun(owner="Ada"))
        bad = append(book.parts, sick, 2, DiaryMoved(address="nowhere"))
        other = append(book.parts, well, 1, DiaryBegun(owner="Ada"))
        async with Progress(book.parts.logins.reading, book.models) as progress:
            waiting = asyncio.create_task(progress.reached(bad, 20, sick))
            await asyncio.sleep(0)
            with book.running():
                assert await waiting == "PARKED"
                assert await progress.reached(other, 20, well) == "REACHED"
                assert await progress.reached(good, 20, sick) == "REACHED"
                assert await progress.reached(bad, 20, sick, ["counted"]) == "REACHED"
                later = await asyncio.to_thread(append, book.parts, sick, 3, DiaryClosed())
                begun = monotonic()
                assert await progress.reached(later, 20, sick) == "PARKED"
                assert monotonic() - begun < 1

    run(main())


def test_a_thousand_wait_without_a_connection_or_a_thread_each(book: Diaries) -> None:
    async def main() -> None:
        last = [begin(book) for _ in range(20)]
        async with Progress(book.parts.logins.reading, book.models) as progress:
            waiting = [asyncio.create_task(progress.reached(last[n % 20], 30)) for n in range(1_000)]
            gave_up = [asyncio.create_task(progress.reached(last[-1] + 9, 0.01)) for _ in range(1_000)]
            assert set(await asyncio.gather(*gave_up)) == {"BEHIND"}
            [(connections,)] = book.db.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daybook progress'"
                " AND datname = current_database()"
            )
            assert connections == 1
            with book.running(batch=3):
                assert set(await asyncio.gather(*waiting)) == {"REACHED"}

    run(main())


def test_a_waiter_outlives_its_connection(book: Diaries) -> None:
    async def main() -> None:
        last = begin(book)
        async with Progress(book.parts.logins.reading, book.models) as progress:
            waiting = asyncio.create_task(progress.reached(last, 30))
            await asyncio.sleep(0)
            book.db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'daybook progress'"
                " AND datname = current_database()"
            )
            with book.running():
                assert await waiting == "REACHED"

    run(main())


def test_a_lost_notice_costs_a_poll_and_no_more(book: Diaries) -> None:
    async def main() -> None:
        last = begin(book)
        async with Progress(book.parts.logins.reading, book.models) as progress:
            waiting = asyncio.create_task(progress.reached(last, 20))
            await asyncio.sleep(0)
            book.db.execute("UPDATE daybook_projections.models SET position = %s", (last,))  # without a notice
            assert await waiting == "REACHED"

    run(main())


async def follows(book: Diaries, progress: Progress) -> None:
    for _ in range(20):
        assert await progress.reached(await asyncio.to_thread(begin, book), 20) == "REACHED"


def test_the_runner_of_this_process_tells_at_first_hand(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.progress.POLL", 60.0)
    monkeypatch.setattr("projections.progress.LISTEN", b"LISTEN where_nothing_is_sent")

    async def main() -> None:
        async with Progress(book.parts.logins.reading, book.models) as progress:
            with book.running(progress=progress):
                await follows(book, progress)

    run(main())


def test_notices_are_heard_again_once_another_leads(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.progress.POLL", 60.0)

    async def main() -> None:
        async with Progress(book.parts.logins.reading, book.models) as progress:
            for leader in (progress, None, progress):
                with book.running(progress=leader):
                    await follows(book, progress)

    run(main())


def test_whoever_begins_to_listen_misses_nothing(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits without a notice and commits with one follow each other, as the only listener comes and goes."""
    monkeypatch.setattr("projections.progress.POLL", 60.0)

    async def main() -> None:
        posting, posted = True, 0

        async def post_on() -> None:
            nonlocal posted
            while posting:
                await asyncio.to_thread(begin, book)
                posted += 1

        with book.running():
            others = asyncio.create_task(post_on())
            for _ in range(40):
                async with Progress(book.parts.logins.reading, book.models) as progress:
                    assert await progress.reached(await asyncio.to_thread(begin, book), 20) == "REACHED"
            posting = False
            await others
        assert posted

    run(main())


def test_a_notice_is_given_where_somebody_listens(book: Diaries) -> None:
    with book.running():
        book.db.execute(f"LISTEN {PROJECTED}")  # and says so to nobody
        book.wait(begin(book))
        unheard = [*book.db.notifies(timeout=0)]
        book.db.execute(f"UNLISTEN {PROJECTED}")
        book.db.execute(LISTEN)
        last = begin(book)
        heard = [*book.db.notifies(timeout=20, stop_after=1)]
        book.db.execute(UNLISTEN)
    assert unheard == []
    assert [json.loads(notice.payload)["position"] for notice in heard] == [last]
    held = book.db.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    assert held.fetchone() == (0,)


def advisory(book: Diaries, *, granted: bool) -> int:
    """How many sessions of this database share an advisory lock, as those do who listen; or wait to."""
    [(many,)] = book.db.execute(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted = %s AND datname = current_database()",
        (granted,),
    )
    return int(many)


def test_a_commit_that_hangs_keeps_nobody_from_beginning(book: Diaries) -> None:
    """As one does that waits for a standby which is away."""
    first = begin(book)
    with book.running(), psycopg.connect(book.parts.conninfo, autocommit=True) as holder:
        book.wait(first)
        book.db.execute(
            "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END$$;"
            " CREATE CONSTRAINT TRIGGER hang AFTER UPDATE ON daybook_projections.models"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang()"
        )
        holder.execute("SELECT pg_advisory_lock(4711)")
        last = begin(book)
        until(lambda: advisory(book, granted=False))

        async def main() -> None:
            async with Progress(book.parts.logins.reading, book.models) as progress:
                assert progress.position == first
                assert await progress.reached(first, 20) == "REACHED"
                waiting = asyncio.create_task(progress.reached(last, 20))
                await asyncio.to_thread(holder.execute, "SELECT pg_advisory_unlock(4711)")
                assert await waiting == "REACHED"

        run(main())


@pytest.mark.parametrize("first", [True, False])
def test_a_lead_that_changes_meanwhile_is_not_overlooked(
    book: Diaries, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """While the connection is being told to listen, or not to."""
    monkeypatch.setattr("projections.progress.POLL", 60.0)
    slow = b"SELECT pg_sleep(0.5); "
    monkeypatch.setattr("projections.progress.LISTEN", slow + LISTEN if first else LISTEN)
    monkeypatch.setattr("projections.progress.UNLISTEN", UNLISTEN if first else slow + UNLISTEN)

    def sleeps() -> bool:
        [(many,)] = book.db.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        )
        return bool(many)

    async def main() -> None:
        async with Progress(book.parts.logins.reading, book.models) as progress:
            progress.lead(first)
            await asyncio.to_thread(until, lambda: advisory(book, granted=True) == (0 if first else 1))
            progress.lead(not first)
            await asyncio.to_thread(until, sleeps)
            progress.lead(first)
            await asyncio.to_thread(until, lambda: not sleeps() and advisory(book, granted=True) == (0 if first else 1))

    run(main())


def test_what_is_told_at_first_hand_of_a_parked_lane(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.progress.POLL", 60.0)

    async def main() -> None:
        sick = new_id()
        async with Progress(book.parts.logins.reading, book.models) as progress:
            with book.running(progress=progress):
                good = await asyncio.to_thread(append, book.parts, sick, 1, DiaryBegun(owner="Ada"))
                assert await progress.reached(good, 20, sick) == "REACHED"
                bad = await asyncio.to_thread(append, book.parts, sick, 2, DiaryMoved(address="nowhere"))
                assert await progress.reached(bad, 20, sick) == "PARKED"

    run(main())


@pytest.mark.parametrize("how", ["retry", "rebuild"])
def test_lanes_that_another_process_frees_or_parks(book: Diaries, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The leader is of this process, so no notice is listened for."""
    monkeypatch.setattr("projections.runner.FRESH", 0.1)

    def tolerant(posting: Posting, recorded: Recorded[Any]) -> None:
        if recorded.originator_id != sick or recorded.originator_version != 2:
            post(posting, recorded)

    def strict(posting: Posting, recorded: Recorded[Any]) -> None:
        if recorded.originator_id == well:
            raise LookupError
        tolerant(posting, recorded)

    sick, well = new_id(), new_id()
    logins, mapper = book.parts.logins, book.parts.mapper

    async def main() -> None:
        async with Progress(logins.reading, book.models) as progress:
            with book.running(progress=progress):
                await asyncio.to_thread(append, book.parts, sick, 1, DiaryBegun(owner="Ada"))
                first = await asyncio.to_thread(append, book.parts, well, 1, DiaryBegun(owner="Eva"))
                bad = await asyncio.to_thread(append, book.parts, sick, 2, DiaryMoved(address="nowhere"))
                assert await progress.reached(bad, 20, sick) == "PARKED"
                freeing = Model(name="diaries", version=1, tables=diaries.tables, post=tolerant)
                if how == "retry":
                    await asyncio.to_thread(retry, logins.posting, mapper, [freeing])
                else:
                    await asyncio.to_thread(rebuild, book.parts.conninfo, mapper, freeing)
                assert await _becomes(progress, bad, sick, "REACHED")
                parking = Model(name="diaries", version=1, tables=diaries.tables, post=strict)
                await asyncio.to_thread(rebuild, book.parts.conninfo, mapper, parking)
                assert await _becomes(progress, first, well, "PARKED")

    run(main())


async def _becomes(progress: Progress, position: int, aggregate: UUID, outcome: str) -> bool:
    """Whether that is answered sooner or later."""
    deadline = monotonic() + 10
    while await progress.reached(position, 10, aggregate) != outcome:
        if monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def test_it_goes_on_after_a_notice_that_it_can_not_read(book: Diaries) -> None:
    async def main() -> None:
        async with Progress(book.parts.logins.reading, book.models) as progress:
            await asyncio.to_thread(until, lambda: _listens(book))
            book.db.execute("SELECT pg_notify(%s, 'of another version')", (PROJECTED,))
            await asyncio.to_thread(until, lambda: progress.losses)
            with book.running():
                assert await progress.reached(await asyncio.to_thread(begin, book), 20) == "REACHED"

    run(main())


def _listens(book: Diaries) -> bool:
    [(listens,)] = book.db.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'daybook progress' AND state = 'idle'"
        " AND datname = current_database())"
    )
    return bool(listens)


def test_it_goes_on_once_there_are_descriptors_again(book: Diaries, monkeypatch: pytest.MonkeyPatch) -> None:
    failed, real = list[int](), os.dup

    def dup(descriptor: int) -> int:
        if not failed:
            failed.append(descriptor)
            raise OSError(errno.EMFILE, "Too many open files")
        return real(descriptor)

    async def main() -> None:
        monkeypatch.setattr(os, "dup", dup)
        async with Progress(book.parts.logins.reading, book.models) as progress:
            with book.running():
                assert await progress.reached(await asyncio.to_thread(begin, book), 20) == "REACHED"
        assert failed

    run(main())


def test_a_notice_of_another_version_s_rows_counts_for_nothing(book: Diaries) -> None:
    """As in a process that was started before `daybook rebuild`."""

    async def main() -> None:
        newer = Model(name="diaries", version=2, tables=diaries.tables, post=post)
        with book.running():
            async with Progress(book.parts.logins.reading, (newer, counted)) as progress:
                for _ in range(3):
                    last = await asyncio.to_thread(begin, book)
                    assert await progress.reached(last, 20, models=["counted"]) == "REACHED"
                    assert await progress.reached(last, 0) == "BEHIND"

    run(main())


def test_it_does_not_begin_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr("projections.progress.ANSWER", 0.5)
        with pytest.raises(TimeoutError):
            async with Progress("host=127.0.0.1 port=1", [diaries]):
                raise AssertionError("it began")

    run(main())


def test_status_is_never_ready_while_nothing_runs(book: Diaries) -> None:
    seen = status(book.db, book.models)
    assert not seen.ready
    assert "daybook work" in seen.problems[0]
    with book.running(name="the leader"):
        book.wait(begin(book))
        seen = status(book.db, book.models)
        assert (seen.ready, seen.problems, seen.leader) == (True, (), "the leader")
        assert [(one.name, one.position, one.lag) for one in seen.models] == [("diaries", 1, 0), ("counted", 1, 0)]
        assert (seen.head, seen.position) == (1, 1)
        assert seen.lease_expires_at is not None
    assert not status(book.db, book.models).ready


def test_status_tells_a_model_that_stands_still_from_a_quiet_book(book: Diaries) -> None:
    with book.running():
        book.wait(begin(book))
        long_ago = (timedelta(seconds=STILL + 60),)
        # Quiet for a minute: nothing to move to.
        book.db.execute("UPDATE daybook_projections.models SET moved_at = now() - %s", long_ago)
        assert status(book.db, book.models).ready
    book.db.execute("UPDATE daybook_projections.lease SET holder = 'stuck', expires_at = now() + interval '1 h'")
    begin(book)
    # Behind, but only just.
    assert status(book.db, book.models).ready
    # The clock of the test can't be turned, so the book is: an entry of a minute ago.
    with psycopg.connect(book.parts.conninfo, autocommit=True) as db:
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        db.execute("UPDATE daybook.events SET recorded_at = now() - %s WHERE position = 2", long_ago)
    seen = status(book.db, book.models)
    assert not seen.ready
    assert "diaries has stood at 1 of 2 for 6" in seen.problems[0]


def test_status_tells_a_model_that_stands_still_since_the_clock_was_set_back(book: Diaries) -> None:
    with book.running():
        book.wait(begin(book))
    book.db.execute("UPDATE daybook_projections.lease SET holder = 'stuck', expires_at = now() + interval '1 h'")
    begin(book)
    assert status(book.db, book.models).ready
    book.db.execute("UPDATE daybook_projections.models SET moved_at = now() + interval '1 h'")
    assert not status(book.db, book.models).ready


def test_entries_that_nobody_signs_and_entries_that_are_gone_are_alarms(book: Diaries) -> None:
    growth, ages = Growth(Signer("daybook/tested", bytes(32))), "UPDATE daybook.events SET recorded_at = now() - %s"
    with psycopg.connect(book.parts.conninfo, autocommit=True) as db, book.running():
        book.wait(begin(book))
        assert status(book.db, book.models).alarms == ()  # signed within seconds, mostly
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        db.execute(ages, (timedelta(seconds=UNSIGNED + 1),))
        [alarm] = status(book.db, book.models).alarms
        assert "No checkpoint was signed since entry 1, 61 seconds ago" in alarm
        growth.catch_up(db)
        book.wait(begin(book))
        assert status(book.db, book.models).alarms == ()
        db.execute("DELETE FROM daybook.events WHERE position = 2")
        [alarm] = status(book.db, book.models).alarms
        assert "ends at entry 1, and the read models have posted 2" in alarm


def test_a_model_that_somebody_has_set_ahead_of_the_book_is_named(book: Diaries) -> None:
    last = begin(book)
    with book.running():
        book.wait(last)
    far = 2**63 - 1
    book.db.execute("UPDATE daybook_projections.models SET position = %s WHERE name = 'counted'", (far,))
    told = status(book.db, book.models)
    assert [(one.name, one.position, one.lag) for one in told.models] == [("diaries", last, 0), ("counted", far, 0)]
    assert any("or somebody has set counted forward" in alarm for alarm in told.alarms)

    # It takes nobody along, and a rebuild brings it back.
    last = begin(book)
    with book.running():
        until(lambda: book.position("diaries") >= last)
        rebuild(book.parts.conninfo, book.parts.mapper, counted)
        assert (book.position("diaries"), book.position("counted")) == (last, last)
        book.wait(last := begin(book))
    assert (book.position("diaries"), book.position("counted")) == (last, last)
    assert book.db.execute("SELECT count(*) FROM daybook_read.counted").fetchone() == (last,)


def test_an_entry_without_an_end_of_time_is_waited_for_as_any_other(book: Diaries) -> None:
    """Its time was altered."""
    growth = Growth(Signer("daybook/tested", bytes(32)))
    with book.running():
        book.wait(begin(book))
        growth.catch_up(book.db)
        until(lambda: status(book.db, book.models).ready)
        book.db.execute("UPDATE daybook_projections.models SET position = 0, moved_at = now() - interval '1 h'")
        book.db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        for time in ("infinity", "-infinity"):
            book.db.execute("UPDATE daybook.events SET recorded_at = %s", (time,))
            assert status(book.db, book.models).alarms == ()


def test_status_names_a_missing_model(book: Diaries) -> None:
    missing = Model(name="missing", version=1, tables=(Table(name="t", columns={"id": "text"}),), post=post)
    with book.running():
        until(lambda: status(book.db, book.models).ready)
        assert "missing is missing" in status(book.db, [*book.models, missing]).problems[0]
    install(book.db, book.models)
