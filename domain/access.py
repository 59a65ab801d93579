"""Access: what each command and each kind of record needs, and whether somebody's permissions reach it.

This is the one place on the side of commands; on the side of reading it is `api/reading/sight.py`.
"""

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Final
from uuid import UUID

import msgspec

from domain import (
    api_token,
    company,
    customer,
    opportunity,
    pipeline,
    product,
    queue,
    role,
    staff_member,
    team,
    ticket,
)
from domain.appending import NotAllowed, NotAllowedOnBehalf
from domain.kernel import Command, Place, Rule
from domain.kernel.permissions import Permission, Scope

READS: Final[Mapping[str, Permission]] = {
    "customer": Permission.READ_CUSTOMERS,
    "opportunity": Permission.READ_OPPORTUNITIES,
    "ticket": Permission.READ_TICKETS,
    "api_token": Permission.MANAGE_ACCESS,
}
"""By kind of record: what one needs to see it. Whoever may do anything at all sees all other kinds."""


def _all_of(permission: Permission, *commands: type[Command]) -> dict[type[Command], Permission]:
    return dict.fromkeys(commands, permission)


def _rest_of(permission: Permission, *commands: Mapping[str, type[Command]]) -> dict[type[Command], Permission]:
    return dict.fromkeys(chain.from_iterable(each.values() for each in commands), permission)


NEEDS: Final[Mapping[type[Command], Permission]] = {
    **_all_of(Permission.REGISTER_CUSTOMERS, customer.RegisterCustomer),
    **_all_of(
        Permission.WRITE_CUSTOMERS,
        customer.RenameCustomer,
        customer.AssignCustomerParent,
        customer.AddCustomerExternalId,
        customer.RemoveCustomerExternalId,
        customer.LinkCustomerContact,
        customer.UnlinkCustomerContact,
        customer.ChangeCustomerRelationship,
        customer.AddCustomerNote,
        customer.ArchiveCustomer,
        customer.RestoreCustomer,
        customer.ChangeCustomerDetails,
    ),
    **_all_of(
        Permission.WRITE_CONTACT_DATA,
        customer.AddCustomerContactPoint,
        customer.RemoveCustomerContactPoint,
        customer.MakeCustomerContactPointPrimary,
    ),
    **_all_of(Permission.WRITE_TAGS, customer.ClassifyCustomer, customer.AddCustomerTag, customer.RemoveCustomerTag),
    **_all_of(Permission.WRITE_CONSENT, customer.GrantCustomerConsent, customer.WithdrawCustomerConsent),
    **_all_of(Permission.ASSIGN_CUSTOMERS, customer.AssignCustomerOwner),
    **_all_of(Permission.UNMASK_PERSONAL_DATA, customer.UnmaskCustomer, customer.ExportCustomerPersonalData),
    **_all_of(Permission.REQUEST_ERASURE, customer.RequestCustomerErasure, customer.WithdrawCustomerErasureRequest),
    **_all_of(Permission.APPROVE_ERASURE, customer.EraseCustomerPersonalData),
    **_all_of(Permission.HOLD_DATA, customer.PlaceCustomerLegalHold, customer.LiftCustomerLegalHold),
    **_all_of(Permission.OPEN_OPPORTUNITIES, opportunity.OpenOpportunity),
    **_all_of(
        Permission.WRITE_OPPORTUNITIES,
        opportunity.RenameOpportunity,
        opportunity.AssignOpportunityCustomer,
        opportunity.ChangeOpportunityStage,
        opportunity.ChangeOpportunityPipeline,
        opportunity.ChangeOpportunityAmount,
        opportunity.MoveOpportunityCloseDate,
        opportunity.AddOpportunityLine,
        opportunity.ChangeOpportunityLine,
        opportunity.RemoveOpportunityLine,
        opportunity.WinOpportunity,
        opportunity.LoseOpportunity,
        opportunity.ReopenOpportunity,
        opportunity.AddOpportunityNote,
        opportunity.AddOpportunityExternalId,
    ),
    **_all_of(Permission.OVERRIDE_PROBABILITY, opportunity.OverrideOpportunityProbability),
    **_all_of(Permission.ASSIGN_OPPORTUNITIES, opportunity.ReassignOpportunity),
    **_all_of(Permission.OPEN_TICKETS, ticket.OpenTicket),
    **_all_of(
        Permission.WORK_TICKETS,
        *(each for each in ticket.ticket.commands.values() if each is not ticket.OpenTicket),
    ),
    **_rest_of(
        Permission.CONFIGURE,
        pipeline.pipeline.commands,
        company.company.commands,
        team.team.commands,
        queue.queue.commands,
        product.product.commands,
    ),
    **_all_of(
        Permission.MANAGE_STAFF,
        staff_member.RegisterStaffMember,
        staff_member.RenameStaffMember,
        staff_member.JoinTeam,
        staff_member.AddStaffMemberExternalId,
        staff_member.DeactivateStaffMember,
    ),
    # An identity provider's people are known by their address, and whoever is reactivated has the former roles again:
    # both give access, as a grant does.
    **_all_of(
        Permission.MANAGE_ACCESS,
        staff_member.GrantRole,
        staff_member.RevokeRole,
        staff_member.ChangeStaffMemberEmail,
        staff_member.ReactivateStaffMember,
    ),
    # Whoever manages access may grant more than they hold: they could grant it to themselves.
    **_rest_of(Permission.MANAGE_ACCESS, role.role.commands, api_token.api_token.commands),
}
"""What each command needs, on the record that it changes; on a new one, where the record then stands."""

NEEDS_TOO: Final[Mapping[type[Command], Permission]] = {
    # A person's copy holds the revenue that was entered about them: without it, it would be no copy of everything.
    customer.ExportCustomerPersonalData: Permission.SEE_AMOUNTS,
}
"""What some need beside that."""


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may do, as it stands at the moment of a request."""

    actor: str
    """As entries of the book name it, e.g. `user:stf_...`, `token:tok_...`, `administrator`."""
    staff_member: UUID | None = None
    """Who it is, where it is one of the company's people: owns records, and has teams and queues."""
    teams: frozenset[UUID] = frozenset()
    """The own one and those led, with all teams below them."""
    queues: frozenset[UUID] = frozenset()
    """Those that these teams work on."""
    grants: Mapping[Permission, Scope] = {}
    """The widest scope of each permission, over all roles."""
    acting_for: "Authority | None" = None
    """On whose behalf a command is given: it takes both to be allowed, and what either does not see is not there."""

    def has(self, permission: Permission) -> bool:
        """Whether it holds on any record at all."""
        return permission in self.grants

    def reaches(self, permission: Permission, place: Place) -> bool:
        """Whether it holds on a record that stands there."""
        scope = self.grants.get(permission)
        if scope is None:
            return False
        if scope is Scope.ALL or (place.owner is not None and place.owner == self.staff_member):
            return True
        in_queue = place.queue in self.queues
        return (scope is Scope.QUEUE and in_queue) or (scope is Scope.TEAM and (in_queue or place.team in self.teams))

    def sees(self, kind: str, place: Place) -> bool:
        """Whether a record of this kind that stands there exists at all for them."""
        reading = READS.get(kind)
        own = bool(self.grants) if reading is None else self.reaches(reading, place)
        return own and (self.acting_for is None or self.acting_for.sees(kind, place))


def unlimited(actor: str) -> Authority:
    """Of the house itself: the administrator's token, an import, the demo."""
    return Authority(actor=actor, grants=dict.fromkeys(Permission, Scope.ALL))


def looked_after_by(
    authority: Authority, kind: str, command: type[Command], given: Collection[str]
) -> tuple[str, UUID] | None:
    """The field, and the staff member in it, by which somebody looks after a new record where nobody is named who does:
    the person on whose behalf it is entered, or else the caller.

    Whoever may not do this to every record, or does not see every record, would lose it as soon as it is entered.
    """
    fields = _LOOKED_AFTER.get(kind, ())
    if not fields or any(field in given for field in fields):
        return None
    for one in (authority.acting_for, authority):
        if one is None or one.staff_member is None:
            continue
        if {one.grants.get(READS[kind]), one.grants.get(NEEDS[command])} != {Scope.ALL}:
            return fields[0], one.staff_member
    return None


_LOOKED_AFTER: Final[Mapping[str, tuple[str, ...]]] = {
    "customer": ("owner", "team"),
    "opportunity": ("owner", "team"),
    "ticket": ("assignee", "queue"),
}
"""By kind of record: the fields of its first command that say who looks after it; the first names a staff member."""


def not_allowed(authority: Authority, command: Command, place: Place | None = None) -> Rule | None:
    """The rule against a command on a record that stands there, without a place on any; None where none is broken."""
    if missing := _missing(authority, type(command), place):
        return NotAllowed(permission=missing.name)
    if authority.acting_for is not None and (missing := _missing(authority.acting_for, type(command), place)):
        return NotAllowedOnBehalf(permission=missing.name)
    return None


def _missing(authority: Authority, command: type[Command], place: Place | None) -> Permission | None:
    # What nobody decided upon takes most.
    for permission in (NEEDS.get(command, Permission.MANAGE_ACCESS), NEEDS_TOO.get(command)):
        if permission is not None and not _may(authority, permission, place):
            return permission
    return None


def _may(authority: Authority, permission: Permission, place: Place | None) -> bool:
    return authority.has(permission) if place is None else authority.reaches(permission, place)
