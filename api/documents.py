"""Documents: parsed, measured and validated once, then remembered by their text; the trusted ones from the start."""

import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    DocumentNode,
    GraphQLError,
    GraphQLInt,
    GraphQLSchema,
    GraphQLSyntaxError,
    IntValueNode,
    NoFragmentCyclesRule,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    ValidationRule,
    get_named_type,
    parse,
    specified_rules,
    validate,
)

from api.errors import RequestError, RequestErrorCode
from api.identity.caller import Caller
from api.identity.doorstep import is_open
from api.limits import MOST_CHARACTERS, MOST_COMPARISONS, MOST_COST, MOST_TOKENS, Cost, Measure, counted
from api.throttling import Standing
from api.trusted import DocumentId, TrustedText

MOST_REMEMBERED = 500
"""Documents, and for each of them sizes of pages, that a process remembers."""
MOST_ERRORS = 20
"""Faults of one document that are named."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Which documents a process takes, and what it says of the schema to those who send them."""

    production: bool = False
    """No questions about the schema, no suggestions of names, no page to try queries on."""
    trusted: Sequence[TrustedText] = ()
    trusted_only: bool = False
    """Only these, by their ids: no text from anybody."""

    @property
    def page(self) -> bool:
        """Whether a browser gets a page to try queries on."""
        return not (self.production or self.trusted_only)


class Faulty(Exception):
    """The document is not valid; every fault, up to MOST_ERRORS, is named."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(*errors)
        self.errors = errors


class TooCostly(RequestError):
    """The operation is beyond a limit of what one query may cost."""

    def __init__(self, message: str, cost: int) -> None:
        super().__init__(RequestErrorCode.QUERY_TOO_COMPLEX, message)
        self.cost, self.standing = cost, None


class Document:
    """A document whose shape is within the limits."""

    def __init__(self, text: str, parsed: DocumentNode, measure: Measure, *, trusted: bool = False) -> None:
        self.text, self.parsed, self._measure, self._trusted = text, parsed, measure, trusted
        self._costs: OrderedDict[tuple[object, ...], Cost] = OrderedDict()

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to run. Raises RequestError where the name is missing or unknown."""
        operations = self._measure.operations
        found = [one for one in operations if name is None or (one.name is not None and one.name.value == name)]
        if len(found) == 1:
            return found[0]
        raise RequestError(
            RequestErrorCode.BAD_REQUEST,
            "The document has several operations; operationName must say which one to run."
            if found
            else "The document has no operation of this operationName.",
        )

    def cost(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
        """What the operation costs with these variables. Raises TooCostly; trusted documents may cost what they do."""
        weights = self._measure.weights(operation, variables)
        key = (
            operation.loc and operation.loc.start,
            *(_size(variables, one) for one in self._measure.sizing_variables),
            *weights.values(),
        )
        cost = self._costs.get(key)
        if cost is None:
            cost = self._costs[key] = self._measure.cost(operation, variables, weights)
            if len(self._costs) > MOST_REMEMBERED:
                self._costs.popitem(last=False)
        if cost.beyond is not None and not self._trusted:
            raise TooCostly(cost.beyond.message, cost.requested)
        return cost.requested


class Documents:
    """The trusted documents, and those used last. Used from the event loop only."""

    def __init__(self, schema: GraphQLSchema, policy: Policy) -> None:
        """Raises ManifestError where a trusted document does not fit the schema."""
        self._schema, self._policy = schema, policy
        self._remembered: OrderedDict[str, Document] = OrderedDict()
        self._trusted = {one.id: self._trusted_document(one) for one in policy.trusted}

    def is_open(self, asked: str | DocumentId, caller: Caller) -> bool:
        """Whether somebody who is allowed nothing else may ask this; no id of a document is told from none."""
        if isinstance(asked, str):
            return is_open(asked, caller)
        return (trusted := self._trusted.get(asked.bare)) is not None and is_open(trusted.parsed, caller)

    def of(
        self, asked: str | DocumentId, operation_name: str | None, variables: Mapping[str, Any]
    ) -> tuple[Document, OperationDefinitionNode]:
        """The document of a text or id, and its operation to run. Raises RequestError, GraphQLSyntaxError, Faulty."""
        if isinstance(asked, DocumentId):
            if (trusted := self._trusted.get(asked.bare)) is None:
                raise _UNKNOWN
            return trusted, trusted.operation(operation_name)
        if self._policy.trusted_only:
            raise _NOT_TRUSTED
        document = self._remembered.get(asked)
        if document is not None:
            self._remembered.move_to_end(asked)
            return document, document.operation(operation_name)
        document = self._read(asked, operation_name, variables)
        self._remembered[asked] = document
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return document, document.operation(operation_name)

    def _read(self, text: str, operation_name: str | None, variables: Mapping[str, Any]) -> Document:
        if len(text) > MOST_CHARACTERS:
            raise _beyond(f"The query has {len(text):,} characters; at most {MOST_CHARACTERS:,} are allowed.")
        try:
            parsed = parse(text, max_tokens=MOST_TOKENS)
            measure = Measure(self._schema, parsed)
            limit = measure.shape()
        except RecursionError:
            raise _TOO_DEEP from None
        except GraphQLSyntaxError as error:
            if "token" in error.message and str(MOST_TOKENS) in error.message:
                raise _TOO_LONG from None
            raise
        if limit is not None:
            raise _beyond(limit.message)
        if measure.introspects and self._policy.production:
            raise _INTROSPECTION_OFF
        document = Document(text, parsed, measure)
        try:
            operation = document.operation(operation_name)
        except RequestError:
            pass  # what is wrong with the document itself is said first
        else:
            document.cost(operation, variables)
        # What can grow faster than the document goes first, and within a budget; the other rules are linear.
        self._validate(parsed, (_Mergeable, NoFragmentCyclesRule, _ReadableNumbers))
        self._validate(parsed, _LINEAR_RULES)
        return document

    def _validate(self, parsed: DocumentNode, rules: Sequence[Any]) -> None:
        hide = self._policy.production
        errors = validate(self._schema, parsed, rules, max_errors=MOST_ERRORS, hide_suggestions=hide)
        if any(error.message == "Validation aborted." for error in errors):
            raise _TOO_ALIKE
        if errors:
            raise Faulty(errors)

    def _trusted_document(self, one: TrustedText) -> Document:
        # Nobody sends these to wear us out: the limits of a document's shape are not for them.
        try:
            parsed = parse(one.text)
            errors = validate(self._schema, parsed)
            measure = Measure(self._schema, parsed)
            measure.shape()
        except GraphQLSyntaxError as error:
            raise one.faulty(error.message) from None
        if errors:
            raise one.faulty(errors[0].message)
        if measure.introspects and self._policy.production:
            raise one.faulty(_INTROSPECTION_OFF.message)
        return Document(one.text, parsed, measure, trusted=True)


class _Mergeable(OverlappingFieldsCanBeMergedRule):
    """The library's rule, with a budget for documents of strangers: its own lets one work for seconds."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = MOST_COMPARISONS


class _ReadableNumbers(ValidationRule):
    """Says it where Python would say in its own words that it reads no number of so many digits."""

    def enter_int_value(self, node: IntValueNode, *_place: object) -> None:
        digits, expected = len(node.value.lstrip("-")), cast("Any", self.context).get_input_type()
        if digits > sys.int_info.default_max_str_digits and get_named_type(expected) is GraphQLInt:
            said = (
                f"This number has {digits:,} digits; an Int lies between {GRAPHQL_MIN_INT:,} and {GRAPHQL_MAX_INT:,}."
            )
            self.report_error(GraphQLError(said, node))


_LINEAR_RULES = tuple(
    rule for rule in specified_rules if rule not in (OverlappingFieldsCanBeMergedRule, NoFragmentCyclesRule)
)


def cost_extension(requested: int, standing: Standing | None = None) -> Mapping[str, int]:
    """`extensions.cost`. What a query did cost in the end is not said: the finished JSON would have to be read."""
    cost = {"requested": requested, "limit": MOST_COST}
    if standing is not None:
        cost |= {"available": standing.available, "restoreRate": standing.restored_per_second}
    return cost


def _size(variables: Mapping[str, Any], name: str) -> int | None:
    return counted(variables[name]) if name in variables else None


def _beyond(message: str) -> RequestError:
    return RequestError(RequestErrorCode.QUERY_TOO_COMPLEX, message)


_TOO_DEEP = _beyond("The query is nested too deeply. Ask for less at once.")
_TOO_LONG = _beyond(f"The query has more than {MOST_TOKENS:,} tokens. Ask for less at once.")
_TOO_ALIKE = _beyond("The query selects the same fields again and again. Select each of them once.")
_INTROSPECTION_OFF = RequestError(
    RequestErrorCode.INTROSPECTION_OFF,
    "This server does not tell its schema: `__schema` and `__type` are off. Its operator has it as schema.graphql.",
)
_UNKNOWN = RequestError(
    RequestErrorCode.DOCUMENT_UNKNOWN,
    "No trusted document has this id: the server's manifest is another one than your frontend was built with.",
)
_NOT_TRUSTED = RequestError(
    RequestErrorCode.DOCUMENT_NOT_TRUSTED,
    "This server runs trusted documents only: send `documentId` in place of `query`.",
)
