"""How the projections are: position N of M, last moved at T, who leads, what is parked or differs from what the book
says, and what an operator has to do."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from projections.model import Model
from projections.tables import Db

STILL = 5.0
"""Seconds that a model may be behind without moving."""

UNSIGNED = 60.0
"""Seconds that an entry may be under no checkpoint while somebody posts, who signs one every few seconds."""

MOST_LANES = 100
"""Parked lanes that a status names, and mismatches; all are counted."""


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where one read model stands."""

    name: str
    position: int
    lag: int
    """Entries of the book that are not in its rows yet."""
    moved_at: datetime
    parked: int
    """How many of its lanes are parked."""
    mismatched: int
    """How many records were found whose rows are not what the book says; of many, not all are counted."""


class ParkedLane(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregate that one read model has stopped following."""

    model: str
    aggregate_id: UUID
    position: int
    """Of the first event that is not in the rows."""
    event: str
    error: str
    parked_at: datetime
    attempts: int


class MismatchedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose rows in one read model are not what its entries say."""

    model: str
    record: str
    position: int
    """Where the model stood when it was looked at last."""
    what: str
    """Which tables and columns, in words and without a value."""
    found_at: datetime


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """How far the looking for such records is."""

    records: int
    """Looked at so far, again and again: a record counts once for each read model that it is in."""
    looked_at: datetime | None
    """When it was looked last; None: never yet."""
    passed_at: datetime | None
    """When every record of the book was gone through last."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The projections as a whole."""

    ready: bool
    """False while projections stand still or can't go on. Parked lanes leave it true: all the others go on."""
    problems: tuple[str, ...]
    """Why it is not ready, and what to do, in sentences."""
    alarms: tuple[str, ...]
    """What is wrong though it is ready, and what to do: rows that are not what the book says, entries that are gone, or
    that nobody signs."""
    head: int
    """The position of the last entry of the book."""
    position: int
    """The position that every read model has reached."""
    models: tuple[ModelStatus, ...]
    leader: str | None
    lease_expires_at: datetime | None
    parked: int
    parked_lanes: tuple[ParkedLane, ...]
    """The first MOST_LANES of them."""
    attested: Attested
    mismatched: int
    mismatched_records: tuple[MismatchedRecord, ...]
    """The first MOST_LANES of them."""


def status(db: Db, models: Sequence[Model]) -> Status:
    """How these models are. `db`: a connection in autocommit mode, to a migrated database."""
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        [(head,)] = db.execute("SELECT coalesce(max(position), 0) FROM daybook.events")
        found = {row[0]: row for row in db.execute(_MODELS)}
        [(leader, expires_at)] = db.execute(_LEASE)
        lanes = db.execute(_LANES, (MOST_LANES,)).fetchall()
        parked: dict[str, int] = dict(db.execute(_COUNT).fetchall())
        mismatches = db.execute(_MISMATCHES, (MOST_LANES,)).fetchall()
        mismatched: dict[str, int] = dict(db.execute(_MISMATCHED).fetchall())
        [(records, looked_at, passed_at)] = db.execute(_ATTESTED)
        unsigned = db.execute(_UNSIGNED).fetchone() if leader else None
    stands: list[ModelStatus] = []
    problems = [] if leader else ["Nobody posts to the read models. Start `daybook serve` or `daybook work`."]
    for model in models:
        if model.name not in found:
            problems.append(f"The read model {model.name} is missing. Run `daybook migrate`.")
            continue
        name, version, position, moved_at, waits = found[model.name]
        if version != model.version:
            problems.append(
                f"The read model {name} has version {version}, and this Daybook needs {model.version}."
                f" Run `daybook rebuild {name}`."
            )
        elif waits is not None and waits > STILL:
            problems.append(f"The read model {name} has stood at {position} of {head} for {waits:.0f} seconds.")
        stands.append(
            ModelStatus(
                name=name,
                position=position,
                lag=max(head - position, 0),
                moved_at=moved_at,
                parked=parked.get(name, 0),
                mismatched=mismatched.get(name, 0),
            )
        )
    alarms = [
        f"{many} records of the read model {name} are not what the book says. Run `daybook rebuild {name}`."
        for name, many in mismatched.items()
    ]
    if ahead := {one.name: one.position for one in stands if one.position > head}:
        alarms.append(
            f"The book ends at entry {head}, and the read models have posted {max(ahead.values())}: entries are gone,"
            f" or somebody has set {', '.join(ahead)} forward. Run `daybook verify --checkpoint` with one that was kept"
            " elsewhere; where it finds nothing, `daybook rebuild`."
        )
    if unsigned is not None and unsigned[1] > UNSIGNED:
        alarms.append(
            f"No checkpoint was signed since entry {unsigned[0]}, {unsigned[1]:.0f} seconds ago. Run `daybook verify`,"
            " and read in the log of who posts why."
        )
    return Status(
        ready=not problems,
        problems=tuple(problems),
        alarms=tuple(alarms),
        head=head,
        position=min((one.position for one in stands), default=0),
        models=tuple(stands),
        leader=leader,
        lease_expires_at=expires_at if leader else None,
        parked=sum(parked.values()),
        parked_lanes=tuple(
            ParkedLane(
                model=model, aggregate_id=id, position=at, event=event, error=error, parked_at=since, attempts=attempts
            )
            for model, id, at, event, error, since, attempts in lanes
        ),
        attested=Attested(records=records, looked_at=looked_at, passed_at=passed_at),
        mismatched=sum(mismatched.values()),
        mismatched_records=tuple(
            MismatchedRecord(model=model, record=record, position=at, what=what, found_at=found_at)
            for model, record, at, what, found_at in mismatches
        ),
    )


# The book's positions are dense, so the entry that a model waits for is the one after its own position. A moment that
# lies ahead is of before the clock was set back: since then the model has not moved, nobody knows for how long. An
# altered position may be the last that there can be, and an altered time infinite.
_MODELS = """
    SELECT name, version, models.position, moved_at,
        abs(extract(epoch FROM clock_timestamp() - greatest(moved_at, next.at)))::float
            * CASE WHEN next.position IS NOT NULL THEN 1 END
    FROM daybook_projections.models
    LEFT JOIN LATERAL (
        SELECT position, CASE WHEN isfinite(recorded_at) THEN recorded_at END AS at FROM daybook.events
        WHERE position = least(models.position, 9223372036854775806) + 1) AS next ON true
"""
# The first entry that no checkpoint covers, and for how long.
_UNSIGNED = """
    SELECT position, extract(epoch FROM clock_timestamp() - recorded_at)::float FROM daybook.events
    WHERE position = (SELECT coalesce(max(size), 0) + 1 FROM daybook_log.checkpoints) AND isfinite(recorded_at)
"""
_LEASE = """
    SELECT CASE WHEN expires_at > clock_timestamp() THEN holder END, expires_at FROM daybook_projections.lease
"""
_LANES = """
    SELECT model, aggregate_id, position, event, error, parked_at, attempts FROM daybook_projections.parked
    ORDER BY parked_at, model, aggregate_id LIMIT %s
"""
_COUNT = "SELECT model, count(*) FROM daybook_projections.parked GROUP BY model"
_MISMATCHES = """
    SELECT model, record, position, what, found_at FROM daybook_projections.mismatches
    ORDER BY found_at, model, record LIMIT %s
"""
_MISMATCHED = "SELECT model, count(*) FROM daybook_projections.mismatches GROUP BY model ORDER BY model"
_ATTESTED = "SELECT records, looked_at, passed_at FROM daybook_projections.attestation"
