"""GraphQL over HTTP: one endpoint, by the specification's rules (https://graphql.github.io/graphql-over-http).

Strawberry's own view costs two to three times as much on small queries and answers 500 to some malformed bodies.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple, NoReturn, cast
from urllib.parse import parse_qsl

import msgspec
from graphql import OperationDefinitionNode, OperationType
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access_log import REQUEST
from api.deadlines import Deadlines
from api.departure import GRACE, ClientGone, Departure
from api.errors import RequestError, RequestErrorCode, explained
from api.event_stream import EVENTS, EventStream
from api.execution import Answer, Engine, failed, refused
from api.graphiql import page
from api.health import REQUESTS
from api.identity import behalf
from api.identity.caller import arrival
from api.identity.cookie import CSRF, check_own_page
from api.identity.doorstep import check_secrets, refusal
from api.identity.presences import Presences
from api.identity.ways import Ways
from api.incoming import MOST_BYTES, Incoming
from api.negotiation import GRAPHQL, JSON, is_json, negotiated, takes_events
from api.serving import Request, Serving, position_of
from api.trusted import DocumentId, asked_document
from api.wire import NotJson, read_json

MOST_OF_STRANGERS = 16 * 1024
"""Bytes of a body from somebody who is not known."""
AT_LEAST = b"daybook-at-least"
"""A position that the read models must have reached before a query is answered."""
CLIENT_GONE = 499
"""What is counted where nobody was there to hear the answer."""

_Code = RequestErrorCode
_MEDIA_TYPES = {media: (b"content-type", f"{media}; charset=utf-8".encode()) for media in (GRAPHQL, JSON)}


class Asked(NamedTuple):
    """What a request asks."""

    query: str | DocumentId
    operation_name: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any]


class Reply:
    """A response whose body is there. Starlette's own takes three times as long to see to its headers."""

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._body = body
        length = (b"content-length", b"%d" % len(body))
        self._start = {"type": "http.response.start", "status": status, "headers": [length, *headers]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send(self._start)
        await send({"type": "http.response.body", "body": self._body})


class Endpoint:
    """POST and GET on /graphql."""

    def __init__(self, engine: Engine, serving: Serving, ways: Ways, presences: Presences, *, page: bool) -> None:
        """`page`: whether a browser gets a page to try queries on."""
        self._engine, self._serving, self._page = engine, serving, page
        self._ways, self._presences = ways, presences
        self._graces = Deadlines(GRACE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = Incoming(scope, receive)
        if self._page and _comes_from_a_browser(http):
            response: ASGIApp = page()
        else:
            request = scope[REQUEST] = Request(self._serving, arrival(scope))
            response = await self.respond(http, request)
        await response(scope, receive, send)

    async def respond(self, http: Incoming, request: Request) -> ASGIApp:
        """The answer, with a code and the request's id whatever goes wrong."""
        accept = http.header(b"accept") or ""
        single, events = negotiated(accept), takes_events(accept)
        media = single or (GRAPHQL if events else None)
        with REQUESTS.timed() as outcome:
            try:
                _check_method(http)
                request.caller = await self._ways.identify(request.arrival)
                if request.authorised:
                    _check_head(http, media)
                    asked = await _asked(http, MOST_BYTES)
                else:
                    asked = await self._asked_on_doorstep(http, request, media)
            except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is, the client is told the id
                told = explained(error, request.id)
                outcome.status = told.status
                answer = failed([told], request, RequestErrorCode.BAD_REQUEST)
                return _response(answer, request, media, told.status)
            try:
                document, operation = self._engine.prepared(asked.query, asked.operation_name, asked.variables, request)
                outcome.operation = operation.operation.value
                check_secrets(document.parsed, operation)
                streamed = events and (single is None or operation.operation is OperationType.SUBSCRIPTION)
                _check_operation(http, operation, streamed=streamed)
                request.act_for(behalf.said(request.arrival.headers, asked.extensions), operation)
                if operation.operation is OperationType.QUERY:
                    request.at_least = _at_least(http, asked)
                mutation = operation.operation is OperationType.MUTATION
                with Departure(http.receive, self._graces, matters=not mutation):
                    rest = None
                    if operation.operation is OperationType.SUBSCRIPTION:
                        rest = self._engine.stream(document, operation, asked.variables, request)
                        answer = await anext(rest)
                    else:
                        answer = await self._engine.answer(document, operation, asked.variables, request)
                answer = _written(answer, request)
                if streamed and answer.data is not msgspec.UNSET:
                    outcome.status = 200
                    return EventStream(answer, rest, _headers(request), partial(self._watched, request))
            except ClientGone:
                outcome.status = CLIENT_GONE
                return Reply(b"", CLIENT_GONE, ())
            except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is, the client is told the id
                answer = _written(refused(error, request), request)
            if events and single is None and answer.status != 405:
                # The protocol has it so, because clients that take events only do not read the body of a 400.
                outcome.status = answer.status
                return EventStream(answer, None, _headers(request))
            # The older media type answers 200 to every request that is one, faulty documents included.
            faulty = answer.status == 400 and _Code.BAD_REQUEST.value not in request.codes
            outcome.status = 200 if faulty and media != GRAPHQL else answer.status
            return _response(answer, request, media, outcome.status)

    async def _asked_on_doorstep(self, http: Incoming, request: Request, media: str | None) -> Asked:
        """What is asked by whoever may do no more than sign in: of anything else it is not even said what is wrong."""
        if http.method == "GET":
            raise refusal(request.caller)
        try:
            _check_head(http, media)
            asked = await _asked(http, MOST_OF_STRANGERS)
        except RequestError:
            raise refusal(request.caller) from None
        if not self._engine.is_open(asked.query, request.caller):
            raise refusal(request.caller)
        check_own_page(request.arrival.headers)
        return asked

    def _watched(self, request: Request, end: Callable[[Answer], None]) -> AbstractContextManager[None]:
        """Have a stream ended when its client is no longer let in."""
        return self._presences.watched(
            request.caller, lambda why: end(failed([why], request, RequestErrorCode.UNAUTHENTICATED))
        )


def _comes_from_a_browser(http: Incoming) -> bool:
    if http.method != "GET" or "text/html" not in (http.header(b"accept") or ""):
        return False
    return not http.query_params.keys() & {"query", "documentId", "extensions"}


def _check_method(http: Incoming) -> None:
    if http.method not in ("GET", "POST"):
        message = "Use POST, or GET for queries."
        raise RequestError(_Code.METHOD_NOT_ALLOWED, message, status=405, headers={"Allow": "GET, POST"})


def _check_head(http: Incoming, media: str | None) -> None:
    if media is None:
        raise RequestError(_Code.NOT_ACCEPTABLE, f"We answer with {GRAPHQL}, {JSON} or {EVENTS}.", status=406)
    if http.method == "GET":
        if not http.header(CSRF.encode()):
            raise RequestError(_Code.CSRF_HEADER_MISSING, "A query over GET needs the header `Daybook-CSRF: 1`.")
        return
    if not is_json(http.header(b"content-type") or ""):
        raise RequestError(_Code.UNSUPPORTED_MEDIA_TYPE, f"Send the request as {JSON} in UTF-8.", status=415)
    if (http.header(b"content-encoding") or "identity").lower() != "identity":
        raise RequestError(_Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, not compressed.", status=415)


async def _asked(http: Incoming, most: int) -> Asked:
    given = _read_parameters(http) if http.method == "GET" else _read_json(await http.body(most), "The body")
    if not isinstance(given, dict):
        _bad("The body must be a JSON object with `query`; requests are not batched.")
    given = cast("dict[str, Any]", given)
    query, name = asked_document(given), given.get("operationName")
    variables, extensions = given.get("variables"), given.get("extensions")
    if not (name is None or isinstance(name, str)):
        _bad("`operationName` must be a string or null.")
    if not (variables is None or isinstance(variables, dict)):
        _bad("`variables` must be a JSON object or null.")
    if not (extensions is None or isinstance(extensions, dict)):
        _bad("`extensions` must be a JSON object or null.")
    return Asked(query, name, cast("dict[str, Any]", variables or {}), cast("dict[str, Any]", extensions or {}))


def _read_parameters(http: Incoming) -> dict[str, Any]:
    try:
        pairs = parse_qsl(http.query.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeError:
        _bad("The address can't be read as UTF-8.")
    given: dict[str, Any] = dict(pairs)
    if len(given) < len(pairs):
        _bad("A parameter stands in the address twice.")
    for name in ("operationName", "variables", "extensions"):
        if not given.get(name):
            given.pop(name, None)  # in an address, nothing is what null is in a body
        elif name != "operationName":
            given[name] = _read_json(given[name], f"`{name}`")
    return given


def _read_json(text: str | bytes, what: str) -> Any:
    try:
        return read_json(text)
    except NotJson:
        _bad(f"{what} can't be read as JSON in UTF-8, with each key once.")


def _check_operation(http: Incoming, operation: OperationDefinitionNode, *, streamed: bool) -> None:
    subscription = operation.operation is OperationType.SUBSCRIPTION
    if subscription and not streamed:
        _bad(
            f"Subscriptions need the header `Accept: {EVENTS}`, or a WebSocket at this address, protocol"
            " graphql-transport-ws."
        )
    if http.method == "GET" and not subscription and operation.operation is not OperationType.QUERY:
        message = "Only queries can be sent over GET; use POST."
        raise RequestError(_Code.METHOD_NOT_ALLOWED, message, status=405, headers={"Allow": "POST"})


def _at_least(http: Incoming, asked: Asked) -> int | None:
    """The position that the query has to reflect: out of the header, or of the request's `extensions`."""
    said = http.header(AT_LEAST)
    given = asked.extensions.get("atLeast") if said is None else said
    return None if given is None else position_of(given)


def _bad(message: str) -> NoReturn:
    raise RequestError(_Code.BAD_REQUEST, message)


def _written(answer: Answer, request: Request) -> Answer:
    """The answer, its bytes made; INTERNAL where there is something in it that JSON can't hold."""
    try:
        _ = answer.encoded
    except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is, the client is told the id
        return failed([explained(error, request.id)], request, RequestErrorCode.INTERNAL)
    return answer


def _response(answer: Answer, request: Request, media: str | None, status: int) -> ASGIApp:
    others = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    return Reply(answer.encoded, status, (_MEDIA_TYPES[media or JSON], *_headers(request), *others))


def _headers(request: Request) -> list[tuple[bytes, bytes]]:
    said = [
        (b"cache-control", b"no-store"),
        (b"daybook-request-id", request.id.encode()),
        (b"vary", b"Accept, Authorization, Cookie"),
    ]
    return said if request.cookie is None else [*said, (b"set-cookie", request.cookie.encode())]
