"""A thread beside a block: it goes on for as long as the block lasts."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

Work: TypeAlias = Callable[[threading.Event], None]
"""What the thread does, until the event is set: the block has ended."""


@contextmanager
def beside(name: str, work: Work, *, patience: float | None = 5.0) -> Generator[None]:
    """While the block lasts, a thread of this name does the work.

    `patience`: seconds that the end of the block waits for it; None: as long as it takes. What is not waited for dies
    with the process, so it has to be such that the next start goes on from there.
    """
    stopping = threading.Event()
    thread = threading.Thread(target=work, args=(stopping,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(patience)
