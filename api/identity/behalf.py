"""On whose behalf: whom a client names with a mutation, and whether the caller may act for them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from graphql import OperationDefinitionNode, OperationType
from starlette.datastructures import Headers

from api.directory import Directory
from api.errors import RequestError, RequestErrorCode
from domain.access import Authority
from domain.kernel import parse_type_id
from domain.kernel.identifiers import NotATypeId
from domain.kernel.permissions import Permission
from domain.staff_member import staff_member

HEADER: Final = "daybook-on-behalf-of"
EXTENSION: Final = "onBehalfOf"
"""The same in a request's `extensions`, as where no header can be set."""


def said(headers: Headers, extensions: Mapping[str, Any]) -> Sequence[object]:
    """Whom a request names, as often as it does."""
    return (
        *(one.rstrip(" \t") for one in headers.getlist(HEADER)),
        *([extensions[EXTENSION]] if EXTENSION in extensions else ()),
    )


def acting_for(
    named: Sequence[object], operation: OperationDefinitionNode, caller: Authority, directory: Directory
) -> Authority | None:
    """What the person may do on whose behalf an operation is sent; None: it is sent in one's own name.

    Raises RequestError: FORBIDDEN where the caller may not act for others, or there is nobody of this id to act for,
    one as the other whether they never were here or have left; BAD_REQUEST where it can't be meant so.
    """
    if not named:
        return None
    if operation.operation is not OperationType.MUTATION:
        raise ONLY_COMMANDS
    if not caller.has(Permission.ACT_ON_BEHALF):
        raise MAY_NOT
    if len(named) > 1:
        raise NAMED_TWICE
    try:
        prefix, id = parse_type_id(named[0]) if isinstance(named[0], str) else ("", None)
    except NotATypeId:
        prefix, id = "", None
    if id is None or prefix != staff_member.prefix:
        raise NO_STAFF_ID
    if id == caller.staff_member:
        raise ONESELF
    person = directory.of_staff_member(id)
    if person is None:
        raise NOBODY_TO_ACT_FOR
    return person


def check_own_connection(headers: Headers, params: Mapping[str, Any] | None) -> None:
    """That nobody is named for a WebSocket as a whole, where it would go unheard. Raises RequestError."""
    names: Iterable[str] = (*headers.keys(), *(params or {}))
    if any(name.lower() in (HEADER, EXTENSION.lower()) for name in names):
        raise OF_EACH_MUTATION


def _wrong(message: str) -> RequestError:
    return RequestError(RequestErrorCode.BAD_REQUEST, message)


def _forbidden(message: str) -> RequestError:
    return RequestError(RequestErrorCode.FORBIDDEN, message, status=403)


ONLY_COMMANDS: Final = _wrong(
    "`Daybook-On-Behalf-Of` goes with mutations only: queries and subscriptions are answered with what you may see"
    " yourself, for whomever you read. Leave it out."
)
NAMED_TWICE: Final = _wrong(
    "It is said twice on whose behalf this is: send `Daybook-On-Behalf-Of`, or `extensions.onBehalfOf`, once."
)
NO_STAFF_ID: Final = _wrong(
    "On whose behalf this is, is no staff member's id: name one such as `stf_01h455vb4pex5vsknk084sn02q`, or leave it"
    " out."
)
ONESELF: Final = _wrong("You are the person on whose behalf this is: leave it out, and it is in your own name.")
NO_COMMAND: Final = _wrong(
    "This is no entry of the book, which alone says on whose behalf something was done: send it in your own name."
)
OF_EACH_MUTATION: Final = _wrong(
    "Say with each mutation on whose behalf it is, in `extensions.onBehalfOf`; a connection is your own."
)
MAY_NOT: Final = _forbidden(
    f"You may not act on behalf of others: it takes the permission {Permission.ACT_ON_BEHALF.name}. Ask an"
    " administrator for it, or leave `Daybook-On-Behalf-Of` out."
)
NOBODY_TO_ACT_FOR: Final = _forbidden(
    "No active staff member of this book has the id on whose behalf this is. Nothing was done."
)
