"""The stock projection runner, one transaction for each event: on a table of its own, and with our own posting."""

import time
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import InfrastructureFactory, Mapper, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import Environment
from psycopg.sql import SQL, Composed

from api.composition import Parts
from benchmarks.rounds import until
from benchmarks.stock import StockCrm, StockCustomer, environment
from infra.factory import BookFactory
from projections.flush import Flush
from projections.model import Posting
from projections.past import At
from projections.registry import models
from projections.tables import READ


def project_one_table(conninfo: str, last: int) -> float:
    """Seconds from the first event of an empty table to the last position, by the library's runner."""
    with psycopg.connect(conninfo, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS customer_view, stockprojection_tracking, notification_tracking")
        runner = ProjectionRunner(
            application_class=StockCrm,
            projection_class=StockProjection,
            view_class=StockView,
            env=environment(conninfo),
        )
        with runner:
            until(lambda: runner.view.has_tracking_id("StockCrm", 1) or runner.is_interrupted.is_set())
            began = time.perf_counter()
            until(lambda: runner.view.has_tracking_id("StockCrm", last) or runner.is_interrupted.is_set())
            took = time.perf_counter() - began
            runner.run_forever(0)  # raises what the projection has raised
        return took


class StockView(PostgresTrackingRecorder):
    """The same rows as ONE_MODEL's, each written in a transaction with its position."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.sql_create_statements.append(
            Composed(
                [
                    SQL(
                        "CREATE TABLE IF NOT EXISTS customer_view"
                        " (id uuid PRIMARY KEY, name text, email text, last_note uuid, position bigint NOT NULL)"
                    )
                ]
            )
        )

    def write(self, statement: SQL, tracking: Tracking, **values: object) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(statement, {**values, "position": tracking.notification_id}, prepare=True)


class StockProjection(Projection[StockView]):
    """What the library's documentation shows: a handler for each event."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.write(_MOVE, tracking, id=domain_event.originator_id)

    @process_event.register
    def _registered(self, event: StockCustomer.Registered, tracking: Tracking) -> None:
        self.view.write(_INSERT, tracking, id=event.originator_id, name=event.name, email=event.email)

    @process_event.register
    def _renamed(self, event: StockCustomer.Renamed, tracking: Tracking) -> None:
        self.view.write(_RENAME, tracking, id=event.originator_id, name=event.name)

    @process_event.register
    def _note_added(self, event: StockCustomer.NoteAdded, tracking: Tracking) -> None:
        self.view.write(_NOTE, tracking, id=event.originator_id, note=event.note)


_INSERT = SQL(
    "INSERT INTO customer_view (id, name, email, position) VALUES (%(id)s, %(name)s, %(email)s, %(position)s)"
)
_RENAME = SQL("UPDATE customer_view SET name = %(name)s, position = %(position)s WHERE id = %(id)s")
_NOTE = SQL("UPDATE customer_view SET last_note = %(note)s, position = %(position)s WHERE id = %(id)s")
_MOVE = SQL("UPDATE customer_view SET position = %(position)s WHERE id = %(id)s")


def project_our_models(parts: Parts, last: int) -> float:
    """Seconds from the first event of our models, which are empty, to the last: the library's runner, our posting."""

    class Book(Application[UUID]):
        def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:  # noqa: ARG002
            return BookFactory(parts.store)

        def construct_mapper(self) -> Mapper[UUID]:
            return parts.mapper

    with psycopg.connect(parts.conninfo, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS modelsprojection_tracking, notification_tracking")
        runner = ProjectionRunner(
            application_class=Book,
            projection_class=ModelsProjection,
            view_class=ModelsView,
            env=environment(parts.conninfo),
        )
        with runner:
            until(lambda: runner.view.has_tracking_id("Book", 1) or runner.is_interrupted.is_set())
            began = time.perf_counter()
            until(lambda: runner.view.has_tracking_id("Book", last) or runner.is_interrupted.is_set())
            took = time.perf_counter() - began
            runner.run_forever(0)
        return took


class ModelsView(PostgresTrackingRecorder):
    """The tables of our read models."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._flush = Flush(READ)

    def write(self, posting: Posting, at: At, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            for statement in self._flush.statements([(at, posting.changes)]):
                cursor.execute(statement.text.whole, (statement.rows.decode(),), prepare=True)


class ModelsProjection(Projection[ModelsView]):
    """Every read model's posting of an event, in one transaction."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        posting = Posting()
        for model in models:
            if model.kinds is None or domain_event.kind in model.kinds:
                model.post(posting, domain_event)
        self.view.write(posting, At(domain_event.position, domain_event.occurred_at), tracking)
