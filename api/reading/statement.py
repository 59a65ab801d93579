"""One SQL statement in the making: its parameters, and the shapes that rows become JSON in.

Nothing that a client sent is ever written into the SQL: values are parameters, sent as text and cast there, so that the
types of a prepared statement never change; names of response keys are quoted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from graphql import FieldNode, GraphQLField, ListValueNode, ObjectValueNode, ValueNode, VariableNode
from graphql.execution.values import VariableValues, get_argument_values

from api.errors import RequestError, RequestErrorCode
from api.reading.json_text import Json, as_array, as_object, computed
from api.reading.moments import Asked, Then, by_occurrence, in_order
from api.reading.sources import Bundled, Traced

Parameter: TypeAlias = str | list[str] | None
Arguments: TypeAlias = Mapping[str, Any]
ReadArguments: TypeAlias = Callable[[VariableValues], Arguments]

_PARAMETER = re.compile(r"\$\d+")

MOST_PARAMETERS = 60_000
MOMENTS = "moments"
"""Among what the caller gives: the past moments that were found."""


class Cells(dict[str, Any]):
    """A row's columns for SQL templates: `{amount}` becomes `t1."amount"`; others' rows by name: `{line[total]}`."""

    def __init__(self, alias: str, **others: Any) -> None:
        super().__init__(others)
        self.alias = alias

    def __missing__(self, column: str) -> str:
        return f'{self.alias}."{column}"'


class CellsBeside:
    """The columns of one row of another table for SQL templates, or of several to look among, each a sub-select."""

    def __init__(self, source: str, conditions: Sequence[str]) -> None:
        self._tail = f"from {source}" + (f" where {' and '.join(conditions)}" if conditions else "")

    def __getitem__(self, column: str) -> str:
        return f'(select beside."{column}" {self._tail})'


class Plan(msgspec.Struct, frozen=True):
    """A statement, and how its parameters are read from the arguments of the fields that it serves."""

    sql: str
    calls: Sequence["ReadArguments"]
    """Of the fields in whose arguments variables stand: how these are read at each run."""
    binds: Sequence[tuple[int, Callable[[Arguments], Parameter]] | bytes | None]
    """What is sent where no variable stands in a field's arguments; else of which call it is, counted from 1, and how
    it is read from its arguments. Those of call 0 are the caller's, not of a field.
    """
    planned_anew: bool = False
    """Whether the server has to plan it for its parameters at each run."""
    moments: Sequence[tuple["Call", str]] = ()
    """The fields whose arguments name a past moment, each with the argument that does."""
    traced: Sequence["TracedField"] = ()
    """What has to be told from entries before it runs."""

    def arguments_of(self, call: "Call", variables: VariableValues) -> Arguments:
        """A field's arguments at this run."""
        return call.values if call.number is None else self.calls[call.number - 1](variables)

    def moments_asked(self, variables: VariableValues) -> list[Asked]:
        """Each of them, as it is named at this run."""
        called = ((argument, self.arguments_of(call, variables)) for call, argument in self.moments)
        return [Asked(argument, given[argument], by_occurrence(given)) for argument, given in called]

    def parameters(
        self, variables: VariableValues, given: Arguments, moments: Sequence[Then] = ()
    ) -> list[bytes | None]:
        """The statement's parameters; `given` are those of the caller, not of a field, `moments` what was found for
        `moments_asked`. Raises RequestError.
        """
        arguments = [{**given, MOMENTS: moments}, *(read(variables) for read in self.calls)]
        return [_sendable(one[1](arguments[one[0]])) if isinstance(one, tuple) else one for one in self.binds]


class TracedField(msgspec.Struct, frozen=True):
    """A use of a field that is told from entries: its rows are the caller's parameter of this name, as JSON."""

    name: str
    source: Traced | Bundled
    call: "Call"


class Call(msgspec.Struct, frozen=True):
    """A field's arguments: their values now decide what the SQL says, their values at each run are its parameters.

    Two runs share a plan where every variable has the same shape (`reader.shape`): decide here by nothing else.
    """

    number: int | None
    """Its place among those whose values differ from run to run; None where no variable stands in them."""
    values: Arguments


class Statement:
    """Hands out aliases and parameters."""

    def __init__(self, variables: VariableValues, given: Arguments) -> None:
        self.variables = variables
        self.given = Call(0, given)
        self.planned_anew = False
        """Set where the best way to find rows depends on the values of parameters."""
        self.traced: list[TracedField] = []
        self._aliases = 0
        self._calls: list[ReadArguments] = []
        self._binds: list[tuple[int, Callable[[Arguments], Parameter]] | bytes | None] = []
        self._typed: list[str] = []
        self._of_caller: dict[str, str] = {}
        self._moments: list[tuple[Call, str]] = []

    def alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def call(self, field: GraphQLField, node: FieldNode) -> Call:
        """The arguments of one use of a field."""
        values = get_argument_values(field, node, self.variables)
        if not any(_varies(each.value) for each in node.arguments or ()):
            return Call(None, values)
        self._calls.append(_reading(field, node, self.variables, values))
        return Call(len(self._calls), values)

    def parameter(self, call: Call, read: Callable[[Arguments], Parameter], sql_type: str) -> str:
        """SQL: the parameter that `read` takes from the call's arguments. Raises RequestError where it can't."""
        self._binds.append(_sendable(read(call.values)) if call.number is None else (call.number, read))
        self._typed.append(f"${len(self._binds)}::{sql_type}")
        return self._typed[-1]

    def of_caller(self, name: str, sql_type: str) -> str:
        """SQL: what the caller gave by this name; one parameter, however often it is named."""
        if name not in self._of_caller:
            self._of_caller[name] = self.parameter(self.given, lambda given: given[name], sql_type)
        return self._of_caller[name]

    def moment(self, call: Call, argument: str, *, ends: bool = False) -> tuple[str, str]:
        """SQL: the position of the moment that an argument of the call names, and its time if it names one.

        `ends`: the moment that was named before it begins what ends here; a run where it lies behind raises
        RequestError.
        """
        at = len(self._moments)
        self._moments.append((call, argument))

        def position(given: Arguments) -> str:
            moments: Sequence[Then] = given[MOMENTS]
            if ends:
                in_order(moments[at - 1], moments[at])
            return str(moments[at].position)

        def time(given: Arguments) -> str | None:
            asked: datetime | None = given[MOMENTS][at].time
            return None if asked is None else asked.isoformat()

        found = self.parameter(self.given, position, "bigint")
        return found, self.parameter(self.given, time, "timestamptz")

    def plan(self, value: Json, *columns: str) -> Plan:
        """The plan of a statement that selects a JSON text, and values beside it as text."""
        if len(self._binds) > MOST_PARAMETERS:
            raise too_complex()
        # A page of which nothing is selected leaves its size unused; PostgreSQL wants to know its type all the same.
        sql = ", ".join(f"({column})::text" for column in (value.sql, *columns))
        used = set(_PARAMETER.findall(sql))
        unused = [each for each in self._typed if each.partition("::")[0] not in used]
        source = f" from (select {', '.join(unused)}) unused" if unused else ""
        return Plan(
            f"select {sql}{source}",
            tuple(self._calls),
            tuple(self._binds),
            self.planned_anew,
            tuple(self._moments),
            tuple(self.traced),
        )

    def object(self, fields: Mapping[str, Json], tail: str = "") -> Json:
        """A JSON object, of the row that `tail` gives (from ..., where ...); null where it gives none."""
        whole = as_object(fields)
        return computed(f"coalesce((select {whole.sql} {tail}), 'null')") if tail else whole

    def array(self, fields: Mapping[str, Json], tail: str) -> Json:
        """A JSON array of objects, one for each row of `tail`, in its order."""
        row = self.alias()
        return as_array(f"(select string_agg({row}.j, ',') from (select {as_object(fields).sql} as j {tail}) {row})")


def quoted(name: str) -> str:
    return f'"{name}"'


def too_complex() -> RequestError:
    return RequestError(
        RequestErrorCode.QUERY_TOO_COMPLEX, "This query asks for too many fields at once; ask for less, or in parts."
    )


def _reading(field: GraphQLField, node: FieldNode, first: VariableValues, values: Arguments) -> ReadArguments:
    """How a field's arguments are read at each run of a plan; `first` and `values` are those of its first run."""
    taken: dict[str, str] = {}
    for one in node.arguments or ():
        if not isinstance(one.value, VariableNode):
            if _varies(one.value):
                return lambda variables: get_argument_values(field, node, variables)
        elif (variable := one.value.name.value) in first.coerced:
            taken[field.args[one.name.value].out_name or one.name.value] = variable
    # All others say at each run what they said at the first, as variables that are not given do: the library would
    # find it out anew for each argument that the field has.
    return lambda variables: {**values, **{name: variables.coerced[variable] for name, variable in taken.items()}}


def _varies(value: ValueNode) -> bool:
    """Whether a variable stands in a value."""
    match value:
        case ListValueNode():
            return any(map(_varies, value.values))
        case ObjectValueNode():
            return any(_varies(each.value) for each in value.fields)
        case _:
            return isinstance(value, VariableNode)


def _sendable(value: Parameter) -> bytes | None:
    """A parameter as PostgreSQL takes it, in text. Raises RequestError for what is not a text to it."""
    if value is None:
        return None
    if isinstance(value, list):
        # An array's text: elements in quotes, where a quote and a backslash have a backslash before them.
        escaped = (each.replace("\\", "\\\\").replace('"', '\\"') for each in value)
        value = "{" + ",".join(f'"{each}"' for each in escaped) + "}"
    try:
        sendable = value.encode()
    except UnicodeEncodeError:
        sendable = b"\0"
    if b"\0" in sendable:
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT,
            "A text in the arguments holds U+0000 or half a surrogate pair; remove it.",
        )
    return sendable
