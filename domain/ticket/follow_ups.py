"""What the customer replies: on the ticket, or, since closed is final, on the one that follows it up."""

from collections.abc import Sequence
from uuid import UUID

from domain.kernel import Known, derived_id, opened, require
from domain.ticket.commands import FollowUpTicket, ReceiveTicketReply, TicketCommand
from domain.ticket.events import TicketCustomerReplied, TicketEvent, TicketOpened
from domain.ticket.state import Ticket
from domain.ticket.statuses import if_closed
from domain.ticket.words import TicketStatus


def received(state: Ticket, command: ReceiveTicketReply) -> Sequence[TicketEvent]:
    if command.message in state.added:
        return []
    require(if_closed(state))
    return [
        TicketCustomerReplied(
            message=command.message,
            text=command.text,
            channel=command.channel or state.channel,
            status=TicketStatus.NEW if state.status is TicketStatus.NEW else TicketStatus.OPEN,
        )
    ]


def handed_on(state: Ticket, command: TicketCommand) -> FollowUpTicket | None:
    """What a reply to a closed ticket becomes. Where its subject was erased there is nothing to follow up."""
    reply = command.reply if isinstance(command, FollowUpTicket) else command
    subject = opened(state.subject)
    if not isinstance(reply, ReceiveTicketReply) or state.status is not TicketStatus.CLOSED or subject is None:
        return None
    if reply.message in state.added:
        return None
    return FollowUpTicket(
        id=follow_up_of(command.id),
        reply=reply,
        follows=command.id,
        customer=state.customer,
        subject=subject,
        kind=state.kind,
        priority=state.priority,
        channel=state.channel,
        queue=state.queue,
        assignee=state.assignee,
    )


def follow_up_of(closed: UUID) -> UUID:
    """The id of the ticket that later replies open: the same for all of them, so that they come together in one."""
    return derived_id(closed, "followUp", "", closed, 0)


def followed_up(state: Ticket, command: FollowUpTicket, known: Known) -> Sequence[TicketEvent]:
    """The reply, as the first message of the follow-up or as one more. Who is not active any more is left out: what the
    customer says must not be lost for it.
    """
    reply = command.reply
    if state.number:
        return received(state, reply)
    if known.number is None:
        raise LookupError("the door draws a number for every new ticket")
    assignee = _if_active(known, command.assignee)
    return [
        TicketOpened(
            number=known.number,
            status=TicketStatus.NEW if assignee is None else TicketStatus.OPEN,
            customer=command.customer,
            channel=reply.channel or command.channel,
            subject=command.subject,
            message=reply.message,
            text=reply.text,
            kind=command.kind,
            priority=command.priority,
            queue=_if_active(known, command.queue),
            assignee=assignee,
            follows=command.follows,
            external_ids=(),
        )
    ]


def _if_active(known: Known, id: UUID | None) -> UUID | None:
    return id if id is not None and known.of(id).active else None
