"""The rules that a command on a customer can break."""

from domain.kernel import Rule


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


class ShownBefore(Rule):
    """Under this idempotency key the data was shown before; to see it again take a new key, and say why."""


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


class RevenueCurrencyAlone(Rule):
    """The currency of an annual revenue changes only together with the revenue; give both."""


class CustomerErased(Rule):
    """This customer's personal data is erased, for ever; nothing can be changed or added any more."""


class ErasureNotRequested(Rule):
    """Nobody asked for this customer's personal data to be erased; ask for it, and let another person approve it."""


class ApprovedByAnother(Rule):
    """Whoever asked for an erasure does not approve it: another person has to."""


class ApprovedByAPerson(Rule):
    """An API token approves no erasure: sign in as a person."""


class AskedByAPerson(Rule):
    """An API token asks for no erasure: a person has to ask for it, in their own name, and another one approves it."""


class InOwnName(Rule):
    """An erasure takes two people, each in their own name: ask for it, and approve it, on nobody else's behalf."""


class UnderLegalHold(Rule):
    """This customer's data has to be kept for {holds} matters; lift these legal holds first."""

    holds: int
