"""Attestation: whether the rows of records are what their entries say, at one consistent position.

A batch's rows and position commit together, so one snapshot holds the entries, the position that the rows must stand at
and the rows. Whatever is posted meanwhile is in none of the three, and keys that are destroyed meanwhile are looked for
afterwards: a race is never an alarm.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from domain.customer import PERSONAL_DATA_ERASED
from domain.encoding import UnknownEventName
from domain.kernel import parse_type_id, type_id
from domain.kernel.identifiers import NotATypeId
from domain.kernel.recorded import Recorded
from infra.entries import COLUMNS, StoredEntry
from infra.mapper import SealingMapper
from projections.comparing import Comparison, Difference
from projections.lanes import Lane, described
from projections.model import Model
from projections.past import with_past
from projections.posting import erased_records
from projections.refolding import Fold, Row
from projections.tables import READ, Db

Record: TypeAlias = tuple[str, str]
"""A model, and the public id that the record's rows carry there."""

ENTRIES = 1_000
"""Entries that are opened at once: a record may have any number."""


class Mismatch(NamedTuple):
    """A record whose rows in one model are not what its entries say."""

    record: Record
    position: int
    """Where the model stood."""
    what: str
    """Which tables and columns, in words and without a value."""


class Looked(NamedTuple):
    """What a look at some records has found."""

    records: Collection[Record]
    """Those that could be looked at. A model of another version is left out: it has to be rebuilt first."""
    entries: int
    """How many were folded: what it has cost."""
    mismatches: Sequence[Mismatch]


class Attestation:
    """Looks at records of these models. Keeps nothing between two looks."""

    def __init__(self, mapper: SealingMapper, models: Sequence[Model]) -> None:
        self._mapper, self._catalogue, self.models = mapper, mapper.catalogue, models
        self._kinds = {prefix: kind for kind, prefix in mapper.catalogue.prefixes.items()}
        self.comparisons = {model.name: [*map(Comparison, with_past(model.tables))] for model in models}

    def of(self, topic: str, id: UUID) -> list[Record]:
        """What an entry of this stored name says of its record: in which models it has rows, and under which id."""
        with suppress(UnknownEventName):
            kind = self._catalogue.kind(topic)
            public = type_id(self._catalogue.prefixes[kind], id)
            return [(model.name, public) for model in self.models if takes(model, kind)]
        return []

    def aggregate(self, model: Model, public: str) -> UUID | None:
        """The aggregate that rows of this model may name so; None where the model can have none of that id."""
        with suppress(NotATypeId):
            prefix, id = parse_type_id(public)
            kind = self._kinds.get(prefix)
            if kind is not None and takes(model, kind):
                return id
        return None

    def look(self, db: Db, records: Iterable[Record]) -> Looked:
        """Fold these records again and compare them. `db`: in autocommit mode, with the right to read all of it."""
        wanted = defaultdict[str, set[str]](set)
        for model, public in records:
            wanted[model].add(public)
        models = [model for model, _ in self._current(db) if model.name in wanted]
        if not models:
            return Looked((), 0, ())
        with db.transaction():
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Before the snapshot is taken: a rebuild that switches later must wait, or its rows would not be in it.
            db.execute(self._lock(models))
            current = self._current(db)
            least = min((at for _, at in current), default=0)
            erased = self._erased(db, least)
            stands = [_Stand(model, self, at, wanted[model.name] - erased) for model, at in current if model in models]
            entries = self._fold(db, stands)
            found = [mismatch for stand in stands for mismatch in stand.compare(db)]
        # A key that was destroyed meanwhile opened nothing any more, of rows that the snapshot still had.
        erased = self._erased(db, least) if found else set[str]()
        looked = [(stand.model.name, public) for stand in stands for public in stand.records - erased]
        return Looked(looked, entries, [one for one in found if one.record[1] not in erased])

    def _erased(self, db: Db, after: int) -> set[str]:
        """The records whose personal data was erased above this position: their rows are posted anew in a moment."""
        receipts = db.execute(_RECEIPTS, ([*PERSONAL_DATA_ERASED], after), binary=True, prepare=True).fetchall()
        return {
            type_id(self._catalogue.prefixes[record.kind], record.id)
            for receipt in receipts
            for record in erased_records(StoredEntry(*receipt))
        }

    def _current(self, db: Db) -> list[tuple[Model, int]]:
        """The models that stand there in the version of this code, and their positions."""
        rows = db.execute("SELECT name, version, position FROM daybook_projections.models", prepare=True)
        found = {name: (version, position) for name, version, position in rows}
        return [
            (model, found[model.name][1]) for model in self.models if found.get(model.name, (0,))[0] == model.version
        ]

    def _lock(self, models: Iterable[Model]) -> Composed:
        names = (one.table.name for model in models for one in self.comparisons[model.name])
        tables = SQL(", ").join(Identifier(READ, name) for name in names)
        return SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables)

    def _fold(self, db: Db, stands: "Sequence[_Stand]") -> int:
        """Take all entries of the records, in the order of each; how many they are."""
        aggregates = sorted({id for stand in stands for id in stand.folds})
        parked = {(model, id): at for model, id, at in db.execute(_PARKED, (aggregates,), prepare=True)}
        count = 0
        for entry, recorded in self._entries(db, aggregates):
            count += 1
            for stand in stands:
                stand.take(entry, recorded, parked)
        return count

    def _entries(self, db: Db, aggregates: Sequence[UUID]) -> Iterator[tuple[StoredEntry, Recorded[Any] | Exception]]:
        with db.cursor("entries") as cursor:
            cursor.itersize = ENTRIES
            cursor.execute(_ENTRIES, (aggregates,), binary=True)
            while rows := cursor.fetchmany(ENTRIES):
                entries = [StoredEntry(*row) for row in rows]
                yield from zip(entries, self._opened(entries), strict=True)

    def _opened(self, entries: Sequence[StoredEntry]) -> Sequence[Recorded[Any] | Exception]:
        """The recorded events; an error in the place of one that today's code can't read."""
        try:
            return self._mapper.recorded(entries)
        except psycopg.Error:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is that entry's own
            if len(entries) > 1:
                return [one for entry in entries for one in self._opened([entry])]
            return [error]


class _Stand:
    """One model at one position: what some of its records must be there."""

    def __init__(self, model: Model, attestation: Attestation, position: int, records: set[str]) -> None:
        self.model, self.records, self._position = model, records, position
        named = ((attestation.aggregate(model, public), public) for public in records)
        self._public = {id: public for id, public in named if id is not None}
        self._comparisons = attestation.comparisons[model.name]
        self.folds = {id: Fold(model) for id in self._public}
        self._stopped: dict[UUID, str] = {}

    def take(self, entry: StoredEntry, recorded: Recorded[Any] | Exception, parked: Mapping[Lane, int]) -> None:
        """An entry, unless the rows do not have it yet: the model stands before it, or the lane does."""
        id = entry.originator_id
        last = min(self._position, parked.get((self.model.name, id), entry.position + 1) - 1)
        if id not in self.folds or id in self._stopped or entry.position > last:
            return
        try:
            if isinstance(recorded, Exception):
                raise recorded
            self.folds[id].take(recorded)
        except Exception as error:  # noqa: BLE001  # whatever it is, its rows can't have come from here
            self._stopped[id] = f"entry {entry.position} ({entry.topic}) can't be posted: {described(error)}"

    def compare(self, db: Db) -> Iterator[Mismatch]:
        said = defaultdict[str, list[str]](list)
        for id, why in self._stopped.items():
            said[self._public[id]].append(why)
        expected = defaultdict[str, list[Row]](list)
        for fold in self.folds.values():
            for name, rows in fold.rows():
                expected[name] += rows
        for comparison in self._comparisons:
            name = comparison.table.name
            for one in comparison.differences(db, self.records, expected[name]):
                said[one.record].append(f"{name}: {_words(one)}")
        for public, whats in said.items():
            yield Mismatch((self.model.name, public), self._position, "; ".join(whats))


def takes(model: Model, kind: str) -> bool:
    """Whether a model takes the events of this kind of aggregate."""
    return model.kinds is None or kind in model.kinds


def _words(one: Difference) -> str:
    match one.fault:
        case "missing":
            return f"{one.many} missing"
        case "extra":
            return f"{one.many} that no entry made"
        case _:
            return f"{one.many} with another {', '.join(one.columns)}"


_PARKED = "SELECT model, aggregate_id, position FROM daybook_projections.parked WHERE aggregate_id = ANY(%s)"
_RECEIPTS = f"SELECT {COLUMNS} FROM daybook.events WHERE topic = ANY(%s) AND position > %s"
_ENTRIES = f"""
    SELECT {COLUMNS} FROM daybook.events WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version
"""
