"""Reading pages: of all rows of a kind, of each parent's children, or of the rows that each parent lists."""

import asyncio
from collections.abc import Mapping

from resolvers.access.viewer import Viewer
from resolvers.concurrency import event_loop
from resolvers.filters import MATCH_NOTHING, Filter, all_of, equals
from resolvers.reads.children import TooManyChildren, aggregate_per_parent, child_filter, parent_keys, stream_groups
from resolvers.reads.order import value_at
from resolvers.reads.page_request import Page, PageRequest
from resolvers.reads.relations import Children, Document, PagedByIds
from resolvers.reads.rows import BATCH_SIZE, Collection, Fields, Row, collection_of, find_rows, project_stages
from resolvers.reads.semi_join import authorised_filter, longest_in_list

MAX_MERGED_RANGES = 150
"""Index ranges that MongoDB merges in order; with more than 200 it reads and sorts everything."""


async def page_of_all(
    document: Document, page_request: PageRequest, fields: Fields, viewer: Viewer, *, raw_bson: bool = False
) -> Page:
    """A page of all rows of a kind."""
    match = await _conditions(document, page_request, viewer)
    collection = collection_of(document, raw_bson=raw_bson)
    return page_request.page(await _first_rows_of_ranges(collection, match, page_request, fields))


async def pages_of_children(
    link: Children,
    page_request: PageRequest,
    parents: list[Row],
    fields: Fields,
    viewer: Viewer,
    *,
    raw_bson: bool = False,
) -> list[Page]:
    """A page of children for each parent."""
    keys, collection = parent_keys(link, parents), collection_of(link.document, raw_bson=raw_bson)
    conditions = await child_filter(link, page_request, viewer)
    groups: Mapping[str, list[Row]]
    if len(keys) == 1:
        rows = await _first_rows(collection, all_of([equals(link.via, keys[0]), conditions]), page_request, fields)
        groups = {keys[0]: rows}
    elif link.single_parent:
        projection = fields | {link.via} if fields else fields
        match = all_of([{link.via: {"$in": keys}}, conditions])
        rows = await _first_rows(collection, match, page_request, projection)
        groups = {rows[0][link.via]: rows} if rows else {}
    else:
        groups = await _first_children(link, collection, keys, conditions, page_request, fields)
    pages: list[Page] = []
    async for batch in event_loop.batches(parents):
        pages += page_request.pages(groups.get(parent.get(link.of, ""), []) for parent in batch)
    return pages


async def pages_by_ids(
    link: PagedByIds,
    page_request: PageRequest,
    parents: list[Row],
    fields: Fields,
    viewer: Viewer,
    *,
    raw_bson: bool = False,
) -> list[Page]:
    """A page of the listed rows for each parent."""
    collection = collection_of(link.document, raw_bson=raw_bson)
    lists: list[set[str]] = [set(value_at(parent, link.via) or []) for parent in parents]
    conditions = await _conditions(link.document, page_request, viewer)
    match = all_of([{"_id": {"$in": sorted(set().union(*lists))}}, conditions])
    order = page_request.reading_order
    rows = order.arrange(await find_rows(collection, match, fields | set(order.paths) if fields else fields))
    return page_request.pages([row for row in rows if row["_id"] in ids][: page_request.limit] for ids in lists)


async def _conditions(document: Document, page_request: PageRequest, viewer: Viewer) -> Filter:
    return all_of([await authorised_filter(document, page_request.filter, viewer), *page_request.bounds()])


async def _first_rows_of_ranges(
    collection: Collection, match: Filter, page_request: PageRequest, fields: Fields
) -> list[Row]:
    """The first rows of a list that may have to be merged from many index ranges."""
    path, values = longest_in_list(match)
    if len(values) <= MAX_MERGED_RANGES:
        return await _first_rows(collection, match, page_request, fields)
    ranges = (values[start : start + MAX_MERGED_RANGES] for start in range(0, len(values), MAX_MERGED_RANGES))
    parts = await asyncio.gather(
        *(_first_rows(collection, all_of([{path: {"$in": part}}, match]), page_request, fields) for part in ranges)
    )
    return page_request.reading_order.arrange([row for rows in parts for row in rows])[: page_request.limit]


async def _first_rows(collection: Collection, match: Filter, page_request: PageRequest, fields: Fields) -> list[Row]:
    """The first rows of one list, in reading order."""
    order = page_request.reading_order
    projection = fields | set(order.paths) if fields else fields
    if match == MATCH_NOTHING:
        return []
    if order.uses_mongo_null_order:
        return await find_rows(collection, match, projection, order.sort(), page_request.limit)
    stages = order.stages(match, page_request.limit, collection.name) + project_stages(projection)
    return await (await collection.aggregate(stages, batchSize=BATCH_SIZE)).to_list()


async def _first_children(
    link: Children,
    collection: Collection,
    keys: list[str],
    conditions: Filter,
    page_request: PageRequest,
    fields: Fields,
) -> Mapping[str, list[Row]]:
    """The first rows of each parent: one find for all when they are few, else an aggregation with a page for each."""
    children: dict[str, list[Row]] = {}
    try:
        async for groups in stream_groups(link, collection, keys, conditions, page_request, fields):
            children.update(groups)
    except TooManyChildren:
        projection = fields | {link.via, *page_request.order.paths} if fields else fields
        stages = page_request.reading_order.lookup_stages(conditions, page_request.limit)
        return await aggregate_per_parent(link, collection, keys, [*stages, *project_stages(projection)])
    return children
