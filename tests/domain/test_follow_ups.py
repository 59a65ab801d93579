"""A later reply to a closed ticket opens its follow-up, and those after it come together there."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.kernel import Known, Place, Standing, Withheld
from domain.ticket import (
    AddTicketNote,
    CloseTicket,
    FollowUpTicket,
    ReceiveTicketReply,
    ReplyToTicket,
    SolutionCode,
    Ticket,
    TicketChannel,
    TicketClosed,
    TicketCustomerReplied,
    TicketEvent,
    TicketIsClosed,
    TicketKind,
    TicketOpened,
    TicketPriority,
    TicketSolved,
    TicketStatus,
    follow_up_of,
    ticket,
)
from tests.domain.scenario import NOW, Scenario

CLOSED, CUSTOMER, QUEUE, AGENT = (UUID(int=n) for n in range(1, 5))
MESSAGE, OTHER = UUID(int=10), UUID(int=11)
HISTORY: tuple[TicketEvent, ...] = (
    TicketOpened(
        number=1001,
        status=TicketStatus.OPEN,
        customer=CUSTOMER,
        channel=TicketChannel.EMAIL,
        subject="Charger",
        message=UUID(int=9),
        text="Mine does not charge.",
        kind=TicketKind.INCIDENT,
        priority=TicketPriority.HIGH,
        queue=QUEUE,
        assignee=AGENT,
        follows=None,
        external_ids=(),
    ),
    TicketSolved(code=SolutionCode.FIXED, note=None),
    TicketClosed(),
)
REPLY = ReceiveTicketReply(id=CLOSED, message=MESSAGE, text="It broke again.")
HANDED_ON = FollowUpTicket(
    id=follow_up_of(CLOSED),
    reply=REPLY,
    follows=CLOSED,
    customer=CUSTOMER,
    subject="Charger",
    kind=TicketKind.INCIDENT,
    priority=TicketPriority.HIGH,
    channel=TicketChannel.EMAIL,
    queue=QUEUE,
    assignee=AGENT,
)
OPENED = TicketOpened(
    number=1002,
    status=TicketStatus.OPEN,
    customer=CUSTOMER,
    channel=TicketChannel.EMAIL,
    subject="Charger",
    message=MESSAGE,
    text="It broke again.",
    kind=TicketKind.INCIDENT,
    priority=TicketPriority.HIGH,
    queue=QUEUE,
    assignee=AGENT,
    follows=CLOSED,
    external_ids=(),
)
ACTIVE = {
    QUEUE: Standing(kind="queue"),
    AGENT: Standing(kind="staff_member"),
    CLOSED: Standing(kind="ticket", active=False, variety="closed"),
}
begin = Scenario(ticket)()


def closed(*history: TicketEvent) -> Ticket:
    return ticket.fold((*HISTORY, *history))


def test_a_reply_to_a_closed_ticket_is_handed_on_with_what_the_ticket_was_about() -> None:
    assert ticket.hands_on(closed(), REPLY) == HANDED_ON


def test_it_opens_a_ticket_that_follows_the_closed_one_with_its_people() -> None:
    begin.knowing(ACTIVE, number=1002).when(HANDED_ON).then(OPENED)


def test_it_may_come_another_way() -> None:
    by_phone = replace(HANDED_ON, reply=replace(REPLY, channel=TicketChannel.PHONE))
    begin.knowing(ACTIVE, number=1002).when(by_phone).then(replace(OPENED, channel=TicketChannel.PHONE))


def test_a_queue_or_an_agent_of_former_days_loses_no_reply() -> None:
    gone = {QUEUE: Standing(kind="queue", active=False), AGENT: Standing(kind="staff_member", active=False)}
    nobodys = replace(OPENED, queue=None, assignee=None, status=TicketStatus.NEW)
    begin.knowing(ACTIVE | gone, number=1002).when(HANDED_ON).then(nobodys)


def test_where_there_was_nobody_the_follow_up_is_nobodys() -> None:
    handed_on = replace(HANDED_ON, queue=None, assignee=None, customer=None)
    alone = replace(OPENED, queue=None, assignee=None, customer=None, status=TicketStatus.NEW)
    begin.knowing(ACTIVE, number=1002).when(handed_on).then(alone)


def test_the_next_reply_goes_on_in_the_follow_up() -> None:
    another = replace(HANDED_ON, reply=replace(REPLY, message=OTHER, text="Are you there?"))
    received = TicketCustomerReplied(
        message=OTHER, text="Are you there?", channel=TicketChannel.EMAIL, status=TicketStatus.OPEN
    )
    follow_up = Scenario(ticket)(OPENED)
    assert ticket.hands_on(follow_up.state, another) is None
    follow_up.knowing(ACTIVE).when(another).then(received)


def test_where_the_follow_up_is_closed_too_the_reply_is_handed_on_to_its_own() -> None:
    ended = ticket.fold((OPENED, TicketSolved(code=SolutionCode.FIXED, note=None), TicketClosed()))
    another = replace(HANDED_ON, reply=replace(REPLY, message=OTHER))
    assert ticket.hands_on(ended, another) == replace(another, id=follow_up_of(HANDED_ON.id), follows=HANDED_ON.id)
    assert len({CLOSED, follow_up_of(CLOSED), follow_up_of(follow_up_of(CLOSED))}) == 3


def test_what_the_closed_ticket_has_already_received_is_not_handed_on() -> None:
    before = TicketCustomerReplied(
        message=MESSAGE, text="It broke again.", channel=TicketChannel.EMAIL, status=TicketStatus.OPEN
    )
    opening, *ending = HISTORY
    history = (opening, before, *ending)
    assert ticket.hands_on(ticket.fold(history), REPLY) is None
    Scenario(ticket)(*history).when(REPLY).then()


@pytest.mark.parametrize("command", [ReplyToTicket(id=CLOSED, message=MESSAGE, text="x"), CloseTicket(id=CLOSED)])
def test_only_what_the_customer_says_is_handed_on(command: ReplyToTicket | CloseTicket) -> None:
    assert ticket.hands_on(closed(), command) is None


@pytest.mark.parametrize("until", [1, 2])
def test_a_ticket_that_is_not_closed_keeps_its_replies(until: int) -> None:
    assert ticket.hands_on(ticket.fold(HISTORY[:until]), REPLY) is None


def test_nothing_follows_up_what_was_erased() -> None:
    opening, *ending = HISTORY
    assert isinstance(opening, TicketOpened)
    erased = (replace(opening, subject=Withheld.ERASED, text=Withheld.ERASED), *ending)
    assert ticket.hands_on(ticket.fold(erased), REPLY) is None
    Scenario(ticket)(*erased).when(REPLY).refused(TicketIsClosed())


def test_a_note_on_a_closed_ticket_stays_there() -> None:
    assert ticket.hands_on(closed(), AddTicketNote(id=CLOSED, note=MESSAGE, text="x")) is None


def test_the_door_has_to_draw_a_number() -> None:
    assert FollowUpTicket in ticket.numbered
    with pytest.raises(LookupError):
        ticket.decide(ticket.initial, HANDED_ON, Known(now=NOW, standings=ACTIVE))


def test_whoever_saw_the_closed_ticket_by_its_agent_or_queue_sees_what_follows() -> None:
    assert ticket.standing(ticket.fold([OPENED])).place == Place(owner=AGENT, queue=QUEUE)
