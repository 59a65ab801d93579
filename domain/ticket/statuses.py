"""Decisions on where a ticket stands, and the rules against what its status does not allow."""

from collections.abc import Sequence

from domain.kernel import Rule, opened, require
from domain.ticket.commands import SolveTicket
from domain.ticket.events import (
    TicketClosed,
    TicketEvent,
    TicketPended,
    TicketPutOnHold,
    TicketReopened,
    TicketResumed,
    TicketSolved,
)
from domain.ticket.rules import TicketIsClosed, TicketStatusUnfit
from domain.ticket.state import Ticket
from domain.ticket.words import UNSOLVED, TicketStatus


def moved(
    state: Ticket,
    event: TicketPended | TicketPutOnHold | TicketResumed | TicketReopened | TicketClosed,
    needed: frozenset[TicketStatus],
) -> Sequence[TicketEvent]:
    """The event, where the ticket stands in one of the statuses needed; nothing where it is there already."""
    if state.status is event.status:
        return []
    require(unless_in(state, needed))
    return [event]


def solved(state: Ticket, command: SolveTicket) -> Sequence[TicketEvent]:
    if state.status is TicketStatus.SOLVED and (command.code, command.note) == (state.code, opened(state.solution)):
        return []
    require(unless_in(state, UNSOLVED))
    return [TicketSolved(code=command.code, note=command.note)]


def if_closed(state: Ticket) -> Rule | None:
    """The rule against changing a ticket that is closed for good."""
    return TicketIsClosed() if state.status is TicketStatus.CLOSED else None


def unless_in(state: Ticket, needed: frozenset[TicketStatus]) -> Rule | None:
    """The rule against what only tickets in these statuses allow."""
    if state.status in needed:
        return None
    names = ", ".join(status.value for status in TicketStatus if status in needed)
    return if_closed(state) or TicketStatusUnfit(status=state.status, needed=names)
