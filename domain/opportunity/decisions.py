"""What follows from a command on a deal."""

from collections.abc import Iterator, Sequence
from typing import assert_never
from uuid import UUID

from domain.kernel import (
    COMPANY_ID,
    MOST_EXTERNAL_IDS,
    Claim,
    CustomerNotActive,
    ExternalId,
    Known,
    Reference,
    Rule,
    StaffNotActive,
    TeamNotActive,
    broken,
    opened,
    path_of_claim,
    refuse,
    require,
    team_behind,
    team_of,
    unless_active,
    updated,
)
from domain.opportunity.amounts import (
    amount_changed,
    amount_out_of_range,
    currency_for,
    default_currency,
    in_minor_units,
    other_than_lines,
)
from domain.opportunity.closing import lose, reopen, unless_open, win
from domain.opportunity.commands import (
    AddOpportunityExternalId,
    AddOpportunityLine,
    AddOpportunityNote,
    AssignOpportunityCustomer,
    ChangeOfOpenDeal,
    ChangeOpportunityAmount,
    ChangeOpportunityLine,
    ChangeOpportunityPipeline,
    ChangeOpportunityStage,
    LoseOpportunity,
    MoveOpportunityCloseDate,
    OpenOpportunity,
    OpportunityCommand,
    OverrideOpportunityProbability,
    ReassignOpportunity,
    RemoveOpportunityLine,
    RenameOpportunity,
    ReopenOpportunity,
    WinOpportunity,
)
from domain.opportunity.events import (
    OpportunityCloseDateMoved,
    OpportunityCustomerAssigned,
    OpportunityEvent,
    OpportunityExternalIdAdded,
    OpportunityNoteAdded,
    OpportunityOpened,
    OpportunityReassigned,
    OpportunityRenamed,
)
from domain.opportunity.lines import add_line, change_line, faults_of_lines, priced, remove_line, sum_of
from domain.opportunity.rules import (
    AmountComesFromLines,
    CurrencyMissing,
    OpportunityExternalIdTaken,
    PipelineNotActive,
    StageNotOfPipeline,
    TooManyOpportunityExternalIds,
)
from domain.opportunity.stages import change_pipeline, change_stage, override_probability, stage_of
from domain.opportunity.state import NOT_YET, Opportunity


def decide(state: Opportunity, command: OpportunityCommand, known: Known) -> Sequence[OpportunityEvent]:
    match command:
        case OpenOpportunity():
            return _open(command, known) if state.pipeline == NOT_YET else []
        case WinOpportunity():
            return win(state, command, known)
        case LoseOpportunity():
            return lose(state, command, known)
        case ReopenOpportunity():
            return reopen(state, command)
        case AddOpportunityNote():
            return [] if command.note in state.added else [OpportunityNoteAdded(note=command.note, text=command.text)]
        case AddOpportunityExternalId():
            return _add_external_id(state, ExternalId(source=command.source, id=command.external_id))
        case _:
            return _change(state, command, known)


def _change(state: Opportunity, command: ChangeOfOpenDeal, known: Known) -> Sequence[OpportunityEvent]:
    if isinstance(command, AddOpportunityLine) and command.line in state.added:
        return []
    require(unless_open(state))
    match command:
        case RenameOpportunity(title=title):
            return [] if title == opened(state.title) else [OpportunityRenamed(old=state.title, new=title)]
        case AssignOpportunityCustomer():
            return _assign_customer(state, command.customer, known)
        case ChangeOpportunityStage():
            return change_stage(state, command.stage, known)
        case ChangeOpportunityPipeline():
            return change_pipeline(state, command, known)
        case ChangeOpportunityAmount():
            return _change_amount(state, command, known)
        case MoveOpportunityCloseDate(expected_close=day):
            return [] if day == state.expected_close else [OpportunityCloseDateMoved(old=state.expected_close, new=day)]
        case OverrideOpportunityProbability():
            return override_probability(state, command)
        case AddOpportunityLine():
            return add_line(state, command, known)
        case ChangeOpportunityLine():
            return change_line(state, command)
        case RemoveOpportunityLine():
            return remove_line(state, command)
        case ReassignOpportunity():
            return _reassign(state, command, known)
        case _:
            assert_never(command)


def _open(command: OpenOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    pipeline = known.of(command.pipeline)
    stage = stage_of(pipeline, command.stage)
    currency = command.currency or default_currency(command.pipeline, known)
    amount = in_minor_units(command.amount, currency)
    needs_currency = command.amount is not None or bool(command.lines)
    faults = broken(
        unless_active(known, command.customer, CustomerNotActive(path=("customer",))),
        unless_active(known, command.pipeline, PipelineNotActive(path=("pipeline",))),
        StageNotOfPipeline(path=("stage",)) if stage is None else None,
        unless_active(known, command.owner, StaffNotActive(path=("owner",))),
        unless_active(known, command.team, TeamNotActive(path=("team",))),
        CurrencyMissing(path=("currency",)) if needs_currency and currency is None else None,
        AmountComesFromLines(path=("amount",)) if command.amount is not None and command.lines else None,
        amount_out_of_range(command.amount, currency, ("amount",)),
        faults_of_lines(command.lines, currency, known),
    )
    if faults or stage is None:
        refuse(*faults)
    lines = tuple(priced(new, currency) for new in command.lines) if currency else ()
    if lines:
        amount = sum_of(lines)
        require(amount_out_of_range(amount, currency, ("lines",)))
    return [
        OpportunityOpened(
            title=command.title,
            customer=command.customer,
            pipeline=command.pipeline,
            stage=stage.id,
            probability=stage.probability,
            amount=amount,
            currency=currency if needs_currency else None,
            expected_close=command.expected_close,
            source=command.source,
            campaign=command.campaign,
            owner=command.owner,
            team=team_of(known, command.owner, command.team),
            lines=lines,
            external_ids=tuple(dict.fromkeys(command.external_ids)),
        )
    ]


def _assign_customer(state: Opportunity, customer: UUID | None, known: Known) -> Sequence[OpportunityEvent]:
    if customer == state.customer:
        return []
    require(unless_active(known, customer, CustomerNotActive(path=("customer",))))
    return [OpportunityCustomerAssigned(old=state.customer, new=customer)]


def _reassign(state: Opportunity, command: ReassignOpportunity, known: Known) -> Sequence[OpportunityEvent]:
    owner, team = updated(state.owner, command.owner), updated(state.team, command.team)
    if (owner, team) == (state.owner, state.team):
        return []
    require(
        unless_active(known, None if owner == state.owner else owner, StaffNotActive(path=("owner",))),
        unless_active(known, None if team == state.team else team, TeamNotActive(path=("team",))),
    )
    return [OpportunityReassigned(old_owner=state.owner, new_owner=owner, old_team=state.team, new_team=team)]


def _change_amount(state: Opportunity, command: ChangeOpportunityAmount, known: Known) -> Sequence[OpportunityEvent]:
    currency = currency_for(state, command.amount, command.currency, known)
    amount = in_minor_units(command.amount, currency)
    require(
        other_than_lines(state, command.amount, command.currency),
        CurrencyMissing(path=("currency",)) if command.amount is not None and currency is None else None,
        amount_out_of_range(command.amount, currency, ("amount",)),
    )
    return amount_changed(state, amount, currency)


def _add_external_id(state: Opportunity, external_id: ExternalId) -> Sequence[OpportunityEvent]:
    if external_id in state.external_ids:
        return []
    full = len(state.external_ids) >= MOST_EXTERNAL_IDS
    require(TooManyOpportunityExternalIds(path=("external_id",), most=MOST_EXTERNAL_IDS) if full else None)
    return [OpportunityExternalIdAdded(external_id=external_id)]


def consults(state: Opportunity, command: OpportunityCommand, known: Known) -> Iterator[Reference]:
    """Its own pipeline for the stages; the company for today's date; both for a currency that nobody named. Of a
    new one, its owner's team."""
    company = Reference("company", COMPANY_ID, ("currency",), optional=True)
    match command:
        case OpenOpportunity(currency=None):
            yield company
        case WinOpportunity() | LoseOpportunity():
            yield company
        case _:
            pass
    match command:
        case OpenOpportunity():
            yield from team_behind(known, command.owner, command.team)
        case ChangeOpportunityStage() | ChangeOpportunityPipeline():
            yield Reference("pipeline", state.pipeline, ("stage",))
        case ChangeOpportunityAmount() | AddOpportunityLine() | WinOpportunity() if state.currency is None:
            yield Reference("pipeline", state.pipeline, ("currency",))
            yield company
        case _:
            pass


def taken(command: OpportunityCommand, claim: Claim) -> Rule:
    """The rule against an external id that another deal has, with the path of the value."""
    return OpportunityExternalIdTaken(path=path_of_claim(command, claim))
