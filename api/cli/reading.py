"""`replay` and `schema`: what reads."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.auditing.page import page
from api.cli.book import FAILED, CommandFailed, book
from api.cli.output import note, say, say_json
from api.cli.outputs import check_writable
from api.replay import Happening, NobodyCalledThat, called
from api.replay import replay as replayed
from infra.private_files import replace


def replay(
    customer: Annotated[str, typer.Argument(help="An id such as cus_01h4..., or an external id as SOURCE:ID.")],
    everything: Annotated[bool, typer.Option("--all", help="Its deals and tickets too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write it as a page to be filed and printed.", metavar="FILE", show_default=False),
    ] = None,
) -> None:
    """Tell a customer's story: every entry in its order, when it happened, who made it, and what it says.

    Examples:

        daybook replay cus_01h455vb4pex5vsknk084sn02q

        daybook replay maven:Cancity --all

        daybook replay old-crm:4711 --json | jq '.[].words'

        daybook replay maven:Cancity --all --html cancity.html

    Ids of other records (opp_..., tkt_..., ...) are told as well.
    """
    if html is not None:
        check_writable(html)
    try:
        with book() as parts:
            name, happenings = called(parts, customer), list(replayed(parts, customer, everything=everything))
    except NobodyCalledThat as error:
        raise CommandFailed(str(error)) from None
    for one in happenings:
        if not one.read:
            note(one.what)
    if html is not None:
        replace(html, page(name, happenings, made_at=datetime.now(UTC)))
        say(f"{html}: {len(happenings)} entries.")
        note("It holds personal data in plain text. Copies outlive an erasure: note who has one.")
        return
    if json:
        say_json(happenings)
        return
    for one in happenings:
        _tell(one)


def schema(
    check: Annotated[bool, typer.Option("--check", help="Compare schema.graphql here with the code instead.")] = False,
) -> None:
    """Print the GraphQL schema.

    Examples:

        daybook schema > schema.graphql

        daybook schema --check      (ends with 1 where the file and the code differ)
    """
    from api.schema import schema_text  # takes most of a second, which other commands need not wait

    text = schema_text()
    if not check:
        say(text.rstrip())
        return
    file = Path("schema.graphql")
    if not file.exists() or file.read_text("utf-8").rstrip() != text.rstrip():
        note("schema.graphql differs from the code: run `make schema`, and look at what changed.")
        raise typer.Exit(FAILED)


def _tell(one: Happening) -> None:
    who = one.actor if one.on_behalf_of is None else f"{one.actor} for {one.on_behalf_of}"
    later = "" if one.recorded_at.date() == one.occurred_at.date() else f"  recorded {one.recorded_at:%Y-%m-%d}"
    say(f"{one.occurred_at:%Y-%m-%d %H:%M}  {who}  {one.record} version {one.version}{later}")
    say(f"    {one.words}")
    if one.reason is not None:
        say(f"    Reason: {one.reason}")
