"""Lanes: one aggregate in one model. An event that can't be posted parks its lane; all the others go on."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import NamedTuple, TypeAlias
from uuid import UUID

import msgspec
import psycopg

from projections.flush import Flush, Statement
from projections.past import At
from projections.tables import Change, Db

Lane: TypeAlias = tuple[str, UUID]
"""Model and aggregate."""


class Unit(msgspec.Struct, frozen=True):
    """What one event changes in one model."""

    lane: Lane
    at: At
    event: str
    changes: list[Change]


class Parked(NamedTuple):
    """A lane, and the first of its events that is not in the rows."""

    lane: Lane
    position: int
    event: str
    """Its stored name."""
    error: str
    """What went wrong, without a value of the event in it."""


def is_poison(error: Exception) -> bool:
    """Whether an error comes from the event, so that trying again would fail again.

    Lost connections do not, nor do rights that are missing: those would park every lane.
    """
    of_the_data = (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.ProgrammingError,
        psycopg.errors.ProgramLimitExceeded,  # a value too large for an index, say
    )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return False
    return isinstance(error, of_the_data) or not isinstance(error, psycopg.Error)


def described(error: Exception) -> str:
    """What an operator needs to know of an error. Never its message: that may quote the event's personal values."""
    words = [type(error).__name__]
    if isinstance(error, psycopg.Error):
        named = {
            "column": error.diag.column_name,
            "constraint": error.diag.constraint_name,
            "table": error.diag.table_name,
        }
        words += [f"SQLSTATE {error.sqlstate}", *(f"{what} {name}" for what, name in named.items() if name)]
    else:
        if meaning := (type(error).__doc__ or "").strip():
            words.append(meaning.splitlines()[0])
        for frame in extract_tb(error.__traceback__)[-1:]:
            words.append(f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}")
    return "; ".join(words)


def write_carefully(
    db: Db, flush: Flush, units: Sequence[Unit], made: Sequence[Statement] | None = None
) -> list[Parked]:
    """Write what can be written, inside the open transaction; returns the lanes whose events can't be.

    `made`: the statements of all these units, where they were made before: of many it takes long, which locks need not.
    A failing half is halved again until the guilty event stands alone. What follows it in its lane is left out.
    """
    parked: dict[Lane, Parked] = {}

    def attempt(units: Sequence[Unit], made: Sequence[Statement] | None = None) -> None:
        units = [unit for unit in units if unit.lane not in parked]
        if not units:
            return
        try:
            with db.transaction():
                flush.write(db, made or flush.statements((unit.at, unit.changes) for unit in units))
        except Exception as error:
            if not is_poison(error):
                raise
            if len(units) == 1:
                unit = units[0]
                parked[unit.lane] = Parked(unit.lane, unit.at.position, unit.event, described(error))
            else:
                attempt(units[: len(units) // 2])
                attempt(units[len(units) // 2 :])

    attempt(units, made)
    return list(parked.values())


def park(db: Db, parked: Iterable[Parked]) -> None:
    """Record parked lanes; one that is there already gets another attempt.

    A lane may come twice: an event that can't be written stands before one that can't be read. The first one counts.
    """
    rows = {one.lane: one for one in sorted(parked, key=lambda one: -one.position)}.values()
    if rows:
        db.execute(
            _PARK,
            (
                [one.lane[0] for one in rows],
                [one.lane[1] for one in rows],
                [one.position for one in rows],
                [one.event for one in rows],
                [one.error for one in rows],
            ),
        )


def release(db: Db, lanes: Iterable[Lane]) -> None:
    """Forget that lanes were parked."""
    freed = list(lanes)
    db.execute(_RELEASE, ([model for model, _ in freed], [aggregate for _, aggregate in freed]))


_PARK = """
    INSERT INTO daybook_projections.parked (model, aggregate_id, position, event, error, parked_at, attempts)
    SELECT *, now(), 1 FROM unnest(%s::text[], %s::uuid[], %s::bigint[], %s::text[], %s::text[])
    ON CONFLICT (model, aggregate_id) DO UPDATE SET
        position = excluded.position, event = excluded.event, error = excluded.error, attempts = parked.attempts + 1
"""
_RELEASE = """
    DELETE FROM daybook_projections.parked USING unnest(%s::text[], %s::uuid[]) AS free (model, aggregate_id)
    WHERE (parked.model, parked.aggregate_id) = (free.model, free.aggregate_id)
"""
