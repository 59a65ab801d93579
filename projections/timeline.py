"""The timeline: every entry of the book, readable, for the history of an aggregate, of a person, of a request."""

from typing import Any
from uuid import UUID

from domain.kernel import Event, type_id
from domain.kernel.recorded import Recorded
from projections.event_data import event_data
from projections.model import Model, Posting, Table, public_id

TIMELINE = Table(
    name="timeline",
    columns={
        "position": "bigint NOT NULL",
        "aggregate_kind": "text NOT NULL",  # customer, opportunity, ...
        "aggregate_id": "text NOT NULL",
        "version": "bigint NOT NULL",  # of the aggregate, after this entry
        "event": "text NOT NULL",  # the stored name, e.g. CustomerRenamed, TicketNoteAdded.2
        "event_id": "text NOT NULL",  # evt_...
        "recorded_at": "timestamptz NOT NULL",
        "occurred_at": "timestamptz NOT NULL",
        "subject_id": "text NOT NULL",  # whose key seals the personal part: a customer, or the aggregate itself
        "actor": "text NOT NULL",
        "on_behalf_of": "text",
        "correlation_id": "uuid NOT NULL",  # the request
        "causation_id": "text",  # evt_...: the event that caused this one
        "reason": "text",
        "erased": "boolean NOT NULL",  # whether the key of the personal part was destroyed
        "data": "json NOT NULL",  # the event's fields in camel case; amounts as text, ids as public ids
        "withheld": "text[] NOT NULL",  # the names of the fields whose values are gone: they are null in data
    },
    key=("position",),
    grows=True,
    of="aggregate_id",
    indexes=("aggregate_id, position", "subject_id, position", "correlation_id, position"),
)


def post(posting: Posting, recorded: Recorded[Event]) -> None:
    """The entry, as a row."""
    data, withheld = event_data(recorded.event)
    posting.insert(
        TIMELINE,
        position=recorded.position,
        aggregate_kind=recorded.kind,
        aggregate_id=public_id(recorded.kind, recorded.originator_id),
        version=recorded.originator_version,
        event=recorded.name,
        event_id=type_id("evt", recorded.event_id),
        recorded_at=recorded.recorded_at,
        occurred_at=recorded.occurred_at,
        subject_id=_subject(recorded),
        actor=recorded.actor,
        on_behalf_of=recorded.on_behalf_of,
        correlation_id=recorded.correlation_id,
        causation_id=None if recorded.causation_id is None else type_id("evt", recorded.causation_id),
        reason=recorded.reason,
        erased=recorded.erased,
        data=data,
        withheld=withheld,
    )


def _subject(recorded: Recorded[Any]) -> str:
    """Where it is not the aggregate itself, the subject is the customer that the aggregate is about."""
    own: UUID = recorded.originator_id
    return public_id(recorded.kind if recorded.subject == own else "customer", recorded.subject)


timeline = Model(name="timeline", version=3, tables=(TIMELINE,), post=post)
