"""Receipts of handled commands live for 30 days; the leader of the projections clears away the older ones."""

from time import monotonic

from projections.tables import Db

MOST = 1_000
"""Receipts that go in one statement: nobody waits for a large one."""

EVERY = 3600.0
"""Seconds between two sweeps."""


class Receipts:
    """When to sweep, and the sweep."""

    def __init__(self) -> None:
        self._due = monotonic()

    def sweep(self, db: Db) -> None:
        """Delete some of what is too old, when it is time to; when there is more, it is time again at once."""
        if monotonic() >= self._due and db.execute(_DELETE, (MOST,), prepare=True).rowcount < MOST:
            self._due = monotonic() + EVERY


_DELETE = """
    DELETE FROM daybook.receipts WHERE (actor, idempotency_key) IN (
        SELECT actor, idempotency_key FROM daybook.receipts
        WHERE recorded_at < now() - interval '30 days' ORDER BY recorded_at LIMIT %s
    )
"""
