"""Made-up books: random commands, built from their own annotations, decided upon as the door would, and recorded.

Every command of every aggregate takes part, those of tomorrow too: nothing here names one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.catalogue import catalogue
from domain.customer import CustomerErasureApproved, CustomerPersonalDataErased, EraseCustomerPersonalData
from domain.encoding import AnyDecider
from domain.kernel import COMPANY_ID, Command, Event, Known, Reference, Refused, Standing, Word, fields
from domain.kernel.admission import members
from domain.kernel.recorded import Recorded
from domain.references import references

BEGINNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
TEXTS = ("Ada", "ada", "Łódź ẞ", "東京", "Jean-François", "O'Brien", "\uff37ide")
COMMANDS = tuple(catalogue.by_command)
BEGINNINGS = sorted(
    (kind for decider in catalogue.deciders.values() for kind in decider.creates),
    key=lambda kind: catalogue.by_command[kind].kind in ("customer", "opportunity", "ticket"),
)
"""The small aggregates first: the others refer to them."""


def made_up_book(seed: int, wishes: int = 1_500, commands: Sequence[type[Command]] = COMMANDS) -> list[Recorded[Any]]:
    """The entries of a book: two of each kind of aggregate, then what follows from so many random commands."""
    book = _Book(Random(seed))
    for kind in (*BEGINNINGS, *BEGINNINGS):
        book.submit(kind)
    for _ in range(wishes):
        kind = book.random.choice(commands)
        # Seldom, or there would soon be nobody left.
        if kind is not EraseCustomerPersonalData or book.random.random() < 0.1:
            book.submit(kind)
    return book.recorded


class _Nothing(LookupError):
    """There is nothing yet that the command could speak of."""


@dataclass
class _Book:
    random: Random
    recorded: list[Recorded[Any]] = field(default_factory=list)
    aggregates: dict[UUID, tuple[AnyDecider, Any, int]] = field(default_factory=dict)
    """Decider, state, version."""
    parts: dict[str, list[tuple[UUID, UUID]]] = field(default_factory=lambda: defaultdict(list))
    """By prefix: the aggregate, and the id of its part."""
    drawn: int = 0

    def submit(self, kind: type[Command]) -> None:
        """Decide upon a random command of this kind and record what follows; a refusal leaves no trace."""
        decider = catalogue.by_command[kind]
        now = BEGINNING + timedelta(minutes=len(self.recorded))
        try:
            target = self._target(decider, kind)
            command = kind(id=target, **self._values(kind, target, without=("id",)))
            _, state, version = self.aggregates.get(target, (decider, decider.initial, 0))
            events = decider.decide(state, command, self._known(decider, state, command, now))
        except (Refused, _Nothing):
            return
        for event in (each for decided in events for each in (decided, *_carried_out(decided))):
            state, version = decider.evolve(state, event), version + 1
            self._record(decider, target, version, event, decider.sealed_for(target, state, event), now)
        self.aggregates[target] = (decider, state, version)

    def _fresh(self) -> UUID:
        self.drawn += 1
        return UUID(int=(0x0190163D8694739B << 64) + self.drawn)

    def _target(self, decider: AnyDecider, kind: type[Command]) -> UUID:
        if kind not in decider.creates:
            return self._one_of(decider.kind)
        if decider.kind != "company":
            return self._fresh()
        if COMPANY_ID in self.aggregates:
            raise _Nothing
        return COMPANY_ID

    def _one_of(self, kind: str) -> UUID:
        found = [id for id, (decider, _, _) in self.aggregates.items() if decider.kind == kind]
        active = [id for id in found if self._standing(id).active]
        if not found:
            raise _Nothing
        return self.random.choice(active if active and self.random.random() < 0.9 else found)

    def _parts(self, prefix: str, target: UUID) -> list[UUID]:
        """The parts of the target, or of what it stands in: a deal's stages are its pipeline's."""
        _, state, _ = self.aggregates.get(target, (None, None, 0))
        owners = {target, *(value for value in map(partial(getattr, state), _names(state)) if isinstance(value, UUID))}
        found = [part for owner, part in self.parts[prefix] if owner in owners]
        found = found or [part for _, part in self.parts[prefix]]
        if not found:
            raise _Nothing
        return found

    def _new_part(self, prefix: str, target: UUID) -> UUID:
        id = self._fresh()
        self.parts[prefix].append((target, id))
        return id

    def _known(self, decider: AnyDecider, state: Any, command: Command, now: datetime) -> Known:
        asked = list(references(command))
        while True:
            actor = f"user:{self.random.randint(1, 3)}"
            known = Known(now=now, number=self.drawn + 1, standings=self._standings(asked), actor=actor)
            more = [one for one in decider.consults(state, command, known) if one not in asked]
            if not more:
                return known
            asked += more

    def _standings(self, asked: Sequence[Reference]) -> dict[UUID, Standing]:
        return {one.id: self._standing(one.id) for one in asked if one.id in self.aggregates}

    def _standing(self, id: UUID) -> Standing:
        decider, state, _ = self.aggregates[id]
        return decider.standing(state)

    def _record(
        self, decider: AnyDecider, target: UUID, version: int, event: Any, subject: UUID, now: datetime
    ) -> None:
        position = len(self.recorded) + 1
        entry = Recorded[Any](
            position=position,
            event_id=UUID(int=(1 << 100) + position),
            originator_id=target,
            originator_version=version,
            kind=decider.kind,
            name=next(name for name, kind in decider.events.items() if kind is type(event)),
            recorded_at=now + timedelta(hours=1),
            occurred_at=now,
            subject=subject,
            actor=f"user:{position % 3}",
            on_behalf_of="user:boss" if position % 5 == 0 else None,
            correlation_id=UUID(int=position // 2),
            causation_id=UUID(int=(1 << 100) + position - 1) if position % 4 == 0 else None,
            idempotency_key=UUID(int=position),
            reason="because" if position % 7 == 0 else None,
            erased=False,
            event=event,
        )
        self.recorded.append(entry)
        self.drawn += 1

    def _values(self, kind: type[msgspec.Struct], target: UUID, without: tuple[str, ...] = ()) -> dict[str, Any]:
        hints = get_type_hints(kind, include_extras=True)
        return {name: self._value(hint, target) for name, hint in hints.items() if name not in without}

    def _value(self, hint: Any, target: UUID) -> Any:
        marks: tuple[Any, ...] = ()
        if get_origin(hint) is Annotated:
            hint, *rest = get_args(hint)
            marks = tuple(rest)
        options = members(hint)
        absent = {NoneType: None, UnsetType: UNSET}
        left_out = [absent[one] for one in options if one in absent]
        if left_out and self.random.random() < 0.4:
            return self.random.choice(left_out)
        return self._plain(next(one for one in options if one not in absent), marks, target)

    def _plain(self, kind: Any, marks: tuple[Any, ...], target: UUID) -> Any:
        of: dict[type, Any] = {type(mark): mark for mark in marks}
        if get_origin(kind) is tuple:
            if fields.ChildId in of:
                found = self._parts(of[fields.ChildId].prefix, target)
                return tuple(self.random.sample(found, len(found)))
            one, items = get_args(kind)[0], of[fields.Items]
            item = one if get_origin(one) is Annotated else Annotated[(one, *marks)]
            return tuple(self._value(item, target) for _ in range(self.random.randint(items.least, 3)))
        if kind is UUID:
            return self._id(of, target)
        if kind is str:
            return self.random.choice(_texts(of))
        if kind in (int, Decimal):
            number: fields.Number = of[fields.Number]
            whole = self.random.randint(max(int(number.least), 1), min(int(number.most), 2000))
            return whole if kind is int else whole - self.random.choice((Decimal(0), Decimal("0.5")))
        if kind is bool:
            return self.random.random() < 0.5
        if kind is date:
            return date(2025, 11, 1) + timedelta(days=self.random.randint(0, 65))
        if kind is datetime:
            return BEGINNING + timedelta(days=self.random.randint(10, 300))
        if issubclass(kind, Word):
            return self.random.choice(list(kind))
        return kind(**self._values(kind, target))

    def _id(self, of: dict[type, Any], target: UUID) -> UUID:
        if fields.Derived in of:
            return self._new_part(of[fields.Derived].prefix, target)
        if fields.Id in of:
            return self._one_of(of[fields.Id].kind)
        return self.random.choice(self._parts(of[fields.ChildId].prefix, target))


def _carried_out(event: Event) -> Iterator[Event]:
    """What happens without a command, because another event did."""
    if isinstance(event, CustomerErasureApproved):
        yield CustomerPersonalDataErased(
            ground=event.ground, opportunities=(), tickets=(), organisations=(), keys=1, entries=1
        )


def _names(state: msgspec.Struct | None) -> Sequence[str]:
    return state.__struct_fields__ if state is not None else ()


def _texts(of: dict[type, Any]) -> Sequence[str]:
    if fields.Currency in of:
        return ("USD", "JPY", "KWD")
    if fields.Zone in of:
        return ("Europe/Zurich", "Asia/Tokyo")
    longest = of[fields.Text].longest if fields.Text in of else 200
    return {2: ("CH", "JP"), 35: ("de-CH", "ja")}.get(longest, TEXTS)
