"""The PostgreSQL servers that tests run on: the wheel's 18 or 16, or Debian's 15 (DAYBOOK_TEST_POSTGRES=18|16|15)."""

import os
from collections.abc import Callable
from pathlib import Path

from infra.embedded import EmbeddedPostgres

NEWEST = 18
"""The version that is embedded, and that all tests run on."""
MAJOR = int(os.environ.get("DAYBOOK_TEST_POSTGRES", NEWEST))
BINARIES = Path("/usr/lib/postgresql/15/bin") if MAJOR == 15 else None


def embedded(
    directory: Path, *, report: Callable[[str], None] | None = None, leave_running: bool = False, patience: float = 60
) -> EmbeddedPostgres:
    """A server of the version under test, with all its safety on: tests of durability need the real thing."""
    return EmbeddedPostgres(
        directory, major=MAJOR, binaries=BINARIES, report=report, leave_running=leave_running, patience=patience
    )
