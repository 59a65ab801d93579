"""Sessions of browsers: a random value in a cookie, of which only the hash is stored."""

import asyncio
import secrets
from collections.abc import Collection
from datetime import timedelta
from hashlib import sha256
from typing import Final, LiteralString
from uuid import UUID

import msgspec

from api.identity.store import Access

LIFETIME: Final = timedelta(days=7)
"""After which one has to sign in anew, whatever one does."""
IDLE: Final = timedelta(hours=12)
"""Without a request, after which one has to."""
_PARAMETERS: Final = {"lifetime": LIFETIME, "idle": IDLE}


class Open(msgspec.Struct, frozen=True):
    """A session that is good."""

    hash: bytes
    staff_member: UUID
    since: int
    """The deactivation, by its position, that was the holder's last when it began: none after it leaves it good."""
    until: float
    """Seconds of the epoch, when its lifetime ends."""


class Sessions:
    """Looked up at each request: one that has ended is good nowhere, from that moment on.

    What stands in the book ends them too; whoever looks one up compares it with the directory.
    """

    def __init__(self, pool: Access) -> None:
        self._pool = pool
        self.some_ended = asyncio.Event()
        """Set by whoever ends some in this process; whoever watches over connections clears it."""

    async def begin(self, staff_member: UUID, since: int, password_hash: str) -> str | None:
        """The value for the cookie of a new session; None where the password has changed meanwhile.

        `since`: the holder's last deactivation, as known before the password was looked at.
        """
        value = secrets.token_urlsafe(32)
        begun = (digest(value), since, staff_member, password_hash)
        async with self._pool.connection() as db:
            found = await (await db.execute(_BEGIN, begun)).fetchone()
        return None if found is None else value

    async def find(self, value: str) -> Open | None:
        """The session of a cookie's value; its use is noted, to the minute."""
        async with self._pool.connection() as db:
            hash_ = digest(value)
            given = {"hash": hash_, **_PARAMETERS}
            found = await (await db.execute(_FIND, given)).fetchone()
            if found is None:
                return None
            staff_member, since, until, stale = found
            if stale:
                await db.execute("UPDATE daybook_access.sessions SET used_at = now() WHERE hash = %(hash)s", given)
        return Open(hash_, staff_member, since, float(until))

    async def end(self, hash: bytes) -> None:  # noqa: A002
        async with self._pool.connection() as db:
            await db.execute("DELETE FROM daybook_access.sessions WHERE hash = %s", (hash,))
        self.some_ended.set()

    async def good(self, hashes: Collection[bytes]) -> set[bytes]:
        """Those of these sessions that have not ended."""
        async with self._pool.connection() as db:
            rows = await db.execute(_GOOD, {"hashes": list(hashes), **_PARAMETERS})
            return {hash_ for (hash_,) in await rows.fetchall()}


def digest(secret: str) -> bytes:
    """What is stored of a secret that was drawn at random: nobody can try all of those."""
    return sha256(secret.encode("utf-8", "replace")).digest()


_IS_GOOD: LiteralString = "begun_at > now() - %(lifetime)s AND used_at > now() - %(idle)s"

# The lock lets a change of the password, which ends all sessions, come before or after this, and not between.
_BEGIN: LiteralString = """
    INSERT INTO daybook_access.sessions (hash, deactivation, staff_member)
    SELECT %s, %s, known.staff_member
    FROM (SELECT staff_member FROM daybook_access.passwords WHERE staff_member = %s AND hash = %s FOR SHARE) AS known
    RETURNING hash
"""
_FIND: LiteralString = f"""
    SELECT staff_member, deactivation,
        extract(epoch FROM begun_at + %(lifetime)s), used_at < now() - interval '1 minute'
    FROM daybook_access.sessions WHERE hash = %(hash)s AND {_IS_GOOD}
"""
_GOOD: LiteralString = f"SELECT hash FROM daybook_access.sessions WHERE hash = ANY(%(hashes)s) AND {_IS_GOOD}"
