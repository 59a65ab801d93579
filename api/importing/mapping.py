"""The mapping: a TOML file that says what the rows of a CSV file become. docs/operator/import.md has the format."""

import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints
from unicodedata import normalize
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from api.importing.layout import Layout, checked_layout
from api.importing.values import BadValue, Value, parse_value
from domain.access import NEEDS
from domain.catalogue import AnyDecider, catalogue
from domain.kernel import Command
from domain.kernel.admission import marked
from domain.kernel.composing import fault_of
from domain.kernel.fields import Derived, Filled
from domain.kernel.permissions import Permission

KINDS = {
    "customers": "customer",
    "opportunities": "opportunity",
    "tickets": "ticket",
    "products": "product",
    "staff": "staff_member",
    "teams": "team",
}
"""What can be imported, as the command line names it, and the kind of aggregate that a row becomes."""


_A_PERSON_S = (
    Permission.UNMASK_PERSONAL_DATA, Permission.REQUEST_ERASURE, Permission.APPROVE_ERASURE, Permission.HOLD_DATA,
)  # fmt: skip
"""What its commands need is exercised by people, under their own names: a file would be the second person of two."""


class MappingError(Exception):
    """The mapping can't be used; the message says where and why."""


class _StepText(msgspec.Struct, forbid_unknown_fields=True):
    do: str
    fields: dict[str, Any] = {}
    when: dict[str, str | list[str]] = {}
    occurred_at: str | None = None


class _MappingText(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    external_id: str | list[str]
    step: list[_StepText]
    corrections: dict[str, dict[str, str]] = {}
    pipeline: list[dict[str, Any]] = []
    time_zone: str = "UTC"
    encoding: str = "utf-8"
    delimiter: str = ","


class Step(msgspec.Struct, frozen=True):
    """One command of a row: the verb, where its values come from, when it applies and when it happened."""

    verb: str
    fields: Mapping[str, Value]
    when: Mapping[str, frozenset[str]]
    occurred_at: str | None
    """The column with the day on which it happened; None: when it is recorded."""
    adds: bool
    """Whether it adds something each time that it is done: a note, a line, a message."""

    @property
    def columns(self) -> set[str]:
        """Every column that the step reads."""
        named = {column for value in self.fields.values() for column in value.columns}
        return named | set(self.when) | ({self.occurred_at} if self.occurred_at else set())


class RowMapping(msgspec.Struct, frozen=True):
    """What the rows of a file become."""

    name: str
    """Of the mapping's file."""
    decider: AnyDecider
    external_id: tuple[str, ...]
    steps: tuple[Step, ...]
    """The first one begins the record."""
    corrections: Mapping[str, Mapping[str, str]]
    pipelines: tuple[Mapping[str, Any], ...]
    """Pipelines to define before the first row, where none of that name exists."""
    time_zone: ZoneInfo
    layout: Layout

    @property
    def columns(self) -> set[str]:
        """Every column that the mapping reads."""
        named = {column for step in self.steps for column in step.columns}
        return named | set(self.external_id) | set(self.corrections)


def read_mapping(file: Path, kind: str) -> RowMapping:
    """The mapping of a file whose rows are of this kind (`customer`). Raises MappingError."""
    try:
        said = file.read_text("utf-8")
        if (fault := fault_of(said, len(said))) is not None:
            raise BadValue(fault.message.rstrip("."))
        said = normalize("NFC", said)  # as rows are read
        text = msgspec.convert(tomllib.loads(said, parse_float=Decimal), _MappingText)
        return _checked(file.name, text, kind)
    except OSError as error:
        raise MappingError(f"The mapping {file} can't be read: {error.strerror}.") from None
    except (ValueError, RecursionError, BadValue) as error:
        raise MappingError(f"The mapping {file} can't be used: {error}.") from None


def _checked(name: str, text: _MappingText, kind: str) -> RowMapping:
    if KINDS.get(text.kind) != kind:
        raise BadValue(f"it is for {text.kind!r}, and its kind must be {_plural(kind)!r}")
    decider = catalogue.deciders[kind]
    if not text.step or decider.commands.get(text.step[0].do) not in decider.creates:
        begins = next(verb for verb, command in decider.commands.items() if command in decider.creates)
        raise BadValue(f"the first step must be {begins!r}, which begins a record")
    columns = [text.external_id] if isinstance(text.external_id, str) else text.external_id
    if not columns:
        raise BadValue("external_id must name at least one column")
    if text.step[0].when:
        raise BadValue("the first step begins the record, so it has no 'when': take other rows out of the file")
    return RowMapping(
        name,
        decider,
        tuple(columns),
        tuple(_step(decider, step, f"step {at}") for at, step in enumerate(text.step, 1)),
        text.corrections,
        tuple(text.pipeline),
        _zone(text.time_zone),
        checked_layout(text.encoding, text.delimiter),
    )


def _step(decider: AnyDecider, text: _StepText, at: str) -> Step:
    command = decider.commands.get(text.do)
    if command is None:
        raise BadValue(f"{at}: {decider.kind} has no command {text.do!r}; it has {_listed(decider.commands)}")
    at = f"{at} ({text.do})"
    if NEEDS[command] in _A_PERSON_S:
        raise BadValue(f"{at}: a person gives this command, under their own name; a file can't")
    known = _fields(command)
    for name in text.fields:
        if name not in known:
            raise BadValue(f"{at}: there is no field {name!r}; there are {_listed(known)}")
    if command in decider.creates and "external_ids" in text.fields:
        raise BadValue(f"{at}: external_ids is filled in by the import, from external_id and --source")
    fields = {name: parse_value(raw, f"{at}, field {name}") for name, raw in text.fields.items()}
    for name, required in known.items():
        if required and name not in fields:
            raise BadValue(f"{at}: the field {name} is needed")
    when = {column: frozenset([one] if isinstance(one, str) else one) for column, one in text.when.items()}
    hints = get_type_hints(command, include_extras=True)
    return Step(text.do, fields, when, text.occurred_at, any(marked(hint, Derived) for hint in hints.values()))


def _fields(command: type[Command]) -> dict[str, bool]:
    """The fields that a mapping can fill, and whether each is needed."""
    hints = get_type_hints(command, include_extras=True)
    return {
        field.name: field.required
        for field in msgspec.structs.fields(command)
        if field.name != "id" and not marked(hints[field.name], Derived, Filled)
    }


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadValue(f"time_zone is {name!r}, which is no IANA time zone such as Europe/Zurich") from None


def _plural(kind: str) -> str:
    return next(plural for plural, one in KINDS.items() if one == kind)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
