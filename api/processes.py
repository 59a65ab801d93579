"""The processes that answer requests: this one, or several workers that it starts and that end with it."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from api.discretion import log_discreetly
from api.receiving import Conversing, Receiving
from api.server import MOST_MESSAGE_BYTES

DRAIN = 30
"""Seconds that requests under way get when the server is told to stop."""

Application = Callable[[], ASGIApp]
"""Makes the application, in each process anew."""


def answer(
    application: Application,
    listener: socket.socket,
    proxies: Sequence[str],
    workers: int,
    announce: Callable[[], None],
) -> bool:
    """Answer requests until a signal ends it; False where the server, or a worker, did not start. `announce`: that it
    is open."""
    config = uvicorn.Config(
        application if workers == 1 else partial(_as_worker, os.getpid(), application),
        factory=True,
        workers=workers,
        loop="uvloop",
        http=Receiving,
        ws=Conversing,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),  # nobody else is believed about whose requests they pass on
        forwarded_allow_ips=list(proxies),
        ws_max_size=MOST_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # it would pack what all subscribers share for each of them anew
        timeout_graceful_shutdown=DRAIN,
    )
    if workers > 1:
        several = _Workers(config, listener, announce)
        several.run()
        return not several.failed
    server = _Announcing(config, announce)
    server.run(sockets=[listener])
    return server.started


class _Announcing(uvicorn.Server):
    """Says that it is open, once it is."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


class _Workers(Multiprocess):
    """Says that it is open, once a worker answers."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, announce: Callable[[], None]) -> None:
        super().__init__(config, sockets=[listener])
        self._announce: Callable[[], None] | None = announce
        self._asked, self._heard = set[Process](), set[Process]()
        self.failed = False

    def terminate_all(self) -> None:
        super().terminate_all()
        for listener in self.sockets:
            listener.close()  # left open here, it would take connections that no worker answers any more

    def keep_subprocess_alive(self) -> None:
        told_to_stop = self.should_exit.is_set()
        if not any(self._begins(worker) for worker in self.processes):
            super().keep_subprocess_alive()
        if self.should_exit.is_set():
            self.failed = not told_to_stop  # a worker has found that it can't start
        elif self._announce is not None and any(worker.is_ready() for worker in self.processes):
            self._announce()
            self._announce = None

    def _begins(self, worker: Process) -> bool:
        """Whether it has not said its first word. It imports all of Daybook before that, which may take longer than the
        seconds after which one that says nothing is replaced: on a busy machine each was, for ever and without a word.
        """
        if worker in self._heard or not worker.process.is_alive():
            return False
        if worker not in self._asked:
            worker.parent_conn.send(b"ping")
            self._asked.add(worker)
        if not worker.parent_conn.poll():
            return True
        with suppress(EOFError):  # it has died just now
            worker.parent_conn.recv()
            self._heard.add(worker)
        return False


def _as_worker(parent: int, application: Application) -> ASGIApp:
    """The application, in a worker that ends when the process that started it is gone."""
    log_discreetly()
    threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()
    return application()


def _leave_after(parent: int) -> None:
    # kill -9 of the parent tells its workers nothing. Left behind, they would keep the port and go on without the
    # embedded PostgreSQL, whose last user was the parent.
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
