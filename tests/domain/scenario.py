"""given = Scenario(decider), then given(*events).when(command).then(*events) or .refused(*rules).

`given(...).knowing({id: standing})` says what the door would hand over about other aggregates, `.by(actor)` who asks,
`.on_behalf()` that it is for somebody else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pytest

from domain.customer import ExportCustomerPersonalData, ShownBefore, UnmaskCustomer
from domain.kernel import Command, Decider, Event, Known, Refused, Rule, Standing, State, Withheld
from domain.kernel.personal import PersonalMark

S = TypeVar("S", bound=State)
C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=Event)

NOW = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class When(Generic[S, C, E]):
    decider: Decider[S, C, E]
    history: tuple[E, ...]
    known: Known
    command: C

    def then(self, *expected: E, again: Rule | None = None) -> None:
        """Exactly these events follow. Sent twice, a command must not happen twice; `again`: it is refused then."""
        assert self._happens(self.history) == expected
        after = (*self.history, *expected)
        if again is None:
            assert self._happens(after) == ()
        else:
            replace(self, history=after).refused(again)

    def refused(self, *rules: Rule) -> None:
        """Exactly these rules are broken, in this order."""
        with pytest.raises(Refused) as refused:
            self._happens(self.history)
        assert refused.value.broken == rules
        assert all(rule.message for rule in rules)

    def _happens(self, history: tuple[E, ...]) -> tuple[E, ...]:
        return tuple(self.decider.decide(self.decider.fold(history), self.command, self.known))


@dataclass(frozen=True)
class Given(Generic[S, C, E]):
    decider: Decider[S, C, E]
    history: tuple[E, ...]
    known: Known

    def knowing(self, standings: Mapping[UUID, Standing], number: int | None = None) -> "Given[S, C, E]":
        standings, number = {**self.known.standings, **standings}, number or self.known.number
        return replace(self, known=msgspec.structs.replace(self.known, standings=standings, number=number))

    def by(self, actor: str) -> "Given[S, C, E]":
        return replace(self, known=msgspec.structs.replace(self.known, actor=actor))

    def on_behalf(self) -> "Given[S, C, E]":
        return replace(self, known=msgspec.structs.replace(self.known, on_behalf=True))

    def when(self, command: C) -> When[S, C, E]:
        return When(self.decider, self.history, self.known, command)

    @property
    def state(self) -> S:
        return self.decider.fold(self.history)


@dataclass(frozen=True)
class Scenario(Generic[S, C, E]):
    decider: Decider[S, C, E]

    def __call__(self, *history: E) -> Given[S, C, E]:
        return Given(self.decider, history, Known(now=NOW))


def lived(decider: Decider[S, C, E], commands: Iterable[C], known: Known) -> list[E]:
    """The events of a sequence of commands, refused ones ignored, held against the laws that every decider keeps."""
    state, events = decider.initial, list[E]()
    for command in commands:
        try:
            new = decider.decide(state, command, known)
        except Refused:
            continue
        events += new
        state = decider.fold(new, state)
        assert _once_more(decider, state, command, known) == [], "the same command again changes nothing"
    hold_laws(decider, events)
    return events


def _once_more(decider: Decider[S, C, E], state: S, command: C, known: Known) -> list[E]:
    try:
        return list(decider.decide(state, command, known))
    except Refused as refused:
        shows = isinstance(command, UnmaskCustomer | ExportCustomerPersonalData)
        if shows and refused.broken == (ShownBefore(path=("idempotency_key",)),):
            return []
        raise


def hold_laws(decider: Decider[S, C, E], events: list[E]) -> None:
    """Events survive storing; a fold without the personal values neither fails nor gives others another standing."""
    assert {type(event) for event in events} <= set(decider.events.values())
    for event in events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
    opened = decider.fold(events)
    for how in Withheld:
        withheld = decider.fold(withhold(event, how) for event in events)
        assert decider.standing(withheld) == decider.standing(opened)
        assert decider.claims(withheld) <= decider.claims(opened)
        assert decider.subject(withheld) == decider.subject(opened)
    hold_laws_of_reading(decider, events)


def hold_laws_of_reading(decider: Decider[S, C, E], events: list[E]) -> None:
    """What a fold spares itself makes no difference: to the state where it is opened, else to the standing."""
    last = {type(event): event for event in events}
    spared = (event for event in events if type(event) not in decider.overwrites or last[type(event)] is event)
    opened = (withhold(one, Withheld.SEALED) if type(one) in decider.folded_sealed else one for one in spared)
    assert decider.fold(opened) == decider.fold(events)
    bearing = decider.standing_from or set(decider.events.values())
    sealed = (withhold(one, Withheld.SEALED) for one in events if type(one) in bearing or one is events[-1])
    assert decider.standing(decider.fold(sealed)) == decider.standing(decider.fold(events))


def withhold(event: E, how: Withheld) -> E:
    """The event as it reads where its personal values are not opened."""
    return msgspec.structs.replace(event, **dict.fromkeys(personal_fields(type(event)), how))


def personal_fields(kind: type[Event]) -> list[str]:
    hints: dict[str, Any] = get_type_hints(kind, include_extras=True)
    return [
        name
        for name, hint in hints.items()
        if get_origin(hint) is not None and any(isinstance(mark, PersonalMark) for mark in get_args(hint)[1:])
    ]
