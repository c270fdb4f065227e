"""Rows of a collection: plain dictionaries of the requested fields. Beanie's models are for writing."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor

from documents.mongo import fast_find, raw
from resolvers.filters import Filter
from resolvers.reads.relations import Document

Row = dict[str, Any]
Fields = frozenset[str]
Collection = AsyncCollection[Row]
Sort = list[tuple[str, int]]

ALL_FIELDS: Fields = frozenset()
"""Requests whole documents instead of some fields."""

BATCH_SIZE = 4_000
"""Rows in a reply: many enough that a level is one round trip, few enough that reading them delays nobody for long."""


def collection_of(document: Document, *, raw_bson: bool = False) -> Collection:
    """The collection of a document. Rows in raw BSON read like dictionaries, and are for `raw.Writer`."""
    collection = document.get_pymongo_collection()
    return raw.as_raw_bson(collection) if raw_bson else collection


async def find_rows(
    collection: Collection,
    match: Filter,
    fields: Fields,
    sort: Sort | None = None,
    limit: int = 0,
    index: Sort | None = None,
) -> list[Row]:
    """All rows of a find, which uses the index with these keys if they are given."""
    projection = projection_of(fields)
    command = _find_command(match, projection, sort, limit) | ({"hint": dict(index)} if index else {})
    rows = await fast_find.find_rows(collection, command)
    if rows is not None:
        return rows
    cursor = collection.find(match, projection or None, sort=sort, limit=limit, batch_size=BATCH_SIZE, hint=index)
    return await cursor.to_list()


async def find_batches(
    collection: Collection, match: Filter, fields: Fields, sort: Sort, limit: int
) -> AsyncGenerator[list[Row], None]:
    """The rows of a find in batches, as they arrive."""
    projection = projection_of(fields)
    cursor = await fast_find.first_batch(collection, _find_command(match, projection, sort, limit))
    if cursor is None:
        plain = collection.find(match, projection or None, sort=sort, limit=limit, batch_size=BATCH_SIZE)
        batches = prefetch_batches([], plain)
    elif cursor["id"]:
        rest = fast_find.remaining_rows(collection, cursor).batch_size(BATCH_SIZE)
        batches = prefetch_batches(cursor["firstBatch"], rest)
    else:
        yield cursor["firstBatch"]
        return
    async with aclosing(batches):
        async for batch in batches:
            yield batch


async def prefetch_batches(
    first: list[Row], rest: AsyncCommandCursor[Row] | AsyncCursor[Row]
) -> AsyncGenerator[list[Row], None]:
    """Rows in batches. The next batch is fetched while the current one is processed."""
    async with rest:
        next_batch = asyncio.create_task(rest.to_list(BATCH_SIZE))
        try:
            if first:
                yield first
            while batch := await next_batch:
                next_batch = asyncio.create_task(rest.to_list(BATCH_SIZE))
                yield batch
        finally:
            next_batch.cancel()
            await asyncio.gather(next_batch, return_exceptions=True)


def lookup_stage(document: Document, local: str, foreign: str, name: str, stages: list[Row]) -> Row:
    """The stage that stores as `name` what `stages` make of the rows whose `foreign` is in `local`."""
    collection = document.collection_name()
    lookup = {"from": collection, "localField": local, "foreignField": foreign, "as": name, "pipeline": stages}
    return {"$lookup": lookup}


def project_stages(fields: Fields) -> list[dict[str, Any]]:
    """The stages of an aggregation that leave these fields, none for all fields."""
    return [{"$project": projection_of(fields)}] if fields else []


@lru_cache(maxsize=1_000)
def projection_of(fields: Fields) -> Mapping[str, int]:
    """The projection to these fields. MongoDB refuses a field together with a part of it: the part is left out."""
    return {path: 1 for path in fields if fields.isdisjoint(_paths_above(path))}


def _paths_above(path: str) -> Iterator[str]:
    """The paths of the fields that hold the one at a path."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _find_command(match: Filter, projection: Mapping[str, int], sort: Sort | None, limit: int) -> dict[str, Any]:
    command: dict[str, Any] = {"filter": match, "batchSize": BATCH_SIZE}
    if projection:
        command["projection"] = projection
    if sort:
        command["sort"] = dict(sort)
    if limit:
        command["limit"] = limit
    return command
