"""Running operations: queries become one SQL statement, mutations and subscriptions run through Strawberry's schema."""

import asyncio
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import cached_property
from typing import Any, NoReturn, TypeAlias, cast

import msgspec
import strawberry
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
)
from graphql.execution import Executor as GraphQLExecutor
from graphql.execution import create_source_event_stream as _subscribe  # pyright: ignore[reportUnknownVariableType]
from graphql.execution import execute_subscription_event as _execute_event  # pyright: ignore[reportUnknownVariableType]
from strawberry.utils.await_maybe import await_maybe

from api.documents import Document, Documents, Faulty, Policy, TooCostly, cost_extension
from api.errors import RequestError, RequestErrorCode, answered, explained
from api.identity.doorstep import UNFIT, is_secretive
from api.limits import MOST_FOLLOWED_WITH, MOST_VALUES, followed_with, has_too_many_values
from api.mutations.running import run
from api.reading.reader import Reader
from api.reading.selections import fragments_of
from api.reading.variables import Variables
from api.ready import Ready
from api.serving import Request
from api.throttling import FAULTY_COST, Allowance, Buckets, Places, Throttled
from api.trusted import DocumentId

subscribe = cast("Callable[..., Any]", _subscribe)
execute_event = cast("Callable[..., Any]", _execute_event)


class Executor(GraphQLExecutor[Any]):
    """The library's executor, but for what SQL has finished."""

    def complete_value(
        self,
        return_type: Any,
        field_details_list: Any,
        info: Any,
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        if isinstance(result, Ready):
            return result.json
        complete = cast("Any", super()).complete_value
        return complete(return_type, field_details_list, info, path, result, position_context)


LONGEST_END = 25.0
"""Seconds that a process which ends waits for its mutations: as long as the book and the read models may take."""

build = cast("Callable[..., Any]", Executor.build)  # pyright: ignore[reportUnknownMemberType]


class Answer(msgspec.Struct, frozen=True, dict=True):
    """A GraphQL response. Without data, the request could not be served."""

    data: Any = msgspec.UNSET
    """A msgspec.Raw, or a dict that may hold some."""
    errors: list[GraphQLError] = []
    extensions: Mapping[str, Any] = {}
    status: int = 200
    headers: Mapping[str, str] = {}
    """Of the HTTP response, where there is one."""

    def encode(self) -> bytes:
        """The response as JSON."""
        rest: dict[str, Any] = {}
        if self.errors:
            rest["errors"] = [error.formatted for error in self.errors]
        if self.extensions:
            rest["extensions"] = self.extensions
        if self.data is msgspec.UNSET:
            return msgspec.json.encode(rest)
        data = self.data if isinstance(self.data, msgspec.Raw) else msgspec.json.encode(self.data)
        tail = b"," + msgspec.json.encode(rest)[1:] if rest else b"}"
        # The data may be long: it is copied once, here.
        return b"".join((b'{"data":', data, tail))

    @cached_property
    def encoded(self) -> bytes:
        """The same; whoever shares the answer shares the bytes."""
        return self.encode()

    @cached_property
    def text(self) -> str:
        """The same as text."""
        return self.encoded.decode()


Evaluate: TypeAlias = Callable[[object], Awaitable[Answer]]
"""What a subscription's selection says of one event."""


class Source(ABC):
    """What a subscription's resolver returns."""

    @abstractmethod
    def answers(self, evaluate: Evaluate) -> AsyncGenerator[Answer, None]:
        """The answers, as `evaluate` makes them of events: by this subscriber or by another who asks the same."""

    def __aiter__(self) -> NoReturn:
        raise NotImplementedError("the library wants to see that it could be iterated, and no more")


class Engine:
    """Answers operations. One for each process; used from its event loop only."""

    def __init__(self, schema: strawberry.Schema, reader: Reader, policy: Policy, allowance: Allowance) -> None:
        """Raises ManifestError where a trusted document does not fit the schema."""
        self._schema: GraphQLSchema = schema._schema  # pyright: ignore[reportPrivateUsage]
        self._reader, self._hide_suggestions = reader, policy.production
        self._documents = Documents(self._schema, policy)
        self._variables = Variables(self._schema, hide_suggestions=policy.production)
        self.is_open = self._documents.is_open
        self._buckets, self._subscriptions = Buckets(allowance.cost_per_second), Places(allowance.subscriptions)
        self._commanded: set[asyncio.Task[Answer]] = set()

    async def finished(self) -> None:
        """Wait for the mutations that are under way, at the end of the process; but not for a database that is away."""
        if self._commanded:
            await asyncio.wait(self._commanded, timeout=LONGEST_END)

    def prepared(
        self, asked: str | DocumentId, operation_name: str | None, variables: Mapping[str, Any], request: Request
    ) -> tuple[Document, OperationDefinitionNode]:
        """The valid document of a text or a trusted one's id, and the operation to run, its cost taken from the actor.

        Raises GraphQLError, Faulty.
        """
        # The first point is taken before anybody looks at what is asked: whoever has none left does not make us parse.
        account = request.account
        self._buckets.take(account, 1)
        try:
            if has_too_many_values(variables):
                raise RequestError(
                    RequestErrorCode.QUERY_TOO_COMPLEX,
                    f"The variables hold more than {MOST_VALUES:,} values. Ask for less at once, or in parts.",
                )
            document, operation = self._documents.of(asked, operation_name, variables)
            cost = document.cost(operation, variables)
        except (GraphQLError, Faulty):
            self._buckets.charge(account, FAULTY_COST - 1)
            raise
        request.operation = operation
        standing = self._buckets.take(account, cost, paid=1)
        if operation.operation is not OperationType.SUBSCRIPTION:
            request.cost, request.standing = cost, standing
        return document, operation

    async def answer(
        self, document: Document, operation: OperationDefinitionNode, variables: dict[str, Any], request: Request
    ) -> Answer:
        """The answer to a query or a mutation; a mutation runs to its end, whoever is there to hear of it."""
        if operation.operation is OperationType.QUERY:
            return await self._read(document, operation, variables, request)
        task = asyncio.create_task(self._command(document, operation, variables, request))
        self._commanded.add(task)
        task.add_done_callback(self._commanded.discard)
        return await asyncio.shield(task)

    async def _command(
        self, document: Document, operation: OperationDefinitionNode, variables: dict[str, Any], request: Request
    ) -> Answer:
        given = self._variables.of(operation, variables)
        if not isinstance(given, list):
            try:
                return _answer(
                    await run(self._schema, fragments_of(document.parsed), operation, given, request), request
                )
            except GraphQLError as error:  # nothing was done
                given = [error]
        return failed([UNFIT] if is_secretive(operation) else [*given], request, RequestErrorCode.BAD_USER_INPUT)

    async def stream(
        self, document: Document, operation: OperationDefinitionNode, variables: dict[str, Any], request: Request
    ) -> AsyncGenerator[Answer, None]:
        """The answers of a subscription, or the one of another operation; one without data is the last."""
        if operation.operation is not OperationType.SUBSCRIPTION:
            yield await self.answer(document, operation, variables, request)
            return
        if (size := followed_with(variables)) > MOST_FOLLOWED_WITH:
            yield refused(_too_much(size), request)
            return
        executor = build(
            self._schema,
            document.parsed,
            context_value=request,
            raw_variable_values=variables,
            operation_name=operation.name.value if operation.name else None,
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(executor, list):
            yield failed(cast("list[GraphQLError]", executor), request, RequestErrorCode.BAD_USER_INPUT)
            return
        source = await await_maybe(subscribe(executor))
        if isinstance(source, ExecutionResult):
            for error in source.errors or ():
                yield refused(error.original_error or error, request)
            return

        async def evaluate(event: object) -> Answer:
            return _answer(await await_maybe(execute_event(executor.build_per_event_executor(event))), request)

        try:
            with self._subscriptions.taken(request.actor):
                async with aclosing(cast("Source", source).answers(evaluate)) as answers:
                    async for answer in answers:
                        yield answer
        except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is, the client is told the id
            yield refused(error, request)

    async def _read(
        self, document: Document, operation: OperationDefinitionNode, variables: dict[str, Any], request: Request
    ) -> Answer:
        try:
            if request.at_least is not None:
                await request.reach(request.at_least)
            found = await self._reader.query(document.parsed, operation, variables, request.sight, request.moment)
        except GraphQLError as error:
            return failed([error], request, RequestErrorCode.BAD_USER_INPUT)
        except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is, the client is told the id
            return failed([explained(error, request.id)], request, RequestErrorCode.INTERNAL)
        request.position = found.position
        return Answer(msgspec.Raw(found.data), extensions=request.extensions)


def _too_much(size: int) -> RequestError:
    return RequestError(
        RequestErrorCode.QUERY_TOO_COMPLEX,
        f"The variables of this subscription have {size:,} bytes; at most {MOST_FOLLOWED_WITH:,} are allowed.",
    )


def failed(errors: list[GraphQLError], request: Request, otherwise: RequestErrorCode) -> Answer:
    """The answer to a request that could not be served."""
    shown = _shown(errors, request, otherwise)
    ours = [error for error in errors if isinstance(error, RequestError)]
    costs = [cost_extension(error.cost, error.standing) for error in ours if isinstance(error, TooCostly | Throttled)]
    return Answer(
        errors=shown,
        extensions={"cost": costs[0]} if costs else {},
        status=max((error.status for error in ours), default=400),
        headers=_headers(errors),
    )


def refused(error: Exception, request: Request) -> Answer:
    """The answer to a document that can't be run."""
    if isinstance(error, Faulty):
        return failed(error.errors, request, RequestErrorCode.GRAPHQL_VALIDATION_FAILED)
    if isinstance(error, GraphQLError):
        return failed([error], request, RequestErrorCode.GRAPHQL_VALIDATION_FAILED)
    return failed([explained(error, request.id)], request, RequestErrorCode.INTERNAL)


def _answer(result: ExecutionResult, request: Request) -> Answer:
    errors = result.errors or []
    shown = _shown(errors, request, RequestErrorCode.INTERNAL)
    return Answer(result.data, shown, request.extensions, headers=_headers(error.original_error for error in errors))


def _headers(errors: Iterable[Exception | None]) -> Mapping[str, str]:
    return ChainMap(*(dict(error.headers) for error in errors if isinstance(error, RequestError)))


def _shown(errors: list[GraphQLError], request: Request, otherwise: RequestErrorCode) -> list[GraphQLError]:
    shown = answered(errors, request.id, otherwise=otherwise)
    if shown:
        request.codes = list(dict.fromkeys(str((error.extensions or {})["code"]) for error in shown))
    return shown
