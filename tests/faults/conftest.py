"""The report of the campaigns: shown at the end, and kept in docs/campaigns/RESULTS.md when they were run in full."""

from pathlib import Path

import pytest

from tests.faults.report import FULL, Report, Run, markdown

RESULTS = Path(__file__).parents[2] / "docs" / "campaigns" / "RESULTS.md"
_RUNS = pytest.StashKey[list[Run]]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    return Report(_campaign(request.node.nodeid), request.config.stash.setdefault(_RUNS, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    runs = config.stash.get(_RUNS, [])
    if not runs:
        return
    terminalreporter.section("fault campaigns: where every invariant held")
    for run in runs:
        terminalreporter.line(
            f"{run.campaign} ({run.seed}): {run.faults} faults, {run.commands} commands acknowledged,"
            f" {run.retried} answers lost and asked for again, {run.events} events"
        )
    if FULL:
        not_held = {
            _campaign(report.nodeid): f"{outcome}: {_why(report)}"
            for outcome in ("failed", "error", "skipped")
            for report in terminalreporter.stats.get(outcome, [])
            if "tests/faults/" in report.nodeid
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(markdown(runs, not_held, RESULTS.read_text() if RESULTS.exists() else ""))
        terminalreporter.line(f"written to {RESULTS.name}")


def _campaign(test: str) -> str:
    return test.partition("::test_")[2].partition("[")[0].replace("_", " ")


def _why(report: pytest.TestReport) -> str:
    """The first line of what it says."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", report.longrepr)).partition("\n")[0]
