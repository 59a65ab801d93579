"""What a waterfall says, asked of the read models as a client asks."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, cast

import msgspec
from graphql import OperationDefinitionNode, get_operation_ast, parse

from api.cli.book import USAGE, CommandFailed
from api.cli.output import note
from api.composition import Parts
from api.errors import RequestError
from api.identity.caller import ADMINISTRATOR
from api.reading.moments import Asked, Then, named
from api.reading.reader import Reader, read_pool
from api.reading.sight import sight_of
from api.schema import the_schema
from domain.kernel.identifiers import NotATypeId, prefix_of

PIPELINES = """query Pipelines($name: String!) {
  position
  called: pipelines(first: 100, where: {name: {eq: $name}, status: {in: [ACTIVE, ARCHIVED]}}) { nodes { id name } }
  pipelines(first: 100, where: {status: {in: [ACTIVE, ARCHIVED]}}) { nodes { name } }
}"""
WATERFALL = """query Waterfall($pipeline: ID!, $from: Moment!, $to: Moment, $basis: Basis!) {{
  position
  pipeline(id: $pipeline) {{ id name }}
  pipelineWaterfall(pipeline: $pipeline, from: $from, to: $to, basis: $basis) {{ {steps} }}
}}"""
"""`steps`: the fields of each, by which they are told."""


async def figures(parts: Parts, pipeline: str, given: Mapping[str, Any], steps: Iterable[str]) -> dict[str, Any]:
    """The figures of these steps, with whose they are and which position they reflect. Raises CommandFailed."""
    document = WATERFALL.format(steps=" ".join(f"{step} {step}Amounts {{ amount currency }}" for step in steps))
    async with read_pool(parts.logins.reading, size=1, seconds=60) as lines:
        reader = Reader(lines, the_schema())
        there = await _asked(parts, reader, PIPELINES, {"name": pipeline}, 0)
        reached, head = int(there["position"] or 0), parts.store.max_notification_id() or 0
        if reached < head:
            note(f"The read models stand at entry {reached} of {head}: what came later is not told yet.")
        named = [one["id"] for one in there["called"]["nodes"] if one["name"] == pipeline]
        if not named and not _is_id(pipeline):
            names = ", ".join(f"{one['name']!r}" for one in there["pipelines"]["nodes"]) or "none"
            raise CommandFailed(f"No pipeline is called {pipeline!r}. Among those that there are: {names}.")
        if len(named) > 1:
            raise CommandFailed(f"Several pipelines are called {pipeline!r}: {', '.join(named)}. Give an id.")
        found = await _asked(parts, reader, document, {**given, "pipeline": named[0] if named else pipeline}, reached)
    if found["pipeline"] is None:
        raise CommandFailed(f"There is no pipeline {pipeline}.")
    return {"pipeline": found["pipeline"]["id"], "name": found["pipeline"]["name"], "position": found["position"],
            **found["pipelineWaterfall"]}  # fmt: skip


async def _asked(parts: Parts, reader: Reader, query: str, given: Mapping[str, Any], reached: int) -> Any:
    document = parse(query)
    operation = cast("OperationDefinitionNode", get_operation_ast(document))
    moment = partial(_found, parts, reached)
    try:
        found = await reader.query(document, operation, given, sight_of(ADMINISTRATOR), moment)
    except RequestError as error:
        raise CommandFailed(error.message, USAGE) from None
    return msgspec.json.decode(found.data)


async def _found(parts: Parts, reached: int, asked: Asked) -> Then:
    moment = named(asked)
    position = moment if isinstance(moment, int) else parts.store.position_at(moment)
    if position is None:
        raise CommandFailed(f"--{asked.argument} lies in the future.", USAGE)
    if position > reached:
        raise CommandFailed(f"--{asked.argument} is entry {position}, and the read models stand at entry {reached}.")
    return Then(position, moment if isinstance(moment, datetime) else None)


def _is_id(text: str) -> bool:
    try:
        return bool(prefix_of(text))
    except NotATypeId:
        return False
