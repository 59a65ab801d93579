"""Documents that ask for every field, as deep as is worth its while."""

from collections.abc import Iterator

from graphql import GraphQLObjectType, GraphQLSchema, get_named_type, is_leaf_type, is_required_argument

OF_RECORDS = {"Customer", "Opportunity", "Ticket"}
"""Of what these name, what that names in turn is asked for too."""


def everything(schema: GraphQLSchema) -> Iterator[str]:
    """For each list of records of the schema, a query for every field of theirs, and of what they name.

    One for each field that is no plain value: all of them at once would cost more than a query may.
    """
    assert schema.query_type is not None
    for name, field in schema.query_type.fields.items():
        kind = get_named_type(field.type)
        if "first" not in field.args or not isinstance(kind, GraphQLObjectType) or "nodes" not in kind.fields:
            continue
        node = get_named_type(kind.fields["nodes"].type)
        assert isinstance(node, GraphQLObjectType)
        plain, *deeper = _selections(node, 2 if node.name in OF_RECORDS else 1)
        yield f"{{ {name}(first: 100) {{ nodes {{ {plain} }} }} }}"
        for selection in deeper if node.name in OF_RECORDS else [" ".join(deeper)] if deeper else []:
            yield f"{{ {name}(first: 10) {{ nodes {{ {selection} }} }} }}"


def _selections(of: GraphQLObjectType, depth: int) -> Iterator[str]:
    """The plain fields, and each of the others."""
    yield " ".join(name for name, field in of.fields.items() if is_leaf_type(get_named_type(field.type)))
    for name, field in of.fields.items():
        kind = get_named_type(field.type)
        if not isinstance(kind, GraphQLObjectType) or depth == 0:
            continue
        required = {key for key, one in field.args.items() if is_required_argument(one)}
        if required <= {"by"}:
            paged = "first" in field.args and "nodes" in kind.fields
            node = get_named_type(kind.fields["nodes"].type) if paged else kind
            assert isinstance(node, GraphQLObjectType)
            inner = " ".join(_selections(node, depth - 1))
            arguments = "(first: 3)" if paged else "(by: [])" if required else ""
            yield f"{name}{arguments} {{ nodes {{ {inner} }} }}" if paged else f"{name}{arguments} {{ {inner} }}"
