"""The words of customers: what they are, how they are reached, what may be said to them."""

from typing import TypeAlias
from uuid import UUID

import msgspec

from domain.kernel import ContactKind, Word

MOST_CONTACT_POINTS, MOST_TAGS, MOST_LINKS, MOST_SCHEMES, MOST_CONSENTS, MOST_HOLDS = 100, 100, 500, 100, 200, 100
MOST_ANCESTORS = 50
"""How many levels of parents a customer may have above it when its parent is assigned."""

PERSONAL_DETAILS = ("legal_name", "salutation", "job_title", "birthday", "description")
PUBLIC_DETAILS = ("language", "founded_year", "employees", "annual_revenue", "revenue_currency")
ONLY_OF_PERSONS = ("salutation", "job_title", "birthday")


class CustomerKind(Word):
    """Whether a customer is a person or an organisation; it never changes."""

    PERSON = "person", "A human being: no other active one has its e-mail address; can be a contact of organisations."
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


class ErasureGround(Word):
    """Why a person's data has to go. It outlives the data, so it is one of a few words."""

    PERSON_ASKED = "person_asked", "The person asked for it."
    CONSENT_WITHDRAWN = "consent_withdrawn", "The consent that it rested on was withdrawn."
    OBJECTION = "objection", "The person objected, and nothing outweighs that."
    NO_LONGER_NEEDED = "no_longer_needed", "What it was collected for is over."
    UNLAWFUL = "unlawful", "It ought not to have been collected."
    LEGAL_DUTY = "legal_duty", "A law or an authority demands it."


class Erasure(Word):
    """How far the erasure of a customer's personal data is."""

    REQUESTED = "requested", "Somebody asked for it; another person has to approve it."
    APPROVED = "approved", "It is approved, and being carried out: nothing stops it any more."
    ERASED = "erased", "The keys are destroyed, and nothing personal can be read any more."


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


Fact: TypeAlias = bool | int | str | None
"""A detail's value in an event: amounts as decimal text, dates in ISO 8601."""


class Change(msgspec.Struct, frozen=True):
    """A detail's value before and after."""

    old: Fact
    new: Fact
