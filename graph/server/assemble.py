"""Assembling the server: settings, database, authentication, application."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType

import strawberry
import structlog
import typer
from pymongo.errors import PyMongoError
from starlette.applications import Starlette

from documents import private_apis
from documents.mongo import raw
from documents.mongo.connections import connection_counts
from documents.mongo.database import Client, is_reachable, server_version
from graph.app import Application, create_app
from graph.context import MakeContext
from graph.errors import StartError
from graph.http.bucket_objects import object_routes
from graph.http.galaxy_reports import report_routes
from graph.http.migration_check import run_migration_check
from graph.http.storage_events import storage_event_routes
from graph.logs import configure_logs
from graph.metrics.event_loop import measure_lag
from graph.metrics.shared_directory import SharedDirectory, share_metrics
from graph.schema import schema
from graph.server.database_errors import explain_database_error
from graph.server.file_descriptors import raise_limit, watch_descriptors
from graph.server.ingest_supervisor import run_ingest_processes
from graph.server.open_database import (
    check_bucket,
    check_database,
    connect,
    database_url,
    make_current,
    open_configured_bucket,
)
from graph.server.run import bind_listener, run
from graph.settings import Settings, SettingsError
from resolvers.access.authentication import Authenticator
from resolvers.access.quota import run_meter
from resolvers.access.token_secret import new_secret
from resolvers.sweeps.sweep_loop import SWEEP_INTERVAL, run_sweeper

OPERATION_TIMEOUT = 10.0
"""Seconds that one database operation may take while serving, so that no client waits for an unresponsive database."""
NOT_COMPILED_HINT = "Install a C compiler and Python's headers, then provenance-graph again."

log = structlog.stdlib.get_logger("graph.serving")
OnDatabaseReady = Callable[[], Awaitable[None]]
"""A task to run once the database is open, before the first request."""


def serve(
    settings: Settings,
    on_database_ready: OnDatabaseReady | None = None,
    processes: int = 1,
    *,
    schema: strawberry.Schema = schema,
    demo: bool = False,
) -> bool:
    """Serve until told to stop. A demo and an embedded database come with a fresh admin token, unless one is set.

    Returns whether the server ended because it was told to. Raises SettingsError, SchemaError, EmbeddedError, and
    PyMongoError when the database cannot be used.
    """
    configure_logs(settings)
    raise_limit()
    for warning in private_apis.warnings():
        log.warning(warning)
    configured = settings.admin_token.get_secret_value() if settings.admin_token else None
    fresh = new_secret() if configured is None and (demo or settings.embedded) else None
    interrupt = _Interrupt()
    # The address first: a taken one should not cost the start of a database.
    with bind_listener(settings) as listener, database_url(settings, _print_status) as url:
        asyncio.run(check_database(url))
        asyncio.run(check_bucket(settings))
        asyncio.run(_initialise_database(settings, url, on_database_ready))
        interrupt.check()

        def app(metrics_directory: SharedDirectory | None) -> Application:
            return make_app(settings, url, configured or fresh, schema, processes, metrics_directory)

        with run_ingest_processes(settings, url, quiet=demo) as workers:
            started = partial(_print_addresses, settings, token=fresh)
            return run(app, settings, listener, processes=processes, on_start=started, on_stop=workers.stop)


class _Interrupt:
    """Remembers a Ctrl-C during the start, which some code catches and loses."""

    def __init__(self) -> None:
        self._is_raised = False
        signal.signal(signal.SIGINT, self._raise)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self._is_raised = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if one was raised before and lost."""
        if self._is_raised:
            raise KeyboardInterrupt


async def _initialise_database(settings: Settings, url: str, on_database_ready: OnDatabaseReady | None) -> None:
    """Prepare what the server's processes and ingest workers share."""
    # In production `provenance-graph migrate` migrates, not every start of an instance.
    if settings.production or settings.read_only:
        return
    async with open_configured_bucket(settings), connect(url, settings.database_name) as client:
        await make_current(settings, client[settings.database_name], _print_status)
        if on_database_ready:
            await on_database_ready()


def make_app(
    settings: Settings,
    url: str,
    admin_token: str | None,
    schema: strawberry.Schema = schema,
    processes: int = 1,
    metrics_directory: SharedDirectory | None = None,
) -> Application:
    """The application on the database at `url`, which it opens when it starts and closes when it stops."""
    clients: list[Client] = []
    authenticator = Authenticator(
        admin_token=admin_token,
        oidc_issuer=settings.oidc_issuer,
        oidc_audience=settings.oidc_audience,
        read_only=settings.read_only,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(open_configured_bucket(settings))
                client = await stack.enter_async_context(
                    connect(url, settings.database_name, seconds=OPERATION_TIMEOUT)
                )
                await stack.enter_async_context(watch_descriptors(app.metrics.without_descriptors.inc))
                await stack.enter_async_context(measure_lag(app.metrics.event_loop_lag))
                await stack.enter_async_context(share_metrics(metrics_directory, app.metrics.snapshots))
                await stack.enter_async_context(run_migration_check(client[settings.database_name], set_unready))
                await stack.enter_async_context(run_sweeper(SWEEP_INTERVAL, when=may_sweep))
                if not settings.read_only:
                    await stack.enter_async_context(run_meter(settings.quota_sizes))
                app.metrics.mongodb_version = await server_version(client)
            except PyMongoError as error:
                raise StartError(explain_database_error(error, settings)) from error
            clients.append(client)
            yield

    def may_sweep() -> bool:
        return app.unready is None and not settings.read_only

    def set_unready(reason: str | None) -> None:
        app.unready = reason

    async def ready() -> bool:
        return bool(clients) and await is_reachable(clients[-1], seconds=0.8)

    make_context = MakeContext(authenticator, settings.answer_limits, settings.anonymous_answer_limits)
    app = create_app(
        schema=schema,
        settings=settings,
        make_context=make_context,
        ready=ready,
        lifespan=lifespan,
        processes=processes,
        metrics_directory=metrics_directory,
        extra_routes=[*storage_event_routes(settings), *object_routes(), *report_routes()],
    )
    app.metrics.export_database(lambda: connection_counts(clients[-1]) if clients else {})
    return app


def serve_demo(settings: Settings) -> bool:
    """Serve sample data, which is stored once.

    Raises SettingsError in production and in read-only mode, and what `serve` raises.
    """
    from resolvers.demo_data import store_sample

    if settings.production:
        raise SettingsError("demo stores sample data, so it does not run with PROVENANCE_ENV=production.")
    if settings.read_only:
        raise SettingsError("demo stores sample data, so it does not run with PROVENANCE_READ_ONLY=true.")

    async def store() -> None:
        await store_sample(_print_status)

    return serve(settings, store, demo=True)


def _print_addresses(settings: Settings, address: str, token: str | None) -> None:
    """Print the server's addresses. The token is in a URL fragment (#), so that no log shows it."""
    if not raw.COMPILED and private_apis.RAW_BSON.problem is None:
        log.warning("large answers take twice as long: the C extensions were not compiled", remedy=NOT_COMPILED_HINT)
    if settings.read_only:
        log.warning("read-only mode: queries are answered, and nothing is written")
    if settings.production:
        log.info("serving", address=address)
        return
    page = f"{address}/#token={token}" if token else address
    lines = [f"GraphiQL     {page}", f"GraphQL      {address}/graphql"]
    if token:
        lines.append(f"Admin token  {token} (good until the server stops)")
    if settings.embedded:
        lines.append(f"Data         {settings.data_dir} (delete it to begin anew)")
    _print_status("\n".join(["", "provenance-graph is serving.", "", *(f"  {line}" for line in lines), ""]))
    _print_status("Open GraphiQL in a browser; its tabs hold queries to begin with. Press Ctrl-C here to stop.\n")


def _print_status(line: str) -> None:
    typer.echo(line, err=True)
