"""Subscriptions: the feed of the whole book, and single records as they change."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, cast
from uuid import UUID

import anyio.to_thread
import strawberry
from graphql import GraphQLResolveInfo, VariableNode, print_ast
from strawberry import UNSET
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField

from api.changes import PAGE, Change, told
from api.checkpoints import Checkpoints
from api.errors import RequestError, RequestErrorCode
from api.following import BookSource, RecordSource
from api.reading.sight import Sight
from api.ready import Ready
from api.scalars import Position
from api.serving import RequestInfo, Serving
from domain.catalogue import AnyDecider, camel, catalogue
from domain.kernel import parse_type_id
from domain.kernel.identifiers import NotATypeId
from domain.kernel.permissions import Permission
from infra.log.checkpoint import read
from infra.log.store import Kept

STRETCH = 5_000
"""Positions that are looked through before a mark says how far that was."""

FOLLOWED = ("customer", "opportunity", "ticket")
"""Kinds of aggregates that have a subscription of their own."""


@strawberry.type(
    description="A signed checkpoint: the log's name, and size and root of the Merkle tree over the first entries."
)
class Checkpoint:
    origin: str = strawberry.field(description="The name of the log, which is that of its key.")
    size: Position = strawberry.field(description="How many entries it covers: the position of the last.")
    root: str = strawberry.field(description="The root of the tree, 32 bytes in base64.")
    note: str = strawberry.field(
        description="The checkpoint itself, to be kept as it is: a C2SP tlog-checkpoint with its signature."
    )


@strawberry.type(description="How far the feed has come, and what changed there.")
class ChangeMessage:
    position: Position = strawberry.field(description="Keep this: `after` it, the feed goes on without a gap.")
    change: Change | None = strawberry.field(
        description="The entry at this position. Null in a mark: up to here, nothing else met the conditions."
    )
    checkpoint: Checkpoint | None = strawberry.field(
        default=None,
        description=(
            "What was signed meanwhile, where `checkpoints` is true. It is no entry and has no position of its own: it"
            " comes in the first message, and then in marks."
        ),
    )


_AFTER = strawberry.argument(
    description="Begin after this position: `0` for all of the book. Left out, the feed begins with what comes next."
)
_TYPES = strawberry.argument(description="Only events of these names.")
_SUBJECT = strawberry.argument(
    description=(
        "Only entries of this record; for a customer, also those of deals and tickets from when they were this"
        " customer's, and what organisations say of the person as their contact."
    )
)
_CHECKPOINTS = strawberry.argument(
    description="Whether checkpoints are told as well, beside the entries: the last one, and each new one."
)
_ID = strawberry.argument(description="The record to follow.")


async def changes(
    info: RequestInfo,
    after: Annotated[Position | None, _AFTER] = UNSET,
    types: Annotated[list[str] | None, _TYPES] = UNSET,
    subject: Annotated[strawberry.ID | None, _SUBJECT] = UNSET,
    checkpoints: Annotated[bool, _CHECKPOINTS] = False,
) -> AsyncGenerator[ChangeMessage, None]:
    serving, sight = info.context.serving, info.context.sight
    if not sight.has(Permission.READ_BOOK):
        raise RequestError(
            RequestErrorCode.FORBIDDEN, f"Following all changes takes the permission {Permission.READ_BOOK.name}."
        )
    names = stored_names(types) if isinstance(types, list) else ()
    about = _uuid(subject) if isinstance(subject, str) else None
    position = await _start(serving, after if isinstance(after, str) else None)
    last = await serving.checkpoints.latest() if checkpoints else None
    source: Any = BookSource(
        serving.feed,
        position,
        _mark(position, last),
        partial(_stretch, serving, sight, names, about),
        # What rows say of today is for today: it is not kept for whoever comes later.
        (_same(info, but="after"), object() if sight.by_rows else None),
        partial(_Signed, serving.checkpoints, last) if checkpoints else None,
    )
    return source  # type: ignore[no-any-return]


class _Signed:
    """Tells each checkpoint that is signed after another one."""

    def __init__(self, checkpoints: Checkpoints, last: Kept | None) -> None:
        self._checkpoints, self._size = checkpoints, 0 if last is None else last.size

    async def next(self) -> Callable[[int], ChangeMessage]:
        found = await self._checkpoints.beyond(self._size)
        self._size = found.size
        return lambda position: _mark(position, found)


def _mark(position: int, kept: Kept | None = None) -> ChangeMessage:
    return ChangeMessage(
        position=Position(str(position)), change=None, checkpoint=None if kept is None else _checkpoint(kept)
    )


def _checkpoint(kept: Kept) -> Checkpoint:
    found = read(kept.note)
    root = b64encode(found.root).decode()
    return Checkpoint(origin=found.origin, size=Position(str(found.size)), root=root, note=kept.note)


async def _stretch(
    serving: Serving, sight: Sight, names: Sequence[str], subject: UUID | None, after: int, reached: int
) -> Sequence[ChangeMessage]:
    """The entries above a position, up to another or as many as are read at once, and how far that was."""
    stop = min(reached, after + STRETCH)
    found = await told(serving, sight, after, stop, names, subject)
    messages = [ChangeMessage(position=change.position, change=change) for change in found]
    if len(found) < PAGE and (not found or int(found[-1].position) < stop):
        messages.append(_mark(stop))
    return messages


def _same(info: RequestInfo, *, but: str | None = None) -> Hashable:
    """Equal for those who are told the same: document, operation, scope and variables, but for those of one argument.

    Nothing else can take such a variable: no other argument below a subscription has its type.
    """
    asked = _raw(info)
    node = asked.field_nodes[0]
    left_out = {
        one.value.name.value
        for one in node.arguments or ()
        if one.name.value == but and isinstance(one.value, VariableNode)
    }
    variables = {name: value for name, value in asked.variable_values.coerced.items() if name not in left_out}
    text = node.loc.source.body if node.loc else print_ast(asked.operation)
    # Their digest: the key is kept for as long as anybody follows, and `repr` writes some letters with ten.
    digest = sha256(repr(variables).encode("utf-8", "surrogatepass")).digest()
    return text, asked.operation.loc and asked.operation.loc.start, digest, info.context.sight.key


async def _start(serving: Serving, after: str | None) -> int:
    if after is None:
        return serving.feed.position
    if int(after) > serving.feed.position:
        head = await anyio.to_thread.run_sync(serving.store.max_notification_id, limiter=serving.readers)
        if int(after) > (head or 0):
            raise RequestError(
                RequestErrorCode.POSITION_UNKNOWN,
                f"The book ends at position {head or 0}: `after` is no position of this book.",
            )
    return int(after)


def stored_names(types: Sequence[str]) -> list[str]:
    """The stored names of events, older shapes of them included. Raises RequestError for a name that no event has."""
    types = [catalogue.older[name].into if name in catalogue.older else name for name in types]
    unknown = [name for name in types if name not in catalogue.shapes]
    if unknown or not types:
        message = f"No event is named {unknown[0]}." if unknown else "`types` is empty: leave it out for every event."
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, message)
    return [*types, *(name for name, older in catalogue.older.items() if older.into in types)]


def _uuid(id: str, decider: AnyDecider | None = None) -> UUID:
    try:
        prefix, uuid = parse_type_id(id)
    except NotATypeId:
        prefix, uuid = "", UUID(int=0)
    if prefix not in ((decider.prefix,) if decider else catalogue.prefixes.values()):
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, "This is no id of a record that can be followed here.")
    return uuid


def subscription_type(entities: Mapping[str, type[Any]]) -> type[Any]:
    """The Subscription root; `entities` are the GraphQL types by kind of aggregate."""
    feed: StrawberryField = strawberry.subscription(
        changes,
        description=(
            "Every entry of the book in its order, none twice and none skipped, from any position on. The first message"
            " says where it begins; keep the position of the last one, and begin `after` it next time."
            " With `checkpoints`, what the log signs is told beside them."
        ),
    )
    followed = [_followed(catalogue.deciders[kind], entities[kind]) for kind in FOLLOWED]
    return create_type("Subscription", [feed, *followed], description="What is told as it happens.")


def _followed(decider: AnyDecider, entity: type[Any]) -> StrawberryField:
    noun = camel(decider.kind)

    async def follow(info: RequestInfo, id: str) -> Any:
        serving = info.context.serving
        return RecordSource(serving.feed, _uuid(id, decider), partial(_selected, info, id), _same(info))

    follow.__name__ = f"{noun}_changed"
    stream = cast("Any", AsyncGenerator)[entity | None, None]
    follow.__annotations__ = {"info": RequestInfo, "id": Annotated[strawberry.ID, _ID], "return": stream}
    field: StrawberryField = strawberry.subscription(
        follow,
        name=f"{noun}Changed",
        description=(
            f"The {decider.kind} as it stands now, at once, and again whenever an entry of its own changed it, or an"
            " erasure took something from what is selected; several changes may come as one. Null: there is"
            " none of this id."
        ),
    )
    return field


async def _selected(info: RequestInfo, id: str) -> Ready:
    return Ready(await info.context.serving.reader.select(id, _raw(info), info.context.sight))


def _raw(info: RequestInfo) -> GraphQLResolveInfo[Any]:
    """The library's own view of a field, which the reader compiles its selection from."""
    info_of_the_library: GraphQLResolveInfo[Any] = cast("Any", info)._raw_info
    return info_of_the_library
