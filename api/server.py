"""The server: the lifespan that builds every part and closes it in order. Nothing is built at import."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from api.access_log import AccessLog, opened_access_log
from api.auditing.bundle import Bundles
from api.auditing.bundler import Bundler
from api.authentication import Doorkeeper
from api.checkpoints import Checkpoints
from api.composition import Parts, assembled
from api.directory import Directory
from api.documents import Policy
from api.execution import Engine
from api.feed import Feed
from api.graphiql import asset
from api.health import Health
from api.http import Endpoint
from api.identity.accounts import Accounts
from api.identity.presences import Presences
from api.identity.provider import Provider
from api.identity.sessions import Sessions
from api.identity.store import access_pool
from api.identity.upkeep import Upkeep
from api.identity.uses import TokenUses
from api.identity.ways import Ways
from api.live import Live
from api.origins import cross_origin
from api.personal_data import personal_data
from api.reading.reader import Reader, read_pool
from api.schema import the_schema
from api.serving import Serving
from api.throttling import Allowance, Places
from api.times import Times
from api.tracing.teller import Teller
from infra.erasure.carrying_out import carrying_out
from infra.log.checkpointer import checkpointing
from infra.log.signing_key import own_verifier
from projections.attesting import attesting
from projections.progress import Progress
from projections.registry import models
from projections.runner import ProjectionRunner
from projections.status import Status, status

T = TypeVar("T")

LOOPBACK = ("localhost", "127.0.0.1", "::1")

LOOKS = 64
"""Looks at the book that commands take at once, each in a thread of its own."""
MOST_MESSAGE_BYTES = 256 * 1024
"""Of a message over WebSocket, for uvicorn's `ws_max_size`."""


def create_app(
    conninfo: str,
    *,
    master_key_file: Path,
    signing_key_file: Path,
    admin_token: str,
    hosts: Sequence[str] = (),
    projections: bool = True,
    patience: float = 10.0,
    policy: Policy = Policy(),  # noqa: B008  # frozen
    allowance: Allowance = Allowance(),  # noqa: B008  # frozen
    origins: Sequence[str] = (),
    log_access: bool = False,
    oidc: tuple[str, str] | None = None,
    attested_per_second: int = 0,
    erasure_ledger: Path | None = None,
) -> "Application":
    """The application on a migrated database whose read models are installed.

    `hosts`: names that a request may be addressed to, beside the loopback ones. `projections`: whether this process
    takes part in posting to the read models, in the log and in erasures. `patience`: seconds that a request waits for
    the former. `policy`: which documents it takes. `allowance`: what each actor may take of this process. `origins`:
    whose pages may call it from a browser. `log_access`: whether each request leaves a line on standard error. `oidc`:
    issuer and audience of the identity provider's tokens. `erasure_ledger`: by default it lies beside the master key.
    """

    @asynccontextmanager
    async def lifespan(app: "Application") -> AsyncGenerator[None]:
        own = partial(own_verifier, signing_key_file)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(LOOKS, thread_name_prefix="look"))
        async with (
            opened_access_log(wanted=log_access),
            _in_threads(assembled(conninfo, master_key_file, erasure_ledger=erasure_ledger)) as parts,
            Progress(parts.logins.reading, models) as progress,
            _in_threads(_posting(parts, progress, signing_key_file, attested_per_second, wanted=projections)),
            read_pool(parts.logins.reading) as lines,
            read_pool(parts.logins.reading, size=1) as own_line,
            Directory(own_line, progress) as directory,
            Feed(progress, parts.store, lambda: parts.daybook.forgotten) as feed,
            Checkpoints(progress, parts.pool, feed.readers, own) as checkpoints,
            access_pool(parts.logins.admitting) as access,
            _provider(oidc) as provider,
        ):
            parts.forgetting.also(feed.forget)
            schema = the_schema()
            sessions, uses = Sessions(access), TokenUses(access)
            bundles = Bundles(parts.pool, parts.store, parts.vault, own)
            serving = Serving(
                commands=parts.commands,
                reader=Reader(
                    lines,
                    schema,
                    hide_suggestions=policy.production,
                    tell=Teller(schema, parts.store, parts.mapper, progress, feed.readers),
                    prove=Bundler(bundles, parts.store, progress, feed.readers),
                ),
                progress=progress,
                directory=directory,
                feed=feed,
                checkpoints=checkpoints,
                bundles=bundles,
                store=parts.store,
                times=Times(parts.store, progress, feed.readers),
                mapper=parts.mapper,
                personal_data=partial(personal_data, parts.pool, parts.mapper, parts.daybook),
                accounts=Accounts(access, directory, sessions),
                access=access,
                readers=feed.readers,
                patience=patience,
            )
            engine = Engine(schema, serving.reader, policy, allowance)
            ways = Ways(admin_token, directory, sessions, uses, provider)
            async with Presences(directory, sessions) as presences, Upkeep(access, directory, uses):
                endpoint = Endpoint(engine, serving, ways, presences, page=policy.page)
                app.lead_straight("/graphql", endpoint)
                app.router.routes[:] = _routes(
                    endpoint,
                    Live(schema, engine, serving, ways, presences, Places(allowance.connections), origins),
                    Health(lambda: _status(parts)),
                    page=policy.page,
                )
                yield
                await engine.finished()

    doors = [
        *((Middleware(AccessLog),) if log_access else ()),
        Middleware(Doorkeeper, hosts=(*LOOPBACK, *hosts)),
        *cross_origin(origins),
    ]
    return Application(doors, lifespan)


class Application(Starlette):
    """Leads HTTP requests for a path that is known here through the doors to its endpoint, past all else of Starlette.

    Its routes, and its care for exceptions, which the endpoint has none of, take a fifth of a small query's time.
    """

    def __init__(self, doors: Sequence[Middleware], lifespan: Lifespan["Application"]) -> None:
        super().__init__(middleware=doors, lifespan=lifespan)
        self._doors, self._straight = doors, dict[str, ASGIApp]()

    def lead_straight(self, path: str, endpoint: ASGIApp) -> None:
        """Lead what is asked at this path to an endpoint."""
        for door in reversed(self._doors):
            endpoint = door.cls(endpoint, *door.args, **door.kwargs)
        self._straight[path] = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._straight.get(scope["path"]) if scope["type"] == "http" else None
        await (endpoint or super().__call__)(scope, receive, send)


def _routes(endpoint: Endpoint, live: Live, health: Health, *, page: bool) -> list[BaseRoute]:
    return [
        Route("/graphql", endpoint),
        WebSocketRoute("/graphql", live),
        *([Route("/graphql/assets/{name}", asset)] if page else []),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
        Route("/metrics", health.metrics),
    ]


@asynccontextmanager
async def _provider(oidc: tuple[str, str] | None) -> AsyncGenerator[Provider | None]:
    """The company's identity provider, where there is one."""
    if oidc is None:
        yield None
        return
    provider = Provider(*oidc)
    try:
        yield provider
    finally:
        await provider.aclose()


@contextmanager
def _posting(
    parts: Parts, progress: Progress, signing_key_file: Path, attested_per_second: int, *, wanted: bool
) -> Generator[None]:
    """A runner of the projections in this process, where one is wanted; at the end it posts what the book holds.

    Beside it the log grows, and erasures are carried out.
    """
    if not wanted:
        yield
        return
    runner = ProjectionRunner(parts.logins.posting, parts.mapper, models, announcer=parts.announcer, progress=progress)
    with checkpointing(parts.logins.posting, signing_key_file), carrying_out(parts.erasures):
        runner.start()
        try:
            with attesting(parts.logins.posting, parts.mapper, models, lambda: runner.leads, attested_per_second):
                yield
        finally:
            runner.stop()


@asynccontextmanager
async def _in_threads(manager: AbstractContextManager[T]) -> AsyncGenerator[T]:
    """A context whose beginning and end wait for the database, kept off the event loop."""
    value = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        yield value
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(manager.__exit__, None, None, None)


def _status(parts: Parts) -> Status:
    with parts.pool.connection(timeout=2.0) as db:
        return status(db, models)
