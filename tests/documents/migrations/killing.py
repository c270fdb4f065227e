"""Killing a process that migrates, in the middle of its work."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from multiprocessing.connection import Connection

from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations.schema_version import COLLECTION
from documents.mongo.database import Database
from tests.documents.migrations import invented

# Python's start and the loading of the packages, two seconds of CPU, are paid once for all that are killed.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([invented.__name__])


@asynccontextmanager
async def killed_after(
    batches: int, mongod: EmbeddedMongo, database: Database, released: bool = False
) -> AsyncIterator[None]:
    """A process that has written so many batches within the block, and is killed at its end.

    It runs the steps of `invented`, or those of this release. Its lock is made to expire, for which nobody has to wait.
    """
    told, tells = processes.Pipe()
    process = processes.Process(
        target=invented.migrate_until_killed, args=(mongod.uri, database.name, batches, released, tells), daemon=True
    )
    process.start()
    tells.close()
    try:
        await asyncio.to_thread(_wait_until_written, told, batches)
        yield
    finally:
        process.kill()
        process.join()
        told.close()
    assert process.exitcode == -signal.SIGKILL
    process.close()
    expired = await database[COLLECTION].update_one(
        {"lock.holder": {"$exists": True}}, {"$set": {"lock.expires_at": datetime(2026, 1, 1)}}
    )
    assert expired.modified_count == 1, "it did not hold the lock"


def _wait_until_written(told: "Connection[None, int]", batches: int) -> None:
    """Return when the process has told of so many batches that are written. Raises EOFError where it has ended."""
    while told.recv() < batches:
        pass
