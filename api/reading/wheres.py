"""What follows from the conditions of a `where` alone: their number, the columns that they name, what nothing meets.

All of it is decided by the shape of the variables, so that plans can be shared.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from api.errors import RequestError, RequestErrorCode
from api.reading.entities import Entities, Entity, object_of
from api.reading.sources import Many, Part, Relation, Values

Where: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str | int, ...]
"""Where in the arguments a value stands, from `where` on."""

MOST = 200
"""Conditions of one operation: each field, each relation, each `and`, `or` and `not` is one."""
DEEPEST = 16
"""Levels of a `where`."""


def measured(where: Where, path: Path = ("where",)) -> int:
    """How many conditions there are. Raises RequestError where one is null, which some would read as "all" and others
    as "none", or where they go too deep.
    """
    if len(path) > DEEPEST:
        raise too_many(f"they may be nested {DEEPEST} levels deep")
    count = 1
    for name, given in where.items():
        at = (*path, name)
        if given is None:
            what = ".".join(map(str, at))
            raise RequestError(
                RequestErrorCode.BAD_USER_INPUT, f"`{what}` is null; leave it out, or ask with `isNull: true`."
            )
        several = cast("Sequence[object]", given) if isinstance(given, list) else (given,)
        count += sum(measured(cast("Where", each), at) for each in several if isinstance(each, Mapping))
    return count


def is_equality(where: Where) -> bool:
    """Whether all of it says what a column of the row is equal to, its relations' ids included."""
    for given in where.values():
        if not isinstance(given, Mapping):
            return False
        operators = cast("Where", given)
        if not (operators.keys() <= {"eq"} or (set(operators) == {"id"} and is_equality(operators))):
            return False
    return True


def too_many(allowed: str) -> RequestError:
    return RequestError(
        RequestErrorCode.QUERY_TOO_COMPLEX, f"There are too many conditions: {allowed}. Ask for less, or in parts."
    )


def fields_named(where: Where) -> Iterator[str]:
    """The fields of the rows themselves that conditions are about."""
    for name, given in where.items():
        match name:
            case "and" | "or":
                for each in given:
                    yield from fields_named(each)
            case "not":
                yield from fields_named(given)
            case _:
                yield name


def met_by_nothing(entities: Entities, entity: Entity, where: Where) -> bool:
    """Whether a record that is not there, all of whose fields are without a value, meets the conditions."""
    return all(_one_by_nothing(entities, entity, name, given) for name, given in where.items())


def _one_by_nothing(entities: Entities, entity: Entity, name: str, given: Any) -> bool:
    match name:
        case "and":
            return all(met_by_nothing(entities, entity, each) for each in given)
        case "or":
            return any(met_by_nothing(entities, entity, each) for each in given)
        case "not":
            return not met_by_nothing(entities, entity, given)
        case _:
            pass
    field = entity.type.fields[name]
    match entity.sources[name]:
        case Relation():
            return met_by_nothing(entities, entities.of(field), given)
        case Many() | Values():
            return "some" not in given
        case Part() if object_of(field).name != "Money":
            return all(_value_by_nothing(each) for each in given.values())
        case _:
            return _value_by_nothing(given)


def _value_by_nothing(given: Where) -> bool:
    return all(
        operator in ("ne", "notIn")
        or (operator == "isNull" and bool(value))
        or (operator == "currency" and _value_by_nothing(value))
        for operator, value in given.items()
    )
