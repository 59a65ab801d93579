"""Admission: raw values, from GraphQL or a file, become a command of plain, normalised values. All faults are named."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID
from zoneinfo import available_timezones

import msgspec

from domain.kernel import composing, fields
from domain.kernel.identifiers import NotATypeId, parse_type_id, type_id
from domain.kernel.money import MINOR_UNITS
from domain.kernel.rules import Path, Refused, Rule
from domain.kernel.words import Command, Word
from domain.kernel.written import day_written, number_written

Completion: TypeAlias = Callable[[Any, Path], Any]
"""Completes an input struct (fills `Filled` fields) or raises Refused; it gets the struct and its path."""
Admit: TypeAlias = Callable[[object, Path, "Intake"], Any]

A = TypeVar("A", bound=Command)

_FAULTY = object()
_EARLIEST, _LATEST = date(1900, 1, 1), date(2199, 12, 31)
_INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Zs")


class Intake:
    """One command on its way in: collects the broken rules, derives the ids of what it adds."""

    def __init__(self, derive: Callable[[int], UUID]) -> None:
        self.broken: list[Rule] = []
        self._derive, self._ordinal = derive, 0

    def refuse(self, rule: Rule) -> object:
        self.broken.append(rule)
        return _FAULTY

    def next_id(self) -> UUID:
        self._ordinal += 1
        return self._derive(self._ordinal)


class Admission:
    """Admits commands. `prefixes`: the TypeID prefix of each kind; `completions`: what completes an input struct."""

    def __init__(self, prefixes: Mapping[str, str], completions: Mapping[type, Completion]) -> None:
        self._prefixes, self._completions = prefixes, completions
        self._compiled: dict[type, Admit] = {}

    def admit(self, command: type[A], id: UUID, raw: Mapping[str, object], derive: Callable[[int], UUID]) -> A:
        """The command, its texts normalised and its values parsed. Raises Refused with every fault and its path.

        `raw` maps field names (snake case) to values; `derive(n)` is the id of the n-th thing that the command adds.
        """
        intake = Intake(derive)
        made = self._of_struct(command)({**raw, "id": id}, (), intake)
        if intake.broken:
            raise Refused(*intake.broken)
        return cast("A", made)

    def _of_struct(self, kind: type[msgspec.Struct]) -> Admit:
        if kind in self._compiled:
            return self._compiled[kind]
        hints = get_type_hints(kind, include_extras=True)
        derived = [name for name, hint in hints.items() if marked(hint, fields.Derived)]
        shape = {
            field.name: (self._of(hints[field.name]), field.required)
            for field in msgspec.structs.fields(kind)
            if not marked(hints[field.name], fields.Derived, fields.Filled)
        }
        complete = self._completions.get(kind)

        def admit(raw: object, path: Path, intake: Intake) -> Any:
            if not isinstance(raw, Mapping):
                return intake.refuse(fields.ValueMalformed(path=path, expected="an object"))
            given = cast("Mapping[str, object]", raw)
            values: dict[str, object] = {name: intake.next_id() for name in derived}
            before = len(intake.broken)
            for name, (of, required) in shape.items():
                if name in given and given[name] is not msgspec.UNSET:
                    values[name] = of(given[name], (*path, name), intake)
                elif required:
                    intake.refuse(fields.Required(path=(*path, name)))
            for name in given:
                if name not in shape:
                    intake.refuse(fields.UnknownField(path=(*path, name)))
            if len(intake.broken) > before:
                return _FAULTY
            made = kind(**values)
            if complete is None:
                return made
            try:
                return complete(made, path)
            except Refused as refused:
                intake.broken.extend(refused.broken)
                return _FAULTY

        self._compiled[kind] = admit
        return admit

    def _of(self, hint: Any) -> Admit:
        marks: tuple[object, ...] = ()
        if get_origin(hint) is Annotated:
            hint, *found = get_args(hint)
            marks = tuple(found)
        kind = next(one for one in members(hint) if one not in (NoneType, msgspec.UnsetType))
        admit = self._of_plain(kind, marks)
        if NoneType in members(hint):
            return lambda raw, path, intake: None if raw is None else admit(raw, path, intake)
        return lambda raw, path, intake: (
            intake.refuse(fields.Required(path=path)) if raw is None else admit(raw, path, intake)
        )

    def _of_plain(self, kind: Any, marks: tuple[object, ...]) -> Admit:
        of = {type(mark): mark for mark in marks}
        if get_origin(kind) is tuple:
            return self._of_list(get_args(kind)[0], cast("fields.Items", of[fields.Items]), marks)
        if kind is str:
            if fields.Currency in of:
                return _currency
            return _zone if fields.Zone in of else _text(cast("fields.Text", of[fields.Text]))
        if kind is UUID:
            if not of:
                return _given
            if fields.ChildId in of:
                return _identifier(cast("fields.ChildId", of[fields.ChildId]).prefix)
            return _identifier(self._prefixes[cast("fields.Id", of[fields.Id]).kind])
        if kind in (int, Decimal):
            return _number(kind, cast("fields.Number", of[fields.Number]))
        if issubclass(kind, msgspec.Struct):
            return self._of_struct(kind)
        if issubclass(kind, Word):
            return _word(kind)
        return {bool: _truth, date: _date, datetime: _instant}[kind]

    def _of_list(self, item: Any, items: fields.Items, marks: tuple[object, ...]) -> Admit:
        of_item = self._of(item if get_origin(item) is Annotated else Annotated[(item, *marks)])

        def admit(raw: object, path: Path, intake: Intake) -> Any:
            if not isinstance(raw, list | tuple):
                return intake.refuse(fields.ValueMalformed(path=path, expected="a list"))
            given = cast("list[object] | tuple[object, ...]", raw)
            if len(given) > items.most:
                return intake.refuse(fields.TooManyItems(path=path, count=len(given), most=items.most))
            if len(given) < items.least:
                return intake.refuse(fields.TooFewItems(path=path, count=len(given), least=items.least))
            return tuple(of_item(one, (*path, at), intake) for at, one in enumerate(given))

        return admit


def plain_text(raw: object, path: Path, intake: Intake, rule: fields.Text) -> Any:
    """NFC, trimmed, line ends as \\n; refused when empty, too long, or not clean Unicode."""
    if not isinstance(raw, str):
        return intake.refuse(fields.ValueMalformed(path=path, expected="text"))
    if (fault := composing.fault_of(raw, rule.longest, path)) is not None:
        return intake.refuse(fault)
    text = unicodedata.normalize("NFC", raw).strip()
    if rule.multiline:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        return intake.refuse(fields.TextEmpty(path=path))
    # What is printable can be seen: blanks alone would have been stripped.
    if not text.isprintable() and (unclean := _unclean(text, path, rule)) is not None:
        return intake.refuse(unclean)
    if len(text) > rule.longest:
        return intake.refuse(fields.TextTooLong(path=path, length=len(text), longest=rule.longest))
    if rule.form is not None and not re.fullmatch(rule.form.pattern, text):
        return intake.refuse(fields.ValueMalformed(path=path, expected=rule.form.expected))
    return text


def _unclean(text: str, path: Path, rule: fields.Text) -> Rule | None:
    """The rule that its letters break; None where they break none."""
    categories = [unicodedata.category(letter) for letter in text]
    for letter, category in zip(text, categories, strict=True):
        if category == "Cs":
            return fields.TextNotUnicode(path=path)
        if category == "Cc" and not (rule.multiline and letter in "\n\t"):
            return fields.TextHasControlCharacters(path=path, codepoint=f"{ord(letter):04X}")
    return fields.TextEmpty(path=path) if all(category in _INVISIBLE for category in categories) else None


def _given(raw: object, _path: Path, _intake: Intake) -> Any:
    return raw


def _text(rule: fields.Text) -> Admit:
    return lambda raw, path, intake: plain_text(raw, path, intake, rule)


def _identifier(prefix: str) -> Admit:
    example = type_id(prefix, UUID(int=0x0190163D8694739BAEA5966C26F8AD91))

    def admit(raw: object, path: Path, intake: Intake) -> Any:
        if isinstance(raw, UUID):
            return raw
        try:
            found, id = parse_type_id(raw) if isinstance(raw, str) else ("", None)
        except NotATypeId:
            found, id = "", None
        if id is None:
            return intake.refuse(fields.IdMalformed(path=path, example=example))
        return id if found == prefix else intake.refuse(fields.IdOfAnotherKind(path=path, prefix=prefix))

    return admit


def _number(kind: type[int] | type[Decimal], rule: fields.Number) -> Admit:
    expected = "a whole number" if kind is int else "a decimal number"
    unit = Decimal(1).scaleb(-rule.decimals)

    def admit(raw: object, path: Path, intake: Intake) -> Any:
        number = _decimal(raw)
        if number is None:
            return intake.refuse(fields.ValueMalformed(path=path, expected=expected))
        if not rule.least <= number <= rule.most:
            return intake.refuse(fields.NumberOutOfRange(path=path, least=str(rule.least), most=str(rule.most)))
        rounded = number.quantize(unit)
        if rounded != number:
            return intake.refuse(fields.TooManyDecimals(path=path, decimals=rule.decimals))
        return int(rounded) if kind is int else Decimal(f"{rounded.normalize():f}")

    return admit


def _decimal(raw: object) -> Decimal | None:
    """The finite number that this is or spells, zero without a sign; None where it is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | str | Decimal):
        return None
    number = number_written(raw) if isinstance(raw, str) else Decimal(raw)
    return (number or Decimal(0)) if number is not None and number.is_finite() else None


def _currency(raw: object, path: Path, intake: Intake) -> Any:
    known = isinstance(raw, str) and raw in MINOR_UNITS
    return raw if known else intake.refuse(fields.CurrencyUnknown(path=path))


def _zone(raw: object, path: Path, intake: Intake) -> Any:
    known = isinstance(raw, str) and raw in _zones()
    return raw if known else intake.refuse(fields.ZoneUnknown(path=path))


@cache
def _zones() -> frozenset[str]:
    """The names that mean the same on every machine, and to PostgreSQL: other files lie beside theirs."""
    return frozenset(available_timezones() - {"localtime"})


def _word(kind: type[Word]) -> Admit:
    words: dict[object, Word] = {word.value: word for word in kind}
    allowed = ", ".join(word.value for word in kind)
    return lambda raw, path, intake: (
        words[raw]
        if isinstance(raw, str) and raw in words
        else intake.refuse(fields.UnknownWord(path=path, allowed=allowed))
    )


_TRUTH: dict[object, bool] = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


def _truth(raw: object, path: Path, intake: Intake) -> Any:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _TRUTH:
        return _TRUTH[raw.lower()]
    return intake.refuse(fields.ValueMalformed(path=path, expected="true or false"))


def _date(raw: object, path: Path, intake: Intake) -> Any:
    day = day_written(raw) if isinstance(raw, str) else raw
    if not isinstance(day, date) or isinstance(day, datetime):
        return intake.refuse(fields.ValueMalformed(path=path, expected="a date such as 2026-03-31"))
    return day if _EARLIEST <= day <= _LATEST else intake.refuse(fields.DateOutOfRange(path=path))


def _instant(raw: object, path: Path, intake: Intake) -> Any:
    try:
        instant = datetime.fromisoformat(raw) if isinstance(raw, str) else raw
    except ValueError:
        instant = None
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        return intake.refuse(fields.ValueMalformed(path=path, expected="an instant such as 2026-03-31T09:30:00Z"))
    if not _EARLIEST <= instant.date() <= _LATEST:
        return intake.refuse(fields.DateOutOfRange(path=path))
    return instant.astimezone(UTC)


def members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the hint itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def marked(hint: Any, *kinds: type) -> bool:
    """Whether an annotation carries a mark of one of these kinds."""
    return get_origin(hint) is Annotated and any(isinstance(mark, kinds) for mark in get_args(hint)[1:])
