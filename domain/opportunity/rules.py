"""The rules that a command on a deal can break."""

from datetime import date

from domain.kernel import Rule
from domain.opportunity.words import OpportunityStatus


class OpportunityClosed(Rule):
    """The opportunity is {status}, and a closed one does not change; reopen it first."""

    status: OpportunityStatus


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


class CurrencyOfLinesMissing(Rule):
    """The deal has no currency yet, and neither pipeline nor company names one; give it an amount in one first."""


class CurrencyComesFromLines(Rule):
    """The lines are in another currency. Leave it out; or remove them, give an amount in this, and add them anew."""


class AmountMissing(Rule):
    """A deal is won with an amount; price every line, or give one where there are no lines."""


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
    """The reason `OTHER` needs a note that says what it was."""


class OpportunityExternalIdTaken(Rule):
    """Another opportunity already carries this external id; use that opportunity."""


class TooManyOpportunityExternalIds(Rule):
    """The opportunity already has {most} external ids, which is the most it may have."""

    most: int
