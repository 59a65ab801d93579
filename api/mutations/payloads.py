"""Payloads of mutations: one type for each kind of aggregate, with the aggregate as its read model shows it by then."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import strawberry
from strawberry.types.field import StrawberryField

from api.errors import UserError
from api.execution import Ready, raw
from api.scalars import Position
from api.serving import RequestInfo
from domain.catalogue import AnyDecider, camel
from domain.kernel import type_id


class Outcome(msgspec.Struct, frozen=True):
    """What a mutation came to."""

    id: UUID | None
    """The aggregate; None where the command was refused, or its read model is not there yet."""
    position: int | None
    user_errors: list[UserError]


def payload_of(decider: AnyDecider, entity: type[Any]) -> type[Any]:
    """The payload type of an aggregate's mutations; `entity` is its GraphQL type."""
    noun = camel(decider.kind)
    name = noun[0].upper() + noun[1:]
    said = decider.kind.replace("_", " ")
    fields = {
        noun: _field(entity | None, f"The {said} after the command; null where it was refused.", _read_back(decider)),
        "position": _field(Position | None, "Up to where the book stood for it; null where it was refused.", _position),
        "user_errors": _field(list[UserError], "Every rule that the command broke; empty: it is done.", _user_errors),
    }
    namespace: dict[str, Any] = {**fields, "__annotations__": {name: field.type for name, field in fields.items()}}
    made: type[Any] = strawberry.type(
        type(f"{name}Payload", (), namespace), description=f"What a mutation of a {said} came to."
    )
    return made


def _field(of: Any, description: str, resolve: Callable[..., Any]) -> StrawberryField:
    resolve.__annotations__["return"] = of
    field: StrawberryField = strawberry.field(resolver=resolve, description=description)
    return field


def _read_back(decider: AnyDecider) -> Callable[..., Any]:
    async def read_back(root: strawberry.Parent[Outcome], info: RequestInfo) -> Any:
        if root.id is None:
            return None
        reader = info.context.serving.reader
        return Ready(await reader.select(type_id(decider.prefix, root.id), raw(info), info.context.sight))

    return read_back


def _position(root: strawberry.Parent[Outcome]) -> Any:
    return root.position


def _user_errors(root: strawberry.Parent[Outcome]) -> Any:
    return root.user_errors
