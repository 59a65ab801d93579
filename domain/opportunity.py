"""Opportunity: a deal that we hope to win. Open, then won or lost; a closed deal changes only by reopening it.

A deal stands in a stage of a pipeline, and keeps the probability that the stage had when it entered. Where it has
lines, its amount is the sum of their totals, and absent while one of them is unpriced.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, TypeAlias, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from domain.kernel import (
    AMOUNT,
    COMPANY_ID,
    LABEL,
    LINE,
    NAME,
    PERCENT,
    PROSE,
    QUANTITY,
    ChildId,
    Claim,
    Command,
    Currency,
    Decider,
    Derived,
    Doc,
    Event,
    Id,
    Items,
    Known,
    Path,
    Personal,
    PipelineStage,
    Reference,
    Rule,
    Seen,
    Standing,
    State,
    Text,
    Word,
    opened,
    refuse,
    require,
    rounded,
)
from domain.kernel.fields import ValueMalformed

MOST_LINES = 200
MOST_EXTERNAL_IDS = 20
CERTAIN, NEVER = Decimal(100), Decimal(0)
NOT_YET = UUID(int=0)


class OpportunityStatus(Word):
    """How far a deal has come."""

    OPEN = "open", "We are working on it."
    WON = "won", "The customer said yes."
    LOST = "lost", "It came to nothing."


class LossReason(Word):
    """Why a deal was lost."""

    PRICE = "price", "It was too expensive."
    COMPETITOR = "competitor", "The customer chose somebody else."
    TIMING = "timing", "It came too early or too late."
    NO_BUDGET = "no_budget", "The customer has no money for it."
    NO_DECISION = "no_decision", "The customer never decided."
    FIT = "fit", "It is not what the customer needs."
    DUPLICATE = "duplicate", "It was entered twice."
    OTHER = "other", "Something else: the note says what."


class OpportunityExternalId(msgspec.Struct, frozen=True, kw_only=True):
    """The deal's id in another system."""

    source: Annotated[str, Doc("Which system, e.g. `old-crm`."), LABEL]
    id: Annotated[str, Doc("The id there, letter for letter."), Text(200)]


class NewOpportunityLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a deal: so many of a product at a price."""

    line: Annotated[UUID, Derived("lin")]
    product: Annotated[UUID, Doc("What is sold; it must not be discontinued."), Id("product")]
    quantity: Annotated[Decimal, Doc("How many or how much of it."), QUANTITY] = Decimal(1)
    price: Annotated[
        Decimal | None, Doc("For one unit, in the deal's currency, before discount and tax; null: unknown yet."), AMOUNT
    ] = None
    discount: Annotated[Decimal, Doc("Taken off the price, in per cent."), PERCENT] = Decimal(0)
    tax: Annotated[Decimal, Doc("In per cent; recorded, not part of the deal's amount."), PERCENT] = Decimal(0)


class OpportunityLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it stands in a deal."""

    line: UUID
    product: UUID
    quantity: Decimal
    price: Decimal | None
    discount: Decimal
    tax: Decimal
    total: Decimal | None
    """Quantity times price less discount, in minor units of the deal's currency; None while unpriced."""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What a lost deal remembers, to tell a repeated loss from another one."""

    reason: LossReason
    competitor: Personal[str | None]
    note: Personal[str | None]


# Events


class OpportunityOpened(Event, frozen=True, kw_only=True):
    """A deal began, in a stage of a pipeline. `probability` is in per cent, as the stage had it."""

    title: Personal[str]
    customer: UUID | None
    pipeline: UUID
    stage: UUID
    probability: Decimal
    amount: Decimal | None
    currency: str | None
    expected_close: date | None
    source: Personal[str | None]
    campaign: Personal[str | None]
    owner: UUID | None
    team: UUID | None
    lines: tuple[OpportunityLine, ...]
    external_ids: tuple[OpportunityExternalId, ...]


class OpportunityRenamed(Event, frozen=True, kw_only=True):
    """The deal has another title."""

    old: Personal[str]
    new: Personal[str]


class OpportunityCustomerAssigned(Event, frozen=True, kw_only=True):
    """The deal is with this customer now, or with nobody known yet."""

    old: UUID | None
    new: UUID | None


class OpportunityStageChanged(Event, frozen=True, kw_only=True):
    """The deal moved to another stage. Probabilities are the effective ones, an override included."""

    from_stage: UUID
    to_stage: UUID
    stage_probability: Decimal
    """What the new stage says, override or not."""
    probability_before: Decimal
    probability_after: Decimal


class OpportunityPipelineChanged(Event, frozen=True, kw_only=True):
    """The deal moved to a stage of another pipeline. Probabilities are the effective ones, an override included."""

    from_pipeline: UUID
    to_pipeline: UUID
    from_stage: UUID
    to_stage: UUID
    stage_probability: Decimal
    probability_before: Decimal
    probability_after: Decimal


class OpportunityAmountChanged(Event, frozen=True, kw_only=True):
    """The deal is worth another amount, or nobody knows yet how much. Deals with lines take theirs from the lines."""

    old_amount: Decimal | None
    old_currency: str | None
    new_amount: Decimal | None
    new_currency: str | None


class OpportunityCloseDateMoved(Event, frozen=True, kw_only=True):
    """The deal is expected to close on another day, or on no known day."""

    old: date | None
    new: date | None


class OpportunityProbabilityOverridden(Event, frozen=True, kw_only=True):
    """Somebody knows better than the stage; or, where `overridden` is false, the stage's probability counts again."""

    old: Decimal
    new: Decimal
    overridden: bool
    reason: Personal[str]


class OpportunityLineAdded(Event, frozen=True, kw_only=True):
    """The deal has one more line, and with it another amount."""

    added: OpportunityLine
    old_amount: Decimal | None
    new_amount: Decimal | None
    currency: str


class OpportunityLineChanged(Event, frozen=True, kw_only=True):
    """A line has another quantity, price, discount or tax; the deal's amount follows."""

    old: OpportunityLine
    new: OpportunityLine
    old_amount: Decimal | None
    new_amount: Decimal | None
    currency: str


class OpportunityLineRemoved(Event, frozen=True, kw_only=True):
    """The deal lost a line; its amount follows. Without the last line the amount is unknown."""

    removed: OpportunityLine
    old_amount: Decimal | None
    new_amount: Decimal | None
    currency: str


class OpportunityReassigned(Event, frozen=True, kw_only=True):
    """Somebody else, or another team, looks after the deal; or nobody."""

    old_owner: UUID | None
    new_owner: UUID | None
    old_team: UUID | None
    new_team: UUID | None


class OpportunityWon(Event, frozen=True, kw_only=True):
    """The customer said yes. The deal's probability is 100 per cent from now on."""

    customer: UUID
    amount: Decimal
    currency: str
    closed_on: date
    probability_before: Decimal


class OpportunityLost(Event, frozen=True, kw_only=True):
    """The deal came to nothing. Its probability is 0 per cent from now on."""

    reason: LossReason
    competitor: Personal[str | None]
    note: Personal[str | None]
    closed_on: date
    amount: Decimal | None
    currency: str | None
    probability_before: Decimal


class OpportunityReopened(Event, frozen=True, kw_only=True):
    """A closed deal is worked on again, with its stage's probability."""

    was: OpportunityStatus
    closed_on: date
    reason: Personal[str]
    probability_before: Decimal
    probability_after: Decimal


class OpportunityNoteAdded(Event, frozen=True, kw_only=True):
    """Somebody wrote down something about the deal."""

    note: UUID
    text: Personal[str]


class OpportunityExternalIdAdded(Event, frozen=True, kw_only=True):
    """The deal became known by an id of another system."""

    external_id: OpportunityExternalId


OpportunityEvent: TypeAlias = (
    OpportunityOpened
    | OpportunityRenamed
    | OpportunityCustomerAssigned
    | OpportunityStageChanged
    | OpportunityPipelineChanged
    | OpportunityAmountChanged
    | OpportunityCloseDateMoved
    | OpportunityProbabilityOverridden
    | OpportunityLineAdded
    | OpportunityLineChanged
    | OpportunityLineRemoved
    | OpportunityReassigned
    | OpportunityWon
    | OpportunityLost
    | OpportunityReopened
    | OpportunityNoteAdded
    | OpportunityExternalIdAdded
)

# Commands


class OpenOpportunity(Command, frozen=True, kw_only=True):
    """Begin a deal. Customer and amount may follow later, but it is not won without them."""

    title: Annotated[str, Doc("What people call the deal."), NAME]
    customer: Annotated[UUID | None, Doc("Who would buy."), Id("customer")] = None
    pipeline: Annotated[UUID, Doc("Whose stages the deal passes through."), Id("pipeline")]
    stage: Annotated[UUID | None, Doc("Where it begins; left out, the pipeline's first stage."), ChildId("stg")] = None
    amount: Annotated[Decimal | None, Doc("What it is worth; with lines, leave it to them."), AMOUNT] = None
    currency: Annotated[str | None, Doc("Left out: the pipeline's currency, or else the company's."), Currency()] = None
    expected_close: Annotated[date | None, Doc("The day it will probably be decided.")] = None
    source: Annotated[str | None, Doc("Where the deal came from, e.g. `fair` or `referral`."), LABEL] = None
    campaign: Annotated[str | None, Doc("The campaign that brought it."), LABEL] = None
    owner: Annotated[UUID | None, Doc("Who looks after it."), Id("staff_member")] = None
    team: Annotated[UUID | None, Doc("Which team looks after it."), Id("team")] = None
    lines: Annotated[tuple[NewOpportunityLine, ...], Doc("What would be sold."), Items(MOST_LINES)] = ()
    external_ids: Annotated[
        tuple[OpportunityExternalId, ...], Doc("The deal's ids in other systems."), Items(MOST_EXTERNAL_IDS)
    ] = ()


class RenameOpportunity(Command, frozen=True, kw_only=True):
    """Give the deal another title."""

    title: Annotated[str, Doc("The new title."), NAME]


class AssignOpportunityCustomer(Command, frozen=True, kw_only=True):
    """Say who would buy, or with null that it is not known."""

    customer: Annotated[UUID | None, Doc("Who would buy; null: not known."), Id("customer")]


class ChangeOpportunityStage(Command, frozen=True, kw_only=True):
    """Move the deal to another stage of its pipeline."""

    stage: Annotated[UUID, Doc("An active stage of the deal's pipeline."), ChildId("stg")]


class ChangeOpportunityPipeline(Command, frozen=True, kw_only=True):
    """Move the deal to another pipeline."""

    pipeline: Annotated[UUID, Doc("The other pipeline; it must be active."), Id("pipeline")]
    stage: Annotated[UUID | None, Doc("One of its active stages; left out, the first one."), ChildId("stg")] = None


class ChangeOpportunityAmount(Command, frozen=True, kw_only=True):
    """Say what the deal is worth, or with null that it is not known. A deal with lines takes its amount from them."""

    amount: Annotated[Decimal | None, Doc("The new amount, zero or more; null: not known."), AMOUNT]
    currency: Annotated[str | None, Doc("Its currency; left out, the deal's present one."), Currency()] = None


class MoveOpportunityCloseDate(Command, frozen=True, kw_only=True):
    """Move the day on which the deal will probably be decided, or remove it with null."""

    expected_close: Annotated[date | None, Doc("The new day; null: not known.")]


class OverrideOpportunityProbability(Command, frozen=True, kw_only=True):
    """Put your own probability in place of the stage's, or return to the stage's with null."""

    probability: Annotated[Decimal | None, Doc("In per cent; null: the stage's counts again."), PERCENT]
    reason: Annotated[str, Doc("Why you know better."), LINE]


class AddOpportunityLine(Command, frozen=True, kw_only=True):
    """Add a line: so many of a product at a price. The deal's amount becomes the sum of its lines."""

    line: Annotated[UUID, Derived("lin")]
    product: Annotated[UUID, Doc("What is sold; it must not be discontinued."), Id("product")]
    quantity: Annotated[Decimal, Doc("How many or how much of it."), QUANTITY] = Decimal(1)
    price: Annotated[
        Decimal | None, Doc("For one unit, in the deal's currency, before discount and tax; null: unknown yet."), AMOUNT
    ] = None
    discount: Annotated[Decimal, Doc("Taken off the price, in per cent."), PERCENT] = Decimal(0)
    tax: Annotated[Decimal, Doc("In per cent; recorded, not part of the deal's amount."), PERCENT] = Decimal(0)


class ChangeOpportunityLine(Command, frozen=True, kw_only=True):
    """Change a line; what is left out stays. To sell another product, remove the line and add one."""

    line: Annotated[UUID, Doc("The line to change."), ChildId("lin")]
    quantity: Annotated[Decimal | UnsetType, Doc("How many or how much of it."), QUANTITY] = UNSET
    price: Annotated[Decimal | UnsetType | None, Doc("For one unit; null: unknown yet."), AMOUNT] = UNSET
    discount: Annotated[Decimal | UnsetType, Doc("Taken off the price, in per cent."), PERCENT] = UNSET
    tax: Annotated[Decimal | UnsetType, Doc("In per cent; not part of the deal's amount."), PERCENT] = UNSET


class RemoveOpportunityLine(Command, frozen=True, kw_only=True):
    """Remove a line. Without its last line the deal's amount is unknown until you give one."""

    line: Annotated[UUID, Doc("The line to remove."), ChildId("lin")]


class ReassignOpportunity(Command, frozen=True, kw_only=True):
    """Let somebody else, or another team, look after the deal; what is left out stays, null means nobody."""

    owner: Annotated[UUID | UnsetType | None, Doc("Who looks after it; null: nobody."), Id("staff_member")] = UNSET
    team: Annotated[UUID | UnsetType | None, Doc("Which team looks after it; null: none."), Id("team")] = UNSET


class WinOpportunity(Command, frozen=True, kw_only=True):
    """Close the deal as won. It needs a customer and an amount, which may be given here."""

    closed_on: Annotated[date | None, Doc("The day it was won; left out, today. Not in the future.")] = None
    amount: Annotated[Decimal | None, Doc("What it was won at; left out, the deal's amount."), AMOUNT] = None
    currency: Annotated[str | None, Doc("That amount's currency; left out, the deal's."), Currency()] = None


class LoseOpportunity(Command, frozen=True, kw_only=True):
    """Close the deal as lost, and say why."""

    reason: Annotated[LossReason, Doc("Why it was lost; `other` needs a note.")]
    competitor: Annotated[str | None, Doc("Who got it instead."), LABEL] = None
    note: Annotated[str | None, Doc("What there is to say about it."), PROSE] = None
    closed_on: Annotated[date | None, Doc("The day it was lost; left out, today. Not in the future.")] = None


class ReopenOpportunity(Command, frozen=True, kw_only=True):
    """Work again on a deal that was won or lost; its stage's probability counts again."""

    reason: Annotated[str, Doc("Why it is open again."), LINE]


class AddOpportunityNote(Command, frozen=True, kw_only=True):
    """Write down something about the deal; closed ones take notes too."""

    note: Annotated[UUID, Derived("note")]
    text: Annotated[str, Doc("The note."), PROSE]


class AddOpportunityExternalId(Command, frozen=True, kw_only=True):
    """Make the deal known by an id of another system."""

    source: Annotated[str, Doc("Which system, e.g. `old-crm`."), LABEL]
    external_id: Annotated[str, Doc("The id there, letter for letter."), Text(200)]


ChangeOfOpenDeal: TypeAlias = (
    RenameOpportunity
    | AssignOpportunityCustomer
    | ChangeOpportunityStage
    | ChangeOpportunityPipeline
    | ChangeOpportunityAmount
    | MoveOpportunityCloseDate
    | OverrideOpportunityProbability
    | AddOpportunityLine
    | ChangeOpportunityLine
    | RemoveOpportunityLine
    | ReassignOpportunity
)
OpportunityCommand: TypeAlias = (
    OpenOpportunity
    | ChangeOfOpenDeal
    | WinOpportunity
    | LoseOpportunity
    | ReopenOpportunity
    | AddOpportunityNote
    | AddOpportunityExternalId
)

# Rules


class OpportunityClosed(Rule):
    """The opportunity is {status}, and a closed one does not change; reopen it first."""

    status: OpportunityStatus


class CustomerNotActive(Rule):
    """This customer is not active; restore it, or name another one."""


class StaffNotActive(Rule):
    """This staff member is not active; name one who is."""


class TeamNotActive(Rule):
    """This team is not active; name one that is."""


class PipelineNotActive(Rule):
    """This pipeline is archived and takes no more deals; name an active one."""


class StageNotOfPipeline(Rule):
    """The pipeline has no active stage with this id; name one of its active stages."""


class AmountNegative(Rule):
    """The amount is below zero; give zero or more."""


class AmountTooLarge(Rule):
    """The amount would exceed {most}."""

    most: str


class AmountComesFromLines(Rule):
    """The amount is the sum of the lines; change the lines instead."""


class AmountMissing(Rule):
    """A deal is won with an amount; give one, or price every line."""


class CustomerMissing(Rule):
    """A deal is won with a customer; assign one first."""


class CurrencyNeedsAmount(Rule):
    """The currency changes only together with the amount; give both."""


class CurrencyMissing(Rule):
    """An amount needs a currency, and neither pipeline nor company names one; give it here."""


class PriceNegative(Rule):
    """The price is below zero; give zero or more."""


class ProductNotSold(Rule):
    """This product is discontinued; resume it, or name another one."""


class LineUnknown(Rule):
    """The opportunity has no line with this id."""


class TooManyLines(Rule):
    """The opportunity already has {most} lines, which is the most it may have."""

    most: int


class ClosedInFuture(Rule):
    """A deal cannot have been closed after today, which is {today} in the company's time zone."""

    today: date


class LossNoteMissing(Rule):
    """The reason `other` needs a note that says what it was."""


class OpportunityExternalIdTaken(Rule):
    """Another opportunity already carries this external id; use that opportunity."""


class TooManyOpportunityExternalIds(Rule):
    """The opportunity already has {most} external ids, which is the most it may have."""

    most: int


class Opportunity(State, frozen=True, kw_only=True):
    """What the rules need to know of a deal."""

    status: OpportunityStatus = OpportunityStatus.OPEN
    title: Personal[str] = ""
    customer: UUID | None = None
    pipeline: UUID = NOT_YET
    stage: UUID = NOT_YET
    stage_probability: Decimal = NEVER
    override: Decimal | None = None
    amount: Decimal | None = None
    currency: str | None = None
    lines: Mapping[UUID, OpportunityLine] = {}
    expected_close: date | None = None
    owner: UUID | None = None
    team: UUID | None = None
    closed_on: date | None = None
    loss: Loss | None = None
    external_ids: tuple[OpportunityExternalId, ...] = ()
    added: Seen = Seen()
    """Notes and lines that were ever added, removed ones too: the same id again yields nothing."""

    @property
    def probability(self) -> Decimal:
        """In per cent, as it counts in forecasts."""
        if self.status is OpportunityStatus.WON:
            return CERTAIN
        if self.status is OpportunityStatus.LOST:
            return NEVER
        return self.stage_probability if self.override is None else self.override


def decide(state: Opportunity, command: OpportunityCommand, known: Known) -> Sequence[OpportunityEvent]:
    match command:
        case OpenOpportunity():
            return _open(command, known) if state.pipeline == NOT_YET else []
        case WinOpportunity():
            return _win(state, command, known)
        case LoseOpportunity():
            return _lose(state, command, known)
        case ReopenOpportunity():
            return _reopen(state, command)
        case AddOpportunityNote():
            return [] if command.note in state.added else [OpportunityNoteAdded(note=command.note, text=command.text)]
        case AddOpportunityExternalId():
            return _add_external_id(state, OpportunityExternalId(source=command.source, id=command.external_id))
        case _:
            return _change(state, command, known)


def _change(state: Opportunity, command: ChangeOfOpenDeal, known: Known) -> Sequence[OpportunityEvent]:
    if isinstance(command, AddOpportunityLine) and command.line in state.added:
        return []
    require(_closed(state))
    match command:
        case RenameOpportunity(title=title):
            return [] if title == opened(state.title) else [OpportunityRenamed(old=state.title, new=title)]
        case AssignOpportunityCustomer():
            return _assign_customer(state, command.customer, known)
        case ChangeOpportunityStage():
            return _change_stage(state, command.stage, known)
        case ChangeOpportunityPipeline():
            return _change_pipeline(state, command, known)
        case ChangeOpportunityAmount():
            return _change_amount(state, command, known)
        case MoveOpportunityCloseDate(expected_close=day):
            return [] if day == state.expected_close else [OpportunityCloseDateMoved(old=state.expected_close, new=day)]
        case OverrideOpportunityProbability():
            return _override(state, command)
        case AddOpportunityLine():
            return _add_line(state, command, known)
        case ChangeOpportunityLine():
            return _change_line(state, command)
        case RemoveOpportunityLine():
            return _remove_line(state, command)
        case ReassignOpportunity():
            return _reassign(state, command, known)
        case _:
            assert_never(command)


def _closed(state: Opportunity) -> Rule | None:
    return None if state.status is OpportunityStatus.OPEN else OpportunityClosed(status=state.status)


# Opening


def _open(command: OpenOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    pipeline = known.of(command.pipeline)
    stage = _stage(pipeline, command.stage)
    currency = command.currency or _default_currency(command.pipeline, known)
    needs_currency = command.amount is not None or bool(command.lines)
    require(
        _not_active(known, command.customer, CustomerNotActive(path=("customer",))),
        _not_active(known, command.pipeline, PipelineNotActive(path=("pipeline",))),
        StageNotOfPipeline(path=("stage",)) if stage is None else None,
        _not_active(known, command.owner, StaffNotActive(path=("owner",))),
        _not_active(known, command.team, TeamNotActive(path=("team",))),
        CurrencyMissing(path=("currency",)) if needs_currency and currency is None else None,
        AmountComesFromLines(path=("amount",)) if command.amount is not None and command.lines else None,
        _amount_out_of_range(command.amount, ("amount",)),
        _broken_by_lines(command.lines, known),
        _broken_by_sources(command.external_ids),
    )
    if stage is None:  # never: it was required above
        return []
    lines = tuple(_line(new, currency) for new in command.lines) if currency else ()
    amount = _sum(lines) if lines else _rounded(command.amount, currency)
    require(_amount_out_of_range(amount, ("lines",)))
    return [
        OpportunityOpened(
            title=command.title,
            customer=command.customer,
            pipeline=command.pipeline,
            stage=stage.id,
            probability=stage.probability,
            amount=amount,
            currency=currency,
            expected_close=command.expected_close,
            source=command.source,
            campaign=command.campaign,
            owner=command.owner,
            team=command.team,
            lines=lines,
            external_ids=tuple(dict.fromkeys(command.external_ids)),
        )
    ]


def _stage(pipeline: Standing, stage: UUID | None) -> PipelineStage | None:
    """The active stage of this id; the first one where none is named."""
    return next((each for each in pipeline.stages if stage is None or each.id == stage), None)


def _default_currency(pipeline: UUID, known: Known) -> str | None:
    """The pipeline's currency, or else the company's."""
    standings = (known.standings.get(pipeline), known.standings.get(COMPANY_ID))
    return next((each.currency for each in standings if each is not None and each.currency is not None), None)


def _not_active(known: Known, one: UUID | None, rule: Rule) -> Rule | None:
    return None if one is None or known.of(one).active else rule


# Customer, stage, pipeline, people


def _assign_customer(state: Opportunity, customer: UUID | None, known: Known) -> Sequence[OpportunityEvent]:
    if customer == state.customer:
        return []
    require(_not_active(known, customer, CustomerNotActive(path=("customer",))))
    return [OpportunityCustomerAssigned(old=state.customer, new=customer)]


def _change_stage(state: Opportunity, to: UUID, known: Known) -> Sequence[OpportunityEvent]:
    if to == state.stage:
        return []
    stage = _stage(known.of(state.pipeline), to)
    if stage is None:
        refuse(StageNotOfPipeline(path=("stage",)))
    return [
        OpportunityStageChanged(
            from_stage=state.stage,
            to_stage=stage.id,
            stage_probability=stage.probability,
            probability_before=state.probability,
            probability_after=stage.probability if state.override is None else state.override,
        )
    ]


def _change_pipeline(
    state: Opportunity, command: ChangeOpportunityPipeline, known: Known
) -> Sequence[OpportunityEvent]:
    if command.pipeline == state.pipeline:
        return [] if command.stage is None else _change_stage(state, command.stage, known)
    inactive = _not_active(known, command.pipeline, PipelineNotActive(path=("pipeline",)))
    stage = _stage(known.of(command.pipeline), command.stage)
    if stage is None:
        refuse(*([inactive] if inactive else []), StageNotOfPipeline(path=("stage",)))
    require(inactive)
    return [
        OpportunityPipelineChanged(
            from_pipeline=state.pipeline,
            to_pipeline=command.pipeline,
            from_stage=state.stage,
            to_stage=stage.id,
            stage_probability=stage.probability,
            probability_before=state.probability,
            probability_after=stage.probability if state.override is None else state.override,
        )
    ]


def _override(state: Opportunity, command: OverrideOpportunityProbability) -> Sequence[OpportunityEvent]:
    if command.probability == state.override:
        return []
    return [
        OpportunityProbabilityOverridden(
            old=state.probability,
            new=state.stage_probability if command.probability is None else command.probability,
            overridden=command.probability is not None,
            reason=command.reason,
        )
    ]


def _reassign(state: Opportunity, command: ReassignOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    owner = state.owner if command.owner is UNSET else command.owner
    team = state.team if command.team is UNSET else command.team
    if (owner, team) == (state.owner, state.team):
        return []
    require(
        None if owner == state.owner else _not_active(known, owner, StaffNotActive(path=("owner",))),
        None if team == state.team else _not_active(known, team, TeamNotActive(path=("team",))),
    )
    return [OpportunityReassigned(old_owner=state.owner, new_owner=owner, old_team=state.team, new_team=team)]


# Amount and lines


def _change_amount(state: Opportunity, command: ChangeOpportunityAmount, known: Known) -> Sequence[OpportunityEvent]:
    currency = _currency_for(state, command.amount, command.currency, known)
    amount = _rounded(command.amount, currency)
    require(
        AmountComesFromLines(path=("amount",)) if state.lines else None,
        CurrencyMissing(path=("currency",)) if command.amount is not None and currency is None else None,
        _amount_out_of_range(amount, ("amount",)),
    )
    return _amount_changed(state, amount, currency)


def _currency_for(state: Opportunity, amount: Decimal | None, named: str | None, known: Known) -> str | None:
    """The currency named, or else the deal's; a first amount may take the pipeline's or the company's."""
    currency = named or state.currency
    return _default_currency(state.pipeline, known) if currency is None and amount is not None else currency


def _amount_changed(state: Opportunity, amount: Decimal | None, currency: str | None) -> list[OpportunityEvent]:
    if (amount, currency) == (state.amount, state.currency):
        return []
    return [
        OpportunityAmountChanged(
            old_amount=state.amount, old_currency=state.currency, new_amount=amount, new_currency=currency
        )
    ]


def _rounded(amount: Decimal | None, currency: str | None) -> Decimal | None:
    """In minor units; an amount whose currency is missing stays as it is, and is refused for that."""
    return amount if amount is None or currency is None else rounded(amount, currency)


def _amount_out_of_range(amount: Decimal | None, path: Path) -> Rule | None:
    if amount is None or 0 <= amount <= AMOUNT.most:
        return None
    return AmountNegative(path=path) if amount < 0 else AmountTooLarge(path=path, most=str(AMOUNT.most))


def _broken_by_lines(lines: Iterable[NewOpportunityLine], known: Known) -> Iterator[Rule]:
    for at, new in enumerate(lines):
        path = ("lines", at)
        if not known.of(new.product).active:
            yield ProductNotSold(path=(*path, "product"))
        if new.price is not None and new.price < 0:
            yield PriceNegative(path=(*path, "price"))


def _line(new: NewOpportunityLine | AddOpportunityLine | OpportunityLine, currency: str) -> OpportunityLine:
    """The line with its price in minor units and its total."""
    price = _rounded(new.price, currency)
    return OpportunityLine(
        line=new.line,
        product=new.product,
        quantity=new.quantity,
        price=price,
        discount=new.discount,
        tax=new.tax,
        total=None if price is None else _total(new.quantity, price, new.discount, currency),
    )


def _total(quantity: Decimal, price: Decimal, discount: Decimal, currency: str) -> Decimal:
    """Exact before its one rounding: within the amount's bounds a product has 25 digits at most, Decimal keeps 28."""
    return rounded(quantity * price * (100 - discount) / 100, currency)


def _sum(lines: Iterable[OpportunityLine]) -> Decimal | None:
    """The sum of the lines' totals; None while one is unpriced, or where there is no line."""
    totals = [line.total for line in lines]
    priced = [total for total in totals if total is not None]
    return sum(priced, Decimal(0)) if priced and len(priced) == len(totals) else None


def _add_line(state: Opportunity, command: AddOpportunityLine, known: Known) -> Sequence[OpportunityEvent]:
    currency = state.currency or _default_currency(state.pipeline, known)
    broken: list[Rule | None] = [
        TooManyLines(most=MOST_LINES) if len(state.lines) >= MOST_LINES else None,
        None if known.of(command.product).active else ProductNotSold(path=("product",)),
        PriceNegative(path=("price",)) if command.price is not None and command.price < 0 else None,
    ]
    if currency is None:
        refuse(*filter(None, broken), CurrencyMissing())
    require(*broken)
    line = _line(command, currency)
    amount = _sum((*state.lines.values(), line))
    require(_amount_out_of_range(amount, ("price",)))
    return [OpportunityLineAdded(added=line, old_amount=state.amount, new_amount=amount, currency=currency)]


def _change_line(state: Opportunity, command: ChangeOpportunityLine) -> Sequence[OpportunityEvent]:
    old, currency = _existing_line(state, command.line)
    new = replace(
        old,
        quantity=old.quantity if command.quantity is UNSET else command.quantity,
        price=old.price if command.price is UNSET else command.price,
        discount=old.discount if command.discount is UNSET else command.discount,
        tax=old.tax if command.tax is UNSET else command.tax,
    )
    require(PriceNegative(path=("price",)) if new.price is not None and new.price < 0 else None)
    new = _line(new, currency)
    if new == old:
        return []
    amount = _sum(new if each.line == new.line else each for each in state.lines.values())
    require(_amount_out_of_range(amount, ("price",)))
    return [OpportunityLineChanged(old=old, new=new, old_amount=state.amount, new_amount=amount, currency=currency)]


def _remove_line(state: Opportunity, command: RemoveOpportunityLine) -> Sequence[OpportunityEvent]:
    if command.line in state.added and command.line not in state.lines:
        return []
    line, currency = _existing_line(state, command.line)
    amount = _sum(each for each in state.lines.values() if each.line != line.line)
    return [OpportunityLineRemoved(removed=line, old_amount=state.amount, new_amount=amount, currency=currency)]


def _existing_line(state: Opportunity, line: UUID) -> tuple[OpportunityLine, str]:
    found = state.lines.get(line)
    if found is None or state.currency is None:
        refuse(LineUnknown(path=("line",)))
    return found, state.currency


# Closing and reopening


def _win(state: Opportunity, command: WinOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    if state.status is OpportunityStatus.WON and _same_win(state, command):
        return []
    require(_closed(state))
    customer, asked = state.customer, state.amount if command.amount is None else command.amount
    currency = _currency_for(state, asked, command.currency, known)
    amount = _rounded(asked, currency)
    changed = (amount, currency) != (state.amount, state.currency)
    broken: list[Rule | None] = [
        CustomerMissing() if customer is None else None,
        AmountMissing(path=("amount",)) if amount is None else None,
        AmountComesFromLines(path=("amount",)) if state.lines and changed else None,
        CurrencyMissing(path=("currency",)) if amount is not None and currency is None else None,
        CurrencyNeedsAmount(path=("currency",)) if changed and command.amount is None else None,
        _amount_out_of_range(amount, ("amount",)),
        _in_future(command.closed_on, known),
    ]
    if customer is None or amount is None or currency is None:
        refuse(*filter(None, broken))
    require(*broken)
    won = OpportunityWon(
        customer=customer,
        amount=amount,
        currency=currency,
        closed_on=command.closed_on or known.today,
        probability_before=state.probability,
    )
    return [*_amount_changed(state, amount, currency), won]


def _same_win(state: Opportunity, command: WinOpportunity) -> bool:
    return (
        command.closed_on in (None, state.closed_on)
        and command.currency in (None, state.currency)
        and _rounded(command.amount, state.currency) in (None, state.amount)
    )


def _in_future(day: date | None, known: Known) -> Rule | None:
    return None if day is None or day <= known.today else ClosedInFuture(path=("closed_on",), today=known.today)


def _lose(state: Opportunity, command: LoseOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    if state.status is OpportunityStatus.LOST and _same_loss(state, command):
        return []
    require(_closed(state))
    without_note = command.reason is LossReason.OTHER and command.note is None
    require(LossNoteMissing(path=("note",)) if without_note else None, _in_future(command.closed_on, known))
    return [
        OpportunityLost(
            reason=command.reason,
            competitor=command.competitor,
            note=command.note,
            closed_on=command.closed_on or known.today,
            amount=state.amount,
            currency=state.currency,
            probability_before=state.probability,
        )
    ]


def _same_loss(state: Opportunity, command: LoseOpportunity) -> bool:
    told = Loss(reason=command.reason, competitor=command.competitor, note=command.note)
    return told == state.loss and command.closed_on in (None, state.closed_on)


def _reopen(state: Opportunity, command: ReopenOpportunity) -> Sequence[OpportunityEvent]:
    if state.closed_on is None:
        return []
    return [
        OpportunityReopened(
            was=state.status,
            closed_on=state.closed_on,
            reason=command.reason,
            probability_before=state.probability,
            probability_after=state.stage_probability,
        )
    ]


def _broken_by_sources(external_ids: Iterable[OpportunityExternalId]) -> Iterator[Rule]:
    for at, one in enumerate(external_ids):
        if fault := _source_fault(one.source, ("external_ids", at, "source")):
            yield fault


def _source_fault(source: str, path: Path) -> Rule | None:
    """A claim is written `source:id`; a colon in the source would let two ids meet in one claim."""
    return ValueMalformed(path=path, expected="a system's name without a colon") if ":" in source else None


def _add_external_id(state: Opportunity, external_id: OpportunityExternalId) -> Sequence[OpportunityEvent]:
    if external_id in state.external_ids:
        return []
    full = len(state.external_ids) >= MOST_EXTERNAL_IDS
    require(
        _source_fault(external_id.source, ("source",)),
        TooManyOpportunityExternalIds(path=("external_id",), most=MOST_EXTERNAL_IDS) if full else None,
    )
    return [OpportunityExternalIdAdded(external_id=external_id)]


def evolve(state: Opportunity, event: OpportunityEvent) -> Opportunity:
    match event:
        case OpportunityOpened():
            return _opened(event)
        case OpportunityNoteAdded():
            return replace(state, added=state.added.add(event.note))
        case OpportunityStageChanged():
            return replace(state, stage=event.to_stage, stage_probability=event.stage_probability)
        case OpportunityAmountChanged():
            return replace(state, amount=event.new_amount, currency=event.new_currency)
        case OpportunityLineAdded(added=line):
            added, lines = state.added.add(line.line), {**state.lines, line.line: line}
            return replace(state, added=added, lines=lines, amount=event.new_amount, currency=event.currency)
        case OpportunityLineChanged(new=line):
            return replace(state, lines={**state.lines, line.line: line}, amount=event.new_amount)
        case OpportunityLineRemoved(removed=line):
            rest = {each.line: each for each in state.lines.values() if each.line != line.line}
            return replace(state, lines=rest, amount=event.new_amount)
        case OpportunityCloseDateMoved():
            return replace(state, expected_close=event.new)
        case OpportunityReassigned():
            return replace(state, owner=event.new_owner, team=event.new_team)
        case OpportunityWon():
            return replace(state, status=OpportunityStatus.WON, closed_on=event.closed_on)
        case OpportunityLost():
            loss = Loss(reason=event.reason, competitor=event.competitor, note=event.note)
            return replace(state, status=OpportunityStatus.LOST, closed_on=event.closed_on, loss=loss)
        case OpportunityReopened():
            return replace(state, status=OpportunityStatus.OPEN, override=None, closed_on=None, loss=None)
        case OpportunityProbabilityOverridden():
            return replace(state, override=event.new if event.overridden else None)
        case OpportunityPipelineChanged():
            return replace(
                state, pipeline=event.to_pipeline, stage=event.to_stage, stage_probability=event.stage_probability
            )
        case OpportunityCustomerAssigned():
            return replace(state, customer=event.new)
        case OpportunityRenamed():
            return replace(state, title=event.new)
        case OpportunityExternalIdAdded():
            return replace(state, external_ids=(*state.external_ids, event.external_id))
        case _:
            assert_never(event)


def _opened(event: OpportunityOpened) -> Opportunity:
    added = Seen()
    for line in event.lines:
        added = added.add(line.line)
    return Opportunity(
        title=event.title,
        customer=event.customer,
        pipeline=event.pipeline,
        stage=event.stage,
        stage_probability=event.probability,
        amount=event.amount,
        currency=event.currency,
        lines={line.line: line for line in event.lines},
        expected_close=event.expected_close,
        owner=event.owner,
        team=event.team,
        external_ids=event.external_ids,
        added=added,
    )


def consults(state: Opportunity, command: OpportunityCommand, _known: Known) -> Iterator[Reference]:
    """Its own pipeline for the stages; the company for today's date; both for a currency that nobody named."""
    company = Reference("company", COMPANY_ID, ("currency",), optional=True)
    match command:
        case OpenOpportunity(currency=None):
            yield company
        case WinOpportunity() | LoseOpportunity():
            yield company
        case _:
            pass
    match command:
        case ChangeOpportunityStage() | ChangeOpportunityPipeline():
            yield Reference("pipeline", state.pipeline, ("stage",))
        case ChangeOpportunityAmount() | AddOpportunityLine() | WinOpportunity() if state.currency is None:
            yield Reference("pipeline", state.pipeline, ("currency",))
            yield company
        case _:
            pass


def claims(state: Opportunity) -> frozenset[Claim]:
    return frozenset(Claim("opportunity_external_id", f"{one.source}:{one.id}") for one in state.external_ids)


def taken(command: OpportunityCommand, _claim: Claim) -> Rule:
    return OpportunityExternalIdTaken(
        path=("external_ids",) if isinstance(command, OpenOpportunity) else ("external_id",)
    )


def standing(state: Opportunity) -> Standing:
    return Standing(kind="opportunity", active=state.status is OpportunityStatus.OPEN, variety=state.status.value)


def subject(state: Opportunity) -> UUID | None:
    """The customer whose key seals the deal's words; without one the deal has a key of its own."""
    return state.customer


opportunity: Decider[Opportunity, OpportunityCommand, OpportunityEvent] = Decider(
    kind="opportunity",
    prefix="opp",
    initial=Opportunity(),
    decide=decide,
    evolve=evolve,
    commands={
        "open": OpenOpportunity,
        "rename": RenameOpportunity,
        "assignCustomer": AssignOpportunityCustomer,
        "changeStage": ChangeOpportunityStage,
        "changePipeline": ChangeOpportunityPipeline,
        "changeAmount": ChangeOpportunityAmount,
        "moveCloseDate": MoveOpportunityCloseDate,
        "overrideProbability": OverrideOpportunityProbability,
        "addLine": AddOpportunityLine,
        "changeLine": ChangeOpportunityLine,
        "removeLine": RemoveOpportunityLine,
        "reassign": ReassignOpportunity,
        "win": WinOpportunity,
        "lose": LoseOpportunity,
        "reopen": ReopenOpportunity,
        "addNote": AddOpportunityNote,
        "addExternalId": AddOpportunityExternalId,
    },
    creates=frozenset((OpenOpportunity,)),
    events={
        "OpportunityOpened": OpportunityOpened,
        "OpportunityRenamed": OpportunityRenamed,
        "OpportunityCustomerAssigned": OpportunityCustomerAssigned,
        "OpportunityStageChanged": OpportunityStageChanged,
        "OpportunityPipelineChanged": OpportunityPipelineChanged,
        "OpportunityAmountChanged": OpportunityAmountChanged,
        "OpportunityCloseDateMoved": OpportunityCloseDateMoved,
        "OpportunityProbabilityOverridden": OpportunityProbabilityOverridden,
        "OpportunityLineAdded": OpportunityLineAdded,
        "OpportunityLineChanged": OpportunityLineChanged,
        "OpportunityLineRemoved": OpportunityLineRemoved,
        "OpportunityReassigned": OpportunityReassigned,
        "OpportunityWon": OpportunityWon,
        "OpportunityLost": OpportunityLost,
        "OpportunityReopened": OpportunityReopened,
        "OpportunityNoteAdded": OpportunityNoteAdded,
        "OpportunityExternalIdAdded": OpportunityExternalIdAdded,
    },
    standing=standing,
    subject=subject,
    consults=consults,
    claims=claims,
    taken=taken,
)
