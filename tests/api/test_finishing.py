"""The thread that rewrites files where that is due: whatever goes wrong, it says so and tries again."""

import logging
import threading
from pathlib import Path

import psycopg
import pytest

from api.cli.erasing import EVERY, SELDOM, _run, finishing  # pyright: ignore[reportPrivateUsage]
from domain.kernel import new_id
from infra.migrations import migrate
from infra.settings import Settings, read_settings
from tests.api.listening import until


class OneRound(threading.Event):
    """Stops after a round, and remembers how long it would have been to the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.pause: float | None = None

    def wait(self, timeout: float | None = None) -> bool:
        self.pause = timeout
        self.set()
        return True


@pytest.fixture
def settings(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Settings:
    """Of a book on a server of the operator's, in which somebody was erased long ago; errors are kept."""
    migrate(database)
    with psycopg.connect(database) as db:
        db.execute(
            "INSERT INTO daybook_keys.subjects (subject, made_at, destroyed_at)"
            " VALUES (%s, now(), now() - interval '1 year')",
            (new_id(),),
        )
    caplog.set_level(logging.ERROR, "daybook.erasure")
    return read_settings({"DAYBOOK_DATA": str(tmp_path), "DATABASE_URL": "postgresql://elsewhere"})


def test_what_nobody_expected_does_not_end_it(
    database: str, settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database) as db:
        db.execute("DELETE FROM daybook_projections.models")  # what is not installed can't be rebuilt
    monkeypatch.setattr("api.cli.erasing.EVERY", 0.01)
    with finishing(settings, database):
        until(lambda: len(caplog.messages) > 1)
    assert set(caplog.messages) == {"Files still hold what was erased: ModelError"}


def test_read_models_are_not_built_anew_each_hour_for_want_of_a_right(
    database: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The owner of a database may not write over the log of its server."""
    round_ = OneRound()
    _run(settings, database, round_)
    assert "GRANT" in caplog.text.upper()
    assert round_.pause == SELDOM > EVERY
