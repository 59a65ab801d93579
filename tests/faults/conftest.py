"""The report of the campaigns: collected while they run, written when they were run in full."""

import pytest

from tests.faults.report import Report, Run

_RUNS = pytest.StashKey[list[Run]]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    runs = request.session.stash.setdefault(_RUNS, [])
    return Report(request.function.__name__.removeprefix("test_").replace("_", " "), runs)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    session = terminalreporter._session
    if runs := (session.stash.get(_RUNS, []) if session is not None else []):
        terminalreporter.section("fault campaigns: every invariant held")
        for run in runs:
            terminalreporter.line(
                f"{run.campaign} ({run.seed}): {run.faults} faults, {run.commands} commands acknowledged,"
                f" {run.retried} answers lost and asked for again, {run.events} events"
            )
