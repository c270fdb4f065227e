"""The children of many parents, read in one round trip: in one find, or in an aggregation with a limit for each."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import documents
from documents.mongo import raw
from resolvers.access.viewer import Viewer
from resolvers.concurrency import event_loop
from resolvers.filters import Filter, all_of
from resolvers.reads.page_request import PageRequest
from resolvers.reads.relations import Children
from resolvers.reads.rows import BATCH_SIZE, Collection, Fields, Row, collection_of, find_batches
from resolvers.reads.semi_join import policy_filter, resolve_subqueries

ChildGroup = tuple[str, list[Row]]
"""The parent's value by which children refer to it, and these children."""

SINGLE_FIND_LIMIT = 10_000
"""Children of many parents are read in one find up to this many rows; beyond it each parent gets its own page."""

MAX_PARENTS_PER_FIND = 20_000
"""More parents take so long to encode that other requests would wait."""


class TooManyChildren(Exception):
    """The parents have so many children that each needs its own page."""


def parent_keys(link: Children, parents: list[Row]) -> list[str]:
    """The values by which the children of some parents refer to them."""
    return [key for key in dict.fromkeys(parent.get(link.of) for parent in parents) if key is not None]


async def child_filter(link: Children, page_request: PageRequest, viewer: Viewer) -> Filter:
    """The filter for the requested children of any parent."""
    policy = {} if link.inherits_access else await policy_filter(link.document, viewer)
    return all_of([policy, await resolve_subqueries(page_request.filter, viewer), *page_request.bounds()])


async def stream_children(
    link: Children,
    page_request: PageRequest,
    parents: list[Row],
    fields: Fields,
    viewer: Viewer,
    *,
    raw_bson: bool = False,
) -> AsyncIterator[list[ChildGroup]]:
    """The children of each parent that has any, in batches as they arrive, each parent's in reading order.

    Raises TooManyChildren when they are too many to be read without a limit for each parent.
    """
    keys, collection = parent_keys(link, parents), collection_of(link.document, raw_bson=raw_bson)
    conditions = await child_filter(link, page_request, viewer)
    async for groups in stream_groups(link, collection, keys, conditions, page_request, fields):
        yield groups


async def stream_groups(
    link: Children,
    collection: Collection,
    keys: list[str],
    conditions: Filter,
    page_request: PageRequest,
    fields: Fields,
) -> AsyncIterator[list[ChildGroup]]:
    """The children that match `conditions`, as `stream_children` gives them. Raises TooManyChildren."""
    order = page_request.reading_order
    projection = fields | {link.via, *order.paths} if fields else fields
    limit = max(SINGLE_FIND_LIMIT, 4 * len(keys) * page_request.limit)
    # In the direction of the first key, so that one index gives the parents together and their rows in order.
    sort = [(link.via, order.keys[0].direction), *(order.sort() if order.uses_mongo_null_order else [])]
    async for some_keys in event_loop.batches(keys, MAX_PARENTS_PER_FIND):
        match = all_of([{link.via: {"$in": some_keys}}, conditions])
        batches = find_batches(collection, match, projection, sort, limit + 1)
        async for groups in _group_by_parent(batches, link.via, limit):
            yield groups if order.uses_mongo_null_order else [(key, order.arrange(rows)) for key, rows in groups]


async def _group_by_parent(
    batches: AsyncGenerator[list[Row], None], via: str, limit: int
) -> AsyncIterator[list[ChildGroup]]:
    """Rows grouped by their parent, each group once it is complete."""
    count, key, rest = 0, "", list[Row]()
    async with aclosing(batches):
        async for batch in batches:
            count += len(batch)
            if count > limit:
                raise TooManyChildren
            async for rows in event_loop.batches(batch):
                *complete, (key, rest) = raw.group_consecutive([*rest, *rows], via)
                yield complete
    if rest:
        yield [(key, rest)]


async def aggregate_per_parent(
    link: Children, collection: Collection, keys: list[str], pipeline: list[dict[str, Any]]
) -> dict[str, list[Row]]:
    """The result of `pipeline` over the children of each parent, by the value that they refer to, in one round trip."""
    if not keys:
        return {}
    parent = documents.by_kind(keys[0])
    lookup = {
        "from": collection.name,
        "localField": "_id",
        "foreignField": link.via,
        "as": "rows",
        "pipeline": pipeline,
    }
    of_keys: list[dict[str, Any]] = [{"$match": {"_id": {"$in": keys}}}, {"$project": {"_id": 1}}]
    if parent is None:
        # The values are no ids, such as URLs: the children themselves are the only rows that are sure to have them.
        parent, of_keys = link.document, [{"$match": {link.via: {"$in": keys}}}, {"$group": {"_id": f"${link.via}"}}]
    parents = collection_of(parent).with_options(codec_options=collection.codec_options)
    cursor = await parents.aggregate([*of_keys, {"$lookup": lookup}], batchSize=BATCH_SIZE)
    return {row["_id"]: row["rows"] async for row in cursor}
