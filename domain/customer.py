"""Customer: a person or an organisation that we deal with, or would like to.

A customer is registered with a name or a way to reach it, lives as an active record, and can be archived and restored;
an archived one refuses everything else. Beside the record runs the relationship (prospect, active, dormant, former),
which people set as they see it. An active person holds its e-mail addresses alone, unless somebody shares one on
purpose; an external id belongs to one customer, archived or not, so that an import finds again what it brought.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from datetime import date
from decimal import Decimal
from itertools import takewhile
from typing import Annotated, TypeAlias, TypeVar, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from domain.kernel import (
    AMOUNT,
    COMPANY_ID,
    LABEL,
    LINE,
    NAME,
    PROSE,
    ChildId,
    Claim,
    Command,
    ContactKind,
    Currency,
    Decider,
    Derived,
    Doc,
    Event,
    Id,
    Items,
    Known,
    NewContactPoint,
    Number,
    Path,
    Personal,
    Reference,
    Rule,
    Seen,
    Standing,
    State,
    Text,
    Withheld,
    Word,
    opened,
    refuse,
    require,
    rounded,
)
from domain.kernel.fields import TooManyItems, ValueMalformed

K = TypeVar("K")
V = TypeVar("V")

MOST_CONTACT_POINTS, MOST_TAGS, MOST_LINKS, MOST_EXTERNAL_IDS, MOST_SCHEMES, MOST_CONSENTS = 100, 100, 500, 20, 100, 200
MOST_ANCESTORS = 50
"""How many levels of parents a customer may have above it when its parent is assigned."""

LANGUAGE = Text(35)
PERSONAL_DETAILS = ("legal_name", "salutation", "job_title", "birthday", "description")
PUBLIC_DETAILS = ("language", "founded_year", "employees", "annual_revenue", "revenue_currency")


# Words


class CustomerKind(Word):
    """Whether a customer is a person or an organisation; it never changes."""

    PERSON = "person", "A human being: holds e-mail addresses alone, can be a contact of organisations."
    ORGANISATION = "organisation", "A company, an authority, an association: has contacts."


class Relationship(Word):
    """How we stand with a customer."""

    PROSPECT = "prospect", "Might become a customer."
    ACTIVE = "active", "Buys from us or has a running contract."
    DORMANT = "dormant", "Was active and has been silent for a while."
    FORMER = "former", "Is no customer any more."


class ConsentChannel(Word):
    """The way in which a customer may be addressed for a purpose."""

    EMAIL = "email", "By e-mail."
    PHONE = "phone", "By telephone call."
    POST = "post", "By letter."
    SMS = "sms", "By text message."
    ANY = "any", "In every way, but those withdrawn one by one."


class ConsentBasis(Word):
    """The legal ground on which a customer may be addressed."""

    CONSENT = "consent", "The customer agreed."
    CONTRACT = "contract", "A contract with the customer needs it."
    LEGITIMATE_INTEREST = "legitimate_interest", "We have an interest that the customer's rights do not outweigh."


class ContactPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A way to reach a customer: as typed, and normalised for comparing."""

    id: UUID
    kind: ContactKind
    value: str
    normalised: str
    label: str | None
    primary: bool
    shared: bool
    """An e-mail address that somebody gave this customer knowing that another person may have it too."""


class CustomerExternalId(msgspec.Struct, frozen=True, kw_only=True):
    """What another system calls this customer."""

    source: Annotated[str, Doc("The other system's name, without a colon, e.g. `erp`."), LABEL]
    id: Annotated[str, Doc("The customer's id there, letter for letter."), NAME]


Fact: TypeAlias = bool | int | str | None
"""A detail's value in an event: amounts as decimal text, dates in ISO 8601."""


class Change(msgspec.Struct, frozen=True):
    """A detail's value before and after."""

    old: Fact
    new: Fact


# Events


class CustomerRegistered(Event, frozen=True, kw_only=True):
    """A customer entered the book."""

    kind: CustomerKind
    name: Personal[str | None]
    contact_points: Personal[tuple[ContactPoint, ...]]
    owner: UUID | None
    team: UUID | None
    source: str | None
    external_ids: Personal[tuple[CustomerExternalId, ...]]
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

    external_id: Personal[CustomerExternalId]


class CustomerExternalIdRemoved(Event, frozen=True, kw_only=True):
    """Another system's id no longer stands for this customer."""

    external_id: Personal[CustomerExternalId]


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


# Commands


SharedEmailReason: TypeAlias = Annotated[
    str | None,
    Doc("Why this person may have an e-mail address that another active person has. Without it, that is refused."),
    LINE,
]
Purpose: TypeAlias = Annotated[str, Doc("What for, in the company's words: `newsletter`. Case does not matter."), LABEL]


class RegisterCustomer(Command, frozen=True, kw_only=True):
    """Enter a customer into the book. A name or a contact point is needed."""

    kind: Annotated[CustomerKind, Doc("Whether this is a person or an organisation.")]
    name: Annotated[str | None, Doc("The full name, as the customer writes it."), NAME] = None
    contact_points: Annotated[tuple[NewContactPoint, ...], Doc("Ways to reach the customer."), Items(50)] = ()
    owner: Annotated[UUID | None, Doc("The staff member who looks after the customer."), Id("staff_member")] = None
    team: Annotated[UUID | None, Doc("The team that looks after the customer."), Id("team")] = None
    source: Annotated[str | None, Doc("Where the customer came from, in the company's words: `web`."), LABEL] = None
    external_ids: Annotated[
        tuple[CustomerExternalId, ...], Doc("What other systems call this customer."), Items(MOST_EXTERNAL_IDS)
    ] = ()
    language: Annotated[str | None, Doc("The language to address it in, as a BCP 47 tag: `de-CH`."), LANGUAGE] = None
    relationship: Annotated[Relationship, Doc("How we stand with the customer.")] = Relationship.PROSPECT
    parent: Annotated[UUID | None, Doc("The customer that this one belongs to."), Id("customer")] = None
    shared_email_reason: SharedEmailReason = None


class RenameCustomer(Command, frozen=True, kw_only=True):
    """Change the customer's name, or take it away where a contact point remains."""

    name: Annotated[str | None, Doc("The new name; null takes it away."), NAME]


class ChangeCustomerDetails(Command, frozen=True, kw_only=True):
    """Change details. A field left out stays as it is; null clears it."""

    legal_name: Annotated[str | UnsetType | None, Doc("The name in the commercial register."), NAME] = UNSET
    salutation: Annotated[str | UnsetType | None, Doc("How a person is addressed: `Dr.`, `Frau`."), LABEL] = UNSET
    job_title: Annotated[str | UnsetType | None, Doc("A person's position: `Head of Purchasing`."), NAME] = UNSET
    birthday: Annotated[date | UnsetType | None, Doc("A person's date of birth.")] = UNSET
    description: Annotated[str | UnsetType | None, Doc("What everybody should know about the customer."), PROSE] = UNSET
    language: Annotated[
        str | UnsetType | None, Doc("The language to address it in, as a BCP 47 tag: `de-CH`."), LANGUAGE
    ] = UNSET
    founded_year: Annotated[
        int | UnsetType | None, Doc("The year of foundation."), Number(Decimal(500), Decimal(2199))
    ] = UNSET
    employees: Annotated[
        int | UnsetType | None, Doc("How many people work there."), Number(Decimal(0), Decimal(100_000_000))
    ] = UNSET
    annual_revenue: Annotated[
        Decimal | UnsetType | None, Doc("Revenue of a year, in `revenue_currency`; rounded to its minor units."), AMOUNT
    ] = UNSET
    revenue_currency: Annotated[str | UnsetType | None, Doc("The currency of the annual revenue."), Currency()] = UNSET


class AddCustomerContactPoint(Command, frozen=True, kw_only=True):
    """Add a way to reach the customer. The first of its kind becomes the primary one."""

    contact_point: Annotated[NewContactPoint, Doc("The new contact point.")]
    shared_email_reason: SharedEmailReason = None


class RemoveCustomerContactPoint(Command, frozen=True, kw_only=True):
    """Remove a way to reach the customer. Where it was the primary one, the oldest of its kind takes its place."""

    contact_point: Annotated[UUID, Doc("The contact point to remove."), ChildId("cpt")]


class MakeCustomerContactPointPrimary(Command, frozen=True, kw_only=True):
    """Make a contact point the first to use among its kind."""

    contact_point: Annotated[UUID, Doc("The contact point to prefer."), ChildId("cpt")]


class ClassifyCustomer(Command, frozen=True, kw_only=True):
    """Put the customer into a class of one of the company's own schemes, such as industry, size, tier or region."""

    scheme: Annotated[str, Doc("The scheme; upper and lower case are the same: `industry`."), LABEL]
    value: Annotated[str | None, Doc("The class within the scheme: `retail`; null takes the customer out."), LABEL]


class AddCustomerTag(Command, frozen=True, kw_only=True):
    """Put a tag on the customer. Upper and lower case are the same tag."""

    tag: Annotated[str, Doc("The tag."), LABEL]


class RemoveCustomerTag(Command, frozen=True, kw_only=True):
    """Take a tag off the customer."""

    tag: Annotated[str, Doc("The tag, in upper or lower case."), LABEL]


class AssignCustomerOwner(Command, frozen=True, kw_only=True):
    """Let a staff member, a team, or both look after the customer. A field left out stays as it is."""

    owner: Annotated[UUID | UnsetType | None, Doc("An active staff member; null for nobody."), Id("staff_member")] = (
        UNSET
    )
    team: Annotated[UUID | UnsetType | None, Doc("An active team; null for none."), Id("team")] = UNSET


class AssignCustomerParent(Command, frozen=True, kw_only=True):
    """Put the customer under another one, as a subsidiary under its group."""

    parent: Annotated[UUID | None, Doc("The customer to put it under; null for none."), Id("customer")]


class AddCustomerExternalId(Command, frozen=True, kw_only=True):
    """Record what another system calls this customer. No two customers share an external id."""

    source: Annotated[str, Doc("The other system's name, without a colon, e.g. `erp`."), LABEL]
    external_id: Annotated[str, Doc("The customer's id there, letter for letter."), NAME]


class RemoveCustomerExternalId(Command, frozen=True, kw_only=True):
    """Record that another system's id no longer stands for this customer."""

    source: Annotated[str, Doc("The other system's name, without a colon, e.g. `erp`."), LABEL]
    external_id: Annotated[str, Doc("The customer's id there, letter for letter."), NAME]


class LinkCustomerContact(Command, frozen=True, kw_only=True):
    """Make a person a contact of this organisation."""

    link: Annotated[UUID, Derived("lnk")]
    person: Annotated[UUID, Doc("The person, a customer too."), Id("customer")]
    role: Annotated[str | None, Doc("What the person does there: `CFO`."), LABEL] = None
    since: Annotated[date | None, Doc("The first day in this role; null where it is not known.")] = None
    until: Annotated[date | None, Doc("The last day in this role; null while it lasts.")] = None


class UnlinkCustomerContact(Command, frozen=True, kw_only=True):
    """End a contact of this organisation on a day, which stays in the record, or remove a link made by mistake."""

    link: Annotated[UUID, Doc("The link to end or remove."), ChildId("lnk")]
    until: Annotated[date | None, Doc("The last day of the contact; null removes the link.")] = None


class ChangeCustomerRelationship(Command, frozen=True, kw_only=True):
    """Record that we stand differently with the customer."""

    relationship: Annotated[Relationship, Doc("How we stand with the customer now.")]


class GrantCustomerConsent(Command, frozen=True, kw_only=True):
    """Record that the customer may be addressed for a purpose, on a channel, and the proof of it."""

    purpose: Purpose
    channel: Annotated[ConsentChannel, Doc("How the customer may be addressed.")]
    basis: Annotated[ConsentBasis, Doc("The legal ground.")]
    text_version: Annotated[str | None, Doc("Which version of the text the customer saw: `2026-03`."), LABEL] = None
    proof: Annotated[str | None, Doc("How it can be proved: `signed form, folder 12`."), LINE] = None


class WithdrawCustomerConsent(Command, frozen=True, kw_only=True):
    """Record that the customer may no longer be addressed for a purpose, granted before or not.

    Withdrawing `any` withdraws every channel that was granted for the purpose. A channel withdrawn on its own stays so
    until it is granted on its own.
    """

    purpose: Purpose
    channel: Annotated[ConsentChannel, Doc("How the customer may no longer be addressed.")]
    proof: Annotated[str | None, Doc("How it can be proved: `call of 3 March`."), LINE] = None


class AddCustomerNote(Command, frozen=True, kw_only=True):
    """Write a note about the customer. Notes are never changed."""

    note: Annotated[UUID, Derived("note")]
    text: Annotated[str, Doc("The note."), PROSE]


class ArchiveCustomer(Command, frozen=True, kw_only=True):
    """Put the customer away. It keeps its history and can be restored; until then it refuses changes."""

    reason: Annotated[str | None, Doc("Why the customer is put away."), LINE] = None


class RestoreCustomer(Command, frozen=True, kw_only=True):
    """Make an archived customer active again."""

    shared_email_reason: SharedEmailReason = None


# Rules


class CustomerIsArchived(Rule):
    """This customer is archived; restore it before changing it."""


class NameOrContactPointNeeded(Rule):
    """A customer needs a name or at least one contact point; give one of them."""


class EmailTaken(Rule):
    """Another active person has this e-mail address; find that one, or give a reason for sharing the address."""


class CustomerExternalIdTaken(Rule):
    """Another customer has this external id; find that one, or remove the id there first."""


class ContactPointDuplicated(Rule):
    """The customer has this contact point already; leave it out, or make the existing one primary."""


class SeveralPrimaries(Rule):
    """Two contact points of the kind {kind} are both marked as primary; mark one of them."""

    kind: str


class ContactPointUnknown(Rule):
    """The customer has no such contact point; read it again."""


class StaffNotActive(Rule):
    """This staff member is not active; name one who is."""


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


class CustomerNotActive(Rule):
    """This customer is not active; restore it, or name another one."""


class ParentCycle(Rule):
    """The customer would stand above itself; choose a parent that is not below it."""


class ParentsTooDeep(Rule):
    """More than {most} customers would stand above this one; choose a parent nearer to the top."""

    most: int


class OnlyOrganisationsHaveContacts(Rule):
    """A person has no contacts; link the person to an organisation."""


class OnlyPersonsAreContacts(Rule):
    """An organisation is no contact of another one; link a person, or assign a parent."""


class ContactLinkedAlready(Rule):
    """The person has this role here in that time already; end the other link first."""


class LinkEndsBeforeItBegins(Rule):
    """The last day lies before the first day; correct one of them."""


class LinkUnknown(Rule):
    """The organisation has no such link; read it again."""


class OnlyForPersons(Rule):
    """Only a person has this detail; leave it out for an organisation."""


class BirthdayInTheFuture(Rule):
    """The birthday lies in the future; correct it."""


class RevenueCurrencyMissing(Rule):
    """An annual revenue needs its currency; give both, or clear both."""


# State


class Link(msgspec.Struct, frozen=True):
    """A person's role at an organisation, as the rules need it."""

    person: UUID
    role: str | Withheld | None
    since: date | None
    until: date | None


class Consent(msgspec.Struct, frozen=True):
    """What was said last of a purpose and a channel. Without a basis it is withdrawn."""

    purpose: str
    basis: ConsentBasis | None
    text_version: str | None
    proof: str | Withheld | None


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
    external_ids: frozenset[CustomerExternalId] = frozenset()
    details: Mapping[str, Fact] = {}
    classes: Mapping[str, tuple[str, str]] = {}
    """Scheme without case -> scheme as first written, value."""
    tags: Mapping[str, str] = {}
    """Tag without case -> tag as written."""
    links: Mapping[UUID, Link] = {}
    consents: Mapping[tuple[str, ConsentChannel], Consent] = {}
    """Purpose without case, channel -> what was said last."""
    parts: Seen = Seen()
    """The ids of all notes, contact points and links there ever were: what was added once is not added again."""

    def primary(self, kind: ContactKind) -> ContactPoint | None:
        """The contact point to use first among its kind."""
        return next((one for one in self.contact_points.values() if one.kind is kind and one.primary), None)


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
)
CustomerCommand: TypeAlias = (
    RegisterCustomer
    | RenameCustomer
    | ChangeCustomerDetails
    | AddCustomerContactPoint
    | RemoveCustomerContactPoint
    | MakeCustomerContactPointPrimary
    | ClassifyCustomer
    | AddCustomerTag
    | RemoveCustomerTag
    | AssignCustomerOwner
    | AssignCustomerParent
    | AddCustomerExternalId
    | RemoveCustomerExternalId
    | LinkCustomerContact
    | UnlinkCustomerContact
    | ChangeCustomerRelationship
    | GrantCustomerConsent
    | WithdrawCustomerConsent
    | AddCustomerNote
    | ArchiveCustomer
    | RestoreCustomer
)


# Decisions


def decide(was: Customer, command: CustomerCommand, known: Known) -> list[CustomerEvent]:
    """What follows from a command. A request already met yields nothing."""
    if was.archived and not isinstance(command, ArchiveCustomer | RestoreCustomer):
        refuse(CustomerIsArchived())
    match command:
        case RegisterCustomer():
            return [] if was.registered else [_registered(command, known)]
        case AddCustomerNote(note=note, text=text):
            return [] if note in was.parts else [CustomerNoteAdded(note=note, text=text)]
        case RenameCustomer(name=name):
            require(None if name is not None or was.contact_points else NameOrContactPointNeeded(path=("name",)))
            return [] if name == was.name else [CustomerRenamed(old=was.name, new=name)]
        case ChangeCustomerDetails():
            return _details_changed(was, command, known)
        case AddCustomerContactPoint():
            return _contact_point_added(was, command)
        case RemoveCustomerContactPoint(contact_point=point):
            return _contact_point_removed(was, point)
        case MakeCustomerContactPointPrimary(contact_point=point):
            return _contact_point_made_primary(was, point)
        case ClassifyCustomer():
            return _classified(was, command)
        case AddCustomerTag(tag=tag):
            return _tag_added(was, tag)
        case RemoveCustomerTag(tag=tag):
            worn = was.tags.get(tag.casefold())
            return [] if worn is None else [CustomerTagRemoved(tag=worn)]
        case AssignCustomerOwner():
            return _owner_assigned(was, command, known)
        case AssignCustomerParent(parent=parent):
            require(_parent_faults(command.id, parent, known))
            return [] if parent == was.parent else [CustomerParentAssigned(old=was.parent, parent=parent)]
        case AddCustomerExternalId(source=source, external_id=external_id):
            return _external_id_added(was, CustomerExternalId(source=source, id=external_id))
        case RemoveCustomerExternalId(source=source, external_id=external_id):
            gone = CustomerExternalId(source=source, id=external_id)
            return [CustomerExternalIdRemoved(external_id=gone)] if gone in was.external_ids else []
        case LinkCustomerContact():
            return _contact_linked(was, command, known)
        case UnlinkCustomerContact():
            return _contact_unlinked(was, command)
        case ChangeCustomerRelationship(relationship=new):
            old = was.relationship
            return [] if new is old else [CustomerRelationshipChanged(old=old, new=new)]
        case GrantCustomerConsent():
            return _consent_granted(was, command)
        case WithdrawCustomerConsent():
            return _consent_withdrawn(was, command)
        case ArchiveCustomer(reason=reason):
            return [] if was.archived else [CustomerArchived(reason=reason)]
        case RestoreCustomer(shared_email_reason=reason):
            shared = reason is not None
            return [CustomerRestored(shared=shared, shared_email_reason=reason)] if was.archived else []
        case _:
            assert_never(command)


def _registered(command: RegisterCustomer, known: Known) -> CustomerRegistered:
    sources = enumerate(one.source for one in command.external_ids)
    require(
        None if command.name is not None or command.contact_points else NameOrContactPointNeeded(path=("name",)),
        _contact_point_faults(command.contact_points),
        (fault for at, source in sources if (fault := _source_fault(source, ("external_ids", at, "source")))),
        _language_fault(command.language),
        _owner_faults(command.owner, command.team, known),
        _parent_faults(command.id, command.parent, known),
    )
    return CustomerRegistered(
        kind=command.kind,
        name=command.name,
        contact_points=_first_contact_points(command),
        owner=command.owner,
        team=command.team,
        source=command.source,
        external_ids=tuple(dict.fromkeys(command.external_ids)),
        language=command.language,
        relationship=command.relationship,
        parent=command.parent,
        shared_email_reason=command.shared_email_reason,
    )


def _contact_point_faults(given: tuple[NewContactPoint, ...]) -> Iterator[Rule]:
    found: set[tuple[ContactKind, str]] = set()
    primaries: set[ContactKind] = set()
    for at, one in enumerate(given):
        if (one.kind, one.normalised) in found:
            yield ContactPointDuplicated(path=("contact_points", at, "value"))
        if one.primary and one.kind in primaries:
            yield SeveralPrimaries(kind=one.kind, path=("contact_points", at, "primary"))
        found.add((one.kind, one.normalised))
        primaries.update({one.kind} if one.primary else ())


def _first_contact_points(command: RegisterCustomer) -> tuple[ContactPoint, ...]:
    first = {one.kind: one.contact_point for one in reversed(command.contact_points)}
    first |= {one.kind: one.contact_point for one in command.contact_points if one.primary}
    shared = command.shared_email_reason is not None
    return tuple(
        _contact_point(one, primary=first[one.kind] == one.contact_point, shared=shared)
        for one in command.contact_points
    )


def _contact_point(new: NewContactPoint, *, primary: bool, shared: bool) -> ContactPoint:
    return ContactPoint(
        id=new.contact_point,
        kind=new.kind,
        value=new.value,
        normalised=new.normalised,
        label=new.label,
        primary=primary,
        shared=shared and new.kind is ContactKind.EMAIL,
    )


def _source_fault(source: str, path: Path) -> Rule | None:
    """A claim is written `source:id`; a colon in the source would let two ids meet in one claim."""
    return ValueMalformed(path=path, expected="a system's name without a colon") if ":" in source else None


def _language_fault(language: str | UnsetType | None) -> Rule | None:
    if not isinstance(language, str) or re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", language):
        return None
    return ValueMalformed(path=("language",), expected="a language tag such as de-CH")


def _owner_faults(owner: UUID | UnsetType | None, team: UUID | UnsetType | None, known: Known) -> Iterator[Rule]:
    if isinstance(owner, UUID) and not known.of(owner).active:
        yield StaffNotActive(path=("owner",))
    if isinstance(team, UUID) and not known.of(team).active:
        yield TeamNotActive(path=("team",))


def _parent_faults(own: UUID, parent: UUID | None, known: Known) -> Iterator[Rule]:
    chain = list(_ancestors(parent, known))
    if own in chain:
        yield ParentCycle(path=("parent",))
    elif parent is not None and not known.of(parent).active:
        yield CustomerNotActive(path=("parent",))
    elif len(chain) > MOST_ANCESTORS:
        yield ParentsTooDeep(most=MOST_ANCESTORS, path=("parent",))


def _ancestors(parent: UUID | None, known: Known) -> Iterator[UUID]:
    """A parent, its parent and so on, as far as they are known, and at most one more than there may be."""
    for _ in range(MOST_ANCESTORS + 1):
        if parent is None:
            return
        yield parent
        standing = known.standings.get(parent)
        parent = standing.parent if standing else None


def _details_changed(was: Customer, command: ChangeCustomerDetails, known: Known) -> list[CustomerEvent]:
    asked = {name: getattr(command, name) for name in (*PUBLIC_DETAILS, *PERSONAL_DETAILS)}
    wanted = {**was.details, **{name: _fact(value) for name, value in asked.items() if value is not UNSET}}
    revenue, currency = wanted.get("annual_revenue"), wanted.get("revenue_currency")
    require(
        _language_fault(command.language),
        RevenueCurrencyMissing(path=("revenue_currency",)) if revenue is not None and currency is None else None,
        _only_for_persons(was, asked),
        BirthdayInTheFuture(path=("birthday",))
        if isinstance(command.birthday, date) and command.birthday > known.today
        else None,
    )
    if revenue is not None:
        wanted["annual_revenue"] = f"{rounded(Decimal(str(revenue)), str(currency)):f}"
    changes = {name: Change(old, new) for name, new in wanted.items() if (old := was.details.get(name)) != new}
    if not changes:
        return []
    public = {name: change for name, change in changes.items() if name in PUBLIC_DETAILS}
    personal = {name: change for name, change in changes.items() if name in PERSONAL_DETAILS}
    return [CustomerDetailsChanged(changes=public, personal_changes=personal)]


def _fact(value: Decimal | date | Fact) -> Fact:
    return f"{value:f}" if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value


def _only_for_persons(was: Customer, asked: Mapping[str, object]) -> Iterator[Rule]:
    if was.kind is not CustomerKind.PERSON:
        for name in ("salutation", "job_title", "birthday"):
            if asked[name] not in (None, UNSET):
                yield OnlyForPersons(path=(name,))


def _contact_point_added(was: Customer, command: AddCustomerContactPoint) -> list[CustomerEvent]:
    new = command.contact_point
    if new.contact_point in was.parts:
        return []
    there = any((one.kind, one.normalised) == (new.kind, new.normalised) for one in was.contact_points.values())
    require(
        ContactPointDuplicated(path=("contact_point", "value")) if there else None,
        _too_many(was.contact_points, MOST_CONTACT_POINTS, "contact_point"),
    )
    before = was.primary(new.kind)
    primary = new.primary or before is None
    return [
        CustomerContactPointAdded(
            contact_point=new.contact_point,
            kind=new.kind,
            value=new.value,
            normalised=new.normalised,
            label=new.label,
            primary=primary,
            demoted=before.id if before and primary else None,
            shared=new.kind is ContactKind.EMAIL and command.shared_email_reason is not None,
            shared_email_reason=command.shared_email_reason,
        )
    ]


def _too_many(there: Sized, most: int, field: str) -> Rule | None:
    """The rule against adding one more to what is full."""
    return None if len(there) < most else TooManyItems(path=(field,), count=len(there) + 1, most=most)


def _contact_point_removed(was: Customer, point: UUID) -> list[CustomerEvent]:
    gone = was.contact_points.get(point)
    if gone is None:
        return _gone_before(was, point, ContactPointUnknown(path=("contact_point",)))
    last = was.name is None and len(was.contact_points) == 1
    require(NameOrContactPointNeeded(path=("contact_point",)) if last else None)
    heirs = (one.id for one in was.contact_points.values() if one.kind is gone.kind and one is not gone)
    promoted = next(heirs, None) if gone.primary else None
    return [CustomerContactPointRemoved(contact_point=point, kind=gone.kind, value=gone.value, promoted=promoted)]


def _gone_before(was: Customer, part: UUID, unknown: Rule) -> list[CustomerEvent]:
    """Removing again what was there once changes nothing; what never was there is unknown."""
    require(None if part in was.parts else unknown)
    return []


def _contact_point_made_primary(was: Customer, chosen: UUID) -> list[CustomerEvent]:
    point = was.contact_points.get(chosen)
    if point is None:
        refuse(ContactPointUnknown(path=("contact_point",)))
    before = was.primary(point.kind)
    demoted = before.id if before else None
    made = CustomerContactPointMadePrimary(contact_point=chosen, kind=point.kind, demoted=demoted)
    return [] if point.primary else [made]


def _classified(was: Customer, command: ClassifyCustomer) -> list[CustomerEvent]:
    key = command.scheme.casefold()
    scheme, old = was.classes.get(key, (command.scheme, None))
    if old == command.value:
        return []
    require(_too_many(was.classes, MOST_SCHEMES, "scheme") if old is None else None)
    return [CustomerClassified(scheme=scheme, old=old, new=command.value)]


def _tag_added(was: Customer, tag: str) -> list[CustomerEvent]:
    if tag.casefold() in was.tags:
        return []
    require(_too_many(was.tags, MOST_TAGS, "tag"))
    return [CustomerTagAdded(tag=tag)]


def _owner_assigned(was: Customer, command: AssignCustomerOwner, known: Known) -> list[CustomerEvent]:
    require(_owner_faults(command.owner, command.team, known))
    owner = was.owner if isinstance(command.owner, UnsetType) else command.owner
    team = was.team if isinstance(command.team, UnsetType) else command.team
    if (owner, team) == (was.owner, was.team):
        return []
    return [CustomerOwnerAssigned(old_owner=was.owner, owner=owner, old_team=was.team, team=team)]


def _external_id_added(was: Customer, external_id: CustomerExternalId) -> list[CustomerEvent]:
    if external_id in was.external_ids:
        return []
    require(
        _source_fault(external_id.source, ("source",)),
        _too_many(was.external_ids, MOST_EXTERNAL_IDS, "external_id"),
    )
    return [CustomerExternalIdAdded(external_id=external_id)]


def _contact_linked(was: Customer, command: LinkCustomerContact, known: Known) -> list[CustomerEvent]:
    if command.link in was.parts:
        return []
    link = Link(command.person, command.role, command.since, command.until)
    organisation = was.kind is CustomerKind.ORGANISATION
    require(
        None if organisation else OnlyOrganisationsHaveContacts(path=("id",)),
        _person_faults(command.person, known) if organisation else (),
        _dates_fault(link, "until"),
        ContactLinkedAlready(path=("person",)) if any(_same_role(link, one) for one in was.links.values()) else None,
        _too_many(was.links, MOST_LINKS, "person"),
    )
    return [
        CustomerContactLinked(
            link=command.link, person=link.person, role=command.role, since=link.since, until=link.until
        )
    ]


def _person_faults(person: UUID, known: Known) -> Iterator[Rule]:
    standing = known.of(person)
    if standing.variety != CustomerKind.PERSON.value:
        yield OnlyPersonsAreContacts(path=("person",))
    elif not standing.active:
        yield CustomerNotActive(path=("person",))


def _dates_fault(link: Link, field: str) -> Rule | None:
    reversed_ = link.since is not None and link.until is not None and link.until < link.since
    return LinkEndsBeforeItBegins(path=(field,)) if reversed_ else None


def _same_role(one: Link, other: Link) -> bool:
    """Whether both say the same of one person, for days that overlap."""
    same = one.person == other.person and _role(one) == _role(other)
    return same and _begins_by(one, other.until) and _begins_by(other, one.until)


def _role(link: Link) -> str | None:
    role = opened(link.role)
    return role.casefold() if role else None


def _begins_by(link: Link, day: date | None) -> bool:
    return link.since is None or day is None or link.since <= day


def _contact_unlinked(was: Customer, command: UnlinkCustomerContact) -> list[CustomerEvent]:
    link = was.links.get(command.link)
    if link is None:
        return _gone_before(was, command.link, LinkUnknown(path=("link",)))
    if command.until is not None:
        require(_dates_fault(replace(link, until=command.until), "until"))
        if command.until == link.until:
            return []
    return [CustomerContactUnlinked(link=command.link, person=link.person, until=command.until)]


def _consent_granted(was: Customer, command: GrantCustomerConsent) -> list[CustomerEvent]:
    purpose, former = _former_consent(was, command.purpose, command.channel)
    if former == Consent(purpose, command.basis, command.text_version, command.proof):
        return []
    require(_too_many(was.consents, MOST_CONSENTS, "purpose") if former is None else None)
    return [
        CustomerConsentGranted(
            purpose=purpose,
            channel=command.channel,
            basis=command.basis,
            text_version=command.text_version,
            proof=command.proof,
        )
    ]


def _consent_withdrawn(was: Customer, command: WithdrawCustomerConsent) -> list[CustomerEvent]:
    purpose, former = _former_consent(was, command.purpose, command.channel)
    require(_too_many(was.consents, MOST_CONSENTS, "purpose") if former is None else None)
    withdrawn: list[CustomerEvent] = []
    for channel in ConsentChannel if command.channel is ConsentChannel.ANY else (command.channel,):
        former = was.consents.get((purpose.casefold(), channel))
        if former.basis is not None if former else channel is command.channel:
            withdrawn.append(
                CustomerConsentWithdrawn(
                    purpose=purpose,
                    channel=channel,
                    basis=former.basis if former else None,
                    text_version=former.text_version if former else None,
                    proof=command.proof,
                )
            )
    return withdrawn


def _former_consent(was: Customer, purpose: str, channel: ConsentChannel) -> tuple[str, Consent | None]:
    """The purpose as it was first written, and what was said last of the channel."""
    key = purpose.casefold()
    spelled = next((one.purpose for (other, _), one in was.consents.items() if other == key), purpose)
    return spelled, was.consents.get((key, channel))


# What an event makes of the state


def evolve(was: Customer, event: CustomerEvent) -> Customer:
    """What the customer is after an event."""
    match event:
        case CustomerNoteAdded(note=note):
            return replace(was, parts=was.parts.add(note))
        case CustomerTagAdded(tag=tag):
            return was if isinstance(tag, Withheld) else replace(was, tags={**was.tags, tag.casefold(): tag})
        case CustomerTagRemoved(tag=tag):
            return was if isinstance(tag, Withheld) else replace(was, tags=_without(was.tags, tag.casefold()))
        case CustomerDetailsChanged():
            return replace(was, details=_after_changes(was.details, event))
        case CustomerClassified(scheme=scheme, new=value):
            others = _without(was.classes, scheme.casefold())
            return replace(was, classes=others if value is None else {**others, scheme.casefold(): (scheme, value)})
        case CustomerOwnerAssigned(owner=owner, team=team):
            return replace(was, owner=owner, team=team)
        case CustomerRelationshipChanged(new=relationship):
            return replace(was, relationship=relationship)
        case CustomerContactPointAdded():
            return _with_contact_point(was, event)
        case CustomerContactPointRemoved(contact_point=point, promoted=promoted):
            left = _without(was.contact_points, point)
            return replace(was, contact_points=_with_primary(left, promoted, None))
        case CustomerContactPointMadePrimary(contact_point=point, demoted=demoted):
            return replace(was, contact_points=_with_primary(was.contact_points, point, demoted))
        case CustomerContactLinked(link=link):
            links = {**was.links, link: Link(event.person, event.role, event.since, event.until)}
            return replace(was, links=links, parts=was.parts.add(link))
        case CustomerContactUnlinked(link=link, until=until):
            return replace(was, links=_links_without(was.links, link, until))
        case CustomerConsentGranted(purpose=purpose, channel=channel):
            consent = Consent(purpose, event.basis, event.text_version, event.proof)
            return replace(was, consents={**was.consents, (purpose.casefold(), channel): consent})
        case CustomerConsentWithdrawn(purpose=purpose, channel=channel, proof=proof):
            consent = Consent(purpose, None, None, proof)
            return replace(was, consents={**was.consents, (purpose.casefold(), channel): consent})
        case CustomerRenamed(new=name):
            return replace(was, name=name)
        case CustomerParentAssigned(parent=parent):
            return replace(was, parent=parent)
        case CustomerExternalIdAdded(external_id=added):
            return was if isinstance(added, Withheld) else replace(was, external_ids=was.external_ids | {added})
        case CustomerExternalIdRemoved(external_id=removed):
            return was if isinstance(removed, Withheld) else replace(was, external_ids=was.external_ids - {removed})
        case CustomerArchived():
            return replace(was, archived=True)
        case CustomerRestored(shared=shared):
            return _restored(was, shared=shared)
        case CustomerRegistered():
            return _beginning(event)
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


def _with_contact_point(was: Customer, event: CustomerContactPointAdded) -> Customer:
    parts = was.parts.add(event.contact_point)
    if isinstance(event.value, Withheld) or isinstance(event.normalised, Withheld):
        return replace(was, parts=parts)
    point = ContactPoint(
        id=event.contact_point,
        kind=event.kind,
        value=event.value,
        normalised=event.normalised,
        label=opened(event.label),
        primary=event.primary,
        shared=event.shared,
    )
    rest = _with_primary(was.contact_points, None, event.demoted)
    return replace(was, contact_points={**rest, point.id: point}, parts=parts)


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
    changes = {**event.changes, **(opened(event.personal_changes) or {})}
    return {**details, **{name: change.new for name, change in changes.items()}}


def _restored(was: Customer, *, shared: bool) -> Customer:
    if not shared:
        return replace(was, archived=False)
    points = (replace(one, shared=one.kind is ContactKind.EMAIL) for one in was.contact_points.values())
    return replace(was, archived=False, contact_points={one.id: one for one in points})


def _links_without(links: Mapping[UUID, Link], ended: UUID, until: date | None) -> Mapping[UUID, Link]:
    """The links, one of them ended, or gone where no day is given."""
    if until is None:
        return _without(links, ended)
    return {one: replace(link, until=until) if one == ended else link for one, link in links.items()}


def _without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return {one: value for one, value in mapping.items() if one != key}


# What others may know


def standing(was: Customer) -> Standing:
    return Standing(
        kind="customer", active=was.registered and not was.archived, variety=was.kind.value, parent=was.parent
    )


def consults(_was: Customer, command: CustomerCommand, known: Known) -> Iterable[Reference]:
    """The parents above a new parent, to find a cycle, and the company's time zone, to know today's date."""
    if isinstance(command, AssignCustomerParent | RegisterCustomer):
        chain = takewhile(lambda one: one != command.id, _ancestors(command.parent, known))
        yield from (Reference("customer", one, ("parent",)) for one in chain)
    elif isinstance(command, ChangeCustomerDetails) and isinstance(command.birthday, date):
        yield Reference("company", COMPANY_ID, ("birthday",), optional=True)


def claims(was: Customer) -> frozenset[Claim]:
    """The e-mail addresses of an active person, and the external ids of every customer."""
    held = {Claim("external_id", f"{one.source}:{one.id}") for one in was.external_ids}
    if was.kind is CustomerKind.PERSON and not was.archived:
        emails = (one for one in was.contact_points.values() if one.kind is ContactKind.EMAIL)
        held.update(Claim("email", one.normalised, one.shared) for one in emails)
    return frozenset(held)


def taken(command: CustomerCommand, claim: Claim) -> Rule:
    """The rule against a claim that another customer holds, with the path of the value that makes it."""
    rule = EmailTaken if claim.scope == "email" else CustomerExternalIdTaken
    match command:
        case RegisterCustomer(contact_points=points, external_ids=ids):
            emails = [one.normalised if one.kind is ContactKind.EMAIL else None for one in points]
            if claim.scope == "email":
                return rule(path=("contact_points", emails.index(claim.value), "value"))
            return rule(path=("external_ids", [f"{one.source}:{one.id}" for one in ids].index(claim.value), "id"))
        case AddCustomerContactPoint():
            return rule(path=("contact_point", "value"))
        case AddCustomerExternalId():
            return rule(path=("external_id",))
        case _:
            return rule()


customer: Decider[Customer, CustomerCommand, CustomerEvent] = Decider(
    kind="customer",
    prefix="cus",
    initial=Customer(),
    decide=decide,
    evolve=evolve,
    commands={
        "register": RegisterCustomer,
        "rename": RenameCustomer,
        "changeDetails": ChangeCustomerDetails,
        "addContactPoint": AddCustomerContactPoint,
        "removeContactPoint": RemoveCustomerContactPoint,
        "makeContactPointPrimary": MakeCustomerContactPointPrimary,
        "classify": ClassifyCustomer,
        "addTag": AddCustomerTag,
        "removeTag": RemoveCustomerTag,
        "assignOwner": AssignCustomerOwner,
        "assignParent": AssignCustomerParent,
        "addExternalId": AddCustomerExternalId,
        "removeExternalId": RemoveCustomerExternalId,
        "linkContact": LinkCustomerContact,
        "unlinkContact": UnlinkCustomerContact,
        "changeRelationship": ChangeCustomerRelationship,
        "grantConsent": GrantCustomerConsent,
        "withdrawConsent": WithdrawCustomerConsent,
        "addNote": AddCustomerNote,
        "archive": ArchiveCustomer,
        "restore": RestoreCustomer,
    },
    creates=frozenset({RegisterCustomer}),
    events={
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
    },
    standing=standing,
    consults=consults,
    claims=claims,
    taken=taken,
)
