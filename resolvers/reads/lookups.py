"""Lookups: rows by their ids, by unique values, or by the links of other rows.

Each is one round trip for a whole level, with the viewer's policy inside the find.
"""

from collections import defaultdict
from collections.abc import Awaitable, Iterable
from functools import partial

from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of, equals
from resolvers.reads.batch_point_reads import coalesce
from resolvers.reads.order import Order, value_at
from resolvers.reads.relations import Document, ToManyByIds, ToManyContaining, ToOne, ToOneBy
from resolvers.reads.rows import Fields, Row, collection_of, find_rows
from resolvers.reads.semi_join import policy_filter, resolve_subqueries
from resolvers.reads.successors import FORMER, with_successors

MAX_COALESCED_VALUES = 20
"""Lookups of up to this many values are coalesced with those of other requests."""


async def by_ids(
    document: Document, ids: Iterable[str], fields: Fields, viewer: Viewer, *, raw_bson: bool = False
) -> dict[str, Row]:
    """The rows with these ids that the viewer may see, by id."""
    distinct = sorted(set(ids))
    return await _by_values(document, "_id", distinct, fields, viewer, raw_bson=raw_bson) if distinct else {}


def by_value(document: Document, path: str, value: str, fields: Fields, viewer: Viewer) -> Awaitable[dict[str, Row]]:
    """The row with this value at a unique path, by that value; empty when the viewer may see none."""
    return _by_values(document, path, [value], fields, viewer)


async def by_key(document: Document, key: dict[str, str], fields: Fields, viewer: Viewer) -> Row | None:
    """The row with these values at its unique paths, None when the viewer may see none."""
    if len(key) == 1:
        ((path, value),) = key.items()
        return (await by_value(document, path, value, fields, viewer)).get(value)
    match = all_of([*(equals(path, value) for path, value in key.items()), await policy_filter(document, viewer)])
    rows = await _find(document, match, fields)
    return rows[0] if rows else None


def _by_values(
    document: Document, path: str, values: list[str], fields: Fields, viewer: Viewer, *, raw_bson: bool = False
) -> Awaitable[dict[str, Row]]:
    """Rows by the values of a unique path; a few are looked up together with those of other requests."""
    policy = readable(document, viewer)
    projection = fields | {path} if fields and path not in fields else fields
    find = partial(_find_by_values, document, path, projection, policy, viewer, raw_bson)
    rows: Awaitable[dict[str, Row]]
    if len(values) > MAX_COALESCED_VALUES:
        rows = _index_by(path, find(values))
    else:
        rows = coalesce((document, path, projection, raw_bson, repr(policy)), path, values, find)
    if document not in FORMER:
        return rows
    return with_successors(
        rows, document, path, values, lambda ids: _by_values(document, "_id", ids, fields, viewer, raw_bson=raw_bson)
    )


async def _find_by_values(
    document: Document, path: str, fields: Fields, policy: Filter, viewer: Viewer, raw_bson: bool, values: list[str]
) -> list[Row]:
    match = all_of([{path: {"$in": values}}, await resolve_subqueries(policy, viewer)])
    return await _find(document, match, fields, raw_bson=raw_bson)


async def _index_by(path: str, rows: Awaitable[list[Row]]) -> dict[str, Row]:
    return {row[path]: row for row in await rows}


async def linked_rows(
    link: ToOne, parents: list[Row], fields: Fields, viewer: Viewer, *, raw_bson: bool = False
) -> list[Row | None]:
    """The linked row of each parent, None where the viewer may see none."""
    ids = [value_at(parent, link.via) for parent in parents]
    rows = await by_ids(link.document, (id for id in ids if id is not None), fields, viewer, raw_bson=raw_bson)
    return [rows.get(id) if id is not None else None for id in ids]


async def by_id_lists(
    link: ToManyByIds, parents: list[Row], fields: Fields, viewer: Viewer, *, raw_bson: bool = False
) -> list[list[Row]]:
    """The listed rows of each parent, in the parent's order, without those that the viewer may not see."""
    lists: list[list[str]] = [value_at(parent, link.via) or [] for parent in parents]
    rows = await by_ids(link.document, (id for ids in lists for id in ids), fields, viewer, raw_bson=raw_bson)
    return [[rows[id] for id in ids if id in rows] for ids in lists]


async def rows_containing(
    link: ToManyContaining, parents: list[Row], fields: Fields, viewer: Viewer, *, raw_bson: bool = False
) -> list[list[Row]]:
    """The rows that list each parent."""
    ids = [parent["_id"] for parent in parents]
    match = all_of([{link.via: {"$in": ids}}, await policy_filter(link.document, viewer)])
    projection = fields | {link.via, *link.order.paths} if fields else fields
    rows = await _find(link.document, match, projection, link.order, raw_bson=raw_bson)
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for id in row[link.via]:
            groups[id].append(row)
    return [groups.get(id, []) for id in ids]


async def one_by(
    link: ToOneBy, value: str, parents: list[Row], fields: Fields, viewer: Viewer, *, raw_bson: bool = False
) -> list[Row | None]:
    """The child of each parent that has `value` at `link.by`."""
    ids = [parent["_id"] for parent in parents]
    match = all_of([{link.via: {"$in": ids}}, equals(link.by, value), await policy_filter(link.document, viewer)])
    rows = await _find(link.document, match, fields | {link.via} if fields else fields, raw_bson=raw_bson)
    by_parent = {row[link.via]: row for row in rows}
    return [by_parent.get(id) for id in ids]


async def _find(
    document: Document, match: Filter, fields: Fields, order: Order | None = None, *, raw_bson: bool = False
) -> list[Row]:
    collection = collection_of(document, raw_bson=raw_bson)
    return await find_rows(collection, match, fields, order.sort() if order else None)
