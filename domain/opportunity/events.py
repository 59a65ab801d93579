"""What happens to deals, and the names under which it is stored."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from domain.kernel import Event, ExternalId, Personal
from domain.opportunity.words import LossReason, OpportunityLine, OpportunityStatus


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
    external_ids: tuple[ExternalId, ...]


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
    """Somebody knows better than the stage; or, where `overridden` is false, what it had at the entry counts again."""

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
    """A closed deal is worked on again, with the probability that its stage had when it entered it."""

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

    external_id: ExternalId


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

EVENTS: Mapping[str, type[OpportunityEvent]] = {
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
}
"""By stored name."""
