"""What is done in the background: token uses are written, and what has expired is removed."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, LiteralString, Self

import psycopg
from psycopg_pool import PoolTimeout

from api.directory import Directory
from api.identity.sessions import IDLE, LIFETIME
from api.identity.store import Access
from api.identity.throttle import MOST_KEPT
from api.identity.uses import TokenUses
from projections.background import ended

_log = logging.getLogger("daybook.identity")

WRITE: Final = 5.0
"""Seconds between two writings of token uses."""
SWEEP: Final = 12
"""Every how many of them what has expired is removed: once a minute, and when somebody's permissions have changed."""


class Upkeep:
    """One for each process; several of them do not disturb each other:

    `async with Upkeep(pool, directory, uses)`."""

    def __init__(self, pool: Access, directory: Directory, uses: TokenUses) -> None:
        self._pool, self._directory, self._uses = pool, directory, uses

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="identity's upkeep")
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._task)
        with suppress(psycopg.Error, PoolTimeout):
            await self._uses.write()

    async def _run(self) -> None:
        turn, edition = 0, self._directory.edition
        while True:
            try:
                await self._uses.write()
                if turn % SWEEP == 0 or self._directory.edition != edition:
                    edition = self._directory.edition
                    await self.sweep()
            except (psycopg.Error, PoolTimeout) as error:
                _log.warning("The upkeep of access waits for the database (%s).", type(error).__name__)
            turn += 1
            await asyncio.sleep(WRITE)

    async def sweep(self) -> None:
        """Remove what has expired, and the sessions that a deactivation has ended."""
        async with self._pool.connection() as db:
            for statement, values in _EXPIRED:
                await db.execute(statement, values)
            holders = [holder for (holder,) in await (await db.execute(_HOLDERS)).fetchall()]
            await db.execute(_END, (holders, [self._directory.last_deactivation(holder) for holder in holders]))


_EXPIRED: Final[tuple[tuple[LiteralString, tuple[object, ...]], ...]] = (
    (
        "DELETE FROM daybook_access.sessions WHERE begun_at < now() - %s OR used_at < now() - %s",
        (LIFETIME, IDLE),
    ),
    ("DELETE FROM daybook_access.resets WHERE expires_at < now()", ()),
    ("DELETE FROM daybook_access.attempts WHERE last_at < now() - interval '1 day' AND next_at < now()", ()),
    (
        """DELETE FROM daybook_access.attempts WHERE key IN
               (SELECT key FROM daybook_access.attempts ORDER BY last_at DESC OFFSET %s)""",
        (MOST_KEPT,),
    ),
)
_HOLDERS: LiteralString = "SELECT DISTINCT staff_member FROM daybook_access.sessions"
_END: LiteralString = """
    WITH ended AS (
        DELETE FROM daybook_access.sessions AS session USING unnest(%s::uuid[], %s::bigint[]) AS known (holder, last)
        WHERE session.staff_member = known.holder AND session.deactivation < known.last
        RETURNING session.staff_member
    )
    INSERT INTO daybook_access.journal (actor, staff_member, what)
    SELECT DISTINCT 'daybook', staff_member, 'deactivated' FROM ended
"""
