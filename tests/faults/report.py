"""How large the campaigns are, and what they found, for docs/campaigns/RESULTS.md.

In CI they are reduced; `make campaign` (DAYBOOK_CAMPAIGN=full) runs them in full. A seed is in the name of its test:
`pytest "tests/faults/test_kills.py::test_killed_at_random[seed-1]"` repeats that one. DAYBOOK_CAMPAIGN_SEED=1000 begins
counting there, for other random numbers than yesterday's.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.load import Load
from tests.postgres import MAJOR

FULL = os.environ.get("DAYBOOK_CAMPAIGN") == "full"
FIRST_SEED = int(os.environ.get("DAYBOOK_CAMPAIGN_SEED", "1"))


def seeds(reduced: int, full: int) -> Sequence[Any]:
    """The seeds of a campaign, as parameters of its test."""
    count = full if FULL else reduced
    return [pytest.param(seed, id=f"seed-{seed}") for seed in range(FIRST_SEED, FIRST_SEED + count)]


class Run(NamedTuple):
    """One campaign's run with one seed: on a book of its own."""

    campaign: str
    seed: int
    faults: int
    commands: int
    """Acknowledged ones."""
    retried: int
    """How often a client heard nothing, or that the book is out of reach, and asked again."""
    events: int


class Report:
    """Collects the runs of one campaign."""

    def __init__(self, campaign: str, runs: list[Run]) -> None:
        self._campaign, self._runs = campaign, runs

    def add(self, *, seed: int, faults: int, load: Load, events: int) -> None:
        """All invariants held after these faults."""
        retried = sum(load.unanswered.values())
        self._runs.append(Run(self._campaign, seed, faults, len(load.acknowledged), retried, events))

    def add_import(self, *, seed: int, faults: int, rows: int, events: int) -> None:
        """The same, where rows were imported."""
        self._runs.append(Run(self._campaign, seed, faults, rows, faults, events))

    def add_tampering(self, *, seed: int, faults: int, events: int) -> None:
        """Each of these alterations of a book, one after another, was found where it was."""
        self._runs.append(Run(self._campaign, seed, faults, events, 0, events))


def markdown(runs: Sequence[Run], not_held: Mapping[str, str], former: str) -> str:
    """RESULTS.md, after what was run in full just now; the other campaigns keep their lines of the `former` one.

    `not_held`: by campaign, what is to be said of one that failed or was skipped.
    """
    lines = {line.split(" | ")[0].lstrip("| "): line for line in former.splitlines() if _ROW.match(line)}
    for campaign in dict.fromkeys(run.campaign for run in runs):
        own = [run for run in runs if run.campaign == campaign]
        sums = [sum(column) for column in zip(*(run[2:] for run in own), strict=True)]
        figures = " | ".join(f"{number:,}" for number in (len(own), *sums))
        lines[campaign] = f"| {campaign} | {figures} | held | {_circumstances()} |"
    for campaign, why in not_held.items():
        lines[campaign] = f"| {campaign} | 0 | 0 | 0 | 0 | 0 | {why.replace('|', '/')} | {_circumstances()} |"
    return "\n".join([_HEAD, *sorted(lines.values()), ""])


_ROW = re.compile(r"\| [a-z][^|]* \| [\d,]+ \|")

_HEAD = """# Fault campaigns

Made by `make campaign`. Each book was written to by concurrent clients over HTTP while its processes or its PostgreSQL
were killed, starved or cut off; clients sent what was not answered again, under the same key. Then it was checked
against its raw tables: every acknowledged command is there once and nothing else, positions and versions are dense,
receipts and reservations agree with the events, read models equal a plain fold, and a subscriber that reconnected with
its last cursor saw each entry once (tests/faults/invariants.py). Where history is altered, a superuser of the database
did it: every column changed, entries removed, reordered, inserted, truncated, written anew, each kind 1,000 times at
random positions by each of four attackers, who rewrite the tree too, with their own key or with the log's where one old
checkpoint is kept elsewhere. Each time what recomputes the log said where (tests/faults/test_tampering.py). A line
stands until its campaign is run in full again.

| campaign | books | faults | commands | asked again | events | every invariant | commit, seeds, PostgreSQL, Python |
|---|---:|---:|---:|---:|---:|---|---|"""


def _circumstances() -> str:
    root = Path(__file__).parents[2]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", ":/", ":(exclude)docs/campaigns")
    commit = f"`{git('rev-parse', '--short=12', 'HEAD')}`" + (" with changes not committed" if changed else "")
    return f"{commit}, from {FIRST_SEED} on, {MAJOR}, {platform.python_version()}, {os.cpu_count()} cores"
