"""The scalars of the schema: how they are written, and what a client may write for them."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

from domain.kernel import MINOR_UNITS
from domain.kernel.written import day_written, number_written

Position = NewType("Position", str)
CurrencyCode = NewType("CurrencyCode", str)


def _date(value: object) -> date:
    if isinstance(value, str) and (day := day_written(value)) is not None:
        return day
    raise GraphQLError("A Date is written like 2026-03-31.")


def _instant(value: object) -> datetime:
    with suppress(ValueError, OverflowError):  # the first day of all, east of Greenwich
        instant = datetime.fromisoformat(str(value))
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    raise GraphQLError("A DateTime is written with its time zone, like 2026-03-31T09:30:00Z.")


def _decimal(value: object) -> Decimal:
    """A number beside text too: GraphQL's `12` and `"12.00"` say the same; a float has lost its decimals by then."""
    if (number := number_written(str(value))) is not None:
        return number
    raise GraphQLError('A Decimal is written as text, like "1250.00".')


def _position(value: object) -> str:
    # No greater position has so many digits; of thousands Python makes no number, but an error in its own words.
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit() and int(value) < 2**63:
        return value
    raise GraphQLError('A Position is text that a former answer gave, like "4711".')


def _currency(value: object) -> str:
    if isinstance(value, str) and value in MINOR_UNITS:
        return value
    raise GraphQLError("A CurrencyCode is a currency of ISO 4217 in three capital letters, like EUR.")


def _isoformat(value: Any) -> str:
    """Rows bring text already; a mutation's own fields bring dates."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value)


SCALARS: Mapping[object, ScalarDefinition] = {
    Position: strawberry.scalar(
        name="Position",
        description="A place in the book: the number of an entry, as text. A greater number is a later entry.",
        serialize=str,
        parse_value=_position,
    ),
    CurrencyCode: strawberry.scalar(
        name="CurrencyCode",
        description="A currency of ISO 4217 in three capital letters, such as `EUR`.",
        specified_by_url="https://www.iso.org/iso-4217-currency-codes.html",
        serialize=str,
        parse_value=_currency,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description="A decimal number as text, such as `1250.00`, so that no decimal is lost on the way.",
        serialize=str,
        parse_value=_decimal,
    ),
    date: strawberry.scalar(
        name="Date", description="A day, such as `2026-03-31`.", serialize=_isoformat, parse_value=_date
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant in ISO 8601, given in UTC: `2026-03-31T09:30:00.000000Z`; input may have any offset.",
        serialize=_isoformat,
        parse_value=_instant,
    ),
    JSON: strawberry.scalar(name="JSON", description="Any JSON value."),
}
"""For `StrawberryConfig(scalar_map=SCALARS)`."""
