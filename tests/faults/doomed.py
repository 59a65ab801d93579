"""The daybook command in a process that kills itself at a point in its code.

It does so (SIGKILL: nothing is flushed, closed or said) the n-th time that it comes to the point. The real classes are
wrapped here, because production code has no hooks for this. Statements of a pipeline that were only queued are sent and
answered first, so that what a point's name says has happened in the database.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import api.server  # noqa: F401  # `serve` imports it late; a process forked from one that has it starts sooner
from api import command_line
from api.importing.entering import Entering
from domain.steps import Steps
from infra.append import Append
from infra.committer import Committer, Submission
from projections import runner
from projections.flush import Flush

Wrap: TypeAlias = Callable[[Callable[..., Any], Callable[[], None]], Callable[..., Any]]
"""Takes the original function and the kill; returns what stands in the original's place."""

LEASE = 1.0
"""Seconds that a new leader waits for a killed one. In production it is longer; a campaign would be spent waiting."""


def _before(original: Callable[..., Any], kill: Callable[[], None]) -> Callable[..., Any]:
    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        kill()
        return original(*args, **kwargs)

    return wrapped


def _after(original: Callable[..., Any], kill: Callable[[], None]) -> Callable[..., Any]:
    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        kill()
        return result

    return wrapped


def _after_steps(original: Callable[..., Steps[Any]], kill: Callable[[], None]) -> Callable[..., Steps[Any]]:
    @wraps(original)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        kill()
        return result

    return wrapped


def _before_rows(original: Callable[..., None], kill: Callable[[], None]) -> Callable[..., None]:
    def wrapped(flush: Flush, db: Any, statements: Any) -> None:
        with db.pipeline():  # the position has been moved by now
            pass
        kill()
        original(flush, db, statements)

    return wrapped


def _after_rows(original: Callable[..., None], kill: Callable[[], None]) -> Callable[..., None]:
    def wrapped(flush: Flush, db: Any, statements: Any) -> None:
        with db.pipeline():
            original(flush, db, statements)
        kill()

    return wrapped


POINTS: dict[str, tuple[Any, str, Wrap]] = {
    "lock-taken": (Append, "read_head", _after),  # its rows come back from under the lock
    "before-commit": (Append, "insert", _after),
    "committed-unanswered": (Committer, "_reply", _before),
    "one-of-batch-answered": (Submission, "give", _after),
    "projection-position-without-rows": (Flush, "write", _before_rows),
    "projection-rows-uncommitted": (Flush, "write", _after_rows),
    "projection-committed": (runner, "commit", _after),
    "import-row-entered": (Entering, "enter", _after_steps),
}
"""Name -> where it is: owner, attribute, and how it is wrapped."""


def run(arguments: Sequence[str], environment: Mapping[str, str], log: Path, point: str | None, passes: int) -> None:
    """Be `daybook` with these arguments, and write to `log`; to be called in a process of its own."""
    with log.open("ab") as out, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.stdin = os.fdopen(0)  # uvicorn hands its number on to workers
    os.environ.update(environment)
    defaults = runner.ProjectionRunner.__init__.__kwdefaults__
    assert defaults is not None
    defaults["lease_seconds"] = LEASE
    if point is not None:
        owner, name, wrap = POINTS[point]
        setattr(owner, name, wrap(getattr(owner, name), _kill_at(passes)))
    sys.argv = ["daybook", *arguments]
    command_line.main()


def _kill_at(passes: int) -> Callable[[], None]:
    numbers = count(1)

    def kill() -> None:
        if next(numbers) == passes:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
