"""A PostgreSQL that says nothing any more on the connections that there are: nobody waits for it for ever."""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psycopg
import pytest

from tests.api.book import Client, serving

pytestmark = pytest.mark.anyio

SILENCE = 2.0
BUSY = {"daybook projections", "daybook projections, reading", "daybook commands", "daybook log", "daybook attestation"}
"""Those that ask something all the time. Others find out when they do."""
OURS = """
    SELECT pid, application_name FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'daybook %'
"""


@contextmanager
def stuck(database: str) -> Iterator[dict[int, str]]:
    """All sessions of the application stand still, by their processes; new ones do not."""
    with psycopg.connect(database, autocommit=True) as db:
        sessions: dict[int, str] = dict(db.execute(OURS).fetchall())
    for pid in sessions:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield sessions
    finally:
        for pid in sessions:
            os.kill(pid, signal.SIGCONT)


async def registered(client: Client) -> bool:
    """Whether a customer could be entered, and stood in the read models in time."""
    document = "mutation M($input: CustomerRegisterInput!) { customerRegister(input: $input) { customer { name } } }"
    given = {"idempotencyKey": "6b1f0b1e-3f0c-4f5e-9f0e-2b7f5d0c9a11", "kind": "PERSON", "name": "Ada"}
    answer = (await client.post(document, {"input": given})).json()
    return (answer.get("data") or {}).get("customerRegister") == {"customer": {"name": "Ada"}}


async def ready(client: Client) -> bool:
    return (await client.http.get("/readyz")).status_code == 200


async def connected(database: str, silent: frozenset[int] = frozenset()) -> bool:
    """Whether those that are busy have sessions, beside the silent ones."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as db:
        rows = await (await db.execute(OURS)).fetchall()
    return {name for pid, name in rows if pid not in silent} >= BUSY


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(600):
        if await condition():
            return
        await anyio.sleep(0.1)
    raise AssertionError("it has not come true")


async def test_every_part_of_a_server_finds_new_connections(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("infra.silence", "infra.exchange", "api.reading.lines"):
        monkeypatch.setattr(f"{where}.LONGEST_SILENCE", SILENCE)
    async with serving(database, tmp_path, attested_per_second=100, patience=1.0) as client:
        await client.mutate("customerRegister", "position", kind="ORGANISATION", name="Before")
        await until(lambda: connected(database))
        with stuck(database) as silent:
            await until(lambda: registered(client))
            await until(lambda: ready(client))
            await until(lambda: connected(database, frozenset(silent)))
