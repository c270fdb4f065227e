"""Filling a database with many documents in little time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from pymongo import MongoClient

from documents.migrations import record_newest_version
from documents.migrations.schema_version import COLLECTION, ID
from documents.mongo.database import make_client, open_database
from tests.bench import catalogues, trees
from tests.bench.level import Level, Row
from tests.bench.scale import Catalogue, Tree

Kept = Callable[[int], None]
"""Told how many documents are stored so far."""

BATCH = 2_000
WRITERS = 2


async def fill(url: str, name: str, tree: Tree, catalogue: Catalogue | None, kept: Kept) -> None:
    """Make database `name` anew, with its indexes, holding a tree and perhaps a catalogue."""
    await fill_levels(
        url, name, lambda: [*trees.levels_of(tree), *(catalogues.levels_of(catalogue) if catalogue else [])], kept
    )


async def fill_levels(url: str, name: str, levels: Callable[[], list[Level]], kept: Kept) -> None:
    """Make database `name` anew, with its indexes, holding the levels, which are made once documents can be."""
    client = make_client(url)
    try:
        await client.drop_database(name)
        await open_database(client[name], indexes=False)
        await record_newest_version(client[name])
        _store(url, name, levels(), kept)
        # Only now: an index over documents that are there is made faster than it grows.
        await open_database(client[name])
    finally:
        await client.close()


async def record_version(url: str, name: str, version: int) -> None:
    """Record that database `name` is at a schema version, which must read as the one that it was filled for."""
    async with make_client(url) as client:
        await client[name][COLLECTION].update_one({"_id": ID}, {"$set": {"version": version}})


async def drop(url: str, *names: str) -> None:
    """Remove databases."""
    client = make_client(url)
    try:
        for name in names:
            await client.drop_database(name)
    finally:
        await client.close()


def _store(url: str, name: str, levels: list[Level], kept: Kept) -> None:
    """Store the levels, making one batch while the database takes others."""
    with MongoClient[Row](url, w=1) as client, ThreadPoolExecutor(WRITERS) as writers:
        running: list[Future[Any]] = []
        stored = 0
        for level in levels:
            rows, collection = level.rows(), client[name][level.collection]
            while batch := list(islice(rows, BATCH)):
                running.append(writers.submit(collection.insert_many, batch, ordered=False))
                stored += len(batch)
                kept(stored)
                if len(running) > WRITERS:
                    running.pop(0).result()
        for last in running:
            last.result()
