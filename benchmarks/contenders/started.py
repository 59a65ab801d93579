"""Starts contenders in processes of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.server import port_of

NODE = Path(__file__).parent.parent / "node"


def why_no_node() -> str | None:
    """Why the contenders on Node can't be started; None where they can."""
    if shutil.which("node") is None:
        return "there is no Node on this machine"
    if not (NODE / "node_modules").is_dir():
        return f"`npm ci` was not run in benchmarks/{NODE.name}"
    return None


@contextmanager
def started(words: Sequence[str], environment: Mapping[str, str] = {}) -> Iterator[tuple[psutil.Process, int]]:
    """A server that says its address; its process and its port. Killed at the end: it holds nothing."""
    process = subprocess.Popen(
        words, cwd=NODE.parent.parent, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield psutil.Process(process.pid), port_of(process)
    finally:
        process.kill()
        process.communicate()


def python(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.contenders.{module}", *words]


def node(script: str, *words: str) -> list[str]:
    return ["node", str(NODE / script), *words]
