"""Input types and enums that are made out of declarations, every element with its description."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, cast

import strawberry
from strawberry import UNSET
from strawberry.types.base import StrawberryContainer, StrawberryObjectDefinition
from strawberry.types.lazy_type import LazyType
from strawberry.utils.str_converters import to_camel_case


class Choice(Enum):
    """An enum whose value decides what the SQL says. Those of the domain are compared with, as parameters."""


class Given(NamedTuple):
    """A field of an input type."""

    type: Any
    description: str
    default: Any = UNSET


def input_of(name: str, description: str, fields: Mapping[str, Given]) -> Any:
    """An input type; its fields by their GraphQL names, or by Python names that become them."""
    own = {f"{key}_": given for key, given in fields.items()}
    annotations = {key: given.type for key, given in own.items()}
    made = {
        key: strawberry.field(name=to_camel_case(key[:-1]), description=given.description, default=given.default)
        for key, given in own.items()
    }
    return strawberry.input(type(name, (), {"__annotations__": annotations, **made}), description=description)


def choice_of(name: str, description: str, members: Mapping[str, tuple[Any, str]]) -> Any:
    """An enum: each value with what it means."""
    values = {key: strawberry.enum_value(value, description=meaning) for key, (value, meaning) in members.items()}
    made: Any = cast("Any", Choice)(name, values)
    return strawberry.enum(made, description=description)


def listed_by(of: Any) -> StrawberryObjectDefinition:
    """What a list, or the connection's pages, hold; of any other type, itself."""
    found: StrawberryObjectDefinition = bare(of).__strawberry_definition__
    node = found.type_var_map.get("T")
    if node is not None:
        found = bare(node).__strawberry_definition__
    return found


def bare(of: Any) -> Any:
    """A type without its being optional, a list, or named before it is there."""
    while isinstance(of, StrawberryContainer | LazyType):
        of = of.of_type if isinstance(of, StrawberryContainer) else cast("Any", of).resolve_type()
    return of
