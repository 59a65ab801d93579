"""The lease: one runner leads, any number stand by. A row with a fencing token, by the database's clock.

Not a session's advisory lock: the session of a host that died keeps its lock until TCP gives up. Here nobody waits
longer than the lease lasts. The leader renews in the transaction that it writes in, so its row lock keeps others from
taking over meanwhile; whoever lost the lease finds another token there and can't commit.
"""

from datetime import timedelta
from time import monotonic
from typing import Any

from psycopg import Cursor

from projections.tables import Db


class LeaseLost(Exception):
    """Another runner leads now: what was about to be committed must not be."""


class Lease:
    """One runner's hold on the leadership; `holder` is its name for people."""

    def __init__(self, holder: str, seconds: float) -> None:
        self.holder, self._seconds = holder, timedelta(seconds=seconds)
        self.third = seconds / 3
        """Seconds after which it is renewed."""
        self._token = 0
        self._renewed = 0.0

    def take(self, db: Db) -> bool:
        """Take the lease where nobody else holds it. A row that is locked has a leader at work."""
        values = (self.holder, self._seconds, self._seconds, self._token)
        row = db.execute(_TAKE, values, prepare=True).fetchone()
        if row is not None:
            self._token, self._renewed = row[0], monotonic()
        return row is not None

    def renew(self, db: Db) -> Cursor[Any]:
        """Renew, first thing in a transaction; `hold` on to what it returns before the commit."""
        return db.execute(RENEW, self.renewal, prepare=True)

    @property
    def renewal(self) -> tuple[timedelta, int]:
        """The values of RENEW."""
        return self._seconds, self._token

    def hold(self, renewed: Cursor[Any]) -> None:
        """Raises LeaseLost where the renewal found another token. Apart from `renew`, so that both can be pipelined."""
        if renewed.rowcount != 1:
            raise LeaseLost
        self.kept()

    def kept(self) -> None:
        """It was renewed just now."""
        self._renewed = monotonic()

    def keep(self, db: Db) -> None:
        """Renew when a third of the time has passed: for when there is nothing to commit. Raises LeaseLost."""
        if monotonic() - self._renewed >= self.third:
            self.hold(self.renew(db))

    def give_back(self, db: Db) -> None:
        """Let a standby take over at once."""
        db.execute(_GIVE_BACK, (self._token,))


# One that is to last far longer than any was given for was renewed before the database's clock was set back.
_TAKE = """
    UPDATE daybook_projections.lease
    SET holder = %s, token = token + 1, expires_at = clock_timestamp() + %s
    WHERE single = (
        SELECT single FROM daybook_projections.lease
        WHERE expires_at <= clock_timestamp() OR expires_at > clock_timestamp() + 10 * %s::interval OR token = %s
        FOR UPDATE SKIP LOCKED
    )
    RETURNING token
"""
RENEW = "UPDATE daybook_projections.lease SET expires_at = clock_timestamp() + %s WHERE token = %s"
_GIVE_BACK = "UPDATE daybook_projections.lease SET holder = NULL, expires_at = clock_timestamp() WHERE token = %s"
