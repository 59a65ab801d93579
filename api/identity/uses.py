"""When API tokens were used last: noted in memory, and written to the table off the requests' path."""

import time
from typing import Final, LiteralString

from api.identity.store import Access

GRAIN: Final = 60.0
"""Seconds within which a token's use is noted once."""


class TokenUses:
    """One for each process."""

    def __init__(self, pool: Access) -> None:
        self._pool = pool
        self._noted: dict[str, float] = {}
        self._unwritten: set[str] = set()

    def note(self, token: str) -> None:
        """`token`: its public id."""
        now = time.monotonic()
        if self._noted.get(token, 0.0) + GRAIN <= now:
            self._noted[token] = now
            self._unwritten.add(token)

    async def write(self) -> None:
        """Write what was noted since. Raises psycopg.Error; then it is written the next time."""
        if not self._unwritten:
            return
        written = list(self._unwritten)
        async with self._pool.connection() as db:
            await db.execute(_WRITE, (written,))
        self._unwritten.difference_update(written)


_WRITE: LiteralString = """
    INSERT INTO daybook_access.token_uses (token_id, last_used_at) SELECT id, now() FROM unnest(%s::text[]) AS id
    ON CONFLICT (token_id) DO UPDATE SET last_used_at = greatest(token_uses.last_used_at, excluded.last_used_at)
"""
