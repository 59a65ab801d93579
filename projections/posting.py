"""From entries to postings: open them, ask every model what each one changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

import psycopg

from domain.customer import PERSONAL_DATA_ERASED
from domain.encoding import Catalogue, UnknownEventName
from domain.kernel import Withheld
from infra.entries import COLUMNS, StoredEntry, concerned
from infra.mapper import SealingMapper
from infra.master_key import MasterKeyError
from projections.lanes import Lane, Parked, Unit, described
from projections.model import Model, Posting, public_id
from projections.past import At
from projections.registry import may_hold_persons
from projections.tables import Db

_LANE = (
    f"SELECT {COLUMNS} FROM daybook.events WHERE originator_id = %s AND position BETWEEN %s AND %s ORDER BY position"
)

_MOST = 2**63 - 1


class Posted(NamedTuple):
    units: list[Unit]
    parked: list[Parked]
    """Lanes that stopped at an event which can't be decoded, or which a model fails on."""


class Record(NamedTuple):
    kind: str
    id: UUID


def erased_records(entry: StoredEntry) -> Iterator[Record]:
    """The records that an entry tells of whose personal data was erased; of one that does not fit, the customer."""
    if entry.topic in PERSONAL_DATA_ERASED:
        told = concerned(entry.state)
        yield Record("customer", entry.originator_id)
        yield from (Record("opportunity", one) for one in told.opportunities)
        yield from (Record("ticket", one) for one in told.tickets)
        yield from (Record("customer", one) for one in told.organisations)


Histories: TypeAlias = Callable[[UUID, int], Sequence[StoredEntry]]
"""An aggregate's entries up to a position."""


def lane_entries(db: Db, aggregate: UUID, first: int, last: int) -> list[StoredEntry]:
    """An aggregate's entries between two positions, both included."""
    return [StoredEntry(*row) for row in db.execute(_LANE, (aggregate, first, last), prepare=True, binary=True)]


def names_of_others(catalogue: Catalogue, models: Iterable[Model]) -> list[str]:
    """The stored names that none of these models takes.

    A name that the code does not know is not among them: it must be seen, and park its lane, not be passed over. Nor is
    the one that tells of an erasure: it is about other kinds of records too.
    """
    taken: set[str] = set()
    for model in models:
        if model.kinds is None:
            return []
        taken |= model.kinds
    names = {*catalogue.shapes, *catalogue.older} - {*PERSONAL_DATA_ERASED}
    return [name for name in names if catalogue.kind(name) not in taken]


def post(
    mapper: SealingMapper,
    entries: Sequence[StoredEntry],
    models: Sequence[Model],
    parked: Mapping[Lane, int],
    histories: Histories | None = None,
) -> Posted:
    """What the entries change in each model. `parked`: lanes that stand still, each with its first entry that waits.

    An event that today's code can't read, or that a model fails on, parks its lane: whatever the error, it is that
    entry's own, and the other lanes must go on. Where personal data was erased, the records that it stood in are posted
    anew from their `histories`, which do not open any more.
    """
    posted, stopped = Posted([], []), set[Lane]()
    erased = {entry.position: [*erased_records(entry)] for entry in entries if entry.topic in PERSONAL_DATA_ERASED}
    if erased:
        mapper.look_for_destroyed([record.id for records in erased.values() for record in records])
    takers: dict[str, Sequence[Model]] = {}
    begins: dict[Lane, int] = {}
    """Where the units of a lane begin that was posted anew."""

    def stop(model: Model, entry: StoredEntry, error: Exception) -> None:
        lane = (model.name, entry.originator_id)
        if lane not in stopped and entry.position < parked.get(lane, _MOST):
            stopped.add(lane)
            posted.parked.append(Parked(lane, entry.position, entry.topic, described(error)))

    for entry, personal in zip(entries, _opened(mapper, entries), strict=True):
        if erased and histories is not None:
            for record in erased.get(entry.position, ()):
                again = _posted_anew(mapper, record, histories(record.id, entry.position - 1), entry, models, parked)
                # In place of what the batch has posted of it so far: were that refused, its rows would not be cleared.
                begins |= dict.fromkeys((unit.lane for unit in again.units), len(posted.units))
                posted.units.extend(again.units)
                for one in again.parked:
                    if one.lane not in stopped:
                        stopped.add(one.lane)
                        posted.parked.append(one)
        try:
            if isinstance(personal, Exception):
                raise personal
            recorded = mapper.decode(entry, personal)
        except Exception as error:  # noqa: BLE001
            for model in _kept_waiting(mapper.catalogue, entry, models):
                stop(model, entry, error)
            continue
        if entry.topic not in takers:
            takers[entry.topic] = _takers(mapper.catalogue, entry, models)
        at = At(entry.position, entry.occurred_at)
        for model in takers[entry.topic]:
            lane = (model.name, entry.originator_id)
            if (stopped or parked) and (lane in stopped or entry.position >= parked.get(lane, _MOST)):
                continue
            posting = Posting()
            try:
                model.post(posting, recorded)
            except Exception as error:  # noqa: BLE001
                stop(model, entry, error)
                continue
            if posting.changes:
                posted.units.append(Unit(lane, at, entry.topic, posting.changes))
    if begins:  # at the end, and once: an erasure may name thousands of records
        posted.units[:] = [unit for at, unit in enumerate(posted.units) if at >= begins.get(unit.lane, 0)]
    return posted


def _posted_anew(
    mapper: SealingMapper,
    record: Record,
    history: Sequence[StoredEntry],
    erased: StoredEntry,
    models: Sequence[Model],
    parked: Mapping[Lane, int],
) -> Posted:
    """A record's rows from its history, in place of those that are there; of a lane that is parked, no further."""
    models = [model for model in models if model.kinds is None or record.kind in model.kinds]
    posted = post(mapper, history, models, parked)
    units: list[Unit] = []
    for model in models:
        lane, posting = (model.name, record.id), Posting()
        for table in model.tables:
            posting.clear(table, public_id(record.kind, record.id))
        units.append(Unit(lane, At(erased.position, erased.occurred_at), erased.topic, posting.changes))
        units += [unit for unit in posted.units if unit.lane == lane]
    return Posted(units, posted.parked)


def _opened(mapper: SealingMapper, entries: Sequence[StoredEntry]) -> Sequence[bytes | Withheld | Exception | None]:
    """The personal parts: all at once, or one by one where one of them does not open."""
    try:
        return mapper.open(entries)
    except (psycopg.Error, MasterKeyError):  # this host's key file is not the book's: every lane would be parked
        raise
    except Exception as error:  # noqa: BLE001  # as above
        return [error] if len(entries) == 1 else [part for entry in entries for part in _opened(mapper, [entry])]


def _kept_waiting(catalogue: Catalogue, entry: StoredEntry, models: Sequence[Model]) -> Sequence[Model]:
    """The models that an entry which can't be read stops: of a receipt of an erasure, those of what it may name too."""
    if entry.topic in PERSONAL_DATA_ERASED:
        return [model for model in models if may_hold_persons(model)]
    return _takers(catalogue, entry, models)


def _takers(catalogue: Catalogue, entry: StoredEntry, models: Sequence[Model]) -> Sequence[Model]:
    """The models that take this entry; of an unknown name, all: who knows whose it is."""
    try:
        kind = catalogue.kind(entry.topic)
    except UnknownEventName:
        return models
    return [model for model in models if model.kinds is None or kind in model.kinds]
