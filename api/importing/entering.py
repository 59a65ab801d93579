"""Enters one row: which of its commands are still to be done, and doing them.

The book itself tells. A record is known by its external id, and remembers the fingerprint of the row that was entered
last. Where that is missing, as after a kill, its events tell: each carries the fingerprint of the row that caused it as
correlation id, and the command's key, derived from that fingerprint, as idempotency key. Neither expires.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple, cast
from uuid import UUID, uuid5

from api.composition import Parts
from api.importing.changes import changes
from api.importing.finding import Finder
from api.importing.mapping import RowMapping
from api.importing.outcomes import Outcome
from api.importing.rows import Asked, Entry
from domain.access import unlimited
from domain.appending import OccurredBeforeLast
from domain.kernel import Refused, State, new_id
from domain.kernel.recorded import Context, Receipt
from infra.entries import EntryNotification
from infra.marks import Mark


class Known(NamedTuple):
    """A record that stands in the book, with what imports from this source have left there."""

    id: UUID
    fingerprint: UUID | None
    """Of the row that was entered completely, and last."""
    marks: Sequence[Mark]


class Entered(NamedTuple):
    """What became of a row, and the record that it is about."""

    outcome: Outcome
    record: UUID


class Task(NamedTuple):
    """A command to do, under the idempotency key that is its own for ever."""

    asked: Asked
    key: UUID

    @property
    def late_key(self) -> UUID:
        """The key under which it is done where it can't be entered as having happened in the past."""
        return uuid5(self.key, "late")


class StepRefused(Exception):
    """A command of the row was refused; what stood before it in the row is entered."""

    def __init__(self, verb: str, refused: Refused) -> None:
        super().__init__(verb)
        self.reasons = tuple(_reason(verb, rule.path, rule.message) for rule in refused.broken)


class Entering:
    """Enters rows: a coroutine of steps for each. Looking records up does stop the others for a moment."""

    def __init__(self, parts: Parts, mapping: RowMapping, source: str, finder: Finder) -> None:
        self._parts, self._decider, self._source, self._finder = parts, mapping.decider, source, finder
        self._actor = f"import:{source}"
        self._authority = unlimited(self._actor)

    async def enter(self, row: Entry, known: Known | None) -> Entered:
        """Do what is still to be done. Raises NotFound, BadValue, StepRefused or BookUnavailable."""
        if known is None:
            first, *rest = _tasks(row.fingerprint, 0, row.asked)
            begun = await self._submit(row, first, None)
            for task in rest:
                await self._submit(row, task, begun.id)
            return Entered(Outcome.CREATED, begun.id)
        if row.fingerprint == known.fingerprint:
            return Entered(Outcome.UNCHANGED, known.id)
        before = self._parts.daybook.fold(known.id).version if (tasks := self._remaining(row, known)) else 0
        receipts = [await self._submit(row, task, known.id) for task in tasks]
        changed = bool(receipts) and receipts[-1].version > before
        return Entered(Outcome.CHANGED if changed else Outcome.UNCHANGED, known.id)

    def _remaining(self, row: Entry, known: Known) -> Sequence[Task]:
        """The row's tasks but those up to the last one that left a mark; what left none in between changed nothing."""
        own = list(takewhile(lambda mark: mark.correlation == row.fingerprint, reversed(known.marks)))
        before = known.marks[: len(known.marks) - len(own)]
        if own and not before and own[-1].version == 1:
            asked: Iterable[Asked] = row.asked
        else:
            # The state before the row's first mark: so a row that comes again asks for what it asked for then, and
            # does not undo what people have changed since.
            state = self._state(known.id, own[-1].version - 1 if own else None)
            asked = (*self._changes(row, known.id, state), *row.asked[1:])
        tasks = _tasks(row.fingerprint, before[-1].version if before else 0, asked)
        left = {mark.key for mark in own}
        done = [at for at, task in enumerate(tasks, 1) if task.key in left or task.late_key in left]
        return tasks[max(done, default=0) :]

    def _state(self, id: UUID, version: int | None) -> State:
        if version is None:
            return cast("State", self._parts.daybook.fold(id).state)
        stored = self._parts.store.select_events(id, lte=version)
        recorded = self._parts.mapper.recorded([cast("EntryNotification", one).entry for one in stored])
        return cast("State", self._decider.fold(one.event for one in recorded))

    def _changes(self, row: Entry, id: UUID, state: State) -> Iterator[Asked]:
        begins = row.asked[0]
        raw = self._finder.resolved(begins.raw, id)
        command = self._decider.commands[begins.verb]
        try:
            wanted = self._parts.commands.admission.admit(command, id, raw, lambda _: new_id())
        except Refused as refused:
            raise StepRefused(begins.verb, refused) from None
        for verb, values in changes(state, wanted, raw):
            yield Asked(verb, values, None)

    async def _submit(self, row: Entry, task: Task, id: UUID | None) -> Receipt:
        raw = self._finder.resolved(task.asked.raw, id)
        if id is None:
            raw["external_ids"] = [{"source": self._source, "id": row.external_id}]
        else:
            raw["id"] = id
        context = Context(
            actor=self._actor,
            idempotency_key=task.key,
            correlation_id=row.fingerprint,
            occurred_at=task.asked.occurred_at,
        )
        try:
            try:
                return await self._parts.commands.submit(self._decider, task.asked.verb, raw, context, self._authority)
            except Refused as refused:
                if not all(isinstance(rule, OccurredBeforeLast) for rule in refused.broken):
                    raise
            # Somebody worked on the record since: the fact is recorded today, and keeps its day in a field of its own.
            context = Context(actor=self._actor, idempotency_key=task.late_key, correlation_id=row.fingerprint)
            return await self._parts.commands.submit(self._decider, task.asked.verb, raw, context, self._authority)
        except Refused as refused:
            raise StepRefused(task.asked.verb, refused) from None


def _tasks(fingerprint: UUID, base: int, asked: Iterable[Asked]) -> list[Task]:
    """The tasks with their keys. `base`: the version of the mark before the row's own, for a row that comes back later
    (A, then B, then A again) asks anew."""
    count = Counter[str]()
    tasks: list[Task] = []
    for one in asked:
        count[one.verb] += 1
        tasks.append(Task(one, uuid5(fingerprint, f"{base}:{one.verb}:{count[one.verb]}")))
    return tasks


def _reason(verb: str, path: Sequence[str | int], message: str) -> str:
    place = ".".join(map(str, path))
    return f"{verb}{', ' + place if place else ''}: {' '.join(message.split())}"
