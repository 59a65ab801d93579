"""Connections that stay open: who opened them must still be let in. One look for all of them, and none for each."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, Self

import psycopg
from psycopg_pool import PoolTimeout

from api.directory import Directory
from api.errors import RequestError, RequestErrorCode
from api.identity.caller import Caller
from api.identity.provider import unauthenticated
from api.identity.sessions import Sessions
from projections.background import ended

LOOK_AT_SESSIONS: Final = 1.0
"""Seconds between two looks at the sessions that connections were opened with, where none was ended in this process:
one statement for all of them."""
_LONGEST_TIMER: Final = 86_400.0

End = Callable[[RequestError], None]
"""Ends a connection, which is told why; called in the event loop, at most once."""


class _Presence:
    """One open connection."""

    def __init__(self, caller: Caller, end: End) -> None:
        self.caller, self._end = caller, end
        self._timer: asyncio.TimerHandle | None = None
        self.await_expiry()

    def await_expiry(self) -> None:
        left = self.caller.until - time.time()
        if left <= 0:
            self.end(EXPIRED)
        elif left < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(min(left, _LONGEST_TIMER), self.await_expiry)

    def look_again(self) -> None:
        now = self.caller.again()
        if now is None:
            self.end(REVOKED)
        elif now != self.caller.authority:
            self.end(CHANGED)

    def end(self, why: RequestError) -> None:
        self.stop()
        end, self._end = self._end, _nothing
        end(why)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class Presences:
    """One for each process: `async with Presences(directory, sessions) as presences`."""

    def __init__(self, directory: Directory, sessions: Sessions) -> None:
        self._directory, self._sessions = directory, sessions
        self._present: set[_Presence] = set()

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(follow(), name="presences")
            for follow in (self._follow_directory, self._follow_sessions)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            await ended(task)

    @contextmanager
    def watched(self, caller: Caller, end: End) -> Generator[None]:
        """Have `end` called when the caller's credential expires, is revoked, or allows something else than it did."""
        presence = _Presence(caller, end)
        self._present.add(presence)
        presence.look_again()  # it may have changed since the caller was identified
        try:
            yield
        finally:
            presence.stop()
            self._present.discard(presence)

    async def _follow_directory(self) -> None:
        edition = self._directory.edition
        while True:
            edition = await self._directory.beyond(edition)
            for presence in list(self._present):
                presence.look_again()

    async def _follow_sessions(self) -> None:
        some_ended = self._sessions.some_ended
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AT_SESSIONS):
                    await some_ended.wait()
            some_ended.clear()
            # Where the database does not answer, nobody can end a session in it either.
            with suppress(psycopg.Error, PoolTimeout):
                await self._look_at_sessions()

    async def _look_at_sessions(self) -> None:
        asked = [(each, each.caller.session.hash) for each in self._present if each.caller.session is not None]
        if not asked:
            return
        good = await self._sessions.good({hash_ for _, hash_ in asked})
        for presence, hash_ in asked:
            if hash_ not in good:
                presence.end(REVOKED)


def _nothing(_why: RequestError) -> None:
    """It has ended already."""


EXPIRED: Final = unauthenticated(
    "The credential that this connection was opened with has expired: connect with a new one."
)
REVOKED: Final = unauthenticated("The credential that this connection was opened with was revoked.")
CHANGED: Final = RequestError(RequestErrorCode.FORBIDDEN, "What you may do has changed: connect again.", status=403)
