"""Errors as clients see them: refused commands as data, requests that can't be served as GraphQL errors with a code."""

import logging
from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum
from typing import Any, cast

import psycopg
import strawberry
from graphql import GraphQLError, GraphQLSyntaxError
from psycopg_pool import PoolTimeout
from strawberry.scalars import JSON

from api.health import ERRORS
from api.identity import rules
from api.words import described
from domain.appending import BookUnavailable, VersionConflict
from domain.catalogue import camel
from domain.encoding import SealBroken, UnreadableEntry
from domain.kernel import Refused, Rule
from domain.kernel.randomness import random_bytes
from infra import contacts
from infra.log.store import LogError
from infra.master_key import MasterKeyError

_log = logging.getLogger("daybook.api")

_RULES_FROM = ("domain", contacts.__name__, rules.__name__)
"""Where rules are. The imports above have brought all of them: the catalogue its aggregates, the others their own."""


def _known_rules() -> dict[str, type[Rule]]:
    """Every rule of ours by code."""
    return {code: rule for code, rule in sorted(Rule.known.items()) if rule.__module__.startswith(_RULES_FROM)}


def _error_codes() -> type[Enum]:
    values = {
        code: strawberry.enum_value(code, description=described(rule.__doc__)) for code, rule in _known_rules().items()
    }
    enum = cast("type[Enum]", Enum("ErrorCode", values, module=__name__))
    said = "Every rule that a command can break. Its description is the English message; {braces} are parameters."
    return strawberry.enum(enum, description=said)


ErrorCode = _error_codes()
"""A closed enum: a new rule is a new value, a published value is never renamed."""


@strawberry.interface(description="A rule that a command broke. Nothing was written.")
class UserError:
    code: ErrorCode = strawberry.field(description="Which rule; clients translate by it.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="What is wrong and what to do, in English.")
    path: list[str] = strawberry.field(
        description="Where in the input the offence stands, such as `contactPoints`, `0`, `value`. Empty: all of it."
    )
    parameters: JSON = strawberry.field(description="What the message speaks of, by name.")


@strawberry.type(description="A rule that a command broke; its parameters say all there is to know.")
class BrokenRule(UserError):
    pass


@strawberry.type(
    name="VersionConflict",
    description="Somebody changed the record since the version that the client saw. Read it again, then decide.",
)
class VersionConflictError(UserError):
    expected: int = strawberry.field(description="The version that the input named.")
    actual: int = strawberry.field(description="The version that the record has.")


def user_errors(refused: Refused) -> list[UserError]:
    """Every rule that the command broke."""
    return [_user_error(rule) for rule in refused.broken]


def _user_error(rule: Rule) -> UserError:
    common: dict[str, Any] = {
        "code": ErrorCode[rule.code],
        "message": " ".join(rule.message.split()),
        "path": input_path(rule.path),
        "parameters": {camel(name): value for name, value in rule.parameters.items()},
    }
    if isinstance(rule, VersionConflict):
        return VersionConflictError(**common, expected=rule.expected, actual=rule.actual)
    return BrokenRule(**common)


def input_path(path: Iterable[str | int]) -> list[str]:
    """A rule's path in the words of the GraphQL input: `("contact_points", 0)` -> `["contactPoints", "0"]`."""
    return [camel(step) if isinstance(step, str) else str(step) for step in path]


MOST_SAID = 2_000
"""Characters of the message of a request that can't be served."""


class RequestErrorCode(StrEnum):
    """Why a request can't be served: the closed list of `extensions.code`."""

    BAD_REQUEST = "BAD_REQUEST"
    """The HTTP request is no GraphQL request: its body, parameters or headers."""
    UNAUTHENTICATED = "UNAUTHENTICATED"
    """No credential was sent, or one that is not good: unknown, expired, revoked."""
    FORBIDDEN = "FORBIDDEN"
    """We know who asks, and they may not: they are no staff member, have no role, or none with the permission that this
    takes, ask from another origin, or act for somebody who does not work here."""
    CSRF_HEADER_MISSING = "CSRF_HEADER_MISSING"
    """A query over GET, and every request with a session's cookie, needs the header `Daybook-CSRF: 1`."""
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    """The body has too many bytes."""
    QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
    """The document is beyond a limit of its shape or cost, or it took too long."""
    INTROSPECTION_OFF = "INTROSPECTION_OFF"
    """In production the schema is not told: `__schema` and `__type` are refused."""
    THROTTLED = "THROTTLED"
    """The actor has asked for more than its share. Come back after `retryAfter` seconds."""
    TOO_MANY_SUBSCRIPTIONS = "TOO_MANY_SUBSCRIPTIONS"
    """The connection has as many operations under way, or the actor as many subscriptions, as are allowed."""
    DOCUMENT_UNKNOWN = "DOCUMENT_UNKNOWN"
    """No trusted document has this id."""
    DOCUMENT_NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"
    """The server runs trusted documents only, and was sent a text."""
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    """A variable or argument has a value that its type does not take, or that this field can't use."""
    SLOW_CONSUMER = "SLOW_CONSUMER"
    """A subscriber took its messages too slowly and was dropped. Subscribe again, after the position `after`."""
    POSITION_UNKNOWN = "POSITION_UNKNOWN"
    """What the query was to wait for is no position, or lies beyond the end of this book."""
    POSITION_NOT_REACHED = "POSITION_NOT_REACHED"
    """The read models have not reached the position in time. Send the query again in a moment."""
    UNAVAILABLE = "UNAVAILABLE"
    """The book does not answer. Send a mutation again with the same idempotency key: it takes effect once."""
    RECORD_UNREADABLE = "RECORD_UNREADABLE"
    """What is asked for needs an entry that this version of Daybook can't read. Asking again does not help."""
    RECORD_ALTERED = "RECORD_ALTERED"
    """What is asked for needs an entry that does not open, or that the log does not lead to: it, its key or the log was
    altered. Asking again does not help."""
    INTERNAL = "INTERNAL"
    """A fault of ours; it is in the log under the `requestId`."""


class RequestError(GraphQLError):
    """A request that can't be served, with its code and, over HTTP, its status and headers."""

    def __init__(
        self,
        code: RequestErrorCode,
        message: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, extensions={"code": code.value, **(extensions or {})})
        self.status, self.headers = status, headers or {}


def request_id() -> str:
    """A random UUID. `uuid4` and writing it down take three times as long."""
    digits = random_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def answered(errors: Iterable[GraphQLError], request_id: str, *, otherwise: RequestErrorCode) -> list[GraphQLError]:
    """GraphQL errors as they are answered, each with a code and the request's id.

    `otherwise` is the code of an error that has none of its own. What resolvers raised is masked (see `explained`).
    """
    return [_answered(error, request_id, otherwise) for error in errors]


def _answered(error: GraphQLError, request_id: str, otherwise: RequestErrorCode) -> GraphQLError:
    said = error
    _forget_way(error)
    # Without a path the request itself was faulty, and what was raised while reading it is its fault, not ours. There
    # only the outermost error says where: "Variable '$input' has invalid value at .name: ...".
    if error.path is not None:
        while isinstance(said.original_error, GraphQLError):
            said = said.original_error
            _forget_way(said)
        if said.original_error is not None:
            said = explained(said.original_error, request_id)
    code = (said.extensions or {}).get("code")
    if code is None:
        code = RequestErrorCode.GRAPHQL_PARSE_FAILED if isinstance(said, GraphQLSyntaxError) else otherwise
    ERRORS.labels(str(code)).inc()
    return GraphQLError(
        encodable(_cut(said.message)),
        error.nodes,
        error.source,
        error.positions,
        error.path,
        extensions={**(said.extensions or {}), "code": str(code), "requestId": request_id},
    )


def _forget_way(error: Exception) -> None:
    """Let go of where it was raised. What is always said alike is one object for all requests, and each request that it
    is raised for would stay in memory for good, as a part of its traceback.
    """
    error.__traceback__ = None


def _cut(message: str) -> str:
    """As much of a message as anybody reads: the library's repeat whatever value was sent, megabytes of it too."""
    return message if len(message) <= MOST_SAID else f"{message[:MOST_SAID]}…"


def explained(error: Exception, request_id: str) -> RequestError:
    """What a client is told of an exception. One that we did not expect is logged under the request's id and answered
    as INTERNAL: no statement, no class name, no trace leaves the house.
    """
    match error:
        case RequestError():
            return error
        case psycopg.errors.QueryCanceled():
            return TOOK_TOO_LONG
        case BookUnavailable() | psycopg.OperationalError() | psycopg.InterfaceError() | PoolTimeout():
            _log.warning("Request %s: the book did not answer (%s).", request_id, _cause(error))
            return UNAVAILABLE
        case MasterKeyError():  # it was rotated, and this host's key file was not brought along
            _log.error("Request %s failed.", request_id, exc_info=error)
            return UNAVAILABLE
        case UnreadableEntry():
            _log.error("Request %s: %s", request_id, error)
            return _not_read(error)
        case SealBroken():
            _log.error("Request %s failed.", request_id, exc_info=error)
            return KEY_ALTERED
        case LogError():
            _log.error("Request %s failed.", request_id, exc_info=error)
            return NOT_PROVEN
        case _:
            _log.error("Request %s failed.", request_id, exc_info=error)
            return INTERNAL


def _cause(error: Exception) -> str:
    """What an operator has to know of it, such as that the disk is full: the first line, for others may quote rows."""
    cause = error.__cause__ or error
    said, *_ = str(cause).splitlines() or [""]
    return f"{type(cause).__name__}: {said}"


def _not_read(unread: UnreadableEntry) -> RequestError:
    entry, then = f"Entry {unread.position}, {unread.name},", "Please tell the operator"
    if unread.altered:
        said = f"{entry} does not open: it or its key was altered. {then}, to whom `daybook verify` says what was."
        return RequestError(RequestErrorCode.RECORD_ALTERED, said, status=500)
    said = (
        f"{entry} can't be read by this version of Daybook. {then}: if a newer version wrote it, that one has to run."
    )
    return RequestError(RequestErrorCode.RECORD_UNREADABLE, said, status=500)


def encodable(text: str) -> str:
    """Text that UTF-8 can carry: half a surrogate pair, quoted back from the request, becomes `?`."""
    return text.encode("utf-8", "replace").decode()


UNAVAILABLE = RequestError(
    RequestErrorCode.UNAVAILABLE,
    "The book does not answer at the moment. Send the request again in a moment, a mutation with the same"
    " idempotencyKey: it takes effect once.",
    status=503,
)
KEY_ALTERED = RequestError(
    RequestErrorCode.RECORD_ALTERED,
    "Nothing can be entered for this person: their key was altered in the database, or is missing there. Please tell"
    " the operator, who finds in the log whose it is.",
    status=500,
)
NOT_PROVEN = RequestError(
    RequestErrorCode.RECORD_ALTERED,
    "What is asked for can't be proven: the stored log does not lead to it. Please report this to the operator, to whom"
    " `daybook verify` says what was altered.",
    status=500,
)
TOOK_TOO_LONG = RequestError(
    RequestErrorCode.QUERY_TOO_COMPLEX, "The query took too long and was given up. Ask for less at once."
)
INTERNAL = RequestError(
    RequestErrorCode.INTERNAL,
    "This request failed through a fault of ours. Please report its requestId to the operator.",
    status=500,
)
