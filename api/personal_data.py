"""What the book holds about one person, for that person (GDPR, articles 15 and 20): docs/operator/requests.md.

Theirs is what their key seals, in whatever record; what a deal or ticket that is theirs now was told before it was; and
how an organisation they are a contact of is linked to them. Other people's entries in the same records are not read.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias, cast
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.catalogue import camel, catalogue
from domain.customer import (
    Customer,
    CustomerConsentGranted,
    CustomerConsentWithdrawn,
    CustomerContactLinked,
    CustomerContactUnlinked,
    CustomerPersonalDataExported,
    CustomerUnmasked,
    Fact,
)
from domain.daybook import Daybook
from domain.kernel import opened, type_id
from domain.kernel.recorded import Recorded
from infra.entries import COLUMNS, ON_A_CONTACT, THE_CONTACT, StoredEntry
from infra.event_store import Pool
from infra.mapper import SealingMapper
from infra.silence import unhurried
from projections.event_data import event_data

Entry: TypeAlias = Recorded[Any]


class Source(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where something comes from: an entry of the book."""

    position: str
    occurred_at: datetime


class ContactPoint(Struct, frozen=True, kw_only=True, rename="camel"):
    """A way to reach the person."""

    kind: str
    value: str
    label: str | None
    primary: bool


class Named(Struct, frozen=True, kw_only=True):
    """A class by its scheme, or an id by the system that it comes from."""

    of: str
    value: str


class Consent(Source, frozen=True, kw_only=True, rename="camel"):
    """What was said of a purpose on a channel, each time that something was said."""

    purpose: str
    channel: str
    state: str
    """`granted` or `withdrawn`."""
    basis: str | None
    """The legal ground of the grant."""
    text_version: str | None
    proof: str | None


class Role(Source, frozen=True, kw_only=True, rename="camel"):
    """That the person was entered as a contact of an organisation, or that this ended; without `until`, by mistake."""

    organisation: str
    event: str
    role: str | None
    since: date | None
    until: date | None


class Text(Source, frozen=True, kw_only=True, rename="camel"):
    """What somebody wrote down or said: a message, a note, a comment, a reason."""

    event: str
    by: str
    text: str


class Correspondence(Struct, frozen=True, kw_only=True):
    """A ticket or a deal of the person's, as far as its words are theirs."""

    record: str
    title: str | None
    """The last one; null where it was given while the record was another's."""
    texts: list[Text]


class Disclosure(Source, frozen=True, kw_only=True, rename="camel"):
    """Somebody to whom personal data is hidden was shown the person's, or a copy such as this was made."""

    by: str
    reason: str | None
    copied: bool


class Value(Source, frozen=True, kw_only=True, rename="camel"):
    """The personal values of one entry, by the event's fields. `docs/auditor` and `events.json` say what these mean."""

    record: str
    event: str
    recorded_at: datetime
    by: str
    on_behalf_of: str | None
    reason: str | None
    erased: bool
    values: dict[str, Any]


class PersonalData(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything, as one document."""

    format: str = "daybook-personal-data-1"
    customer: str
    position: str
    """The last entry of the book that concerns the person."""
    name: str | None
    details: dict[str, Fact]
    contact_points: list[ContactPoint]
    tags: list[str]
    classes: list[Named]
    external_ids: list[Named]
    consents: list[Consent]
    roles: list[Role]
    notes: list[Text]
    tickets: list[Correspondence]
    opportunities: list[Correspondence]
    disclosures: list[Disclosure]
    entries: list[Value]
    """Every personal value with its source: all of the above, and what it was before."""


def personal_data(pool: Pool, mapper: SealingMapper, daybook: Daybook, customer: UUID) -> PersonalData:
    """Read through the whole book for what concerns a customer, who must be there."""
    entries = mapper.recorded(_stored(pool, daybook, customer))
    state = cast("Customer", daybook.fold(customer).state)
    own = [one for one in entries if one.originator_id == customer]
    return PersonalData(
        customer=type_id(catalogue.prefixes["customer"], customer),
        position=str(entries[-1].position),
        name=opened(state.name),
        details={camel(detail): value for detail, value in state.details.items()},
        contact_points=[
            ContactPoint(kind=one.kind.value, value=one.value, label=one.label, primary=one.primary)
            for one in state.contact_points.values()
        ],
        tags=[*state.tags.values()],
        classes=[Named(of=scheme, value=value) for scheme, value in state.classes.values()],
        external_ids=sorted(
            (Named(of=one.source, value=one.id) for one in state.external_ids), key=msgspec.structs.astuple
        ),
        consents=[_consent(one) for one in own if isinstance(one.event, _CONSENTING)],
        roles=[_role(one) for one in entries if isinstance(one.event, _LINKING)],
        notes=[text for one in own for text in _texts(one) if one.name == "CustomerNoteAdded"],
        tickets=_correspondence(entries, "ticket"),
        opportunities=_correspondence(entries, "opportunity"),
        disclosures=[
            Disclosure(
                **_source(one),
                by=one.actor,
                reason=opened(one.event.reason),
                copied=isinstance(one.event, CustomerPersonalDataExported),
            )
            for one in own
            if isinstance(one.event, CustomerUnmasked | CustomerPersonalDataExported)
        ],
        entries=[value for one in entries if (value := _value(one))],
    )


_LINKING = (CustomerContactLinked, CustomerContactUnlinked)
_CONSENTING = (CustomerConsentGranted, CustomerConsentWithdrawn)
_TITLES = {
    "TicketOpened": "subject",
    "TicketSubjectChanged": "new",
    "OpportunityOpened": "title",
    "OpportunityRenamed": "new",
}
"""Where an event says what the record is called."""

# As text, for an entry of somebody else's that was altered must not end what looks for these.
_UNTIL_THEN_NOBODYS = """
    SELECT DISTINCT originator_id FROM daybook.events
    WHERE topic IN ('TicketCustomerAssigned', 'OpportunityCustomerAssigned')
        AND substring(encode(state, 'escape') from '"new":"([0-9a-f-]{36})"') = %(customer)s::text
"""
# Of an organisation's own entries those that link its persons are theirs, not the organisation's.
_ABOUT = f"""
    SELECT {COLUMNS} FROM daybook.events
    WHERE (subject = %(customer)s AND NOT {ON_A_CONTACT})
        OR (originator_id = ANY(%(records)s) AND subject = originator_id)
        OR ({ON_A_CONTACT} AND {THE_CONTACT} = %(customer)s::text)
    ORDER BY position
"""


def _stored(pool: Pool, daybook: Daybook, customer: UUID) -> Sequence[StoredEntry]:
    with pool.connection() as db, unhurried(db):
        assigned = [id for (id,) in db.execute(_UNTIL_THEN_NOBODYS, {"customer": customer})]
    records = [id for id in assigned if cast("Any", daybook.fold_sealed(id).state).customer == customer]
    with pool.connection() as db, unhurried(db):
        rows = db.execute(_ABOUT, {"customer": customer, "records": records}, binary=True).fetchall()
    return [StoredEntry(*row) for row in rows]


def _consent(one: Entry) -> Consent:
    event = one.event
    return Consent(
        **_source(one),
        purpose=event.purpose,
        channel=event.channel.value,
        state="granted" if isinstance(event, CustomerConsentGranted) else "withdrawn",
        basis=event.basis and event.basis.value,
        text_version=event.text_version,
        proof=opened(event.proof),
    )


def _role(one: Entry) -> Role:
    linked = isinstance(one.event, CustomerContactLinked)
    return Role(
        **_source(one),
        organisation=_record(one),
        event=one.name,
        role=opened(one.event.role) if linked else None,
        since=one.event.since if linked else None,
        until=one.event.until,
    )


def _correspondence(entries: Sequence[Entry], kind: str) -> list[Correspondence]:
    found: dict[str, tuple[str | None, list[Text]]] = {}
    for one in entries:
        if one.kind == kind:
            title, texts = found.get(_record(one), (None, []))
            title = _personal(one).get(_TITLES.get(one.name, ""), title)
            found[_record(one)] = (title, [*texts, *_texts(one)])
    return [Correspondence(record=record, title=title, texts=texts) for record, (title, texts) in found.items()]


def _texts(one: Entry) -> Iterator[Text]:
    for field, value in _personal(one).items():
        if isinstance(value, str) and (field == "text" or one.name not in _TITLES):
            yield Text(**_source(one), event=one.name, by=one.actor, text=value)


def _value(one: Entry) -> Value | None:
    values = _personal(one)
    if not values and one.reason is None and not one.erased:
        return None
    return Value(
        **_source(one),
        record=_record(one),
        event=one.name,
        recorded_at=one.recorded_at,
        by=one.actor,
        on_behalf_of=one.on_behalf_of,
        reason=one.reason,
        erased=one.erased,
        values=values,
    )


def _personal(one: Entry) -> dict[str, Any]:
    """The personal fields of an event that say something, as the event's `data` in GraphQL has them."""
    data, _ = event_data(one.event)
    found = {name: data[name] for name in map(camel, catalogue.shape_of(one.event).personal)}
    if one.name in _TITLES:
        found.pop("old", None)  # it was theirs where an entry of theirs gave it, and another person's otherwise
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def _source(one: Entry) -> dict[str, Any]:
    return {"position": str(one.position), "occurred_at": one.occurred_at}


def _record(one: Entry) -> str:
    return type_id(catalogue.prefixes[one.kind], one.originator_id)
