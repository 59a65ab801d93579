"""The book as the projections read it: stretch after stretch, the next one while this one is posted.

What this process has just committed itself is handed over, and not read.
"""

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from psycopg.sql import SQL

from domain.customer import PERSONAL_DATA_ERASED
from infra.entries import COLUMNS, StoredEntry
from infra.exchange import Asked, Exchange, in_text

_HEAD = Asked(b"SELECT coalesce(max(position), 0) FROM daybook.events")
_NEXT = "SELECT {} FROM daybook.events WHERE position > $1 AND position <= $2 AND {} ORDER BY position LIMIT $3"
_HISTORY = (
    f"SELECT {COLUMNS} FROM daybook.events WHERE originator_id = $1 AND position <= $2 ORDER BY position".encode()
)
_MOST = 2**63 - 1

FARTHEST = 100_000
"""Positions that are looked through at once for entries of a few kinds: most of a long book may be of others."""

LITTLE = 20
"""Entries that were handed over and take less time to post than a lease lasts, by far."""


class Scanned(NamedTuple):
    entries: list[StoredEntry]
    upto: int
    """Every entry up to here was looked at, those of other kinds included."""
    full: bool
    """There may be more where this came from."""


class Handed:
    """What this process has committed to the book of late. Put in by those who commit, taken out by the one who posts.

    Positions are dense, so that whoever knows the one before knows that nothing is missing. Wherever something may be,
    the book is read: nobody tells of an entry twice.
    """

    def __init__(self, most: int) -> None:
        """`most`: entries that are kept for a taker who is behind; of more the book is read."""
        self._most, self._lock = most, threading.Lock()
        self._entries: list[StoredEntry] = []
        self._doubted = True

    def put(self, entries: Sequence[StoredEntry]) -> None:
        """`entries`: what a commit has brought; none where it may have been an earlier one, whose answer was lost."""
        with self._lock:
            self._entries += entries
            if not entries or len(self._entries) > self._most:
                self._entries.clear()
                self._doubted = True

    def doubt(self) -> None:
        """Others may have committed too, or this database may be another one now: the book has to be read once."""
        with self._lock:
            self._doubted = True

    def is_little(self) -> bool:
        """Whether something can be taken, and is so little that it is posted in no time: no erasure is."""
        with self._lock:
            few = not self._doubted and 0 < len(self._entries) <= LITTLE
            return few and all(entry.topic not in PERSONAL_DATA_ERASED for entry in self._entries)

    def take(self, after: int) -> list[StoredEntry]:
        """All that was put, where it follows a position without a gap; none where the book has to be read."""
        with self._lock:
            entries, doubted = self._entries, self._doubted
            self._entries, self._doubted = [], False
        # Two committers may tell in another order than they committed in.
        following = sorted((entry for entry in entries if entry.position > after), key=lambda entry: entry.position)
        dense = all(entry.position == at for at, entry in enumerate(following, after + 1))
        return following if dense and not doubted else []


class _Stretch(NamedTuple):
    """What is asked of the book."""

    after: int
    stop: int | None
    limit: int
    others: frozenset[str]


class Scanner:
    """One connection to the book. Used by one thread at a time; a thread of its own reads ahead in between."""

    def __init__(self, book: Exchange, ahead: ThreadPoolExecutor, handed: Handed | None = None) -> None:
        self._book, self._ahead, self._handed = book, ahead, handed
        self._coming: tuple[_Stretch, Future[Scanned]] | None = None
        self._end = -1
        """Where the book ended when it was last looked at; below, there is what nobody will tell of again."""

    def head(self) -> int:
        """The position of the last entry of the book."""
        self._settle()
        return self._last()

    def scan(self, after: int, stop: int | None, limit: int, others: Collection[str] = ()) -> Scanned:
        """The next entries above a position, without those of the stored names in `others`.

        `stop`: go no further than this position; None: to the end of the book.
        """
        stretch = _Stretch(after, stop, limit, frozenset(others))
        scanned = self._settle(stretch) or self._taken(stretch) or self._read(stretch)
        if stop is None:
            self._end = -1 if scanned.full else scanned.upto
        if scanned.full:
            following = stretch._replace(after=scanned.upto)
            self._coming = following, self._ahead.submit(self._read, following)
        return scanned

    def history(self, aggregate: UUID, last: int) -> list[StoredEntry]:
        """An aggregate's entries up to a position."""
        self._settle()
        (found,) = self._book.run(Asked(_HISTORY, in_text(str(aggregate), last)), binary=True)
        return self._book.rows(found, StoredEntry._make)

    def _settle(self, wanted: _Stretch | None = None) -> Scanned | None:
        """Wait until the connection is free; what was read ahead, if that is wanted.

        Where the book ended then, it may have grown since, and whoever told of it will not call again.
        """
        if self._coming is None:
            return None
        (stretch, coming), self._coming = self._coming, None
        wait([coming])
        return coming.result() if stretch == wanted and coming.result().full else None

    def _taken(self, stretch: _Stretch) -> Scanned | None:
        """What was handed over of it, if anything; it may go on further, which whoever commits that tells."""
        if self._handed is None or stretch.stop is not None:
            return None
        taken = self._handed.take(stretch.after)
        if not taken or stretch.after != self._end:
            return None
        entries = [entry for entry in taken if entry.topic not in stretch.others]
        return Scanned(entries, taken[-1].position, full=False)

    def _read(self, stretch: _Stretch) -> Scanned:
        after, stop, limit, others = stretch
        end = stop
        if others or stop is not None:
            # Entries of others may stand at the end: what was looked at has to be known before looking. Nor is it for
            # a model that was set ahead of the book to say how far that goes.
            last = self._last()
            end = last if stop is None else min(stop, last)
            stop = min(end, after + FARTHEST) if others else end
        bounds = in_text(after, _MOST if stop is None else stop, limit)
        (found,) = self._book.run(Asked(_without(others), bounds), binary=True)
        entries = self._book.rows(found, StoredEntry._make)
        many = len(entries) == limit
        upto = entries[-1].position if entries else after
        return Scanned(entries, upto if many or stop is None else stop, many or stop != end)

    def _last(self) -> int:
        (last,) = self._book.run(_HEAD)
        return int(last.get_value(0, 0) or 0)


@lru_cache(maxsize=100)
def _without(others: frozenset[str]) -> bytes:
    """The names stand in the statement: PostgreSQL hashes a constant list, and compares with each of a parameter's."""
    wanted = SQL("topic <> ALL ({})").format(sorted(others)) if others else SQL("true")
    return SQL(_NEXT).format(SQL(COLUMNS), wanted).as_bytes(None)
