"""Counting the rows of lists, up to a cap."""

from typing import Any

from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of
from resolvers.limits import MAX_COUNTED_ROWS
from resolvers.reads.children import aggregate_per_parent, parent_keys
from resolvers.reads.order import value_at
from resolvers.reads.relations import Children, Document, PagedByIds
from resolvers.reads.rows import Row, collection_of, find_rows
from resolvers.reads.semi_join import authorised_filter, resolve_subqueries


async def count_all(document: Document, filter: Filter, viewer: Viewer) -> int | None:
    """How many rows of a kind match, None beyond the cap."""
    match = await authorised_filter(document, filter, viewer)
    return _cap(await collection_of(document).count_documents(match, limit=MAX_COUNTED_ROWS + 1))


async def count_children(link: Children, filter: Filter, parents: list[Row], viewer: Viewer) -> list[int | None]:
    """How many children of each parent match, None beyond the cap."""
    if link.inherits_access:
        match = await resolve_subqueries(filter, viewer)
    else:
        match = await authorised_filter(link.document, filter, viewer)
    keys = parent_keys(link, parents)
    if link.single_parent:
        keys = await _only_parent_with_children(link, keys, match)
    pipeline: list[dict[str, Any]] = [{"$match": match}, {"$limit": MAX_COUNTED_ROWS + 1}, {"$count": "found"}]
    results = await aggregate_per_parent(link, collection_of(link.document), keys, pipeline)
    counts = {key: sum(row["found"] for row in rows) for key, rows in results.items()}
    return [_cap(counts.get(parent.get(link.of, ""), 0)) for parent in parents]


async def count_by_ids(link: PagedByIds, filter: Filter, parents: list[Row], viewer: Viewer) -> list[int | None]:
    """How many of each parent's listed rows match, None beyond the cap."""
    lists: list[set[str]] = [set(value_at(parent, link.via) or []) for parent in parents]
    conditions = await authorised_filter(link.document, filter, viewer)
    match = all_of([{"_id": {"$in": sorted(set().union(*lists))}}, conditions])
    rows = await find_rows(collection_of(link.document), match, frozenset({"_id"}))
    matching = {row["_id"] for row in rows}
    return [_cap(len(ids & matching)) for ids in lists]


async def _only_parent_with_children(link: Children, keys: list[str], match: Filter) -> list[str]:
    """The one parent that has children, where only one may have any."""
    of_any = all_of([{link.via: {"$in": keys}}, match])
    rows = await find_rows(collection_of(link.document), of_any, frozenset({link.via}), limit=1)
    return [row[link.via] for row in rows]


def _cap(count: int) -> int | None:
    return count if count <= MAX_COUNTED_ROWS else None
