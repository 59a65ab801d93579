"""Lists in plain Python, for the reference: which values meet conditions, and in which order rows stand.

Written by what the schema says of operators and orders, without a look at the SQL.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, TypeAlias, cast
from unicodedata import normalize
from uuid import UUID

from api.reading.sources import Rows
from projections.model import Table
from tests.api.sample import Row


def own_names(where: Mapping[str, Any]) -> set[str]:
    """The fields that conditions speak of on the row itself."""
    names: set[str] = set()
    for name, given in where.items():
        match name:
            case "and" | "or":
                names.update(*map(own_names, given))
            case "not":
                names |= own_names(given)
            case _:
                names.add(name)
    return names


def nothing(rows: Rows) -> Row:
    """The row that a relation leads to where there is none."""
    return {**dict.fromkeys(rows.table.columns), "*nothing": True}


def several(given: Mapping[str, Any], met_by: Callable[[Mapping[str, Any]], list[bool]]) -> bool:
    said = {"some": any, "none": lambda met: not any(met), "every": all}
    return all(said[quantifier](met_by(where)) for quantifier, where in given.items())


def object_meets(value: Mapping[str, Any] | None, given: Mapping[str, Any]) -> bool:
    """Conditions on an object of the row: Money with its operators, others field by field."""
    for name, each in given.items():
        if name in ("eq", "lt", "lte", "gt", "gte"):
            of_currency = value is not None and value["currency"] == each["currency"]
            met = of_currency and value_meets(cast("Any", value)["amount"], {name: each["amount"]})
        elif name == "isNull":
            met = (value is None) is each
        else:
            met = value_meets(None if value is None else value[name], each)
        if not met:
            return False
    return True


def value_meets(value: Any, given: Mapping[str, Any], alike: Callable[[str], str] | None = None) -> bool:
    alike = alike or lower_ascii
    return all(_operator_meets(operator, value, operand, alike) for operator, operand in given.items())


def _operator_meets(operator: str, value: Any, operand: Any, alike: Callable[[str], str]) -> bool:
    match operator:
        case "isNull":
            return (value is None) is bool(operand)
        case "ne":
            return not _operator_meets("eq", value, operand, alike)
        case "notIn":
            return not _operator_meets("in", value, operand, alike)
        case "in":
            return any(_operator_meets("eq", value, each, alike) for each in operand)
        case _:
            return value is not None and _compares(operator, *_comparable(value, operand), alike)


def _comparable(value: Any, operand: Any) -> tuple[Any, Any]:
    if isinstance(operand, str):
        operand = normalize("NFC", operand)
    if isinstance(value, UUID):
        return str(value), operand
    # A Position is text, and compared as a number.
    return (value, int(operand)) if isinstance(value, int) and isinstance(operand, str) else (value, operand)


def _compares(operator: str, value: Any, operand: Any, alike: Callable[[str], str]) -> bool:
    match operator:
        case "eq":
            return bool(value == operand)
        case "contains":
            return alike(operand) in alike(value)
        case "startsWith":
            return alike(value).startswith(alike(operand))
        case "lt":
            return bool(value < operand)
        case "lte":
            return bool(value <= operand)
        case "gt":
            return bool(value > operand)
        case _:
            return bool(value >= operand)


def lower_ascii(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def folded(given: Any) -> Any:
    """Texts that are the same whatever their case, in whatever they stand."""
    match given:
        case str():
            return given.casefold()
        case list():
            return [folded(each) for each in given]
        case dict():
            return {key: folded(each) for key, each in given.items()}
        case _:
            return given


AMOUNTS = {
    ("opportunities", "currency"): "amount",
    ("products", "currency"): "price",
    ("customers", "revenue_currency"): "annual_revenue",
}
"""What is ordered by its currency first: a currency without an amount is no value."""
Step: TypeAlias = tuple[Callable[[Row], Any], bool, bool]
"""What to sort by, whether descending, whether NULL comes first."""


def steps_of(order: str) -> list[Step]:
    """`created_at DESC, id`, NULL last."""
    steps = [step.partition(" ") for step in order.split(", ")]
    return [(itemgetter(column), direction.upper() == "DESC", False) for column, _, direction in steps]


def steps_asked(table: Table, one: Mapping[str, Any]) -> list[Step]:
    """A step of `orderBy`. Where nulls are placed, a text that is there to sort by is NULL where it is empty."""
    sort, nulls = one["field"].value, one.get("nulls")
    kinds = (table.columns[column] for column in sort.columns)
    stands_in = nulls is not None and all(kind.startswith("text") and kind.endswith("NOT NULL") for kind in kinds)

    def by(column: str) -> Callable[[Row], Any]:
        if amount := AMOUNTS.get((table.name, column)):
            return lambda row: None if row[amount] is None else row[column]
        if sort.words:
            return lambda row: None if row[column] is None else sort.words.index(row[column])
        return lambda row: (row[column] or None) if stands_in else row[column]

    first = nulls is not None and nulls.name == "FIRST"
    return [(by(column), one["direction"].name == "DESC", first) for column in sort.columns]


def in_order(rows: list[Row], order: str, key: tuple[str, ...] = ()) -> list[Row]:
    """By each step, NULL last either way."""
    return in_steps(rows, steps_of(", ".join([order, *key])))


def in_steps(rows: list[Row], steps: Iterable[Step]) -> list[Row]:
    """Python's sort is stable, so the last step goes first."""
    for by, descending, nulls_first in reversed(list(steps)):
        present = sorted((row for row in rows if by(row) is not None), key=by, reverse=descending)
        absent = [row for row in rows if by(row) is None]
        rows = [*absent, *present] if nulls_first else [*present, *absent]
    return rows
