"""The kernel: the words, rules and values that every aggregate shares. Aggregates import nothing else of ours."""

from domain.kernel.external_ids import MOST_EXTERNAL_IDS, ExternalId, ExternalIds, IdThere, Source, path_of_claim
from domain.kernel.fields import (
    AMOUNT,
    LABEL,
    LANGUAGE,
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
    Form,
    Id,
    Items,
    NewContactPoint,
    Number,
    Text,
    Zone,
    one_too_many,
)
from domain.kernel.identifiers import COMPANY_ID, derived_id, new_id, parse_type_id, type_id
from domain.kernel.money import MINOR_UNITS, out_of_range, rounded
from domain.kernel.others import CustomerNotActive, StaffNotActive, TeamNotActive, team_behind, team_of, unless_active
from domain.kernel.personal import Personal, Withheld, opened
from domain.kernel.rules import Path, Refused, Rule, broken, refuse, require
from domain.kernel.words import (
    Claim,
    Command,
    Decider,
    Event,
    Known,
    PipelineStage,
    Place,
    Reference,
    Seen,
    Standing,
    State,
    Word,
    updated,
)

__all__ = [
    "AMOUNT", "COMPANY_ID", "LABEL", "LANGUAGE", "LINE", "MINOR_UNITS", "MOST_EXTERNAL_IDS", "NAME", "PERCENT", "PROSE",
    "QUANTITY", "ChildId", "Claim", "Command", "ContactKind", "Currency", "CustomerNotActive", "Decider", "Derived",
    "Doc", "Event", "ExternalId", "ExternalIds", "Filled", "Form", "Id", "IdThere", "Items", "Known", "NewContactPoint",
    "Number", "Path", "Personal", "PipelineStage", "Place", "Reference", "Refused", "Rule", "Seen", "Source",
    "StaffNotActive", "Standing", "State", "TeamNotActive", "Text", "Withheld", "Word", "Zone", "broken", "derived_id",
    "new_id", "one_too_many", "opened", "out_of_range", "parse_type_id", "path_of_claim", "refuse", "require",
    "rounded", "team_behind", "team_of", "type_id", "unless_active", "updated",
]  # fmt: skip
