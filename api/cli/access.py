"""`access`: letting somebody in, and who came in, from the operator's own machine."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from api.cli.book import CommandFailed, book
from api.cli.output import note, say, say_json
from api.identity.store import access_pool
from domain.kernel import Claim, type_id
from domain.staff_member import staff_member
from infra.contacts import email_address
from infra.reservations import Reservations
from infra.times import tell_times

app = typer.Typer(
    no_args_is_help=True, help="Let staff members in.\n\nExample:\n\n    daybook access reset rosa@example.com"
)

ACTOR = "operator"


@app.command()
def reset(
    email: Annotated[str, typer.Argument(help="The e-mail address of an active staff member.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Make a one-time token with which a staff member sets a password, also the first one. It lasts an hour.

    Examples:

        daybook access reset rosa@example.com

        daybook access reset rosa@example.com --json | jq -r .token
    """
    with book() as parts:
        claim = Claim("staff_email", email_address(email, ("email",)))
        holder = Reservations(parts.pool, parts.vault).holders([claim]).get(claim)
        if holder is None:
            raise CommandFailed("No active staff member has this e-mail address: enter one with `staffMemberRegister`.")
        token, expires_at = asyncio.run(_issued(parts.logins.admitting, holder))
    if json:
        say_json({"token": token, "expiresAt": expires_at})
        return
    note(f"Good once, until {expires_at:%Y-%m-%d %H:%M:%S %Z}, for the mutation `passwordReset`; then `signIn`:")
    say(token)


@app.command()
def journal(
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many entries, at most.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Print who signed in, signed somebody out, changed or reset whose password, and when: the latest entry last.

    Examples:

        daybook access journal --last 20

        daybook access journal --json | jq '.[] | select(.what == "signed in")'
    """
    with book() as parts, psycopg.connect(parts.logins.admitting) as db:
        tell_times(db)
        rows = db.execute(_JOURNAL, (last,)).fetchall()
    entries = [
        {"at": at, "actor": actor, "what": what, "staffMember": type_id(staff_member.prefix, of)}
        for at, actor, what, of in reversed(rows)
    ]
    if json:
        say_json(entries)
        return
    for entry in entries:
        say(f"{entry['at']:%Y-%m-%d %H:%M:%S %Z}  {entry['what']:<21}  {entry['staffMember']}  by {entry['actor']}")


@app.command()
def roles() -> None:
    """Print the role matrix as Markdown: what the roles of a new book may do, and what takes what.

    Examples:

        daybook access roles
    """
    from api.role_matrix import role_matrix  # brings GraphQL, as the next one does: other commands need not wait for it

    say(role_matrix().rstrip())


async def _issued(conninfo: str, holder: UUID) -> tuple[str, datetime]:
    from api.identity.accounts import issue_reset

    async with access_pool(conninfo, size=1) as pool:
        return await issue_reset(pool, holder, ACTOR)


_JOURNAL = "SELECT at, actor, what, staff_member FROM daybook_access.journal ORDER BY id DESC LIMIT %s"
