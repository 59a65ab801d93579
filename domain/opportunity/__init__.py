"""Opportunity: a deal that we hope to win. Open, then won or lost; a closed deal changes only by reopening it.

A deal stands in a stage of a pipeline, and keeps the probability that the stage had when it entered. Where it has
lines, its amount is the sum of their totals, and absent while one of them is unpriced.
"""

from domain.kernel import MOST_EXTERNAL_IDS, CustomerNotActive, Decider, StaffNotActive, TeamNotActive
from domain.opportunity.commands import (
    COMMANDS,
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
from domain.opportunity.decisions import consults, decide, taken
from domain.opportunity.events import (
    EVENTS,
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
from domain.opportunity.rules import (
    AmountComesFromLines,
    AmountMissing,
    AmountNegative,
    AmountTooLarge,
    ClosedInFuture,
    CurrencyMissing,
    CurrencyNeedsAmount,
    CustomerMissing,
    LineUnknown,
    LossNoteMissing,
    OpportunityClosed,
    OpportunityExternalIdTaken,
    PipelineNotActive,
    PriceNegative,
    ProductNotSold,
    StageNotOfPipeline,
    TooManyLines,
    TooManyOpportunityExternalIds,
)
from domain.opportunity.state import NOT_YET, Loss, Opportunity, claims, evolve, standing, subject
from domain.opportunity.words import (
    CERTAIN,
    MOST_LINES,
    NEVER,
    Discount,
    LossReason,
    NewOpportunityLine,
    OpportunityLine,
    OpportunityStatus,
    Price,
    Quantity,
    Tax,
)

opportunity: Decider[Opportunity, OpportunityCommand, OpportunityEvent] = Decider(
    kind="opportunity",
    prefix="opp",
    initial=Opportunity(),
    decide=decide,
    evolve=evolve,
    commands=COMMANDS,
    creates=frozenset((OpenOpportunity,)),
    events=EVENTS,
    standing=standing,
    subject=subject,
    consults=consults,
    claims=claims,
    taken=taken,
)


__all__ = [
    "CERTAIN", "COMMANDS", "EVENTS", "MOST_EXTERNAL_IDS", "MOST_LINES", "NEVER", "NOT_YET",
    "AddOpportunityExternalId", "AddOpportunityLine", "AddOpportunityNote", "AmountComesFromLines", "AmountMissing",
    "AmountNegative", "AmountTooLarge", "AssignOpportunityCustomer", "ChangeOfOpenDeal", "ChangeOpportunityAmount",
    "ChangeOpportunityLine", "ChangeOpportunityPipeline", "ChangeOpportunityStage", "ClosedInFuture",
    "CurrencyMissing", "CurrencyNeedsAmount", "CustomerMissing", "CustomerNotActive", "Discount", "LineUnknown",
    "LoseOpportunity", "Loss", "LossNoteMissing", "LossReason", "MoveOpportunityCloseDate", "NewOpportunityLine",
    "OpenOpportunity", "Opportunity", "OpportunityAmountChanged", "OpportunityCloseDateMoved", "OpportunityClosed",
    "OpportunityCommand", "OpportunityCustomerAssigned", "OpportunityEvent",
    "OpportunityExternalIdAdded", "OpportunityExternalIdTaken", "OpportunityLine", "OpportunityLineAdded",
    "OpportunityLineChanged", "OpportunityLineRemoved", "OpportunityLost", "OpportunityNoteAdded",
    "OpportunityOpened", "OpportunityPipelineChanged", "OpportunityProbabilityOverridden", "OpportunityReassigned",
    "OpportunityRenamed", "OpportunityReopened", "OpportunityStageChanged", "OpportunityStatus", "OpportunityWon",
    "OverrideOpportunityProbability", "PipelineNotActive", "Price", "PriceNegative", "ProductNotSold", "Quantity",
    "ReassignOpportunity", "RemoveOpportunityLine", "RenameOpportunity", "ReopenOpportunity", "StaffNotActive",
    "StageNotOfPipeline", "Tax", "TeamNotActive", "TooManyLines", "TooManyOpportunityExternalIds", "WinOpportunity",
    "claims", "consults", "decide", "evolve", "opportunity", "standing", "subject", "taken",
]  # fmt: skip
