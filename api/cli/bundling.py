"""`bundle`: a customer's history that proves itself, for somebody outside."""

from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import psycopg
import typer

from api.auditing.bundle import Bundle, Bundles, NothingToShow
from api.cli.access import ACTOR
from api.cli.book import FAILED, USAGE, CommandFailed, book
from api.cli.output import note, say, say_json
from api.cli.outputs import check_writable
from api.cli.tracing import MOMENT, check_reached, moment_named
from api.composition import Parts
from api.replay import NobodyCalledThat, record_called
from domain.access import unlimited
from domain.customer import customer as customers
from domain.kernel import type_id
from domain.kernel.recorded import Context
from domain.steps import blocking
from infra.log.checkpoint import read
from infra.log.checkpointer import Growth
from infra.log.note import Verifier
from infra.log.signing_key import signing_key
from infra.log.store import has_begun
from infra.private_files import replace
from infra.settings import read_settings


def bundle(
    customer: Annotated[str, typer.Argument(help="An id such as cus_01h4..., or an external id as SOURCE:ID.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", show_default=False)],
    as_of: Annotated[
        str | None, typer.Option(help=f"{MOMENT} Left out: all that the book holds.", show_default=False)
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            help="Why personal data has to be readable in it, which is recorded. Without a reason it stays sealed.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as one JSON document.")] = False,
) -> None:
    """Write a customer's history into one file that proves itself, to somebody without access to this book.

    It holds the customer's own entries as they are stored, the proof of each, a signed checkpoint, what the events
    mean, and the story in words. With --reason, also the keys that open their personal parts: of these entries only.
    verifier/daybook_verify_bundle.py checks it offline; docs/auditor/bundle.md says what that proves.

    Examples:

        daybook bundle cus_01h455vb4pex5vsknk084sn02q --reason "Audit of 2026, request 17" -o alpenhof.bundle.json

        daybook bundle maven:Cancity --as-of 2026-03-31 -o cancity.bundle.json

        daybook bundle maven:Cancity -o cancity.bundle.json --json | jq .checkpoint.size
    """
    moment = None if as_of is None else moment_named(as_of)
    check_writable(output)
    try:
        with book() as parts:
            record = record_called(parts, customer)
            if record.kind != customers.kind:
                raise CommandFailed(f"{customer} is no customer.", USAGE)
            check_reached(moment, parts.store.max_notification_id() or 0)
            through = _position(parts, moment) if isinstance(moment, datetime) else moment
            if reason is not None:
                _record(parts, record.id, reason)
            own = _signed(parts)
            made = Bundles(parts.pool, parts.store, parts.vault, lambda: own).of(
                record.id, through=through, disclose=reason is not None
            )
            replace(output, made.file)
    except (NobodyCalledThat, NothingToShow) as error:
        raise CommandFailed(str(error), FAILED) from None
    if json:
        say_json(_written(output, record.id, made))
    else:
        say(f"{output}: {made.entries} entries, up to position {made.through}.")
    for why in made.untold:
        note(f"{why} It is proven in the file, and not told.")
    note("Copies of this file outlive an erasure: note who has one.")


def _written(output: Path, id: UUID, made: Bundle) -> dict[str, Any]:
    checkpoint = read(made.checkpoint)
    return {
        "file": str(output),
        "customer": type_id(customers.prefix, id),
        "entries": made.entries,
        "through": made.through,
        "keys": made.keys,
        "untold": [{"position": one.position, "type": one.name} for one in made.untold],
        "checkpoint": {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": b64encode(checkpoint.root).decode(),
        },
    }


def _position(parts: Parts, moment: datetime) -> int:
    """Of the last entry that was recorded by then."""
    position = parts.store.position_at(moment)
    if position is None:
        raise CommandFailed(f"{moment.isoformat()} lies in the future: leave out --as-of.", USAGE)
    return position


def _record(parts: Parts, id: UUID, reason: str) -> None:
    """Enter that personal data is shown, before it is."""
    context = Context(actor=ACTOR, idempotency_key=uuid4(), correlation_id=uuid4())
    raw = {"id": id, "reason": reason}
    blocking(parts.commands.submit(customers, "unmask", raw, context, unlimited(ACTOR)))


def _signed(parts: Parts) -> Verifier:
    """Have a checkpoint over all that the book holds; the key that it is verified with."""
    with psycopg.connect(parts.logins.posting, autocommit=True) as db:
        signer = signing_key(read_settings().signing_key_file, begun=has_begun(db))
        Growth(signer).catch_up(db)
    return signer.verifier
