"""`serve` and `work`: the processes that keep running."""

import errno
import os
import shlex
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import psycopg
import typer

from api.cli.book import OUT_OF_REACH, USAGE, CommandFailed, Conninfo, awaited, database
from api.cli.erasing import finishing
from api.cli.output import note, say
from api.composition import assembled
from api.departure import cut_stalled
from api.discretion import log_discreetly
from infra.erasure.carrying_out import carrying_out
from infra.log.checkpointer import checkpointing
from infra.log.signing_key import signing_key
from infra.log.store import has_begun
from infra.settings import Settings, admin_token
from projections.attesting import attesting
from projections.registry import models
from projections.runner import ProjectionRunner

if TYPE_CHECKING:
    from api.documents import Policy


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="DAYBOOK_HOST or 127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; 0: any.", show_default="DAYBOOK_PORT or 8000"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes answer requests.")] = 1,
    projections: Annotated[
        bool, typer.Option("--projections/--no-projections", help="Post to the read models in this process too.")
    ] = True,
    documents: Annotated[
        list[Path] | None,
        typer.Option(help="A manifest of trusted documents; may be repeated.", show_default="DAYBOOK_DOCUMENTS"),
    ] = None,
    trusted_only: Annotated[
        bool | None,
        typer.Option(
            "--trusted-only", help="Run trusted documents and no others.", show_default="DAYBOOK_TRUSTED_ONLY"
        ),
    ] = None,
) -> None:
    """Serve the book over GraphQL, and keep its read models up to date.

    Examples:

        daybook serve

        DAYBOOK_PORT=9000 daybook serve --workers 4

        daybook serve --no-projections      (and `daybook work` elsewhere)

        daybook serve --documents persisted-documents.json --trusted-only

    SIGTERM or Ctrl-C stops it: requests under way are answered first.
    """
    # The server takes most of a second, which other commands need not wait.
    from api.processes import answer
    from api.server import create_app
    from api.throttling import Allowance

    signal.signal(signal.SIGTERM, _leave)
    with (
        database(begin=True) as (settings, conninfo),
        _listening(host or settings.host, _port(port, settings)) as listener,
        finishing(settings, conninfo) if projections else nullcontext(),
    ):
        log_discreetly()
        _require_keys(settings, conninfo, projections=projections)
        application = partial(
            create_app,
            conninfo,
            master_key_file=settings.master_key_file,
            signing_key_file=settings.signing_key_file,
            admin_token=admin_token(settings),
            hosts=(host or settings.host, *settings.allowed_hosts),
            projections=projections,
            policy=_policy(settings, documents, trusted_only),
            allowance=Allowance(
                cost_per_second=settings.cost_per_second,
                connections=settings.connections_per_actor,
                subscriptions=settings.subscriptions_per_actor,
            ),
            origins=settings.cors_origins,
            log_access=settings.access_log,
            oidc=_oidc(settings),
            attested_per_second=settings.attested_per_second,
            erasure_ledger=settings.erasure_ledger,
        )
        welcome = _welcome(listener, settings, awaited(settings, conninfo))
        if not answer(application, listener, settings.proxies, workers, partial(say, welcome)):
            raise CommandFailed("The server did not start; the reason stands above.", OUT_OF_REACH)


def _require_keys(settings: Settings, conninfo: Conninfo, *, projections: bool) -> None:
    """Raises MasterKeyError or SigningKeyError here, where it is told in a sentence: what a worker lacks, it tells in a
    traceback."""
    with assembled(conninfo, settings.master_key_file):
        pass
    if projections:
        with psycopg.connect(conninfo, autocommit=True) as db:
            signing_key(settings.signing_key_file, begun=has_begun(db))


def _policy(settings: Settings, documents: Sequence[Path] | None, trusted_only: bool | None) -> "Policy":
    """Which documents are taken. Raises CommandFailed where a manifest can't be used."""
    from api.documents import Documents, Policy
    from api.schema import the_schema
    from api.trusted import ManifestError, read_manifests

    files = documents or settings.documents
    only = settings.trusted_only if trusted_only is None else trusted_only
    if only and not files:
        raise CommandFailed(
            "--trusted-only needs the manifest that it trusts: --documents or DAYBOOK_DOCUMENTS.", USAGE
        )
    try:
        policy = Policy(
            production=settings.environment == "production", trusted=read_manifests(files), trusted_only=only
        )
        if files:
            Documents(the_schema()._schema, policy)  # pyright: ignore[reportPrivateUsage]
    except ManifestError as error:
        raise CommandFailed(str(error), USAGE) from None
    return policy


def work() -> None:
    """Keep the read models and the log up to date, carry out erasures, and do nothing else.

    Any number may run: one leads, others stand by.

    Example:

        daybook work        (beside `daybook serve --no-projections`)

    SIGTERM or Ctrl-C stops it: what the book holds is posted first.
    """
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda _signal, _frame: stop.set())
    log_discreetly()
    with (
        database(begin=True) as (settings, conninfo),
        assembled(conninfo, settings.master_key_file, erasure_ledger=settings.erasure_ledger) as parts,
        checkpointing(parts.logins.posting, settings.signing_key_file),
        carrying_out(parts.erasures),
        finishing(settings, conninfo),
    ):
        runner = ProjectionRunner(parts.logins.posting, parts.mapper, models)
        runner.start()
        note("Posting to the read models. Ctrl-C stops it; `daybook status` says how far it is.")
        per_second = settings.attested_per_second
        try:
            with attesting(parts.logins.posting, parts.mapper, models, lambda: runner.leads, per_second):
                while runner.running and not stop.wait(1.0):
                    pass
        finally:
            runner.stop()
        if not stop.is_set():
            raise CommandFailed("The projections stopped; the reason stands above.")


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    # uvicorn has drained and raises the signal again; what encloses us is then closed in order.
    raise typer.Exit(0)


def _oidc(settings: Settings) -> tuple[str, str] | None:
    """Issuer and audience of the identity provider's tokens, where there is one."""
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return settings.oidc_issuer, settings.oidc_audience


def _port(given: int | None, settings: Settings) -> int:
    return settings.port if given is None else given


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        other = "port with --port or DAYBOOK_PORT" if taken else "address of this machine with --host or DAYBOOK_HOST"
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else "no address is known for this name"  # else it is the resolver's
        raise CommandFailed(
            f"Nothing can listen on {host} port {port}: {why}. Choose another {other}.", OUT_OF_REACH
        ) from None
    cut_stalled(listener)
    listener.set_inheritable(True)
    return listener


def _welcome(listener: socket.socket, settings: Settings, administrator: str | None) -> str:
    host, port, *_ = listener.getsockname()
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    place = f"http://{shown}:{port}"
    if settings.given_admin_token is None:
        file = _short(settings.data / "admin-token")
        token, header = f"stands in {file}", f'"Authorization: Bearer $(cat {shlex.quote(str(file))})"'
    else:
        token, header = "is what DAYBOOK_ADMIN_TOKEN is set to", '"Authorization: Bearer $DAYBOOK_ADMIN_TOKEN"'
    query = '{"query": "{ customers(first: 3) { nodes { id name } } }"}'
    lines: Sequence[str] = (
        "",
        f"Daybook is open at {place}/graphql",
        *_signing_in(settings, administrator),
        f"  The operator's token, which opens everything, {token}.",
        "  A first query from a shell:",
        "",
        f"    curl -s {place}/graphql -H 'Content-Type: application/json' \\",
        f"      -H {header} \\",
        f"      -d '{query}'",
        "",
    )
    return "\n".join(lines)


def _signing_in(settings: Settings, administrator: str | None) -> Sequence[str]:
    if administrator is None:
        return ()
    provided = "" if settings.oidc_issuer is None else " comes in with the identity provider's token, or"
    return (
        f"  The administrator, {administrator},{provided} signs in with a password.",
        "  There is none yet; a one-time token to set it with is made by:",
        "",
        f"    daybook access reset {shlex.quote(administrator)}",
        "",
    )


def _short(file: Path) -> Path:
    """The path as one would type it from here."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
