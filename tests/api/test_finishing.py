"""The thread that rewrites files where that is due: whatever goes wrong, it says so and tries again."""

import logging
from pathlib import Path

import psycopg
import pytest

from api.cli.erasing import finishing
from domain.kernel import new_id
from infra.migrations import migrate
from infra.settings import read_settings
from tests.api.listening import until


def test_what_nobody_expected_does_not_end_it(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database)
    with psycopg.connect(database) as db:
        db.execute("DELETE FROM daybook_projections.models")  # what is not installed can't be rebuilt
        db.execute(
            "INSERT INTO daybook_keys.subjects (subject, made_at, destroyed_at)"
            " VALUES (%s, now(), now() - interval '1 year')",
            (new_id(),),
        )
    monkeypatch.setattr("api.cli.erasing.EVERY", 0.01)
    settings = read_settings({"DAYBOOK_DATA": str(tmp_path), "DATABASE_URL": "postgresql://elsewhere"})
    with caplog.at_level(logging.ERROR, "daybook.erasure"), finishing(settings, database):
        until(lambda: len(caplog.messages) > 1)
    assert set(caplog.messages) == {"Files still hold what was erased: ModelError"}
