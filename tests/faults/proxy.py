"""A proxy in front of PostgreSQL that cuts connections in the middle of what they carry."""

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, 0 seconds. Closing then resets the connection, as a broken network does."""


class Proxy:
    """Listens on a port of its own. Each connection carries a random number of bytes, then it is cut."""

    def __init__(self, conninfo: str, seed: int, longest: int) -> None:
        """`longest`: bytes after which a connection is cut at the latest, once `cutting` is set."""
        given = conninfo_to_dict(conninfo)
        self._target = f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"
        self._random, self._longest = random.Random(seed), longest
        self.cutting, self.cuts = threading.Event(), 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.conninfo = make_conninfo(conninfo, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """It cuts for as long as the block lasts."""
        self.cutting.set()
        try:
            yield
        finally:
            self.cutting.clear()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            # Which of the two directions comes to its end first is as random as where.
            for source, target in ((client, server), (server, client)):
                budget = self._random.randrange(self._longest)
                threading.Thread(target=self._carry, args=(source, target, budget), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, budget: int) -> None:
        with suppress(OSError):
            while some := source.recv(4096):
                budget -= len(some)
                if budget < 0 and self.cutting.is_set():
                    self.cuts += 1
                    target.sendall(some[: len(some) // 2])  # half a message, too
                    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    break
                target.sendall(some)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
