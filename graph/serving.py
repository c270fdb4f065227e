"""Putting the server together: settings, database, viewers, application."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType

import strawberry
import structlog
import typer
from starlette.applications import Starlette

from documents import raw
from documents.database import Client, is_reachable
from graph.app import Application, create_app
from graph.beside import ingesting
from graph.context import MakeContext
from graph.logs import configure_logs
from graph.objects import object_routes
from graph.reports import report_routes
from graph.schema import schema
from graph.server import run
from graph.settings import Settings, SettingsError
from graph.starting import bucket_opened, check_bucket, check_database, connected, database_url
from graph.storage_events import storage_event_routes
from resolvers.authentication import Authenticator
from resolvers.sweeping import sweeping
from resolvers.tokens import new_secret

OPERATION_WITHIN = 10.0
"""Seconds that one operation on the database may take while serving, so that no client waits for a silent one."""
COMPILE = "Install a C compiler and Python's headers, then provenance-graph again."

log = structlog.stdlib.get_logger("graph.serving")
Prepare = Callable[[], Awaitable[None]]
"""What is to be done once the database is open, before the first request."""


def serve(
    settings: Settings,
    prepare: Prepare | None = None,
    processes: int = 1,
    *,
    schema: strawberry.Schema = schema,
    demo: bool = False,
) -> bool:
    """Serve until told to stop. A demo and an embedded database come with a fresh admin token, unless one is set.

    Answers whether the server ended because it was told to. Raises SettingsError, EmbeddedError, and PyMongoError when
    the database cannot be used.
    """
    configure_logs(settings)
    given = settings.admin_token.get_secret_value() if settings.admin_token else None
    fresh = new_secret() if given is None and (demo or settings.embedded) else None
    interrupt = _Interrupt()
    with database_url(settings, _say) as url:
        asyncio.run(check_database(url))
        asyncio.run(check_bucket(settings))
        asyncio.run(_prepared(settings, url, prepare))
        interrupt.check()

        def app() -> Application:
            return make_app(settings, url, given or fresh, schema)

        with ingesting(settings, url, quiet=demo) as workers:
            announce = partial(_announce, settings, token=fresh)
            return run(app, settings, processes=processes, started=announce, stopping=workers.stop)


class _Interrupt:
    """Ctrl-C while the server starts, which counts also where it met code that lets no exception through."""

    def __init__(self) -> None:
        self._told = False
        signal.signal(signal.SIGINT, self._tell)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was raised before, and is lost."""
        if self._told:
            raise KeyboardInterrupt


async def _prepared(settings: Settings, url: str, prepare: Prepare | None) -> None:
    """Make ready what the server's processes and the workers beside it have in common."""
    # In production indexes are made by `provenance-graph migrate`, not at every start of an instance.
    if settings.production:
        return
    async with bucket_opened(settings), connected(url, settings.database_name, indexes=True):
        if prepare:
            await prepare()


def make_app(settings: Settings, url: str, admin_token: str | None, schema: strawberry.Schema = schema) -> Application:
    """The application on the database at `url`, which it opens when it starts and closes when it stops."""
    clients: list[Client] = []
    authenticator = Authenticator(
        admin_token=admin_token, oidc_issuer=settings.oidc_issuer, oidc_audience=settings.oidc_audience
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with (
            bucket_opened(settings),
            connected(url, settings.database_name, indexes=False, seconds=OPERATION_WITHIN) as client,
        ):
            clients.append(client)
            async with sweeping():
                yield

    async def ready() -> bool:
        return bool(clients) and await is_reachable(clients[-1], seconds=0.8)

    make_context = MakeContext(authenticator, settings.objects, settings.anonymous_objects)
    app = create_app(
        schema=schema,
        settings=settings,
        make_context=make_context,
        ready=ready,
        lifespan=lifespan,
        extra_routes=[*storage_event_routes(settings), *object_routes(), *report_routes()],
    )
    return app


def serve_demo(settings: Settings) -> bool:
    """Serve with sample data, which is stored once. Raises SettingsError in production, as `serve` does otherwise."""
    from resolvers.sample import store_sample

    if settings.production:
        raise SettingsError("demo stores sample data, so it does not run with PROVENANCE_ENV=production.")

    async def prepare() -> None:
        await store_sample(_say)

    return serve(settings, prepare, demo=True)


def _announce(settings: Settings, address: str, token: str | None) -> None:
    """Tell whoever started the server where it is. The token stands behind a #, so that it reaches no log."""
    if not raw.COMPILED:
        log.warning("big answers take twice as long: what writes them was not compiled", remedy=COMPILE)
    if settings.production:
        log.info("serving", address=address)
        return
    page = f"{address}/#token={token}" if token else address
    lines = [f"GraphiQL     {page}", f"GraphQL      {address}/graphql"]
    if token:
        lines.append(f"Admin token  {token} (good until the server stops)")
    if settings.embedded:
        lines.append(f"Data         {settings.data_dir} (delete it to begin anew)")
    _say("\n".join(["", "provenance-graph is serving.", "", *(f"  {line}" for line in lines), ""]))
    _say("Open GraphiQL in a browser; its tabs hold queries to begin with. Press Ctrl-C here to stop.\n")


def _say(line: str) -> None:
    typer.echo(line, err=True)
