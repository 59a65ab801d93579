"""Customers as screens read them: the record, how to reach it, its tags, classes, contacts, consents and notes."""

from datetime import date
from decimal import Decimal
from typing import Any, assert_never
from unicodedata import normalize
from uuid import UUID

from domain.customer import (
    Change,
    ContactPoint,
    CustomerArchived,
    CustomerClassified,
    CustomerConsentGranted,
    CustomerConsentWithdrawn,
    CustomerContactLinked,
    CustomerContactPointAdded,
    CustomerContactPointMadePrimary,
    CustomerContactPointRemoved,
    CustomerContactUnlinked,
    CustomerDetailsChanged,
    CustomerErasureApproved,
    CustomerErasureRequested,
    CustomerErasureRequestWithdrawn,
    CustomerEvent,
    CustomerExternalIdAdded,
    CustomerExternalIdRemoved,
    CustomerLegalHoldLifted,
    CustomerLegalHoldPlaced,
    CustomerNoteAdded,
    CustomerOwnerAssigned,
    CustomerParentAssigned,
    CustomerPersonalDataErased,
    CustomerPersonalDataExported,
    CustomerRegistered,
    CustomerRelationshipChanged,
    CustomerRenamed,
    CustomerRestored,
    CustomerTagAdded,
    CustomerTagRemoved,
    CustomerUnmasked,
)
from domain.kernel import ContactKind, Withheld, opened, type_id
from domain.kernel.recorded import Recorded
from projections.model import STAMP, Model, Posting, Table, public_id, public_id_or_none, stamp
from projections.parts import add_external_ids, add_note, external_ids_of, notes_of, ordinal, remove_external_id
from projections.searching import forget, found_by, now_found_by, search_key, searched_by
from projections.sorting import TEXT_KEY, sort_key

CUSTOMERS = Table(
    name="customers",
    columns={
        "id": "text NOT NULL",
        **STAMP,  # its position is compared with below asOf, and what stands in front is found soonest
        "kind": "text NOT NULL",  # person, organisation
        "name": "text",
        "name_key": TEXT_KEY,  # the name as it sorts and is searched; "" without a name
        "status": "text NOT NULL",  # active, archived, erased
        "relationship": "text NOT NULL",  # prospect, active, dormant, former
        "owner_id": "text",
        "team_id": "text",
        "parent_id": "text",  # the customer that this one belongs to
        "source": "text",
        "language": "text",  # BCP 47
        "legal_name": "text",
        "salutation": "text",
        "job_title": "text",
        "birthday": "date",
        "description": "text",
        "founded_year": "integer",
        "employees": "integer",
        "annual_revenue": "numeric",  # in revenue_currency
        "revenue_currency": "text",
        "created_at": "timestamptz NOT NULL",  # when it was registered, by its own time: an import's is in the past
        "registered_position": "bigint NOT NULL",  # the entry that registered it: the order of registration
        "changed_at": "timestamptz NOT NULL",  # when its last event happened
        "archived_at": "timestamptz",
        "erasure": "text",  # requested, approved, erased; NULL: nobody asked for it
        "erasure_at": "timestamptz",  # since when it is so
    },
    indexes=(
        "created_at DESC, id",
        "changed_at DESC, id",
        "name_key, id",
        "owner_id, created_at DESC, id",
        "owner_id, name_key, id",
        "team_id, created_at DESC, id",
        "team_id, name_key, id",
        "parent_id, created_at DESC, id",
        "erasure, erasure_at, id",
    ),
)

CONTACT_POINTS = Table(
    name="customer_contact_points",
    columns={
        "id": "text NOT NULL",  # cpt_...
        "customer_id": "text NOT NULL",
        "kind": "text NOT NULL",  # email, phone, address, web, social
        "value": "text",  # as typed
        "normalised": "text",  # as compared
        "label": "text",
        "is_primary": "boolean NOT NULL",  # the first to use among its kind
        "ordinal": "bigint NOT NULL",  # the order of adding
        "added_at": "timestamptz NOT NULL",
    },
    of="customer_id",
    indexes=("customer_id, ordinal",),
    hashes=("normalised",),  # an address may be three times as long as an ordinary index's entry
)

TAGS = Table(
    name="customer_tags",
    columns={
        "customer_id": "text NOT NULL",
        "tag_key": TEXT_KEY,  # the tag without case: equal keys are the same tag
        "tag": "text NOT NULL",
        "added_at": "timestamptz NOT NULL",
    },
    key=("customer_id", "tag_key"),
    of="customer_id",
    indexes=("tag_key, customer_id",),
)

CLASSIFICATIONS = Table(
    name="customer_classifications",
    columns={
        "customer_id": "text NOT NULL",
        "scheme_key": TEXT_KEY,  # the scheme without case
        "scheme": "text NOT NULL",
        "value": "text NOT NULL",
        "classified_at": "timestamptz NOT NULL",
    },
    key=("customer_id", "scheme_key"),
    of="customer_id",
    indexes=("scheme_key, value, customer_id",),
)

LINKS = Table(
    name="customer_links",
    columns={
        "id": "text NOT NULL",  # lnk_...
        "organisation_id": "text NOT NULL",
        "person_id": "text NOT NULL",
        "role": "text",
        "since": "date",
        "until": "date",  # the last day; NULL while it lasts
        "ordinal": "bigint NOT NULL",  # the order of linking, within the organisation
        "linked_at": "timestamptz NOT NULL",
    },
    of="organisation_id",
    indexes=("organisation_id, ordinal", "person_id, linked_at, id"),
)

CONSENTS = Table(
    name="customer_consents",
    columns={
        "customer_id": "text NOT NULL",
        "purpose_key": TEXT_KEY,  # the purpose without case
        "channel": "text NOT NULL",  # email, phone, post, sms, any
        "purpose": "text NOT NULL",
        "state": "text NOT NULL",  # granted, withdrawn: what was said last
        "basis": "text",  # the ground of the grant, also where it was withdrawn; NULL: never granted
        "text_version": "text",
        "proof": "text",  # of what was said last
        "stated_at": "timestamptz NOT NULL",
    },
    key=("customer_id", "purpose_key", "channel"),
    of="customer_id",
    indexes=("purpose_key, channel, state, customer_id",),
)

HOLDS = Table(
    name="customer_legal_holds",
    of="customer_id",
    columns={
        "customer_id": "text NOT NULL",
        "matter_key": TEXT_KEY,  # the matter without case
        "matter": "text NOT NULL",
        "placed_at": "timestamptz NOT NULL",
    },
    key=("customer_id", "matter_key"),
)

NOTES, EXTERNAL_IDS = notes_of("customer"), external_ids_of("customer")

SEARCH = searched_by("customer")
"""By name, legal name, e-mail addresses, telephone numbers and external ids."""


def post(posting: Posting, recorded: Recorded[CustomerEvent]) -> None:
    """What one event of a customer changes: its parts, and always the stamp of its record."""
    id, at = public_id("customer", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case CustomerRegistered() as event:
            return _register(posting, id, recorded, event)
        case CustomerNoteAdded() as event:
            add_note(posting, NOTES, recorded, event.note, event.text, customer_id=id)
        case CustomerTagAdded(tag=tag):
            if not isinstance(tag, Withheld):
                posting.insert(TAGS, customer_id=id, tag_key=tag.casefold(), tag=tag, added_at=at)
        case CustomerTagRemoved(tag=tag):
            if not isinstance(tag, Withheld):
                posting.remove(TAGS, id, tag.casefold())
        case CustomerDetailsChanged() as event:
            changes = {**event.changes, **(opened(event.personal_changes) or {})}
            columns = {name: _detail(name, change) for name, change in changes.items()}
            if "legal_name" in columns:
                now_found_by(posting, SEARCH, id, "legal_name", columns["legal_name"])
        case CustomerClassified() as event:
            _classify(posting, id, recorded, event)
        case CustomerOwnerAssigned(owner=owner, team=team):
            columns = {"owner_id": public_id_or_none("staff_member", owner), "team_id": public_id_or_none("team", team)}
        case CustomerRelationshipChanged(new=relationship):
            columns = {"relationship": relationship.value}
        case CustomerContactPointAdded() as event:
            _add_contact_point(posting, id, recorded, event)
        case CustomerContactPointRemoved(contact_point=point, promoted=promoted):
            posting.remove(CONTACT_POINTS, type_id("cpt", point))
            forget(posting, SEARCH, id, "contact_point", type_id("cpt", point))
            _make_primary(posting, promoted, None)
        case CustomerContactPointMadePrimary(contact_point=point, demoted=demoted):
            _make_primary(posting, point, demoted)
        case CustomerContactLinked() as event:
            _link(posting, id, recorded, event)
        case CustomerContactUnlinked(link=link, until=until):
            if until is None:
                posting.remove(LINKS, type_id("lnk", link))
            else:
                posting.change(LINKS, type_id("lnk", link), until=until)
        case CustomerConsentGranted() | CustomerConsentWithdrawn() as event:
            _state_consent(posting, id, recorded, event)
        case CustomerRenamed(new=name):
            columns = {"name": opened(name), "name_key": sort_key(name)}
            now_found_by(posting, SEARCH, id, "name", name)
        case CustomerParentAssigned(parent=parent):
            columns = {"parent_id": public_id_or_none("customer", parent)}
        case CustomerExternalIdAdded(external_id=external_id):
            if not isinstance(external_id, Withheld):
                add_external_ids(posting, EXTERNAL_IDS, id, recorded, (external_id,), SEARCH)
        case CustomerExternalIdRemoved(external_id=external_id):
            if not isinstance(external_id, Withheld):
                remove_external_id(posting, EXTERNAL_IDS, id, external_id, SEARCH)
        case CustomerArchived():
            columns = {"status": "archived", "archived_at": at}
        case CustomerRestored():
            columns = {"status": "active", "archived_at": None}
        case CustomerErasureRequested():
            columns = {"erasure": "requested", "erasure_at": at}
        case CustomerErasureRequestWithdrawn():
            columns = {"erasure": None, "erasure_at": None}
        case CustomerErasureApproved():
            columns = {"erasure": "approved", "erasure_at": at}
        case CustomerPersonalDataErased():
            columns = {"status": "erased", "erasure": "erased", "erasure_at": at}
        case CustomerLegalHoldPlaced(matter=matter):
            if not isinstance(matter, Withheld):
                posting.insert(HOLDS, customer_id=id, matter_key=matter.casefold(), matter=matter, placed_at=at)
        case CustomerLegalHoldLifted(matter=matter):
            if not isinstance(matter, Withheld):
                posting.remove(HOLDS, id, matter.casefold())
        case CustomerUnmasked() | CustomerPersonalDataExported():
            return posting.change(CUSTOMERS, id, **stamp(recorded))
        case _ as never:
            assert_never(never)
    return posting.change(CUSTOMERS, id, **columns, changed_at=at, **stamp(recorded))


def _register(posting: Posting, id: str, recorded: Recorded[Any], event: CustomerRegistered) -> None:
    posting.insert(
        CUSTOMERS,
        id=id,
        kind=event.kind.value,
        name=opened(event.name),
        name_key=sort_key(event.name),
        status="active",
        relationship=event.relationship.value,
        owner_id=public_id_or_none("staff_member", event.owner),
        team_id=public_id_or_none("team", event.team),
        parent_id=public_id_or_none("customer", event.parent),
        source=event.source,
        language=event.language,
        created_at=recorded.occurred_at,
        registered_position=recorded.position,
        changed_at=recorded.occurred_at,
        **stamp(recorded),
    )
    found_by(posting, SEARCH, id, "name", event.name)
    for place, point in enumerate(opened(event.contact_points) or ()):
        _find_by_contact_point(posting, id, point.id, point)
        posting.insert(
            CONTACT_POINTS,
            id=type_id("cpt", point.id),
            customer_id=id,
            kind=point.kind.value,
            value=point.value,
            normalised=_composed(point.normalised),
            label=point.label,
            is_primary=point.primary,
            ordinal=ordinal(recorded, place),
            added_at=recorded.occurred_at,
        )
    add_external_ids(posting, EXTERNAL_IDS, id, recorded, opened(event.external_ids) or (), SEARCH)


def _detail(name: str, change: Change) -> Any:
    """A detail as its column holds it; events write dates and amounts as text."""
    new = change.new
    if isinstance(new, str):
        if name == "birthday":
            return date.fromisoformat(new)
        if name == "annual_revenue":
            return Decimal(new)
    return new


def _add_contact_point(posting: Posting, id: str, recorded: Recorded[Any], event: CustomerContactPointAdded) -> None:
    _make_primary(posting, None, event.demoted)
    _find_by_contact_point(posting, id, event.contact_point, event)
    posting.insert(
        CONTACT_POINTS,
        id=type_id("cpt", event.contact_point),
        customer_id=id,
        kind=event.kind.value,
        value=opened(event.value),
        normalised=_composed(opened(event.normalised)),
        label=opened(event.label),
        is_primary=event.primary,
        ordinal=ordinal(recorded),
        added_at=recorded.occurred_at,
    )


def _composed(normalised: str | None) -> str | None:
    """As conditions compare every text: folding the case takes some letters apart."""
    return normalised and normalize("NFC", normalised)


def _find_by_contact_point(
    posting: Posting, id: str, point: UUID, said: ContactPoint | CustomerContactPointAdded
) -> None:
    """An e-mail address or a telephone number is searched as typed and as normalised, a number without its spaces."""
    texts = [opened(said.value), opened(said.normalised)]
    if said.kind is ContactKind.PHONE:
        texts = [text and search_key(text).replace(" ", "") for text in texts]
    if said.kind in (ContactKind.PHONE, ContactKind.EMAIL):
        found_by(posting, SEARCH, id, "contact_point", *texts, which=type_id("cpt", point))


def _make_primary(posting: Posting, promoted: UUID | None, demoted: UUID | None) -> None:
    if demoted is not None:
        posting.change(CONTACT_POINTS, type_id("cpt", demoted), is_primary=False)
    if promoted is not None:
        posting.change(CONTACT_POINTS, type_id("cpt", promoted), is_primary=True)


def _classify(posting: Posting, id: str, recorded: Recorded[Any], event: CustomerClassified) -> None:
    scheme_key = event.scheme.casefold()
    if event.new is None:
        posting.remove(CLASSIFICATIONS, id, scheme_key)
    elif event.old is None:
        posting.insert(
            CLASSIFICATIONS,
            customer_id=id,
            scheme_key=scheme_key,
            scheme=event.scheme,
            value=event.new,
            classified_at=recorded.occurred_at,
        )
    else:
        posting.change(CLASSIFICATIONS, id, scheme_key, value=event.new, classified_at=recorded.occurred_at)


def _link(posting: Posting, id: str, recorded: Recorded[Any], event: CustomerContactLinked) -> None:
    posting.insert(
        LINKS,
        id=type_id("lnk", event.link),
        organisation_id=id,
        person_id=public_id("customer", event.person),
        role=opened(event.role),
        since=event.since,
        until=event.until,
        ordinal=ordinal(recorded),
        linked_at=recorded.occurred_at,
    )


def _state_consent(
    posting: Posting, id: str, recorded: Recorded[Any], event: CustomerConsentGranted | CustomerConsentWithdrawn
) -> None:
    purpose_key = event.purpose.casefold()
    # The event does not say whether something was said before: what was said goes, whether there or not.
    posting.remove(CONSENTS, id, purpose_key, event.channel.value)
    posting.insert(
        CONSENTS,
        customer_id=id,
        purpose_key=purpose_key,
        channel=event.channel.value,
        purpose=event.purpose,
        state="granted" if isinstance(event, CustomerConsentGranted) else "withdrawn",
        basis=event.basis.value if event.basis else None,
        text_version=event.text_version,
        proof=opened(event.proof),
        stated_at=recorded.occurred_at,
    )


customers = Model(
    name="customers",
    version=9,
    tables=(CUSTOMERS, CONTACT_POINTS, TAGS, CLASSIFICATIONS, LINKS, CONSENTS, HOLDS, NOTES, EXTERNAL_IDS, SEARCH),
    post=post,
    kinds=frozenset(("customer",)),
)
