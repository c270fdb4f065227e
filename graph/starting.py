"""From settings to an open database: the server's own where no other is named."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from documents.database import Client, make_client, open_database
from documents.embedded import Embedded
from graph.settings import Settings

Say = Callable[[str], None]


@contextmanager
def database_url(settings: Settings, say: Say) -> Iterator[str]:
    """The address of the database, of an embedded one that lives as long as the block when none is set."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with Embedded.start(settings.data_dir / "database", progress=say) as embedded:
        yield embedded.uri


@asynccontextmanager
async def connected(url: str, name: str, *, indexes: bool) -> AsyncIterator[Client]:
    """A client with every document bound to database `name`; missing indexes are made when `indexes`."""
    client = make_client(url)
    try:
        await client.aconnect()
        await open_database(client[name], indexes=indexes)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def database_opened(settings: Settings, say: Say) -> AsyncIterator[Client]:
    """The database open for a command, with its indexes."""
    with database_url(settings, say) as url:
        async with connected(url, settings.database_name, indexes=True) as client:
            yield client
