"""`waterfall`: how the open deals of a pipeline became others between two moments."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from api.cli.book import USAGE, CommandFailed, book
from api.cli.output import say, say_json
from api.cli.tracing import MOMENT, moment_named

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
    from api.cli.figures import figures  # the schema takes most of a second, which other commands need not wait

    moments = {"from": _given(since), "to": None if until is None else _given(until)}
    if occurred and any("position" in moment for moment in moments.values() if moment):
        raise CommandFailed("Things occur at a time: with --occurred, --from and --to are times.", USAGE)
    given = {**moments, "basis": "OCCURRED" if occurred else "RECORDED"}
    with book() as parts:
        found = asyncio.run(figures(parts, pipeline, given, STEPS))
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


def _given(text: str) -> dict[str, str]:
    moment = moment_named(text)
    return {"position": str(moment)} if isinstance(moment, int) else {"time": moment.isoformat()}
