"""What the rules remember of a customer, how an event changes it, and what others may know of it."""

from collections.abc import Mapping
from datetime import date
from typing import TypeVar, assert_never
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.customer.events import (
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
from domain.customer.words import (
    PUBLIC_DETAILS,
    ConsentBasis,
    ConsentChannel,
    ContactPoint,
    CustomerKind,
    Erasure,
    ErasureGround,
    Fact,
    Relationship,
)
from domain.kernel import Claim, ContactKind, ExternalId, Place, Seen, Standing, State, Withheld, opened

K = TypeVar("K")
V = TypeVar("V")


class Link(msgspec.Struct, frozen=True):
    """A person's role at an organisation, as the rules need it."""

    person: UUID
    role: str | Withheld | None
    since: date | None
    until: date | None


class Consent(msgspec.Struct, frozen=True):
    """What was said last of a purpose and a channel. Once withdrawn it keeps the basis and text of the grant."""

    purpose: str
    basis: ConsentBasis | None
    text_version: str | None
    proof: str | Withheld | None
    withdrawn: bool = False


class Customer(State, frozen=True, kw_only=True):
    """Only what the rules need. A contact point, tag, external id or detail that is withheld is not remembered."""

    registered: bool = False
    archived: bool = False
    kind: CustomerKind = CustomerKind.PERSON
    name: str | Withheld | None = None
    relationship: Relationship = Relationship.PROSPECT
    owner: UUID | None = None
    team: UUID | None = None
    parent: UUID | None = None
    contact_points: Mapping[UUID, ContactPoint] = {}
    """In the order they were added: the oldest of a kind inherits the primary place."""
    external_ids: frozenset[ExternalId] = frozenset()
    details: Mapping[str, Fact] = {}
    classes: Mapping[str, tuple[str, str]] = {}
    """Scheme without case -> scheme as first written, value."""
    tags: Mapping[str, str] = {}
    """Tag without case -> tag as written."""
    links: Mapping[UUID, Link] = {}
    consents: Mapping[tuple[str, ConsentChannel], Consent] = {}
    """Purpose without case, channel -> what was said last."""
    erasure: Erasure | None = None
    asked_by: str | None = None
    """Who asked for an erasure that waits for its approval, and on which ground."""
    ground: ErasureGround | None = None
    holds: Mapping[str, str] = {}
    """Matter without case -> matter as written: what the data is kept for."""
    parts: Seen = Seen()
    """The ids of all notes, contact points, links, looks and exports: what was added once is not added again."""

    @property
    def going(self) -> bool:
        """Whether its personal data is erased, or about to be."""
        return self.erasure in (Erasure.APPROVED, Erasure.ERASED)

    def primary(self, kind: ContactKind) -> ContactPoint | None:
        """The contact point to use first among its kind."""
        return next((one for one in self.contact_points.values() if one.kind is kind and one.primary), None)


def evolve(state: Customer, event: CustomerEvent) -> Customer:
    """What the customer is after an event."""
    match event:
        case CustomerNoteAdded(note=note):
            return replace(state, parts=state.parts.add(note))
        case CustomerDetailsChanged():
            return replace(state, details=_after_changes(state.details, event))
        case CustomerRegistered():
            return _beginning(event)
        case CustomerRenamed(new=name):
            return replace(state, name=name)
        case CustomerTagAdded(tag=tag):
            return state if isinstance(tag, Withheld) else replace(state, tags={**state.tags, tag.casefold(): tag})
        case CustomerTagRemoved(tag=tag):
            return state if isinstance(tag, Withheld) else replace(state, tags=_without(state.tags, tag.casefold()))
        case CustomerClassified(scheme=scheme, new=value):
            others = _without(state.classes, scheme.casefold())
            return replace(state, classes=others if value is None else {**others, scheme.casefold(): (scheme, value)})
        case CustomerOwnerAssigned(owner=owner, team=team):
            return replace(state, owner=owner, team=team)
        case CustomerRelationshipChanged(new=relationship):
            return replace(state, relationship=relationship)
        case CustomerContactPointAdded():
            return _with_contact_point(state, event)
        case CustomerContactPointRemoved(contact_point=point, promoted=promoted):
            left = _without(state.contact_points, point)
            return replace(state, contact_points=_with_primary(left, promoted, None))
        case CustomerContactPointMadePrimary(contact_point=point, demoted=demoted):
            return replace(state, contact_points=_with_primary(state.contact_points, point, demoted))
        case CustomerContactLinked(link=link):
            links = {**state.links, link: Link(event.person, event.role, event.since, event.until)}
            return replace(state, links=links, parts=state.parts.add(link))
        case CustomerContactUnlinked(link=link, until=until):
            return replace(state, links=_links_without(state.links, link, until))
        case CustomerConsentGranted(purpose=purpose, channel=channel):
            consent = Consent(purpose, event.basis, event.text_version, event.proof)
            return replace(state, consents={**state.consents, (purpose.casefold(), channel): consent})
        case CustomerConsentWithdrawn(purpose=purpose, channel=channel, proof=proof):
            consent = Consent(purpose, event.basis, event.text_version, proof, withdrawn=True)
            return replace(state, consents={**state.consents, (purpose.casefold(), channel): consent})
        case CustomerParentAssigned(parent=parent):
            return replace(state, parent=parent)
        case CustomerExternalIdAdded(external_id=added):
            return state if isinstance(added, Withheld) else replace(state, external_ids=state.external_ids | {added})
        case CustomerExternalIdRemoved(external_id=removed):
            return (
                state if isinstance(removed, Withheld) else replace(state, external_ids=state.external_ids - {removed})
            )
        case CustomerArchived():
            return replace(state, archived=True)
        case CustomerRestored(shared=shared):
            return _restored(state, shared=shared)
        case CustomerUnmasked(look=look):
            return replace(state, parts=state.parts.add(look))
        case CustomerPersonalDataExported(export=export):
            return replace(state, parts=state.parts.add(export))
        case CustomerErasureRequested(asked_by=asked_by, ground=ground):
            return replace(state, erasure=Erasure.REQUESTED, asked_by=asked_by, ground=ground)
        case CustomerErasureRequestWithdrawn():
            return replace(state, erasure=None, asked_by=None, ground=None)
        case CustomerErasureApproved():
            return replace(state, erasure=Erasure.APPROVED, asked_by=None)
        case CustomerPersonalDataErased():
            return _erased(state)
        case CustomerLegalHoldPlaced(matter=matter):
            if isinstance(matter, Withheld):
                return state
            return replace(state, holds={**state.holds, matter.casefold(): matter})
        case CustomerLegalHoldLifted(matter=matter):
            return (
                state
                if isinstance(matter, Withheld)
                else replace(state, holds=_without(state.holds, matter.casefold()))
            )
        case _:
            assert_never(event)


def _beginning(event: CustomerRegistered) -> Customer:
    points = opened(event.contact_points) or ()
    parts = Seen()
    for one in points:
        parts = parts.add(one.id)
    return Customer(
        registered=True,
        kind=event.kind,
        name=event.name,
        relationship=event.relationship,
        owner=event.owner,
        team=event.team,
        parent=event.parent,
        contact_points={one.id: one for one in points},
        external_ids=frozenset(opened(event.external_ids) or ()),
        details={} if event.language is None else {"language": event.language},
        parts=parts,
    )


def _erased(state: Customer) -> Customer:
    """What is left, also where the events before it were read while they still could be."""
    gone = Withheld.ERASED
    return replace(
        state,
        erasure=Erasure.ERASED,
        asked_by=None,
        name=gone,
        contact_points={},
        external_ids=frozenset(),
        details={name: fact for name, fact in state.details.items() if name in PUBLIC_DETAILS},
        tags={},
        links={id: Link(one.person, gone, one.since, one.until) for id, one in state.links.items()},
        consents={key: replace(one, proof=gone) for key, one in state.consents.items()},
        holds={},
        parts=Seen(),
    )


def _with_contact_point(state: Customer, event: CustomerContactPointAdded) -> Customer:
    parts = state.parts.add(event.contact_point)
    if isinstance(event.value, Withheld) or isinstance(event.normalised, Withheld):
        return replace(state, parts=parts)
    point = ContactPoint(
        id=event.contact_point,
        kind=event.kind,
        value=event.value,
        normalised=event.normalised,
        label=opened(event.label),
        primary=event.primary,
        shared=event.shared,
    )
    rest = _with_primary(state.contact_points, None, event.demoted)
    return replace(state, contact_points={**rest, point.id: point}, parts=parts)


def _with_primary(
    points: Mapping[UUID, ContactPoint], promoted: UUID | None, demoted: UUID | None
) -> Mapping[UUID, ContactPoint]:
    """The contact points, one of them promoted and one demoted, where they are remembered."""
    changed = dict(points)
    for one, primary in ((promoted, True), (demoted, False)):
        if one is not None and one in changed:
            changed[one] = replace(changed[one], primary=primary)
    return changed


def _after_changes(details: Mapping[str, Fact], event: CustomerDetailsChanged) -> Mapping[str, Fact]:
    changed = dict(details)
    for name, change in event.changes.items():
        changed[name] = change.new
    if event.personal_changes and not isinstance(event.personal_changes, Withheld):
        for name, change in event.personal_changes.items():
            changed[name] = change.new
    return changed


def _restored(state: Customer, *, shared: bool) -> Customer:
    """Active again. A reason given before for sharing counts no more: another may have the address meanwhile."""
    emails = ContactKind.EMAIL
    points = (replace(one, shared=shared and one.kind is emails) for one in state.contact_points.values())
    return replace(state, archived=False, contact_points={one.id: one for one in points})


def _links_without(links: Mapping[UUID, Link], ended: UUID, until: date | None) -> Mapping[UUID, Link]:
    """The links, one of them ended, or gone where no day is given."""
    if until is None:
        return _without(links, ended)
    return {one: replace(link, until=until) if one == ended else link for one, link in links.items()}


def _without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return {one: value for one, value in mapping.items() if one != key}


# What a fold can spare itself; the laws in tests/domain hold these lists against `evolve` and `standing`.
STANDING_FROM: frozenset[type[CustomerEvent]] = frozenset(
    (
        CustomerRegistered,
        CustomerOwnerAssigned,
        CustomerParentAssigned,
        CustomerArchived,
        CustomerRestored,
        CustomerErasureApproved,
        CustomerPersonalDataErased,
    )
)
FOLDED_SEALED: frozenset[type[CustomerEvent]] = frozenset(
    (
        CustomerNoteAdded,
        CustomerContactPointRemoved,
        CustomerArchived,
        CustomerRestored,
        CustomerUnmasked,
        CustomerPersonalDataExported,
        CustomerErasureRequested,
        CustomerErasureRequestWithdrawn,
        CustomerErasureApproved,
    )
)
OVERWRITES: frozenset[type[CustomerEvent]] = frozenset(
    (CustomerRenamed, CustomerRelationshipChanged, CustomerOwnerAssigned, CustomerParentAssigned)
)


def standing(state: Customer) -> Standing:
    return Standing(
        kind="customer",
        active=state.registered and not state.archived and not state.going,
        variety=state.kind.value,
        parent=state.parent,
        place=Place(owner=state.owner, team=state.team),
    )


def claims(state: Customer) -> frozenset[Claim]:
    """The e-mail addresses of an active person, and the external ids of every customer whose data is not erased."""
    if state.going:
        return frozenset()
    held = {one.claim("external_id") for one in state.external_ids}
    if state.kind is CustomerKind.PERSON and not state.archived:
        emails = (one for one in state.contact_points.values() if one.kind is ContactKind.EMAIL)
        held.update(Claim("email", one.normalised, one.shared) for one in emails)
    return frozenset(held)
