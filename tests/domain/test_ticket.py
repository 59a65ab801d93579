"""Ticket: the status follows from what happened, it is never new again, and closed is final."""

from collections.abc import Sequence
from datetime import date
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import Claim, ExternalId, Known, Place, Rule, Standing, Withheld
from domain.ticket import (
    AddTicketExternalId,
    AddTicketNote,
    AssignTicket,
    AssignTicketCustomer,
    ChangeTicketKind,
    ChangeTicketPriority,
    ChangeTicketQueue,
    ChangeTicketSubject,
    ClassifyTicketComplaint,
    CloseTicket,
    ComplaintIsClassified,
    ComplaintSeverity,
    CustomerNotActive,
    EscalateTicket,
    EscalationLower,
    FollowedTicketNotDone,
    GiveTicketSatisfaction,
    NotAComplaint,
    OpenTicket,
    PendTicket,
    PutTicketOnHold,
    QueueNotActive,
    ReceiveTicketReply,
    ReopenTicket,
    ReplyToTicket,
    RequestTicketSatisfaction,
    ResumeTicket,
    SatisfactionAlreadyGiven,
    SolutionCode,
    SolveTicket,
    StaffNotActive,
    TeamNotActive,
    Ticket,
    TicketAgentReplied,
    TicketAssigned,
    TicketChannel,
    TicketClosed,
    TicketCommand,
    TicketComplaintClassified,
    TicketCustomerAssigned,
    TicketCustomerReplied,
    TicketEscalated,
    TicketEvent,
    TicketExternalIdAdded,
    TicketExternalIdTaken,
    TicketIsClosed,
    TicketKind,
    TicketKindChanged,
    TicketNoteAdded,
    TicketOpened,
    TicketPended,
    TicketPriority,
    TicketPriorityChanged,
    TicketPutOnHold,
    TicketQueueChanged,
    TicketReopened,
    TicketResumed,
    TicketSatisfactionGiven,
    TicketSatisfactionRequested,
    TicketSolved,
    TicketStatus,
    TicketStatusUnfit,
    TicketSubjectChanged,
    TooManyTicketExternalIds,
    note_added_from_1,
    ticket,
)
from tests.domain.scenario import NOW, Given, Scenario, lived

NEW, OPEN, PENDING, ON_HOLD, SOLVED, CLOSED = TicketStatus
ID, CUSTOMER, ARCHIVED_CUSTOMER, AGENT, LEAVER, QUEUE, OLD_QUEUE, TEAM, OLD_TEAM = (UUID(int=n) for n in range(1, 10))
SOLVED_TICKET, CLOSED_TICKET, OPEN_TICKET = (UUID(int=n) for n in range(20, 23))
FIRST, SECOND, NOTE = (UUID(int=n) for n in range(30, 33))
STANDINGS = {
    CUSTOMER: Standing(kind="customer"),
    ARCHIVED_CUSTOMER: Standing(kind="customer", active=False),
    AGENT: Standing(kind="staff_member"),
    LEAVER: Standing(kind="staff_member", active=False),
    QUEUE: Standing(kind="queue"),
    OLD_QUEUE: Standing(kind="queue", active=False),
    TEAM: Standing(kind="team"),
    OLD_TEAM: Standing(kind="team", active=False),
    SOLVED_TICKET: Standing(kind="ticket", variety="solved"),
    CLOSED_TICKET: Standing(kind="ticket", active=False, variety="closed"),
    OPEN_TICKET: Standing(kind="ticket", variety="open"),
}
KNOWN = Known(now=NOW, standings=STANDINGS, number=1001)
Scene: TypeAlias = Given[Ticket, TicketCommand, TicketEvent]


def given(*history: TicketEvent) -> Scene:
    return Scenario(ticket)(*history).knowing(STANDINGS, number=1001)


opened = TicketOpened(
    number=1001,
    status=NEW,
    customer=CUSTOMER,
    channel=TicketChannel.EMAIL,
    subject="Charger",
    message=FIRST,
    text="Mine does not charge.",
    kind=TicketKind.INCIDENT,
    priority=TicketPriority.NORMAL,
    queue=None,
    assignee=None,
    follows=None,
    external_ids=(),
)
complaint = msgspec.structs.replace(opened, kind=TicketKind.COMPLAINT)
assigned = TicketAssigned(old=None, new=AGENT, rule=None, status=OPEN)
solved = TicketSolved(code=SolutionCode.FIXED, note="New cable")
requested = TicketSatisfactionRequested()
rated = TicketSatisfactionGiven(old_score=None, score=5, comment="Quick!")
HISTORIES: dict[TicketStatus, tuple[TicketEvent, ...]] = {
    NEW: (opened,),
    OPEN: (opened, assigned),
    PENDING: (opened, assigned, TicketPended()),
    ON_HOLD: (opened, assigned, TicketPutOnHold()),
    SOLVED: (opened, assigned, solved),
    CLOSED: (opened, assigned, solved, TicketClosed()),
}


def in_status(status: TicketStatus) -> Scene:
    scene = given(*HISTORIES[status])
    assert scene.state.status is status
    return scene


def reply(public: bool = True) -> ReplyToTicket:
    return ReplyToTicket(id=ID, message=SECOND, text="Try the other cable.", public=public)


def replied(status: TicketStatus, *, public: bool = True, first: bool = False) -> TicketAgentReplied:
    return TicketAgentReplied(
        message=SECOND, text="Try the other cable.", public=public, first_response=first, status=status
    )


receive = ReceiveTicketReply(id=ID, message=SECOND, text="It still does not.")


def received(status: TicketStatus) -> TicketCustomerReplied:
    return TicketCustomerReplied(message=SECOND, text="It still does not.", channel=TicketChannel.EMAIL, status=status)


# Opening


def test_a_ticket_is_opened_with_a_number() -> None:
    command = OpenTicket(
        id=ID,
        message=FIRST,
        customer=CUSTOMER,
        channel=TicketChannel.EMAIL,
        subject="Charger",
        text="Mine does not charge.",
        kind=TicketKind.INCIDENT,
    )
    given().when(command).then(opened)
    assert OpenTicket in ticket.numbered


def test_a_ticket_needs_no_customer_and_no_text() -> None:
    command = OpenTicket(id=ID, message=FIRST, channel=TicketChannel.PHONE, subject="Charger")
    given().when(command).then(
        msgspec.structs.replace(
            opened,
            customer=None,
            channel=TicketChannel.PHONE,
            message=None,
            text=None,
            kind=TicketKind.QUESTION,
        )
    )


def test_a_ticket_opened_with_an_assignee_is_open_at_once() -> None:
    command = OpenTicket(
        id=ID,
        message=FIRST,
        customer=CUSTOMER,
        channel=TicketChannel.EMAIL,
        subject="Charger",
        text="Mine does not charge.",
        kind=TicketKind.INCIDENT,
        queue=QUEUE,
        assignee=AGENT,
    )
    given().when(command).then(msgspec.structs.replace(opened, status=OPEN, queue=QUEUE, assignee=AGENT))


def test_opening_names_every_rule_broken() -> None:
    command = OpenTicket(
        id=ID,
        message=FIRST,
        customer=ARCHIVED_CUSTOMER,
        channel=TicketChannel.WEB,
        subject="x",
        queue=OLD_QUEUE,
        assignee=LEAVER,
        follows=OPEN_TICKET,
    )
    given().when(command).refused(
        CustomerNotActive(path=("customer",)),
        QueueNotActive(path=("queue",)),
        StaffNotActive(path=("assignee",)),
        FollowedTicketNotDone(path=("follows",)),
    )


@pytest.mark.parametrize("follows", [SOLVED_TICKET, CLOSED_TICKET])
def test_a_solved_or_closed_ticket_has_follow_ups(follows: UUID) -> None:
    command = OpenTicket(
        id=ID,
        message=FIRST,
        customer=CUSTOMER,
        channel=TicketChannel.EMAIL,
        subject="Charger",
        text="Mine does not charge.",
        kind=TicketKind.INCIDENT,
        follows=follows,
    )
    given().when(command).then(msgspec.structs.replace(opened, follows=follows))


def test_a_ticket_without_a_number_is_a_fault_of_the_door() -> None:
    command = OpenTicket(id=ID, message=FIRST, channel=TicketChannel.WEB, subject="x")
    with pytest.raises(LookupError):
        ticket.decide(ticket.initial, command, Known(now=NOW))


# The status follows from what happened


@pytest.mark.parametrize(
    ("before", "after"),
    [(NEW, NEW), (OPEN, OPEN), (PENDING, OPEN), (ON_HOLD, OPEN), (SOLVED, OPEN)],
)
def test_a_customers_reply_opens_a_ticket_that_waits_or_is_solved(before: TicketStatus, after: TicketStatus) -> None:
    in_status(before).when(receive).then(received(after))


def test_a_closed_ticket_itself_takes_no_reply_of_the_customer() -> None:
    in_status(CLOSED).when(receive).refused(TicketIsClosed())
    assert "follow-up" in TicketIsClosed().message


def test_a_customers_reply_may_come_another_way() -> None:
    by_phone = msgspec.structs.replace(receive, channel=TicketChannel.PHONE)
    in_status(OPEN).when(by_phone).then(msgspec.structs.replace(received(OPEN), channel=TicketChannel.PHONE))


@pytest.mark.parametrize(
    ("before", "after"),
    [(NEW, OPEN), (OPEN, OPEN), (PENDING, PENDING), (ON_HOLD, ON_HOLD), (SOLVED, SOLVED)],
)
def test_a_public_reply_takes_up_a_new_ticket(before: TicketStatus, after: TicketStatus) -> None:
    in_status(before).when(reply()).then(replied(after, first=True))


def test_a_reply_among_ourselves_leaves_a_ticket_new_and_is_no_first_response() -> None:
    in_status(NEW).when(reply(public=False)).then(replied(NEW, public=False))


def test_only_the_first_public_reply_is_the_first_response() -> None:
    among_us = msgspec.structs.replace(replied(NEW, public=False), message=NOTE)
    given(opened, among_us).when(reply()).then(replied(OPEN, first=True))
    earlier = msgspec.structs.replace(replied(OPEN, first=True), message=NOTE)
    given(opened, earlier).when(reply()).then(replied(OPEN))


@pytest.mark.parametrize(
    ("before", "after"),
    [(NEW, OPEN), (OPEN, OPEN), (PENDING, PENDING), (ON_HOLD, ON_HOLD), (SOLVED, SOLVED)],
)
def test_an_assignment_takes_up_a_new_ticket(before: TicketStatus, after: TicketStatus) -> None:
    other = UUID(int=99)
    scene = in_status(before).knowing({other: Standing(kind="staff_member")})
    event = TicketAssigned(old=scene.state.assignee, new=other, rule="round robin", status=after)
    scene.when(AssignTicket(id=ID, assignee=other, rule="round robin")).then(event)


def test_an_unassigned_ticket_is_not_new_again() -> None:
    in_status(OPEN).when(AssignTicket(id=ID, assignee=None)).then(
        TicketAssigned(old=AGENT, new=None, rule=None, status=OPEN)
    )
    in_status(OPEN).when(AssignTicket(id=ID, assignee=AGENT)).then()
    in_status(NEW).when(AssignTicket(id=ID, assignee=LEAVER)).refused(StaffNotActive(path=("assignee",)))


# Moves by name

PEND, HOLD, RESUME = PendTicket(id=ID), PutTicketOnHold(id=ID), ResumeTicket(id=ID)
SOLVE = SolveTicket(id=ID, code=SolutionCode.FIXED, note="New cable")
REOPEN, CLOSE = ReopenTicket(id=ID, reason="Broken again"), CloseTicket(id=ID)
again = TicketReopened(reason="Broken again")
MOVES: dict[TicketCommand, dict[TicketStatus, Sequence[TicketEvent]]] = {
    PEND: {NEW: [TicketPended()], OPEN: [TicketPended()], PENDING: [], ON_HOLD: [TicketPended()]},
    HOLD: {NEW: [TicketPutOnHold()], OPEN: [TicketPutOnHold()], PENDING: [TicketPutOnHold()], ON_HOLD: []},
    RESUME: {OPEN: [], PENDING: [TicketResumed()], ON_HOLD: [TicketResumed()]},
    SOLVE: {NEW: [solved], OPEN: [solved], PENDING: [solved], ON_HOLD: [solved], SOLVED: []},
    REOPEN: {OPEN: [], SOLVED: [again]},
    CLOSE: {SOLVED: [TicketClosed()], CLOSED: []},
}
NEEDED: dict[TicketCommand, str] = {
    PEND: "new, open, pending, on_hold",
    HOLD: "new, open, pending, on_hold",
    RESUME: "pending, on_hold",
    SOLVE: "new, open, pending, on_hold",
    REOPEN: "solved",
    CLOSE: "solved",
}


@pytest.mark.parametrize("status", TicketStatus)
@pytest.mark.parametrize("command", MOVES, ids=lambda command: type(command).__name__)
def test_every_move_from_every_status(command: TicketCommand, status: TicketStatus) -> None:
    when = in_status(status).when(command)
    expected = MOVES[command].get(status)
    if expected is not None:
        when.then(*expected)
        return
    unfit: Rule = TicketStatusUnfit(status=status, needed=NEEDED[command])
    when.refused(TicketIsClosed() if status is CLOSED else unfit)


def test_a_solved_ticket_is_not_solved_in_another_way() -> None:
    in_status(SOLVED).when(SolveTicket(id=ID, code=SolutionCode.ANSWERED)).refused(
        TicketStatusUnfit(status=SOLVED, needed=NEEDED[SOLVE])
    )


CHANGES: Sequence[TicketCommand] = (
    receive,
    reply(),
    AssignTicket(id=ID, assignee=None),
    ChangeTicketQueue(id=ID, queue=QUEUE),
    ChangeTicketPriority(id=ID, priority=TicketPriority.LOW),
    ChangeTicketKind(id=ID, kind=TicketKind.PROBLEM),
    ChangeTicketSubject(id=ID, subject="x"),
    AssignTicketCustomer(id=ID, customer=UUID(int=99)),
    PEND,
    HOLD,
    RESUME,
    SolveTicket(id=ID, code=SolutionCode.OTHER),
    REOPEN,
    EscalateTicket(id=ID, level=1, reason="x"),
)


@pytest.mark.parametrize("command", CHANGES, ids=lambda command: type(command).__name__)
def test_closed_is_final(command: TicketCommand) -> None:
    in_status(CLOSED).knowing({UUID(int=99): Standing(kind="customer")}).when(command).refused(TicketIsClosed())


# Queue, priority, kind, subject, customer, escalation


def test_a_ticket_changes_its_queue() -> None:
    in_queue = TicketQueueChanged(old=None, new=QUEUE)
    given(opened).when(ChangeTicketQueue(id=ID, queue=QUEUE)).then(in_queue)
    given(opened, in_queue).when(ChangeTicketQueue(id=ID, queue=None)).then(TicketQueueChanged(old=QUEUE, new=None))
    given(opened).when(ChangeTicketQueue(id=ID, queue=OLD_QUEUE)).refused(QueueNotActive(path=("queue",)))


def test_a_ticket_changes_its_priority() -> None:
    given(opened).when(ChangeTicketPriority(id=ID, priority=TicketPriority.URGENT)).then(
        TicketPriorityChanged(old=TicketPriority.NORMAL, new=TicketPriority.URGENT)
    )
    given(opened).when(ChangeTicketPriority(id=ID, priority=TicketPriority.NORMAL)).then()


def test_a_ticket_changes_its_kind() -> None:
    became = TicketKindChanged(old=TicketKind.INCIDENT, new=TicketKind.PROBLEM)
    given(opened).when(ChangeTicketKind(id=ID, kind=TicketKind.PROBLEM)).then(became)
    given(opened).when(ChangeTicketKind(id=ID, kind=TicketKind.INCIDENT)).then()
    in_status(SOLVED).when(ChangeTicketKind(id=ID, kind=TicketKind.PROBLEM)).then(became)


def test_what_turns_out_to_be_a_complaint_is_classified() -> None:
    classify = ClassifyTicketComplaint(id=ID, severity=ComplaintSeverity.MAJOR)
    given(opened).when(classify).refused(NotAComplaint(kind=TicketKind.INCIDENT))
    became = TicketKindChanged(old=TicketKind.INCIDENT, new=TicketKind.COMPLAINT)
    given(opened).when(ChangeTicketKind(id=ID, kind=TicketKind.COMPLAINT)).then(became)
    given(opened, became).when(classify).then(
        TicketComplaintClassified(old_severity=None, severity=ComplaintSeverity.MAJOR, old_due=None, due=None)
    )


def test_a_classified_complaint_stays_one() -> None:
    major = TicketComplaintClassified(old_severity=None, severity=ComplaintSeverity.MAJOR, old_due=None, due=None)
    given(complaint).when(ChangeTicketKind(id=ID, kind=TicketKind.QUESTION)).then(
        TicketKindChanged(old=TicketKind.COMPLAINT, new=TicketKind.QUESTION)
    )
    given(complaint, major).when(ChangeTicketKind(id=ID, kind=TicketKind.QUESTION)).refused(
        ComplaintIsClassified(severity=ComplaintSeverity.MAJOR)
    )
    given(complaint, major).when(ChangeTicketKind(id=ID, kind=TicketKind.COMPLAINT)).then()


def test_a_ticket_changes_its_subject() -> None:
    given(opened).when(ChangeTicketSubject(id=ID, subject="Cable")).then(
        TicketSubjectChanged(old="Charger", new="Cable")
    )
    given(opened).when(ChangeTicketSubject(id=ID, subject="Charger")).then()


def test_a_customer_is_assigned_later_and_becomes_the_subject() -> None:
    nobodys = msgspec.structs.replace(opened, customer=None)
    event = TicketCustomerAssigned(old=None, new=CUSTOMER)
    given(nobodys).when(AssignTicketCustomer(id=ID, customer=CUSTOMER)).then(event)
    assert ticket.subject(given(nobodys).state) is None
    assert ticket.subject(given(nobodys, event).state) == CUSTOMER
    given(nobodys).when(AssignTicketCustomer(id=ID, customer=ARCHIVED_CUSTOMER)).refused(
        CustomerNotActive(path=("customer",))
    )


def test_a_ticket_is_escalated_upwards() -> None:
    to_team = TicketEscalated(old_level=0, level=2, staff=None, team=TEAM, reason="Three days")
    given(opened).when(EscalateTicket(id=ID, level=2, team=TEAM, reason="Three days")).then(to_team)
    to_agent = TicketEscalated(old_level=2, level=2, staff=AGENT, team=None, reason="Ask her")
    given(opened, to_team).when(EscalateTicket(id=ID, level=2, staff=AGENT, reason="Ask her")).then(to_agent)
    why = TicketEscalated(old_level=2, level=2, staff=None, team=TEAM, reason="He called again")
    given(opened, to_team).when(EscalateTicket(id=ID, level=2, team=TEAM, reason="He called again")).then(why)
    gone = TicketEscalated(old_level=0, level=2, staff=LEAVER, team=None, reason="x")
    given(opened, gone).when(EscalateTicket(id=ID, level=2, staff=LEAVER, reason="x")).then()
    given(opened, to_team).when(EscalateTicket(id=ID, level=1, staff=LEAVER, team=OLD_TEAM, reason="x")).refused(
        EscalationLower(path=("level",), level=2), StaffNotActive(path=("staff",)), TeamNotActive(path=("team",))
    )
    in_status(SOLVED).when(EscalateTicket(id=ID, level=1, reason="x")).refused(
        TicketStatusUnfit(status=SOLVED, needed="new, open, pending, on_hold")
    )


# Notes and external ids


@pytest.mark.parametrize("status", TicketStatus)
def test_notes_and_external_ids_are_welcome_at_any_time(status: TicketStatus) -> None:
    note = TicketNoteAdded(note=NOTE, text="Ask Ada", pinned=True)
    in_status(status).when(AddTicketNote(id=ID, note=NOTE, text="Ask Ada", pinned=True)).then(note)
    desk = TicketExternalIdAdded(external_id=ExternalId(source="desk", id="7"))
    in_status(status).when(AddTicketExternalId(id=ID, source="desk", external_id="7")).then(desk)


def test_the_first_shape_of_a_note_becomes_the_second() -> None:
    old: dict[str, Any] = {"note": str(NOTE), "text": "Ask Ada"}
    new = TicketNoteAdded(note=NOTE, text="Ask Ada", pinned=False)
    assert msgspec.convert(note_added_from_1(old), TicketNoteAdded) == new
    sealed = msgspec.convert(note_added_from_1({**old, "text": int(Withheld.SEALED)}), TicketNoteAdded)
    assert sealed.text is Withheld.SEALED
    assert ticket.events["TicketNoteAdded.2"] is TicketNoteAdded
    assert "TicketNoteAdded" not in ticket.events


def test_external_ids_are_claimed_and_limited() -> None:
    desk = ExternalId(source="desk", id="7")
    claim = Claim("ticket_external_id", "desk:7")
    known_there = msgspec.structs.replace(opened, external_ids=(desk,))
    assert ticket.claims(given(known_there).state) == {claim}
    adding = AddTicketExternalId(id=ID, source="desk", external_id="7")
    given(known_there).when(adding).then()
    assert ticket.taken(adding, claim) == TicketExternalIdTaken(path=("external_id",))
    opening = OpenTicket(id=ID, message=FIRST, channel=TicketChannel.WEB, subject="x", external_ids=(desk,))
    assert ticket.taken(opening, claim) == TicketExternalIdTaken(path=("external_ids", 0, "id"))
    many = tuple(ExternalId(source="desk", id=str(n)) for n in range(20))
    full = msgspec.structs.replace(opened, external_ids=many)
    given(full).when(AddTicketExternalId(id=ID, source="desk", external_id="x")).refused(
        TooManyTicketExternalIds(path=("external_id",), most=20),
    )


# Complaints and satisfaction


def test_a_complaint_is_classified() -> None:
    major = TicketComplaintClassified(
        old_severity=None, severity=ComplaintSeverity.MAJOR, old_due=None, due=date(2026, 4, 30)
    )
    classify = ClassifyTicketComplaint(id=ID, severity=ComplaintSeverity.MAJOR, due=date(2026, 4, 30))
    given(complaint).when(classify).then(major)
    minor = TicketComplaintClassified(
        old_severity=ComplaintSeverity.MAJOR,
        severity=ComplaintSeverity.MINOR,
        old_due=date(2026, 4, 30),
        due=None,
    )
    given(complaint, major).when(ClassifyTicketComplaint(id=ID, severity=ComplaintSeverity.MINOR)).then(minor)
    in_status(CLOSED).when(classify).refused(TicketIsClosed(), NotAComplaint(kind=TicketKind.INCIDENT))


@pytest.mark.parametrize("status", [SOLVED, CLOSED])
def test_satisfaction_is_asked_and_given_once_solved(status: TicketStatus) -> None:
    in_status(status).when(RequestTicketSatisfaction(id=ID)).then(requested)
    in_status(status).when(GiveTicketSatisfaction(id=ID, score=5, comment="Quick!")).then(rated)


@pytest.mark.parametrize("status", [NEW, OPEN, PENDING, ON_HOLD])
def test_satisfaction_is_neither_asked_nor_given_before(status: TicketStatus) -> None:
    unfit = TicketStatusUnfit(status=status, needed="solved, closed")
    in_status(status).when(RequestTicketSatisfaction(id=ID)).refused(unfit)
    in_status(status).when(GiveTicketSatisfaction(id=ID, score=5)).refused(unfit)


def test_another_rating_needs_another_request_and_replaces_the_first() -> None:
    history = (*HISTORIES[SOLVED], requested, rated)
    worse = GiveTicketSatisfaction(id=ID, score=2)
    given(*history).when(worse).refused(SatisfactionAlreadyGiven())
    given(*history).when(RequestTicketSatisfaction(id=ID)).then(requested)
    given(*history, requested).when(worse).then(TicketSatisfactionGiven(old_score=5, score=2, comment=None))


def test_others_see_the_status() -> None:
    place = Place(owner=AGENT)
    assert ticket.standing(in_status(SOLVED).state) == Standing(kind="ticket", variety="solved", place=place)
    closed = Standing(kind="ticket", active=False, variety="closed", place=place)
    assert ticket.standing(in_status(CLOSED).state) == closed


# Laws

ids = st.sampled_from([UUID(int=n) for n in range(100, 106)])
texts = st.sampled_from(["a", "b"])
people = st.sampled_from([None, AGENT, LEAVER])


def build(asked: type[Any], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[TicketCommand]:
    return st.builds(asked, id=st.just(ID), **fields)


later: st.SearchStrategy[TicketCommand] = st.one_of(
    build(ReceiveTicketReply, message=ids, text=texts, channel=st.none() | st.sampled_from(TicketChannel)),
    build(ReplyToTicket, message=ids, text=texts, public=st.booleans()),
    build(AddTicketNote, note=ids, text=texts, pinned=st.booleans()),
    build(AssignTicket, assignee=people),
    build(ChangeTicketQueue, queue=st.sampled_from([None, QUEUE, OLD_QUEUE])),
    build(ChangeTicketPriority, priority=st.sampled_from(TicketPriority)),
    build(ChangeTicketKind, kind=st.sampled_from(TicketKind)),
    build(ChangeTicketSubject, subject=texts),
    build(AssignTicketCustomer, customer=st.sampled_from([CUSTOMER, ARCHIVED_CUSTOMER])),
    build(PendTicket),
    build(PutTicketOnHold),
    build(ResumeTicket),
    build(EscalateTicket, level=st.integers(1, 5), staff=people, reason=texts),
    build(SolveTicket, code=st.sampled_from(SolutionCode), note=st.none() | texts),
    build(ReopenTicket, reason=st.none() | texts),
    build(CloseTicket),
    build(ClassifyTicketComplaint, severity=st.sampled_from(ComplaintSeverity)),
    build(RequestTicketSatisfaction),
    build(GiveTicketSatisfaction, score=st.integers(1, 5), comment=st.none() | texts),
    build(AddTicketExternalId, source=texts, external_id=texts),
)
openings = st.builds(
    OpenTicket,
    id=st.just(ID),
    message=ids,
    channel=st.sampled_from(TicketChannel),
    subject=texts,
    text=st.none() | texts,
    kind=st.sampled_from(TicketKind),
    assignee=st.sampled_from([None, AGENT]),
)
AFTER_CLOSED = (
    TicketNoteAdded,
    TicketExternalIdAdded,
    TicketSatisfactionRequested,
    TicketSatisfactionGiven,
)
NEXT = {
    NEW: {NEW, OPEN, PENDING, ON_HOLD, SOLVED},
    OPEN: {OPEN, PENDING, ON_HOLD, SOLVED},
    PENDING: {OPEN, PENDING, ON_HOLD, SOLVED},
    ON_HOLD: {OPEN, PENDING, ON_HOLD, SOLVED},
    SOLVED: {OPEN, SOLVED, CLOSED},
    CLOSED: {CLOSED},
}


@for_all(openings, st.lists(later, max_size=25))
def test_whatever_happens_the_lifecycle_holds(opening: OpenTicket, commands: list[TicketCommand]) -> None:
    first, *events = lived(ticket, [opening, *commands], KNOWN)
    state, first_responses = ticket.evolve(ticket.initial, first), 0
    for event in events:
        before, state = state, ticket.evolve(state, event)
        assert state.status in NEXT[before.status]
        assert getattr(event, "status", state.status) is state.status, "events carry the status after them"
        assert before.status is not CLOSED or isinstance(event, AFTER_CLOSED)
        assert state.level >= before.level
        assert state.severity is None or state.kind is TicketKind.COMPLAINT
        first_responses += isinstance(event, TicketAgentReplied) and event.first_response
    assert first_responses == int(state.answered)
