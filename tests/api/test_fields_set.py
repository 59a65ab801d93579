"""What a history says an entry is about, held against the folds of made-up books: what changed in the record."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from api.tracing.tracer import Tracer
from api.types.fields_set import fields_told
from domain.catalogue import camel, catalogue
from domain.customer import CustomerDetailsChanged
from domain.customer.commands import LinkCustomerContact, RegisterCustomer, UnlinkCustomerContact
from domain.kernel import Event, Withheld
from domain.kernel.recorded import Recorded
from projections.event_data import facts_of
from tests.projections.books import made_up_book

BY_EVERY_ENTRY = {"version", "position", "recordedAt", "changedAt", "lastTouchedAt", "id"}
SEEDS = range(1, 15)
IN_NO_FOLD = {
    ("CustomerPersonalDataErased.2", "erasureAt"),  # in the made-up books, at the moment of the approval
}


class Set(NamedTuple):
    """A field that an entry set, the fields of the elements of a list apart."""

    entry: Recorded[Any]
    field: str
    of_element: str | None


@pytest.fixture(scope="module")
def changed() -> list[Set]:
    return [*_changed()]


def _changed() -> Iterator[Set]:
    tracer = Tracer()
    books = [made_up_book(seed) for seed in SEEDS]
    books.append(made_up_book(1, 400, (RegisterCustomer, LinkCustomerContact, UnlinkCustomerContact)))
    for book in books:
        histories = defaultdict[UUID, list[Recorded[Any]]](list)
        for entry in book:
            histories[entry.originator_id].append(entry)
        for history in histories.values():
            for step in tracer.steps(history[0].kind, history):
                field, _, element = step.field.partition("[")
                if field not in BY_EVERY_ENTRY:
                    yield Set(step.recorded, field, element.rpartition("].")[2] or None)


def test_an_entry_is_about_every_field_that_it_sets(changed: list[Set]) -> None:
    told = fields_told()
    missing = {
        (one.entry.name, one.field)
        for one in changed
        if one.field not in {*told[one.entry.name], *_details(one.entry.event)}
    }
    assert not missing
    assert len({one.entry.name for one in changed}) > 95


def _details(event: Event) -> Mapping[str, Any]:
    if not isinstance(event, CustomerDetailsChanged):
        return {}
    personal = {} if isinstance(event.personal_changes, Withheld) else event.personal_changes
    return {camel(name): change for name, change in {**event.changes, **personal}.items()}


def test_and_about_no_field_that_its_like_never_set(changed: list[Set]) -> None:
    """Beside these stand other facts of the event only, of which none is called like a field of the record."""
    seen = defaultdict[str, set[str]](set)
    of_kind = defaultdict[str, set[str]](set)
    for one in changed:
        seen[one.entry.name] |= {one.field, one.of_element or one.field}
        of_kind[one.entry.kind].add(one.field)
    for decider in catalogue.deciders.values():
        for name, event in decider.events.items():
            others = {*fields_told()[name]} - seen[name] - {field for at, field in IN_NO_FOLD if at == name}
            assert others <= {*facts_of(event)}, name
            assert not others & of_kind[decider.kind], name


def test_an_older_shape_is_about_what_the_newer_is() -> None:
    assert fields_told()["TicketNoteAdded"] == fields_told()["TicketNoteAdded.2"]
