"""Mutations: every command of every decider, generated from the catalogue. By hand only those that are no commands:
signing in (api/mutations/access.py)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, cast
from uuid import UUID

import strawberry
from graphql import get_named_type
from msgspec.structs import replace
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField

from api.errors import user_errors
from api.health import outcome_of
from api.mutations.access import access_mutations
from api.mutations.inputs import input_of, raw_values
from api.mutations.payloads import Outcome, exported_payload_of, issued_payload_of, payload_of, unmasked_payload_of
from api.serving import Request, RequestInfo
from api.words import described
from domain.api_token import IssueApiToken
from domain.catalogue import AnyDecider, Catalogue, mutation_name
from domain.customer import ExportCustomerPersonalData, UnmaskCustomer
from domain.kernel import LINE, Command, Refused
from domain.kernel.admission import Intake, plain_text
from domain.kernel.recorded import Context, Receipt
from domain.steps import following


def mutation_type(catalogue: Catalogue, entities: Mapping[str, type[Any]]) -> type[Any]:
    """The Mutation root; `entities` are the GraphQL types by kind of aggregate."""
    fields: list[StrawberryField] = []
    for decider in catalogue.deciders.values():
        entity = entities[decider.kind]
        payload = payload_of(decider, entity)
        for verb, command in decider.commands.items():
            resolve = _resolver(decider, verb)
            resolve.__annotations__ = {
                "info": RequestInfo,
                "input": Annotated[input_of(decider, verb), _INPUT],
                # Nullable: of several mutations in one document one can fail, and the others' receipts must stay.
                "return": (_OWN_PAYLOADS[command](decider, entity) if command in _OWN_PAYLOADS else payload) | None,
            }
            said = described(command.__doc__)
            field: Any = strawberry.mutation(resolve, name=mutation_name(decider, verb), description=said)
            fields.append(field)
    fields += access_mutations()
    return create_type(
        "Mutation", fields, description="Every command, and signing in. Mutations of one request run one after another."
    )


def resolve_directly(schema: strawberry.Schema) -> None:
    """Let mutations take their input as the GraphQL library coerced it, and payloads' resolvers be called directly.

    Strawberry would first make an object of its own of each input, for a tenth of a mutation's CPU; admission wants
    plain values, and would have to take the objects apart again. Around a resolver it has three calls, and an object.
    """
    root = cast("Any", schema)._schema.mutation_type
    for field in root.fields.values():
        field.resolve = partial(_of_root, _declared(field).wrapped_func)
        for shown in cast("Any", get_named_type(field.type)).fields.values():
            if (resolver := _declared(shown)) is not None and not shown.args:
                shown.resolve = resolver.wrapped_func


def _declared(field: Any) -> Any:
    """The resolver that a field was declared with; None where it shows an attribute."""
    return field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].base_resolver


def _of_root(resolver: Callable[..., Any], _source: None, info: Any, **arguments: Any) -> Any:
    return resolver(info, **arguments)


_OWN_PAYLOADS: Mapping[type[Command], Callable[[AnyDecider, type[Any]], type[Any]]] = {
    IssueApiToken: issued_payload_of,
    UnmaskCustomer: unmasked_payload_of,
    ExportCustomerPersonalData: exported_payload_of,
}
"""What mutations come to that answer with more than the record."""

_INPUT = strawberry.argument(description="What the command needs.")


def _resolver(decider: AnyDecider, verb: str) -> Callable[..., Any]:
    mutation = mutation_name(decider, verb)
    own_reason = "reason" in decider.commands[verb].__struct_fields__
    unmasks = decider.commands[verb] is UnmaskCustomer

    async def resolve(info: RequestInfo, input: Mapping[str, Any]) -> Outcome:  # noqa: A002
        request = info.context
        raw = raw_values(input)
        said: dict[str, Any] = {
            "idempotency_key": raw.pop("idempotency_key"),
            "expected_version": raw.pop("expected_version", None),
            "reason": None if own_reason else raw.pop("reason", None),
        }
        try:
            with outcome_of(mutation):
                receipt = await _submitted(request, decider, verb, raw, said)
        except Refused as refused:
            return Outcome(None, None, user_errors(refused), said["idempotency_key"])
        losses = request.serving.progress.losses
        shown = await request.caught_up(receipt, decider.kind)
        found = receipt.id if shown else None
        return Outcome(found, receipt.position, [], said["idempotency_key"], unmasked=unmasks, losses=losses)

    resolve.__name__ = mutation
    return resolve


async def _submitted(
    request: Request, decider: AnyDecider, verb: str, raw: Mapping[str, object], said: Mapping[str, Any]
) -> Receipt:
    intake = Intake(lambda _ordinal: UUID(int=0))
    reason = None if said["reason"] is None else plain_text(said["reason"], ("reason",), intake, LINE)
    if intake.broken:
        raise Refused(*intake.broken)
    context = Context(
        actor=request.actor,
        on_behalf_of=request.on_behalf_of,
        idempotency_key=said["idempotency_key"],
        correlation_id=UUID(request.id),
        reason=reason,
        expected_version=said["expected_version"],
    )
    authority = replace(request.authority, acting_for=request.acting_for)
    return await following(request.serving.commands.submit(decider, verb, raw, context, authority))
