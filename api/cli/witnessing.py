"""`witness`: for somebody who keeps checkpoints of a book elsewhere. It needs no book, no database and no settings."""

import sys
from pathlib import Path
from time import time
from typing import Annotated

import typer

from api.cli.book import USAGE, CommandFailed
from api.cli.output import note, say
from api.cli.proving import trusted_key
from infra.log.note import NoteError
from infra.log.witness import MOST_BYTES, Request, opened


def witness(
    keep: Annotated[
        Path,
        typer.Option(
            help="The witness's own directory: its key, the log's, and the newest checkpoint.",
            show_default=False,
            metavar="DIR",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(help="What to cosign; standard input, where no file is named.", show_default=False),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="The log's verifier key, as `daybook checkpoint --key` prints it; needed the first time only.",
            show_default=False,
        ),
    ] = None,
    own_key: Annotated[
        bool, typer.Option("--own-key", help="Print the key that this witness's cosignatures are verified with.")
    ] = False,
) -> None:
    """Cosign a checkpoint that goes on from the one kept here, keep it, and print it.

    Run it where the operators of the book can't reach. It takes a checkpoint the first time, and afterwards what they
    print with `daybook checkpoint --since` the last one. Ends with 1 where it is not cosigned, and says why: signed by
    another key, of another log, smaller, or not shown to go on from what is kept.

    Examples:

        daybook witness --keep witness --key "$(cat key.txt)" first.txt

        daybook witness --keep witness < request.txt > cosigned.txt

        daybook witness --keep witness --own-key
    """
    if own_key:
        with opened(keep) as one:
            say(one.verifier)
        return
    request = _request(file)
    given = None if key is None else trusted_key(key)
    with opened(keep) as one:
        log = given or one.log
        if log is None:
            raise CommandFailed("The log's key is not known here yet: give it with --key.", USAGE)
        cosigned = one.cosigned(request, log, int(time()))
    say(cosigned.removesuffix("\n"))
    note(f"Cosigned: {request.asked.size} entries of {log.name}.")


def _request(file: Path | None) -> Request:
    name = "Standard input" if file is None else f"The file {file}"
    try:
        if file is None:
            read = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with file.open("rb") as opened_file:
                read = opened_file.read(MOST_BYTES + 1)
        if len(read) > MOST_BYTES:
            raise CommandFailed(f"{name} holds more than any request: over {MOST_BYTES >> 10} KiB.", USAGE)
        return Request.read(read.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{name} can't be read: {error}.", USAGE) from None
    except NoteError as error:
        raise CommandFailed(
            f"{name} holds neither a request nor a checkpoint: {error}."
            " `daybook checkpoint`, with or without --since, prints one.",
            USAGE,
        ) from None
