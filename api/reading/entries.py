"""What is seen of an entry of the book by whom persons, or amounts, are hidden: its fields go null, and are named.

Which fields these are is read off the events themselves: personal is what they seal, and money what holds decimals,
with the currency beside it.
External ids are hidden with what is personal, as they are in the records (`policies.py`): not all events seal them.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from domain.catalogue import camel, catalogue
from domain.kernel import Event
from projections.timeline import TIMELINE

_HOLD_MONEY_TOO = {"CustomerDetailsChanged": ("changes",)}
"""Where an amount is a text among others: a customer's revenue."""
_NO_MONEY = ("Pipeline", "OpportunityProbability")
"""The beginnings of events whose decimals are per cents."""

_EXTERNAL_IDS = {"external_id", "external_ids"}
_FOUND_BY_EVERYBODY = "Product"
"""The beginning of events whose external ids everybody is told."""


@cache
def hidden_fields(*, personal: bool, amounts: bool) -> Mapping[str, tuple[str, ...]]:
    """By the stored name of an event: its fields that are hidden where personal data, or amounts, are not seen."""
    found: dict[str, tuple[str, ...]] = {}
    for name, shape in catalogue.shapes.items():
        hidden = set(() if personal else shape.personal)
        if not personal and not name.startswith(_FOUND_BY_EVERYBODY):
            hidden.update(_EXTERNAL_IDS.intersection(shape.type.__struct_fields__))
        if not amounts:
            hidden.update(() if name.startswith(_NO_MONEY) else _money(shape.type))
            hidden.update(_HOLD_MONEY_TOO.get(name, ()))
        if hidden:
            found[name] = tuple(sorted(map(camel, hidden)))
    return found | {name: found[older.into] for name, older in catalogue.older.items() if older.into in found}


def entry_columns(*, personal: bool, amounts: bool, unmasked: str | None) -> str:
    """SQL: the columns of the timeline for a row called `seen`; where a condition holds, persons are not hidden."""
    hidden = hidden_fields(personal=personal, amounts=amounts)
    if not hidden:
        return "*"
    by_event = _literal(hidden)
    if unmasked is not None:
        by_event = (
            f"case when {unmasked} then {_literal(hidden_fields(personal=True, amounts=amounts))} else {by_event} end"
        )
    names = f'(({by_event}) -> seen."event")'
    instead = {
        "data": (
            f'case when {names} is null then seen."data" else (select coalesce(json_object_agg(field.key,'
            f" case when {names} ? field.key then null else field.value end), '{{}}'::json)"
            ' from json_each(seen."data") field) end'
        ),
        "withheld": f'seen."withheld" || array(select jsonb_array_elements_text({names}))',
    }
    if not personal:
        instead["reason"] = f'case when {unmasked or "false"} then seen."reason" end'
    columns = ((column, instead.get(column, f'seen."{column}"')) for column in TIMELINE.columns)
    return ", ".join(f'{sql} as "{column}"' for column, sql in columns)


def _literal(hidden: Mapping[str, Sequence[str]]) -> str:
    return f"'{msgspec.json.encode(hidden).decode()}'::jsonb"


def _money(event: type[Event]) -> list[str]:
    hints = get_type_hints(event)
    amounts = [field for field, hint in hints.items() if Decimal in _types(hint) and "probability" not in field]
    return [*amounts, *(field for field in hints if amounts and field.endswith("currency"))]


def _types(hint: Any) -> Iterator[Any]:
    """Every type that a field's type is made of."""
    yield hint
    for one in get_args(hint):
        yield from _types(one)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        for one in get_type_hints(hint).values():
            yield from _types(one)
