"""What can be asked of a customer, and the verbs of its mutations."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

from msgspec import UNSET, UnsetType

from domain.customer.words import ConsentBasis, ConsentChannel, CustomerKind, ErasureGround, Relationship
from domain.kernel import (
    AMOUNT,
    LABEL,
    LANGUAGE,
    LINE,
    NAME,
    PROSE,
    ChildId,
    Command,
    Currency,
    Derived,
    Doc,
    ExternalIds,
    Id,
    IdThere,
    Items,
    NewContactPoint,
    Number,
    Source,
)

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
    team: Annotated[UUID | None, Doc("The team that looks after it; left out: the owner's."), Id("team")] = None
    source: Annotated[str | None, Doc("Where the customer came from, in the company's words: `web`."), LABEL] = None
    external_ids: ExternalIds = ()
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
        Decimal | UnsetType | None,
        Doc("Revenue of a year, in `revenue_currency`; rounded to its minor units. Null clears both."),
        Number(Decimal(0), AMOUNT.most, AMOUNT.decimals),
    ] = UNSET
    revenue_currency: Annotated[
        str | UnsetType | None,
        Doc("The currency of the annual revenue; it changes with the revenue only. Left out, the present one."),
        Currency(),
    ] = UNSET


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

    source: Source
    external_id: IdThere


class RemoveCustomerExternalId(Command, frozen=True, kw_only=True):
    """Record that another system's id no longer stands for this customer."""

    source: Source
    external_id: IdThere


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

    Withdrawing `ANY` withdraws every channel that was granted for the purpose. A channel withdrawn on its own stays so
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
    """Put the customer away. It keeps its history and can be restored; until then only consent can be withdrawn."""

    reason: Annotated[str | None, Doc("Why the customer is put away."), LINE] = None


class RestoreCustomer(Command, frozen=True, kw_only=True):
    """Make an archived customer active again."""

    shared_email_reason: SharedEmailReason = None


class UnmaskCustomer(Command, frozen=True, kw_only=True):
    """Be shown the customer's personal data in this answer, though it is hidden otherwise. It is recorded before."""

    look: Annotated[UUID, Derived("look")]
    reason: Annotated[str, Doc("Why it has to be seen, for whoever looks into this later."), LINE]


class ExportCustomerPersonalData(Command, frozen=True, kw_only=True):
    """Get all that the book holds about a customer as one document, for the person who asks. It is recorded before.

    It takes the permission `SEE_AMOUNTS` too: revenues are in it.
    """

    export: Annotated[UUID, Derived("exp")]
    reason: Annotated[str, Doc("Why the copy is made: who asked, and where that is written down."), LINE]


class RequestCustomerErasure(Command, frozen=True, kw_only=True):
    """Ask for the customer's personal data to be erased. Another person approves it: `customerErasePersonalData`.

    A person asks for it, and no API token.
    """

    ground: Annotated[ErasureGround, Doc("Why it has to go. This stays in the book.")]
    reason: Annotated[str, Doc("More about it, for whoever approves it; it is erased too."), LINE]


class WithdrawCustomerErasureRequest(Command, frozen=True, kw_only=True):
    """Say that the customer's personal data is not to be erased after all, as long as nobody has approved it."""

    reason: Annotated[str, Doc("Why it is not to be erased any more."), LINE]


class EraseCustomerPersonalData(Command, frozen=True, kw_only=True):
    """Approve what another person asked for: the customer's personal data is erased, at once and for ever.

    Its keys are destroyed, those of the deals and tickets about it included; no entry of the book is changed. From then
    on the customer refuses every command.
    """

    reason: Annotated[str, Doc("Why it is right to do so; it is erased too."), LINE]


class PlaceCustomerLegalHold(Command, frozen=True, kw_only=True):
    """Keep the customer's data from being erased, for a matter such as a lawsuit. Several matters can hold it."""

    matter: Annotated[str, Doc("What it is kept for; upper and lower case are the same: `case 12 O 345/26`."), LABEL]


class LiftCustomerLegalHold(Command, frozen=True, kw_only=True):
    """Say that the customer's data need not be kept any longer for a matter."""

    matter: Annotated[str, Doc("The matter, in upper or lower case."), LABEL]


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
    | UnmaskCustomer
    | ExportCustomerPersonalData
    | RequestCustomerErasure
    | WithdrawCustomerErasureRequest
    | EraseCustomerPersonalData
    | PlaceCustomerLegalHold
    | LiftCustomerLegalHold
)

COMMANDS: Mapping[str, type[CustomerCommand]] = {
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
    "unmask": UnmaskCustomer,
    "exportPersonalData": ExportCustomerPersonalData,
    "requestErasure": RequestCustomerErasure,
    "withdrawErasureRequest": WithdrawCustomerErasureRequest,
    "erasePersonalData": EraseCustomerPersonalData,
    "placeLegalHold": PlaceCustomerLegalHold,
    "liftLegalHold": LiftCustomerLegalHold,
}
"""By verb: `rename` is the mutation `customerRename`."""
