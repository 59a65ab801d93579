"""Mutations: every command of every decider, generated from the catalogue. No mutation is written by hand."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
import strawberry
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField

from api.errors import user_errors
from api.health import outcome_of
from api.mutations.inputs import input_of, raw_values
from api.mutations.payloads import Outcome, payload_of
from api.serving import Request, RequestInfo
from api.words import described
from domain.catalogue import AnyDecider, Catalogue, mutation_name
from domain.kernel import LINE, Refused
from domain.kernel.admission import Intake, plain_text
from domain.kernel.recorded import Context, Receipt


def mutation_type(catalogue: Catalogue, entities: Mapping[str, type[Any]]) -> type[Any]:
    """The Mutation root; `entities` are the GraphQL types by kind of aggregate."""
    fields: list[StrawberryField] = []
    for decider in catalogue.deciders.values():
        payload = payload_of(decider, entities[decider.kind])
        for verb, command in decider.commands.items():
            resolve = _resolver(decider, verb)
            resolve.__annotations__ = {
                "info": RequestInfo,
                "input": Annotated[input_of(decider, verb), _INPUT],
                # Nullable: of several mutations in one document one can fail, and the others' receipts must stay.
                "return": payload | None,
            }
            said = described(command.__doc__)
            field: Any = strawberry.mutation(resolve, name=mutation_name(decider, verb), description=said)
            fields.append(field)
    return create_type("Mutation", fields, description="Every command. Mutations of one request run one after another.")


_INPUT = strawberry.argument(description="What the command needs.")


def _resolver(decider: AnyDecider, verb: str) -> Callable[..., Any]:
    mutation = mutation_name(decider, verb)
    own_reason = "reason" in decider.commands[verb].__struct_fields__

    async def resolve(info: RequestInfo, input: Any) -> Outcome:  # noqa: A002
        request = info.context
        raw = raw_values(input)
        said = {
            "idempotency_key": raw.pop("idempotency_key"),
            "expected_version": raw.pop("expected_version", None),
            "reason": None if own_reason else raw.pop("reason", None),
        }
        submit = partial(_submit, request, decider, verb, raw, said)
        try:
            with outcome_of(mutation):
                receipt = await anyio.to_thread.run_sync(submit, limiter=request.serving.writers)
        except Refused as refused:
            return Outcome(None, None, user_errors(refused))
        shown = await request.caught_up(receipt)
        return Outcome(receipt.id if shown else None, receipt.position, [])

    resolve.__name__ = mutation
    return resolve


def _submit(
    request: Request, decider: AnyDecider, verb: str, raw: Mapping[str, object], said: Mapping[str, Any]
) -> Receipt:
    intake = Intake(lambda _ordinal: UUID(int=0))
    reason = None if said["reason"] is None else plain_text(said["reason"], ("reason",), intake, LINE)
    if intake.broken:
        raise Refused(*intake.broken)
    context = Context(
        actor=request.actor,
        idempotency_key=said["idempotency_key"],
        correlation_id=request.id,
        reason=reason,
        expected_version=said["expected_version"],
    )
    return request.serving.commands.submit(decider, verb, raw, context)
