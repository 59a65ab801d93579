"""Opportunities as screens read them: the deal, its lines, the stages it passed through, its notes."""

from typing import Any, assert_never

from domain.kernel import opened, type_id
from domain.kernel.recorded import Recorded
from domain.opportunity import (
    CERTAIN,
    NEVER,
    OpportunityAmountChanged,
    OpportunityCloseDateMoved,
    OpportunityCustomerAssigned,
    OpportunityEvent,
    OpportunityExternalIdAdded,
    OpportunityLine,
    OpportunityLineAdded,
    OpportunityLineChanged,
    OpportunityLineRemoved,
    OpportunityLost,
    OpportunityNoteAdded,
    OpportunityOpened,
    OpportunityPipelineChanged,
    OpportunityProbabilityOverridden,
    OpportunityReassigned,
    OpportunityRenamed,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityWon,
)
from projections.model import STAMP, Model, Posting, Table, public_id, public_id_or_none, stamp
from projections.parts import add_external_ids, add_note, external_ids_of, notes_of, ordinal
from projections.searching import found_by, now_found_by, searched_by
from projections.sorting import TEXT_KEY, sort_key

OPPORTUNITIES = Table(
    name="opportunities",
    columns={
        "id": "text NOT NULL",
        **STAMP,
        "title": "text",
        "title_key": TEXT_KEY,  # the title as it sorts and is searched; "" where it was erased
        "status": "text NOT NULL",  # open, won, lost
        "customer_id": "text",
        "pipeline_id": "text NOT NULL",
        "stage_id": "text NOT NULL",  # stg_...; a closed deal keeps the stage that it was closed in
        "stage_entered_at": "timestamptz NOT NULL",
        "probability": "numeric NOT NULL",  # effective, per cent: 100 won, 0 lost, else the override or the stage's
        "probability_overridden": "boolean NOT NULL",
        "amount": "numeric",  # in currency; the sum of the lines where there are lines
        "currency": "text",
        "expected_close": "date",
        "closed_on": "date",  # while won or lost
        "loss_reason": "text",  # while lost, as competitor and loss_note
        "competitor": "text",
        "loss_note": "text",
        "owner_id": "text",
        "team_id": "text",
        "source": "text",
        "campaign": "text",
        "opened_at": "timestamptz NOT NULL",
        "registered_position": "bigint NOT NULL",  # the entry that opened it
        "last_touched_at": "timestamptz NOT NULL",  # when its last event happened: what `rotten` counts from
    },
    indexes=(
        "opened_at DESC, id",
        "title_key, id",
        "customer_id, opened_at DESC, id",
        "owner_id, opened_at DESC, id",
        "team_id, opened_at DESC, id",
        "pipeline_id, opened_at DESC, id",
        "stage_id, status, opened_at DESC, id",
        "status, opened_at DESC, id",
        "closed_on DESC NULLS LAST, id",
        "expected_close, id",
        "(case when amount is not null then currency end) DESC NULLS LAST, amount DESC NULLS LAST, id",
        "last_touched_at DESC, id",
    ),
    few=("customer_id",),
)

LINES = Table(
    name="opportunity_lines",
    columns={
        "id": "text NOT NULL",  # lin_...
        "opportunity_id": "text NOT NULL",
        "product_id": "text NOT NULL",
        "quantity": "numeric NOT NULL",
        "price": "numeric",  # for one unit, before discount and tax; NULL while unpriced
        "discount": "numeric NOT NULL",  # per cent
        "tax": "numeric NOT NULL",  # per cent
        "total": "numeric",  # quantity times price less discount; NULL while unpriced
        "currency": "text NOT NULL",  # of price and total
        "ordinal": "bigint NOT NULL",  # the order of adding
        "added_at": "timestamptz NOT NULL",
    },
    of="opportunity_id",
    indexes=("opportunity_id, ordinal", "product_id, opportunity_id"),
)

STAGE_HISTORY = Table(
    name="opportunity_stage_history",
    columns={
        "opportunity_id": "text NOT NULL",
        "ordinal": "bigint NOT NULL",  # the version of the event
        "from_stage_id": "text",  # NULL where the deal began, as probability_before
        "stage_id": "text NOT NULL",  # the stage tells the pipeline
        "probability_before": "numeric",  # effective, an override included
        "probability_after": "numeric NOT NULL",
        "entered_at": "timestamptz NOT NULL",
    },
    key=("opportunity_id", "ordinal"),
    of="opportunity_id",
    indexes=("stage_id, entered_at, opportunity_id",),
    grows=True,
)

NOTES, EXTERNAL_IDS = notes_of("opportunity"), external_ids_of("opportunity")

SEARCH = searched_by("opportunity")
"""By title and external ids."""


def post(posting: Posting, recorded: Recorded[OpportunityEvent]) -> None:
    """What one event of a deal changes: its parts, and always the stamp of its record."""
    id, at = public_id("opportunity", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case OpportunityOpened() as event:
            return _open(posting, id, recorded, event)
        case OpportunityStageChanged() | OpportunityPipelineChanged() as event:
            columns = _enter_stage(posting, id, recorded, event)
        case OpportunityNoteAdded() as event:
            add_note(posting, NOTES, recorded, event.note, event.text, opportunity_id=id)
        case OpportunityAmountChanged() as event:
            columns = {"amount": event.new_amount, "currency": event.new_currency}
        case OpportunityLineAdded(added=line) as event:
            _insert_line(posting, id, line, event.currency, recorded)
            columns = {"amount": event.new_amount, "currency": event.currency}
        case OpportunityLineChanged(new=line) as event:
            posting.change(LINES, type_id("lin", line.line), **_terms(line))
            columns = {"amount": event.new_amount}
        case OpportunityLineRemoved(removed=line) as event:
            posting.remove(LINES, type_id("lin", line.line))
            columns = {"amount": event.new_amount}
        case OpportunityCloseDateMoved(new=day):
            columns = {"expected_close": day}
        case OpportunityReassigned() as event:
            columns = {
                "owner_id": public_id_or_none("staff_member", event.new_owner),
                "team_id": public_id_or_none("team", event.new_team),
            }
        case OpportunityWon(closed_on=day):
            columns = {"status": "won", "probability": CERTAIN, "closed_on": day}
        case OpportunityLost() as event:
            columns = {
                "status": "lost",
                "probability": NEVER,
                "closed_on": event.closed_on,
                "loss_reason": event.reason.value,
                "competitor": opened(event.competitor),
                "loss_note": opened(event.note),
            }
        case OpportunityReopened(probability_after=probability):
            columns = {"status": "open", "probability": probability, "probability_overridden": False, **_NOT_CLOSED}
        case OpportunityProbabilityOverridden(new=probability, overridden=overridden):
            columns = {"probability": probability, "probability_overridden": overridden}
        case OpportunityCustomerAssigned(new=customer):
            columns = {"customer_id": public_id_or_none("customer", customer)}
        case OpportunityRenamed(new=title):
            columns = {"title": opened(title), "title_key": sort_key(title)}
            now_found_by(posting, SEARCH, id, "title", title)
        case OpportunityExternalIdAdded(external_id=external_id):
            add_external_ids(posting, EXTERNAL_IDS, id, recorded, (external_id,), SEARCH)
        case _ as never:
            assert_never(never)
    return posting.change(OPPORTUNITIES, id, **columns, last_touched_at=at, **stamp(recorded))


_NOT_CLOSED = {"closed_on": None, "loss_reason": None, "competitor": None, "loss_note": None}


def _open(posting: Posting, id: str, recorded: Recorded[Any], event: OpportunityOpened) -> None:
    stage = type_id("stg", event.stage)
    posting.insert(
        OPPORTUNITIES,
        id=id,
        title=opened(event.title),
        title_key=sort_key(event.title),
        status="open",
        customer_id=public_id_or_none("customer", event.customer),
        pipeline_id=public_id("pipeline", event.pipeline),
        stage_id=stage,
        stage_entered_at=recorded.occurred_at,
        probability=event.probability,
        probability_overridden=False,
        amount=event.amount,
        currency=event.currency,
        expected_close=event.expected_close,
        owner_id=public_id_or_none("staff_member", event.owner),
        team_id=public_id_or_none("team", event.team),
        source=opened(event.source),
        campaign=opened(event.campaign),
        opened_at=recorded.occurred_at,
        registered_position=recorded.position,
        last_touched_at=recorded.occurred_at,
        **stamp(recorded),
    )
    posting.insert(
        STAGE_HISTORY,
        opportunity_id=id,
        ordinal=recorded.originator_version,
        stage_id=stage,
        probability_after=event.probability,
        entered_at=recorded.occurred_at,
    )
    for place, line in enumerate(event.lines):
        _insert_line(posting, id, line, event.currency, recorded, place)
    found_by(posting, SEARCH, id, "title", event.title)
    add_external_ids(posting, EXTERNAL_IDS, id, recorded, event.external_ids, SEARCH)


def _enter_stage(
    posting: Posting, id: str, recorded: Recorded[Any], event: OpportunityStageChanged | OpportunityPipelineChanged
) -> dict[str, Any]:
    """A row of the stage history; returns what changes in the deal itself."""
    stage = type_id("stg", event.to_stage)
    posting.insert(
        STAGE_HISTORY,
        opportunity_id=id,
        ordinal=recorded.originator_version,
        from_stage_id=type_id("stg", event.from_stage),
        stage_id=stage,
        probability_before=event.probability_before,
        probability_after=event.probability_after,
        entered_at=recorded.occurred_at,
    )
    columns = {
        "stage_id": stage,
        "stage_entered_at": recorded.occurred_at,
        "probability": event.probability_after,
    }
    if isinstance(event, OpportunityPipelineChanged):
        columns["pipeline_id"] = public_id("pipeline", event.to_pipeline)
    return columns


def _insert_line(
    posting: Posting, id: str, line: OpportunityLine, currency: str | None, recorded: Recorded[Any], place: int = 0
) -> None:
    posting.insert(
        LINES,
        id=type_id("lin", line.line),
        opportunity_id=id,
        product_id=public_id("product", line.product),
        currency=currency,
        ordinal=ordinal(recorded, place),
        added_at=recorded.occurred_at,
        **_terms(line),
    )


def _terms(line: OpportunityLine) -> dict[str, Any]:
    return {
        "quantity": line.quantity,
        "price": line.price,
        "discount": line.discount,
        "tax": line.tax,
        "total": line.total,
    }


opportunities = Model(
    name="opportunities",
    version=7,
    tables=(OPPORTUNITIES, LINES, STAGE_HISTORY, NOTES, EXTERNAL_IDS, SEARCH),
    post=post,
    kinds=frozenset(("opportunity",)),
)
