"""Admission: every kind of raw value, good and bad."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from domain.kernel import (
    LABEL,
    LANGUAGE,
    PROSE,
    QUANTITY,
    ChildId,
    Command,
    Currency,
    Derived,
    Doc,
    ExternalIds,
    Filled,
    Id,
    Items,
    Number,
    Path,
    Refused,
    Rule,
    Word,
    Zone,
    refuse,
    type_id,
)
from domain.kernel.admission import Admission
from domain.kernel.fields import (
    CurrencyUnknown,
    DateOutOfRange,
    IdMalformed,
    IdOfAnotherKind,
    NumberOutOfRange,
    Required,
    TextEmpty,
    TextHasControlCharacters,
    TextHasTooManyMarks,
    TextNotUnicode,
    TextTooLong,
    TooFewItems,
    TooManyDecimals,
    TooManyItems,
    UnknownField,
    UnknownWord,
    ValueMalformed,
    ZoneUnknown,
)

ID, STAFF, STAGE = UUID(int=1), UUID(int=2), UUID(int=3)


class Size(Word):
    """How large."""

    SMALL = "small", "Not large."
    LARGE = "large", "Not small."


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part, with an id of its own and a field that its completion fills."""

    part: Annotated[UUID, Derived("prt")]
    name: Annotated[str, Doc("Its name."), LABEL]
    upper: Annotated[str, Filled()] = ""


class Ask(Command, frozen=True, kw_only=True):
    """A command with a field of every kind; `name` alone is required."""

    note: Annotated[UUID, Derived("note")]
    name: Annotated[str, Doc("A line."), LABEL]
    prose: Annotated[str | None, Doc("Several lines."), PROSE] = None
    language: Annotated[str | None, Doc("A form."), LANGUAGE] = None
    count: Annotated[int | None, Doc("A whole number."), Number(Decimal(-3), Decimal(12))] = None
    quantity: Annotated[Decimal | None, Doc("A decimal."), QUANTITY] = None
    amount: Annotated[Decimal | None, Doc("May be negative."), Number(Decimal(-1000), Decimal(1000), 3)] = None
    size: Annotated[Size | None, Doc("A word.")] = None
    primary: Annotated[bool, Doc("Yes or no.")] = False
    day: Annotated[date | None, Doc("A date.")] = None
    instant: Annotated[datetime | None, Doc("An instant.")] = None
    owner: Annotated[UUID | None, Doc("Another record."), Id("staff_member")] = None
    stage: Annotated[UUID | None, Doc("A part of another record."), ChildId("stg")] = None
    stages: Annotated[tuple[UUID, ...], Doc("Several parts."), ChildId("stg"), Items(3, least=1)] = ()
    currency: Annotated[str | None, Doc("A currency."), Currency()] = None
    zone: Annotated[str | None, Doc("A time zone."), Zone()] = None
    changed: Annotated[str | UnsetType | None, Doc("Null takes it away."), LABEL] = UNSET
    kept: Annotated[str | UnsetType, Doc("May be left out, not null."), LABEL] = UNSET
    parts: Annotated[tuple[Part, ...], Doc("Nested."), Items(2)] = ()
    external_ids: ExternalIds = ()


def complete(part: Part, path: Path) -> Part:
    if part.name == "bad":
        refuse(ValueMalformed(path=(*path, "name"), expected="a good name"))
    return msgspec.structs.replace(part, upper=part.name.upper())


admission = Admission({"staff_member": "stf"}, {Part: complete})


def admitted(**raw: object) -> Ask:
    return admission.admit(Ask, ID, {"name": "x", **raw}, lambda ordinal: UUID(int=1000 + ordinal))


def refused(**raw: object) -> tuple[Rule, ...]:
    with pytest.raises(Refused) as found:
        admitted(**raw)
    assert all(rule.message for rule in found.value.broken)
    return found.value.broken


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ("name", "  Ada \t", "Ada"),
        ("name", "Zoe\u0308", "Zoë"),
        ("name", "ﬁ", "ﬁ"),
        ("name", "x" * 60, "x" * 60),
        ("name", "e\u0301" * 60, "é" * 60),
        ("name", "👩‍💻", "👩‍💻"),
        ("prose", "one\r\ntwo\rthree\n\tfour\n", "one\ntwo\nthree\n\tfour"),
        ("prose", None, None),
        ("language", "zh-Hant-TW", "zh-Hant-TW"),
        ("count", 12, 12),
        ("count", "-3", -3),
        ("count", "1e1", 10),
        ("count", Decimal("2.000"), 2),
        ("quantity", "0.0001", Decimal("0.0001")),
        ("quantity", "1000.50", Decimal("1000.5")),
        ("quantity", Decimal("1E+9"), Decimal(1_000_000_000)),
        ("amount", "1" + "." + "0" * 100, Decimal(1)),
        ("size", "large", Size.LARGE),
        ("size", Size.SMALL, Size.SMALL),
        ("primary", True, True),
        ("primary", "No", False),
        ("day", "2026-03-31", date(2026, 3, 31)),
        ("day", date(1900, 1, 1), date(1900, 1, 1)),
        ("day", "2199-12-31", date(2199, 12, 31)),
        ("instant", "2026-03-31T09:30:00Z", datetime(2026, 3, 31, 9, 30, tzinfo=UTC)),
        ("instant", "2026-03-31T09:30:00+02:00", datetime(2026, 3, 31, 7, 30, tzinfo=UTC)),
        ("owner", STAFF, STAFF),
        ("owner", type_id("stf", STAFF), STAFF),
        ("stage", type_id("stg", STAGE), STAGE),
        ("stages", [type_id("stg", STAGE)], (STAGE,)),
        ("stages", (STAGE, STAFF), (STAGE, STAFF)),
        ("currency", "CHF", "CHF"),
        ("zone", "Europe/Zurich", "Europe/Zurich"),
        ("changed", None, None),
        ("changed", UNSET, UNSET),
        ("kept", UNSET, UNSET),
    ],
)
def test_a_good_value_is_taken(field: str, raw: object, value: object) -> None:
    found = getattr(admitted(**{field: raw}), field)
    assert found == value
    assert type(found) is type(value)


def malformed(expected: str) -> Rule:
    return ValueMalformed(expected=expected)


TEXT, WHOLE, DECIMAL = (malformed(of) for of in ("text", "a whole number", "a decimal number"))
DAY, INSTANT = malformed("a date such as 2026-03-31"), malformed("an instant such as 2026-03-31T09:30:00Z")


@pytest.mark.parametrize(
    ("field", "raw", "rule"),
    [
        ("name", None, Required()),
        ("name", 5, TEXT),
        ("name", b"Ada", TEXT),
        ("name", ["Ada"], TEXT),
        ("name", "", TextEmpty()),
        ("name", " \u00a0\u2003", TextEmpty()),
        ("name", "\u200b\ufeff", TextEmpty()),
        ("name", "x" * 61, TextTooLong(length=61, longest=60)),
        ("name", "x" * 1_000_000, TextTooLong(length=1_000_000, longest=60)),
        ("name", "a" + "\u0301" * 31, TextHasTooManyMarks(most=30)),
        ("name", "a" + "\u0301" * 200_000, TextTooLong(length=200_001, longest=60)),
        ("prose", "a" + "\u0301" * 20_000 + "\u0323" * 20_000, TextHasTooManyMarks(most=30)),
        ("name", "a\x00b", TextHasControlCharacters(codepoint="0000")),
        ("name", "a\nb", TextHasControlCharacters(codepoint="000A")),
        ("name", "a\x9fb", TextHasControlCharacters(codepoint="009F")),
        ("prose", "a\x1bb", TextHasControlCharacters(codepoint="001B")),
        ("name", "a\ud83d", TextNotUnicode()),
        ("name", "\udc00", TextNotUnicode()),
        ("prose", "", TextEmpty()),
        ("language", "Swiss German", malformed("a language tag such as de-CH")),
        ("language", "de-CH\u0130", malformed("a language tag such as de-CH")),
        ("kept", None, Required()),
        ("count", 13, NumberOutOfRange(least="-3", most="12")),
        ("count", -4, NumberOutOfRange(least="-3", most="12")),
        ("count", "1e400", NumberOutOfRange(least="-3", most="12")),
        ("count", "1.5", TooManyDecimals(decimals=0)),
        ("count", "1e-400", TooManyDecimals(decimals=0)),
        ("count", True, WHOLE),
        ("count", 1.0, WHOLE),
        ("count", "twelve", WHOLE),
        ("count", "0x10", WHOLE),
        ("count", "1_0", WHOLE),
        ("count", "\u0661\u0662", WHOLE),
        ("count", " 1", WHOLE),
        ("count", "", WHOLE),
        ("count", "\ud800", WHOLE),
        ("quantity", 0, NumberOutOfRange(least="0.0001", most="1000000000")),
        ("quantity", "0.00001", NumberOutOfRange(least="0.0001", most="1000000000")),
        ("quantity", "1.00001", TooManyDecimals(decimals=4)),
        ("quantity", "100000000.000000000000000000000000000001", TooManyDecimals(decimals=4)),
        ("quantity", "1000000000.0001", NumberOutOfRange(least="0.0001", most="1000000000")),
        ("quantity", "NaN", DECIMAL),
        ("quantity", "sNaN", DECIMAL),
        ("quantity", Decimal("Infinity"), DECIMAL),
        ("quantity", "-Infinity", DECIMAL),
        ("quantity", float("inf"), DECIMAL),
        ("quantity", "1e9999999999999999999", DECIMAL),
        ("quantity", "1_000", DECIMAL),
        ("quantity", "\uff11\uff12.\uff15", DECIMAL),
        ("quantity", False, DECIMAL),
        ("size", "medium", UnknownWord(allowed="small, large")),
        ("size", "LARGE", UnknownWord(allowed="small, large")),
        ("size", 1, UnknownWord(allowed="small, large")),
        ("size", [], UnknownWord(allowed="small, large")),
        ("primary", None, Required()),
        ("primary", 1, malformed("true or false")),
        ("primary", "maybe", malformed("true or false")),
        ("day", "2026-02-30", DAY),
        ("day", "31.03.2026", DAY),
        ("day", "2026-03-31T09:30:00Z", DAY),
        ("day", datetime(2026, 3, 31, tzinfo=UTC), DAY),
        ("day", 20260331, DAY),
        ("day", "20260331", DAY),
        ("day", "2026-W14-2", DAY),
        ("day", "202\u0666-03-31", DAY),
        ("day", "\ud800", DAY),
        ("day", "1899-12-31", DateOutOfRange()),
        ("day", date(2200, 1, 1), DateOutOfRange()),
        ("instant", "2026-03-31T09:30:00", INSTANT),
        ("instant", datetime(2026, 3, 31), INSTANT),  # noqa: DTZ001 - a naive instant is what must be refused
        ("instant", "yesterday", INSTANT),
        ("instant", 1774949400, INSTANT),
        ("instant", "0001-01-01T00:00:00+14:00", DateOutOfRange()),
        ("instant", datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))), DateOutOfRange()),
        ("owner", type_id("tem", STAFF), IdOfAnotherKind(prefix="stf")),
        ("stage", type_id("stf", STAGE), IdOfAnotherKind(prefix="stg")),
        ("stages", [], TooFewItems(count=0, least=1)),
        ("stages", [STAGE] * 4, TooManyItems(count=4, most=3)),
        ("stages", type_id("stg", STAGE), malformed("a list")),
        ("stages", {"0": STAGE}, malformed("a list")),
        ("stages", None, Required()),
        ("currency", "chf", CurrencyUnknown()),
        ("currency", "XYZ", CurrencyUnknown()),
        ("currency", ["CHF"], CurrencyUnknown()),
        ("parts", [{"name": "a"}] * 3, TooManyItems(count=3, most=2)),
        ("nonsense", 1, UnknownField()),
        ("note", "note_7zzzzzzzzzzzzzzzzzzzzzzzzz", UnknownField()),
    ],
)
def test_a_bad_value_is_refused(field: str, raw: object, rule: Rule) -> None:
    assert refused(**{field: raw}) == (msgspec.structs.replace(rule, path=(field,)),)


@pytest.mark.parametrize(
    "raw", ["", "stf", "stf_", "stf_x", type_id("stf", STAFF)[:-1], type_id("stf", STAFF).upper(), str(STAFF), 5, []]
)
def test_a_malformed_id_is_refused_with_an_example(raw: object) -> None:
    (rule,) = refused(owner=raw)
    assert isinstance(rule, IdMalformed)
    assert rule.path == ("owner",)
    assert rule.example.startswith("stf_")


@pytest.mark.parametrize(
    "raw",
    [
        "", "Zurich", "europe/zurich ", "../../etc/passwd", "/etc/localtime", "Europe", "zone.tab", "\0", "\ud800", 7,
        "localtime", "posixrules", "posix/Europe/Zurich", "right/Europe/Zurich",  # files, and no zones to PostgreSQL
    ],
)  # fmt: skip
def test_what_is_no_time_zone_is_refused(raw: object) -> None:
    assert refused(zone=raw) == (ZoneUnknown(path=("zone",)),)


def test_what_is_huge_is_refused() -> None:
    assert refused(zone="x" * 100_000) == (ZoneUnknown(path=("zone",)),)
    # Python itself refuses to print so long a number.
    assert refused(count=10**5000) == (NumberOutOfRange(path=("count",), least="-3", most="12"),)


@pytest.mark.parametrize("raw", ["-0", "-0.000", "-0E-400", "0E+400", Decimal("-0"), 0])
def test_zero_has_no_sign(raw: object) -> None:
    assert str(admitted(amount=raw).amount) == "0"
    assert str(admitted(count=raw).count) == "0"


def test_what_is_required_can_not_be_left_out() -> None:
    with pytest.raises(Refused) as found:
        admission.admit(Ask, ID, {}, lambda ordinal: UUID(int=ordinal))
    assert found.value.broken == (Required(path=("name",)),)
    assert refused(name=UNSET) == (Required(path=("name",)),)


def test_a_fault_deep_inside_is_named_by_its_path() -> None:
    found = refused(
        parts=[{"name": "ok"}, {"name": "", "colour": "red"}],
        external_ids=[{"source": "erp", "id": "1"}, {"source": "a:b", "id": 7}, "erp:9"],
    )
    assert found == (
        TextEmpty(path=("parts", 1, "name")),
        UnknownField(path=("parts", 1, "colour")),
        ValueMalformed(path=("external_ids", 1, "source"), expected="a system's name without a colon"),
        ValueMalformed(path=("external_ids", 1, "id"), expected="text"),
        ValueMalformed(path=("external_ids", 2), expected="an object"),
    )


def test_every_fault_is_named_at_once() -> None:
    assert {rule.path for rule in refused(name="", count="x", parts=[{}], colour="red")} == {
        ("name",),
        ("count",),
        ("parts", 0, "name"),
        ("colour",),
    }


def test_what_is_derived_or_filled_in_is_never_asked() -> None:
    found = admitted(parts=[{"name": "a"}, {"name": "b"}])
    assert found.note == UUID(int=1001)
    assert [(one.part, one.name, one.upper) for one in found.parts] == [
        (UUID(int=1002), "a", "A"),
        (UUID(int=1003), "b", "B"),
    ]
    assert refused(parts=[{"name": "a", "upper": "B"}]) == (UnknownField(path=("parts", 0, "upper")),)


def test_a_completion_may_refuse() -> None:
    assert refused(parts=[{"name": "good"}, {"name": "bad"}]) == (
        ValueMalformed(path=("parts", 1, "name"), expected="a good name"),
    )


def test_the_target_is_the_doors_own() -> None:
    assert admitted().id == ID
    raw: dict[str, Any] = {"name": "x", "id": "another"}
    assert admission.admit(Ask, ID, raw, lambda ordinal: UUID(int=ordinal)).id == ID
