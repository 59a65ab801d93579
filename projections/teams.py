"""Teams as screens read them."""

from typing import Any, assert_never

from domain.kernel import Withheld, opened
from domain.kernel.recorded import Recorded
from domain.team import (
    TeamArchived,
    TeamCreated,
    TeamEvent,
    TeamExternalIdAdded,
    TeamLeadAssigned,
    TeamRenamed,
    TeamRestored,
)
from projections.model import STAMP, Model, Posting, Table, public_id, public_id_or_none, stamp
from projections.parts import add_external_ids, external_ids_of
from projections.sorting import TEXT_KEY, sort_key

TEAMS = Table(
    name="teams",
    columns={
        "id": "text NOT NULL",
        "name": "text NOT NULL",
        "name_key": TEXT_KEY,  # the name as it sorts and is searched
        "status": "text NOT NULL",  # active, archived
        "parent_id": "text",  # the team that it is a part of
        "lead_id": "text",  # the staff member who leads it
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
    indexes=(
        "name_key, id",
        "created_at DESC, id",
        "parent_id, created_at DESC, id",
        "lead_id, created_at DESC, id",
        "position",
    ),
)

EXTERNAL_IDS = external_ids_of("team")


def post(posting: Posting, recorded: Recorded[TeamEvent]) -> None:
    """What one event of a team changes."""
    id, at = public_id("team", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case TeamCreated() as event:
            return _create(posting, id, recorded, event)
        case TeamRenamed(new=name):
            columns = {"name": name, "name_key": sort_key(name)}
        case TeamLeadAssigned(new=lead):
            columns = {"lead_id": public_id_or_none("staff_member", lead)}
        case TeamExternalIdAdded(external_id=external_id):
            if not isinstance(external_id, Withheld):
                add_external_ids(posting, EXTERNAL_IDS, id, recorded, (external_id,))
        case TeamArchived():
            columns = {"status": "archived"}
        case TeamRestored():
            columns = {"status": "active"}
        case _ as never:
            assert_never(never)
    return posting.change(TEAMS, id, **columns, changed_at=at, **stamp(recorded))


def _create(posting: Posting, id: str, recorded: Recorded[Any], event: TeamCreated) -> None:
    posting.insert(
        TEAMS,
        id=id,
        name=event.name,
        name_key=sort_key(event.name),
        status="active",
        parent_id=public_id_or_none("team", event.parent),
        lead_id=public_id_or_none("staff_member", event.lead),
        created_at=recorded.occurred_at,
        changed_at=recorded.occurred_at,
        **stamp(recorded),
    )
    add_external_ids(posting, EXTERNAL_IDS, id, recorded, opened(event.external_ids) or ())


teams = Model(
    name="teams",
    version=4,
    tables=(TEAMS, EXTERNAL_IDS),
    post=post,
    kinds=frozenset(("team",)),
)
