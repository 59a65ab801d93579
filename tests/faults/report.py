"""How large the campaigns are, and what they found, for docs/campaigns/RESULTS.md.

In CI they are reduced; `make campaign` (DAYBOOK_CAMPAIGN=full) runs them in full. A seed is in the name of its test:
`pytest "tests/faults/test_kills.py::test_killed_at_random[seed-7]"` repeats that one. DAYBOOK_CAMPAIGN_SEED=1000 begins
counting there, for other random numbers than yesterday's.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from tests.faults.load import Load

FULL = os.environ.get("DAYBOOK_CAMPAIGN") == "full"
FIRST_SEED = int(os.environ.get("DAYBOOK_CAMPAIGN_SEED", "1"))


def seeds(reduced: int, full: int) -> Sequence[Any]:
    """The seeds of a campaign, as parameters of its test."""
    count = full if FULL else reduced
    return [pytest.param(seed, id=f"seed-{seed}") for seed in range(FIRST_SEED, FIRST_SEED + count)]


class Run(NamedTuple):
    """One campaign's run with one seed."""

    campaign: str
    seed: str
    faults: int
    commands: int
    retried: int
    events: int


class Report:
    """Collects the runs of one test."""

    def __init__(self, campaign: str, runs: list[Run]) -> None:
        self._campaign, self._runs = campaign, runs

    def add(self, *, seed: object, faults: int, load: Load, events: int) -> None:
        """All invariants held after these faults."""
        retried = sum(load.unanswered.values())
        self._runs.append(Run(self._campaign, str(seed), faults, len(load.acknowledged), retried, events))
