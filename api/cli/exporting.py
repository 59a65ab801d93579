"""`export-personal`: all that the book holds about one person, for that person."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from api.cli.book import CommandFailed, book
from api.cli.output import note
from api.cli.outputs import check_writable
from api.composition import Parts
from api.personal_data import personal_data
from api.replay import NobodyCalledThat, record_called
from domain.access import unlimited
from domain.customer import customer as decider
from domain.kernel import new_id
from domain.kernel.recorded import Context
from domain.steps import blocking
from infra.private_files import begin

ACTOR = "operator"


def export_personal(
    customer: Annotated[str, typer.Argument(help="An id such as cus_01h4..., or an external id as SOURCE:ID.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; it must not be there yet.")],
    reason: Annotated[str, typer.Option(help="Why: who asked, and where that is written down. It stands in the book.")],
) -> None:
    """Write all personal data that the book holds about a customer into one JSON file, for the person who asks.

    That a copy was made, when and why, is entered into the customer's history before. Read the file before you hand it
    over: texts of the person may speak of others.

    Example:

        daybook export-personal cus_01h455vb4pex5vsknk084sn02q -o copy.json --reason "Her letter of 2 March"
    """
    check_writable(output, anew=True)
    with book() as parts:
        try:
            record = record_called(parts, customer)
        except NobodyCalledThat as error:
            raise CommandFailed(str(error)) from None
        if record.kind != decider.kind:
            raise CommandFailed(f"{customer} is no customer.")
        _enter(parts, record.id, reason)
        data = personal_data(parts.pool, parts.mapper, parts.daybook, record.id)
    begin(output, msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")
    note(f"{output} holds {len(data.entries)} entries of {customer}. Hand it over in a safe way, then remove it.")


def _enter(parts: Parts, customer: UUID, reason: str) -> None:
    key = new_id()
    context = Context(actor=ACTOR, idempotency_key=key, correlation_id=key)
    given = {"id": customer, "reason": reason}
    blocking(parts.commands.submit(decider, "exportPersonalData", given, context, unlimited(ACTOR)))
