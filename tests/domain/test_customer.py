from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from domain.customer import (
    MOST_ANCESTORS,
    AddCustomerContactPoint,
    AddCustomerExternalId,
    AddCustomerNote,
    AddCustomerTag,
    ArchiveCustomer,
    AssignCustomerOwner,
    AssignCustomerParent,
    BirthdayInTheFuture,
    Change,
    ChangeCustomerDetails,
    ChangeCustomerRelationship,
    ClassifyCustomer,
    ConsentBasis,
    ConsentChannel,
    ContactLinkedAlready,
    ContactPoint,
    ContactPointDuplicated,
    ContactPointUnknown,
    Customer,
    CustomerArchived,
    CustomerClassified,
    CustomerCommand,
    CustomerConsentGranted,
    CustomerConsentWithdrawn,
    CustomerContactLinked,
    CustomerContactPointAdded,
    CustomerContactPointMadePrimary,
    CustomerContactPointRemoved,
    CustomerContactUnlinked,
    CustomerDetailsChanged,
    CustomerEvent,
    CustomerExternalIdAdded,
    CustomerExternalIdRemoved,
    CustomerExternalIdTaken,
    CustomerIsArchived,
    CustomerKind,
    CustomerNotActive,
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
    EmailTaken,
    ExportCustomerPersonalData,
    GrantCustomerConsent,
    LinkCustomerContact,
    LinkEndsBeforeItBegins,
    LinkUnknown,
    MakeCustomerContactPointPrimary,
    NameOrContactPointNeeded,
    OnlyForPersons,
    OnlyOrganisationsHaveContacts,
    OnlyPersonsAreContacts,
    ParentCycle,
    ParentsTooDeep,
    RegisterCustomer,
    Relationship,
    RemoveCustomerContactPoint,
    RemoveCustomerExternalId,
    RemoveCustomerTag,
    RenameCustomer,
    RestoreCustomer,
    RevenueCurrencyAlone,
    RevenueCurrencyMissing,
    SeveralPrimaries,
    ShownBefore,
    StaffNotActive,
    TeamNotActive,
    UnlinkCustomerContact,
    UnmaskCustomer,
    WithdrawCustomerConsent,
    customer,
)
from domain.kernel import (
    COMPANY_ID,
    Claim,
    ContactKind,
    ExternalId,
    Known,
    NewContactPoint,
    Reference,
    Refused,
    Standing,
    Withheld,
    opened,
)
from domain.kernel.admission import Admission
from domain.kernel.fields import NumberOutOfRange, TooManyItems
from tests.domain.scenario import NOW, Scenario, lived, withhold

given = Scenario(customer)

ID, OTHER, ARCHIVED, ADA, ACME, OWNER, LEFT, TEAM, OLD_TEAM = (UUID(int=n) for n in range(1, 10))
MAIL, MAIL_2, PHONE, NOTE, LINK, LINK_2, NOWHERE = (UUID(int=n) for n in range(101, 108))
STANDINGS = {
    OTHER: Standing(kind="customer", variety="organisation"),
    ARCHIVED: Standing(kind="customer", variety="person", active=False),
    ADA: Standing(kind="customer", variety="person"),
    ACME: Standing(kind="customer", variety="organisation"),
    OWNER: Standing(kind="staff_member"),
    LEFT: Standing(kind="staff_member", active=False),
    TEAM: Standing(kind="team"),
    OLD_TEAM: Standing(kind="team", active=False),
}
MAY, JUNE, JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)


def new_point(
    part: UUID = MAIL,
    value: str = "Ada@Example.com",
    kind: ContactKind = ContactKind.EMAIL,
    *,
    label: str | None = None,
    primary: bool = False,
) -> NewContactPoint:
    return NewContactPoint(
        contact_point=part, kind=kind, value=value, label=label, primary=primary, normalised=value.casefold()
    )


def point(new: NewContactPoint, *, primary: bool = True, shared: bool = False) -> ContactPoint:
    return ContactPoint(
        id=new.contact_point,
        kind=new.kind,
        value=new.value,
        normalised=new.normalised,
        label=new.label,
        primary=primary,
        shared=shared,
    )


def registered(
    *points: ContactPoint,
    kind: CustomerKind = CustomerKind.PERSON,
    name: str | None = "Ada Lovelace",
    external_ids: tuple[ExternalId, ...] = (),
    parent: UUID | None = None,
    language: str | None = None,
) -> CustomerRegistered:
    return CustomerRegistered(
        kind=kind,
        name=name,
        contact_points=points,
        owner=None,
        team=None,
        source=None,
        external_ids=external_ids,
        language=language,
        relationship=Relationship.PROSPECT,
        parent=parent,
        shared_email_reason=None,
    )


def added(
    new: NewContactPoint, *, primary: bool, demoted: UUID | None = None, reason: str | None = None
) -> CustomerContactPointAdded:
    return CustomerContactPointAdded(
        contact_point=new.contact_point,
        kind=new.kind,
        value=new.value,
        normalised=new.normalised,
        label=new.label,
        primary=primary,
        demoted=demoted,
        shared=reason is not None and new.kind is ContactKind.EMAIL,
        shared_email_reason=reason,
    )


def linked(
    link: UUID = LINK, role: str | None = "CFO", since: date | None = None, until: date | None = None
) -> CustomerContactLinked:
    return CustomerContactLinked(link=link, person=ADA, role=role, since=since, until=until)


def details(personal: dict[str, Change] | None = None, **public: Change) -> CustomerDetailsChanged:
    return CustomerDetailsChanged(changes=public, personal_changes=personal or {})


KNOWN_AS = ExternalId(source="erp", id="4711")
person = registered()
organisation = registered(kind=CustomerKind.ORGANISATION, name="Acme")
reachable = registered(point(new_point()))
archived = CustomerArchived(reason=None)


class TestRegistering:
    def test_a_name_is_enough(self) -> None:
        given().when(RegisterCustomer(id=ID, kind=CustomerKind.PERSON, name="Ada Lovelace")).then(person)

    def test_a_contact_point_is_enough(self) -> None:
        command = RegisterCustomer(id=ID, kind=CustomerKind.PERSON, contact_points=(new_point(),))
        given().when(command).then(registered(point(new_point()), name=None))

    def test_everything_can_be_given_at_once(self) -> None:
        command = RegisterCustomer(
            id=ID,
            kind=CustomerKind.ORGANISATION,
            name="Acme",
            contact_points=(new_point(),),
            owner=OWNER,
            team=TEAM,
            source="web",
            external_ids=(KNOWN_AS, KNOWN_AS),
            language="de-CH",
            relationship=Relationship.ACTIVE,
            parent=OTHER,
            shared_email_reason="one office, one address",
        )
        expected = CustomerRegistered(
            kind=CustomerKind.ORGANISATION,
            name="Acme",
            contact_points=(point(new_point(), shared=True),),
            owner=OWNER,
            team=TEAM,
            source="web",
            external_ids=(KNOWN_AS,),
            language="de-CH",
            relationship=Relationship.ACTIVE,
            parent=OTHER,
            shared_email_reason="one office, one address",
        )
        given().knowing(STANDINGS).when(command).then(expected)

    def test_what_is_new_is_its_owners_teams_where_no_team_is_named(self) -> None:
        in_team = {OWNER: Standing(kind="staff_member", team=OLD_TEAM), OLD_TEAM: Standing(kind="team")}
        command = RegisterCustomer(id=ID, kind=CustomerKind.PERSON, name="Ada Lovelace", owner=OWNER)
        theirs = msgspec.structs.replace(registered(), owner=OWNER, team=OLD_TEAM)
        given().knowing(STANDINGS | in_team).when(command).then(theirs)
        named = msgspec.structs.replace(command, team=TEAM)
        given().knowing(STANDINGS | in_team).when(named).then(msgspec.structs.replace(theirs, team=TEAM))

    def test_nothing_new_is_an_archived_teams(self) -> None:
        in_team = {OWNER: Standing(kind="staff_member", team=OLD_TEAM)}
        command = RegisterCustomer(id=ID, kind=CustomerKind.PERSON, name="Ada Lovelace", owner=OWNER)
        nobodys = msgspec.structs.replace(registered(), owner=OWNER)
        given().knowing(STANDINGS | in_team).when(command).then(nobodys)
        known = Known(now=NOW, standings=STANDINGS | in_team)
        assert [*customer.consults(Customer(), command, known)] == [Reference("team", OLD_TEAM, ("owner",))]

    def test_the_first_of_each_kind_is_primary_unless_another_is_marked(self) -> None:
        first, second = new_point(), new_point(MAIL_2, "ada@home.example", primary=True)
        phone = new_point(PHONE, "+41446681800", ContactKind.PHONE)
        command = RegisterCustomer(id=ID, kind=CustomerKind.PERSON, name="Ada", contact_points=(first, second, phone))
        given().when(command).then(
            registered(point(first, primary=False), point(second), point(phone), name="Ada"),
        )

    def test_neither_name_nor_contact_point_is_too_little(self) -> None:
        command = RegisterCustomer(id=ID, kind=CustomerKind.PERSON)
        given().when(command).refused(NameOrContactPointNeeded(path=("name",)))

    def test_every_fault_is_named(self) -> None:
        command = RegisterCustomer(
            id=ID,
            kind=CustomerKind.PERSON,
            contact_points=(new_point(primary=True), new_point(MAIL_2, "ADA@example.com", primary=True)),
            external_ids=(ExternalId(source="a:b", id="1"),),
            language="Swiss German",
            owner=LEFT,
            team=OLD_TEAM,
            parent=ARCHIVED,
        )
        given().knowing(STANDINGS).when(command).refused(
            ContactPointDuplicated(path=("contact_points", 1, "value")),
            SeveralPrimaries(kind="email", path=("contact_points", 1, "primary")),
            StaffNotActive(path=("owner",)),
            TeamNotActive(path=("team",)),
            CustomerNotActive(path=("parent",)),
        )


class TestName:
    def test_a_customer_is_renamed(self) -> None:
        renamed = CustomerRenamed(old="Ada Lovelace", new="Ada King")
        given(person).when(RenameCustomer(id=ID, name="Ada King")).then(renamed)
        given(person).when(RenameCustomer(id=ID, name="Ada Lovelace")).then()

    def test_a_name_can_go_where_a_contact_point_remains(self) -> None:
        given(reachable).when(RenameCustomer(id=ID, name=None)).then(CustomerRenamed(old="Ada Lovelace", new=None))

    def test_the_last_handle_cannot_go(self) -> None:
        given(person).when(RenameCustomer(id=ID, name=None)).refused(NameOrContactPointNeeded(path=("name",)))


class TestDetails:
    def test_personal_and_public_facts_stand_apart(self) -> None:
        command = ChangeCustomerDetails(id=ID, job_title="Countess", birthday=date(1915, 12, 10), language="en-GB")
        given(person).when(command).then(
            details(
                {"job_title": Change(None, "Countess"), "birthday": Change(None, "1915-12-10")},
                language=Change(None, "en-GB"),
            )
        )

    def test_revenue_is_rounded_to_its_currency(self) -> None:
        command = ChangeCustomerDetails(
            id=ID, founded_year=1996, employees=2822, annual_revenue=Decimal("1100.045"), revenue_currency="USD"
        )
        given(organisation).when(command).then(
            details(
                founded_year=Change(None, 1996),
                employees=Change(None, 2822),
                annual_revenue=Change(None, "1100.04"),
                revenue_currency=Change(None, "USD"),
            )
        )

    in_dollars = details(annual_revenue=Change(None, "1100.50"), revenue_currency=Change(None, "USD"))

    def test_another_currency_changes_with_the_revenue_only(self) -> None:
        scene = given(organisation, self.in_dollars)
        alone = RevenueCurrencyAlone(path=("revenue_currency",))
        scene.when(ChangeCustomerDetails(id=ID, revenue_currency="JPY")).refused(alone)
        scene.when(ChangeCustomerDetails(id=ID, revenue_currency="USD")).then()
        in_yen = ChangeCustomerDetails(id=ID, annual_revenue=Decimal("1100.50"), revenue_currency="JPY")
        scene.when(in_yen).then(
            details(annual_revenue=Change("1100.50", "1100"), revenue_currency=Change("USD", "JPY"))
        )
        scene.when(ChangeCustomerDetails(id=ID, annual_revenue=Decimal(7))).then(
            details(annual_revenue=Change("1100.50", "7.00"))
        )
        given(organisation).when(ChangeCustomerDetails(id=ID, revenue_currency="JPY")).refused(alone)

    @pytest.mark.parametrize("named", [UNSET, None, "USD", "JPY"])
    def test_revenue_and_currency_go_together(self, named: str | UnsetType | None) -> None:
        gone = details(annual_revenue=Change("1100.50", None), revenue_currency=Change("USD", None))
        command = ChangeCustomerDetails(id=ID, annual_revenue=None, revenue_currency=named)
        given(organisation, self.in_dollars).when(command).then(gone)

    def test_a_currency_that_an_old_version_left_behind_counts_for_nothing(self) -> None:
        left = details(annual_revenue=Change("1100.50", None))
        scene = given(organisation, self.in_dollars, left)
        missing = RevenueCurrencyMissing(path=("revenue_currency",))
        scene.when(ChangeCustomerDetails(id=ID, annual_revenue=Decimal(5))).refused(missing)
        scene.when(ChangeCustomerDetails(id=ID, revenue_currency=None)).then(
            details(revenue_currency=Change("USD", None))
        )

    def test_a_loss_that_stands_in_the_book_is_in_nobodys_way(self) -> None:
        loss = details(annual_revenue=Change(None, "-3.00"), revenue_currency=Change(None, "USD"))
        given(organisation, loss).when(ChangeCustomerDetails(id=ID, employees=7)).then(
            details(employees=Change(None, 7))
        )
        with pytest.raises(Refused) as refused:
            Admission({}, {}).admit(ChangeCustomerDetails, ID, {"annual_revenue": "-0.4"}, lambda _: NOTE)
        assert refused.value.broken == (NumberOutOfRange(path=("annual_revenue",), least="0", most="999999999999.999"),)

    def test_no_revenue_is_rounded_beyond_its_bounds(self) -> None:
        rule = NumberOutOfRange(path=("annual_revenue",), least="0", most="999999999999.99")
        most = Decimal("999999999999.999")
        command = ChangeCustomerDetails(id=ID, annual_revenue=most, revenue_currency="EUR")
        given(organisation).when(command).refused(rule)
        in_dinars = ChangeCustomerDetails(id=ID, annual_revenue=most, revenue_currency="KWD")
        given(organisation).when(in_dinars).then(
            details(annual_revenue=Change(None, str(most)), revenue_currency=Change(None, "KWD"))
        )
        # One that is there from before is in nobody's way.
        stored = details(annual_revenue=Change(None, "1000000000000.00"), revenue_currency=Change(None, "EUR"))
        given(organisation, stored).when(ChangeCustomerDetails(id=ID, employees=7)).then(
            details(employees=Change(None, 7))
        )

    def test_revenue_needs_a_currency(self) -> None:
        rule = RevenueCurrencyMissing(path=("revenue_currency",))
        given(organisation).when(ChangeCustomerDetails(id=ID, annual_revenue=Decimal(5))).refused(rule)
        given(organisation, self.in_dollars).when(ChangeCustomerDetails(id=ID, revenue_currency=None)).refused(rule)

    def test_null_clears_and_what_is_left_out_stays(self) -> None:
        before = details({"legal_name": Change(None, "Acme Corp.")}, employees=Change(None, 7))
        given(organisation, before).when(ChangeCustomerDetails(id=ID, legal_name=None)).then(
            details({"legal_name": Change("Acme Corp.", None)})
        )

    def test_what_is_so_already_changes_nothing(self) -> None:
        english = registered(language="en")
        given(english).when(ChangeCustomerDetails(id=ID, language="en", employees=None)).then()

    def test_every_fault_is_named(self) -> None:
        command = ChangeCustomerDetails(id=ID, annual_revenue=Decimal(1), job_title="Boss", birthday=date(2026, 4, 1))
        given(organisation).when(command).refused(
            RevenueCurrencyMissing(path=("revenue_currency",)),
            OnlyForPersons(path=("job_title",)),
            OnlyForPersons(path=("birthday",)),
            BirthdayInTheFuture(path=("birthday",)),
        )

    def test_today_is_the_companys(self) -> None:
        command = ChangeCustomerDetails(id=ID, birthday=date(2026, 4, 1))
        (reference,) = customer.consults(Customer(), command, Known(now=NOW))
        assert (reference.kind, reference.id, reference.optional) == ("company", COMPANY_ID, True)
        far_east = {COMPANY_ID: Standing(kind="company", zone="Pacific/Kiritimati")}
        late = Known(now=NOW.replace(hour=11), standings=far_east)
        assert customer.decide(given(person).state, command, late)


class TestContactPoints:
    phone = new_point(PHONE, "+41446681800", ContactKind.PHONE)
    second = new_point(MAIL_2, "ada@home.example")

    def test_the_first_of_its_kind_is_primary(self) -> None:
        command = AddCustomerContactPoint(id=ID, contact_point=self.phone)
        given(reachable).when(command).then(added(self.phone, primary=True))

    def test_a_second_one_is_not(self) -> None:
        command = AddCustomerContactPoint(id=ID, contact_point=self.second)
        given(reachable).when(command).then(added(self.second, primary=False))

    def test_unless_it_is_marked(self) -> None:
        second = new_point(MAIL_2, "ada@home.example", primary=True)
        command = AddCustomerContactPoint(id=ID, contact_point=second)
        given(reachable).when(command).then(added(second, primary=True, demoted=MAIL))
        state = given(reachable, added(second, primary=True, demoted=MAIL)).state
        assert [one.primary for one in state.contact_points.values()] == [False, True]

    def test_the_same_value_twice_is_refused(self) -> None:
        command = AddCustomerContactPoint(id=ID, contact_point=new_point(MAIL_2, "ADA@EXAMPLE.COM"))
        given(reachable).when(command).refused(ContactPointDuplicated(path=("contact_point", "value")))

    def test_there_is_a_most(self) -> None:
        full = [added(new_point(UUID(int=1000 + n), f"a{n}@example.com"), primary=n == 0) for n in range(100)]
        command = AddCustomerContactPoint(id=ID, contact_point=new_point())
        given(person, *full).when(command).refused(TooManyItems(path=("contact_point",), count=101, most=100))

    def test_added_once_is_not_added_again_even_when_removed(self) -> None:
        removed = CustomerContactPointRemoved(
            contact_point=MAIL, kind=ContactKind.EMAIL, value="Ada@Example.com", promoted=None
        )
        command = AddCustomerContactPoint(id=ID, contact_point=new_point())
        given(reachable, removed).when(command).then()

    def test_removing_the_primary_promotes_the_oldest_of_its_kind(self) -> None:
        third = new_point(UUID(int=999), "ada@work.example")
        history = reachable, added(self.phone, primary=True), added(self.second, primary=False)
        removed = CustomerContactPointRemoved(
            contact_point=MAIL, kind=ContactKind.EMAIL, value="Ada@Example.com", promoted=MAIL_2
        )
        scene = given(*history, added(third, primary=False))
        scene.when(RemoveCustomerContactPoint(id=ID, contact_point=MAIL)).then(removed)
        heir = given(*history, removed).state.primary(ContactKind.EMAIL)
        assert heir is not None
        assert heir.id == MAIL_2

    def test_removing_another_promotes_nobody(self) -> None:
        removed = CustomerContactPointRemoved(
            contact_point=MAIL_2, kind=ContactKind.EMAIL, value="ada@home.example", promoted=None
        )
        command = RemoveCustomerContactPoint(id=ID, contact_point=MAIL_2)
        given(reachable, added(self.second, primary=False)).when(command).then(removed)

    def test_the_last_handle_cannot_go(self) -> None:
        nameless = registered(point(new_point()), name=None)
        command = RemoveCustomerContactPoint(id=ID, contact_point=MAIL)
        given(nameless).when(command).refused(NameOrContactPointNeeded(path=("contact_point",)))

    def test_an_erased_name_is_still_a_name(self) -> None:
        state = given(withhold(person, Withheld.ERASED), added(self.phone, primary=True)).state
        command = RemoveCustomerContactPoint(id=ID, contact_point=PHONE)
        assert len(customer.decide(state, command, Known(now=NOW))) == 1

    def test_another_becomes_primary(self) -> None:
        made = CustomerContactPointMadePrimary(contact_point=MAIL_2, kind=ContactKind.EMAIL, demoted=MAIL)
        history = reachable, added(self.second, primary=False)
        given(*history).when(MakeCustomerContactPointPrimary(id=ID, contact_point=MAIL_2)).then(made)
        given(*history).when(MakeCustomerContactPointPrimary(id=ID, contact_point=MAIL)).then()

    def test_an_unknown_one_is_refused(self) -> None:
        rule = ContactPointUnknown(path=("contact_point",))
        given(reachable).when(RemoveCustomerContactPoint(id=ID, contact_point=NOWHERE)).refused(rule)
        given(reachable).when(MakeCustomerContactPointPrimary(id=ID, contact_point=NOWHERE)).refused(rule)


class TestClassesAndTags:
    def test_a_class_is_set_changed_and_cleared(self) -> None:
        first = CustomerClassified(scheme="Industry", old=None, new="retail")
        second = CustomerClassified(scheme="Industry", old="retail", new="medical")
        cleared = CustomerClassified(scheme="Industry", old="medical", new=None)
        given(person).when(ClassifyCustomer(id=ID, scheme="Industry", value="retail")).then(first)
        given(person, first).when(ClassifyCustomer(id=ID, scheme="industry", value="medical")).then(second)
        given(person, first, second).when(ClassifyCustomer(id=ID, scheme="INDUSTRY", value=None)).then(cleared)

    def test_the_same_class_changes_nothing(self) -> None:
        first = CustomerClassified(scheme="industry", old=None, new="retail")
        given(person, first).when(ClassifyCustomer(id=ID, scheme="industry", value="retail")).then()
        given(person).when(ClassifyCustomer(id=ID, scheme="industry", value=None)).then()

    def test_schemes_have_a_most(self) -> None:
        full = [CustomerClassified(scheme=f"s{n}", old=None, new="x") for n in range(100)]
        command = ClassifyCustomer(id=ID, scheme="industry", value="retail")
        given(person, *full).when(command).refused(TooManyItems(path=("scheme",), count=101, most=100))

    def test_a_tag_is_put_on_once(self) -> None:
        given(person).when(AddCustomerTag(id=ID, tag="VIP")).then(CustomerTagAdded(tag="VIP"))
        given(person, CustomerTagAdded(tag="VIP")).when(AddCustomerTag(id=ID, tag="vip")).then()

    def test_a_tag_is_taken_off_as_it_was_written(self) -> None:
        given(person, CustomerTagAdded(tag="VIP")).when(RemoveCustomerTag(id=ID, tag="vip")).then(
            CustomerTagRemoved(tag="VIP")
        )
        given(person).when(RemoveCustomerTag(id=ID, tag="vip")).then()

    def test_tags_have_a_most(self) -> None:
        full = [CustomerTagAdded(tag=f"t{n}") for n in range(100)]
        rule = TooManyItems(path=("tag",), count=101, most=100)
        given(person, *full).when(AddCustomerTag(id=ID, tag="VIP")).refused(rule)


class TestOwnerAndParent:
    def test_an_owner_and_a_team_are_assigned_apart_and_together(self) -> None:
        both = CustomerOwnerAssigned(old_owner=None, owner=OWNER, old_team=None, team=TEAM)
        given(person).knowing(STANDINGS).when(AssignCustomerOwner(id=ID, owner=OWNER, team=TEAM)).then(both)
        teamless = CustomerOwnerAssigned(old_owner=OWNER, owner=OWNER, old_team=TEAM, team=None)
        given(person, both).knowing(STANDINGS).when(AssignCustomerOwner(id=ID, team=None)).then(teamless)
        nobody = CustomerOwnerAssigned(old_owner=OWNER, owner=None, old_team=TEAM, team=TEAM)
        given(person, both).knowing(STANDINGS).when(AssignCustomerOwner(id=ID, owner=None)).then(nobody)

    def test_the_same_owner_changes_nothing(self) -> None:
        given(person).when(AssignCustomerOwner(id=ID, owner=None, team=None)).then()
        given(person).when(AssignCustomerOwner(id=ID)).then()

    def test_nobody_who_left_and_no_archived_team_gets_a_customer(self) -> None:
        command = AssignCustomerOwner(id=ID, owner=LEFT, team=OLD_TEAM)
        given(person).knowing(STANDINGS).when(command).refused(
            StaffNotActive(path=("owner",)), TeamNotActive(path=("team",))
        )

    def test_who_left_and_an_archived_team_may_stay_where_they_are(self) -> None:
        theirs = CustomerOwnerAssigned(old_owner=None, owner=LEFT, old_team=None, team=OLD_TEAM)
        scene = given(person, theirs).knowing(STANDINGS)
        scene.when(AssignCustomerOwner(id=ID, owner=LEFT, team=OLD_TEAM)).then()
        scene.when(AssignCustomerOwner(id=ID, owner=LEFT, team=TEAM)).then(
            CustomerOwnerAssigned(old_owner=LEFT, owner=LEFT, old_team=OLD_TEAM, team=TEAM)
        )
        scene.when(AssignCustomerOwner(id=ID, owner=OWNER, team=OLD_TEAM)).then(
            CustomerOwnerAssigned(old_owner=LEFT, owner=OWNER, old_team=OLD_TEAM, team=OLD_TEAM)
        )

    def test_the_same_parent_changes_nothing_archived_or_not(self) -> None:
        put = CustomerParentAssigned(old=None, parent=ARCHIVED)
        given(organisation, put).knowing(STANDINGS).when(AssignCustomerParent(id=ID, parent=ARCHIVED)).then()

    def test_a_parent_is_assigned_and_taken_away(self) -> None:
        put = CustomerParentAssigned(old=None, parent=OTHER)
        given(organisation).knowing(STANDINGS).when(AssignCustomerParent(id=ID, parent=OTHER)).then(put)
        given(organisation, put).when(AssignCustomerParent(id=ID, parent=None)).then(
            CustomerParentAssigned(old=OTHER, parent=None)
        )

    def test_an_archived_parent_is_refused(self) -> None:
        command = AssignCustomerParent(id=ID, parent=ARCHIVED)
        given(organisation).knowing(STANDINGS).when(command).refused(CustomerNotActive(path=("parent",)))

    def test_nobody_stands_above_itself(self) -> None:
        child = {OTHER: Standing(kind="customer", parent=ADA), ADA: Standing(kind="customer", parent=ID)}
        rule = ParentCycle(path=("parent",))
        given(organisation).knowing(child).when(AssignCustomerParent(id=ID, parent=OTHER)).refused(rule)
        given(organisation).when(AssignCustomerParent(id=ID, parent=ID)).refused(rule)

    def test_a_chain_of_parents_has_an_end(self) -> None:
        ids = [UUID(int=5000 + n) for n in range(MOST_ANCESTORS + 1)]
        chain = {one: Standing(kind="customer", parent=above) for one, above in zip(ids, [*ids[1:], None], strict=True)}
        given(organisation).knowing(chain).when(AssignCustomerParent(id=ID, parent=ids[1])).then(
            CustomerParentAssigned(old=None, parent=ids[1])
        )
        given(organisation).knowing(chain).when(AssignCustomerParent(id=ID, parent=ids[0])).refused(
            ParentsTooDeep(most=MOST_ANCESTORS, path=("parent",))
        )

    def test_the_door_is_asked_for_one_parent_after_the_other(self) -> None:
        book = {
            OTHER: Standing(kind="customer", parent=ACME),
            ACME: Standing(kind="customer", parent=ID),
            ID: Standing(kind="customer"),
        }
        command = AssignCustomerParent(id=ID, parent=OTHER)
        assert list(asked_for(command, book)) == [[OTHER], [OTHER, ACME]]


def asked_for(command: CustomerCommand, book: dict[UUID, Standing]) -> Iterator[list[UUID]]:
    """What the door is asked for, round by round, until nothing new comes."""
    standings: dict[UUID, Standing] = {}
    while True:
        wanted = [one.id for one in customer.consults(Customer(), command, Known(now=NOW, standings=standings))]
        if set(wanted) <= set(standings):
            return
        yield wanted
        standings = {one: book[one] for one in wanted}


class TestExternalIds:
    def test_an_external_id_is_added_and_removed_once(self) -> None:
        known_as = registered(external_ids=(KNOWN_AS,))
        given(person).when(AddCustomerExternalId(id=ID, source="erp", external_id="4711")).then(
            CustomerExternalIdAdded(external_id=KNOWN_AS)
        )
        given(known_as).when(AddCustomerExternalId(id=ID, source="erp", external_id="4711")).then()
        given(known_as).when(RemoveCustomerExternalId(id=ID, source="erp", external_id="4711")).then(
            CustomerExternalIdRemoved(external_id=KNOWN_AS)
        )

    def test_too_many_are_refused(self) -> None:
        full = registered(external_ids=tuple(ExternalId(source="erp", id=str(n)) for n in range(20)))
        given(full).when(AddCustomerExternalId(id=ID, source="erp", external_id="x")).refused(
            TooManyItems(path=("external_id",), count=21, most=20),
        )


class TestContacts:
    def link(self, link: UUID = LINK, **more: date | None) -> LinkCustomerContact:
        return LinkCustomerContact(
            id=ID, link=link, person=ADA, role="CFO", since=more.get("since"), until=more.get("until")
        )

    def test_a_person_becomes_a_contact(self) -> None:
        given(organisation).knowing(STANDINGS).when(self.link()).then(linked())

    def test_what_is_said_of_a_contact_is_the_contact_s(self) -> None:
        """And sealed so: the reason that somebody gives for ending a link too."""
        state = given(organisation, linked()).state
        for event in (linked(), CustomerContactUnlinked(link=LINK, person=ADA, until=None)):
            assert customer.sealed_for(ID, state, event) == ADA
        assert customer.sealed_for(ID, state, CustomerRenamed(old="Acme", new="Ace")) == ID

    def test_the_same_role_in_the_same_time_is_refused(self) -> None:
        rule = ContactLinkedAlready(path=("person",))
        given(organisation, linked()).knowing(STANDINGS).when(self.link(LINK_2)).refused(rule)
        history = organisation, linked(role="cfo", since=MAY, until=JUNE)
        given(*history).knowing(STANDINGS).when(self.link(LINK_2, since=JUNE)).refused(rule)
        given(*history).knowing(STANDINGS).when(self.link(LINK_2, since=JULY)).then(linked(LINK_2, since=JULY))
        given(organisation, linked(role=None)).knowing(STANDINGS).when(self.link(LINK_2)).then(linked(LINK_2))

    def test_dates_stand_in_order(self) -> None:
        rule = LinkEndsBeforeItBegins(path=("until",))
        given(organisation).knowing(STANDINGS).when(self.link(since=JUNE, until=MAY)).refused(rule)
        given(organisation, linked(since=JUNE)).when(UnlinkCustomerContact(id=ID, link=LINK, until=MAY)).refused(rule)

    def test_a_person_has_no_contacts(self) -> None:
        given(person).knowing(STANDINGS).when(self.link()).refused(OnlyOrganisationsHaveContacts(path=("id",)))

    def test_only_active_persons_are_contacts(self) -> None:
        for who, rule in (
            (ACME, OnlyPersonsAreContacts(path=("person",))),
            (ARCHIVED, CustomerNotActive(path=("person",))),
        ):
            command = LinkCustomerContact(id=ID, link=LINK, person=who)
            given(organisation).knowing(STANDINGS).when(command).refused(rule)

    def test_contacts_have_a_most(self) -> None:
        full = [linked(UUID(int=1000 + n), role=f"role {n}") for n in range(500)]
        given(organisation, *full).knowing(STANDINGS).when(self.link()).refused(
            TooManyItems(path=("person",), count=501, most=500)
        )

    def test_a_contact_ends_and_can_end_on_another_day(self) -> None:
        ended = CustomerContactUnlinked(link=LINK, person=ADA, until=JUNE)
        given(organisation, linked()).when(UnlinkCustomerContact(id=ID, link=LINK, until=JUNE)).then(ended)
        given(organisation, linked(), ended).when(UnlinkCustomerContact(id=ID, link=LINK, until=JULY)).then(
            CustomerContactUnlinked(link=LINK, person=ADA, until=JULY)
        )
        again = given(organisation, linked(), ended).knowing(STANDINGS).when(self.link(LINK_2, since=JULY))
        again.then(linked(LINK_2, since=JULY))

    def test_an_end_does_not_move_into_days_of_the_same_role(self) -> None:
        history = organisation, linked(since=MAY, until=MAY), linked(LINK_2, role="cfo", since=JULY)
        rule = ContactLinkedAlready(path=("until",))
        given(*history).when(UnlinkCustomerContact(id=ID, link=LINK, until=JULY)).refused(rule)
        given(*history).when(UnlinkCustomerContact(id=ID, link=LINK, until=JUNE)).then(
            CustomerContactUnlinked(link=LINK, person=ADA, until=JUNE)
        )

    def test_an_end_moves_back_whatever_overlaps(self) -> None:
        history = organisation, linked(since=MAY, until=JULY), linked(LINK_2, since=MAY)  # as it could be once
        for link, until in ((LINK, JUNE), (LINK_2, JULY)):
            given(*history).when(UnlinkCustomerContact(id=ID, link=link, until=until)).then(
                CustomerContactUnlinked(link=link, person=ADA, until=until)
            )
        given(*history).when(UnlinkCustomerContact(id=ID, link=LINK, until=JULY)).then()

    def test_a_mistaken_link_is_removed(self) -> None:
        removed = CustomerContactUnlinked(link=LINK, person=ADA, until=None)
        given(organisation, linked()).when(UnlinkCustomerContact(id=ID, link=LINK)).then(removed)
        given(organisation, linked(), removed).knowing(STANDINGS).when(self.link()).then()

    def test_an_unknown_link_is_refused(self) -> None:
        given(organisation).when(UnlinkCustomerContact(id=ID, link=LINK)).refused(LinkUnknown(path=("link",)))


def granted(
    purpose: str = "Newsletter", channel: ConsentChannel = ConsentChannel.EMAIL, text_version: str | None = "v1"
) -> CustomerConsentGranted:
    return CustomerConsentGranted(
        purpose=purpose, channel=channel, basis=ConsentBasis.CONSENT, text_version=text_version, proof="form 12"
    )


def withdrawn(channel: ConsentChannel, *, was_granted: bool) -> CustomerConsentWithdrawn:
    return CustomerConsentWithdrawn(
        purpose="Newsletter",
        channel=channel,
        basis=ConsentBasis.CONSENT if was_granted else None,
        text_version="v1" if was_granted else None,
        proof="call",
    )


class TestConsent:
    def grant(self, purpose: str = "Newsletter", text_version: str = "v1") -> GrantCustomerConsent:
        return GrantCustomerConsent(
            id=ID,
            purpose=purpose,
            channel=ConsentChannel.EMAIL,
            basis=ConsentBasis.CONSENT,
            text_version=text_version,
            proof="form 12",
        )

    def withdraw(self, channel: ConsentChannel) -> WithdrawCustomerConsent:
        return WithdrawCustomerConsent(id=ID, purpose="Newsletter", channel=channel, proof="call")

    def test_consent_is_granted_once(self) -> None:
        given(person).when(self.grant()).then(granted())
        given(person, granted()).when(self.grant("newsletter")).then()

    def test_another_text_is_another_grant_of_the_same_purpose(self) -> None:
        given(person, granted()).when(self.grant("NEWSLETTER", "v2")).then(granted(text_version="v2"))

    def test_consent_is_withdrawn_once(self) -> None:
        gone = withdrawn(ConsentChannel.EMAIL, was_granted=True)
        given(person, granted()).when(self.withdraw(ConsentChannel.EMAIL)).then(gone)
        given(person, granted(), gone).when(self.withdraw(ConsentChannel.EMAIL)).then()
        given(person, granted(), gone).when(self.grant()).then(granted())

    def test_another_proof_of_a_withdrawal_is_recorded_too(self) -> None:
        call = withdrawn(ConsentChannel.EMAIL, was_granted=True)
        letter = msgspec.structs.replace(call, proof="letter of 3 May")
        again = msgspec.structs.replace(self.withdraw(ConsentChannel.EMAIL), proof="letter of 3 May")
        given(person, granted(), call).when(again).then(letter)
        no_proof = msgspec.structs.replace(again, proof=None)
        given(person, granted(), call).when(no_proof).then()
        given(person, granted(), msgspec.structs.replace(call, proof=None)).when(again).then(letter)
        given(person, granted(), call, letter).when(self.grant()).then(granted())

    def test_another_proof_for_every_way_is_one_for_it_alone(self) -> None:
        """A channel that was withdrawn before has its own."""
        call = withdrawn(ConsentChannel.EMAIL, was_granted=True)
        everything = withdrawn(ConsentChannel.ANY, was_granted=False)
        letter = msgspec.structs.replace(everything, proof="letter of 3 May")
        again = msgspec.structs.replace(self.withdraw(ConsentChannel.ANY), proof="letter of 3 May")
        given(person, granted(), call, everything).when(again).then(letter)

    def test_an_objection_needs_no_grant(self) -> None:
        objection = withdrawn(ConsentChannel.PHONE, was_granted=False)
        given(person).when(self.withdraw(ConsentChannel.PHONE)).then(objection)

    def test_consent_is_withdrawn_from_an_archived_customer_too(self) -> None:
        gone = withdrawn(ConsentChannel.EMAIL, was_granted=True)
        given(person, granted(), archived).when(self.withdraw(ConsentChannel.EMAIL)).then(gone)
        given(person, archived).when(self.grant()).refused(CustomerIsArchived())

    def test_withdrawing_any_withdraws_every_granted_channel(self) -> None:
        history = person, granted(), granted(purpose="Survey"), granted(channel=ConsentChannel.SMS)
        given(*history).when(self.withdraw(ConsentChannel.ANY)).then(
            withdrawn(ConsentChannel.EMAIL, was_granted=True),
            withdrawn(ConsentChannel.SMS, was_granted=True),
            withdrawn(ConsentChannel.ANY, was_granted=False),
        )

    def test_consents_have_a_most(self) -> None:
        full = [granted(purpose=f"purpose {n}") for n in range(200)]
        rule = TooManyItems(path=("purpose",), count=201, most=200)
        given(person, *full).when(self.grant()).refused(rule)
        given(person, *full).when(self.withdraw(ConsentChannel.EMAIL)).refused(rule)  # nobody was ever asked for this

    def test_consent_is_withdrawn_however_many_there_are(self) -> None:
        full = [granted(purpose=f"purpose {n}") for n in range(199)]
        scene = given(person, *full, granted())
        scene.when(self.withdraw(ConsentChannel.EMAIL)).then(withdrawn(ConsentChannel.EMAIL, was_granted=True))
        scene.when(self.withdraw(ConsentChannel.PHONE)).then(withdrawn(ConsentChannel.PHONE, was_granted=False))
        scene.when(self.withdraw(ConsentChannel.ANY)).then(
            withdrawn(ConsentChannel.EMAIL, was_granted=True), withdrawn(ConsentChannel.ANY, was_granted=False)
        )


class TestLifecycle:
    def test_a_note_is_added_once(self) -> None:
        written = CustomerNoteAdded(note=NOTE, text="Called back.")
        given(person).when(AddCustomerNote(id=ID, note=NOTE, text="Called back.")).then(written)

    def test_the_relationship_moves_as_people_see_it(self) -> None:
        changed = CustomerRelationshipChanged(old=Relationship.PROSPECT, new=Relationship.FORMER)
        given(person).when(ChangeCustomerRelationship(id=ID, relationship=Relationship.FORMER)).then(changed)
        given(person).when(ChangeCustomerRelationship(id=ID, relationship=Relationship.PROSPECT)).then()

    def test_a_customer_is_archived_and_restored(self) -> None:
        gone = CustomerArchived(reason="closed shop")
        given(person).when(ArchiveCustomer(id=ID, reason="closed shop")).then(gone)
        back = CustomerRestored(shared=False, shared_email_reason=None)
        given(person, gone).when(RestoreCustomer(id=ID)).then(back)
        given(person).when(RestoreCustomer(id=ID)).then()
        assert customer.standing(given(person, gone, back).state).active

    def test_each_unmasking_is_recorded_with_its_reason(self) -> None:
        asked = UnmaskCustomer(id=ID, look=MAIL, reason="complaint 17")
        said = CustomerUnmasked(look=MAIL, reason="complaint 17")
        before = ShownBefore(path=("idempotency_key",))
        given(person).when(asked).then(said, again=before)
        again = UnmaskCustomer(id=ID, look=NOTE, reason="complaint 17")
        given(person, said).when(again).then(CustomerUnmasked(look=NOTE, reason="complaint 17"), again=before)
        given(person, archived).when(asked).then(said, again=before)

    def test_each_export_is_recorded_with_its_reason(self) -> None:
        asked = ExportCustomerPersonalData(id=ID, export=MAIL, reason="her letter of Monday")
        said = CustomerPersonalDataExported(export=MAIL, reason="her letter of Monday")
        before = ShownBefore(path=("idempotency_key",))
        given(person).when(asked).then(said, again=before)
        given(person, archived).when(asked).then(said, again=before)

    @pytest.mark.parametrize(
        "command",
        [
            RenameCustomer(id=ID, name="Ada King"),
            ChangeCustomerDetails(id=ID, employees=7),
            AddCustomerContactPoint(id=ID, contact_point=new_point()),
            RemoveCustomerContactPoint(id=ID, contact_point=MAIL),
            MakeCustomerContactPointPrimary(id=ID, contact_point=MAIL),
            ClassifyCustomer(id=ID, scheme="industry", value="retail"),
            AddCustomerTag(id=ID, tag="VIP"),
            RemoveCustomerTag(id=ID, tag="VIP"),
            AssignCustomerOwner(id=ID, owner=None),
            AssignCustomerParent(id=ID, parent=None),
            AddCustomerExternalId(id=ID, source="erp", external_id="1"),
            RemoveCustomerExternalId(id=ID, source="erp", external_id="1"),
            LinkCustomerContact(id=ID, link=LINK, person=ADA),
            UnlinkCustomerContact(id=ID, link=LINK),
            ChangeCustomerRelationship(id=ID, relationship=Relationship.ACTIVE),
            GrantCustomerConsent(id=ID, purpose="x", channel=ConsentChannel.ANY, basis=ConsentBasis.CONTRACT),
            AddCustomerNote(id=ID, note=NOTE, text="Called back."),
        ],
    )
    def test_an_archived_customer_refuses_changes(self, command: CustomerCommand) -> None:
        given(person, archived).when(command).refused(CustomerIsArchived())

    def test_others_know_kind_parent_and_whether_it_is_active(self) -> None:
        child = registered(kind=CustomerKind.ORGANISATION, parent=OTHER)
        assert customer.standing(given(child).state) == Standing(kind="customer", variety="organisation", parent=OTHER)
        assert not customer.standing(given(child, archived).state).active
        assert not customer.standing(given().state).active


class TestClaims:
    email, external_id = Claim("email", "ada@example.com"), Claim("external_id", "erp:4711")
    both = registered(point(new_point()), external_ids=(KNOWN_AS,))

    def test_an_active_person_holds_its_emails_and_external_ids(self) -> None:
        assert customer.claims(given(self.both).state) == {self.email, self.external_id}

    def test_an_archived_one_keeps_its_external_ids_alone(self) -> None:
        assert customer.claims(given(self.both, archived).state) == {self.external_id}

    def test_an_organisation_shares_its_emails_with_everybody(self) -> None:
        office = registered(point(new_point()), kind=CustomerKind.ORGANISATION)
        assert customer.claims(given(office).state) == frozenset()

    def test_an_email_given_with_a_reason_is_shared(self) -> None:
        new = new_point(MAIL_2, "family@example.com")
        command = AddCustomerContactPoint(id=ID, contact_point=new, shared_email_reason="one family")
        event = added(new, primary=True, reason="one family")
        given(person).when(command).then(event)
        assert customer.claims(given(person, event).state) == {Claim("email", "family@example.com", shared=True)}

    def test_a_restored_person_may_share_what_somebody_else_took_meanwhile(self) -> None:
        back = CustomerRestored(shared=True, shared_email_reason="one family")
        scene = given(self.both, archived)
        scene.when(RestoreCustomer(id=ID, shared_email_reason="one family")).then(back)
        assert customer.claims(given(self.both, archived, back).state) == {
            self.email._replace(shared=True),
            self.external_id,
        }

    def test_who_is_restored_without_a_reason_shares_nothing_whatever_was_said_before(self) -> None:
        shared, back = (
            registered(point(new_point(), shared=True)),
            CustomerRestored(shared=False, shared_email_reason=None),
        )
        given(shared, archived).when(RestoreCustomer(id=ID)).then(back)
        with_reason = CustomerRestored(shared=True, shared_email_reason="a couple")
        for before in ((shared,), (shared, archived, with_reason)):
            restored = given(*before, archived, back)
            assert customer.claims(restored.state) == {Claim("email", "ada@example.com")}

    def test_what_is_withheld_is_not_claimed(self) -> None:
        mail = withhold(added(new_point(), primary=True), Withheld.SEALED)
        assert customer.claims(given(withhold(self.both, Withheld.SEALED), mail).state) == frozenset()

    def test_who_claims_what_is_taken_learns_where(self) -> None:
        phone = new_point(PHONE, "ada@example.com", ContactKind.PHONE)
        register = RegisterCustomer(
            id=ID,
            kind=CustomerKind.PERSON,
            contact_points=(phone, new_point()),
            external_ids=(ExternalId(source="erp", id="1"), KNOWN_AS),
        )
        add = AddCustomerContactPoint(id=ID, contact_point=new_point())
        know = AddCustomerExternalId(id=ID, source="erp", external_id="4711")
        assert customer.taken(register, self.email) == EmailTaken(path=("contact_points", 1, "value"))
        assert customer.taken(register, self.external_id) == CustomerExternalIdTaken(path=("external_ids", 1, "id"))
        assert customer.taken(add, self.email) == EmailTaken(path=("contact_point", "value"))
        assert customer.taken(know, self.external_id) == CustomerExternalIdTaken(path=("external_id",))
        assert customer.taken(RestoreCustomer(id=ID), self.email) == EmailTaken()


own = st.just(ID)
parts = st.sampled_from([MAIL, MAIL_2, PHONE, LINK, NOTE])
words = st.sampled_from(["a", "A", "ß", "SS", "b"])
maybe_words = st.none() | words
days = st.sampled_from([None, MAY, JUNE, JULY])
points = st.builds(
    new_point,
    parts,
    words,
    st.sampled_from([ContactKind.EMAIL, ContactKind.PHONE]),
    label=maybe_words,
    primary=st.booleans(),
)
channels = st.sampled_from(ConsentChannel)
customers = st.sampled_from([OTHER, ARCHIVED, ADA, None])
registrations = st.builds(
    RegisterCustomer,
    id=own,
    kind=st.sampled_from(CustomerKind),
    name=maybe_words,
    contact_points=st.lists(points, max_size=3, unique_by=lambda one: one.contact_point).map(tuple),
    shared_email_reason=maybe_words,
)
commands: st.SearchStrategy[CustomerCommand] = st.one_of(
    st.builds(RenameCustomer, id=own, name=maybe_words),
    st.builds(
        ChangeCustomerDetails,
        id=own,
        employees=st.none() | st.integers(0, 2),
        annual_revenue=st.none() | st.just(UNSET) | st.decimals(0, 2, places=3),
        revenue_currency=st.sampled_from(["JPY", "USD", None, UNSET]),
        job_title=maybe_words,
    ),
    st.builds(AddCustomerContactPoint, id=own, contact_point=points, shared_email_reason=maybe_words),
    st.builds(RemoveCustomerContactPoint, id=own, contact_point=parts),
    st.builds(MakeCustomerContactPointPrimary, id=own, contact_point=parts),
    st.builds(ClassifyCustomer, id=own, scheme=words, value=maybe_words),
    st.builds(AddCustomerTag, id=own, tag=words),
    st.builds(RemoveCustomerTag, id=own, tag=words),
    st.builds(AssignCustomerOwner, id=own, owner=st.sampled_from([OWNER, LEFT, None])),
    st.builds(AssignCustomerParent, id=own, parent=customers),
    st.builds(AddCustomerExternalId, id=own, source=words, external_id=words),
    st.builds(RemoveCustomerExternalId, id=own, source=words, external_id=words),
    st.builds(
        LinkCustomerContact,
        id=own,
        link=parts,
        person=st.sampled_from([ADA, ACME]),
        role=maybe_words,
        since=days,
        until=days,
    ),
    st.builds(UnlinkCustomerContact, id=own, link=parts, until=days),
    st.builds(ChangeCustomerRelationship, id=own, relationship=st.sampled_from(Relationship)),
    st.builds(
        GrantCustomerConsent, id=own, purpose=words, channel=channels, basis=st.sampled_from(ConsentBasis), proof=words
    ),
    st.builds(WithdrawCustomerConsent, id=own, purpose=words, channel=channels, proof=maybe_words),
    st.builds(AddCustomerNote, id=own, note=parts, text=words),
    st.builds(ArchiveCustomer, id=own),
    st.builds(RestoreCustomer, id=own, shared_email_reason=maybe_words),
    st.builds(UnmaskCustomer, id=own, look=parts, reason=words),
    st.builds(ExportCustomerPersonalData, id=own, export=parts, reason=words),
)


def life(first: RegisterCustomer, asked: list[CustomerCommand]) -> list[CustomerEvent]:
    """The events of a customer whose registration was not refused."""
    known = Known(now=NOW, standings=STANDINGS)
    assume(lived(customer, [first], known))
    return lived(customer, [first, *asked], known)


@settings(max_examples=200)
@for_all(registrations, st.lists(commands, max_size=25))
def test_whatever_is_asked_the_invariants_hold(first: RegisterCustomer, asked: list[CustomerCommand]) -> None:
    """A handle remains; each kind has one primary; values, tags and roles stand once; dates stand in order."""
    state = customer.fold(life(first, asked))
    reach = list(state.contact_points.values())
    assert state.name is not None or reach
    for kind in {one.kind for one in reach}:
        assert sum(one.primary for one in reach if one.kind is kind) == 1
    assert len({(one.kind, one.normalised) for one in reach}) == len(reach)
    assert all(key == tag.casefold() for key, tag in state.tags.items())
    assert all(one.since <= one.until for one in state.links.values() if one.since and one.until)
    assert state.parent != ARCHIVED
    assert state.owner != LEFT
    assert not state.links or state.kind is CustomerKind.ORGANISATION
    assert (state.details.get("annual_revenue") is None) == (state.details.get("revenue_currency") is None)


@settings(max_examples=50)
@for_all(registrations, st.lists(commands, max_size=25))
def test_what_events_say_of_before_was_so(first: RegisterCustomer, asked: list[CustomerCommand]) -> None:
    """Read models never read rows back, so the old values in events must be right."""
    state = customer.initial
    for event in life(first, asked):
        match event:
            case CustomerRenamed(old=old):
                assert old == state.name
            case CustomerClassified(scheme=scheme, old=old):
                assert state.classes.get(scheme.casefold(), (scheme, None)) == (scheme, old)
            case CustomerDetailsChanged(changes=changes, personal_changes=personal):
                for name, change in {**changes, **(opened(personal) or {})}.items():
                    assert change.old == state.details.get(name) != change.new
            case CustomerContactPointAdded(demoted=demoted, kind=kind, primary=primary):
                before = state.primary(kind)
                assert demoted == (before.id if before and primary else None)
            case CustomerContactPointRemoved(contact_point=gone, promoted=promoted):
                assert (promoted is not None) <= state.contact_points[gone].primary
            case _:
                pass
        state = customer.evolve(state, event)
