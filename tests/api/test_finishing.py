"""The thread that rewrites files where that is due: whatever goes wrong, it says so and tries again."""

import logging
import threading
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from api.cli.erasing import (
    EVERY,
    SELDOM,
    _run,  # pyright: ignore[reportPrivateUsage]
    finish_where_due,
    finishing,
)
from api.composition import assembled
from domain.kernel import new_id
from infra.erasure.rewriting import master_key_due
from infra.master_key import keys_in
from infra.migrations import migrate
from infra.settings import Settings, read_settings
from tests.api.listening import until

KEY = "The master key has to be rotated"
"""So begins what is the operator's to do, where other hosts may have key files of their own."""


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
    assert {one for one in caplog.messages if KEY not in one} == {"Files still hold what was erased: ModelError"}
    assert any(KEY in one for one in caplog.messages)


def test_read_models_are_not_built_anew_each_hour_for_want_of_a_right(
    database: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The owner of a database may not write over the log of its server."""
    round_ = OneRound()
    _run(settings, database, round_)
    assert "GRANT" in caplog.text.upper()
    assert round_.pause == SELDOM > EVERY


@pytest.mark.parametrize(
    ("epochs", "is_due"),
    [
        ({1: "1 day"}, True),  # the first is older, whenever the table of epochs came to be
        ({1: "3 years", 2: "1 day"}, True),  # it is being rotated: the former one is not destroyed yet
        ({2: "1 day"}, False),
        ({2: "3 years"}, True),
    ],
    ids=str,
)
def test_a_master_key_that_is_older_than_an_erasure_is_to_be_rotated(
    database: str, settings: Settings, epochs: dict[int, str], is_due: bool
) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("DELETE FROM daybook_keys.epochs")
        for epoch, age in epochs.items():
            db.execute(
                "INSERT INTO daybook_keys.epochs (epoch, proof, begun_at) VALUES (%s, 'x', now() - %s::interval)",
                (epoch, age),
            )
        assert (master_key_due(db, settings.erasure_days) is not None) == is_due


def test_a_master_key_is_rotated_where_only_that_is_left(database: str, settings: Settings) -> None:
    """As where the operator says only now that there is one key file."""
    with assembled(database, settings.master_key_file), psycopg.connect(database) as db:
        db.execute("INSERT INTO daybook_keys.rewritings VALUES (now(), now())")
    for one_key_file, epoch in ((False, 1), (True, 2), (True, 2)):
        finish_where_due(replace(settings, one_key_file=one_key_file), database)
        assert keys_in(settings.master_key_file).keys() == {epoch}
