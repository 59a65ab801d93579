"""Encoding: how an event becomes bytes and back, by a closed registry of stored names.

An event's JSON is stored in two parts: the public fields, in plain, and the personal fields with the reason, sealed. To
read it, both objects are spliced into one and decoded at once; a part that is not opened is spliced in as `Withheld`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

import msgspec

from domain.kernel import Decider, Event, Withheld
from domain.kernel.personal import PersonalMark

AnyDecider = Decider[Any, Any, Any]

REASON = "$reason"
"""The envelope's reason inside the sealed part; `$` keeps it apart from an event's own fields."""


class Encoded(NamedTuple):
    """An event as bytes: its stored name, its public JSON, its personal JSON (None: nothing personal)."""

    name: str
    public: bytes
    personal: bytes | None


class Older(NamedTuple):
    """A shape that is no longer written: what it became, its personal fields, and how the old fields become the new."""

    into: str
    personal: tuple[str, ...]
    upcast: Callable[[dict[str, Any]], dict[str, Any]]
    public: tuple[str, ...] = ()
    """The fields that it had beside the personal ones."""


class UnknownEventName(LookupError):
    """The book holds an event whose name this version of Daybook does not know: upgrade, then `daybook retry`."""


class Altered(ValueError):
    """What is stored of an entry, or its key, was altered. The message goes on from the entry, and quotes no value."""


class SealBroken(Altered):
    """A sealed part does not open under its own key, or that key is missing: what is stored was altered.

    The message goes on from what is sealed there: "does not open".
    """


class NoSuchTime(Altered):
    """An entry has a time that none is ever given."""

    def __init__(self) -> None:
        super().__init__(
            "has a time that is infinite, or not of the years 1 to 9999: it was altered. `daybook verify` says what"
            " else was."
        )


Part: TypeAlias = bytes | Withheld | SealBroken | None
"""An entry's personal part: opened, left as it is, or why it does not open; None where there is none."""


class UnreadableEntry(Exception):
    """An entry can't be read; the message says which, why, and what to do."""

    def __init__(self, position: int, name: str, why: Exception) -> None:
        """`why`: one of NOT_DECODED, of which Altered alone has a message without a value of the entry."""
        self.position, self.name, self.altered = position, name, isinstance(why, Altered)
        super().__init__(f"Entry {position}, {name}, {why if self.altered else _NOT_UNDERSTOOD}")


_NOT_UNDERSTOOD = (
    "can't be read by this version of Daybook. If a newer version wrote it, run that one; if not, `daybook verify` says"
    " whether it was altered."
)

NOT_DECODED = (LookupError, ValueError, msgspec.MsgspecError)
"""What decoding an entry raises that does not open, or that this version can't read, upcasting included."""


class Reading(NamedTuple):
    """What a fold wants of a history, by stored names. The last entry is always read: it tells the version."""

    opened: bool = False
    left_out: tuple[str, ...] = ()
    left_sealed: Collection[str] = ()
    only_last: Collection[str] = ()
    """Of several entries of such a name, the last one only."""


class Shape:
    """How events of one stored name are written and read."""

    def __init__(self, kind: str, name: str, event: type[Event]) -> None:
        hints = get_type_hints(event, include_extras=True)
        self.kind, self.name, self.type = kind, name, event
        self.personal = tuple(field for field, hint in hints.items() if _is_personal(hint))
        self.public = tuple(field for field in hints if field not in self.personal)
        self.decode = msgspec.json.Decoder(event).decode
        self.withheld = tuple(_withheld(self.personal, how) for how in Withheld)


class Catalogue:
    """Deciders by kind and command, event shapes by stored name. Nothing outside it is ever decoded."""

    def __init__(self, deciders: Iterable[AnyDecider], older: Mapping[str, Older]) -> None:
        given = tuple(deciders)
        self.deciders = {decider.kind: decider for decider in given}
        self.by_command = {kind: each for each in self.deciders.values() for kind in each.commands.values()}
        self.prefixes = {each.kind: each.prefix for each in self.deciders.values()}
        self.shapes: dict[str, Shape] = {}
        for each in given:
            for name, event in each.events.items():
                if name in self.shapes or name in older:
                    raise ValueError(f"two events are stored as {name}")
                self.shapes[name] = Shape(each.kind, name, event)
        self.older = dict(older)
        self._kinds = {name: shape.kind for name, shape in self.shapes.items()}
        self._kinds |= {name: self._kinds[each.into] for name, each in older.items() if each.into in self._kinds}
        self._by_type = {shape.type: shape for shape in self.shapes.values()}
        self.sealed = Reading(left_out=self._names(lambda each, event: event not in (each.standing_from or {event})))
        self.opened = Reading(
            opened=True,
            left_sealed=frozenset(self._names(lambda each, event: event in each.folded_sealed)),
            only_last=frozenset(self._names(lambda each, event: event in each.overwrites)),
        )
        self._encode = msgspec.json.Encoder().encode

    def encode(self, event: Event, reason: str | None) -> Encoded:
        shape = self.shape_of(event)
        public = self._encode({field: getattr(event, field) for field in shape.public})
        if not shape.personal and reason is None:
            return Encoded(shape.name, public, None)
        personal: dict[str, Any] = {field: getattr(event, field) for field in shape.personal}
        if reason is not None:
            personal[REASON] = reason
        return Encoded(shape.name, public, self._encode(personal))

    def decode(self, name: str, public: bytes, personal: Part) -> Event:
        """The event of a stored name. Raises SealBroken, UnknownEventName, or msgspec's errors on other bytes."""
        shape = self.shapes.get(name)
        if shape is None:
            return self._upcast(name, public, personal)
        # Every event of every fold passes here: `_spliced` is written out, and no Enum is asked for its instances.
        if personal is None:
            return shape.decode(public)
        if not isinstance(personal, bytes):
            if isinstance(personal, SealBroken):
                raise personal
            personal = shape.withheld[personal]
        if personal == b"{}":
            return shape.decode(public)
        return shape.decode(personal if public == b"{}" else public[:-1] + b"," + personal[1:])

    def shape_of(self, event: Event) -> Shape:
        """How events of this type are stored."""
        return self._by_type[type(event)]

    def _names(self, chosen: Callable[[AnyDecider, type[Event]], bool]) -> tuple[str, ...]:
        """The stored names of the chosen events, those of their older shapes included."""
        names = {name for name, shape in self.shapes.items() if chosen(self.deciders[shape.kind], shape.type)}
        return tuple(sorted(names | {name for name, older in self.older.items() if older.into in names}))

    def kind(self, name: str) -> str:
        """The kind of aggregate that events of this stored name belong to. Raises UnknownEventName."""
        kind = self._kinds.get(name)
        if kind is None:
            raise UnknownEventName(name)
        return kind

    def schema(self) -> dict[str, Any]:
        """Every stored shape as JSON Schema, for the pinned `events.json`."""
        return {
            name: {
                "aggregate": shape.kind,
                "meaning": (shape.type.__doc__ or "").strip(),
                "personal": sorted(shape.personal),
                "schema": msgspec.json.schema(shape.type, ref_template="#/$defs/{name}"),
            }
            for name, shape in sorted(self.shapes.items())
        } | {name: {"becomes": older.into} for name, older in sorted(self.older.items())}

    def _upcast(self, name: str, public: bytes, personal: Part) -> Event:
        older = self.older.get(name)
        if older is None:
            raise UnknownEventName(name)
        if isinstance(personal, SealBroken):
            raise personal
        if isinstance(personal, Withheld):
            personal = _withheld(older.personal, personal)
        fields: dict[str, Any] = msgspec.json.decode(_spliced(public, personal))
        fields.pop(REASON, None)
        return self.decode(older.into, msgspec.json.encode(older.upcast(fields)), None)


class _Reason(msgspec.Struct):
    reason: str | None = msgspec.field(name=REASON, default=None)


_reason = msgspec.json.Decoder(_Reason).decode


def reason_of(personal: bytes) -> str | None:
    """The envelope's reason out of an opened personal part."""
    return _reason(personal).reason if b'"$reason"' in personal else None


def _is_personal(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(isinstance(mark, PersonalMark) for mark in get_args(hint)[1:])


def _withheld(personal: Iterable[str], how: Withheld) -> bytes:
    return msgspec.json.encode(dict.fromkeys(personal, int(how)))


def _spliced(public: bytes, personal: bytes | None) -> bytes:
    """Two JSON objects as one: `{"a":1}` and `{"b":2}` give `{"a":1,"b":2}`."""
    if personal is None or personal == b"{}":
        return public
    return personal if public == b"{}" else public[:-1] + b"," + personal[1:]
