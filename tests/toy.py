"""A toy aggregate for tests of the door and the store: a diary with a sealed owner, pages, and one address."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias, assert_never
from uuid import UUID, uuid4

from msgspec.structs import replace

from api.composition import Parts, assembled
from domain.access import unlimited
from domain.encoding import Catalogue, Older
from domain.kernel import (
    NAME,
    Claim,
    Command,
    Decider,
    Doc,
    Event,
    Id,
    Known,
    Personal,
    Reference,
    Rule,
    Seen,
    Standing,
    State,
    opened,
    refuse,
    require,
)
from domain.kernel.recorded import Context, Receipt
from domain.steps import blocking


class DiaryBegun(Event, frozen=True):
    owner: Personal[str]
    address: Personal[str | None] = None


class DiaryMoved(Event, frozen=True):
    address: Personal[str | None]


class PageWritten(Event, frozen=True):
    page: UUID
    text: Personal[str]


class DiaryClosed(Event, frozen=True):
    pass


class DiaryEnclosed(Event, frozen=True):
    """This diary was put into another one."""

    into: UUID


class BeginDiary(Command, frozen=True):
    """Begin a diary."""

    owner: Annotated[str, Doc("Whose."), NAME]
    address: Annotated[str | None, Doc("Where."), NAME] = None


class MoveDiary(Command, frozen=True):
    address: Annotated[str | None, Doc("Where."), NAME]
    shared: Annotated[bool, Doc("Beside somebody else.")] = False


class WritePage(Command, frozen=True):
    page: UUID
    text: Annotated[str, Doc("What."), NAME]


class CloseDiary(Command, frozen=True):
    pass


class EncloseDiary(Command, frozen=True):
    into: Annotated[UUID, Doc("Which."), Id("diary")]


DiaryEvent: TypeAlias = DiaryBegun | DiaryMoved | PageWritten | DiaryClosed | DiaryEnclosed
DiaryCommand: TypeAlias = BeginDiary | MoveDiary | WritePage | CloseDiary | EncloseDiary


class DiaryIsClosed(Rule):
    """This diary is closed."""


class OtherDiaryIsClosed(Rule):
    """The other diary is closed."""


class AddressTaken(Rule):
    """Another diary lies at this address."""


class Diary(State, frozen=True, kw_only=True):
    owner: Personal[str] = ""
    address: Personal[str | None] = None
    shared: bool = False
    pages: Seen = Seen()
    closed: bool = False
    into: UUID | None = None


def decide(was: Diary, command: DiaryCommand, known: Known) -> Sequence[DiaryEvent]:
    if was.closed:
        refuse(DiaryIsClosed())
    match command:
        case BeginDiary():
            return [DiaryBegun(owner=command.owner, address=command.address)]
        case MoveDiary():
            return [] if command.address == opened(was.address) else [DiaryMoved(address=command.address)]
        case WritePage():
            return [] if command.page in was.pages else [PageWritten(page=command.page, text=command.text)]
        case CloseDiary():
            return [DiaryClosed()]
        case EncloseDiary():
            require(None if known.of(command.into).active else OtherDiaryIsClosed(path=("into",)))
            return [DiaryEnclosed(into=command.into)]
        case _:
            assert_never(command)


def evolve(was: Diary, event: DiaryEvent) -> Diary:
    match event:
        case PageWritten():
            return replace(was, pages=was.pages.add(event.page))
        case DiaryBegun():
            return replace(was, owner=event.owner, address=event.address)
        case DiaryMoved():
            return replace(was, address=event.address)
        case DiaryClosed():
            return replace(was, closed=True)
        case DiaryEnclosed():
            return replace(was, into=event.into)
        case _:
            assert_never(event)


def claims(diary: Diary) -> frozenset[Claim]:
    address = opened(diary.address)
    return frozenset() if address is None or diary.closed else frozenset({Claim("address", address.casefold())})


def consults(diary: Diary, command: DiaryCommand, known: Known) -> Iterable[Reference]:
    return () if diary.into is None else (Reference("diary", diary.into, ()),)


def taken(command: DiaryCommand, claim: Claim) -> Rule:
    assert claim.scope == "address"
    assert isinstance(command, BeginDiary | MoveDiary)
    return AddressTaken(path=("address",))


diary: Decider[Diary, DiaryCommand, DiaryEvent] = Decider(
    kind="diary",
    prefix="dia",
    initial=Diary(),
    decide=decide,
    evolve=evolve,
    commands={"begin": BeginDiary, "move": MoveDiary, "write": WritePage, "close": CloseDiary, "enclose": EncloseDiary},
    creates=frozenset({BeginDiary}),
    events={
        "DiaryBegun": DiaryBegun,
        "DiaryMoved": DiaryMoved,
        "PageWritten": PageWritten,
        "DiaryClosed": DiaryClosed,
        "DiaryEnclosed": DiaryEnclosed,
    },
    standing=lambda state: Standing(kind="diary", active=not state.closed),
    claims=claims,
    taken=taken,
    consults=consults,
)

toy_catalogue = Catalogue(
    (diary,),
    older={
        "PageScribbled": Older(
            into="PageWritten", personal=("body",), upcast=lambda old: {"page": old["id"], "text": old["body"]}
        )
    },
)


def asking(key: UUID | None = None, **more: object) -> Context:
    """A context under a new idempotency key, or the given one."""
    return Context(actor="tester", idempotency_key=key or uuid4(), correlation_id=uuid4(), **more)  # type: ignore[arg-type]


def handled(book: Parts, command: Command, context: Context) -> Receipt:
    """What the door of this process gives, waited for in this thread."""
    return blocking(book.daybook.handle(command, context, unlimited(context.actor)))


@contextmanager
def toy_book(conninfo: str, folder: Path) -> Generator[Parts]:
    """A process of its own on this database, with the toy catalogue."""
    with assembled(conninfo, folder / "master.key", catalogue=toy_catalogue) as parts:
        yield parts
