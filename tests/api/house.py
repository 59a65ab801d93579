"""The house of tests/api/worlds.py at work: its commands, entered past the front door under ids drawn beforehand."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from api.composition import Parts
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.kernel import Refused, derived_id, type_id
from domain.kernel.recorded import Context
from domain.steps import blocking

HOUSE = "house"
"""Who tells the histories."""


class Differs(NamedTuple):
    """A value that each of the worlds has in its own way."""

    values: tuple[Any, Any]


class Step(NamedTuple):
    """A command of the house."""

    kind: str
    verb: str
    id: UUID
    key: UUID
    values: Mapping[str, Any]
    worlds: Sequence[int] = (0, 1)
    """Where it is given."""

    @property
    def public_id(self) -> str:
        return type_id(catalogue.prefixes[self.kind], self.id)

    def part(self, ordinal: int) -> UUID:
        """The id of the ordinal-th thing that it adds."""
        return derived_id(self.id, self.verb, HOUSE, self.key, ordinal)


def entered(parts: Parts, step: Step, world: int) -> int | None:
    """The record's version after the step, None where it was refused."""
    decider = catalogue.deciders[step.kind]
    values = {name: _in_world(value, world) for name, value in step.values.items()}
    command = parts.commands.admission.admit(decider.commands[step.verb], step.id, values, step.part)
    context = Context(actor=HOUSE, idempotency_key=step.key, correlation_id=step.key, reason="The story has it so")
    try:
        return blocking(parts.daybook.handle(command, context, unlimited(HOUSE))).version
    except Refused:
        return None


def _in_world(value: Any, world: int) -> Any:
    match value:
        case Differs():
            return value.values[world]
        case dict():
            return {name: _in_world(one, world) for name, one in cast("dict[str, Any]", value).items()}
        case list() | tuple():
            return [_in_world(one, world) for one in cast("Sequence[Any]", value)]
        case _:
            return value
