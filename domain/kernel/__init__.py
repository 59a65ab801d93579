"""The kernel: the words, rules and values that every aggregate shares. Aggregates import nothing else of ours."""

from domain.kernel.fields import (
    AMOUNT,
    LABEL,
    LINE,
    NAME,
    PERCENT,
    PROSE,
    QUANTITY,
    ChildId,
    ContactKind,
    Currency,
    Derived,
    Doc,
    Filled,
    Id,
    Items,
    NewContactPoint,
    Number,
    Text,
    Zone,
)
from domain.kernel.identifiers import COMPANY_ID, derived_id, new_id, parse_type_id, type_id
from domain.kernel.money import MINOR_UNITS, Money, rounded
from domain.kernel.personal import Personal, Withheld, opened
from domain.kernel.rules import Path, Refused, Rule, refuse, require
from domain.kernel.words import (
    Claim,
    Command,
    Decider,
    Event,
    Known,
    PipelineStage,
    Reference,
    Seen,
    Standing,
    State,
    Word,
)

__all__ = [
    "AMOUNT", "COMPANY_ID", "LABEL", "LINE", "MINOR_UNITS", "NAME", "PERCENT", "PROSE", "QUANTITY", "ChildId", "Claim",
    "Command", "ContactKind", "Currency", "Decider", "Derived", "Doc", "Event", "Filled", "Id", "Items", "Known", "Money",
    "NewContactPoint", "Number", "Path", "Personal", "PipelineStage", "Reference", "Refused", "Rule", "Seen", "Standing",
    "State", "Text", "Withheld", "Word", "Zone", "derived_id", "new_id", "opened", "parse_type_id", "refuse", "require",
    "rounded", "type_id",
]  # fmt: skip
