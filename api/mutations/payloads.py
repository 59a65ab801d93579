"""Payloads of mutations: one type for each kind of aggregate, with the aggregate as its read model shows it by then."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, cast
from uuid import UUID

import anyio.to_thread
import msgspec
import strawberry
from strawberry.scalars import JSON
from strawberry.types.field import StrawberryField

from api.auditing.bundle import NothingToShow
from api.errors import RequestError, RequestErrorCode, UserError
from api.ready import Ready
from api.scalars import Position
from api.serving import Request, RequestInfo, position_of
from api.types.auditing import AuditBundle
from api.words import spoken
from domain.catalogue import AnyDecider, camel
from domain.customer import customer as customers
from domain.kernel import type_id
from domain.kernel.permissions import Permission
from domain.kernel.recorded import Receipt
from infra.log.proving import NotYetSigned


class Outcome(msgspec.Struct, frozen=True):
    """What a mutation came to."""

    id: UUID | None
    """The aggregate; None where the command was refused, or its read model is not there yet."""
    position: int | None
    user_errors: list[UserError]
    idempotency_key: UUID
    unmasked: bool = False
    """Whether the personal data of the aggregate, a customer, is to be shown."""
    losses: int = 0
    """How often the word of the read models had been lost before they had reached the position."""


def payload_of(decider: AnyDecider, entity: type[Any]) -> type[Any]:
    """The payload type of an aggregate's mutations; `entity` is its GraphQL type."""
    return _payload(decider, entity, "", {})


def issued_payload_of(decider: AnyDecider, entity: type[Any]) -> type[Any]:
    """The payload type of the mutation that issues an API token: the only place where it is shown."""
    said = "The token itself. It is shown here, to whoever repeats this command, and never again; null where refused."
    return _payload(decider, entity, "Issued", {"secret": _field(str | None, said, _secret)})


def unmasked_payload_of(decider: AnyDecider, entity: type[Any]) -> type[Any]:
    """The payload type of the mutation that shows a customer's personal data: with a file of it for an auditor."""
    said = (
        "The customer's entries as a file that proves itself offline, with the keys that open their personal parts, up"
        " to a position or to the last checkpoint. Null where it was refused, the customer is not seen any more, or no"
        " checkpoint is over an entry of theirs yet. Takes `SEE_AMOUNTS` too."
    )
    return _payload(decider, entity, "Unmasked", {"audit_bundle": _field(AuditBundle | None, said, _audit_bundle)})


def exported_payload_of(decider: AnyDecider, entity: type[Any]) -> type[Any]:
    """The payload type of the mutation that gives all personal data of a customer."""
    said = "All of it, in the format of docs/operator/requests.md; null where refused, or where `customer` is null."
    return _payload(decider, entity, "Exported", {"personal_data": _field(JSON | None, said, _personal_data)})


def _payload(decider: AnyDecider, entity: type[Any], done: str, more: Mapping[str, StrawberryField]) -> type[Any]:
    noun = camel(decider.kind)
    name = noun[0].upper() + noun[1:] + done
    said = spoken(decider.kind)
    article = "an" if said[0] in "aAo" else "a"
    fields = {
        **more,
        noun: _field(entity | None, f"The {said} after the command; null where it was refused.", _read_back(decider)),
        "position": _field(Position | None, "Up to where the book stood for it; null where it was refused.", _position),
        "user_errors": _field(list[UserError], "Every rule that the command broke; empty: it is done.", _user_errors),
    }
    namespace: dict[str, Any] = {**fields, "__annotations__": {name: field.type for name, field in fields.items()}}
    made: type[Any] = strawberry.type(
        type(f"{name}Payload", (), namespace), description=f"What a mutation of {article} {said} came to."
    )
    return made


def _field(of: Any, description: str, resolve: Callable[..., Any]) -> StrawberryField:
    resolve.__annotations__["return"] = of
    field: StrawberryField = strawberry.field(resolver=resolve, description=description)
    return field


def _read_back(decider: AnyDecider) -> Callable[..., Any]:
    async def read_back(root: strawberry.Parent[Outcome], info: RequestInfo) -> Any:
        if root.id is None or root.position is None:
            return None
        request, losses = info.context, root.losses
        serving, sight = request.serving, request.sight
        if root.unmasked:
            sight = sight.unmasking(root.id)
        while True:
            found = await serving.reader.select(type_id(decider.prefix, root.id), cast("Any", info), sight)
            if losses == (losses := serving.progress.losses):
                return Ready(found)
            # The database has crashed meanwhile, and may have come back without what was posted last.
            if not await request.caught_up(Receipt(root.id, 0, root.position), decider.kind):
                return None

    return read_back


_AT_POSITION = strawberry.argument(
    description="Only what was entered up to this position, which a checkpoint is over; one is signed within seconds."
)


async def _audit_bundle(
    root: strawberry.Parent[Outcome],
    info: RequestInfo,
    at_position: Annotated[Position | None, _AT_POSITION] = strawberry.UNSET,
) -> Any:
    request = info.context
    if root.id is None or not await _is_seen(request, root.id):
        return None
    if not request.sight.amounts:
        raise RequestError(
            RequestErrorCode.FORBIDDEN,
            f"A bundle shows every column of an entry: it takes the permission {Permission.SEE_AMOUNTS.name}.",
        )
    through = position_of(at_position) if isinstance(at_position, str) else None
    make = partial(request.serving.bundles.of, root.id, through=through, disclose=True)
    try:
        made = await anyio.to_thread.run_sync(make, limiter=request.serving.readers)
    except NotYetSigned as error:
        if through is None:
            return None
        again = f"{error} Ask again then, with the same idempotencyKey."
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, again) from None
    except NothingToShow:
        return None
    return AuditBundle(file=made.file, position=Position(str(made.through)), checkpoint=made.checkpoint)


def _secret(root: strawberry.Parent[Outcome], info: RequestInfo) -> Any:
    if root.position is None:
        return None
    request = info.context
    return request.serving.commands.api_tokens(request.actor, root.idempotency_key)


async def _personal_data(root: strawberry.Parent[Outcome], info: RequestInfo) -> Any:
    if root.id is None or not await _is_seen(info.context, root.id):
        return None
    return Ready(msgspec.json.encode(await asyncio.to_thread(info.context.serving.personal_data, root.id)))


async def _is_seen(request: Request, customer: UUID) -> bool:
    """Whether the caller still sees a customer: a command that is repeated has its receipt, wherever they stand now."""
    prefix = customers.prefix
    return bool(await request.serving.reader.seen(prefix, [type_id(prefix, customer)], request.sight))


def _position(root: strawberry.Parent[Outcome], info: RequestInfo) -> Any:  # noqa: ARG001 - all are called alike
    return root.position


def _user_errors(root: strawberry.Parent[Outcome], info: RequestInfo) -> Any:  # noqa: ARG001 - all are called alike
    return root.user_errors
