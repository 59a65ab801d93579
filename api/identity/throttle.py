"""Attempts to sign in, counted by account and by address in PostgreSQL: so it holds over all workers and hosts."""

import ipaddress
from hashlib import sha256
from math import ceil
from typing import Final, LiteralString

from api.identity.passwords import throttled
from api.identity.store import Access

FREE_BY_ACCOUNT: Final = 5
FREE_BY_ADDRESS: Final = 20
"""Attempts that fail before there is a delay; from then on it doubles each time."""
LONGEST: Final = 900
"""Seconds."""
MOST_KEPT: Final = 100_000
"""Accounts and addresses that are remembered; the oldest are forgotten first."""


class Throttle:
    """Whoever tries is counted before the password is looked at, so that many at once count as many."""

    def __init__(self, pool: Access) -> None:
        self._pool = pool

    async def admit(self, address: str, account: str | None = None) -> None:
        """Count an attempt as a failure until it has succeeded. Raises RequestError THROTTLED."""
        await self._count(_key("address", network(address)), FREE_BY_ADDRESS, "Too many attempts from your network.")
        if account is not None:
            await self._count(_key("account", account), FREE_BY_ACCOUNT, "Too many attempts on this account.")

    async def succeeded(self, address: str, account: str | None = None) -> None:
        """It was no failure: the account's are forgotten, the address's are one fewer."""
        async with self._pool.connection() as db:
            await db.execute(_ONE_FEWER, (_key("address", network(address)),))
            if account is not None:
                await db.execute("DELETE FROM daybook_access.attempts WHERE key = %s", (_key("account", account),))

    async def _count(self, key: bytes, free: int, why: str) -> None:
        async with self._pool.connection() as db:
            admitted = await db.execute(_COUNT, {"key": key, "free": free, "longest": LONGEST})
            if await admitted.fetchone() is not None:
                return
            found = await (await db.execute(_WAIT, (key,))).fetchone()
        raise throttled(why, max(1, ceil(found[0]) if found else 1))


def network(address: str) -> str:
    """What counts as one address: of IPv6, the network that a household or a company is given."""
    try:
        given = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if given.version == 4:
        return str(given)
    return str(given.ipv4_mapped or ipaddress.ip_network((given, 64), strict=False))


def _key(kind: str, value: str) -> bytes:
    return sha256(f"{kind}:{value}".encode("utf-8", "surrogatepass")).digest()


# Of several at the same moment each waits for the one before, and is refused by the delay that that one has set.
_COUNT: LiteralString = """
    INSERT INTO daybook_access.attempts AS known (key, failures) VALUES (%(key)s, 1)
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN known.last_at < now() - interval '1 day' THEN 1 ELSE known.failures + 1 END,
        last_at = clock_timestamp(),
        next_at = clock_timestamp() + make_interval(secs =>
            CASE WHEN known.last_at < now() - interval '1 day' OR known.failures + 1 < %(free)s THEN 0
            ELSE least(power(2, least(known.failures + 1 - %(free)s, 20)), %(longest)s) END)
    WHERE known.next_at <= clock_timestamp()
    RETURNING failures
"""
_WAIT: LiteralString = (
    "SELECT extract(epoch FROM next_at - clock_timestamp()) FROM daybook_access.attempts WHERE key = %s"
)
_ONE_FEWER: LiteralString = """
    UPDATE daybook_access.attempts SET failures = greatest(failures - 1, 0), next_at = clock_timestamp() WHERE key = %s
"""
