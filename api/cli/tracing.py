"""`diff` and `why`: what changed in a record, and which entry gave a field its value."""

import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
import typer

from api.cli.book import USAGE, CommandFailed, book
from api.cli.output import note, say, say_json
from api.replay import Called, NobodyCalledThat, entries_of, record_called
from domain.catalogue import catalogue
from domain.kernel import parse_type_id, type_id
from domain.kernel.identifiers import NotATypeId
from domain.kernel.recorded import Recorded

if TYPE_CHECKING:
    from api.tracing.naming import Names
    from api.tracing.story import Step

RECORD = typer.Argument(help="An id such as cus_01h4..., or an external id as SOURCE:ID.", show_default=False)
MOMENT = "A position of the book, or a time such as 2026-11-26 or 2026-11-26T10:30:00Z: what was recorded by then."


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The entry that gave a field a value: who, when, on whose behalf, why, caused by what, in which request."""

    position: int
    recorded_at: datetime
    occurred_at: datetime
    event: str
    event_id: str
    version: int
    """Of the record, after it."""
    actor: str
    on_behalf_of: str | None
    reason: str | None
    correlation_id: UUID
    causation_id: str | None


_FROM_TO = {"since": "from", "until": "to", "since_erased": "fromErased", "until_erased": "toErased"}


class Change(msgspec.Struct, frozen=True, kw_only=True, rename=_FROM_TO):
    """A field whose value differs between two moments, and the last entry between them that changed it."""

    field: str
    since: Any
    until: Any
    since_erased: bool
    """Whether the value is null because it was erased."""
    until_erased: bool
    sure: bool
    """False: the entry is the last that may have set it; what it set was erased, and may have been nothing."""
    entry: Entry


class Origin(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A field's value, what it was before, and the entry that set it; null where none ever did."""

    field: str
    value: Any
    former: Any
    value_erased: bool = False
    """Whether the value is null because it was erased."""
    former_erased: bool = False
    sure: bool = True
    """As of `Change`."""
    entry: Entry | None


def diff(
    record: Annotated[str, RECORD],
    since: Annotated[str, typer.Option("--from", help=MOMENT, show_default=False)],
    until: Annotated[str | None, typer.Option("--to", help="The same; left out: now.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Compare a record at two moments, field by field, under the names that GraphQL has for them.

    Examples:

        daybook diff cus_01h455vb4pex5vsknk084sn02q --from 2026-01-01 --to 2026-04-01

        daybook diff maven:Cancity --from 0 --json | jq '.[].field'

    From 0 is from before the record was there. A field that changed and changed back is not told: `daybook replay` is.
    """
    from api.tracing.story import differences

    moments = moment_named(since), None if until is None else moment_named(until)
    with _traced(record) as traced:
        for moment in moments:
            check_reached(moment, traced.head)
        _check_order(traced.position_at, *moments)
        found = [_change(step) for step in differences(traced.steps(), *moments)]
        if json:
            say_json(found)
            return
        by_entry = sorted(found, key=lambda one: one.entry.position)
        for _, changes in groupby(by_entry, key=lambda one: one.entry.position):
            for nth, one in enumerate(changes):
                if not nth:
                    say(f"{_when(one.entry)}, by {_who(one.entry)}")
                since, until = traced.told(one.since, one.since_erased), traced.told(one.until, one.until_erased)
                say(f"    {one.field}: {since} → {until}{'' if one.sure else ' (perhaps)'}")
        if not found:
            say("Nothing differs.")


def why(
    record: Annotated[str, RECORD],
    field: Annotated[str, typer.Argument(help="A field, as GraphQL and `daybook diff` name it.", show_default=False)],
    at: Annotated[str | None, typer.Option(help=f"{MOMENT} Left out: now.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Say which entry gave a field the value that it has: who, when, for whom, why, and in which request.

    Examples:

        daybook why cus_01h455vb4pex5vsknk084sn02q name

        daybook why maven:Cancity 'contactPoints[cpt_01h455vb4pex5vsknk084sn02q].value' --json

        daybook why opp_01h455vb4pex5vsknk084sn02q amount.currency

    An element of a list is named by its id, or by what tells it from the others: `tags[VIP]`. Of an element or a list
    as a whole, `lines[lin_...]` or `tags`, the last entry is told that changed anything in it.
    """
    from api.tracing.elements import why as told_why
    from api.tracing.naming import NotNamed

    moment = None if at is None else moment_named(at)
    with _traced(record) as traced:
        check_reached(moment, traced.head)
        try:
            step = told_why([*traced.steps()], traced.names, field, moment)
        except NotNamed as error:
            raise CommandFailed(str(error), USAGE) from None
        found = Origin(field=field, value=None, former=None, entry=None) if step is None else _origin(step)
        if json:
            say_json(found)
            return
        say(f"{found.field}: {traced.told(found.value, found.value_erased)}")
        for line in _reasons(found, traced.told):
            say(f"    {line}")


class _Traced(NamedTuple):
    steps: Callable[[], Iterator[Any]]
    names: "Names"
    told: Callable[[Any, bool], str]
    """A value in words, records by name, and whether it was erased."""
    position_at: Callable[[datetime], int | None]
    """The position that the book had reached by then; None for a time that lies in the future."""
    head: int
    """The position of the book's last entry."""


@contextmanager
def _traced(name: str) -> Generator[_Traced]:
    # The schema takes most of a second, which other commands need not wait.
    from api.tracing.tracer import Tracer

    tracer = Tracer()
    try:
        with book() as parts:
            kind, id = record_called(parts, name)
            history, stopped = parts.mapper.recorded_until(entries_of(parts, id))
            if stopped is not None:
                note(f"{stopped.why} What is told ends before it.")
            called = Called(parts)
            yield _Traced(
                lambda: tracer.steps(kind, history),
                tracer.names(kind),
                partial(_told, called),
                parts.store.position_at,
                parts.store.max_notification_id() or 0,
            )
    except NobodyCalledThat as error:
        raise CommandFailed(str(error)) from None


def moment_named(text: str) -> int | datetime:
    """The position or the time that somebody typed. Raises CommandFailed."""
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(f"{text!r} is neither a position nor a time such as 2026-11-26T10:30:00Z.", USAGE) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def check_reached(moment: int | datetime | None, head: int) -> None:
    """Raises CommandFailed where a moment is a position behind the book's last one."""
    if not isinstance(moment, int) or moment <= head:
        return
    day = ""
    with suppress(ValueError):
        day = f" Write the day as {date.fromisoformat(str(moment))}."
    raise CommandFailed(f"The book ends at entry {head}, before position {moment}.{day}", USAGE)


def _check_order(
    position_at: Callable[[datetime], int | None], since: int | datetime, until: int | datetime | None
) -> None:
    """Raises CommandFailed where the moment `--from` lies behind the moment `--to`, or in the future."""
    from api.errors import RequestError
    from api.reading.moments import Then, in_order

    def found(moment: int | datetime) -> Then:
        if isinstance(moment, int):
            return Then(moment, None)
        position = position_at(moment)
        return Then(sys.maxsize if position is None else position, moment)  # the future is behind every position

    if isinstance(since, datetime) and position_at(since) is None:
        raise CommandFailed("--from lies in the future.", USAGE)
    if until is None:
        return
    try:
        in_order(found(since), found(until))
    except RequestError as error:
        raise CommandFailed(error.message, USAGE) from None


def _change(step: "Step") -> Change:
    (old, new), erased = step.left, step.erased
    return Change(
        field=step.field,
        since=old,
        until=new,
        since_erased=erased[0],
        until_erased=erased[1],
        sure=step.sure,
        entry=_entry(step.recorded),
    )


def _origin(step: "Step") -> Origin:
    (old, new), erased = step.left, step.erased
    return Origin(
        field=step.field,
        value=new,
        former=old,
        value_erased=erased[1],
        former_erased=erased[0],
        sure=step.sure,
        entry=_entry(step.recorded),
    )


def _entry(recorded: Recorded[Any]) -> Entry:
    caused_by = recorded.causation_id
    return Entry(
        position=recorded.position,
        recorded_at=recorded.recorded_at,
        occurred_at=recorded.occurred_at,
        event=recorded.name,
        event_id=type_id("evt", recorded.event_id),
        version=recorded.originator_version,
        actor=recorded.actor,
        on_behalf_of=recorded.on_behalf_of,
        reason=recorded.reason_given,
        correlation_id=recorded.correlation_id,
        causation_id=None if caused_by is None else type_id("evt", caused_by),
    )


def _told(called: Called, value: Any, erased: bool) -> str:
    match value:
        case None if erased:
            return "erased"
        case None | "":
            return "nothing"
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case dict() | list():
            return msgspec.json.encode(value).decode()
        case str():
            return _name(value, called) or f"{value!r}"
        case _:
            return str(value)


def _name(text: str, called: Called) -> str | None:
    try:
        prefix, id = parse_type_id(text)
    except NotATypeId:
        return None
    return called.of(id) if prefix in catalogue.prefixes.values() else text


def _reasons(found: Origin, told: Callable[[Any, bool], str]) -> Iterator[str]:
    if found.entry is None:
        yield "no entry ever set it"
        return
    yield f"before: {told(found.former, found.former_erased)}"
    if not found.sure:
        yield "perhaps: what was erased may have been nothing; it is the last entry that may have set it"
    yield f"{_when(found.entry)}, version {found.entry.version}"
    yield f"by {_who(found.entry)}"
    if found.entry.reason:
        yield f"because: {' '.join(found.entry.reason.split())}"
    if found.entry.causation_id:
        yield f"caused by {found.entry.causation_id}"
    yield f"in request {found.entry.correlation_id}"


def _when(entry: Entry) -> str:
    later = "" if entry.recorded_at.date() == entry.occurred_at.date() else f", recorded {entry.recorded_at:%Y-%m-%d}"
    return f"entry {entry.position}, {entry.event} of {entry.occurred_at:%Y-%m-%d %H:%M}{later}"


def _who(entry: Entry) -> str:
    return entry.actor if entry.on_behalf_of is None else f"{entry.actor} for {entry.on_behalf_of}"
