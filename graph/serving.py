"""Putting the server together: settings, database, viewers, application."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import typer
from starlette.applications import Starlette

from documents.database import Client, is_reachable
from graph.app import create_app
from graph.context import MakeContext
from graph.logs import configure_logs
from graph.schema import schema
from graph.server import run
from graph.settings import Settings
from graph.starting import connected, database_url
from resolvers.authentication import Authenticator
from resolvers.tokens import new_secret

Prepare = Callable[[], Awaitable[None]]
"""What is to be done once the database is open, before the first request."""


def serve(settings: Settings, prepare: Prepare | None = None, processes: int = 1) -> bool:
    """Serve until told to stop. Without a database URL: on an embedded database, with a fresh admin token.

    Answers whether the server ended because it was told to.
    """
    configure_logs(settings)
    given = settings.admin_token.get_secret_value() if settings.admin_token else None
    fresh = new_secret() if settings.embedded and given is None else None
    with database_url(settings, _say) as url:

        def app() -> Starlette:
            return make_app(settings, url, given or fresh, prepare)

        return run(app, settings, processes=processes, started=lambda address: _announce(address, fresh))


def make_app(settings: Settings, url: str, admin_token: str | None, prepare: Prepare | None = None) -> Starlette:
    """The application on the database at `url`, which it opens when it starts and closes when it stops."""
    clients: list[Client] = []
    authenticator = Authenticator(
        admin_token=admin_token, oidc_issuer=settings.oidc_issuer, oidc_audience=settings.oidc_audience
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # In production indexes are made by `provenance-graph migrate`, not at every start of an instance.
        async with connected(url, settings.database_name, indexes=not settings.production) as client:
            clients.append(client)
            if prepare:
                await prepare()
            yield

    async def ready() -> bool:
        return bool(clients) and await is_reachable(clients[-1], seconds=0.8)

    make_context = MakeContext(authenticator, settings.objects, settings.anonymous_objects)
    return create_app(schema=schema, settings=settings, make_context=make_context, ready=ready, lifespan=lifespan)


def serve_demo(settings: Settings) -> None:
    """Serve with sample data, which is stored once."""
    from resolvers.sample import store_sample

    async def prepare() -> None:
        await store_sample(_say)

    serve(settings, prepare)


def _announce(address: str, token: str | None) -> None:
    """Tell whoever started the server where it is. The token stands behind a #, so that it reaches no log."""
    if token is None:
        return
    _say("")
    _say(f"  GraphiQL:     {address}/#token={token}")
    _say(f"  GraphQL:      {address}/graphql")
    _say(f"  Admin token:  {token}   (good until the server stops)")
    _say("")


def _say(line: str) -> None:
    typer.echo(line, err=True)
