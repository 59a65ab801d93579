"""Trying parked lanes again, with today's code: what is posted is what the lane has missed since it stopped."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import psycopg

from infra.entries import StoredEntry
from infra.mapper import SealingMapper
from infra.times import hold_times
from projections.flush import Flush, prepare_to_write
from projections.lanes import Parked, park, release, write_carefully
from projections.ledger import Moved, tell
from projections.model import Model
from projections.posting import erased_records, lane_entries, post
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
        hold_times(db)
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
        errors = dict[UUID, str]()
        for (id,) in lanes:
            parked = _post_lane(db, mapper, flush, model, id, position)
            park(db, parked)
            stopped = {one.lane[1]: one.error for one in sorted(parked, key=lambda one: -one.position)}
            if id not in stopped:
                release(db, [(model.name, id)])
                errors.pop(id, None)
            errors |= stopped
        tell(db, Moved(position, (model.name,), lanes=True))
    return [Retried(model=model.name, aggregate_id=id, error=errors.get(id)) for (id,) in lanes]


def _post_lane(db: Db, mapper: SealingMapper, flush: Flush, model: Model, aggregate: UUID, last: int) -> list[Parked]:
    """Post what a lane has missed; returns where it stops again, if it does. What comes before that is kept.

    Where that was an erasure, records that it names are posted anew, and may stop too.
    """

    def waiting(*ids: UUID) -> dict[UUID, int]:
        return dict(db.execute(_WAITING, (model.name, [*ids])).fetchall())

    def history(id: UUID, before: int) -> Sequence[StoredEntry]:
        # What the others' lanes have posted since is in their rows, and must be there again.
        return lane_entries(db, id, 0, before if id == aggregate else last)

    entries = lane_entries(db, aggregate, waiting(aggregate)[aggregate], last)
    named = {record.id for entry in entries for record in erased_records(entry)} - {aggregate}
    parked = {(model.name, id): at for id, at in waiting(*named).items()}
    posted = post(mapper, entries, [model], parked, history)
    return [*posted.parked, *write_carefully(db, flush, posted.units)]


_LOCK = """
    UPDATE daybook_projections.models SET edition = edition + 1 WHERE name = %s AND version = %s RETURNING position
"""
_LANES = """
    SELECT aggregate_id FROM daybook_projections.parked
    WHERE model = %s AND aggregate_id > %s AND (%s::uuid IS NULL OR aggregate_id = %s)
    ORDER BY aggregate_id LIMIT %s
"""
_WAITING = "SELECT aggregate_id, position FROM daybook_projections.parked WHERE model = %s AND aggregate_id = ANY(%s)"
