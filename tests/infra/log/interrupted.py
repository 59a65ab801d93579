"""A witness that is killed before each line of `infra/private_files.py`, which alone writes: one after the other.

    python -m tests.infra.log.interrupted DIRECTORY REQUEST KEY

It works on copies of the directory. Prints for each death, as JSON in a line: what the directory held afterwards, what
a witness that begins there again makes of the same request, and its key.
"""

import json
import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from infra import private_files
from infra.log.note import Verifier
from infra.log.witness import Request, opened


def main(directory: Path, request: Request, log: Verifier) -> None:
    again = directory.with_name("again")
    os.fsync = unsynced
    for line in count(1):
        if directory.exists():
            shutil.copytree(directory, again)
        child = os.fork()
        if child == 0:
            sys.settrace(dying(line))
            cosigned(again, request, log)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        held = {file.name: file.read_text() for file in again.glob("[!.]*")}
        then = cosigned(again, request, log)
        with opened(again) as witness:
            print(json.dumps({"held": held, "then": then, "key": witness.verifier}))
        shutil.rmtree(again)
        if status == 0:
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def unsynced(fd: object) -> None:
    """A process that is killed leaves its files to the system: syncing takes seconds here, and shows nothing."""


def cosigned(directory: Path, request: Request, log: Verifier) -> str:
    with opened(directory) as witness:
        return witness.cosigned(request, witness.log or log, 1_700_000_000)


def dying(line: int) -> Any:
    """A trace that kills the process before the line, or the end of a function, with this number."""
    left = line

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != private_files.__file__:
            return None
        left -= event in ("line", "return")
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


if __name__ == "__main__":
    _, place, asked, key = sys.argv
    main(Path(place), Request.read(Path(asked).read_text()), Verifier.read(key))
