"""Queues as screens read them."""

from typing import Any, assert_never

from domain.kernel.recorded import Recorded
from domain.queue import QueueArchived, QueueCreated, QueueEvent, QueueRenamed, QueueRestored, QueueTeamAssigned
from projections.model import STAMP, Model, Posting, Table, public_id, public_id_or_none, stamp
from projections.sorting import TEXT_KEY, sort_key

QUEUES = Table(
    name="queues",
    columns={
        "id": "text NOT NULL",
        "name": "text NOT NULL",
        "name_key": TEXT_KEY,  # the name as it sorts and is searched
        "status": "text NOT NULL",  # active, archived
        "team_id": "text",  # the team that works on it
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
    indexes=("name_key, id", "created_at DESC, id", "team_id, created_at DESC, id", "position"),
)


def post(posting: Posting, recorded: Recorded[QueueEvent]) -> None:
    """What one event of a queue changes."""
    id, at = public_id("queue", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case QueueCreated(name=name, team=team):
            return posting.insert(
                QUEUES,
                id=id,
                name=name,
                name_key=sort_key(name),
                status="active",
                team_id=public_id_or_none("team", team),
                created_at=at,
                changed_at=at,
                **stamp(recorded),
            )
        case QueueRenamed(new=name):
            columns = {"name": name, "name_key": sort_key(name)}
        case QueueTeamAssigned(new=team):
            columns = {"team_id": public_id_or_none("team", team)}
        case QueueArchived():
            columns = {"status": "archived"}
        case QueueRestored():
            columns = {"status": "active"}
        case _ as never:
            assert_never(never)
    return posting.change(QUEUES, id, **columns, changed_at=at, **stamp(recorded))


queues = Model(name="queues", version=4, tables=(QUEUES,), post=post, kinds=frozenset(("queue",)))
