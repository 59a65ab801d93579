"""Demo data: a small instrument maker and the people it deals with, entered through the same commands as everybody's.

The story stands in demo.json, one command a line, in the order in which it happened. Everybody in it is made up;
numbers and addresses are the ones reserved for fiction. In an entry

    key, of         what others call the record that it begins; the record that it goes on with
    do              "customer register" begins a record, "addTag" goes on with one
    ago             how many days ago it happened
    with            the command's values: "@key" is a record or a ready role, "@key#2" its 2nd stage or line then,
                    {"days": 14} the day that is 14 days from now
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from typing import Any, TypeAlias, cast
from uuid import UUID, uuid5

import msgspec

from api.beginning import define_roles, missing_roles, role_id
from api.composition import Parts
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.kernel import COMPANY_ID
from domain.kernel.recorded import Context
from domain.opportunity import Opportunity
from domain.pipeline import Pipeline
from domain.ready_roles import READY
from domain.steps import blocking
from infra.marks import entered

ACTOR = "demo"

Values: TypeAlias = dict[str, Any]

_REASON = "The demo's people need it for their work."
_NAMESPACE = UUID("7b0b6dd6-6c0e-4b7a-9f43-2f6a3c1b9d05")
"""The idempotency keys of the story lie in it, so that it is told once, however often it is loaded."""

_PERSONAL = {
    *(
        "birthday",
        "campaign",
        "comment",
        "competitor",
        "description",
        "email",
        "job_title",
        "legal_name",
        "name",
        "note",
    ),
    *("proof", "role", "subject", "tag", "text", "title", "value"),
}
_PUBLIC_RECORDS = frozenset(("company", "team", "queue", "product", "pipeline"))
_PUBLIC_COMMANDS = frozenset(("classify",))


class Told(msgspec.Struct, frozen=True):
    """One entry of the story."""

    ago: int
    do: str
    key: str | None = None
    of: str | None = None
    values: Values = msgspec.field(name="with", default_factory=dict[str, Any])

    @property
    def idempotency_key(self) -> UUID:
        return uuid5(_NAMESPACE, msgspec.json.encode(self).decode())


def story() -> list[Told]:
    """The demo's entries, in their order."""
    return msgspec.json.decode((files("api") / "demo.json").read_bytes(), type=list[Told])


def personal_values() -> set[str]:
    """Every text of the story that is about a person, or free text: none of them may be readable in a raw dump."""
    found: set[str] = set()
    kinds: dict[str, str] = {}
    for told in story():
        if told.key is not None:
            kinds[told.key] = told.do.split()[0]
        if kinds[told.key or str(told.of)] not in _PUBLIC_RECORDS and told.do not in _PUBLIC_COMMANDS:
            found.update(_texts(told.values))
    return found


def load(parts: Parts, progress: Callable[[int], None] = lambda _: None, *, now: datetime | None = None) -> int:
    """Enter what is not in the book yet, as if today were `now`; returns how many commands were done.

    `progress` is told of each entry. Raises Refused where the book refuses the story, BookUnavailable.
    """
    with parts.pool.connection() as db:
        missing = missing_roles(db)
    define_roles(parts, missing)
    telling = _Telling(parts, now or datetime.now(UTC))
    return sum(telling.enter(told, progress) for told in story())


class _Telling:
    """The story on its way into a book."""

    def __init__(self, parts: Parts, now: datetime) -> None:
        self._parts, self._now = parts, now
        self._entered = entered(parts.pool, ACTOR)
        self._records = {role.key: role_id(role.key) for role in READY}
        self._kinds: dict[str, str] = {}
        self._day, self._of_the_day = 0, 0

    def enter(self, told: Told, progress: Callable[[int], None]) -> bool:
        """Whether there was something to do."""
        kind, _, verb = told.do.rpartition(" ")
        key = told.idempotency_key
        occurred_at = self._at(told)
        if told.key is not None:
            self._kinds[told.key] = kind
        progress(1)
        if key in self._entered or (kind == "company" and self._company_defined()):
            if told.key is not None:
                self._records[told.key] = self._entered.get(key, COMPANY_ID)
            return False
        values = self._values(told.values)
        if told.of is not None:
            values["id"] = self._records[told.of]
        decider = catalogue.deciders[self._kinds[told.key or str(told.of)]]
        reason = _REASON if decider.commands[verb] in decider.reasoned else None
        context = Context(actor=ACTOR, idempotency_key=key, correlation_id=key, occurred_at=occurred_at, reason=reason)
        receipt = blocking(self._parts.commands.submit(decider, verb, values, context, unlimited(ACTOR)))
        if told.key is not None:
            self._records[told.key] = receipt.id
        return True

    def _company_defined(self) -> bool:
        return self._parts.daybook.fold(COMPANY_ID).version > 0

    def _at(self, told: Told) -> datetime:
        """On its day, some minutes after the entry before it."""
        self._of_the_day = self._of_the_day + 1 if told.ago == self._day else 0
        self._day = told.ago
        day = (self._now - timedelta(days=told.ago)).date()
        at = datetime.combine(day, time(8), UTC) + timedelta(minutes=11 * self._of_the_day)
        return min(at, self._now)

    def _values(self, values: Mapping[str, Any]) -> Values:
        return {name: self._value(value) for name, value in values.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("@"):
            return self._id(value[1:])
        if isinstance(value, list):
            return [self._value(one) for one in cast("list[object]", value)]
        if isinstance(value, dict):
            table = cast("Values", value)
            if set(table) == {"days"}:
                return (self._now + timedelta(days=table["days"])).date()
            return self._values(table)
        return value

    def _id(self, name: str) -> Any:
        key, _, ordinal = name.partition("#")
        if key not in self._records:
            return f"@{name}"  # a handle of a social network
        record = self._records[key]
        return self._parts_of(record)[int(ordinal) - 1] if ordinal else record

    def _parts_of(self, record: UUID) -> Sequence[UUID]:
        match self._parts.daybook.fold(record).state:
            case Pipeline(stages=stages):
                return [one.stage for one in stages]
            case Opportunity(lines=lines):
                return [*lines]
            case other:
                raise TypeError(f"the story names a part of a {type(other).__name__}")


def _texts(values: Any, name: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for inner, value in cast("Values", values).items():
            yield from _texts(value, inner)
    elif isinstance(values, list):
        for value in cast("list[object]", values):
            yield from _texts(value, name)
    elif isinstance(values, str) and name in _PERSONAL and not values.startswith("@"):
        yield values
