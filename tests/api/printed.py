"""The schema as a client has it who has read `schema.graphql`."""

from functools import cache

from graphql import GraphQLSchema, build_schema

from api.schema import schema_text


@cache
def printed_schema() -> GraphQLSchema:
    """Built once for all tests, which change nothing in it: that takes a quarter of a second."""
    return build_schema(schema_text())
