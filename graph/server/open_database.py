"""Opening the database that the settings name, or the embedded one."""

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pymongo
import structlog

from documents.embedded_mongod.errors import DirectoryInUse
from documents.embedded_mongod.server import START_TIMEOUT, EmbeddedError, EmbeddedMongo
from documents.embedded_mongod.shared import SharedMongo, join, withdraw
from documents.migrations import INDEXES, SchemaError, migrate, plan, schema_problem
from documents.mongo.database import Client, Database, make_client, open_database
from documents.storage.bucket import Bucket, BucketError, open_bucket
from documents.storage.folder_bucket import FolderBucket
from graph.server.database_errors import NO_REPLICA_SET
from graph.settings import Settings, SettingsError

JOIN_INTERVAL = 0.1
"""Seconds between two attempts to use a database that another process starts or stops."""

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
    with _run_embedded(settings.embedded_dir, print_status) as embedded:
        yield embedded.uri


@contextmanager
def _run_embedded(data_dir: Path, print_status: PrintStatus) -> Iterator[EmbeddedMongo]:
    """An embedded database that is restarted when it exits, see `database_url`."""
    lost: list[EmbeddedError] = []

    def end(error: EmbeddedError) -> None:
        log.critical("the embedded database is lost, and the process ends", reason=str(error))
        lost.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    with EmbeddedMongo.start(data_dir, progress=print_status) as embedded:
        embedded.supervise(end)
        try:
            yield embedded
        finally:
            if lost:
                raise lost[0] from None


@dataclass(frozen=True)
class CommandDatabase:
    """The database of a command: its URL and, where a process beside the command runs it, how it is shared."""

    url: str
    shared: SharedMongo | None = None

    @property
    def end_with_owner(self) -> Callable[[], AbstractAsyncContextManager[None]]:
        """A block that ends with EmbeddedError when the process that runs the database stops it."""
        return self.shared.end_with_owner if self.shared else nullcontext


@contextmanager
def database_for_command(settings: Settings, print_status: PrintStatus) -> Iterator[CommandDatabase]:
    """The settings' database; without one, the embedded database of a process that runs, or else of this one."""
    if settings.database_url is not None:
        yield CommandDatabase(settings.database_url.get_secret_value())
        return
    with ExitStack() as stack:
        yield _join_or_start(settings.embedded_dir, stack, print_status)


def _join_or_start(data_dir: Path, stack: ExitStack, print_status: PrintStatus) -> CommandDatabase:
    """The embedded database for as long as the stack is open. Waits while another process starts or stops it."""
    deadline, waits = time.monotonic() + START_TIMEOUT, False
    while True:
        with ExitStack() as attempt:
            if shared := attempt.enter_context(join(data_dir)):
                stack.push(attempt.pop_all())
                return CommandDatabase(shared.uri, shared)
        try:
            return CommandDatabase(stack.enter_context(_run_embedded(data_dir, print_status)).uri)
        except DirectoryInUse:
            if time.monotonic() > deadline:
                raise
        if not waits:
            print_status("Waiting for another process that starts or stops the embedded database")
        waits = True
        time.sleep(JOIN_INTERVAL)


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
    async with _open_for_command(settings, print_status) as (client, _):
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
    async with _open_for_command(settings, print_status) as (client, is_shared):
        await make_current(settings, client[settings.database_name], print_status, is_shared=is_shared)
        yield client


@asynccontextmanager
async def _open_for_command(settings: Settings, print_status: PrintStatus) -> AsyncIterator[tuple[Client, bool]]:
    """A client, and whether another process runs its database.

    Other commands may have joined an embedded database that this one runs: it stops when they have ended.
    """
    with database_for_command(settings, print_status) as database:
        async with database.end_with_owner(), connect(database.url, settings.database_name) as client:
            await require_transactions(client)
            yield client, database.shared is not None
        if settings.embedded and database.shared is None:
            await withdraw(settings.embedded_dir, lambda: print_status("Waiting for other commands to end"))


async def make_current(
    settings: Settings, database: Database, print_status: PrintStatus, *, is_shared: bool = False
) -> None:
    """Migrate the database, or in production and in read-only mode only check it. Raises SchemaError when this release
    cannot use it.

    The steps of a database that a running server shares are left to `provenance-graph migrate`, as in production: the
    server may be of an earlier release.
    """
    checks_alone = settings.production or settings.read_only
    if not checks_alone and not (is_shared and (await plan(database)).steps):
        printed: set[str] = set()

        def report(does: str, done: int, total: int) -> None:
            # A fresh database is set up without messages.
            if does != INDEXES and does not in printed:
                printed.add(does)
                print_status(f"Migrating the database: {does}")

        await migrate(database, report)
    elif problem := await schema_problem(database):
        raise SchemaError(problem)
