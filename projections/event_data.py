"""An event's fields as people and programs outside read them: camel case, public ids, words; what is gone is null.

How an event is written is worked out from its annotations, once, when this module is loaded. An id does not say what it
names, only its field does: a new event with an id that nobody explained here stops the program at its start.
"""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Annotated, Any, TypeAlias, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from domain.catalogue import camel, catalogue
from domain.kernel import Event, Withheld, type_id
from domain.kernel.admission import members

Write: TypeAlias = Callable[[Any], Any]

_NAMED: Mapping[str, tuple[str, ...]] = {
    "customer": (
        "customer",
        "organisations",
        "person",
        "CustomerParentAssigned.old",
        "CustomerParentAssigned.parent",
        "CustomerRegistered.parent",
        "OpportunityCustomerAssigned.old",
        "OpportunityCustomerAssigned.new",
        "TicketCustomerAssigned.old",
        "TicketCustomerAssigned.new",
    ),
    "opportunity": ("opportunities",),
    "pipeline": ("pipeline", "from_pipeline", "to_pipeline"),
    "product": ("product",),
    "queue": ("queue", "TicketQueueChanged.old", "TicketQueueChanged.new"),
    "role": ("role",),
    "staff_member": (
        "assignee",
        "lead",
        "new_owner",
        "old_owner",
        "owner",
        "staff",
        "TeamLeadAssigned.old",
        "TeamLeadAssigned.new",
        "TicketAssigned.old",
        "TicketAssigned.new",
    ),
    "team": (
        "new_team",
        "old_team",
        "team",
        "QueueTeamAssigned.old",
        "QueueTeamAssigned.new",
        "StaffMemberTeamChanged.old",
        "StaffMemberTeamChanged.new",
        "TeamCreated.parent",
    ),
    "ticket": ("follows", "tickets"),
}
"""The fields that name an aggregate of a kind, wherever they stand or in one event only."""
_PARTS: Mapping[str, tuple[str, ...]] = {
    "cpt": ("contact_point", "demoted", "promoted", "ContactPoint.id"),
    "exp": ("export",),
    "lin": ("line",),
    "lnk": ("link",),
    "look": ("look",),
    "msg": ("message",),
    "note": ("note",),
    "stg": (
        "from_stage",
        "order",
        "stage",
        "to_stage",
        "PipelineStagesReordered.old",
        "PipelineStagesReordered.new",
    ),
}
"""The fields that name a part of an aggregate, by the prefix of its public id."""

_PREFIXES = {field: catalogue.prefixes[kind] for kind, fields in _NAMED.items() for field in fields} | {
    field: prefix for prefix, fields in _PARTS.items() for field in fields
}

_LEFT_OUT = frozenset(("ApiTokenIssued.hash",))
"""Fields that are nobody's outside: what the door alone compares with."""


def event_data(event: Event) -> tuple[dict[str, Any], list[str]]:
    """The event's fields, ready for msgspec's JSON, and the names of the personal ones whose values are gone."""
    data: dict[str, Any] = {}
    withheld: list[str] = []
    for field, name, write in _FIELDS[type(event)]:
        value = getattr(event, field)
        if isinstance(value, Withheld):
            withheld.append(name)
            value = None
        data[name] = value if write is None or value is None else write(value)
    return data, withheld


def facts_of(event: type[Event]) -> list[str]:
    """The names of the event's fields, as `event_data` has them."""
    return [name for _, name, _ in _FIELDS[event]]


def _fields(struct: type[msgspec.Struct]) -> list[tuple[str, str, Write | None]]:
    """Each field, its name outside, and how it is written; None: as it is."""
    hints = get_type_hints(struct, include_extras=True)
    shown = {field: hint for field, hint in hints.items() if f"{struct.__name__}.{field}" not in _LEFT_OUT}
    return [(field, camel(field), _write(hint, struct, field)) for field, hint in shown.items()]


def _write(hint: Any, struct: type[msgspec.Struct], field: str) -> Write | None:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    plain = [one for one in members(hint) if one not in (NoneType, Withheld)]
    one, origin = plain[0], get_origin(plain[0])
    if origin is tuple:
        return _write_items(_write(get_args(one)[0], struct, field))
    if origin is dict:
        return _write_by_name(_write(get_args(one)[1], struct, field))
    if one is UUID:
        return _write_id(_prefix(struct, field))
    return _write_struct(one) if issubclass(one, msgspec.Struct) else None


def _prefix(struct: type[msgspec.Struct], field: str) -> str:
    found = _PREFIXES.get(f"{struct.__name__}.{field}") or _PREFIXES.get(field)
    if found is None:
        raise LookupError(f"{struct.__name__}.{field} is an id: say in projections/event_data.py what it names")
    return found


def _write_id(prefix: str) -> Write:
    return lambda id: type_id(prefix, id)


def _write_items(item: Write | None) -> Write | None:
    return None if item is None else lambda values: [item(value) for value in values]


def _write_by_name(item: Write | None) -> Write:
    return lambda values: {camel(name): item(value) if item else value for name, value in values.items()}


def _write_struct(struct: type[msgspec.Struct]) -> Write:
    fields = _fields(struct)

    def write(value: Any) -> dict[str, Any]:
        found = ((name, getattr(value, field), how) for field, name, how in fields)
        return {name: how(one) if how and one is not None else one for name, one, how in found}

    return write


_FIELDS = {shape.type: _fields(shape.type) for shape in catalogue.shapes.values()}
