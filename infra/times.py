"""Times as our sessions tell them, whatever a server, a database or a role is set to."""

from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg import Connection, DataError
from psycopg import adapters as usual
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

TOO_EARLY, TOO_LATE = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""In the place of a time that Python can't hold, which is infinite or not of the years 1 to 9999. These very objects:
an entry may have happened when the first year began.
"""


def is_out_of_reach(time: datetime) -> bool:
    """Whether another time stands there than the one that was read: only who alters an entry gives it such a one."""
    return time is TOO_EARLY or time is TOO_LATE


IN_UTC: LiteralString = "SET timezone = 'UTC'; SET DateStyle = 'ISO'"
"""Other zones have offsets that JSON can't carry (Amsterdam's was +00:19:32), and years that Python does not know. What
other styles write, psycopg does not read.
"""


def tell_times(db: Connection[Any]) -> None:
    """Let a session tell times in UTC. Read as binary, none of them ends what is read with it."""
    db.execute(IN_UTC)
    hold_times(db)


def hold_times(db: Connection[Any]) -> None:
    """Read the times, as binary, that are out of reach too."""
    db.adapters.register_loader("timestamptz", _Times)


class _Times(Loader):
    format = Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        loader = usual.get_loader(oid, self.format)
        if loader is None:
            raise LookupError("psycopg reads no times")
        self._usual = loader(oid, context).load

    def load(self, data: Buffer) -> datetime:
        try:
            time: datetime = self._usual(data)
        except DataError:
            return TOO_EARLY if data[0] & 0x80 else TOO_LATE
        return time
