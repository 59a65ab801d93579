"""Trying parked lanes again, with today's code: what is posted is what the lane has missed since it stopped."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import psycopg

from infra.mapper import SealingMapper
from projections.flush import Flush, prepare_to_write
from projections.lanes import Parked, park, release, write_carefully
from projections.ledger import Moved, tell
from projections.model import Model
from projections.posting import lane_entries, post
from projections.tables import READ, Db

AT_ONCE = 50
"""Lanes of a model in one transaction: the runner waits meanwhile."""


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """A lane that was tried again."""

    model: str
    aggregate_id: UUID
    error: str | None
    """What still stops it; None: it is free."""


def retry(
    conninfo: str, mapper: SealingMapper, models: Sequence[Model], *, aggregate_id: UUID | None = None
) -> list[Retried]:
    """Try the parked lanes of these models again, or those of one aggregate. The runner may run meanwhile."""
    flush, retried = Flush(READ), list[Retried]()
    with psycopg.connect(conninfo, autocommit=True, application_name="daybook retry") as db:
        prepare_to_write(db)
        for model in models:
            after = UUID(int=0)
            while lanes := _some(db, mapper, flush, model, aggregate_id, after):
                retried += lanes
                after = lanes[-1].aggregate_id
    return retried


def _some(
    db: Db, mapper: SealingMapper, flush: Flush, model: Model, aggregate_id: UUID | None, after: UUID
) -> list[Retried]:
    with db.transaction():
        # The runner locks the row before it writes: it waits here, and then finds another edition.
        stand = db.execute(_LOCK, (model.name, model.version)).fetchone()
        lanes = db.execute(_LANES, (model.name, after, aggregate_id, aggregate_id, AT_ONCE)).fetchall()
        if stand is None or not lanes:
            return []
        (position,) = stand
        stopped = {id: _post_lane(db, mapper, flush, model, id, first, position) for id, first in lanes}
        park(db, [one for one in stopped.values() if one is not None])
        release(db, [(model.name, id) for id, one in stopped.items() if one is None])
        tell(db, Moved(position, (model.name,), lanes=True))
    return [Retried(model=model.name, aggregate_id=id, error=one.error if one else None) for id, one in stopped.items()]


def _post_lane(
    db: Db, mapper: SealingMapper, flush: Flush, model: Model, aggregate: UUID, first: int, last: int
) -> Parked | None:
    """Post what a lane has missed; returns where it stops again, if it does. What comes before that is kept."""
    posted = post(mapper, lane_entries(db, aggregate, first, last), [model], ())
    refused = write_carefully(db, flush, posted.units)
    return min((*posted.parked, *refused), key=lambda one: one.position, default=None)


_LOCK = """
    UPDATE daybook_projections.models SET edition = edition + 1 WHERE name = %s AND version = %s RETURNING position
"""
_LANES = """
    SELECT aggregate_id, position FROM daybook_projections.parked
    WHERE model = %s AND aggregate_id > %s AND (%s::uuid IS NULL OR aggregate_id = %s)
    ORDER BY aggregate_id LIMIT %s
"""
