"""Locks on files. The kernel drops them when their last holder dies, however it dies, so none is ever stale."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.errors import EmbeddedPostgresError


class Held:
    """A lock that is held while this object, or a process that inherited its descriptor, keeps it open."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        """Give up our hold. Not an unlock: a process that inherited the descriptor keeps the lock."""
        os.close(self.descriptor)


def exclusive(file: Path) -> Held | None:
    """The lock for us alone, None while anybody else holds it."""
    return _hold(file, fcntl.LOCK_EX)


def shared(file: Path) -> Held | None:
    """The lock beside other sharers, None while somebody holds it alone."""
    return _hold(file, fcntl.LOCK_SH)


@contextmanager
def alone(file: Path, patience: float, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the lock alone for a while; calls `waiting` once when that takes more than a second."""
    begun, told = time.monotonic(), False
    while (held := exclusive(file)) is None:
        waited = time.monotonic() - begun
        if waited > patience:
            raise EmbeddedPostgresError(f"Another process has held {file} for {waited:.0f} seconds. Is it stuck?")
        if waited > 1 and not told:
            waiting()
            told = True
        time.sleep(0.05)
    try:
        yield
    finally:
        held.close()


def _hold(file: Path, mode: int) -> Held | None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Held(descriptor)
