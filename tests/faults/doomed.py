"""The daybook command in a process that kills itself at a point in its code.

It does so (SIGKILL: nothing is flushed, closed or said) the n-th time that it comes to the point. The real classes are
wrapped here, because production code has no hooks for this.
"""

import os
import signal
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import api.processes  # noqa: F401
from api import command_line
from api.importing.entering import Entering
from api.schema import the_schema
from domain.steps import Step, Steps
from infra import person_keys, private_files, rotation
from infra.committer import Committer
from infra.erasure.carrying_out import Erasures
from infra.erasure.ledger import Ledger
from infra.exchange import Asked, Exchange
from infra.submissions import Submission
from projections import ledger, runner
from tests.held import die_in_the_next_statement

# `serve` has these late; a process that is forked from one that has them starts sooner.
the_schema()

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


def _after_talking(original: Callable[..., Generator[int, None, Any]], kill: Callable[[], None]) -> Callable[..., Any]:
    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Generator[int, None, Any]:
        result = yield from original(*args, **kwargs)
        kill()
        return result

    return wrapped


class Parted(Step[list[Any]]):
    """One round trip in two, between which the process dies."""

    def __init__(self, first: Step[list[Any]], kill: Callable[[], None], last: Step[list[Any]]) -> None:
        self._first, self._kill, self._last = first, kill, last

    def wait(self) -> list[Any]:
        results = self._first.wait()
        self._kill()
        return results + self._last.wait()

    async def follow(self) -> list[Any]:
        results = await self._first.follow()
        self._kill()
        return results + await self._last.follow()


def _after_lock(original: Callable[..., Step[list[Any]]], kill: Callable[[], None]) -> Callable[..., Any]:
    """The append lock is held, and what else is sent in the round trip that takes it is not sent yet."""

    @wraps(original)
    def wrapped(exchange: Exchange, *asked: Asked, **how: bool) -> Step[list[Any]]:
        upto = next((at for at, one in enumerate(asked, start=1) if b"advisory_xact_lock" in one.sql), 0)
        if not upto:
            return original(exchange, *asked, **how)
        return Parted(original(exchange, *asked[:upto], **how), kill, original(exchange, *asked[upto:], **how))

    return wrapped


def _between_rows_and_commit(original: Callable[..., Step[list[Any]]], kill: Callable[[], None]) -> Callable[..., Any]:
    """The rows of an append are in its transaction, whose COMMIT is not sent in the same round trip, as it would be."""

    @wraps(original)
    def wrapped(exchange: Exchange, *asked: Asked, **how: bool) -> Step[list[Any]]:
        if asked[-1].sql != b"COMMIT":
            return original(exchange, *asked, **how)
        return Parted(original(exchange, *asked[:-1], **how), kill, original(exchange, asked[-1]))

    return wrapped


IN_STATEMENT = "projection-in-statement"
"""Not before the statement but in it, between its rows and its position."""

POINTS: dict[str, tuple[Any, str, Wrap]] = {
    "lock-taken": (Exchange, "ask", _after_lock),
    "before-commit": (Exchange, "ask", _between_rows_and_commit),
    "sent-unheard": (Exchange, "_send", _after_talking),
    "committed-unanswered": (Committer, "_reply", _before),
    "one-of-batch-answered": (Submission, "follow", _after_steps),
    "projection-unsent": (ledger, "_commit_at_once", _before),
    IN_STATEMENT: (ledger, "_commit_at_once", _before),
    "projection-committed": (runner, "commit", _after),
    "import-row-entered": (Entering, "enter", _after_steps),
    "rotation-file-beside": (private_files, "_write", _after),
    "rotation-file-replaced": (private_files, "replace", _after),
    "rotation-epoch-begun": (rotation, "_begin", _after),
    "rotation-keys-wrapped": (rotation, "_store", _after),
    "rotation-epoch-ended": (rotation, "_end_former", _after),
    "rotation-person-keys-stored": (person_keys, "_store", _after),
    "rotation-person-keys-committed": (person_keys, "_begin", _after),
    "erasure-begun": (Erasures, "_carry_out", _before),
    "erasure-in-ledger": (Ledger, "begin", _after),
    "erasure-unnoted": (Erasures, "_append", _after),
    "erasure-noted": (Ledger, "done", _after),
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
        die = _die_in_statement if point == IN_STATEMENT else _die
        setattr(owner, name, wrap(getattr(owner, name), _at(passes, die)))
    sys.argv = ["daybook", *arguments]
    command_line.main()


def _at(passes: int, die: Callable[[], None]) -> Callable[[], None]:
    numbers = count(1)

    def kill() -> None:
        if next(numbers) == passes:
            die()

    return kill


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_in_statement() -> None:
    die_in_the_next_statement(os.environ["DATABASE_URL"])
