"""Decisions on the ways to reach a customer. Each kind that has any has one primary contact point."""

from collections.abc import Iterator
from uuid import UUID

from domain.customer.commands import AddCustomerContactPoint, RegisterCustomer
from domain.customer.events import (
    CustomerContactPointAdded,
    CustomerContactPointMadePrimary,
    CustomerContactPointRemoved,
    CustomerEvent,
)
from domain.customer.rules import (
    ContactPointDuplicated,
    ContactPointUnknown,
    NameOrContactPointNeeded,
    SeveralPrimaries,
)
from domain.customer.state import Customer
from domain.customer.words import MOST_CONTACT_POINTS, ContactPoint
from domain.kernel import ContactKind, NewContactPoint, Rule, one_too_many, refuse, require


def repeated_contact_points(given: tuple[NewContactPoint, ...]) -> Iterator[Rule]:
    """The rules against giving a contact point twice, or two primary ones of a kind."""
    found: set[tuple[ContactKind, str]] = set()
    primaries: set[ContactKind] = set()
    for at, one in enumerate(given):
        if (one.kind, one.normalised) in found:
            yield ContactPointDuplicated(path=("contact_points", at, "value"))
        if one.primary and one.kind in primaries:
            yield SeveralPrimaries(kind=one.kind, path=("contact_points", at, "primary"))
        found.add((one.kind, one.normalised))
        primaries.update({one.kind} if one.primary else ())


def first_contact_points(command: RegisterCustomer) -> tuple[ContactPoint, ...]:
    """A new customer's contact points: the first of each kind is primary, unless another one is marked."""
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


def contact_point_added(state: Customer, command: AddCustomerContactPoint) -> list[CustomerEvent]:
    new = command.contact_point
    if new.contact_point in state.parts:
        return []
    there = any((one.kind, one.normalised) == (new.kind, new.normalised) for one in state.contact_points.values())
    require(
        ContactPointDuplicated(path=("contact_point", "value")) if there else None,
        one_too_many(state.contact_points, MOST_CONTACT_POINTS, ("contact_point",)),
    )
    before = state.primary(new.kind)
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


def contact_point_removed(state: Customer, point: UUID) -> list[CustomerEvent]:
    gone = state.contact_points.get(point)
    if gone is None:
        require(None if point in state.parts else ContactPointUnknown(path=("contact_point",)))
        return []
    last = state.name is None and len(state.contact_points) == 1
    require(NameOrContactPointNeeded(path=("contact_point",)) if last else None)
    heirs = (one.id for one in state.contact_points.values() if one.kind is gone.kind and one is not gone)
    promoted = next(heirs, None) if gone.primary else None
    return [CustomerContactPointRemoved(contact_point=point, kind=gone.kind, value=gone.value, promoted=promoted)]


def contact_point_made_primary(state: Customer, chosen: UUID) -> list[CustomerEvent]:
    point = state.contact_points.get(chosen)
    if point is None:
        refuse(ContactPointUnknown(path=("contact_point",)))
    before = state.primary(point.kind)
    demoted = before.id if before else None
    made = CustomerContactPointMadePrimary(contact_point=chosen, kind=point.kind, demoted=demoted)
    return [] if point.primary else [made]
