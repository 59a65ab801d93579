"""`migrate`, `status`, `rebuild` and `retry`: what an operator does with the database and the read models."""

from typing import Annotated

import psycopg
import typer
from msgspec.structs import replace

from api.cli.book import FAILED, CommandFailed, book, database, rebuild_model, rebuild_outdated
from api.cli.book import migrate as migrated
from api.cli.erasing import due_by_hand
from api.cli.output import note, say, say_json
from infra.database import connect_info
from infra.roles import logins
from infra.settings import read_settings
from infra.times import tell_times
from projections.registry import models
from projections.retry import retry as retried
from projections.status import Attested, Status
from projections.status import status as read_status

_UNDIVIDED = (
    "The rights in this database are not divided: the role of DATABASE_URL may not make the roles that they are divided"
    " among, or these can't log in. Daybook works, with one role for everything; where they were divided before, it"
    " does not start. To divide them, have an administrator of this PostgreSQL run what follows, then run"
    " `daybook migrate` again and restart Daybook."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]


def migrate() -> None:
    """Bring the database to this version of Daybook: new tables of the book, read models as this version has them.

    Safe to run at any time; the second time it does nothing. A read model that has changed is built anew beside the old
    one, which serves until the new one is complete.

    Example:

        DATABASE_URL=postgresql://daybook@db/daybook daybook migrate
    """
    settings = read_settings()
    with connect_info(settings, note) as conninfo:
        done = migrated(conninfo)
        say(f"Applied {', '.join(done.applied)}." if done.applied else "Nothing to apply.")
        if done.wanting:
            note(_UNDIVIDED + "".join(f"\n  {statement};" for statement in done.wanting))
        rebuild_outdated(settings, conninfo, done.outdated)
    for name in done.outdated:
        say(f"The read model {name} was of another version; it stands anew.")


def status(json: Json = False) -> None:
    """Say how far the read models are, who keeps them up to date, and what stands still.

    Ends with 1 where something is not as it should be, so that a script can watch it.

    Examples:

        daybook status

        daybook status --json | jq .problems
    """
    with database() as (settings, conninfo), psycopg.connect(logins(conninfo).sealing, autocommit=True) as db:
        tell_times(db)
        now, by_hand = read_status(db, models), due_by_hand(settings, db)
    if by_hand is not None:
        now = replace(now, alarms=(*now.alarms, by_hand))
    if json:
        say_json(now)
    else:
        _show(now)
    if not now.ready or now.parked or now.alarms:
        raise typer.Exit(FAILED)


def rebuild(
    name: Annotated[str, typer.Argument(help=f"The read model: {', '.join(model.name for model in models)}.")],
) -> None:
    """Build a read model anew from the first entry of the book. The old rows serve until the new ones are complete.

    Example:

        daybook rebuild customers
    """
    model = next((model for model in models if model.name == name), None)
    if model is None:
        raise CommandFailed(
            f"There is no read model {name!r}. There are: {', '.join(model.name for model in models)}.", 2
        )
    with book() as parts:
        at = rebuild_model(parts, model)
    say(f"{name} stands anew at entry {at}.")


def retry(json: Json = False) -> None:
    """Try again what the read models could not post, with the code of today.

    An entry that can't be posted stops its own record in that read model and nothing else; `daybook status` lists them.

    Example:

        daybook retry
    """
    with book() as parts:
        lanes = retried(parts.logins.posting, parts.mapper, models)
    stuck = [lane for lane in lanes if lane.error is not None]
    if json:
        say_json(lanes)
    else:
        for lane in stuck:
            say(f"{lane.model} {lane.aggregate_id}: still stopped by {lane.error}")
        say(f"{len(lanes) - len(stuck)} of {len(lanes)} go on." if lanes else "Nothing stands still.")
    if stuck:
        raise typer.Exit(FAILED)


def _show(now: Status) -> None:
    say(f"The book holds {now.head} entries; every read model has reached {now.position}.")
    say(f"Leader: {now.leader}" if now.leader else "Leader: nobody")
    say(_attested(now.attested))
    say("")
    say(f"{'read model':<16}{'position':>10}{'behind':>8}{'parked':>8}{'differ':>8}  last moved")
    for model in now.models:
        moved = f"{model.moved_at:%Y-%m-%d %H:%M:%S}"
        say(f"{model.name:<16}{model.position:>10}{model.lag:>8}{model.parked:>8}{model.mismatched:>8}  {moved}")
    for lane in now.parked_lanes:
        say(f"Parked: {lane.model} {lane.aggregate_id} at entry {lane.position} ({lane.event}): {lane.error}")
    if now.parked > len(now.parked_lanes):
        say(f"... and {now.parked - len(now.parked_lanes)} more.")
    for one in now.mismatched_records:
        say(f"Differs: {one.model} {one.record} at entry {one.position}: {one.what}")
    if now.mismatched > len(now.mismatched_records):
        say(f"... and {now.mismatched - len(now.mismatched_records)} more.")
    for problem in (*now.problems, *now.alarms):
        say(f"! {problem}")


def _attested(so_far: Attested) -> str:
    if so_far.looked_at is None:
        return "Compared with the book: nothing yet"
    last = f"Compared with the book: {so_far.records} records, last at {so_far.looked_at:%Y-%m-%d %H:%M:%S}"
    return last if so_far.passed_at is None else f"{last}, all of them by {so_far.passed_at:%Y-%m-%d %H:%M:%S}"
