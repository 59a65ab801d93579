"""Tasks that run beside the requests."""

import asyncio
from contextlib import suppress


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task, until it has ended. Raises what it failed with.

    Once is not enough: on Python 3.11 a cancellation is lost where what the task waits for comes at the same moment.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
    with suppress(asyncio.CancelledError):
        await task
