"""What a server writes to its log of errors: their sorts, and where they happened. Never their messages.

Messages quote what was worked on: names, addresses, statements with their values. Whoever reads a log may not be one
who may read these.
"""

import logging
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import cast

from projections.lanes import described

_TRACE = "Traceback (most recent call last)"
_RAISED = re.compile(r"(?P<name>[\w.]+)(?P<message>: .*)?")
"""The line of a traceback's text that says what was raised."""
_SENTENCES = "infra."
"""Errors of ours from here speak to operators and quote no values: the master key is another book's."""

_FOREIGN = "A page of another origin was refused a WebSocket. If it is yours, name its origin in DAYBOOK_CORS_ORIGINS."


class Discreet(logging.Formatter):
    """Formats what anybody logs, libraries included."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatException(  # noqa: N802  # the library's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        return "" if ei[1] is None else "\n".join(_told(ei[1]))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the library's name
        if record.name == "asyncio":
            record.message = record.message.partition("\n")[0]  # below it stands the task with its exception
        elif record.name == "strawberry.ws":
            record.message = _FOREIGN  # in its own words it quotes the Origin, which a stranger writes as they like
        elif _TRACE in record.message:
            record.message = "\n".join(_lines_told(record.message))
        return super().formatMessage(record)


def log_discreetly() -> None:
    """From now on all that this process logs, and what ends it or a thread, goes to standard error without values."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    threading.excepthook, sys.excepthook = _thread_ended, _process_ended


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else "?"
    if ended.exc_value is not None:
        logging.getLogger("daybook").error("The thread %s has ended.", name, exc_info=ended.exc_value)


def _process_ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("daybook").critical("The process has ended.", exc_info=(kind, error, trace))


def _told(error: BaseException, seen: tuple[int, ...] = ()) -> Iterator[str]:
    """An error, where it was raised, and the errors that it follows from or holds."""
    seen = (*seen, id(error))
    yield described(error) if isinstance(error, Exception) else type(error).__name__
    for frame in extract_tb(error.__traceback__):
        yield f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}"
    others: list[BaseException] = []
    if isinstance(error, BaseExceptionGroup):
        others += cast("BaseExceptionGroup[BaseException]", error).exceptions
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        others.append(before)
    for other in others:
        if id(other) not in seen:
            yield "from"
            yield from _told(other, seen)


def _lines_told(text: str) -> Iterator[str]:
    """The lines of a traceback as text that tell a place or a sort of error."""
    for line in text.splitlines():
        raised = _RAISED.fullmatch(line)
        if line.startswith(("  File ", _TRACE)):
            yield line
        elif raised is not None:
            yield line if raised["name"].startswith(_SENTENCES) else raised["name"]
