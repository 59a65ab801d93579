"""A desk to read at: the real schema and the compiler over sample rows in a real PostgreSQL, asked synchronously."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import strawberry
from graphql import (
    DocumentNode,
    OperationDefinitionNode,
    get_operation_ast,
    get_variable_values,
    parse,
    validate,
)

from api.reading.reader import Reader, read_pool
from api.schema import the_schema
from infra.roles import logins
from tests.api.sights import ALL


class Desk:
    """Asks a Reader."""

    def __init__(self, runner: asyncio.Runner, reader: Reader, schema: strawberry.Schema) -> None:
        self.runner, self.reader, self.strawberry = runner, reader, schema
        self.schema = schema._schema

    def parsed(self, query: str) -> tuple[DocumentNode, OperationDefinitionNode]:
        """The document, valid, and its only operation."""
        document = parse(query)
        errors = validate(self.schema, document)
        assert not errors, errors
        operation = get_operation_ast(document)
        assert operation is not None
        return document, operation

    def coerced(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The variables as graphql-core reads them."""
        found = get_variable_values(self.schema, operation.variable_definitions or (), dict(variables))
        assert not isinstance(found, list), found
        return found.coerced

    def text(self, query: str, variables: Mapping[str, Any] | None = None) -> str:
        """The JSON text of `data`. Raises GraphQLError."""
        document, operation = self.parsed(query)
        return self.runner.run(self.reader.query(document, operation, variables or {}, ALL)).data.decode()

    def data(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        return msgspec.json.decode(self.text(query, variables))


@contextmanager
def desk(conninfo: str) -> Iterator[Desk]:
    """A desk on a database whose read tables are there."""
    with asyncio.Runner() as runner:
        pool = read_pool(logins(conninfo).reading, size=2)
        runner.run(pool.open())
        try:
            schema = the_schema()
            yield Desk(runner, Reader(pool, schema), schema)
        finally:
            runner.run(pool.close())
