"""The WebSocket side of /graphql: the protocol graphql-transport-ws, spoken by Strawberry's handler."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing, suppress
from datetime import timedelta
from json import JSONDecodeError
from typing import Any, cast

import msgspec
import strawberry
from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)
from strawberry.types.unset import UNSET, UnsetType

from api import access_log
from api.errors import RequestError, RequestErrorCode, encodable, explained
from api.execution import LONGEST_END, Engine, refused
from api.identity import behalf
from api.identity.caller import arrival
from api.identity.cookie import FOREIGN
from api.identity.doorstep import check_secrets, refusal
from api.identity.presences import CHANGED, Presences
from api.identity.ways import Ways
from api.serving import Request, Serving, position_of
from api.throttling import Full, Places
from api.trusted import asked_document
from api.wire import NotJson, read_json

MOST_SUBSCRIPTIONS = 50
"""Operations that one connection may have under way."""
UNAUTHORIZED, FORBIDDEN, RESET = 4401, 4403, 4205
"""Codes that a connection is closed with: it has no credential, or one that is not good or is good no more; a good one
that opens nothing; one that allows something else by now, so that one connects again and reads anew. Clients such as
graphql-ws come back by themselves after the last, some times after the second, and never after the first."""
MALFORMED, NO_PLACE, TRY_AGAIN_LATER, FAULT = 4400, 4429, 1013, 1011
"""What is said of the connection can't be meant so; the actor has as many connections as are allowed; nobody can tell
who it is at the moment; a fault of ours."""
MOST_OF_A_REASON = 120
"""Bytes that the protocol has for why a connection is closed; our messages are ASCII."""
PATIENCE = timedelta(seconds=10)
"""How long a connection may take to say who it is."""

TOO_MANY_CONNECTIONS = RequestError(RequestErrorCode.TOO_MANY_SUBSCRIPTIONS, "Too many connections: close one first.")
TOO_MANY = RequestError(
    RequestErrorCode.TOO_MANY_SUBSCRIPTIONS,
    f"This connection has {MOST_SUBSCRIPTIONS} operations under way: complete one, or open another connection.",
)


class Socket(ASGIWebSocketAdapter):
    """Lets only messages through whose shape is the protocol's; the handler takes it for granted."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        async with aclosing(super().iter_json(ignore_parsing_errors=ignore_parsing_errors)) as messages:
            async for message in messages:
                yield message if _well_formed(message) else {"type": "malformed"}


class Operations(BaseGraphQLTransportWSHandler[Request, None]):
    """One connection. What it runs, the engine runs: every limit holds here too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._extensions: dict[str, dict[str, Any]] = {}
        """By operation: what the library's operations do not keep."""
        self._requests: dict[str, Request] = {}
        """By operation under way."""
        self._watch = ExitStack()
        self._closing: asyncio.Task[None] | None = None

    async def handle(self) -> None:
        with self._watch:
            try:
                await super().handle()
            finally:
                cast("Live", self.view).connections.leave(self.context.id)

    async def handle_message(self, message: Message) -> None:
        if self._closing is None:
            await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        if message.get("payload") is None:
            message = {"type": "connection_init"}  # the protocol has null for it too, the library has not
        try:
            await super().handle_connection_init(message)
        except RequestError as error:
            refused(error, self.context)
            await self.websocket.close(*_closing(error))
            return
        if self.connection_acknowledged and self._closing is None:
            presences = cast("Live", self.view).presences
            self._watch.enter_context(presences.watched(self.context.caller, self._end))

    def _end(self, why: RequestError) -> None:
        """The client is no longer let in: nothing is told to it any more, but what it has asked with that it signs out;
        and nothing done for it."""
        refused(why, self.context)
        self._closing = asyncio.create_task(self._close(why))

    async def _close(self, why: RequestError) -> None:
        last = {id for id, request in self._requests.items() if request.signs_out}
        for id in self.operations.keys() - last:
            await self.cleanup_operation(id)
        if self.operations:
            tasks = [cast("asyncio.Task[None]", cast("Any", one).task) for one in self.operations.values()]
            await asyncio.wait(tasks, timeout=LONGEST_END)
        await self.shutdown()
        with suppress(WebSocketDisconnected, WebSocketDisconnect, RuntimeError):
            await self.websocket.close(*_closing(why))

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        known = message["id"] in self.operations
        if len(self.operations) >= MOST_SUBSCRIPTIONS and not known and self.connection_acknowledged:
            said = refused(TOO_MANY, self.context.another()).errors
            await self.send_message({"id": message["id"], "type": "error", "payload": [one.formatted for one in said]})
            return
        if not known and (extensions := message["payload"].get("extensions")):
            self._extensions[message["id"]] = extensions
        await super().handle_subscribe(message)
        if message["id"] not in self.operations:
            self._extensions.pop(message["id"], None)

    async def cleanup_operation(self, operation_id: str) -> None:
        self._extensions.pop(operation_id, None)  # it may be given up before it has begun, and the id come again
        await super().cleanup_operation(operation_id)

    async def run_operation(self, operation: Operation[Request, None]) -> None:
        """Send the answers one by one: the next is worked on when the client's buffer has taken the last."""
        live, request = cast("Live", self.view), self.context.another()
        variables, id = operation.variables or {}, live.encode_json(operation.id)
        socket, begun = cast("Socket", self.websocket).ws, time.perf_counter()
        self._requests[operation.id] = request
        try:
            try:
                extensions = self._extensions.pop(operation.id, {})
                if (at_least := extensions.get("atLeast")) is not None:
                    request.at_least = position_of(at_least)
                document, definition = live.engine.prepared(
                    operation.query, operation.operation_name, variables, request
                )
                check_secrets(document.parsed, definition)
                request.act_for(behalf.said(_NO_HEADERS, extensions), definition)
            except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is, the client is told the id
                await operation.send_initial_errors(refused(error, request).errors)
                return
            async with aclosing(live.engine.stream(document, definition, variables, request)) as answers:
                async for answer in answers:
                    if answer.data is msgspec.UNSET:
                        await operation.send_initial_errors(answer.errors)
                        return
                    # The id is put around text that others are sent too.
                    await socket.send_text(f'{{"id":{id},"type":"next","payload":{answer.text}}}')
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except (WebSocketDisconnected, WebSocketDisconnect):
            return
        finally:
            if self._closing is not None and not operation.completed:
                request.codes = self.context.codes
            if self._requests.get(operation.id) is request:
                del self._requests[operation.id]
            access_log.write(request, begun)


class Live(GraphQL[Request, None]):
    """Serves WebSockets. The token comes in the header or in `connection_init`, or the session by its cookie."""

    websocket_adapter_class = Socket
    graphql_transport_ws_handler_class = Operations

    def __init__(
        self,
        schema: strawberry.Schema,
        engine: Engine,
        serving: Serving,
        ways: Ways,
        presences: Presences,
        connections: Places,
        origins: Sequence[str],
    ) -> None:
        """`origins`: whose pages may connect, beside those of the host that is asked."""
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=PATIENCE,
            max_subscriptions_per_connection=None,  # counted above, with a code
            allowed_origins=origins,
        )
        self.engine, self.presences, self.connections = engine, presences, connections
        self._serving, self._ways = serving, ways

    async def get_context(self, request: HttpRequest | WebSocket, response: Response | WebSocket) -> Request:  # noqa: ARG002
        context = request.scope[access_log.REQUEST] = Request(self._serving, arrival(request.scope))
        return context

    async def reject_websocket(self, request: WebSocket) -> WebSocket:
        refused(FOREIGN, await self.get_context(request, request))
        return await super().reject_websocket(request)

    async def on_ws_connect(self, context: Request) -> UnsetType | dict[str, object] | None:
        try:
            context.caller = await self._ways.identify(context.arrival, context.connection_params)
        except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is, the client is told no more
            raise explained(error, context.id) from None
        if not context.authorised:
            raise refusal(context.caller)
        behalf.check_own_connection(context.arrival.headers, context.connection_params)
        try:
            self.connections.take(context.actor, context.id)
        except Full:
            raise TOO_MANY_CONNECTIONS from None
        return cast("UnsetType", UNSET)

    def decode_json(self, data: str | bytes) -> object:
        try:
            return read_json(data)
        except NotJson:
            raise JSONDecodeError("no JSON", "", 0) from None

    def encode_json(self, data: object) -> str:
        return msgspec.json.encode(data).decode()


def _closing(why: RequestError) -> tuple[int, str]:
    """Code and reason that a connection is closed with."""
    code = RESET if why is CHANGED else _CLOSE_CODES.get((why.extensions or {})["code"], FORBIDDEN)
    return code, why.message[:MOST_OF_A_REASON]


_NO_HEADERS = Headers()
"""Those of a connection are of none of its operations."""
_Code = RequestErrorCode
_CLOSE_CODES = {
    _Code.UNAUTHENTICATED.value: UNAUTHORIZED,
    _Code.BAD_REQUEST.value: MALFORMED,
    _Code.TOO_MANY_SUBSCRIPTIONS.value: NO_PLACE,
    _Code.UNAVAILABLE.value: TRY_AGAIN_LATER,
    _Code.INTERNAL.value: FAULT,
}


def _well_formed(message: object) -> bool:
    if not isinstance(message, dict):
        return False
    said = cast("dict[str, Any]", message)
    id = said.get("id", "")
    if not isinstance(said.get("type"), str) or not isinstance(id, str) or encodable(id) != id:
        return False
    if said["type"] != "subscribe":
        return True
    if not isinstance(said.get("payload"), dict):
        return False
    payload: dict[str, Any] = said["payload"]
    if not isinstance(payload.get("extensions"), dict | None):
        return False
    try:
        payload["query"] = asked_document(payload)  # a text, or a trusted document's id
    except RequestError:
        return False
    return isinstance(payload.get("variables"), dict | None) and isinstance(payload.get("operationName"), str | None)
