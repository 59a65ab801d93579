"""Finds the records that rows refer to, by their name in the other system or, where there is none, by their own."""

import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from api.composition import Parts
from api.importing.values import FOUND_BY_ID, BadValue, Lookup
from domain.encoding import UnreadableEntry
from domain.kernel import Claim
from domain.opportunity import Opportunity
from domain.pipeline import Pipeline
from domain.queue import Queue
from infra.marks import begun
from infra.reservations import Reservations

SCOPES = {
    "customer": "external_id",
    "opportunity": "opportunity_external_id",
    "ticket": "ticket_external_id",
    "product": "product_external_id",
    "staff_member": "staff_external_id",
    "team": "team_external_id",
}
"""The scope in which each kind claims its external ids."""

_BEGINNINGS = {"pipeline": "PipelineDefined", "queue": "QueueCreated"}
"""Kinds that are found by their own name, and the event that begins one of them."""


class NotFound(Exception):
    """A row refers to a record that the book does not have (yet)."""

    def __init__(self, lookup: Lookup, source: str) -> None:
        kind = lookup.kind.replace("_", " ")
        how = f" with the id {lookup.name!r} of {source}" if lookup.kind in FOUND_BY_ID else f" called {lookup.name!r}"
        super().__init__(f"there is no {kind}{how}")
        self.lookup = lookup


class Finder:
    """Looks records up and remembers what it found. Thread-safe."""

    def __init__(self, parts: Parts, source: str) -> None:
        self._parts, self._source = parts, source
        self._reservations = Reservations(parts.pool, parts.vault)
        self._found: dict[Claim, UUID] = {}
        self._named: dict[str, dict[str, UUID]] = {}
        self._stages: dict[str, list[tuple[str, UUID]]] = {}
        self._lock = threading.Lock()

    def known(self, kind: str, external_ids: Collection[str]) -> dict[str, UUID]:
        """The records that have these ids in the import's source; unknown ones are left out."""
        claims = {self._claim(kind, id, self._source): id for id in external_ids}
        return {claims[claim]: holder for claim, holder in self._reservations.holders(claims).items()}

    def resolved(self, raw: Mapping[str, object], record: UUID | None) -> dict[str, Any]:
        """The values with every Lookup found; `record` is the record that they are for. Raises NotFound or BadValue."""
        found, missing = self.sought(raw, record)
        if missing:
            raise missing[0]
        return found

    def sought(
        self, raw: Mapping[str, object], record: UUID | None
    ) -> tuple[dict[str, Any], list["NotFound | BadValue"]]:
        """The values with every Lookup found that can be; and why the others can't, which stay."""
        missing: list[NotFound | BadValue] = []
        return {name: self._value(value, record, missing) for name, value in raw.items()}, missing

    def pipeline(self, name: str) -> UUID | None:
        """The oldest pipeline of this name that is in use, or else the oldest."""
        return self._by_name("pipeline").get(name.casefold())

    def forget(self, kind: str) -> None:
        """A record of this kind was begun: look again."""
        with self._lock:
            self._named.pop(kind, None)

    def _value(self, value: object, record: UUID | None, missing: "list[NotFound | BadValue]") -> object:
        if isinstance(value, Lookup):
            try:
                return self._find(value, record)
            except (NotFound, BadValue) as error:
                missing.append(error)
            except UnreadableEntry as error:
                missing.append(BadValue(str(error)))
        if isinstance(value, dict):
            given = cast("dict[str, object]", value)
            return {name: self._value(one, record, missing) for name, one in given.items()}
        if isinstance(value, list):
            return [self._value(one, record, missing) for one in cast("list[object]", value)]
        return value

    def _find(self, lookup: Lookup, record: UUID | None) -> UUID:
        match lookup.kind:
            case "stage":
                return self._stage(lookup)
            case "line":
                return self._line(lookup, record)
            case "pipeline" | "queue":
                found = self._by_name(lookup.kind).get(lookup.name.casefold())
            case _:
                found = self._by_external_id(lookup)
        if found is None:
            raise NotFound(lookup, lookup.source or self._source)
        return found

    def _by_external_id(self, lookup: Lookup) -> UUID | None:
        claim = self._claim(lookup.kind, lookup.name, lookup.source or self._source)
        found = self._found.get(claim) or self._reservations.holders([claim]).get(claim)
        if found is not None:
            self._found[claim] = found
        return found

    def _claim(self, kind: str, external_id: str, source: str) -> Claim:
        return Claim(SCOPES[kind], f"{source}:{external_id}")

    def _by_name(self, kind: str) -> dict[str, UUID]:
        with self._lock:
            if kind not in self._named:
                ids = begun(self._parts.pool, _BEGINNINGS[kind])
                states = [(id, cast("Pipeline | Queue", self._parts.daybook.fold(id).state)) for id in reversed(ids)]
                states.sort(key=lambda one: _is_in_use(one[1]))  # the last of one name is the one that is found
                self._named[kind] = {state.name.casefold(): id for id, state in states}
            return self._named[kind]

    def _stage(self, lookup: Lookup) -> UUID:
        name = str(lookup.of)
        if name not in self._stages:
            pipeline = self.pipeline(name)
            if pipeline is None:
                raise NotFound(Lookup("pipeline", name, None, None), self._source)
            state = cast("Pipeline", self._parts.daybook.fold(pipeline).state)
            self._stages[name] = [(stage.name, stage.stage) for stage in state.stages]
        return _one(lookup, self._stages[name], self._source)

    def _line(self, lookup: Lookup, record: UUID | None) -> UUID:
        state = None if record is None else self._parts.daybook.fold(record).state
        if not isinstance(state, Opportunity):
            raise BadValue("a line is found in an opportunity that is there already")
        return _one(lookup, ((str(at), line) for at, line in enumerate(state.lines, 1)), self._source)


def _is_in_use(state: Pipeline | Queue) -> bool:
    return state.active if isinstance(state, Pipeline) else not state.archived


def _one(lookup: Lookup, named: Iterable[tuple[str, UUID]], source: str) -> UUID:
    for name, id in named:
        if name.casefold() == lookup.name.casefold():
            return id
    raise NotFound(lookup, source)
