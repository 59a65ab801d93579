"""Opportunity: stages of its pipeline, an amount that follows its lines, won with a customer and an amount."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import (
    AMOUNT,
    COMPANY_ID,
    Claim,
    ExternalId,
    Known,
    PipelineStage,
    Place,
    Reference,
    Standing,
    Withheld,
    out_of_range,
)
from domain.kernel.fields import NumberOutOfRange
from domain.opportunity import (
    AddOpportunityExternalId,
    AddOpportunityLine,
    AddOpportunityNote,
    AmountComesFromLines,
    AmountMissing,
    AmountNegative,
    AmountTooLarge,
    AssignOpportunityCustomer,
    ChangeOpportunityAmount,
    ChangeOpportunityLine,
    ChangeOpportunityPipeline,
    ChangeOpportunityStage,
    ClosedInFuture,
    CurrencyComesFromLines,
    CurrencyMissing,
    CurrencyNeedsAmount,
    CurrencyOfLinesMissing,
    CustomerMissing,
    CustomerNotActive,
    LineUnknown,
    LoseOpportunity,
    LossNoteMissing,
    LossReason,
    MoveOpportunityCloseDate,
    NewOpportunityLine,
    OpenOpportunity,
    Opportunity,
    OpportunityAmountChanged,
    OpportunityClosed,
    OpportunityCloseDateMoved,
    OpportunityCommand,
    OpportunityCustomerAssigned,
    OpportunityEvent,
    OpportunityExternalIdAdded,
    OpportunityExternalIdTaken,
    OpportunityLine,
    OpportunityLineAdded,
    OpportunityLineChanged,
    OpportunityLineRemoved,
    OpportunityLost,
    OpportunityNoteAdded,
    OpportunityOpened,
    OpportunityPipelineChanged,
    OpportunityProbabilityOverridden,
    OpportunityReassigned,
    OpportunityRenamed,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityStatus,
    OpportunityWon,
    OverrideOpportunityProbability,
    PipelineNotActive,
    PriceNegative,
    ProductNotSold,
    ReassignOpportunity,
    RemoveOpportunityLine,
    RenameOpportunity,
    ReopenOpportunity,
    StaffNotActive,
    StageNotOfPipeline,
    TeamNotActive,
    TooManyLines,
    TooManyOpportunityExternalIds,
    WinOpportunity,
    opportunity,
)
from tests.domain.scenario import NOW, Given, Scenario, lived

ID, CUSTOMER, ARCHIVED_CUSTOMER, OWNER, LEAVER, TEAM, OLD_TEAM = (UUID(int=n) for n in range(1, 8))
SALES, PARTNERS, ARCHIVED, BARE = (UUID(int=n) for n in range(10, 14))
PROSPECTING, ENGAGING, REFERRED, FIRST = (UUID(int=n) for n in range(20, 24))
PRODUCT, DISCONTINUED, LINE, LINE_2, NOTE = (UUID(int=n) for n in range(30, 35))
TODAY = NOW.date()


def stages(*probabilities: tuple[UUID, int]) -> tuple[PipelineStage, ...]:
    return tuple(PipelineStage(id=id, name=str(id.int), probability=Decimal(p)) for id, p in probabilities)


STANDINGS = {
    CUSTOMER: Standing(kind="customer"),
    ARCHIVED_CUSTOMER: Standing(kind="customer", active=False),
    OWNER: Standing(kind="staff_member"),
    LEAVER: Standing(kind="staff_member", active=False),
    TEAM: Standing(kind="team"),
    OLD_TEAM: Standing(kind="team", active=False),
    SALES: Standing(kind="pipeline", stages=stages((PROSPECTING, 10), (ENGAGING, 40)), currency="USD"),
    PARTNERS: Standing(kind="pipeline", stages=stages((REFERRED, 60))),
    ARCHIVED: Standing(kind="pipeline", stages=stages((FIRST, 5)), active=False),
    PRODUCT: Standing(kind="product"),
    DISCONTINUED: Standing(kind="product", active=False),
    COMPANY_ID: Standing(kind="company", currency="EUR", zone="Europe/Zurich"),
}
WITHOUT_COMPANY = {id: each for id, each in STANDINGS.items() if id != COMPANY_ID}
Scene: TypeAlias = Given[Opportunity, OpportunityCommand, OpportunityEvent]


def given(*history: OpportunityEvent) -> Scene:
    return Scenario(opportunity)(*history).knowing(STANDINGS)


def given_no_company(*history: OpportunityEvent) -> Scene:
    return Scenario(opportunity)(*history).knowing(WITHOUT_COMPANY)


opened = OpportunityOpened(
    title="500 licences",
    customer=CUSTOMER,
    pipeline=SALES,
    stage=PROSPECTING,
    probability=Decimal(10),
    amount=Decimal("1000.00"),
    currency="USD",
    expected_close=date(2026, 6, 30),
    source="fair",
    campaign="Spring",
    owner=OWNER,
    team=TEAM,
    lines=(),
    external_ids=(ExternalId(source="maven", id="1C1I7A6R"),),
)
bare = OpportunityOpened(
    title="Someone called",
    customer=None,
    pipeline=PARTNERS,
    stage=REFERRED,
    probability=Decimal(60),
    amount=None,
    currency=None,
    expected_close=None,
    source=None,
    campaign=None,
    owner=None,
    team=None,
    lines=(),
    external_ids=(),
)
won = OpportunityWon(
    customer=CUSTOMER,
    amount=Decimal("1000.00"),
    currency="USD",
    closed_on=TODAY,
    probability_before=Decimal(10),
)
lost = OpportunityLost(
    reason=LossReason.PRICE,
    competitor=None,
    note=None,
    closed_on=TODAY,
    amount=Decimal("1000.00"),
    currency="USD",
    probability_before=Decimal(10),
)
reopened = OpportunityReopened(
    was=OpportunityStatus.WON,
    closed_on=TODAY,
    reason="They called again",
    probability_before=Decimal(100),
    probability_after=Decimal(10),
)
overridden = OpportunityProbabilityOverridden(
    old=Decimal(10), new=Decimal(75), overridden=True, reason="The director likes us"
)


def decided(scene: Scene, command: OpportunityCommand) -> Sequence[OpportunityEvent]:
    """The events, for a closer look at one of them."""
    return opportunity.decide(scene.state, command, scene.known)


def line(id: UUID, quantity: str, price: str | None, total: str | None, discount: str = "0") -> OpportunityLine:
    return OpportunityLine(
        line=id,
        product=PRODUCT,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        discount=Decimal(discount),
        tax=Decimal("8.1"),
        total=None if total is None else Decimal(total),
    )


def add_line(id: UUID, quantity: str, price: str | None, discount: str = "0") -> AddOpportunityLine:
    return AddOpportunityLine(
        id=ID,
        line=id,
        product=PRODUCT,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        discount=Decimal(discount),
        tax=Decimal("8.1"),
    )


def line_added(added: OpportunityLine, old: str | None, new: str | None) -> OpportunityLineAdded:
    return OpportunityLineAdded(
        added=added,
        old_amount=None if old is None else Decimal(old),
        new_amount=None if new is None else Decimal(new),
        currency="USD",
    )


one_line = line_added(line(LINE, "3", "100.00", "270.00", "10"), "1000.00", "270.00")
unpriced_line = line_added(line(LINE_2, "1", None, None), "270.00", None)


# Opening


def test_a_deal_is_opened_in_a_stage_of_its_pipeline() -> None:
    command = OpenOpportunity(
        id=ID,
        title="500 licences",
        customer=CUSTOMER,
        pipeline=SALES,
        stage=PROSPECTING,
        amount=Decimal(1000),
        currency="USD",
        expected_close=date(2026, 6, 30),
        source="fair",
        campaign="Spring",
        owner=OWNER,
        team=TEAM,
        external_ids=(ExternalId(source="maven", id="1C1I7A6R"),) * 2,
    )
    given().when(command).then(opened)


def test_a_deal_needs_no_more_than_a_title_and_a_pipeline() -> None:
    command = OpenOpportunity(id=ID, title="Someone called", pipeline=PARTNERS)
    given_no_company().when(command).then(bare)


def test_a_new_deal_is_its_owners_teams_where_no_team_is_named() -> None:
    in_team = {OWNER: Standing(kind="staff_member", team=OLD_TEAM), OLD_TEAM: Standing(kind="team")}
    command = OpenOpportunity(id=ID, title="Someone called", pipeline=PARTNERS, owner=OWNER)
    theirs = msgspec.structs.replace(bare, owner=OWNER, team=OLD_TEAM)
    given_no_company().knowing(in_team).when(command).then(theirs)
    named = msgspec.structs.replace(command, team=TEAM)
    given_no_company().knowing(in_team).when(named).then(msgspec.structs.replace(theirs, team=TEAM))
    archived = {OLD_TEAM: Standing(kind="team", active=False)}
    given_no_company().knowing(in_team | archived).when(command).then(msgspec.structs.replace(theirs, team=None))


@pytest.mark.parametrize(("pipeline", "currency"), [(SALES, "USD"), (PARTNERS, "EUR")])
def test_the_currency_is_the_pipelines_or_else_the_companys(pipeline: UUID, currency: str) -> None:
    (event,) = decided(given(), OpenOpportunity(id=ID, title="x", pipeline=pipeline, amount=Decimal(5)))
    assert isinstance(event, OpportunityOpened)
    assert event.currency == currency


def test_an_amount_without_any_currency_is_refused() -> None:
    command = OpenOpportunity(id=ID, title="x", pipeline=PARTNERS, amount=Decimal(5))
    given_no_company().when(command).refused(CurrencyMissing(path=("currency",)))
    priceless = OpenOpportunity(
        id=ID, title="x", pipeline=PARTNERS, lines=(NewOpportunityLine(line=LINE, product=PRODUCT),)
    )
    given_no_company().when(priceless).refused(CurrencyMissing(path=("currency",)))


def test_a_deal_opened_with_lines_is_worth_their_sum() -> None:
    lines = (
        NewOpportunityLine(line=LINE, product=PRODUCT, quantity=Decimal(3), price=Decimal(100), discount=Decimal(10)),
        NewOpportunityLine(line=LINE_2, product=PRODUCT, price=Decimal("0.125")),
    )
    (event,) = decided(given(), OpenOpportunity(id=ID, title="x", pipeline=SALES, lines=lines))
    assert isinstance(event, OpportunityOpened)
    assert [each.total for each in event.lines] == [Decimal("270.00"), Decimal("0.12")]
    assert event.amount == Decimal("270.12")


def test_opening_names_every_rule_broken() -> None:
    command = OpenOpportunity(
        id=ID,
        title="x",
        customer=ARCHIVED_CUSTOMER,
        pipeline=ARCHIVED,
        stage=ENGAGING,
        amount=Decimal(-1),
        owner=LEAVER,
        team=OLD_TEAM,
        lines=(
            NewOpportunityLine(line=LINE, product=DISCONTINUED),
            NewOpportunityLine(line=LINE_2, product=PRODUCT, price=Decimal(-1)),
        ),
    )
    given_no_company().when(command).refused(
        CustomerNotActive(path=("customer",)),
        PipelineNotActive(path=("pipeline",)),
        StageNotOfPipeline(path=("stage",)),
        StaffNotActive(path=("owner",)),
        TeamNotActive(path=("team",)),
        CurrencyMissing(path=("currency",)),
        AmountComesFromLines(path=("amount",)),
        AmountNegative(path=("amount",)),
        ProductNotSold(path=("lines", 0, "product")),
        PriceNegative(path=("lines", 1, "price")),
    )


# Titles, customers, people, dates


def test_a_deal_is_renamed() -> None:
    given(opened).when(RenameOpportunity(id=ID, title="Renewal")).then(
        OpportunityRenamed(old="500 licences", new="Renewal")
    )
    given(opened).when(RenameOpportunity(id=ID, title="500 licences")).then()


def test_an_erased_title_can_be_replaced() -> None:
    erased = msgspec.structs.replace(opened, title=Withheld.ERASED)
    given(erased).when(RenameOpportunity(id=ID, title="Deal")).then(OpportunityRenamed(old=Withheld.ERASED, new="Deal"))


def test_a_customer_is_assigned_and_withdrawn_while_the_deal_is_open() -> None:
    assigned = OpportunityCustomerAssigned(old=None, new=CUSTOMER)
    given(bare).when(AssignOpportunityCustomer(id=ID, customer=CUSTOMER)).then(assigned)
    given(bare, assigned).when(AssignOpportunityCustomer(id=ID, customer=None)).then(
        OpportunityCustomerAssigned(old=CUSTOMER, new=None)
    )
    given(bare).when(AssignOpportunityCustomer(id=ID, customer=ARCHIVED_CUSTOMER)).refused(
        CustomerNotActive(path=("customer",))
    )


def test_the_customer_is_the_subject() -> None:
    assert opportunity.subject(given(bare).state) is None
    assert opportunity.subject(given(opened).state) == CUSTOMER


def test_a_deal_is_reassigned_and_what_is_left_out_stays() -> None:
    given(bare).when(ReassignOpportunity(id=ID, owner=OWNER)).then(
        OpportunityReassigned(old_owner=None, new_owner=OWNER, old_team=None, new_team=None)
    )
    given(opened).when(ReassignOpportunity(id=ID, owner=None)).then(
        OpportunityReassigned(old_owner=OWNER, new_owner=None, old_team=TEAM, new_team=TEAM)
    )
    given(opened).when(ReassignOpportunity(id=ID, owner=OWNER, team=TEAM)).then()
    given(opened).when(ReassignOpportunity(id=ID, owner=LEAVER, team=OLD_TEAM)).refused(
        StaffNotActive(path=("owner",)), TeamNotActive(path=("team",))
    )


def test_the_close_date_moves() -> None:
    moved = OpportunityCloseDateMoved(old=date(2026, 6, 30), new=None)
    given(opened).when(MoveOpportunityCloseDate(id=ID, expected_close=None)).then(moved)
    given(opened).when(MoveOpportunityCloseDate(id=ID, expected_close=date(2026, 6, 30))).then()


# Stages and probability


def test_a_deal_moves_to_another_stage() -> None:
    given(opened).when(ChangeOpportunityStage(id=ID, stage=ENGAGING)).then(
        OpportunityStageChanged(
            from_stage=PROSPECTING,
            to_stage=ENGAGING,
            stage_probability=Decimal(40),
            probability_before=Decimal(10),
            probability_after=Decimal(40),
        )
    )
    given(opened).when(ChangeOpportunityStage(id=ID, stage=PROSPECTING)).then()


def test_an_overridden_probability_outlasts_a_stage() -> None:
    moved = OpportunityStageChanged(
        from_stage=PROSPECTING,
        to_stage=ENGAGING,
        stage_probability=Decimal(40),
        probability_before=Decimal(75),
        probability_after=Decimal(75),
    )
    given(opened, overridden).when(ChangeOpportunityStage(id=ID, stage=ENGAGING)).then(moved)
    back = OverrideOpportunityProbability(id=ID, probability=None, reason="I was wrong")
    given(opened, overridden, moved).when(back).then(
        OpportunityProbabilityOverridden(old=Decimal(75), new=Decimal(40), overridden=False, reason="I was wrong")
    )


def test_a_stage_is_an_active_one_of_the_deals_pipeline() -> None:
    given(opened).when(ChangeOpportunityStage(id=ID, stage=REFERRED)).refused(StageNotOfPipeline(path=("stage",)))


def test_a_deal_in_an_archived_pipeline_still_moves_on() -> None:
    archived = {SALES: msgspec.structs.replace(STANDINGS[SALES], active=False)}
    (event,) = decided(given(opened).knowing(archived), ChangeOpportunityStage(id=ID, stage=ENGAGING))
    assert isinstance(event, OpportunityStageChanged)


def test_a_deal_moves_to_another_pipeline() -> None:
    moved = OpportunityPipelineChanged(
        from_pipeline=SALES,
        to_pipeline=PARTNERS,
        from_stage=PROSPECTING,
        to_stage=REFERRED,
        stage_probability=Decimal(60),
        probability_before=Decimal(10),
        probability_after=Decimal(60),
    )
    given(opened).when(ChangeOpportunityPipeline(id=ID, pipeline=PARTNERS, stage=REFERRED)).then(moved)
    given(opened).when(ChangeOpportunityPipeline(id=ID, pipeline=PARTNERS)).then(moved)
    assert given(opened, moved).state.probability == 60


def test_changing_to_the_same_pipeline_changes_the_stage_at_most() -> None:
    given(opened).when(ChangeOpportunityPipeline(id=ID, pipeline=SALES)).then()
    (event,) = decided(given(opened), ChangeOpportunityPipeline(id=ID, pipeline=SALES, stage=ENGAGING))
    assert isinstance(event, OpportunityStageChanged)


def test_an_archived_pipeline_takes_no_more_deals() -> None:
    given(opened).when(ChangeOpportunityPipeline(id=ID, pipeline=ARCHIVED)).refused(
        PipelineNotActive(path=("pipeline",))
    )
    given(opened).when(ChangeOpportunityPipeline(id=ID, pipeline=ARCHIVED, stage=ENGAGING)).refused(
        PipelineNotActive(path=("pipeline",)), StageNotOfPipeline(path=("stage",))
    )


def test_a_probability_is_overridden_with_a_reason() -> None:
    command = OverrideOpportunityProbability(id=ID, probability=Decimal(75), reason="The director likes us")
    given(opened).when(command).then(overridden)
    given(opened, overridden).when(command).then()
    for history, probability in (((opened, overridden), 75), ((opened, overridden, won, reopened), 10)):
        again = OverrideOpportunityProbability(id=ID, probability=Decimal(75), reason="She said so again")
        why = OpportunityProbabilityOverridden(
            old=Decimal(probability), new=Decimal(75), overridden=True, reason="She said so again"
        )
        given(*history).when(again).then(why)
    nothing = OverrideOpportunityProbability(id=ID, probability=None, reason="Nothing to return from")
    given(opened).when(nothing).then()


# Amount and lines


def test_an_amount_changes_in_the_deals_currency() -> None:
    given(opened).when(ChangeOpportunityAmount(id=ID, amount=Decimal("1500.005"))).then(
        OpportunityAmountChanged(
            old_amount=Decimal("1000.00"), old_currency="USD", new_amount=Decimal("1500.00"), new_currency="USD"
        )
    )
    given(opened).when(ChangeOpportunityAmount(id=ID, amount=Decimal(1000))).then()


def test_the_currency_changes_with_the_amount() -> None:
    given(opened).when(ChangeOpportunityAmount(id=ID, amount=Decimal(150_000), currency="JPY")).then(
        OpportunityAmountChanged(
            old_amount=Decimal("1000.00"), old_currency="USD", new_amount=Decimal(150_000), new_currency="JPY"
        )
    )


def test_an_amount_becomes_unknown() -> None:
    given(opened).when(ChangeOpportunityAmount(id=ID, amount=None)).then(
        OpportunityAmountChanged(old_amount=Decimal("1000.00"), old_currency="USD", new_amount=None, new_currency="USD")
    )
    given(bare).when(ChangeOpportunityAmount(id=ID, amount=None)).then()


def test_a_first_amount_takes_the_companys_currency() -> None:
    command = ChangeOpportunityAmount(id=ID, amount=Decimal(7))
    given(bare).when(command).then(
        OpportunityAmountChanged(old_amount=None, old_currency=None, new_amount=Decimal("7.00"), new_currency="EUR")
    )
    given_no_company(bare).when(command).refused(CurrencyMissing(path=("currency",)))


def test_a_currency_counts_only_where_there_is_an_amount_or_a_line() -> None:
    in_yen = msgspec.structs.replace(opened, amount=None, currency="JPY")  # as it was entered once
    first = ChangeOpportunityAmount(id=ID, amount=Decimal("12.50"))
    in_dollars = OpportunityAmountChanged(
        old_amount=None, old_currency=None, new_amount=Decimal("12.50"), new_currency="USD"
    )
    given(in_yen).when(first).then(in_dollars)
    given(in_yen).when(WinOpportunity(id=ID, amount=Decimal("12.50"))).then(
        in_dollars, msgspec.structs.replace(won, amount=Decimal("12.50"))
    )
    (added,) = decided(given(in_yen), add_line(LINE, "1", "0.25"))
    assert isinstance(added, OpportunityLineAdded)
    assert (added.currency, added.new_amount) == ("USD", Decimal("0.25"))
    given(in_yen).when(ChangeOpportunityAmount(id=ID, amount=None, currency="CHF")).then()


def test_the_currency_goes_with_the_amount_and_with_the_last_line() -> None:
    in_francs = msgspec.structs.replace(opened, currency="CHF")
    unknown = OpportunityAmountChanged(
        old_amount=Decimal("1000.00"), old_currency="CHF", new_amount=None, new_currency="CHF"
    )
    given(in_francs).when(ChangeOpportunityAmount(id=ID, amount=None)).then(unknown)
    again = ChangeOpportunityAmount(id=ID, amount=Decimal(1000))
    given(in_francs, unknown).when(again).then(
        OpportunityAmountChanged(old_amount=None, old_currency=None, new_amount=Decimal("1000.00"), new_currency="USD")
    )
    only = msgspec.structs.replace(in_francs, lines=(line(LINE, "1", None, None),), amount=None)
    assert given(only).state.currency == "CHF"
    removed = OpportunityLineRemoved(
        removed=line(LINE, "1", None, None), old_amount=None, new_amount=None, currency="CHF"
    )
    given(only, removed).when(again).then(
        OpportunityAmountChanged(old_amount=None, old_currency=None, new_amount=Decimal("1000.00"), new_currency="USD")
    )


@pytest.mark.parametrize("named", [None, "JPY"])
def test_a_deal_without_amount_is_opened_without_currency(named: str | None) -> None:
    (event,) = decided(given(), OpenOpportunity(id=ID, title="x", pipeline=SALES, currency=named))
    assert isinstance(event, OpportunityOpened)
    assert event.currency is None


def test_an_amount_lies_within_bounds() -> None:
    given(opened).when(ChangeOpportunityAmount(id=ID, amount=Decimal("-0.01"))).refused(
        AmountNegative(path=("amount",))
    )
    given(opened).when(ChangeOpportunityAmount(id=ID, amount=Decimal(10) ** 12)).refused(
        AmountTooLarge(path=("amount",), most="999999999999.999")
    )
    rounded_up = ChangeOpportunityAmount(id=ID, amount=Decimal("999999999999.999"))
    given(opened).when(rounded_up).refused(AmountTooLarge(path=("amount",), most="999999999999.999"))


def test_no_price_is_rounded_beyond_its_bounds() -> None:
    price = Decimal("999999999999.999")  # 1000000000000.00 in euros
    rule = NumberOutOfRange(path=("price",), least="0", most="999999999999.99")
    given(opened).when(
        AddOpportunityLine(id=ID, line=LINE, product=PRODUCT, price=price, discount=Decimal(100))
    ).refused(rule)
    given(opened, one_line).when(ChangeOpportunityLine(id=ID, line=LINE, price=price, discount=Decimal(100))).refused(
        rule
    )
    new = NewOpportunityLine(line=LINE, product=PRODUCT, price=price, discount=Decimal(100))
    given().when(OpenOpportunity(id=ID, title="Tills", pipeline=SALES, currency="EUR", lines=(new,))).refused(
        NumberOutOfRange(path=("lines", 0, "price"), least=rule.least, most=rule.most)
    )
    (in_dinars,) = decided(given(), OpenOpportunity(id=ID, title="Tills", pipeline=SALES, currency="KWD", lines=(new,)))
    assert isinstance(in_dinars, OpportunityOpened), "three decimals: nothing is rounded"
    assert in_dinars.lines[0].price == price


def test_a_line_beyond_the_bounds_from_before_there_were_any_is_changed_but_grows_no_more() -> None:
    def changed(old: OpportunityLine, new: OpportunityLine, before: str, after: str) -> OpportunityLineChanged:
        return OpportunityLineChanged(
            old=old, new=new, old_amount=Decimal(before), new_amount=Decimal(after), currency="USD"
        )

    def change(id: UUID, **terms: Decimal) -> ChangeOpportunityLine:
        return ChangeOpportunityLine(id=ID, line=id, **terms)

    beyond = "1000000000000.00"
    one, two = line(LINE, "1", beyond, beyond), line(LINE_2, "1", beyond, beyond)
    book = given(opened, line_added(one, None, beyond), line_added(two, beyond, "2000000000000.00"))
    halved = changed(one, line(LINE, "1", beyond, "500000000000.00", "50"), "2000000000000.00", "1500000000000.00")
    book.when(change(LINE, discount=Decimal(50))).then(halved)
    cheap = changed(one, line(LINE, "1", "5.00", "5.00"), "2000000000000.00", "1000000000005.00")
    book.when(change(LINE, price=Decimal(5))).then(cheap)
    taxed = msgspec.structs.replace(one, tax=Decimal(7))
    book.when(change(LINE, tax=Decimal(7))).then(changed(one, taxed, "2000000000000.00", "2000000000000.00"))
    book.when(change(LINE, quantity=Decimal(2))).refused(AmountTooLarge(path=("price",), most="999999999999.999"))
    book.when(change(LINE, price=Decimal("999999999999.998"))).refused(
        NumberOutOfRange(path=("price",), least="0", most="999999999999.99")
    )


def test_a_line_whose_price_was_once_rounded_beyond_its_bounds_still_changes() -> None:
    free = msgspec.structs.replace(line(LINE, "1", "1000000000000.00", "0.00", "100"), tax=Decimal(0))
    entered = line_added(free, "1000.00", "0.00")
    more = msgspec.structs.replace(free, quantity=Decimal(2))
    given(opened, entered).when(ChangeOpportunityLine(id=ID, line=LINE, quantity=Decimal(2))).then(
        OpportunityLineChanged(old=free, new=more, old_amount=Decimal(0), new_amount=Decimal(0), currency="USD")
    )


def test_what_is_said_of_a_price_beyond_its_bounds_can_be_done() -> None:
    for currency, most in (("EUR", "999999999999.99"), ("JPY", "999999999999"), ("KWD", "999999999999.999")):
        assert out_of_range(Decimal(most), currency, ()) is None
        beyond = out_of_range(AMOUNT.most + Decimal("0.001"), currency, ())
        assert beyond == NumberOutOfRange(least="0", most=most)


def test_an_amount_that_would_be_rounded_to_nothing_is_negative_all_the_same() -> None:
    negative = AmountNegative(path=("amount",))
    in_yen = msgspec.structs.replace(opened, currency="JPY")
    given(in_yen).when(ChangeOpportunityAmount(id=ID, amount=Decimal("-0.4"))).refused(negative)
    given(in_yen).when(WinOpportunity(id=ID, amount=Decimal("-0.4"))).refused(negative)
    tiny = OpenOpportunity(id=ID, title="x", pipeline=SALES, amount=Decimal("-0.001"))
    given().when(tiny).refused(negative)


def test_a_line_makes_the_amount() -> None:
    given(opened).when(add_line(LINE, "3", "100", "10")).then(one_line)


def test_a_deal_is_worth_nothing_known_while_a_line_is_unpriced() -> None:
    given(opened, one_line).when(add_line(LINE_2, "1", None)).then(unpriced_line)
    priced = OpportunityLineChanged(
        old=line(LINE_2, "1", None, None),
        new=line(LINE_2, "1", "30.00", "30.00"),
        old_amount=None,
        new_amount=Decimal("300.00"),
        currency="USD",
    )
    command = ChangeOpportunityLine(id=ID, line=LINE_2, price=Decimal(30))
    given(opened, one_line, unpriced_line).when(command).then(priced)


def test_a_line_changes_what_is_named_and_keeps_the_rest() -> None:
    event = OpportunityLineChanged(
        old=line(LINE, "3", "100.00", "270.00", "10"),
        new=line(LINE, "5", "100.00", "500.00"),
        old_amount=Decimal("270.00"),
        new_amount=Decimal("500.00"),
        currency="USD",
    )
    command = ChangeOpportunityLine(id=ID, line=LINE, quantity=Decimal(5), discount=Decimal(0))
    given(opened, one_line).when(command).then(event)
    given(opened, one_line).when(ChangeOpportunityLine(id=ID, line=LINE)).then()


def test_without_its_last_line_a_deal_has_no_amount() -> None:
    removed = OpportunityLineRemoved(
        removed=line(LINE, "3", "100.00", "270.00", "10"), old_amount=Decimal("270.00"), new_amount=None, currency="USD"
    )
    given(opened, one_line).when(RemoveOpportunityLine(id=ID, line=LINE)).then(removed)
    given(opened, one_line, removed).when(add_line(LINE, "3", "100", "10")).then()
    given(opened, one_line, removed).when(ChangeOpportunityLine(id=ID, line=LINE)).refused(LineUnknown(path=("line",)))


def test_a_total_is_exact_before_its_one_rounding() -> None:
    command = add_line(LINE, "999999999.9999", "999.99", "0.0001")
    (event,) = decided(given(opened), command)
    assert isinstance(event, OpportunityLineAdded)
    assert event.added.total == Decimal("999989000009.90")


def test_lines_know_their_limits() -> None:
    given(opened).when(ChangeOpportunityLine(id=ID, line=LINE)).refused(LineUnknown(path=("line",)))
    given(opened).when(RemoveOpportunityLine(id=ID, line=LINE)).refused(LineUnknown(path=("line",)))
    given(opened, one_line).when(ChangeOpportunityLine(id=ID, line=LINE, price=Decimal(-1))).refused(
        PriceNegative(path=("price",))
    )
    given(opened).when(add_line(LINE, "1000000000", "100000")).refused(
        AmountTooLarge(path=("price",), most="999999999999.999")
    )
    command = AddOpportunityLine(id=ID, line=LINE, product=DISCONTINUED, price=Decimal(-1))
    given_no_company(bare).when(command).refused(
        ProductNotSold(path=("product",)), PriceNegative(path=("price",)), CurrencyOfLinesMissing()
    )
    given_no_company(bare).when(add_line(LINE, "1", "100")).refused(CurrencyOfLinesMissing())
    (in_francs,) = opportunity.decide(
        given_no_company(bare).state, ChangeOpportunityAmount(id=ID, amount=Decimal(1), currency="CHF"), Known(now=NOW)
    )
    (added,) = decided(given_no_company(bare, in_francs), add_line(LINE, "1", "100"))
    assert isinstance(added, OpportunityLineAdded)
    assert (added.currency, added.new_amount) == ("CHF", Decimal("100.00"))


def test_a_deal_has_two_hundred_lines_at_most() -> None:
    many = tuple(line(UUID(int=1000 + n), "1", "1.00", "1.00") for n in range(200))
    full = msgspec.structs.replace(opened, lines=many, amount=Decimal("200.00"))
    given(full).when(add_line(LINE, "1", "1")).refused(TooManyLines(most=200))


def test_an_amount_that_comes_from_lines_does_not_change_by_itself() -> None:
    with_lines = given(opened, one_line)
    with_lines.when(ChangeOpportunityAmount(id=ID, amount=Decimal(1))).refused(AmountComesFromLines(path=("amount",)))
    with_lines.when(WinOpportunity(id=ID, amount=Decimal(1))).refused(AmountComesFromLines(path=("amount",)))
    (event,) = decided(with_lines, WinOpportunity(id=ID, amount=Decimal(270)))
    assert isinstance(event, OpportunityWon)


def test_setting_the_amount_of_the_lines_changes_nothing() -> None:
    same = ChangeOpportunityAmount(id=ID, amount=Decimal("270.001"), currency="USD")
    given(opened, one_line).when(same).then()
    given(opened, one_line, unpriced_line).when(ChangeOpportunityAmount(id=ID, amount=None)).then()


def test_whoever_asks_for_another_currency_than_the_lines_is_told_what_can_be_done() -> None:
    of_lines = CurrencyComesFromLines(path=("currency",))  # which one is said to whoever sees amounts alone
    with_lines, unpriced = given(opened, one_line), given(opened, one_line, unpriced_line)
    with_lines.when(ChangeOpportunityAmount(id=ID, amount=Decimal(270), currency="CHF")).refused(of_lines)
    with_lines.when(WinOpportunity(id=ID, currency="CHF")).refused(of_lines)
    with_lines.when(WinOpportunity(id=ID, amount=Decimal(1), currency="CHF")).refused(
        AmountComesFromLines(path=("amount",)), of_lines
    )
    missing = AmountMissing(path=("amount",))
    unpriced.when(WinOpportunity(id=ID, currency="CHF")).refused(missing, of_lines)
    unpriced.when(WinOpportunity(id=ID, currency="USD")).refused(missing)
    unpriced.when(WinOpportunity(id=ID, amount=Decimal(5))).refused(AmountComesFromLines(path=("amount",)))


def test_what_is_said_of_another_currency_can_be_done() -> None:
    def removed(line: OpportunityLine, old: str | None, new: str | None) -> OpportunityLineRemoved:
        old_amount, new_amount = (None if one is None else Decimal(one) for one in (old, new))
        return OpportunityLineRemoved(removed=line, old_amount=old_amount, new_amount=new_amount, currency="USD")

    emptied = (opened, one_line, removed(one_line.added, "270.00", None))
    in_francs = OpportunityAmountChanged(
        old_amount=None, old_currency=None, new_amount=Decimal("1.00"), new_currency="CHF"
    )
    given(*emptied).when(ChangeOpportunityAmount(id=ID, amount=Decimal(1), currency="CHF")).then(in_francs)
    (added,) = decided(given(*emptied, in_francs), add_line(LINE_2, "3", "100", "10"))
    assert isinstance(added, OpportunityLineAdded)
    assert (added.currency, added.new_amount) == ("CHF", Decimal("270.00"))


# Winning, losing, reopening


def test_a_deal_is_won_today_or_on_an_earlier_day() -> None:
    given(opened).when(WinOpportunity(id=ID)).then(won)
    in_2017 = msgspec.structs.replace(won, closed_on=date(2017, 3, 1))
    given(opened).when(WinOpportunity(id=ID, closed_on=date(2017, 3, 1))).then(in_2017)
    assert given(opened, won).state.probability == 100


def test_a_deal_is_not_closed_in_the_future() -> None:
    tomorrow, rule = TODAY + timedelta(days=1), ClosedInFuture(path=("closed_on",), today=TODAY)
    given(opened).when(WinOpportunity(id=ID, closed_on=tomorrow)).refused(rule)
    given(opened).when(LoseOpportunity(id=ID, reason=LossReason.FIT, closed_on=tomorrow)).refused(rule)


def test_today_is_the_companys_today() -> None:
    in_kiritimati = {COMPANY_ID: Standing(kind="company", zone="Pacific/Kiritimati")}
    tomorrow = TODAY + timedelta(days=1)
    late = Known(now=NOW.replace(hour=23), standings={**STANDINGS, **in_kiritimati})
    Given(opportunity, (opened,), late).when(WinOpportunity(id=ID)).then(
        msgspec.structs.replace(won, closed_on=tomorrow)
    )


def test_a_deal_is_won_with_a_customer_and_an_amount() -> None:
    given(bare).when(WinOpportunity(id=ID)).refused(CustomerMissing(), AmountMissing(path=("amount",)))
    given(bare).when(WinOpportunity(id=ID, amount=Decimal(-5))).refused(
        CustomerMissing(), AmountNegative(path=("amount",))
    )
    given_no_company(bare).when(WinOpportunity(id=ID, amount=Decimal(5))).refused(
        CustomerMissing(), CurrencyMissing(path=("currency",))
    )
    given(opened, one_line, unpriced_line).when(WinOpportunity(id=ID)).refused(AmountMissing(path=("amount",)))


def test_a_deal_is_won_at_another_amount() -> None:
    changed = OpportunityAmountChanged(
        old_amount=Decimal("1000.00"), old_currency="USD", new_amount=Decimal("900.00"), new_currency="CHF"
    )
    won_lower = msgspec.structs.replace(won, amount=Decimal("900.00"), currency="CHF")
    given(opened).when(WinOpportunity(id=ID, amount=Decimal(900), currency="CHF")).then(changed, won_lower)
    given(opened).when(WinOpportunity(id=ID, currency="CHF")).refused(CurrencyNeedsAmount(path=("currency",)))


def test_a_deal_is_lost_with_a_reason() -> None:
    given(opened).when(LoseOpportunity(id=ID, reason=LossReason.PRICE)).then(lost)
    assert given(opened, lost).state.probability == 0


def test_a_deal_without_customer_and_amount_can_be_lost() -> None:
    told = OpportunityLost(
        reason=LossReason.COMPETITOR,
        competitor="Acme",
        note="Cheaper by half",
        closed_on=date(2017, 12, 31),
        amount=None,
        currency=None,
        probability_before=Decimal(60),
    )
    command = LoseOpportunity(
        id=ID,
        reason=LossReason.COMPETITOR,
        competitor="Acme",
        note="Cheaper by half",
        closed_on=date(2017, 12, 31),
    )
    given(bare).when(command).then(told)


def test_another_reason_needs_a_note() -> None:
    given(opened).when(LoseOpportunity(id=ID, reason=LossReason.OTHER)).refused(LossNoteMissing(path=("note",)))


def test_a_closed_deal_is_reopened_with_its_stages_probability() -> None:
    reopen = ReopenOpportunity(id=ID, reason="They called again")
    given(opened, won).when(reopen).then(reopened)
    given(opened, lost).when(reopen).then(
        msgspec.structs.replace(reopened, was=OpportunityStatus.LOST, probability_before=Decimal(0))
    )
    given(opened, overridden, won).when(reopen).then(reopened)
    given(opened).when(reopen).then()
    assert given(opened, overridden, won, reopened).state.probability == 10


def test_a_reopened_deal_is_closed_again() -> None:
    given(opened, won, reopened).when(LoseOpportunity(id=ID, reason=LossReason.PRICE)).then(lost)


CHANGES: Sequence[OpportunityCommand] = (
    RenameOpportunity(id=ID, title="x"),
    AssignOpportunityCustomer(id=ID, customer=None),
    ChangeOpportunityStage(id=ID, stage=ENGAGING),
    ChangeOpportunityPipeline(id=ID, pipeline=PARTNERS),
    ChangeOpportunityAmount(id=ID, amount=Decimal(1)),
    MoveOpportunityCloseDate(id=ID, expected_close=None),
    OverrideOpportunityProbability(id=ID, probability=Decimal(1), reason="x"),
    add_line(LINE, "1", "1"),
    ChangeOpportunityLine(id=ID, line=LINE),
    RemoveOpportunityLine(id=ID, line=LINE),
    ReassignOpportunity(id=ID, owner=None),
    WinOpportunity(id=ID, closed_on=date(2017, 1, 1)),
    LoseOpportunity(id=ID, reason=LossReason.TIMING),
)


@pytest.mark.parametrize("command", CHANGES, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("closing", [won, lost], ids=["won", "lost"])
def test_a_closed_deal_changes_only_by_reopening(closing: OpportunityEvent, command: OpportunityCommand) -> None:
    closed = given(opened, closing)
    closed.when(command).refused(OpportunityClosed(status=closed.state.status))


# Notes and external ids


@pytest.mark.parametrize("history", [(opened,), (opened, won), (opened, lost)])
def test_notes_and_external_ids_are_welcome_at_any_time(history: tuple[OpportunityEvent, ...]) -> None:
    given(*history).when(AddOpportunityNote(id=ID, note=NOTE, text="Called")).then(
        OpportunityNoteAdded(note=NOTE, text="Called")
    )
    erp = OpportunityExternalIdAdded(external_id=ExternalId(source="erp", id="7"))
    given(*history).when(AddOpportunityExternalId(id=ID, source="erp", external_id="7")).then(erp)


def test_external_ids_are_added_once_and_up_to_a_limit() -> None:
    given(opened).when(AddOpportunityExternalId(id=ID, source="maven", external_id="1C1I7A6R")).then()
    full = [OpportunityExternalIdAdded(external_id=ExternalId(source="erp", id=str(n))) for n in range(19)]
    given(opened, *full).when(AddOpportunityExternalId(id=ID, source="erp", external_id="x")).refused(
        TooManyOpportunityExternalIds(path=("external_id",), most=20),
    )


def test_external_ids_are_claimed() -> None:
    claim = Claim("opportunity_external_id", "maven:1C1I7A6R")
    assert opportunity.claims(given(opened, won).state) == {claim}
    known_as = (ExternalId(source="erp", id="7"), ExternalId(source="maven", id="1C1I7A6R"))
    opening = OpenOpportunity(id=ID, title="x", pipeline=SALES, external_ids=known_as)
    adding = AddOpportunityExternalId(id=ID, source="maven", external_id="x")
    assert opportunity.taken(opening, claim) == OpportunityExternalIdTaken(path=("external_ids", 1, "id"))
    assert opportunity.taken(adding, claim) == OpportunityExternalIdTaken(path=("external_id",))


# What others see, what it asks


def test_others_see_whether_it_is_open() -> None:
    place = Place(owner=OWNER, team=TEAM)
    assert opportunity.standing(given(opened).state) == Standing(kind="opportunity", variety="open", place=place)
    settled = Standing(kind="opportunity", active=False, variety="won", place=place)
    assert opportunity.standing(given(opened, won).state) == settled


COMPANY = Reference("company", COMPANY_ID, ("currency",), optional=True)


@pytest.mark.parametrize(
    ("history", "command", "asked"),
    [
        ((), OpenOpportunity(id=ID, title="x", pipeline=SALES), [COMPANY]),
        ((), OpenOpportunity(id=ID, title="x", pipeline=SALES, currency="USD"), []),
        ((opened,), ChangeOpportunityStage(id=ID, stage=ENGAGING), [Reference("pipeline", SALES, ("stage",))]),
        ((opened,), ChangeOpportunityPipeline(id=ID, pipeline=SALES), [Reference("pipeline", SALES, ("stage",))]),
        ((opened,), ChangeOpportunityAmount(id=ID, amount=None), []),
        (
            (bare,),
            ChangeOpportunityAmount(id=ID, amount=None),
            [Reference("pipeline", PARTNERS, ("currency",)), COMPANY],
        ),
        ((bare,), add_line(LINE, "1", "1"), [Reference("pipeline", PARTNERS, ("currency",)), COMPANY]),
        ((opened,), WinOpportunity(id=ID), [COMPANY]),
        ((opened,), LoseOpportunity(id=ID, reason=LossReason.PRICE), [COMPANY]),
        ((opened,), RenameOpportunity(id=ID, title="x"), []),
    ],
)
def test_it_asks_for_what_its_rules_need(
    history: tuple[OpportunityEvent, ...], command: OpportunityCommand, asked: list[Reference]
) -> None:
    assert list(opportunity.consults(given(*history).state, command, Known(now=NOW))) == asked


# Laws

lines = st.sampled_from([UUID(int=n) for n in range(100, 106)])
percents = st.decimals(0, 100, places=2)
prices = st.none() | st.decimals(-10, 10_000, places=3)
quantities = st.decimals("0.0001", 1000, places=4)
currencies = st.sampled_from([None, "USD", "JPY", "KWD"])
pipelines = st.sampled_from([SALES, PARTNERS, ARCHIVED])
any_stage = st.sampled_from([PROSPECTING, ENGAGING, REFERRED, FIRST])
days = st.none() | st.dates(TODAY - timedelta(days=30), TODAY + timedelta(days=3))
people = st.sampled_from([None, OWNER, LEAVER])
texts = st.sampled_from(["a", "b"])


def build(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[OpportunityCommand]:
    return st.builds(kind, id=st.just(ID), **fields)


later: st.SearchStrategy[OpportunityCommand] = st.one_of(
    build(RenameOpportunity, title=texts),
    build(AssignOpportunityCustomer, customer=st.sampled_from([None, CUSTOMER, ARCHIVED_CUSTOMER])),
    build(ChangeOpportunityStage, stage=any_stage),
    build(ChangeOpportunityPipeline, pipeline=pipelines, stage=st.none() | any_stage),
    build(ChangeOpportunityAmount, amount=prices, currency=currencies),
    build(MoveOpportunityCloseDate, expected_close=days),
    build(OverrideOpportunityProbability, probability=st.none() | percents, reason=texts),
    build(
        AddOpportunityLine,
        line=lines,
        product=st.sampled_from([PRODUCT, DISCONTINUED]),
        quantity=quantities,
        price=prices,
        discount=percents,
    ),
    build(ChangeOpportunityLine, line=lines, quantity=quantities, price=prices, discount=percents),
    build(RemoveOpportunityLine, line=lines),
    build(ReassignOpportunity, owner=people),
    build(WinOpportunity, closed_on=days, amount=prices, currency=currencies),
    build(LoseOpportunity, reason=st.sampled_from(LossReason), note=st.none() | texts, closed_on=days),
    build(ReopenOpportunity, reason=texts),
    build(AddOpportunityNote, note=lines, text=texts),
    build(AddOpportunityExternalId, source=texts, external_id=texts),
)
openings = st.builds(
    OpenOpportunity,
    id=st.just(ID),
    title=texts,
    pipeline=pipelines,
    customer=st.sampled_from([None, CUSTOMER]),
    amount=prices,
    currency=currencies,
)


@for_all(openings, st.lists(later, max_size=25))
def test_whatever_happens_amount_probability_and_closing_hold(
    opening: OpenOpportunity, commands: list[OpportunityCommand]
) -> None:
    assume(lived(opportunity, [opening], given().known))
    events = lived(opportunity, [opening, *commands], given().known)
    state = opportunity.initial
    for event in events:
        before, state = state, opportunity.evolve(state, event)
        hold_amount(event, state)
        hold_probability(event, before.probability, state.probability)
        hold_closing(state)


def hold_amount(event: OpportunityEvent, state: Opportunity) -> None:
    totals = [line.total for line in state.lines.values()]
    if totals:
        known = [total for total in totals if total is not None]
        assert state.amount == (sum(known) if len(known) == len(totals) else None)
    assert (state.currency is not None) == (state.amount is not None or bool(state.lines))
    assert state.amount is None or state.amount >= 0
    if isinstance(event, OpportunityLineAdded | OpportunityLineChanged | OpportunityLineRemoved):
        assert event.new_amount == state.amount


def hold_probability(event: OpportunityEvent, before: Decimal, after: Decimal) -> None:
    match event:
        case OpportunityOpened():
            assert event.probability == after
        case OpportunityStageChanged() | OpportunityPipelineChanged() | OpportunityReopened():
            assert (event.probability_before, event.probability_after) == (before, after)
        case OpportunityProbabilityOverridden():
            assert (event.old, event.new) == (before, after)
        case OpportunityWon():
            assert (event.probability_before, Decimal(100)) == (before, after)
        case OpportunityLost():
            assert (event.probability_before, Decimal(0)) == (before, after)
        case _:
            assert before == after


def hold_closing(state: Opportunity) -> None:
    assert (state.closed_on is None) == (state.status is OpportunityStatus.OPEN)
    if state.status is OpportunityStatus.WON:
        assert state.customer is not None
        assert state.amount is not None
