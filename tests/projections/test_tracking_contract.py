"""The library's contract suite for tracking recorders, run against how the projections keep their positions.

Ours moves a model's position in the transaction that writes its rows (`projections.ledger.commit`); here it does so
with a batch that holds no rows. What decides whether a position may be recorded is the production statement alone: the
adapter only says which position it believed the model to stand at, as a runner does.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, Tracking, TrackingRecorder
from eventsourcing.tests.persistence import TrackingRecorderTestCase

from domain.kernel.recorded import Recorded
from infra.exchange import Exchange
from projections.flush import Flush
from projections.lease import Lease
from projections.ledger import Batch, Superseded, commit, standing
from projections.model import Model, Posting
from projections.tables import READ, install

NAMES = ("upstream1", "upstream2", "upstream3")


def nothing(_posting: Posting, _recorded: Recorded[Any]) -> None:
    """These models hold no rows."""


class Positions(TrackingRecorder):
    """The projections' positions in the library's words: an application name is a model's name."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db, self._exchange, self._flush, self._lease = db, Exchange(db), Flush(READ), Lease("contract", 60.0)
        self._models = {name: Model(name=name, version=1, tables=(), post=nothing) for name in NAMES}
        install(db, self._models.values())
        assert self._lease.take(db)
        self._recorded: dict[str, set[int]] = {name: set() for name in NAMES}

    def insert_tracking(self, tracking: Tracking) -> None:
        model, upto = self._models[tracking.application_name], tracking.notification_id
        believed = max((one for one in self._recorded[model.name] if one < upto), default=0)
        batch = Batch([model], after=believed, upto=upto, more=False, units=[], parked=[], statements=[])
        try:
            commit(self._exchange, self._flush, self._lease, batch, standing(self._db, [model]))
        except Superseded as refused:
            raise IntegrityError(str(refused)) from None
        self._recorded[model.name].add(upto)

    def max_tracking_id(self, application_name: str) -> int | None:
        return standing(self._db, [self._models[application_name]]).models[application_name].position or None


class TestTracking(TrackingRecorderTestCase):
    @pytest.fixture(autouse=True)
    def _given(self, migrated_database: str) -> Iterator[None]:
        with psycopg.connect(migrated_database, autocommit=True) as self.db:
            yield

    def create_recorder(self) -> TrackingRecorder:
        return Positions(self.db)
