"""Documents: parsed, measured and validated once, then remembered by their text."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
    validate,
)

from api.errors import RequestError, RequestErrorCode
from api.limits import MOST_TOKENS, Limit, Measure

MOST_REMEMBERED = 500
"""Documents, and for each of them page sizes, that a process remembers."""
MOST_ERRORS = 20
"""Faults of one document that are named."""


class Faulty(Exception):
    """The document is not valid; every fault, up to MOST_ERRORS, is named."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(*errors)
        self.errors = errors


class Document:
    """A valid document."""

    def __init__(self, text: str, parsed: DocumentNode, measure: Measure) -> None:
        self.text, self.parsed, self._measure = text, parsed, measure
        self._operations = [one for one in parsed.definitions if isinstance(one, OperationDefinitionNode)]
        self._limits: OrderedDict[tuple[object, ...], Limit | None] = OrderedDict()

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to run. Raises RequestError where the name is missing or unknown."""
        found = [one for one in self._operations if name is None or (one.name is not None and one.name.value == name)]
        if len(found) == 1:
            return found[0]
        raise RequestError(
            RequestErrorCode.BAD_REQUEST,
            "The document has several operations; operationName must say which one to run."
            if found
            else "The document has no operation of this operationName.",
        )

    def check(self, variables: Mapping[str, Any]) -> None:
        """Raise RequestError where these variables ask for too much at once."""
        paging = tuple(_plain(variables.get(name)) for name in sorted(self._measure.paging_variables))
        if paging not in self._limits:
            self._limits[paging] = self._measure.exceeded(variables)
            if len(self._limits) > MOST_REMEMBERED:
                self._limits.popitem(last=False)
        if limit := self._limits[paging]:
            raise RequestError(RequestErrorCode.QUERY_TOO_COMPLEX, limit.message)


class Documents:
    """The documents used last. Used from the event loop only."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._remembered: OrderedDict[str, Document] = OrderedDict()

    def of(self, text: str, variables: Mapping[str, Any]) -> Document:
        """The document of a text. Raises RequestError, GraphQLSyntaxError or Faulty."""
        document = self._remembered.get(text)
        if document is None:
            document = self._prepared(text, variables)
            self._remembered[text] = document
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(text)
            document.check(variables)
        return document

    def _prepared(self, text: str, variables: Mapping[str, Any]) -> Document:
        try:
            parsed = parse(text, max_tokens=MOST_TOKENS)
            document = Document(text, parsed, Measure(self._schema, parsed))
            document.check(variables)
        except RecursionError:
            raise _TOO_DEEP from None
        except GraphQLSyntaxError as error:
            if "token" in error.message and str(MOST_TOKENS) in error.message:
                raise _TOO_LONG from None
            raise
        errors = validate(self._schema, parsed, max_errors=MOST_ERRORS)
        if errors:
            raise Faulty(errors)
        return document


def _plain(value: object) -> object:
    return value if isinstance(value, int | None) else None


_TOO_DEEP = RequestError(RequestErrorCode.QUERY_TOO_COMPLEX, "The query is nested too deeply. Ask for less at once.")
_TOO_LONG = RequestError(
    RequestErrorCode.QUERY_TOO_COMPLEX, f"The query has more than {MOST_TOKENS:,} tokens. Ask for less at once."
)
