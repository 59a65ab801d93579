"""The connection over which a process appends its batches, one after another: each in a transaction of its own."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from psycopg import Error

from domain.appending import AlreadyHandled, ClaimTaken, Conditions, Entry, KeyDestroyed, Moved
from domain.kernel import Refused
from infra.append import Append, may_be_supposed
from infra.exchange import Asked, Exchange
from infra.head import Left
from infra.silence import Connection
from infra.times import IN_UTC
from infra.vault import Vault

ALONE = 2
"""Looks in a row that find the book as this process had left it, after which it is supposed to be so again."""

_SESSION = f"""
    {IN_UTC};
    SET default_transaction_isolation = 'read committed';  -- the head's snapshot must be younger than the lock
    SET lock_timeout = '30s';
    -- Whoever holds the lock and stands still, or whose host is gone, loses it: the others wait for it.
    SET idle_in_transaction_session_timeout = '5s';
    SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
    -- Every statement of an append looks rows up by key; a plan made on an empty table must not say otherwise.
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off
"""

_ROLLBACK = Asked(b"ROLLBACK")

Answer: TypeAlias = list[int] | Exception
"""The positions of a command's entries, or why they were not appended."""


class Submitted(Protocol):
    """A command's entries and what must hold for them."""

    @property
    def entries(self) -> Sequence[Entry]: ...

    @property
    def conditions(self) -> Conditions | None: ...


Done: TypeAlias = tuple[Append, list[Answer]]


class Appender:
    """Appends batches, and knows what it has left in the book.

    Whatever its steps raise, the transaction is to be given up: `roll_back`, or `disconnect` with the connection.
    """

    def __init__(self, conninfo: str, vault: Vault) -> None:
        self._conninfo, self._vault = conninfo, vault
        self._exchange: Exchange | None = None
        self._left: Left | None = None
        """What this connection has left behind; None: it has not appended yet."""
        self._alone = 0
        """How many looks in a row have found the book as this process had left it."""
        self.lineage = 0
        """Counts connections: each may lead to a server that has taken over without the last entries."""

    @property
    def alone(self) -> bool:
        """Whether it takes the book to be as this process left it; then it is connected."""
        return self._left is not None and self._alone >= ALONE

    def supposes(self, one: Submitted) -> bool:
        return self.alone and may_be_supposed(one.entries, one.conditions)

    async def append(self, batch: Sequence[Submitted]) -> Done:
        """Append what may be appended, of a batch; the answer to each. Connects where it is not connected."""
        supposed = await self.suppose(batch) if all(map(self.supposes, batch)) else None
        return supposed or await self.look(batch)

    async def suppose(self, batch: Sequence[Submitted]) -> Done | None:
        """Append in one round trip what it `supposes`; None where it is not so, and nothing was done."""
        if self._left is None:
            return None
        append, (entries, conditions) = Append(self._connected(), self._vault, self.lineage), _contents(batch)
        append.suppose(entries, conditions, self._left)
        answers = [_accepted(append, one) for one in batch]
        return self._done(append, answers) if await append.commit_if_so() else None

    async def look(self, batch: Sequence[Submitted]) -> Done:
        """Append in two round trips, of which the first reads what the checks need. The lock is held between them."""
        append = Append(self._connected(), self._vault, self.lineage)
        last = await append.begin(*_contents(batch))
        self._alone = self._alone + 1 if self._left is not None and self._left.position == last else 0
        answers = [_accepted(append, one) for one in batch]
        await append.commit()
        return self._done(append, answers)

    def roll_back(self) -> None:
        """Give up the transaction alone, where the connection is of use still: a new one begins another lineage, in
        which nobody's decision holds who would be appended after this."""
        if self._exchange is None or not self._exchange.is_free():
            self.disconnect()
            return
        try:
            self._exchange.run(_ROLLBACK)
        except Error:
            self.disconnect()

    def disconnect(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = self._left = None

    def _done(self, append: Append, answers: list[Answer]) -> Done:
        self._left = append.left
        self._vault.destroyed(append.destroyed)
        self._vault.learned(append.new_keys)
        return append, answers

    def _connected(self) -> Exchange:
        if self._exchange is None:
            self._exchange = self._connection()
            self._vault.forget_all()  # before anybody decides anew: some may be of entries that are no more
            self.lineage += 1
        return self._exchange

    def _connection(self) -> Exchange:
        db = Connection.connect(self._conninfo, autocommit=True, application_name="daybook committer")
        db.execute(_SESSION)
        return Exchange(db)


def _contents(batch: Iterable[Submitted]) -> tuple[list[Entry], list[Conditions]]:
    entries = [entry for one in batch for entry in one.entries]
    return entries, [one.conditions for one in batch if one.conditions is not None]


def _accepted(append: Append, one: Submitted) -> Answer:
    try:
        return append.accept(one.entries, one.conditions)
    except (Moved, AlreadyHandled, ClaimTaken, KeyDestroyed, Refused) as refusal:
        return refusal
