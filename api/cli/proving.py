"""`verify`, `checkpoint` and `prove`: that the book is the one that it was."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from psycopg import Connection

from api.cli.book import FAILED, USAGE, CommandFailed, database
from api.cli.output import note, progress, say, say_json
from infra.log.checkpoint import read
from infra.log.checkpointer import Growth
from infra.log.note import NoteError, Signer, Verifier
from infra.log.proving import entry_proof, last_checkpoint, witness_request
from infra.log.signing_key import own_verifier, signing_key
from infra.log.standing import unlike
from infra.log.store import has_begun, latest
from infra.log.verifying import Fault, Finding, Verdict
from infra.log.verifying import verify as verified
from infra.private_files import is_there
from infra.roles import logins
from infra.settings import Settings

Db = Connection[Any]


def verify(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A file with a checkpoint that was kept elsewhere; may be repeated.", show_default=False),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="A verifier key that is trusted beside the signing key here; may be repeated.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
) -> None:
    """Recompute the log from the entries, and compare it with what was stored and signed.

    Ends with 1 where anything differs, and says what and where. Only a checkpoint that was kept out of reach of whoever
    may have altered the database proves that they did not: docs/auditor/proof.md.

    Examples:

        daybook verify

        daybook verify --checkpoint kept/2026-11-26.txt --json
    """
    with _log() as (settings, book, log):
        own = own_verifier(settings.signing_key_file)
        verifiers = [*map(trusted_key, key or ()), *([] if own is None else [own])]
        elsewhere = [_text(file) for file in checkpoint or ()]
        tables = unlike(log)
        try:
            with progress("Verifying", _entries(book)) as advance:
                verdict = verified(book, log, verifiers, elsewhere, advance)
        except psycopg.OperationalError:
            raise
        except _NOT_AS_OURS as error:
            if not tables:
                raise
            verdict = _stopped(error)
        verdict = verdict._replace(findings=[*tables, *verdict.findings])
    if json:
        say_json({**verdict._asdict(), "findings": [one._asdict() for one in verdict.findings], "holds": verdict.holds})
    else:
        _show(verdict)
    if not verdict.holds:
        raise typer.Exit(FAILED)


def checkpoint(
    since: Annotated[
        Path | None,
        typer.Option(
            help="A former checkpoint: print a proof that this one goes on from it.", show_default=False, metavar="FILE"
        ),
    ] = None,
    key: Annotated[bool, typer.Option("--key", help="Print the key that checkpoints are verified with.")] = False,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make a key, where the signing key is lost.")] = False,
) -> None:
    """Sign what the book holds now, and print the checkpoint, for somebody who keeps it elsewhere.

    Examples:

        daybook checkpoint > kept/$(date -I).txt

        daybook checkpoint --since kept/2026-11-26.txt      (a request to a C2SP witness)

        daybook checkpoint --key
    """
    with _log() as (settings, db, _):
        signer = _signer(settings, db, new_key=new_key)
        if key:
            say(str(signer.verifier))
            return
        former = None if since is None else _checkpoint(since)
        Growth(signer).catch_up(db)
        if latest(db) is None:
            raise CommandFailed("The book has no entries yet.")
        own = signer.verifier
        say((last_checkpoint(db, own)[0] if former is None else witness_request(db, former, own)).removesuffix("\n"))


def prove(
    position: Annotated[int, typer.Argument(min=1, help="The entry's place in the book.")],
) -> None:
    """Prove that an entry stands in the book, to somebody who need not see any other: a C2SP tlog-proof.

    It holds the entry as it is stored: the public part in plain text, the personal part sealed.

    Example:

        daybook prove 17 > entry-17.tlog-proof
    """
    with _log() as (settings, db, _):
        say(entry_proof(db, position, own_verifier(settings.signing_key_file)).removesuffix("\n"))


@contextmanager
def _log() -> Generator[tuple[Settings, Db, Db]]:
    """The settings, and two connections of the role that the log belongs to."""
    with database() as (settings, conninfo):
        login = logins(conninfo).posting
        with psycopg.connect(login, autocommit=True) as one, psycopg.connect(login, autocommit=True) as other:
            for db in (one, other):  # somebody may have set it to where functions lie that give something else
                db.execute("SET search_path = pg_catalog")
            yield settings, one, other


def _signer(settings: Settings, db: Db, *, new_key: bool) -> Signer:
    file = settings.signing_key_file
    if new_key and is_there(file):
        raise CommandFailed(f"There is a key in {file}. Move it away first, and keep it.")
    return signing_key(file, begun=not new_key and has_begun(db))


def trusted_key(text: str) -> Verifier:
    """A verifier key, as `--key` takes it."""
    try:
        return Verifier.read(text)
    except NoteError as error:
        raise CommandFailed(
            f"--key {text} can't be used: {error}. `daybook checkpoint --key` prints one.", USAGE
        ) from None


def _checkpoint(file: Path) -> Any:
    try:
        return read(_text(file))
    except NoteError as error:
        raise CommandFailed(f"{file} holds no checkpoint: {error}.", USAGE) from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"The checkpoint {file} can't be read: {error}.", USAGE) from None


def _entries(db: Db) -> int:
    row = db.execute("SELECT count(*) FROM daybook.events").fetchone()
    return 0 if row is None else int(row[0])


_NOT_AS_OURS = (psycopg.Error, LookupError, TypeError, ValueError)
"""What reading tables raises that are others than ours."""


def _stopped(error: Exception) -> Verdict:
    """Where tables that are others can't be read as ours are."""
    words = f"So the entries can't be compared with what was signed ({type(error).__name__}): mend the tables first."
    return Verdict(0, 0, 0, [Finding(Fault.TABLE, None, words)], 0, 0.0)


def _show(verdict: Verdict) -> None:
    for finding in verdict.findings:
        say(f"! {finding.words}")
    if verdict.more:
        say(f"... and {verdict.more} more.")
    rate = verdict.entries / max(verdict.seconds, 0.001)
    note(f"{verdict.entries} entries in {verdict.seconds:.1f} s, {rate:,.0f} a second.")
    if verdict.holds and verdict.covered:
        say(f"Entries 1 to {verdict.covered} are unaltered, as {_checkpoints(verdict.checkpoints)}.")
    if verdict.holds and verdict.covered < verdict.entries:
        say(f"Entries {verdict.covered + 1} to {verdict.entries} are under no checkpoint yet.")


def _checkpoints(many: int) -> str:
    return "1 checkpoint says" if many == 1 else f"{many} checkpoints say"
