"""The `daybook` command: results go to standard output, all else to standard error; whatever can be expected to fail
is told in one clear sentence, with an exit code."""

import signal
import sys
import threading
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

import typer

from api.cli import (
    access,
    attesting,
    bundling,
    erasing,
    exporting,
    filling,
    keeping,
    proving,
    reading,
    rotating,
    serving,
    tracing,
    waterfalls,
    witnessing,
)
from api.cli.book import EXIT_CODES, told

app = typer.Typer(
    name="daybook",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Daybook, a customer management system whose history can be replayed, asked and proved.\n\n"
    "Settings come from the environment: DAYBOOK_DATA (default .daybook), DATABASE_URL (none: a PostgreSQL of our own"
    " in DAYBOOK_DATA), DAYBOOK_HOST, DAYBOOK_PORT, DAYBOOK_ENV, DAYBOOK_MASTER_KEY_FILE, DAYBOOK_SIGNING_KEY_FILE,"
    " DAYBOOK_ERASURE_LEDGER, DAYBOOK_ERASURE_DAYS, DAYBOOK_ONE_KEY_FILE, DAYBOOK_ADMIN_TOKEN, DAYBOOK_ADMIN_EMAIL,"
    " DAYBOOK_ALLOWED_HOSTS, DAYBOOK_OIDC_ISSUER, DAYBOOK_OIDC_AUDIENCE, DAYBOOK_PROXIES, DAYBOOK_DOCUMENTS,"
    " DAYBOOK_TRUSTED_ONLY, DAYBOOK_COST_PER_SECOND, DAYBOOK_CONNECTIONS_PER_ACTOR, DAYBOOK_SUBSCRIPTIONS_PER_ACTOR,"
    " DAYBOOK_ATTESTED_PER_SECOND, DAYBOOK_CORS_ORIGINS and DAYBOOK_ACCESS_LOG.",
    epilog=EXIT_CODES,
)

SERVE, KEEP, FILL, READ, PROVE = "Serving", "Keeping", "Filling", "Reading", "Proving"

app.command(rich_help_panel=SERVE)(serving.serve)
app.command(rich_help_panel=SERVE)(serving.work)
app.command(rich_help_panel=KEEP)(keeping.migrate)
app.command(rich_help_panel=KEEP)(keeping.status)
app.command(rich_help_panel=KEEP)(keeping.rebuild)
app.command(rich_help_panel=KEEP)(keeping.retry)
app.command(rich_help_panel=KEEP)(attesting.attest)
app.add_typer(access.app, name="access", rich_help_panel=KEEP)
app.add_typer(rotating.app, name="rotate", rich_help_panel=KEEP)
app.add_typer(erasing.app, name="erasure", rich_help_panel=KEEP)
app.command("import", rich_help_panel=FILL)(filling.import_rows)
app.command(rich_help_panel=FILL)(filling.demo)
app.command(rich_help_panel=READ)(reading.replay)
app.command(rich_help_panel=READ)(tracing.diff)
app.command(rich_help_panel=READ)(tracing.why)
app.command(rich_help_panel=READ)(waterfalls.waterfall)
app.command("export-personal", rich_help_panel=READ)(exporting.export_personal)
app.command(rich_help_panel=READ)(reading.schema)
app.command(rich_help_panel=PROVE)(proving.verify)
app.command(rich_help_panel=PROVE)(proving.checkpoint)
app.command(rich_help_panel=PROVE)(proving.prove)
app.command(rich_help_panel=PROVE)(bundling.bundle)
app.command(rich_help_panel=PROVE)(witnessing.witness)


def main() -> None:
    """Run the command that the process was started with."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # letters that a terminal lacks are no reason to fail
            stream.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():  # no other hears signals
        signal.signal(signal.SIGTERM, _unwind)
    try:
        app()
    except Exception as error:  # noqa: BLE001 - what is unexpected is raised again
        sys.exit(told(error))


def _unwind(_signal: int, _frame: FrameType | None) -> NoReturn:
    # An embedded PostgreSQL is stopped on the way, which a second signal may not cut short. Not SIG_IGN: the programs
    # that stop it would inherit that. `serve` and `work` have handlers of their own.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
