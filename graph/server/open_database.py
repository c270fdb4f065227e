"""Opening the database that the settings name, or the embedded one."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pymongo
import structlog

from documents.embedded_mongod.server import EmbeddedError, EmbeddedMongo
from documents.migrations import INDEXES, SchemaError, migrate, schema_problem
from documents.mongo.database import Client, Database, make_client, open_database
from documents.storage.bucket import Bucket, BucketError, open_bucket
from documents.storage.folder_bucket import FolderBucket
from graph.server.database_errors import NO_REPLICA_SET
from graph.settings import Settings, SettingsError

WRITES_REFUSED = (
    "PROVENANCE_READ_ONLY is true, and this command writes to the database. Run it again when the read-only mode is "
    "over."
)

log = structlog.stdlib.get_logger("graph.starting")
PrintStatus = Callable[[str], None]


@contextmanager
def database_url(settings: Settings, print_status: PrintStatus) -> Iterator[str]:
    """The database's URL; without one in the settings, that of an embedded database that runs for as long as the block.

    An embedded database that exits is restarted. When that is no longer possible, the process is told to stop, as by
    SIGTERM, and the block raises EmbeddedError.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    lost: list[EmbeddedError] = []

    def end(error: EmbeddedError) -> None:
        log.critical("the embedded database is lost, and the process ends", reason=str(error))
        lost.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    with EmbeddedMongo.start(settings.data_dir / "database", progress=print_status) as embedded:
        embedded.supervise(end)
        try:
            yield embedded.uri
        finally:
            if lost:
                raise lost[0] from None


@asynccontextmanager
async def connect(url: str, name: str, *, seconds: float | None = None) -> AsyncIterator[Client]:
    """A client with every document bound to database `name`. With `seconds`, no operation takes longer than that."""
    client = make_client(url, timeoutMS=int(seconds * 1000) if seconds else None)
    try:
        await client.aconnect()
        with pymongo.timeout(None):
            await open_database(client[name], indexes=False)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def open_configured_bucket(settings: Settings) -> AsyncIterator[Bucket | None]:
    """The bucket of the settings, open for the block; without one a folder, but None in production."""
    bucket = make_bucket(settings)
    open_bucket(bucket)
    try:
        yield bucket
    finally:
        open_bucket(None)
        if bucket:
            await bucket.close()


def make_bucket(settings: Settings) -> Bucket | None:
    """The bucket of the settings. Raises SettingsError when it cannot be used."""
    try:
        if settings.bucket is not None:
            return _google_bucket(settings.bucket)
        # In production, files in an instance's own folder are lost with the instance.
        return None if settings.production else FolderBucket(settings.data_dir / "bucket")
    except BucketError as error:
        raise SettingsError(f"PROVENANCE_BUCKET cannot be used. {error}") from error


def _google_bucket(url: str) -> Bucket:
    # Google's library takes more than a second to import, so only those who use it wait for it.
    from documents.storage.google_bucket import GoogleBucket

    name, _, prefix = url.removeprefix("gs://").partition("/")
    return GoogleBucket(name, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else "")


async def check_bucket(settings: Settings) -> None:
    """Raise SettingsError unless the bucket of the settings can be used."""
    bucket = make_bucket(settings)
    try:
        if bucket:
            await bucket.check()
    except BucketError as error:
        raise SettingsError(f"PROVENANCE_BUCKET cannot be used. {error}") from error
    finally:
        if bucket:
            await bucket.close()


async def check_database(url: str) -> None:
    """Check, within seconds, that the database can be used.

    Raises PyMongoError unless it answers and accepts the credentials, SettingsError when it has no transactions.
    """
    client = make_client(url)
    try:
        await require_transactions(client)
    finally:
        await client.close()


async def require_transactions(client: Client) -> None:
    """Raise SettingsError unless the database has transactions."""
    hello = await client.admin.command("hello")
    # A router of a sharded cluster has a message in place of a replica set's name.
    if "setName" not in hello and "msg" not in hello:
        raise SettingsError(NO_REPLICA_SET)


@asynccontextmanager
async def connect_for_command(settings: Settings, print_status: PrintStatus) -> AsyncIterator[Client]:
    """A client of the settings' database, whatever its schema version. Raises SettingsError if it has no
    transactions.
    """
    with database_url(settings, print_status) as url:
        async with connect(url, settings.database_name) as client:
            await require_transactions(client)
            yield client


@asynccontextmanager
async def open_database_for_command(
    settings: Settings, print_status: PrintStatus, *, writes: bool = True
) -> AsyncIterator[Client]:
    """The database open for a command, at this release's schema version. Raises SchemaError when it is at another, and
    SettingsError in read-only mode for a command that writes.
    """
    if writes and settings.read_only:
        raise SettingsError(WRITES_REFUSED)
    async with connect_for_command(settings, print_status) as client:
        await make_current(settings, client[settings.database_name], print_status)
        yield client


async def make_current(settings: Settings, database: Database, print_status: PrintStatus) -> None:
    """Migrate the database, or in production and in read-only mode only check it. Raises SchemaError when this release
    cannot use it."""
    if not (settings.production or settings.read_only):
        printed: set[str] = set()

        def report(does: str, done: int, total: int) -> None:
            # A fresh database is set up without messages.
            if does != INDEXES and does not in printed:
                printed.add(does)
                print_status(f"Migrating the database: {does}")

        await migrate(database, report)
    elif problem := await schema_problem(database):
        raise SchemaError(problem)
