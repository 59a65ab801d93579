"""What a command says: results on standard output, everything else on standard error, progress only at a terminal."""

import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import msgspec
import typer

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves the cursor, or turns the direction of what follows: a value could make a terminal tell what is not so."""


def say(text: str = "") -> None:
    """A result."""
    typer.echo(_UNSEEN.sub("\ufffd", text))


def note(text: str) -> None:
    """Anything that is no result."""
    typer.echo(_UNSEEN.sub("\ufffd", text), err=True)


def say_json(value: object) -> None:
    """A result for a script: one JSON document with stable names."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@contextmanager
def progress(what: str, total: int | None) -> Generator[Callable[[int], None]]:
    """A bar on standard error; yields what moves it on by so many. Silent where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda _more: None
        return
    # A fifth of what a command takes to start.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn(f"{what:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)
