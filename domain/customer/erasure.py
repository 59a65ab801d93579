"""Decisions on the erasure of a customer's personal data: asked for by one, approved by another, blocked by holds."""

from domain.customer.commands import (
    EraseCustomerPersonalData,
    LiftCustomerLegalHold,
    PlaceCustomerLegalHold,
    RequestCustomerErasure,
    WithdrawCustomerErasureRequest,
)
from domain.customer.events import (
    CustomerErasureApproved,
    CustomerErasureRequested,
    CustomerErasureRequestWithdrawn,
    CustomerEvent,
    CustomerLegalHoldLifted,
    CustomerLegalHoldPlaced,
)
from domain.customer.rules import (
    ApprovedByAnother,
    ApprovedByAPerson,
    AskedByAPerson,
    ErasureNotRequested,
    InOwnName,
    UnderLegalHold,
)
from domain.customer.state import Customer
from domain.customer.words import MOST_HOLDS
from domain.kernel import Known, one_too_many, refuse, require

ErasureCommand = (
    RequestCustomerErasure
    | WithdrawCustomerErasureRequest
    | EraseCustomerPersonalData
    | PlaceCustomerLegalHold
    | LiftCustomerLegalHold
)
"""What an archived customer can be asked too."""


def erasure_requested(state: Customer, command: RequestCustomerErasure, known: Known) -> list[CustomerEvent]:
    """The request. A second one, while the first waits, is met already, unless a token made that, as it once could."""
    if state.asked_by is not None and not _is_token(state.asked_by):
        return []
    # Otherwise one could ask through a program, and approve it oneself.
    require(InOwnName() if known.on_behalf else None, AskedByAPerson() if _is_token(known.actor) else None)
    return [CustomerErasureRequested(ground=command.ground, asked_by=known.actor, reason=command.reason)]


def erasure_request_withdrawn(state: Customer, command: WithdrawCustomerErasureRequest) -> list[CustomerEvent]:
    return [] if state.asked_by is None else [CustomerErasureRequestWithdrawn(reason=command.reason)]


def erasure_approved(state: Customer, command: EraseCustomerPersonalData, known: Known) -> list[CustomerEvent]:
    """The approval, after which the erasure is carried out."""
    if state.asked_by is None or state.ground is None:
        refuse(ErasureNotRequested())
    require(
        InOwnName() if known.on_behalf else None,
        ApprovedByAPerson() if _is_token(known.actor) else None,
        AskedByAPerson() if _is_token(state.asked_by) else None,
        ApprovedByAnother() if known.actor == state.asked_by else None,
        UnderLegalHold(holds=len(state.holds)) if state.holds else None,
    )
    return [
        CustomerErasureApproved(
            ground=state.ground, asked_by=state.asked_by, approved_by=known.actor, reason=command.reason
        )
    ]


def _is_token(actor: str) -> bool:
    return actor.startswith("token:")


def legal_hold_placed(state: Customer, matter: str) -> list[CustomerEvent]:
    if matter.casefold() in state.holds:
        return []
    require(one_too_many(state.holds, MOST_HOLDS, ("matter",)))
    return [CustomerLegalHoldPlaced(matter=matter)]


def legal_hold_lifted(state: Customer, matter: str) -> list[CustomerEvent]:
    placed = state.holds.get(matter.casefold())
    return [] if placed is None else [CustomerLegalHoldLifted(matter=placed)]
