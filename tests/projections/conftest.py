"""A book of toy diaries with its read models installed, and what to look at it with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import psycopg
import pytest

from api.composition import Parts
from infra.announcer import Announcer
from projections.model import Model
from projections.progress import Progress
from projections.runner import ProjectionRunner
from projections.tables import install
from tests.projections.diaries import counted, diaries
from tests.toy import toy_book


def until(reached: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition; fails when it does not come."""
    deadline = monotonic() + seconds
    while not reached():
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.005)


class Diaries(NamedTuple):
    """The toy book with everything that a test of the projections asks for."""

    parts: Parts
    db: psycopg.Connection[Any]
    models: tuple[Model, ...] = (diaries, counted)

    def position(self, model: str = "diaries") -> int:
        [(position,)] = self.db.execute("SELECT position FROM daybook_projections.models WHERE name = %s", (model,))
        return int(position)

    def wait(self, position: int) -> None:
        until(lambda: min(self.position(model.name) for model in self.models) >= position)

    def parked(self) -> list[tuple[Any, ...]]:
        return self.db.execute(
            "SELECT model, aggregate_id, position, event, attempts FROM daybook_projections.parked ORDER BY 1, 2"
        ).fetchall()

    def runner(
        self,
        *,
        name: str = "test",
        batch: int = 500,
        lease_seconds: float = 5.0,
        announcer: Announcer | None = None,
        progress: Progress | None = None,
    ) -> ProjectionRunner:
        return ProjectionRunner(
            self.parts.logins.posting,
            self.parts.mapper,
            self.models,
            name=name,
            batch=batch,
            lease_seconds=lease_seconds,
            announcer=announcer,
            progress=progress,
        )

    @contextmanager
    def running(
        self,
        *,
        name: str = "test",
        batch: int = 500,
        lease_seconds: float = 5.0,
        announcer: Announcer | None = None,
        progress: Progress | None = None,
    ) -> Iterator[ProjectionRunner]:
        runner = self.runner(
            name=name, batch=batch, lease_seconds=lease_seconds, announcer=announcer, progress=progress
        )
        runner.start()
        try:
            yield runner
        finally:
            runner.stop()


@pytest.fixture
def book(migrated_database: str, tmp_path: Path) -> Iterator[Diaries]:
    with (
        psycopg.connect(migrated_database, autocommit=True) as db,
        toy_book(migrated_database, tmp_path) as parts,
    ):
        made = Diaries(parts, db)
        assert install(db, made.models) == []
        yield made
