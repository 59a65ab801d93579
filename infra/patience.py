"""Patience with a database that is away for a moment, such as one that restarts."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import psycopg

from domain.appending import BookUnavailable

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 10.0
"""Seconds that a read waits for a database that is away."""


def patient(read: Callable[P, R]) -> Callable[P, R]:
    """Try a read again while the database is away, for at most PATIENCE seconds; then raise BookUnavailable."""

    @wraps(read)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return read(*args, **kwargs)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if time.monotonic() > deadline:
                    raise BookUnavailable(f"The book did not answer ({type(error).__name__}).") from error
                time.sleep(0.1)

    return tried
