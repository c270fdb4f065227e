"""From settings to an open database: the server's own where no other is named."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pymongo
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from documents.bucket import Bucket, BucketError, open_bucket
from documents.bucket_folder import FolderBucket
from documents.database import Client, make_client, open_database
from documents.embedded import Embedded
from graph.logs import Redactor
from graph.settings import Settings, SettingsError

AUTHENTICATION_FAILED = (18, 8000)
"""MongoDB's code, and Atlas's."""

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
async def connected(url: str, name: str, *, indexes: bool, seconds: float | None = None) -> AsyncIterator[Client]:
    """A client with every document bound to database `name`; missing indexes are made when `indexes`.

    With `seconds` no operation takes longer than that, the making of indexes aside.
    """
    client = make_client(url, timeoutMS=int(seconds * 1000) if seconds else None)
    try:
        await client.aconnect()
        with pymongo.timeout(None):
            await open_database(client[name], indexes=indexes)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def bucket_opened(settings: Settings) -> AsyncIterator[Bucket | None]:
    """Where bytes are kept, open for the block: the bucket that is set, else a folder, and nothing in production."""
    bucket = make_bucket(settings)
    open_bucket(bucket)
    try:
        yield bucket
    finally:
        open_bucket(None)
        if bucket:
            await bucket.close()


def make_bucket(settings: Settings) -> Bucket | None:
    """The bucket that the settings name. Raises SettingsError when it cannot be used."""
    try:
        if settings.bucket is not None:
            return _google_bucket(settings.bucket)
        # What is written into an instance's own folder in production is gone with the instance.
        return None if settings.production else FolderBucket(settings.data_dir / "bucket")
    except BucketError as error:
        raise SettingsError(f"PROVENANCE_BUCKET cannot be used. {error}") from error


def _google_bucket(url: str) -> Bucket:
    # Google's library takes more than a second to load, which only those wait for who use it.
    from documents.bucket_google import GoogleBucket

    name, _, prefix = url.removeprefix("gs://").partition("/")
    return GoogleBucket(name, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else "")


async def check_bucket(settings: Settings) -> None:
    """Raise SettingsError unless the bucket that is set can be used."""
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
    """Raise PyMongoError, within seconds, unless the database answers and takes the credentials."""
    client = make_client(url)
    try:
        await client.admin.command("ping")
    finally:
        await client.close()


def database_problem(error: PyMongoError) -> str:
    """What a person is told whose database cannot be used, without the credentials."""
    reason = Redactor()(str(error)).partition(" (configured timeouts")[0].partition(", full error")[0]
    match error:
        case OperationFailure() if error.code in AUTHENTICATION_FAILED:
            return "The database refused the user name or password in PROVENANCE_DATABASE_URL."
        case OperationFailure():
            return f"The database refused: {reason}."
        case ServerSelectionTimeoutError():
            return f"The database does not answer: {reason}. Is it running, and is PROVENANCE_DATABASE_URL right?"
        case ConfigurationError():
            return f"PROVENANCE_DATABASE_URL cannot be used: {reason}."
    return f"The database failed: {reason}."


@asynccontextmanager
async def database_opened(settings: Settings, say: Say) -> AsyncIterator[Client]:
    """The database open for a command, with its indexes."""
    with database_url(settings, say) as url:
        async with connected(url, settings.database_name, indexes=True) as client:
            yield client
