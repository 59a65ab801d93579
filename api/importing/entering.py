"""Enters one row: which of its commands are still to be done, and doing them.

The book itself tells. A record is known by its external id, and remembers the fingerprint of the row that was entered
last. Where that is missing, as after a kill, its events tell: each carries the fingerprint of the row that caused it as
correlation id, and the command's key, derived from that fingerprint, as idempotency key. Neither expires; so they also
tell of a record that has lost its external id. What adds something each time, such as a note, has a key of its own
content: a row that says something else besides does not add it again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final, NamedTuple, cast
from uuid import UUID, uuid5

from msgspec.structs import replace

from api.composition import Parts
from api.importing.changes import changes
from api.importing.finding import Finder, NotFound
from api.importing.mapping import RowMapping
from api.importing.outcomes import Outcome
from api.importing.rows import Asked, Entry
from api.importing.values import Fault, Lookup
from domain.access import unlimited
from domain.appending import OccurredBeforeLast
from domain.customer import ChangeCustomerDetails
from domain.kernel import Command, Refused, Rule, State, new_id
from domain.kernel.recorded import Context, Receipt
from domain.opportunity import WinOpportunity
from infra.entries import EntryNotification
from infra.marks import Mark

_AMOUNTS: Final[Mapping[type[Command], tuple[str, str]]] = {
    ChangeCustomerDetails: ("annual_revenue", "revenue_currency"),
    WinOpportunity: ("amount", "currency"),
}
"""Amounts that a command may leave out, and their currency, which says nothing then: a mapping's constant one."""


class Known(NamedTuple):
    """A record that stands in the book, with what imports from this source have left there."""

    id: UUID
    fingerprint: UUID | None
    """Of the row that was entered completely, and last."""
    marks: Sequence[Mark]
    lost: bool = False
    """Whether it no longer has the row's external id: its entries say that it came from the row."""


class Entered(NamedTuple):
    """What became of a row, and the record of which it is the last one; None where that is another row's by now."""

    outcome: Outcome
    record: UUID | None


class Task(NamedTuple):
    """A command to do, under the idempotency key that is its own for ever."""

    asked: Asked
    key: UUID

    @property
    def late_key(self) -> UUID:
        """The key under which it is done where it can't be entered as having happened in the past."""
        return uuid5(self.key, "late")

    def has_left(self, marks: Iterable[Mark]) -> bool:
        return any(mark.key in (self.key, self.late_key) for mark in marks)


class StepRefused(Exception):
    """A command of the row was refused; what stood before it in the row is entered."""

    def __init__(self, verb: str, refused: Refused) -> None:
        super().__init__(verb)
        self.reasons = tuple(_reason(verb, rule) for rule in refused.broken)


class Entering:
    """Enters rows: a coroutine of steps for each. Looking records up does stop the others for a moment."""

    def __init__(self, parts: Parts, mapping: RowMapping, source: str, finder: Finder) -> None:
        self._parts, self._decider, self._source, self._finder = parts, mapping.decider, source, finder
        self._actor = f"import:{source}"
        self._authority = unlimited(self._actor)
        self._before = parts.store.max_notification_id() or 0

    async def enter(self, row: Entry, known: Known | None) -> Entered:
        """Do what is still to be done. Raises NotFound, BadValue, StepRefused or BookUnavailable."""
        if known is None:
            begun = await self._submit(row, Task(row.asked[0], _key(row.fingerprint, 0, row.asked[0], 1)), None)
            for task in _tasks(row.fingerprint, 0, row.asked, begun.id)[1:]:
                await self._submit(row, task, begun.id)
            # A record that has lost its external id since answers with what it was begun with.
            outcome = Outcome.CREATED if begun.position > self._before else Outcome.UNCHANGED
            return Entered(outcome, begun.id)
        if known.fingerprint in (row.fingerprint, *row.spellings):
            return Entered(Outcome.UNCHANGED, known.id)
        if known.lost and known.marks[-1].correlation != row.fingerprint:
            return Entered(Outcome.UNCHANGED, None)
        tasks = await self._remaining(row, known)
        before = self._parts.daybook.fold(known.id).version if tasks else 0
        receipts = [await self._submit(row, task, known.id) for task in tasks]
        changed = bool(receipts) and receipts[-1].version > before
        return Entered(Outcome.CHANGED if changed else Outcome.UNCHANGED, known.id)

    async def objections(self, row: Entry, record: UUID | None) -> Sequence[str | NotFound]:
        """What else stands against a row, as far as it can be told without doing any of it: in every step, the records
        that are not there, and values that its command does not take. Raises BookUnavailable."""
        found: list[str | NotFound] = []
        for asked in row.asked:
            raw, missing = self._finder.sought(asked.raw, record)
            # A line may come with a step before.
            found.extend(one for one in missing if isinstance(one, NotFound) and one.lookup.kind != "line")
            if asked is row.asked[0] and row.external_id:
                raw["external_ids"] = self._external_ids(row)
            command = self._decider.commands[asked.verb]
            try:
                await self._parts.commands.admitted(command, record or new_id(), raw, lambda _: new_id())
            except Refused as refused:
                found.extend(_reason(asked.verb, one) for one in refused.broken if not _is_unsaid(raw, one.path))
        return found

    async def _remaining(self, row: Entry, known: Known) -> Sequence[Task]:
        """The row's tasks but those up to the last one that left a mark; what left none in between changed nothing."""
        own = list(takewhile(lambda mark: mark.correlation == row.fingerprint, reversed(known.marks)))
        before = known.marks[: len(known.marks) - len(own)]
        if own and not before and own[-1].version == 1:
            asked: Iterable[Asked] = row.asked
        else:
            # The state before the row's first mark: so a row that comes again asks for what it asked for then, and
            # does not undo what people have changed since.
            state = self._state(known.id, own[-1].version - 1 if own else None)
            asked = (*await self._changes(row, known.id, state), *row.asked[1:])
        tasks = _tasks(row.fingerprint, before[-1].version if before else 0, asked, known.id)
        done = [at for at, task in enumerate(tasks, 1) if task.has_left(own)]
        rest = tasks[max(done, default=0) :]
        return [task for task in rest if task.asked.content is None or not task.has_left(known.marks)]

    def _state(self, id: UUID, version: int | None) -> State:
        if version is None:
            return cast("State", self._parts.daybook.fold(id).state)
        stored = self._parts.store.select_events(id, lte=version)
        recorded = self._parts.mapper.recorded([cast("EntryNotification", one).entry for one in stored])
        return cast("State", self._decider.fold(one.event for one in recorded))

    async def _changes(self, row: Entry, id: UUID, state: State) -> Sequence[Asked]:
        begins = row.asked[0]
        raw = self._finder.resolved(begins.raw, id)
        command = self._decider.commands[begins.verb]
        try:
            wanted = await self._parts.commands.admitted(command, id, raw, lambda _: new_id())
        except Refused as refused:
            raise StepRefused(begins.verb, refused) from None
        return [Asked(verb, values, None) for verb, values in changes(state, wanted, raw)]

    def _external_ids(self, row: Entry) -> list[dict[str, str]]:
        return [{"source": self._source, "id": row.external_id}]

    async def _submit(self, row: Entry, task: Task, id: UUID | None) -> Receipt:
        raw, command = self._finder.resolved(task.asked.raw, id), self._decider.commands[task.asked.verb]
        amount, currency = _AMOUNTS.get(command, ("", ""))
        if amount not in raw:
            raw.pop(currency, None)  # not of what is asked, by which rows are known that were entered before
        if id is None:
            raw["external_ids"] = self._external_ids(row)
        else:
            raw["id"] = id
        needs_reason = command in self._decider.reasoned
        context = Context(
            actor=self._actor,
            idempotency_key=task.key,
            correlation_id=row.fingerprint,
            reason=f"So it stands in {self._source}." if needs_reason else None,
            occurred_at=task.asked.occurred_at,
        )
        try:
            try:
                return await self._parts.commands.submit(self._decider, task.asked.verb, raw, context, self._authority)
            except Refused as refused:
                if not all(isinstance(rule, OccurredBeforeLast) for rule in refused.broken):
                    raise
            # Somebody worked on the record since: the fact is recorded today, and keeps its day in a field of its own.
            context = replace(context, idempotency_key=task.late_key, occurred_at=None)
            return await self._parts.commands.submit(self._decider, task.asked.verb, raw, context, self._authority)
        except Refused as refused:
            raise StepRefused(task.asked.verb, refused) from None


def _tasks(fingerprint: UUID, base: int, asked: Iterable[Asked], record: UUID) -> list[Task]:
    """The tasks with their keys. `base`: the version of the mark before the row's own, for a row that comes back later
    (A, then B, then A again) asks anew; but not to add what it has added before."""
    count = Counter[str | UUID]()
    tasks: list[Task] = []
    for one in asked:
        count[one.verb] += 1
        key = _key(fingerprint, base, one, count[one.verb])
        if one.content is not None:
            count[one.content] += 1
            key = uuid5(one.content, f"{record}:{count[one.content]}")
        tasks.append(Task(one, key))
    return tasks


def _key(fingerprint: UUID, base: int, asked: Asked, ordinal: int) -> UUID:
    return uuid5(fingerprint, f"{base}:{asked.verb}:{ordinal}")


def _reason(verb: str, rule: Rule) -> str:
    place = ".".join(map(str, rule.path))
    return f"{verb}{', ' + place if place else ''}: {' '.join(rule.message.split())}"


def _is_unsaid(raw: object, path: Sequence[str | int]) -> bool:
    """Whether a path leads to a value that is missing, which says why itself."""
    value = raw
    for part in path:
        if isinstance(value, dict):
            value = cast("dict[str | int, object]", value).get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = cast("list[object]", value)[part]
        else:
            break
    return isinstance(value, Fault | Lookup)
