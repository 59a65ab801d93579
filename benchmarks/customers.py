"""Customers' histories, written straight into the book: the events that the commands would have left."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import cast
from uuid import UUID, uuid4

from eventsourcing.domain import DomainEventProtocol

from api.composition import Parts
from benchmarks.stock import ACTOR, NOTE
from domain.appending import Draft
from domain.customer import (
    Change,
    ContactPoint,
    CustomerDetailsChanged,
    CustomerEvent,
    CustomerKind,
    CustomerNoteAdded,
    CustomerRegistered,
    CustomerRenamed,
    Relationship,
)
from domain.kernel import ContactKind, new_id
from domain.kernel.recorded import Context

_AT_ONCE = 1_000


def history(number: int, events: int) -> Iterator[CustomerEvent]:
    """A customer's story: registered, then renamed, noted and valued in turns."""
    name, revenue = f"Ada Lovelace {number}", "0"
    yield _registered(name, f"ada.{number}@example.com")
    for n in range(events - 1):
        match n % 3:
            case 0:
                name, old = f"Ada Lovelace {number}.{n}", name
                yield CustomerRenamed(old=old, new=name)
            case 1:
                yield CustomerNoteAdded(note=uuid4(), text=NOTE)
            case _:
                revenue, old = str(Decimal("12345.67") + n), revenue
                yield CustomerDetailsChanged(changes={"annual_revenue": Change(old, revenue)}, personal_changes={})


def drafts(id: UUID, events: Iterable[CustomerEvent]) -> Iterator[Draft]:
    """The events on their way to the store, each under a key of its own."""
    for version, event in enumerate(events, start=1):
        context = Context(actor=ACTOR, idempotency_key=uuid4(), correlation_id=uuid4())
        yield Draft(originator_id=id, originator_version=version, subject=id, event=event, context=context)


def enter(parts: Parts, entries: Iterable[Draft]) -> None:
    """Seal and append them, many at once."""
    rest = iter(entries)
    while some := list(islice(rest, _AT_ONCE)):
        parts.daybook.events.put(cast("Sequence[DomainEventProtocol[UUID]]", some))


def _registered(name: str, email: str) -> CustomerRegistered:
    point = ContactPoint(
        id=new_id(), kind=ContactKind.EMAIL, value=email, normalised=email, label=None, primary=True, shared=False
    )
    return CustomerRegistered(
        kind=CustomerKind.PERSON,
        name=name,
        contact_points=(point,),
        owner=None,
        team=None,
        source=None,
        external_ids=(),
        language=None,
        relationship=Relationship.PROSPECT,
        parent=None,
        shared_email_reason=None,
    )
