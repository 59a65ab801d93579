"""What follows from a command on a customer."""

from collections.abc import Iterable
from datetime import date
from itertools import takewhile
from typing import assert_never
from uuid import UUID

from domain.customer.commands import (
    AddCustomerContactPoint,
    AddCustomerExternalId,
    AddCustomerNote,
    AddCustomerTag,
    ArchiveCustomer,
    AssignCustomerOwner,
    AssignCustomerParent,
    ChangeCustomerDetails,
    ChangeCustomerRelationship,
    ClassifyCustomer,
    CustomerCommand,
    EraseCustomerPersonalData,
    ExportCustomerPersonalData,
    GrantCustomerConsent,
    LiftCustomerLegalHold,
    LinkCustomerContact,
    MakeCustomerContactPointPrimary,
    PlaceCustomerLegalHold,
    RegisterCustomer,
    RemoveCustomerContactPoint,
    RemoveCustomerExternalId,
    RemoveCustomerTag,
    RenameCustomer,
    RequestCustomerErasure,
    RestoreCustomer,
    UnlinkCustomerContact,
    UnmaskCustomer,
    WithdrawCustomerConsent,
    WithdrawCustomerErasureRequest,
)
from domain.customer.consents import consent_granted, consent_withdrawn
from domain.customer.contact_points import (
    contact_point_added,
    contact_point_made_primary,
    contact_point_removed,
    first_contact_points,
    repeated_contact_points,
)
from domain.customer.contacts import contact_linked, contact_unlinked
from domain.customer.details import details_changed
from domain.customer.erasure import (
    ErasureCommand,
    erasure_approved,
    erasure_request_withdrawn,
    erasure_requested,
    legal_hold_lifted,
    legal_hold_placed,
)
from domain.customer.events import (
    CustomerArchived,
    CustomerClassified,
    CustomerEvent,
    CustomerExternalIdAdded,
    CustomerExternalIdRemoved,
    CustomerNoteAdded,
    CustomerOwnerAssigned,
    CustomerParentAssigned,
    CustomerPersonalDataExported,
    CustomerRegistered,
    CustomerRelationshipChanged,
    CustomerRenamed,
    CustomerRestored,
    CustomerTagAdded,
    CustomerTagRemoved,
    CustomerUnmasked,
)
from domain.customer.parents import ancestors, parent_faults
from domain.customer.rules import (
    CustomerErased,
    CustomerExternalIdTaken,
    CustomerIsArchived,
    EmailTaken,
    NameOrContactPointNeeded,
    ShownBefore,
)
from domain.customer.state import Customer
from domain.customer.words import MOST_SCHEMES, MOST_TAGS
from domain.kernel import (
    COMPANY_ID,
    MOST_EXTERNAL_IDS,
    Claim,
    ContactKind,
    ExternalId,
    Known,
    Reference,
    Rule,
    StaffNotActive,
    TeamNotActive,
    one_too_many,
    path_of_claim,
    refuse,
    require,
    team_behind,
    team_of,
    unless_active,
    updated,
)

_WHILE_ARCHIVED = (
    ArchiveCustomer
    | RestoreCustomer
    | UnmaskCustomer
    | ExportCustomerPersonalData
    | WithdrawCustomerConsent  # "at any time": GDPR, article 7, paragraph 3
    | ErasureCommand
)


def decide(state: Customer, command: CustomerCommand, known: Known) -> list[CustomerEvent]:
    """What follows from a command. A request already met yields nothing."""
    if state.going:
        return [] if isinstance(command, EraseCustomerPersonalData) else refuse(CustomerErased())
    if state.archived and not isinstance(command, _WHILE_ARCHIVED):
        refuse(CustomerIsArchived())
    match command:
        case RegisterCustomer():
            return [] if state.registered else [_registered(command, known)]
        case AddCustomerNote(note=note, text=text):
            return [] if note in state.parts else [CustomerNoteAdded(note=note, text=text)]
        case RenameCustomer(name=name):
            require(None if name is not None or state.contact_points else NameOrContactPointNeeded(path=("name",)))
            return [] if name == state.name else [CustomerRenamed(old=state.name, new=name)]
        case ChangeCustomerDetails():
            return details_changed(state, command, known)
        case AddCustomerContactPoint():
            return contact_point_added(state, command)
        case RemoveCustomerContactPoint(contact_point=point):
            return contact_point_removed(state, point)
        case MakeCustomerContactPointPrimary(contact_point=point):
            return contact_point_made_primary(state, point)
        case ClassifyCustomer():
            return _classified(state, command)
        case AddCustomerTag(tag=tag):
            return _tag_added(state, tag)
        case RemoveCustomerTag(tag=tag):
            worn = state.tags.get(tag.casefold())
            return [] if worn is None else [CustomerTagRemoved(tag=worn)]
        case AssignCustomerOwner():
            return _owner_assigned(state, command, known)
        case AssignCustomerParent(parent=parent):
            if parent == state.parent:
                return []
            require(parent_faults(command.id, parent, known))
            return [CustomerParentAssigned(old=state.parent, parent=parent)]
        case AddCustomerExternalId(source=source, external_id=external_id):
            return _external_id_added(state, ExternalId(source=source, id=external_id))
        case RemoveCustomerExternalId(source=source, external_id=external_id):
            gone = ExternalId(source=source, id=external_id)
            return [CustomerExternalIdRemoved(external_id=gone)] if gone in state.external_ids else []
        case LinkCustomerContact():
            return contact_linked(state, command, known)
        case UnlinkCustomerContact():
            return contact_unlinked(state, command)
        case ChangeCustomerRelationship(relationship=new):
            old = state.relationship
            return [] if new is old else [CustomerRelationshipChanged(old=old, new=new)]
        case GrantCustomerConsent():
            return consent_granted(state, command)
        case WithdrawCustomerConsent():
            return consent_withdrawn(state, command)
        case ArchiveCustomer(reason=reason):
            return [] if state.archived else [CustomerArchived(reason=reason)]
        case RestoreCustomer(shared_email_reason=reason):
            shared = reason is not None
            return [CustomerRestored(shared=shared, shared_email_reason=reason)] if state.archived else []
        case UnmaskCustomer(look=look, reason=reason):
            require(_shown_before(state, look))
            return [CustomerUnmasked(look=look, reason=reason)]
        case ExportCustomerPersonalData(export=export, reason=reason):
            require(_shown_before(state, export))
            return [CustomerPersonalDataExported(export=export, reason=reason)]
        case RequestCustomerErasure():
            return erasure_requested(state, command, known)
        case WithdrawCustomerErasureRequest():
            return erasure_request_withdrawn(state, command)
        case EraseCustomerPersonalData():
            return erasure_approved(state, command, known)
        case PlaceCustomerLegalHold(matter=matter):
            return legal_hold_placed(state, matter)
        case LiftCustomerLegalHold(matter=matter):
            return legal_hold_lifted(state, matter)
        case _:
            assert_never(command)


def _registered(command: RegisterCustomer, known: Known) -> CustomerRegistered:
    require(
        None if command.name is not None or command.contact_points else NameOrContactPointNeeded(path=("name",)),
        repeated_contact_points(command.contact_points),
        unless_active(known, command.owner, StaffNotActive(path=("owner",))),
        unless_active(known, command.team, TeamNotActive(path=("team",))),
        parent_faults(command.id, command.parent, known),
    )
    return CustomerRegistered(
        kind=command.kind,
        name=command.name,
        contact_points=first_contact_points(command),
        owner=command.owner,
        team=team_of(known, command.owner, command.team),
        source=command.source,
        external_ids=tuple(dict.fromkeys(command.external_ids)),
        language=command.language,
        relationship=command.relationship,
        parent=command.parent,
        shared_email_reason=command.shared_email_reason,
    )


def _shown_before(state: Customer, showing: UUID) -> Rule | None:
    """A retry finds its receipt; without one nobody would be told that it is shown again, or why."""
    return ShownBefore(path=("idempotency_key",)) if showing in state.parts else None


def _classified(state: Customer, command: ClassifyCustomer) -> list[CustomerEvent]:
    key = command.scheme.casefold()
    scheme, old = state.classes.get(key, (command.scheme, None))
    if old == command.value:
        return []
    require(one_too_many(state.classes, MOST_SCHEMES, ("scheme",)) if old is None else None)
    return [CustomerClassified(scheme=scheme, old=old, new=command.value)]


def _tag_added(state: Customer, tag: str) -> list[CustomerEvent]:
    if tag.casefold() in state.tags:
        return []
    require(one_too_many(state.tags, MOST_TAGS, ("tag",)))
    return [CustomerTagAdded(tag=tag)]


def _owner_assigned(state: Customer, command: AssignCustomerOwner, known: Known) -> list[CustomerEvent]:
    owner, team = updated(state.owner, command.owner), updated(state.team, command.team)
    if (owner, team) == (state.owner, state.team):
        return []
    require(
        unless_active(known, None if owner == state.owner else owner, StaffNotActive(path=("owner",))),
        unless_active(known, None if team == state.team else team, TeamNotActive(path=("team",))),
    )
    return [CustomerOwnerAssigned(old_owner=state.owner, owner=owner, old_team=state.team, team=team)]


def _external_id_added(state: Customer, external_id: ExternalId) -> list[CustomerEvent]:
    if external_id in state.external_ids:
        return []
    require(one_too_many(state.external_ids, MOST_EXTERNAL_IDS, ("external_id",)))
    return [CustomerExternalIdAdded(external_id=external_id)]


def consults(_state: Customer, command: CustomerCommand, known: Known) -> Iterable[Reference]:
    """The parents above a new parent, to find a cycle; the team of a new one's owner; the company's time zone, to know
    today's date."""
    if isinstance(command, RegisterCustomer):
        yield from team_behind(known, command.owner, command.team)
    if isinstance(command, AssignCustomerParent | RegisterCustomer):
        chain = takewhile(lambda one: one != command.id, ancestors(command.parent, known))
        yield from (Reference("customer", one, ("parent",)) for one in chain)
    elif isinstance(command, ChangeCustomerDetails) and isinstance(command.birthday, date):
        yield Reference("company", COMPANY_ID, ("birthday",), optional=True)


def taken(command: CustomerCommand, claim: Claim) -> Rule:
    """The rule against a claim that another customer holds, with the path of the value that makes it."""
    if claim.scope == "external_id":
        return CustomerExternalIdTaken(path=path_of_claim(command, claim))
    match command:
        case RegisterCustomer(contact_points=points):
            emails = [one.normalised if one.kind is ContactKind.EMAIL else None for one in points]
            return EmailTaken(path=("contact_points", emails.index(claim.value), "value"))
        case AddCustomerContactPoint():
            return EmailTaken(path=("contact_point", "value"))
        case _:
            return EmailTaken()
