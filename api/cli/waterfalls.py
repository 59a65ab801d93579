"""`waterfall`: how the open deals of a pipeline became others between two moments."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import typer
from graphql import OperationDefinitionNode, get_operation_ast, parse

from api.cli.book import USAGE, CommandFailed, book
from api.cli.output import note, say, say_json
from api.cli.tracing import MOMENT, moment_named
from api.composition import Parts
from api.errors import RequestError
from domain.kernel.identifiers import NotATypeId, prefix_of

if TYPE_CHECKING:
    from api.reading.moments import Asked, Then
    from api.reading.reader import Reader

STEPS: Mapping[str, str] = {
    "opening": "  open at the start",
    "created": "+ created",
    "reopened": "+ reopened",
    "movedIn": "+ moved in",
    "grown": "+ grown",
    "shrunk": "- shrunk",
    "won": "- won",
    "lost": "- lost",
    "movedOut": "- moved out",
    "closing": "= open at the end",
    "advanced": "  advanced",
    "wentBack": "  went back",
    "slipped": "  slipped",
    "pulledIn": "  pulled in",
}
"""By GraphQL's field, how a line begins."""
FIRST_BESIDE = "advanced"

PIPELINES = """query Pipelines($name: String!) {
  position
  called: pipelines(first: 100, where: {name: {eq: $name}, status: {in: [ACTIVE, ARCHIVED]}}) { nodes { id name } }
  pipelines(first: 100, where: {status: {in: [ACTIVE, ARCHIVED]}}) { nodes { name } }
}"""
WATERFALL = f"""query Waterfall($pipeline: ID!, $from: Moment!, $to: Moment, $basis: Basis!) {{
  position
  pipeline(id: $pipeline) {{ id name }}
  pipelineWaterfall(pipeline: $pipeline, from: $from, to: $to, basis: $basis) {{
    {" ".join(f"{step} {step}Amounts {{ amount currency }}" for step in STEPS)}
  }}
}}"""


def waterfall(
    pipeline: Annotated[str, typer.Argument(help="A pipeline's name, or its id.", show_default=False)],
    since: Annotated[str, typer.Option("--from", help=MOMENT, show_default=False)],
    until: Annotated[str | None, typer.Option("--to", help="The same; left out: now.", show_default=False)] = None,
    occurred: Annotated[
        bool, typer.Option("--occurred", help="Count entries by when they happened, not by when they were recorded.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Tell how a pipeline's open deals became others between two moments, in steps that add up exactly.

    Examples:

        daybook waterfall "New business" --from 2026-01-01 --to 2026-04-01

        daybook waterfall pip_01h455vb4pex5vsknk084sn02q --from 0 --json | jq .wonAmounts

    Every entry between the moments counts. What advanced or slipped changes no sum, and stands below. It is read from
    the read models, as far as they are.
    """
    moments = {"from": _given(since), "to": None if until is None else _given(until)}
    if occurred and any("position" in moment for moment in moments.values() if moment):
        raise CommandFailed("Things occur at a time: with --occurred, --from and --to are times.", USAGE)
    with book() as parts:
        try:
            found = asyncio.run(_told(parts, pipeline, {**moments, "basis": "OCCURRED" if occurred else "RECORDED"}))
        except RequestError as error:
            raise CommandFailed(error.message, USAGE) from None
    if json:
        say_json(found)
        return
    say(f"{found['name']}, up to entry {found['position']}" if until is None else found["name"])
    widest = max(len(str(found[step])) for step in STEPS)
    for step, words in STEPS.items():
        if step == FIRST_BESIDE:
            say()
        sums = ", ".join(f"{one['amount']} {one['currency']}" for one in found[f"{step}Amounts"])
        say(f"{words:<19}  {found[step]:>{widest}}  {sums}".rstrip())


async def _told(parts: Parts, pipeline: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The waterfall's figures, with whose they are and which position they reflect."""
    # The schema takes most of a second, which other commands need not wait.
    from api.reading.reader import Reader, read_pool
    from api.schema import the_schema

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
        found = await _asked(parts, reader, WATERFALL, {**given, "pipeline": named[0] if named else pipeline}, reached)
    if found["pipeline"] is None:
        raise CommandFailed(f"There is no pipeline {pipeline}.")
    return {"pipeline": found["pipeline"]["id"], "name": found["pipeline"]["name"], "position": found["position"],
            **found["pipelineWaterfall"]}  # fmt: skip


async def _asked(parts: Parts, reader: "Reader", query: str, given: Mapping[str, Any], reached: int) -> Any:
    from api.identity.caller import ADMINISTRATOR
    from api.reading.sight import sight_of

    document = parse(query)
    operation = cast("OperationDefinitionNode", get_operation_ast(document))
    moment = partial(_found, parts, reached)
    found = await reader.query(document, operation, given, sight_of(ADMINISTRATOR), moment)
    return msgspec.json.decode(found.data)


async def _found(parts: Parts, reached: int, asked: "Asked") -> "Then":
    from api.reading.moments import Then, named

    moment = named(asked)
    position = moment if isinstance(moment, int) else parts.store.position_at(moment)
    if position is None:
        raise CommandFailed(f"--{asked.argument} lies in the future.", USAGE)
    if position > reached:
        raise CommandFailed(f"--{asked.argument} is entry {position}, and the read models stand at entry {reached}.")
    return Then(position, moment if isinstance(moment, datetime) else None)


def _given(text: str) -> dict[str, str]:
    moment = moment_named(text)
    return {"position": str(moment)} if isinstance(moment, int) else {"time": moment.isoformat()}


def _is_id(text: str) -> bool:
    try:
        return bool(prefix_of(text))
    except NotATypeId:
        return False
