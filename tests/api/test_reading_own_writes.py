"""A mutation reads its own write, also where the database crashes just then and comes back with less than it had."""

from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import psycopg
import pytest

from api.reading.reader import Reader
from projections.progress import Progress
from tests.api.book import serving

pytestmark = pytest.mark.anyio

SET_BACK = """
    DELETE FROM daybook_read.teams;
    UPDATE daybook_projections.models SET position = position - 1 WHERE name = 'teams';
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'daybook progress'
"""
"""What a crash leaves of a posting that was not on the disk yet: read models are written without waiting for it."""


async def test_a_write_is_read_back_across_a_crash(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select, crashes, found = Reader.select, [1], list[bytes]()
    progresses: list[Progress] = []
    enter = Progress.__aenter__

    async def entered(self: Progress) -> Progress:
        progresses.append(self)
        return await enter(self)

    async def selected(self: Reader, *arguments: Any) -> bytes:
        if not crashes:
            return await select(self, *arguments)
        crashes.pop()
        (progress,) = progresses
        losses, until = progress.losses, monotonic() + 20
        with psycopg.connect(database) as runner:
            runner.execute("SELECT FROM daybook_projections.lease FOR UPDATE")  # nothing is posted meanwhile
            with psycopg.connect(database, autocommit=True) as db:
                db.execute(SET_BACK)
            while progress.losses == losses:
                assert monotonic() < until
                await anyio.sleep(0.01)
            found.append(await select(self, *arguments))
        return found[0]

    monkeypatch.setattr(Progress, "__aenter__", entered)
    monkeypatch.setattr(Reader, "select", selected)
    async with serving(database, tmp_path) as client:
        payload = await client.mutate("teamCreate", "team { name } position userErrors { code }", name="West")
    assert found == [b"null"], "the crash was no crash"
    assert payload["team"] == {"name": "West"}
