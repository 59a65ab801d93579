"""Tickets as screens read them: the record and its conversation, notes included."""

from typing import Any, assert_never
from uuid import UUID

from domain.kernel import Withheld, opened, type_id
from domain.kernel.recorded import Recorded
from domain.ticket import (
    TicketAgentReplied,
    TicketAssigned,
    TicketClosed,
    TicketComplaintClassified,
    TicketCustomerAssigned,
    TicketCustomerReplied,
    TicketEscalated,
    TicketEvent,
    TicketExternalIdAdded,
    TicketKindChanged,
    TicketNoteAdded,
    TicketOpened,
    TicketPended,
    TicketPriorityChanged,
    TicketPutOnHold,
    TicketQueueChanged,
    TicketReopened,
    TicketResumed,
    TicketSatisfactionGiven,
    TicketSatisfactionRequested,
    TicketSolved,
    TicketStatus,
    TicketSubjectChanged,
)
from projections.model import STAMP, Model, Posting, Table, public_id, public_id_or_none, stamp
from projections.parts import add_external_ids, external_ids_of, ordinal
from projections.searching import found_by, now_found_by, searched_by
from projections.sorting import TEXT_KEY, sort_key

TICKETS = Table(
    name="tickets",
    columns={
        "id": "text NOT NULL",
        **STAMP,
        "number": "bigint NOT NULL UNIQUE",  # ascending, gaps allowed
        "subject": "text",
        "subject_key": TEXT_KEY,  # the subject as it sorts and is searched; "" where it was erased
        "status": "text NOT NULL",  # new, open, pending, on_hold, solved, closed
        "kind": "text NOT NULL",  # question, incident, problem, complaint
        "priority": "text NOT NULL",  # low, normal, high, urgent
        "priority_rank": "smallint NOT NULL",  # 0 low to 3 urgent, to sort by
        "channel": "text NOT NULL",  # the way that it first came
        "queue_id": "text",
        "assignee_id": "text",
        "customer_id": "text",
        "follows_id": "text",  # the ticket that this one follows up
        "severity": "text",  # of a complaint: minor, major, critical
        "regulator_due": "date",  # until when a regulator wants the complaint answered
        "escalation_level": "smallint NOT NULL",  # 0: never escalated
        "escalated_to_staff_id": "text",
        "escalated_to_team_id": "text",
        "opened_at": "timestamptz NOT NULL",
        "registered_position": "bigint NOT NULL",  # the entry that opened it
        "first_responded_at": "timestamptz",  # the first public reply
        "solved_at": "timestamptz",  # while solved or closed, as solution and solution_note
        "solution": "text",
        "solution_note": "text",
        "closed_at": "timestamptz",
        "satisfaction_requested_at": "timestamptz",
        "satisfaction_given_at": "timestamptz",
        "satisfaction_score": "smallint",  # 1 to 5
        "satisfaction_comment": "text",
        "changed_at": "timestamptz NOT NULL",  # when its last event happened
    },
    indexes=(
        "opened_at DESC, id",
        "changed_at DESC, id",
        "priority_rank DESC, id",
        "subject_key, id",
        "status, opened_at DESC, id",
        "customer_id, opened_at DESC, id",
        "assignee_id, opened_at DESC, id",
        "queue_id, opened_at DESC, id",
        "follows_id, opened_at DESC, id",
    ),
    few=("customer_id",),
)

MESSAGES = Table(
    name="ticket_messages",
    columns={
        "id": "text NOT NULL",  # msg_... or, of a note, note_...
        "ticket_id": "text NOT NULL",
        "kind": "text NOT NULL",  # customer_reply, agent_reply, note
        "is_public": "boolean NOT NULL",  # whether the customer sees it
        "is_pinned": "boolean NOT NULL",  # notes only
        "channel": "text",  # the way that a customer's message came
        "text": "text",
        "author": "text NOT NULL",  # the actor who wrote it, or who entered what the customer wrote
        "ordinal": "bigint NOT NULL",  # the order of the conversation
        "written_at": "timestamptz NOT NULL",
    },
    of="ticket_id",
    indexes=("ticket_id, ordinal",),
    grows=True,
)

EXTERNAL_IDS = external_ids_of("ticket")

SEARCH = searched_by("ticket")
"""By number, subject and external ids."""

_RANKS = {"low": 0, "normal": 1, "high": 2, "urgent": 3}
_DONE = frozenset((TicketStatus.SOLVED, TicketStatus.CLOSED))
_UNSOLVED = {"solved_at": None, "solution": None, "solution_note": None}


def post(posting: Posting, recorded: Recorded[TicketEvent]) -> None:
    """What one event of a ticket changes: its conversation, and always the stamp of its record."""
    id, at = public_id("ticket", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case TicketOpened() as event:
            return _open(posting, id, recorded, event)
        case TicketCustomerReplied(channel=channel) as event:
            _say(posting, id, recorded, event.message, event.text, kind="customer_reply", channel=channel.value)
            columns = _status(event.status)
        case TicketAgentReplied(public=public) as event:
            _say(posting, id, recorded, event.message, event.text, kind="agent_reply", is_public=public)
            columns = _status(event.status) | ({"first_responded_at": at} if event.first_response else {})
        case TicketNoteAdded(pinned=pinned) as event:
            _say(posting, id, recorded, event.note, event.text, kind="note", is_public=False, is_pinned=pinned)
        case TicketAssigned(new=assignee, status=status):
            columns = {"assignee_id": public_id_or_none("staff_member", assignee), **_status(status)}
        case TicketQueueChanged(new=queue):
            columns = {"queue_id": public_id_or_none("queue", queue)}
        case TicketPriorityChanged(new=priority):
            columns = {"priority": priority.value, "priority_rank": _RANKS[priority.value]}
        case TicketKindChanged(new=kind):
            columns = {"kind": kind.value}
        case TicketSubjectChanged(new=subject):
            columns = {"subject": opened(subject), "subject_key": sort_key(subject)}
            now_found_by(posting, SEARCH, id, "subject", subject)
        case TicketCustomerAssigned(new=customer):
            columns = {"customer_id": public_id("customer", customer)}
        case TicketPended() | TicketPutOnHold() | TicketResumed() | TicketReopened() as event:
            columns = _status(event.status)
        case TicketEscalated() as event:
            columns = {
                "escalation_level": event.level,
                "escalated_to_staff_id": public_id_or_none("staff_member", event.staff),
                "escalated_to_team_id": public_id_or_none("team", event.team),
            }
        case TicketSolved(code=code, note=note) as event:
            solution = {"solved_at": at, "solution": code.value, "solution_note": opened(note)}
            columns = _status(event.status) | solution
        case TicketClosed() as event:
            columns = {**_status(event.status), "closed_at": at}
        case TicketComplaintClassified(severity=severity, due=due):
            columns = {"severity": severity.value, "regulator_due": due}
        case TicketSatisfactionRequested():
            columns = {"satisfaction_requested_at": at}
        case TicketSatisfactionGiven(score=score, comment=comment):
            columns = {
                "satisfaction_given_at": at,
                "satisfaction_score": score,
                "satisfaction_comment": opened(comment),
            }
        case TicketExternalIdAdded(external_id=external_id):
            add_external_ids(posting, EXTERNAL_IDS, id, recorded, (external_id,), SEARCH)
        case _ as never:
            assert_never(never)
    return posting.change(TICKETS, id, **columns, changed_at=at, **stamp(recorded))


def _status(status: TicketStatus) -> dict[str, Any]:
    return {"status": status.value} if status in _DONE else {"status": status.value, **_UNSOLVED}


def _open(posting: Posting, id: str, recorded: Recorded[Any], event: TicketOpened) -> None:
    posting.insert(
        TICKETS,
        id=id,
        number=event.number,
        subject=opened(event.subject),
        subject_key=sort_key(event.subject),
        status=event.status.value,
        kind=event.kind.value,
        priority=event.priority.value,
        priority_rank=_RANKS[event.priority.value],
        channel=event.channel.value,
        queue_id=public_id_or_none("queue", event.queue),
        assignee_id=public_id_or_none("staff_member", event.assignee),
        customer_id=public_id_or_none("customer", event.customer),
        follows_id=public_id_or_none("ticket", event.follows),
        escalation_level=0,
        opened_at=recorded.occurred_at,
        registered_position=recorded.position,
        changed_at=recorded.occurred_at,
        **stamp(recorded),
    )
    if event.message is not None:
        channel = event.channel.value
        _say(posting, id, recorded, event.message, event.text, kind="customer_reply", channel=channel)
    found_by(posting, SEARCH, id, "subject", event.subject)
    found_by(posting, SEARCH, id, "number", str(event.number))
    add_external_ids(posting, EXTERNAL_IDS, id, recorded, event.external_ids, SEARCH)


def _say(
    posting: Posting,
    id: str,
    recorded: Recorded[Any],
    said: UUID,
    text: str | Withheld | None,
    *,
    kind: str,
    channel: str | None = None,
    is_public: bool = True,
    is_pinned: bool = False,
) -> None:
    posting.insert(
        MESSAGES,
        id=type_id("note" if kind == "note" else "msg", said),
        ticket_id=id,
        kind=kind,
        is_public=is_public,
        is_pinned=is_pinned,
        channel=channel,
        text=opened(text),
        author=recorded.actor,
        ordinal=ordinal(recorded),
        written_at=recorded.occurred_at,
    )


tickets = Model(
    name="tickets",
    version=7,
    tables=(TICKETS, MESSAGES, EXTERNAL_IDS, SEARCH),
    post=post,
    kinds=frozenset(("ticket",)),
)
