"""Where the read models stand, and the one transaction that moves them: rows, position and notice together."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import Cursor

from infra.exchange import Asked, Exchange, in_text
from projections.flush import Flush, Statement
from projections.lanes import Lane, Parked, Unit, is_poison, park, write_carefully
from projections.lease import RENEW, Lease
from projections.model import Model
from projections.statements import Text
from projections.tables import Db

PROJECTED = "daybook_projected"
"""The channel on which a commit of the projections is announced; the payload is a Moved as JSON."""

_LISTENED = 0x6461_7962_6F6F_6B08
"""Advisory lock that all who listen share, so that a commit which nobody listens to spares itself the notice."""

LISTEN = f"SELECT pg_advisory_lock_shared({_LISTENED}); LISTEN {PROJECTED}".encode()
UNLISTEN = f"UNLISTEN {PROJECTED}; SELECT pg_advisory_unlock_shared({_LISTENED})".encode()
"""Whoever begins to listen reads afterwards where the models stand: the lock waits for a commit without a notice."""


class Moved(msgspec.Struct, frozen=True):
    """The notice: these models stand at this position now. `lanes`: and some of their lanes were parked or freed."""

    position: int
    models: tuple[str, ...]
    lanes: bool


class Superseded(Exception):
    """Somebody else moved or rebuilt a model meanwhile: read anew where the models stand."""


class Stand(NamedTuple):
    position: int
    edition: int


class Standing(NamedTuple):
    """Where the models stand, as far as they were made by this version of the code, and their parked lanes."""

    models: Mapping[str, Stand]
    parked: Mapping[Lane, int]
    """By lane: its first entry that waits."""

    def position(self, model: Model) -> int | None:
        stand = self.models.get(model.name)
        return None if stand is None else stand.position

    def moved(self, batch: "Batch") -> "Standing":
        """Where they stand once the batch is committed."""
        models = {model.name: Stand(batch.upto, self.models[model.name].edition) for model in batch.models}
        return Standing({**self.models, **models}, self.parked).without(batch.parked)

    def without(self, parked: Sequence[Parked]) -> "Standing":
        """The same, with these lanes parked."""
        # A lane may come twice; its first entry counts.
        first = {one.lane: one.position for one in sorted(parked, key=lambda one: -one.position)}
        return Standing(self.models, {**self.parked, **first}) if parked else self


class Batch(NamedTuple):
    """What a stretch of the book changes in the models that stand at its beginning, ready to be written."""

    models: Sequence[Model]
    after: int
    upto: int
    more: bool
    """There is more to post than this."""
    units: Sequence[Unit]
    parked: Sequence[Parked]
    statements: Sequence[Statement] | None
    """None where some value can't be written: the batch is then written with care, to find which."""

    @property
    def at_once(self) -> Sequence[Statement] | None:
        """The statements, where they may be one; None where they may not."""
        made = self.statements
        return None if made is None or self.parked or any(one.text.clears for one in made) else made


def standing(db: Db, models: Sequence[Model], known: Standing | None = None) -> Standing:
    """Where these models stand. A model of another version is left out: its tables are not for this code to write.

    `known`: what the leader knows. Its lanes are read anew only where somebody else may have changed them.
    """
    rows = db.execute(
        "SELECT name, version, position, edition FROM daybook_projections.models", prepare=True
    ).fetchall()
    found = {name: (version, Stand(position, edition)) for name, version, position, edition in rows}
    current = {model.name: found[model.name][1] for model in models if found.get(model.name, (0,))[0] == model.version}
    if known is not None and current == known.models:
        return known
    lanes = db.execute("SELECT model, aggregate_id, position FROM daybook_projections.parked", prepare=True)
    return Standing(current, {(model, aggregate): position for model, aggregate, position in lanes})


def commit(exchange: Exchange, flush: Flush, lease: Lease, batch: Batch, where: Standing) -> list[Parked]:
    """Write a batch and move its models, in one transaction; returns the lanes whose events the database refused.

    An error that the batch itself causes leads to a second try with care; others are raised, and LeaseLost, Superseded.
    """
    if (at_once := batch.at_once) is not None:
        try:
            _commit_at_once(exchange, lease, batch, where, at_once)
        except psycopg.Error as error:
            if not is_poison(error):
                raise
        else:
            return []
    db = exchange.connection
    with db.transaction():
        lease.hold(lease.renew(db))
        _hold(_move(db, batch, where), batch)
        refused = write_carefully(db, flush, batch.units, batch.statements)
        _finish(db, batch, [*batch.parked, *refused])
    return refused


def _commit_at_once(
    exchange: Exchange, lease: Lease, batch: Batch, where: Standing, statements: Sequence[Statement]
) -> None:
    """The same as one statement, which is its own transaction: sending it in parts costs more than their work, and the
    next batch is prepared meanwhile, which each part would interrupt."""
    query = _at_once(tuple(one.text for one in statements))
    rows = (one.rows for one in statements)
    values = in_text(*lease.renewal, *_movement(batch, where), *rows, len(batch.models), *_notice(moved_by(batch)))
    # The mixtures of a single entry come again and again. Those of many are planned anew, once for hundreds of rows.
    exchange.run(Asked(query, values, comes_again=batch.upto == batch.after + 1))
    lease.kept()


@lru_cache(maxsize=1_000)
def _at_once(texts: tuple[Text, ...]) -> bytes:
    """Renew, move, write and tell in one statement. Where the lease or a model is not held, it divides by zero.

    An error takes all of it back; `commit` then finds out with care what it was. A notice takes a lock of the whole
    server until the commit, so it is given only where somebody listens: who does keeps us from getting the other lock.
    """
    rows = b"".join(
        b"%b, rows_%d AS (%b)" % (b", " + beforehand if beforehand else b"", number, query)
        for number, (query, beforehand, _) in enumerate(texts)
    )
    text = b"""
        WITH renewed AS (%b RETURNING 1), moved AS (%b RETURNING 1)%b
        SELECT 1 / (SELECT count(*) FROM renewed), 1 / (SELECT (count(*) = %%s)::int FROM moved),
            CASE WHEN NOT pg_try_advisory_xact_lock(%d) THEN pg_notify(%%s, %%s)::text END
    """ % (RENEW.encode(), _MOVE.encode(), rows, _LISTENED)
    numbers = count(1)
    return re.sub(rb"%s", lambda _: b"$%d" % next(numbers), text)


def _move(db: Db, batch: Batch, where: Standing) -> Cursor[Any]:
    """Move the models, and lock them: everybody who changes a model's rows locks it first."""
    return db.execute(_MOVE, _movement(batch, where), prepare=True)


def _movement(batch: Batch, where: Standing) -> tuple[int, list[int], list[str], int]:
    names = [model.name for model in batch.models]
    return batch.upto, [where.models[name].edition for name in names], names, batch.after


def _hold(moved: Cursor[Any], batch: Batch) -> None:
    if moved.rowcount != len(batch.models):
        raise Superseded


def _finish(db: Db, batch: Batch, parked: Sequence[Parked]) -> None:
    park(db, parked)
    tell(db, moved_by(batch, lanes=bool(parked)))


def moved_by(batch: Batch, *, lanes: bool = False) -> Moved:
    """What is to be told of a batch that was committed."""
    return Moved(batch.upto, tuple(model.name for model in batch.models), lanes)


def tell(db: Db, moved: Moved) -> None:
    """Announce it, once the transaction commits."""
    db.execute("SELECT pg_notify(%s, %s)", _notice(moved), prepare=True)


def _notice(moved: Moved) -> tuple[str, str]:
    return PROJECTED, msgspec.json.encode(moved).decode()


# The edition stands where the name does. The few rows are gone through once: looked up one by one by a list that is
# joined, they take half as long again.
_MOVE = """
    UPDATE daybook_projections.models SET position = %s, moved_at = clock_timestamp()
    WHERE edition = (%s::bigint[])[array_position(%s::text[], name)] AND position = %s
"""
