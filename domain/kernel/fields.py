"""What a command's field may hold. The annotations are read by `admission`, by the GraphQL inputs and by the import.

- `name: Annotated[str | None, Doc("As the customer writes it."), Text(200)] = None`
- `contact_points: Annotated[tuple[NewContactPoint, ...], Doc("Ways to reach it."), Items(50)] = ()`
- `owner: Annotated[UUID | None, Doc("Who looks after it."), Id("staff_member")] = None`
"""

from collections.abc import Sized
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from domain.kernel.rules import Path, Rule
from domain.kernel.words import Word


@dataclass(frozen=True)
class Doc:
    """What the field means, for strangers: it becomes the GraphQL description."""

    text: str


@dataclass(frozen=True)
class Form:
    """How a whole text must look, as a regular expression, and what a text is called that does."""

    pattern: str
    expected: str


@dataclass(frozen=True)
class Text:
    """Unicode text: NFC, trimmed, without control characters, at most `longest` characters; never empty."""

    longest: int
    multiline: bool = False
    form: Form | None = None


@dataclass(frozen=True)
class Id:
    """The id of an aggregate of this kind (a TypeID outside)."""

    kind: str


@dataclass(frozen=True)
class ChildId:
    """The id of a part of an aggregate (a contact point, a line): a TypeID with this prefix outside."""

    prefix: str


@dataclass(frozen=True)
class Derived:
    """Never asked of the client: the id of what the command adds, derived from its record, its verb and its key."""

    prefix: str


@dataclass(frozen=True)
class Filled:
    """Never asked of the client: filled in when the command is admitted (a normalised e-mail address)."""


@dataclass(frozen=True)
class Items:
    """A list of at most this many items."""

    most: int
    least: int = 0


@dataclass(frozen=True)
class Number:
    """A number between two bounds, both included, with at most `decimals` decimals."""

    least: Decimal
    most: Decimal
    decimals: int = 0


@dataclass(frozen=True)
class Currency:
    """An ISO 4217 currency code in capitals."""


@dataclass(frozen=True)
class Zone:
    """An IANA time zone, such as Europe/Zurich."""


AMOUNT = Number(Decimal("-999999999999.999"), Decimal("999999999999.999"), 3)
"""Money in any currency; the aggregate rounds it to the currency's minor units."""
PERCENT = Number(Decimal(0), Decimal(100), 4)
QUANTITY = Number(Decimal("0.0001"), Decimal(1_000_000_000), 4)

NAME = Text(200)
LABEL = Text(60)
LINE = Text(500)
PROSE = Text(20_000, multiline=True)
LANGUAGE = Text(35, form=Form("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", "a language tag such as de-CH"))


class ContactKind(Word):
    """The kind of a contact point."""

    EMAIL = "email", "An e-mail address."
    PHONE = "phone", "A telephone number; kept as typed, compared in E.164."
    ADDRESS = "address", "A postal address, several lines."
    WEB = "web", "A web page."
    SOCIAL = "social", "A handle or page on a social network."


class NewContactPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A way to reach a customer, as typed. What it is compared by follows from it."""

    contact_point: Annotated[UUID, Derived("cpt")]
    kind: Annotated[ContactKind, Doc("What kind of contact point this is.")]
    value: Annotated[
        str, Doc("The value as typed, e.g. `Ada@Example.com` or `044 668 18 00`."), Text(1000, multiline=True)
    ]
    label: Annotated[str | None, Doc("What people call it: work, home, billing."), LABEL] = None
    primary: Annotated[bool, Doc("Whether it is used first among its kind; the first of a kind always is.")] = False
    normalised: Annotated[str, Filled()] = ""


class Required(Rule):
    """A value is needed here; none was given."""


class UnknownField(Rule):
    """This command has no such field."""


class TextEmpty(Rule):
    """The text is empty; give at least one visible character, or leave the field out."""


class TextTooLong(Rule):
    """The text has {length} characters; at most {longest} are allowed."""

    length: int
    longest: int


class TextHasTooManyMarks(Rule):
    """More than {most} combining marks, such as accents, stand in a row in the text."""

    most: int


class TextHasControlCharacters(Rule):
    """The text holds the control character U+{codepoint}, which is not allowed here."""

    codepoint: str


class TextNotUnicode(Rule):
    """The text holds half a surrogate pair, which is no Unicode character."""


class ValueMalformed(Rule):
    """This is not {expected}."""

    expected: str


class UnknownWord(Rule):
    """This is none of: {allowed}."""

    allowed: str


class NumberOutOfRange(Rule):
    """The number must lie between {least} and {most}."""

    least: str
    most: str


class TooManyDecimals(Rule):
    """The number may have at most {decimals} decimals."""

    decimals: int


class DateOutOfRange(Rule):
    """The date must lie between 1900-01-01 and 2199-12-31."""


class TooManyItems(Rule):
    """The list has {count} items; at most {most} are allowed."""

    count: int
    most: int


def one_too_many(there: Sized, most: int, path: Path) -> Rule | None:
    """The rule against adding one more to what is full."""
    return None if len(there) < most else TooManyItems(path=path, count=len(there) + 1, most=most)


class TooFewItems(Rule):
    """The list has {count} items; at least {least} are needed."""

    count: int
    least: int


class IdMalformed(Rule):
    """This is no id; an id looks like {example}."""

    example: str


class IdOfAnotherKind(Rule):
    """This is the id of another kind of record; one that begins with {prefix}_ is needed here."""

    prefix: str


class UnknownId(Rule):
    """No {kind} has this id."""

    kind: str


class CurrencyUnknown(Rule):
    """This is no active ISO 4217 currency code."""


class ZoneUnknown(Rule):
    """This is no IANA time zone; give one such as Europe/Zurich."""
