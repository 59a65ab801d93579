"""Whatever comes in, for any command there is: a command of clean values comes out, or a refusal that says where."""

import json
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from domain.catalogue import catalogue
from domain.kernel import Command, Derived, Doc, NewContactPoint, Refused, type_id
from domain.kernel.admission import Admission
from domain.kernel.asked import as_asked
from domain.staff_member import ChangeStaffMemberEmail, RegisterStaffMember
from infra.contacts import complete_contact_point, complete_staff_email
from tests.domain.raw_values import values_of

TARGET = UUID(int=1)
ADMISSION = Admission(catalogue.prefixes, {})
COMPLETING = Admission(
    catalogue.prefixes,
    {
        NewContactPoint: complete_contact_point,
        RegisterStaffMember: complete_staff_email,
        ChangeStaffMemberEmail: complete_staff_email,
    },
)
STRUCTS: list[type[msgspec.Struct]] = [*catalogue.by_command, NewContactPoint]
NAMES = sorted({field.name for struct in STRUCTS for field in msgspec.structs.fields(struct)})
FILLED = {"hash", "normalised", "normalised_email"}
every_command = pytest.mark.parametrize("command", catalogue.by_command, ids=lambda command: command.__name__)


def admitted(admission: Admission, command: type[Command], raw: dict[str, Any]) -> Command:
    return admission.admit(command, TARGET, raw, lambda ordinal: UUID(int=1000 + ordinal))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(st.characters())
    | st.text(st.characters(categories=("Cs", "Cc", "Cf", "Zs", "Mn", "Nd")))
    | st.sampled_from(
        ["email", "phone", "web", "person", "CHF", "UTC", "2026-03-31", "2026-03-31T09:30Z", "1e400", "-0"]
    )
    | st.sampled_from(sorted(catalogue.prefixes.values())).map(lambda prefix: type_id(prefix, TARGET))
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=12,
)


@every_command
@settings(max_examples=8)
@for_all(data=st.data())
def test_it_is_admitted_or_refused(command: type[Command], data: st.DataObject) -> None:
    fields = st.sampled_from([field.name for field in msgspec.structs.fields(command)])
    raw: dict[str, Any] = data.draw(st.dictionaries(fields | st.sampled_from(NAMES), anything))
    hold_promise(command, raw)


@every_command
@settings(max_examples=8)
@for_all(data=st.data())
def test_one_bad_value_among_good_ones_is_admitted_or_refused(command: type[Command], data: st.DataObject) -> None:
    raw: dict[str, Any] = data.draw(values_of(command))
    at: Any = raw
    while isinstance(at, dict | list) and at:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if data.draw(st.booleans()) or not isinstance(at[key], dict | list):
            at[key] = data.draw(anything)
            break
        at = at[key]
    hold_promise(command, raw)


def hold_promise(command: type[Command], raw: dict[str, Any]) -> None:
    found = outcome(command, raw)
    if isinstance(found, Command):
        hold_clean(found)
    else:
        fields = {field.name for field in msgspec.structs.fields(command)}
        assert found.broken
        assert all(rule.message and rule.path and rule.path[0] in fields | raw.keys() for rule in found.broken)


def outcome(command: type[Command], raw: dict[str, Any]) -> Command | Refused:
    try:
        return admitted(COMPLETING, command, raw)
    except Refused as refused:
        return refused


@every_command
@settings(max_examples=8)
@for_all(data=st.data())
def test_what_is_well_formed_is_admitted_and_clean(command: type[Command], data: st.DataObject) -> None:
    raw: dict[str, Any] = data.draw(values_of(command))
    found = admitted(ADMISSION, command, raw)
    hold_clean(found)
    for name in raw.keys() - {"id"}:
        assert getattr(found, name) is not msgspec.UNSET
        assert (getattr(found, name) is None) == (raw[name] is None)


@every_command
@settings(max_examples=4)
@for_all(data=st.data())
def test_what_is_asked_is_all_but_given_ids_and_what_is_filled_in(command: type[Command], data: st.DataObject) -> None:
    raw: dict[str, Any] = data.draw(values_of(command))
    given: set[str] = set()

    def derive(ordinal: int) -> UUID:
        given.add(str(UUID(int=(1 << 64) + ordinal)))
        return UUID(int=(1 << 64) + ordinal)

    def as_told(value: Any) -> Any:
        match value:
            case dict():
                told = {name: one for name, one in value.items() if name not in FILLED}
                return {
                    name: as_told(one) for name, one in told.items() if not isinstance(one, str) or one not in given
                }
            case list():
                return [as_told(one) for one in value]
            case _:
                return value

    made = ADMISSION.admit(command, TARGET, raw, derive)
    assert json.loads(msgspec.json.encode(as_asked(made))) == as_told(json.loads(msgspec.json.encode(made)))


def test_what_is_not_asked_is_found_wherever_a_struct_stands() -> None:
    class Part(msgspec.Struct, frozen=True):
        part: Annotated[UUID, Derived("prt")]
        said: str

    class Whole(msgspec.Struct, frozen=True):
        plain: Part
        maybe: Part | None
        none: Part | None
        several: Annotated[tuple[Annotated[Part, Doc("One of them.")], ...], Doc("All of them.")]

    part = Part(part=TARGET, said="this")
    found = as_asked(Whole(plain=part, maybe=part, none=None, several=(part, part)))
    asked = {"said": "this"}
    assert msgspec.json.decode(msgspec.json.encode(found)) == {
        "plain": asked, "maybe": asked, "none": None, "several": [asked, asked]
    }  # fmt: skip


def hold_clean(command: Command) -> None:
    """Texts are NFC, trimmed and free of control characters; numbers are finite and zero has no sign."""
    for value in plain_values(command):
        if isinstance(value, str):
            assert value == unicodedata.normalize("NFC", value)
            assert value == value.strip()
            assert not {unicodedata.category(letter) for letter in value if letter not in "\n\t"} & {"Cc", "Cs"}
        if isinstance(value, Decimal):
            assert value.is_finite()
            assert value or not value.is_signed()


def plain_values(value: object) -> Iterator[object]:
    match value:
        case msgspec.Struct():
            for name in value.__struct_fields__:
                yield from plain_values(getattr(value, name))
        case tuple():
            for item in value:
                yield from plain_values(item)
        case _:
            yield value
