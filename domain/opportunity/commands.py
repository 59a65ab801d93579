"""What can be asked of a deal, and the verbs of its mutations."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

from msgspec import UNSET, UnsetType

from domain.kernel import (
    AMOUNT,
    LABEL,
    LINE,
    NAME,
    PERCENT,
    PROSE,
    QUANTITY,
    ChildId,
    Command,
    Currency,
    Derived,
    Doc,
    ExternalIds,
    Id,
    IdThere,
    Items,
    Source,
)
from domain.opportunity.words import MOST_LINES, Discount, LossReason, NewOpportunityLine, Price, Quantity, Tax

_OF_AMOUNT = "That amount's currency; left out, that of the present amount, or else the pipeline's or the company's."


class OpenOpportunity(Command, frozen=True, kw_only=True):
    """Begin a deal. Customer and amount may follow later, but it is not won without them."""

    title: Annotated[str, Doc("What people call the deal."), NAME]
    customer: Annotated[UUID | None, Doc("Who would buy."), Id("customer")] = None
    pipeline: Annotated[UUID, Doc("Whose stages the deal passes through."), Id("pipeline")]
    stage: Annotated[UUID | None, Doc("Where it begins; left out, the pipeline's first stage."), ChildId("stg")] = None
    amount: Annotated[Decimal | None, Doc("What it is worth; with lines, leave it to them."), AMOUNT] = None
    currency: Annotated[
        str | None, Doc("Of amount or lines; left out: the pipeline's currency, or else the company's."), Currency()
    ] = None
    expected_close: Annotated[date | None, Doc("The day it will probably be decided.")] = None
    source: Annotated[str | None, Doc("Where the deal came from, e.g. `fair` or `referral`."), LABEL] = None
    campaign: Annotated[str | None, Doc("The campaign that brought it."), LABEL] = None
    owner: Annotated[UUID | None, Doc("Who looks after it."), Id("staff_member")] = None
    team: Annotated[UUID | None, Doc("Which team looks after it; left out: the owner's."), Id("team")] = None
    lines: Annotated[tuple[NewOpportunityLine, ...], Doc("What would be sold."), Items(MOST_LINES)] = ()
    external_ids: ExternalIds = ()


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
    """Say what the deal is worth, or with null that it is not known, nor in which currency. A deal with lines takes its
    amount from them.
    """

    amount: Annotated[Decimal | None, Doc("The new amount, zero or more; null: not known."), AMOUNT]
    currency: Annotated[str | None, Doc(_OF_AMOUNT), Currency()] = None


class MoveOpportunityCloseDate(Command, frozen=True, kw_only=True):
    """Move the day on which the deal will probably be decided, or remove it with null."""

    expected_close: Annotated[date | None, Doc("The new day; null: not known.")]


class OverrideOpportunityProbability(Command, frozen=True, kw_only=True):
    """Put your own probability in place of the stage's, or return to the stage's with null."""

    probability: Annotated[
        Decimal | None,
        Doc("In per cent; null: the one that its stage had when the deal entered it counts again."),
        PERCENT,
    ]
    reason: Annotated[str, Doc("Why you know better."), LINE]


class AddOpportunityLine(Command, frozen=True, kw_only=True):
    """Add a line: so many of a product at a price. The deal's amount becomes the sum of its lines."""

    line: Annotated[UUID, Derived("lin")]
    product: Annotated[UUID, Doc("What is sold; it must not be discontinued."), Id("product")]
    quantity: Quantity = Decimal(1)
    price: Price = None
    discount: Discount = Decimal(0)
    tax: Tax = Decimal(0)


class ChangeOpportunityLine(Command, frozen=True, kw_only=True):
    """Change a line; what is left out stays. To sell another product, remove the line and add one."""

    line: Annotated[UUID, Doc("The line to change."), ChildId("lin")]
    quantity: Annotated[Decimal | UnsetType, Doc("How many or how much of it."), QUANTITY] = UNSET
    price: Annotated[
        Decimal | UnsetType | None,
        Doc("For one unit; rounded to the currency's minor units before it is multiplied. Null: unknown yet."),
        AMOUNT,
    ] = UNSET
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
    currency: Annotated[str | None, Doc(_OF_AMOUNT), Currency()] = None


class LoseOpportunity(Command, frozen=True, kw_only=True):
    """Close the deal as lost, and say why."""

    reason: Annotated[LossReason, Doc("Why it was lost; `OTHER` needs a note.")]
    competitor: Annotated[str | None, Doc("Who got it instead."), LABEL] = None
    note: Annotated[str | None, Doc("What there is to say about it."), PROSE] = None
    closed_on: Annotated[date | None, Doc("The day it was lost; left out, today. Not in the future.")] = None


class ReopenOpportunity(Command, frozen=True, kw_only=True):
    """Work again on a deal that was won or lost; the probability that its stage had when it entered it counts again."""

    reason: Annotated[str, Doc("Why it is open again."), LINE]


class AddOpportunityNote(Command, frozen=True, kw_only=True):
    """Write down something about the deal; closed ones take notes too."""

    note: Annotated[UUID, Derived("note")]
    text: Annotated[str, Doc("The note."), PROSE]


class AddOpportunityExternalId(Command, frozen=True, kw_only=True):
    """Make the deal known by an id of another system."""

    source: Source
    external_id: IdThere


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

COMMANDS: Mapping[str, type[OpportunityCommand]] = {
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
}
"""By verb: `win` is the mutation `opportunityWin`."""
