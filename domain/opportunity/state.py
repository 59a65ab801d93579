"""What the rules remember of a deal, how an event changes it, and what others may know of it."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import assert_never
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.kernel import Claim, ExternalId, Personal, Place, Seen, Standing, State
from domain.opportunity.events import (
    OpportunityAmountChanged,
    OpportunityCloseDateMoved,
    OpportunityCustomerAssigned,
    OpportunityEvent,
    OpportunityExternalIdAdded,
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
    OpportunityWon,
)
from domain.opportunity.words import CERTAIN, NEVER, LossReason, OpportunityLine, OpportunityStatus

NOT_YET = UUID(int=0)


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What a lost deal remembers, to tell a repeated loss from another one."""

    reason: LossReason
    competitor: Personal[str | None]
    note: Personal[str | None]


class Opportunity(State, frozen=True, kw_only=True):
    """What the rules need to know of a deal."""

    status: OpportunityStatus = OpportunityStatus.OPEN
    title: Personal[str] = ""
    customer: UUID | None = None
    pipeline: UUID = NOT_YET
    stage: UUID = NOT_YET
    stage_probability: Decimal = NEVER
    override: Decimal | None = None
    override_because: Personal[str | None] = None
    amount: Decimal | None = None
    currency: str | None = None
    """Of the amount and the lines. Where there are none, none counts, whatever an event says: nobody sees it."""
    lines: Mapping[UUID, OpportunityLine] = {}
    expected_close: date | None = None
    owner: UUID | None = None
    team: UUID | None = None
    closed_on: date | None = None
    loss: Loss | None = None
    external_ids: tuple[ExternalId, ...] = ()
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


def evolve(state: Opportunity, event: OpportunityEvent) -> Opportunity:
    match event:
        case OpportunityOpened():
            return _opened(event)
        case OpportunityNoteAdded():
            return replace(state, added=state.added.add(event.note))
        case OpportunityStageChanged():
            return replace(state, stage=event.to_stage, stage_probability=event.stage_probability)
        case OpportunityAmountChanged():
            currency = None if event.new_amount is None else event.new_currency
            return replace(state, amount=event.new_amount, currency=currency)
        case OpportunityLineAdded(added=line):
            added, lines = state.added.add(line.line), {**state.lines, line.line: line}
            return replace(state, added=added, lines=lines, amount=event.new_amount, currency=event.currency)
        case OpportunityLineChanged(new=line):
            return replace(state, lines={**state.lines, line.line: line}, amount=event.new_amount)
        case OpportunityLineRemoved(removed=line):
            rest = {each.line: each for each in state.lines.values() if each.line != line.line}
            return replace(state, lines=rest, amount=event.new_amount, currency=event.currency if rest else None)
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
            return replace(
                state, status=OpportunityStatus.OPEN, override=None, override_because=None, closed_on=None, loss=None
            )
        case OpportunityProbabilityOverridden(reason=reason):
            override, because = (event.new, reason) if event.overridden else (None, None)
            return replace(state, override=override, override_because=because)
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
        currency=event.currency if event.amount is not None or event.lines else None,
        lines={line.line: line for line in event.lines},
        expected_close=event.expected_close,
        owner=event.owner,
        team=event.team,
        external_ids=event.external_ids,
        added=added,
    )


# What a fold can spare itself; the laws in tests/domain hold these lists against `evolve` and `standing`.
STANDING_FROM: frozenset[type[OpportunityEvent]] = frozenset(
    (OpportunityOpened, OpportunityReassigned, OpportunityWon, OpportunityLost, OpportunityReopened)
)
FOLDED_SEALED: frozenset[type[OpportunityEvent]] = frozenset((OpportunityNoteAdded, OpportunityReopened))
OVERWRITES: frozenset[type[OpportunityEvent]] = frozenset(
    (OpportunityRenamed, OpportunityStageChanged, OpportunityAmountChanged, OpportunityCloseDateMoved)
)


def standing(state: Opportunity) -> Standing:
    return Standing(
        kind="opportunity",
        active=state.status is OpportunityStatus.OPEN,
        variety=state.status.value,
        place=Place(owner=state.owner, team=state.team),
    )


def subject(state: Opportunity) -> UUID | None:
    """The customer whose key seals the deal's words; without one the deal has a key of its own."""
    return state.customer


def claims(state: Opportunity) -> frozenset[Claim]:
    return frozenset(one.claim("opportunity_external_id") for one in state.external_ids)
