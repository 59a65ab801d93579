"""Clients that have gone away, or take nothing any more: what they asked is cancelled, in the database too."""

import asyncio
import socket
from types import TracebackType

from starlette.types import Receive

from api.deadlines import Deadlines

GRACE = 0.1
"""Seconds that a request takes before anybody looks whether its client is still there: most are answered by then."""
STALLED = 20
"""Seconds that a client may take nothing of what was sent to it before its connection is cut."""


def cut_stalled(listener: socket.socket) -> None:
    """Have the connections of a listening socket cut by the kernel when they have been STALLED.

    Nothing above can: a server that closes such a connection waits for what it has sent before to be taken.
    """
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED * 1000)


class ClientGone(Exception):
    """The client has gone away."""


class Departure:
    """Cancels the block when the client goes away; it ends with ClientGone then.

    Nothing else may receive meanwhile. A block that is over within GRACE, which `graces` sees to, costs no task.
    `matters`: whether it is to be cancelled at all.
    """

    def __init__(self, receive: Receive, graces: Deadlines, *, matters: bool = True) -> None:
        self._receive, self._graces, self._matters = receive, graces, matters
        self._task: asyncio.Task[object] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._gone = False

    def __enter__(self) -> None:
        if self._matters:
            self._task = asyncio.current_task()
            self._graces.begin(self._begin)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._matters:
            self._graces.end(self._begin)
        if self._watch is not None:
            self._watch.cancel()
        if self._gone and self._task is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientGone from None

    def _begin(self) -> None:
        self._watch = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._task is not None:
            self._task.cancel()
