"""What happens to customers, and the names under which it is stored."""

from collections.abc import Mapping
from datetime import date
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

from domain.customer.words import (
    Change,
    ConsentBasis,
    ConsentChannel,
    ContactPoint,
    CustomerKind,
    ErasureGround,
    Relationship,
)
from domain.kernel import ContactKind, Event, ExternalId, Personal


class CustomerRegistered(Event, frozen=True, kw_only=True):
    """A customer entered the book."""

    kind: CustomerKind
    name: Personal[str | None]
    contact_points: Personal[tuple[ContactPoint, ...]]
    owner: UUID | None
    team: UUID | None
    source: str | None
    external_ids: Personal[tuple[ExternalId, ...]]
    language: str | None
    relationship: Relationship
    parent: UUID | None
    shared_email_reason: Personal[str | None]


class CustomerRenamed(Event, frozen=True, kw_only=True):
    """The customer's name changed; `new` is empty where it was taken away."""

    old: Personal[str | None]
    new: Personal[str | None]


class CustomerDetailsChanged(Event, frozen=True, kw_only=True):
    """Details changed, each with its value before and after. Facts about a person stand apart, sealed."""

    changes: dict[str, Change]
    personal_changes: Personal[dict[str, Change]]


class CustomerContactPointAdded(Event, frozen=True, kw_only=True):
    """A way to reach the customer was added. `demoted` was the primary contact point of its kind before."""

    contact_point: UUID
    kind: ContactKind
    value: Personal[str]
    normalised: Personal[str]
    label: Personal[str | None]
    primary: bool
    demoted: UUID | None
    shared: bool
    shared_email_reason: Personal[str | None]


class CustomerContactPointRemoved(Event, frozen=True, kw_only=True):
    """A way to reach the customer was removed. `promoted` became the primary contact point in its place."""

    contact_point: UUID
    kind: ContactKind
    value: Personal[str]
    promoted: UUID | None


class CustomerContactPointMadePrimary(Event, frozen=True, kw_only=True):
    """A contact point became the first to use among its kind, in place of `demoted`."""

    contact_point: UUID
    kind: ContactKind
    demoted: UUID | None


class CustomerClassified(Event, frozen=True, kw_only=True):
    """The customer was put into another class of one of the company's schemes; `new` is empty when taken out."""

    scheme: str
    old: str | None
    new: str | None


class CustomerTagAdded(Event, frozen=True, kw_only=True):
    """A tag was put on the customer."""

    tag: Personal[str]


class CustomerTagRemoved(Event, frozen=True, kw_only=True):
    """A tag was taken off the customer."""

    tag: Personal[str]


class CustomerOwnerAssigned(Event, frozen=True, kw_only=True):
    """Another staff member or another team looks after the customer."""

    old_owner: UUID | None
    owner: UUID | None
    old_team: UUID | None
    team: UUID | None


class CustomerParentAssigned(Event, frozen=True, kw_only=True):
    """The customer was put under another one, or under none."""

    old: UUID | None
    parent: UUID | None


class CustomerExternalIdAdded(Event, frozen=True, kw_only=True):
    """It became known what another system calls this customer."""

    external_id: Personal[ExternalId]


class CustomerExternalIdRemoved(Event, frozen=True, kw_only=True):
    """Another system's id no longer stands for this customer."""

    external_id: Personal[ExternalId]


class CustomerContactLinked(Event, frozen=True, kw_only=True):
    """A person became a contact of this organisation."""

    link: UUID
    person: UUID
    role: Personal[str | None]
    since: date | None
    until: date | None


class CustomerContactUnlinked(Event, frozen=True, kw_only=True):
    """A contact of this organisation ended on a day; without a day, the link was a mistake and is gone."""

    link: UUID
    person: UUID
    until: date | None


class CustomerRelationshipChanged(Event, frozen=True, kw_only=True):
    """We stand differently with the customer."""

    old: Relationship
    new: Relationship


class CustomerConsentGranted(Event, frozen=True, kw_only=True):
    """The customer may be addressed for a purpose, on a channel."""

    purpose: str
    channel: ConsentChannel
    basis: ConsentBasis
    text_version: str | None
    proof: Personal[str | None]


class CustomerConsentWithdrawn(Event, frozen=True, kw_only=True):
    """The customer may no longer be addressed for a purpose, on a channel. Basis and text are the former grant's."""

    purpose: str
    channel: ConsentChannel
    basis: ConsentBasis | None
    text_version: str | None
    proof: Personal[str | None]


class CustomerNoteAdded(Event, frozen=True, kw_only=True):
    """Somebody wrote a note about the customer."""

    note: UUID
    text: Personal[str]


class CustomerArchived(Event, frozen=True, kw_only=True):
    """The customer was put away: it leaves the lists and gives its e-mail addresses free."""

    reason: Personal[str | None]


class CustomerRestored(Event, frozen=True, kw_only=True):
    """The archived customer is active again. `shared`: its e-mail addresses were taken back beside other holders."""

    shared: bool
    shared_email_reason: Personal[str | None]


class CustomerUnmasked(Event, frozen=True, kw_only=True):
    """Somebody to whom personal data is hidden was shown the customer's, for this reason."""

    look: UUID
    reason: Personal[str]


class CustomerPersonalDataExported(Event, frozen=True, kw_only=True):
    """A copy of all that the book holds about the customer was made, for this reason."""

    export: UUID
    reason: Personal[str]


class CustomerErasureRequested(Event, frozen=True, kw_only=True):
    """Somebody asked for the customer's personal data to be erased. The ground stays; the reason goes with the data."""

    ground: ErasureGround
    asked_by: str
    reason: Personal[str]


class CustomerErasureRequestWithdrawn(Event, frozen=True, kw_only=True):
    """The customer's personal data is not to be erased after all."""

    reason: Personal[str]


class CustomerErasureApproved(Event, frozen=True, kw_only=True):
    """Another person than the one who asked approved the erasure: from here on it is carried out, whatever happens."""

    ground: ErasureGround
    asked_by: str
    approved_by: str
    reason: Personal[str]


class CustomerPersonalDataErased(Event, frozen=True, kw_only=True):
    """The receipt of an erasure: the keys are destroyed that sealed the customer's personal data, here, in records
    about the customer, and in what organisations say of the customer as their contact."""

    ground: ErasureGround | None
    """None: done again, on a book that was restored from a time before it was asked for."""
    opportunities: tuple[UUID, ...]
    tickets: tuple[UUID, ...]
    organisations: tuple[UUID, ...]
    keys: int
    entries: int


class CustomerLegalHoldPlaced(Event, frozen=True, kw_only=True):
    """The customer's data has to be kept for a matter, such as a lawsuit: until it is lifted nothing is erased."""

    matter: Personal[str]


class CustomerLegalHoldLifted(Event, frozen=True, kw_only=True):
    """The customer's data need not be kept any longer for this matter."""

    matter: Personal[str]


CustomerEvent: TypeAlias = (
    CustomerRegistered
    | CustomerRenamed
    | CustomerDetailsChanged
    | CustomerContactPointAdded
    | CustomerContactPointRemoved
    | CustomerContactPointMadePrimary
    | CustomerClassified
    | CustomerTagAdded
    | CustomerTagRemoved
    | CustomerOwnerAssigned
    | CustomerParentAssigned
    | CustomerExternalIdAdded
    | CustomerExternalIdRemoved
    | CustomerContactLinked
    | CustomerContactUnlinked
    | CustomerRelationshipChanged
    | CustomerConsentGranted
    | CustomerConsentWithdrawn
    | CustomerNoteAdded
    | CustomerArchived
    | CustomerRestored
    | CustomerUnmasked
    | CustomerPersonalDataExported
    | CustomerErasureRequested
    | CustomerErasureRequestWithdrawn
    | CustomerErasureApproved
    | CustomerPersonalDataErased
    | CustomerLegalHoldPlaced
    | CustomerLegalHoldLifted
)

ERASURE_APPROVED = "CustomerErasureApproved"
PERSONAL_DATA_ERASED: tuple[LiteralString, ...] = ("CustomerPersonalDataErased", "CustomerPersonalDataErased.2")
CONTACT_LINKS: tuple[LiteralString, ...] = ("CustomerContactLinked", "CustomerContactUnlinked")
"""Stored names that are looked for in the book."""

EVENTS: Mapping[str, type[CustomerEvent]] = {
    "CustomerRegistered": CustomerRegistered,
    "CustomerRenamed": CustomerRenamed,
    "CustomerDetailsChanged": CustomerDetailsChanged,
    "CustomerContactPointAdded": CustomerContactPointAdded,
    "CustomerContactPointRemoved": CustomerContactPointRemoved,
    "CustomerContactPointMadePrimary": CustomerContactPointMadePrimary,
    "CustomerClassified": CustomerClassified,
    "CustomerTagAdded": CustomerTagAdded,
    "CustomerTagRemoved": CustomerTagRemoved,
    "CustomerOwnerAssigned": CustomerOwnerAssigned,
    "CustomerParentAssigned": CustomerParentAssigned,
    "CustomerExternalIdAdded": CustomerExternalIdAdded,
    "CustomerExternalIdRemoved": CustomerExternalIdRemoved,
    "CustomerContactLinked": CustomerContactLinked,
    "CustomerContactUnlinked": CustomerContactUnlinked,
    "CustomerRelationshipChanged": CustomerRelationshipChanged,
    "CustomerConsentGranted": CustomerConsentGranted,
    "CustomerConsentWithdrawn": CustomerConsentWithdrawn,
    "CustomerNoteAdded": CustomerNoteAdded,
    "CustomerArchived": CustomerArchived,
    "CustomerRestored": CustomerRestored,
    "CustomerUnmasked": CustomerUnmasked,
    "CustomerPersonalDataExported": CustomerPersonalDataExported,
    "CustomerErasureRequested": CustomerErasureRequested,
    "CustomerErasureRequestWithdrawn": CustomerErasureRequestWithdrawn,
    "CustomerErasureApproved": CustomerErasureApproved,
    "CustomerPersonalDataErased.2": CustomerPersonalDataErased,
    "CustomerLegalHoldPlaced": CustomerLegalHoldPlaced,
    "CustomerLegalHoldLifted": CustomerLegalHoldLifted,
}
"""By stored name."""

CONCERNS: Mapping[type[CustomerEvent], str] = {CustomerContactLinked: "person", CustomerContactUnlinked: "person"}
"""What an organisation says of its contacts is theirs: it goes with them."""


def personal_data_erased_from_1(old: dict[str, Any]) -> dict[str, Any]:
    """The fields of the first receipt, which knew of no organisations, as those of `CustomerPersonalDataErased.2`."""
    return {**old, "organisations": []}
