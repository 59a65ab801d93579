"""Erasing a customer's personal data takes two people, and no legal hold; afterwards nothing personal comes back."""

from uuid import UUID

import pytest

from domain.customer import (
    MOST_HOLDS,
    AddCustomerNote,
    ApprovedByAnother,
    ApprovedByAPerson,
    ArchiveCustomer,
    AskedByAPerson,
    ClassifyCustomer,
    ConsentChannel,
    ContactPoint,
    Customer,
    CustomerArchived,
    CustomerCommand,
    CustomerConsentGranted,
    CustomerDetailsChanged,
    CustomerErased,
    CustomerErasureApproved,
    CustomerErasureRequested,
    CustomerErasureRequestWithdrawn,
    CustomerEvent,
    CustomerKind,
    CustomerLegalHoldLifted,
    CustomerLegalHoldPlaced,
    CustomerPersonalDataErased,
    CustomerRegistered,
    CustomerTagAdded,
    EraseCustomerPersonalData,
    Erasure,
    ErasureGround,
    ErasureNotRequested,
    InOwnName,
    LiftCustomerLegalHold,
    PlaceCustomerLegalHold,
    Relationship,
    RenameCustomer,
    RequestCustomerErasure,
    RestoreCustomer,
    UnderLegalHold,
    UnmaskCustomer,
    WithdrawCustomerErasureRequest,
    customer,
)
from domain.customer.words import Change, ConsentBasis
from domain.kernel import Claim, ContactKind, ExternalId, Withheld
from domain.kernel.fields import TooManyItems
from tests.domain.scenario import Scenario, hold_laws, withhold

given = Scenario(customer)

ID, MAIL, NOTE = UUID(int=1), UUID(int=101), UUID(int=102)
ROSA, MAX, TOKEN = "user:stf_rosa", "user:stf_max", "token:tok_1"
ASKED = ErasureGround.PERSON_ASKED

registered = CustomerRegistered(
    kind=CustomerKind.PERSON,
    name="Ada Lovelace",
    contact_points=(
        ContactPoint(
            id=MAIL,
            kind=ContactKind.EMAIL,
            value="Ada@example.com",
            normalised="ada@example.com",
            label=None,
            primary=True,
            shared=False,
        ),
    ),
    owner=None,
    team=None,
    source=None,
    external_ids=(ExternalId(source="erp", id="4711"),),
    language="en",
    relationship=Relationship.ACTIVE,
    parent=None,
    shared_email_reason=None,
)
requested = CustomerErasureRequested(ground=ASKED, asked_by=ROSA, reason="Letter of 3 March")
approved = CustomerErasureApproved(ground=ASKED, asked_by=ROSA, approved_by=MAX, reason="Checked")
erased = CustomerPersonalDataErased(ground=ASKED, opportunities=(), tickets=(), organisations=(), keys=1, entries=4)
held = CustomerLegalHoldPlaced(matter="Case 12")

request = RequestCustomerErasure(id=ID, ground=ASKED, reason="Letter of 3 March")
erase = EraseCustomerPersonalData(id=ID, reason="Checked")


class TestAskingForIt:
    def test_it_is_asked_for(self) -> None:
        given(registered).by(ROSA).when(request).then(requested)

    def test_asked_for_again_it_waits_already(self) -> None:
        given(registered, requested).by(MAX).when(request).then()

    def test_it_is_asked_for_an_archived_customer_too(self) -> None:
        given(registered, CustomerArchived(reason=None)).by(ROSA).when(request).then(requested)

    def test_it_is_taken_back(self) -> None:
        back = WithdrawCustomerErasureRequest(id=ID, reason="A mistake")
        withdrawn = CustomerErasureRequestWithdrawn(reason="A mistake")
        given(registered, requested).when(back).then(withdrawn)
        given(registered).when(back).then()
        given(registered, requested, withdrawn).by(MAX).when(erase).refused(ErasureNotRequested())
        given(registered, requested, withdrawn).by(ROSA).when(request).then(requested)

    def test_it_is_asked_for_on_nobody_else_s_behalf(self) -> None:
        given(registered).by(MAX).on_behalf().when(request).refused(InOwnName())

    def test_no_api_token_asks_for_it(self) -> None:
        given(registered).by(TOKEN).when(request).refused(AskedByAPerson())
        given(registered).by(TOKEN).on_behalf().when(request).refused(InOwnName(), AskedByAPerson())
        given(registered, requested).by(TOKEN).when(request).then()

    def test_what_a_token_once_asked_for_a_person_asks_for_again(self) -> None:
        asked = CustomerErasureRequested(ground=ASKED, asked_by=TOKEN, reason="x")
        given(registered, asked).by(ROSA).when(erase).refused(AskedByAPerson())
        given(registered, asked).by(TOKEN).when(request).refused(AskedByAPerson())
        given(registered, asked).by(ROSA).when(request).then(requested)
        given(registered, asked, requested).by(ROSA).when(erase).refused(ApprovedByAnother())
        given(registered, asked, requested).by(MAX).when(erase).then(approved)

    def test_until_it_is_approved_the_customer_lives_on(self) -> None:
        state = given(registered, requested).state
        assert customer.standing(state).active
        assert Claim("email", "ada@example.com") in customer.claims(state)
        assert len(customer.decide(state, AddCustomerNote(id=ID, note=NOTE, text="Called"), given().known)) == 1


class TestApproving:
    def test_another_person_approves_it(self) -> None:
        given(registered, requested).by(MAX).when(erase).then(approved)

    def test_whoever_asked_does_not(self) -> None:
        given(registered, requested).by(ROSA).when(erase).refused(ApprovedByAnother())

    def test_nobody_approves_it_on_another_s_behalf(self) -> None:
        given(registered, requested).by(MAX).on_behalf().when(erase).refused(InOwnName())

    def test_an_api_token_does_not(self) -> None:
        given(registered, requested).by(TOKEN).when(erase).refused(ApprovedByAPerson())

    def test_nobody_does_what_nobody_asked_for(self) -> None:
        given(registered).by(MAX).when(erase).refused(ErasureNotRequested())

    def test_a_legal_hold_is_in_the_way(self) -> None:
        given(registered, held, requested).by(MAX).when(erase).refused(UnderLegalHold(holds=1))
        given(registered, requested, held).by(MAX).when(erase).refused(UnderLegalHold(holds=1))

    def test_once_the_hold_is_lifted_nothing_is(self) -> None:
        lifted = CustomerLegalHoldLifted(matter="Case 12")
        given(registered, held, requested, lifted).by(MAX).when(erase).then(approved)

    def test_every_rule_that_is_broken_is_named(self) -> None:
        asked = CustomerErasureRequested(ground=ASKED, asked_by=TOKEN, reason="x")
        broken = ApprovedByAPerson(), AskedByAPerson(), ApprovedByAnother(), UnderLegalHold(holds=1)
        given(registered, held, asked).by(TOKEN).when(erase).refused(*broken)


class TestHolding:
    def test_a_matter_holds_and_is_lifted_in_any_case(self) -> None:
        given(registered).when(PlaceCustomerLegalHold(id=ID, matter="Case 12")).then(held)
        given(registered, held).when(PlaceCustomerLegalHold(id=ID, matter="CASE 12")).then()
        lift = LiftCustomerLegalHold(id=ID, matter="case 12")
        given(registered, held).when(lift).then(CustomerLegalHoldLifted(matter="Case 12"))
        given(registered).when(lift).then()

    def test_there_is_an_end_to_matters(self) -> None:
        many = [CustomerLegalHoldPlaced(matter=f"Case {n}") for n in range(MOST_HOLDS)]
        full = TooManyItems(path=("matter",), count=MOST_HOLDS + 1, most=MOST_HOLDS)
        given(registered, *many).when(PlaceCustomerLegalHold(id=ID, matter="One more")).refused(full)


@pytest.mark.parametrize("after", [(approved,), (approved, erased)], ids=["approved", "erased"])
class TestAfterwards:
    @pytest.mark.parametrize(
        "command",
        [
            RenameCustomer(id=ID, name="Ada"),
            AddCustomerNote(id=ID, note=NOTE, text="Called"),
            ClassifyCustomer(id=ID, scheme="size", value="small"),
            UnmaskCustomer(id=ID, look=NOTE, reason="Curious"),
            ArchiveCustomer(id=ID),
            RestoreCustomer(id=ID),
            PlaceCustomerLegalHold(id=ID, matter="Too late"),
            request,
        ],
        ids=lambda command: type(command).__name__,
    )
    def test_the_customer_refuses(self, after: tuple[CustomerEvent, ...], command: CustomerCommand) -> None:
        given(registered, requested, *after).when(command).refused(CustomerErased())

    def test_approved_again_it_is_done_already(self, after: tuple[CustomerEvent, ...]) -> None:
        given(registered, requested, *after).by(MAX).when(erase).then()
        given(registered, requested, *after).by(ROSA).when(erase).then()

    def test_others_refer_to_it_no_more_and_its_claims_are_free(self, after: tuple[CustomerEvent, ...]) -> None:
        state = given(registered, requested, *after).state
        assert not customer.standing(state).active
        assert customer.claims(state) == frozenset()


def test_the_rules_remember_nothing_personal_however_they_read_it() -> None:
    """Also a process that had folded the customer while its key was there."""
    history: list[CustomerEvent] = [
        registered,
        CustomerTagAdded(tag="vip"),
        CustomerDetailsChanged(
            changes={"employees": Change(None, 3)}, personal_changes={"job_title": Change(None, "?")}
        ),
        CustomerConsentGranted(
            purpose="news", channel=ConsentChannel.EMAIL, basis=ConsentBasis.CONSENT, text_version="1", proof="Form 7"
        ),
        held,
        CustomerLegalHoldLifted(matter="Case 12"),
        requested,
        approved,
        erased,
    ]
    read_before = customer.fold(history)
    read_after = customer.fold([withhold(event, Withheld.ERASED) for event in history])
    assert read_before == read_after
    assert read_after.erasure is Erasure.ERASED
    assert read_after.details == {"language": "en", "employees": 3}
    assert isinstance(read_after, Customer)
    hold_laws(customer, history)
