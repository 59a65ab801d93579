"""Decisions on the persons who are contacts of an organisation."""

from collections.abc import Iterable, Iterator
from datetime import date
from uuid import UUID

from msgspec.structs import replace

from domain.customer.commands import LinkCustomerContact, UnlinkCustomerContact
from domain.customer.events import CustomerContactLinked, CustomerContactUnlinked, CustomerEvent
from domain.customer.rules import (
    ContactLinkedAlready,
    LinkEndsBeforeItBegins,
    LinkUnknown,
    OnlyOrganisationsHaveContacts,
    OnlyPersonsAreContacts,
)
from domain.customer.state import Customer, Link
from domain.customer.words import MOST_LINKS, CustomerKind
from domain.kernel import CustomerNotActive, Known, Rule, one_too_many, opened, require


def contact_linked(state: Customer, command: LinkCustomerContact, known: Known) -> list[CustomerEvent]:
    if command.link in state.parts:
        return []
    link = Link(command.person, command.role, command.since, command.until)
    organisation = state.kind is CustomerKind.ORGANISATION
    require(
        None if organisation else OnlyOrganisationsHaveContacts(path=("id",)),
        _person_faults(command.person, known) if organisation else (),
        _dates_fault(link),
        ContactLinkedAlready(path=("person",)) if _repeated(link, state.links.values()) else None,
        one_too_many(state.links, MOST_LINKS, ("person",)),
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


def _dates_fault(link: Link) -> Rule | None:
    return None if _begins_by(link, link.until) else LinkEndsBeforeItBegins(path=("until",))


def _repeated(link: Link, others: Iterable[Link]) -> bool:
    return any(_same_role(link, one) for one in others)


def _same_role(one: Link, other: Link) -> bool:
    """Whether both say the same of one person, for days that overlap."""
    same = one.person == other.person and _role(one) == _role(other)
    return same and _begins_by(one, other.until) and _begins_by(other, one.until)


def _role(link: Link) -> str | None:
    role = opened(link.role)
    return role.casefold() if role else None


def _begins_by(link: Link, day: date | None) -> bool:
    return link.since is None or day is None or link.since <= day


def contact_unlinked(state: Customer, command: UnlinkCustomerContact) -> list[CustomerEvent]:
    """With a day the link stays in the record, ended; without one it goes, as a mistake."""
    link = state.links.get(command.link)
    if link is None:
        require(None if command.link in state.parts else LinkUnknown(path=("link",)))
        return []
    if command.until is not None:
        if command.until == link.until:
            return []
        ended = replace(link, until=command.until)
        later = link.until is not None and command.until > link.until
        others = [one for one in state.links.values() if one is not link]
        require(
            _dates_fault(ended),
            ContactLinkedAlready(path=("until",)) if later and _repeated(ended, others) else None,
        )
    return [CustomerContactUnlinked(link=command.link, person=link.person, until=command.until)]
