"""How the read models write names, ids and events."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pytest

from domain.catalogue import catalogue
from domain.customer import (
    Change,
    CustomerContactLinked,
    CustomerDetailsChanged,
    CustomerOwnerAssigned,
    CustomerParentAssigned,
    CustomerRenamed,
)
from domain.kernel import Derived, Event, Withheld, type_id
from domain.kernel.admission import members
from domain.opportunity import OpportunityLine, OpportunityLineAdded
from domain.pipeline import PipelineStagesReordered
from projections.event_data import event_data
from projections.sorting import sort_key
from tests.projections.books import made_up_book
from tests.projections.comparison import posted

A, B = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ADA", "ada"),
        ("Łódź", "lodz"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("Ærø", "aero"),
        ("Jean-François", "jean-francois"),
        ("e\u0301", "e"),
        ("\uff37ide", "wide"),
        ("İstanbul", "istanbul"),
        ("東京", "東京"),
        ("ガ", "ガ"),  # its mark makes another letter of カ
        ("한국", "한국"),
        ("", ""),
        (None, ""),
        (Withheld.ERASED, ""),
    ],
)
def test_names_that_are_alike_for_people_sort_alike(text: str | Withheld | None, key: str) -> None:
    assert sort_key(text) == key


def test_parts_carry_the_prefixes_that_the_commands_give_them() -> None:
    commands = [command for decider in catalogue.deciders.values() for command in decider.commands.values()]
    promised = {prefix for command in commands for prefix in derived(command)}
    books = [posted(made_up_book(seed)) for seed in range(12)]
    ids = {row["id"].rpartition("_")[0] for rows in books for of in rows.values() for row in of.values() if "id" in row}
    assert promised - {"look", "exp"} <= ids, "a look and a copy have no row: they are told of in the history alone"
    assert ids - promised == set(catalogue.prefixes.values())


def derived(kind: type[msgspec.Struct]) -> Iterator[str]:
    for hint in get_type_hints(kind, include_extras=True).values():
        plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        yield from (mark.prefix for mark in get_args(hint)[1:] if isinstance(mark, Derived))
        for one in [inner for member in members(plain) for inner in (member, *get_args(member))]:
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                yield from derived(one)


LINE = OpportunityLine(
    line=A, product=B, quantity=Decimal(2), price=Decimal("1.50"), discount=Decimal(0), tax=Decimal(8), total=None
)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (CustomerRenamed(old="A", new=None), {"old": "A", "new": None}),
        (CustomerParentAssigned(old=None, parent=A), {"old": None, "parent": type_id("cus", A)}),
        (
            CustomerOwnerAssigned(old_owner=A, owner=None, old_team=None, team=B),
            {"oldOwner": type_id("stf", A), "owner": None, "oldTeam": None, "team": type_id("tem", B)},
        ),
        (
            CustomerDetailsChanged(changes={"founded_year": Change(None, 1999)}, personal_changes={}),
            {"changes": {"foundedYear": {"old": None, "new": 1999}}, "personalChanges": {}},
        ),
        (
            CustomerContactLinked(link=A, person=B, role="CFO", since=date(2026, 1, 2), until=None),
            {
                "link": type_id("lnk", A),
                "person": type_id("cus", B),
                "role": "CFO",
                "since": "2026-01-02",
                "until": None,
            },
        ),
        (
            PipelineStagesReordered(old=(A, B), new=(B, A)),
            {"old": [type_id("stg", A), type_id("stg", B)], "new": [type_id("stg", B), type_id("stg", A)]},
        ),
        (
            OpportunityLineAdded(added=LINE, old_amount=None, new_amount=Decimal("3.00"), currency="CHF"),
            {
                "added": {
                    "line": type_id("lin", A),
                    "product": type_id("prd", B),
                    "quantity": "2",
                    "price": "1.50",
                    "discount": "0",
                    "tax": "8",
                    "total": None,
                },
                "oldAmount": None,
                "newAmount": "3.00",
                "currency": "CHF",
            },
        ),
    ],
    ids=lambda given: type(given).__name__,
)
def test_an_event_reads_in_public_words(event: Event, data: dict[str, Any]) -> None:
    found, withheld = event_data(event)
    assert msgspec.to_builtins(found) == data
    assert withheld == []


def test_what_was_erased_is_null_and_named() -> None:
    found, withheld = event_data(CustomerDetailsChanged(changes={}, personal_changes=Withheld.ERASED))
    assert found == {"changes": {}, "personalChanges": None}
    assert withheld == ["personalChanges"]
