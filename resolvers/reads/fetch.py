"""Reads, one round trip for a whole level: projected finds with the viewer's policy inside.

Rows are plain dictionaries. Beanie's models are for writing.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor

import documents
from documents.mongo import fast_find, raw
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.concurrency import event_loop
from resolvers.filters import NEVER, Filter, all_of, equals
from resolvers.reads.batch_point_reads import coalesced
from resolvers.reads.order import Order, value_at
from resolvers.reads.page import COUNT_CAP, Page, PageRequest
from resolvers.reads.relations import Document, Gathered, Listed, Many, One, Picked, Referring
from resolvers.reads.semi_join import allowed, resolve_subqueries, widest
from resolvers.reads.successors import FORMER, with_successors

Row = dict[str, Any]
Fields = frozenset[str]
Collection = AsyncCollection[Row]
Family = tuple[str, list[Row]]
"""The parent's value by which children refer to it, and these children."""
Sort = list[tuple[str, int]]

WHOLE: Fields = frozenset()
"""Requests whole documents instead of some fields."""

SMALL = 10_000
"""Children of many parents are read in one find up to this many rows; beyond it each parent gets its own page."""

POINTS = 20
"""Look-ups of up to this many values are coalesced with those of other requests."""

BATCH = 4_000
"""Rows in a reply: many enough that a level is one round trip, few enough that reading them delays nobody for long."""

MERGED = 150
"""Index ranges that MongoDB merges in order; with more than 200 it reads and sorts everything."""

MOST_IDS = 20_000
"""Parents in one find: more of them take so long to encode that other requests would wait."""


class TooManyChildren(Exception):
    """The parents have so many children that each needs its own page."""


def collection_of(document: Document, *, as_sent: bool = False) -> AsyncCollection[Row]:
    """The collection of a document. Rows `as_sent` read like dictionaries, and are for `documents.mongo.raw.Writer`."""
    collection = document.get_pymongo_collection()
    return raw.as_sent(collection) if as_sent else collection


async def _narrowed(document: Document, filter: Filter, viewer: Viewer) -> Filter:
    """A client's filter, restricted to documents that the viewer may see."""
    return all_of([await allowed(document, viewer), await resolve_subqueries(filter, viewer)])


async def _conditions(document: Document, asked: PageRequest, viewer: Viewer) -> Filter:
    return all_of([await _narrowed(document, asked.filter, viewer), *asked.bounds()])


async def _of_children(link: Many, asked: PageRequest, viewer: Viewer) -> Filter:
    own = {} if link.follows else await allowed(link.document, viewer)
    return all_of([own, await resolve_subqueries(asked.filter, viewer), *asked.bounds()])


async def by_ids(
    document: Document, ids: Iterable[str], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> dict[str, Row]:
    """The rows with these ids that the viewer may see, by id."""
    wanted = sorted(set(ids))
    return await _by_values(document, "_id", wanted, fields, viewer, as_sent=as_sent) if wanted else {}


def by_value(document: Document, path: str, value: str, fields: Fields, viewer: Viewer) -> Awaitable[dict[str, Row]]:
    """The row with this value at a unique path, by that value; empty when the viewer may see none."""
    return _by_values(document, path, [value], fields, viewer)


async def by_key(document: Document, key: dict[str, str], fields: Fields, viewer: Viewer) -> Row | None:
    """The row with these values at its unique paths, None when the viewer may see none."""
    if len(key) == 1:
        ((path, value),) = key.items()
        return (await by_value(document, path, value, fields, viewer)).get(value)
    match = all_of([*(equals(path, value) for path, value in key.items()), await allowed(document, viewer)])
    rows = await _find(document, match, fields)
    return rows[0] if rows else None


def _by_values(
    document: Document, path: str, values: list[str], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> Awaitable[dict[str, Row]]:
    """Rows by the values of a unique path; a few are looked up together with those of other requests."""
    policy = readable(document, viewer)
    wanted = fields | {path} if fields and path not in fields else fields
    find = partial(_find_among, document, path, wanted, policy, viewer, as_sent)
    found: Awaitable[dict[str, Row]]
    if len(values) > POINTS:
        found = _keyed(path, find(values))
    else:
        found = coalesced((document, path, wanted, as_sent, repr(policy)), path, values, find)
    if document not in FORMER:
        return found
    return with_successors(
        found, document, path, values, lambda ids: _by_values(document, "_id", ids, fields, viewer, as_sent=as_sent)
    )


async def _find_among(
    document: Document, path: str, fields: Fields, policy: Filter, viewer: Viewer, as_sent: bool, values: list[str]
) -> list[Row]:
    match = all_of([{path: {"$in": values}}, await resolve_subqueries(policy, viewer)])
    return await _find(document, match, fields, as_sent=as_sent)


async def _keyed(path: str, rows: Awaitable[list[Row]]) -> dict[str, Row]:
    return {row[path]: row for row in await rows}


async def ones(
    link: One, parents: list[Row], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> list[Row | None]:
    """The linked row of each parent, None where the viewer may see none."""
    ids = [value_at(parent, link.via) for parent in parents]
    found = await by_ids(link.document, (id for id in ids if id is not None), fields, viewer, as_sent=as_sent)
    return [found.get(id) if id is not None else None for id in ids]


async def by_id_lists(
    link: Listed, parents: list[Row], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> list[list[Row]]:
    """The listed rows of each parent, in the parent's order, without those that the viewer may not see."""
    lists: list[list[str]] = [value_at(parent, link.via) or [] for parent in parents]
    found = await by_ids(link.document, (id for ids in lists for id in ids), fields, viewer, as_sent=as_sent)
    return [[found[id] for id in ids if id in found] for ids in lists]


async def rows_containing(
    link: Referring, parents: list[Row], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> list[list[Row]]:
    """The rows that list each parent."""
    ids = [parent["_id"] for parent in parents]
    match = all_of([{link.via: {"$in": ids}}, await allowed(link.document, viewer)])
    wanted = fields | {link.via, *link.order.paths} if fields else fields
    rows = await _find(link.document, match, wanted, link.order, as_sent=as_sent)
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for id in row[link.via]:
            groups[id].append(row)
    return [groups.get(id, []) for id in ids]


async def one_by(
    link: Picked, value: str, parents: list[Row], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> list[Row | None]:
    """The child of each parent that has `value` at `link.by`."""
    ids = [parent["_id"] for parent in parents]
    match = all_of([{link.via: {"$in": ids}}, equals(link.by, value), await allowed(link.document, viewer)])
    rows = await _find(link.document, match, fields | {link.via} if fields else fields, as_sent=as_sent)
    groups = {row[link.via]: row for row in rows}
    return [groups.get(id) for id in ids]


async def page_of_all(
    document: Document, asked: PageRequest, fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> Page:
    """A page of all rows of a kind."""
    match = await _conditions(document, asked, viewer)
    return asked.page(await _first_of_all(collection_of(document, as_sent=as_sent), match, asked, fields))


async def pages(
    link: Many, asked: PageRequest, parents: list[Row], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> list[Page]:
    """A page of children for each parent."""
    ids, collection = _named(link, parents), collection_of(link.document, as_sent=as_sent)
    conditions = await _of_children(link, asked, viewer)
    groups: Mapping[str, list[Row]]
    if len(ids) == 1:
        rows = await _first(collection, all_of([equals(link.via, ids[0]), conditions]), asked, fields)
        groups = {ids[0]: rows}
    elif link.alone:
        wanted = fields | {link.via} if fields else fields
        rows = await _first(collection, all_of([{link.via: {"$in": ids}}, conditions]), asked, wanted)
        groups = {rows[0][link.via]: rows} if rows else {}
    else:
        groups = await _children(link, collection, ids, conditions, asked, fields)
    made: list[Page] = []
    async for some in event_loop.batches(parents):
        made += asked.pages(groups.get(parent.get(link.of, ""), []) for parent in some)
    return made


def _named(link: Many, parents: list[Row]) -> list[str]:
    """The values by which the children of some parents refer to them."""
    return [id for id in dict.fromkeys(parent.get(link.of) for parent in parents) if id is not None]


async def pages_by_ids(
    link: Gathered, asked: PageRequest, parents: list[Row], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> list[Page]:
    """A page of the listed rows for each parent."""
    collection = collection_of(link.document, as_sent=as_sent)
    lists: list[set[str]] = [set(value_at(parent, link.via) or []) for parent in parents]
    match = all_of([{"_id": {"$in": sorted(set().union(*lists))}}, await _conditions(link.document, asked, viewer)])
    order = asked.reading_order
    rows = order.arrange(await _all(collection, match, fields | set(order.paths) if fields else fields))
    return asked.pages([row for row in rows if row["_id"] in ids][: asked.limit] for ids in lists)


async def count_all(document: Document, filter: dict[str, Any], viewer: Viewer) -> int | None:
    """How many rows of a kind match, None beyond the cap."""
    match = await _narrowed(document, filter, viewer)
    found = await collection_of(document).count_documents(match, limit=COUNT_CAP + 1)
    return _capped(found)


async def counts(link: Many, filter: dict[str, Any], parents: list[Row], viewer: Viewer) -> list[int | None]:
    """How many children of each parent match, None beyond the cap."""
    ids = _named(link, parents)
    match = await resolve_subqueries(filter, viewer) if link.follows else await _narrowed(link.document, filter, viewer)
    pipeline: list[dict[str, Any]] = [{"$match": match}, {"$limit": COUNT_CAP + 1}, {"$count": "found"}]
    if link.alone:
        ids = await _who_has_any(link, ids, match)
    counted = await _for_each(link, collection_of(link.document), ids, pipeline)
    found = {id: sum(row["found"] for row in rows) for id, rows in counted.items()}
    return [_capped(found.get(parent.get(link.of, ""), 0)) for parent in parents]


async def _who_has_any(link: Many, ids: list[str], match: Filter) -> list[str]:
    """The one parent that has children, where only one may have any."""
    any_of_them = all_of([{link.via: {"$in": ids}}, match])
    found = await _all(collection_of(link.document), any_of_them, frozenset({link.via}), limit=1)
    return [row[link.via] for row in found]


async def counts_by_ids(link: Gathered, filter: dict[str, Any], parents: list[Row], viewer: Viewer) -> list[int | None]:
    """How many of each parent's listed rows match, None beyond the cap."""
    lists: list[set[str]] = [set(value_at(parent, link.via) or []) for parent in parents]
    narrowed = await _narrowed(link.document, filter, viewer)
    match = all_of([{"_id": {"$in": sorted(set().union(*lists))}}, narrowed])
    found = {row["_id"] for row in await _find(link.document, match, frozenset({"_id"}))}
    return [_capped(len(ids & found)) for ids in lists]


def _capped(found: int) -> int | None:
    return found if found <= COUNT_CAP else None


async def _find(
    document: Document, match: Filter, fields: Fields, order: Order | None = None, *, as_sent: bool = False
) -> list[Row]:
    collection = collection_of(document, as_sent=as_sent)
    return await _all(collection, match, fields, order.sort() if order else None)


async def _all(
    collection: Collection, match: Filter, fields: Fields, sort: Sort | None = None, limit: int = 0
) -> list[Row]:
    """All rows of a find."""
    projection = dict.fromkeys(fields, 1)
    rows = await fast_find.find(collection, _command(match, projection, sort, limit))
    if rows is not None:
        return rows
    return await collection.find(match, projection or None, sort=sort, limit=limit, batch_size=BATCH).to_list()


def _command(match: Filter, projection: dict[str, int], sort: Sort | None, limit: int) -> dict[str, Any]:
    command: dict[str, Any] = {"filter": match, "batchSize": BATCH}
    if projection:
        command["projection"] = projection
    if sort:
        command["sort"] = dict(sort)
    if limit:
        command["limit"] = limit
    return command


async def _first_of_all(collection: Collection, match: Filter, asked: PageRequest, fields: Fields) -> list[Row]:
    """The first rows of a list that may have to be merged from many index ranges."""
    path, values = widest(match)
    if len(values) <= MERGED:
        return await _first(collection, match, asked, fields)
    parts = [{path: {"$in": values[start : start + MERGED]}} for start in range(0, len(values), MERGED)]
    found = await asyncio.gather(*(_first(collection, all_of([part, match]), asked, fields) for part in parts))
    return asked.reading_order.arrange([row for rows in found for row in rows])[: asked.limit]


async def _first(collection: Collection, match: dict[str, Any], asked: PageRequest, fields: Fields) -> list[Row]:
    """The first rows of one list, in reading order."""
    order = asked.reading_order
    wanted = fields | set(order.paths) if fields else fields
    if match == NEVER:
        return []
    if order.is_natural:
        return await _all(collection, match, wanted, order.sort(), asked.limit)
    stages = order.stages(match, asked.limit, collection.name) + _project(wanted)
    return await (await collection.aggregate(stages, batchSize=BATCH)).to_list()


async def _children(
    link: Many, collection: Collection, ids: list[str], conditions: Filter, asked: PageRequest, fields: Fields
) -> Mapping[str, list[Row]]:
    """The first rows of each parent: one find for all when they are few, else an aggregation with a page for each."""
    found: dict[str, list[Row]] = {}
    try:
        async for families in _families(link, collection, ids, conditions, asked, fields):
            found.update(families)
    except TooManyChildren:
        wanted = fields | {link.via, *asked.order.paths} if fields else fields
        stages = asked.reading_order.joined_stages(conditions, asked.limit)
        return await _for_each(link, collection, ids, [*stages, *_project(wanted)])
    return found


async def families(
    link: Many, asked: PageRequest, parents: list[Row], fields: Fields, viewer: Viewer, *, as_sent: bool = False
) -> AsyncIterator[list[Family]]:
    """The children of each parent that has any, in batches as they arrive, each parent's in reading order.

    Raises TooManyChildren when they are too many to be read without a limit for each parent.
    """
    ids, collection = _named(link, parents), collection_of(link.document, as_sent=as_sent)
    conditions = await _of_children(link, asked, viewer)
    async for some in _families(link, collection, ids, conditions, asked, fields):
        yield some


async def _families(
    link: Many, collection: Collection, ids: list[str], conditions: Filter, asked: PageRequest, fields: Fields
) -> AsyncIterator[list[Family]]:
    order = asked.reading_order
    wanted = fields | {link.via, *order.paths} if fields else fields
    most = max(SMALL, 4 * len(ids) * asked.limit)
    # In the direction of the first key, so that one index gives the parents together and their rows in order.
    sort = [(link.via, order.keys[0].direction), *(order.sort() if order.is_natural else [])]
    async for named in event_loop.batches(ids, MOST_IDS):
        match = all_of([{link.via: {"$in": named}}, conditions])
        async for some in _complete(_batches(collection, match, wanted, sort, most + 1), link.via, most):
            yield some if order.is_natural else [(parent, order.arrange(rows)) for parent, rows in some]


async def _batches(
    collection: Collection, match: Filter, fields: Fields, sort: Sort, limit: int
) -> AsyncGenerator[list[Row], None]:
    """The rows of a find in batches, as they arrive."""
    projection = dict.fromkeys(fields, 1)
    cursor = await fast_find.first_batch(collection, _command(match, projection, sort, limit))
    if cursor is None:
        plain = collection.find(match, projection or None, sort=sort, limit=limit, batch_size=BATCH)
        found = read_ahead([], plain)
    elif cursor["id"]:
        found = read_ahead(cursor["firstBatch"], fast_find.remaining_rows(collection, cursor).batch_size(BATCH))
    else:
        yield cursor["firstBatch"]
        return
    async with aclosing(found):
        async for batch in found:
            yield batch


async def read_ahead(
    first: list[Row], rest: AsyncCommandCursor[Row] | AsyncCursor[Row]
) -> AsyncGenerator[list[Row], None]:
    """Rows in batches. The next batch is fetched while the current one is processed."""
    async with rest:
        ahead = asyncio.create_task(rest.to_list(BATCH))
        try:
            if first:
                yield first
            while batch := await ahead:
                ahead = asyncio.create_task(rest.to_list(BATCH))
                yield batch
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


async def _complete(batches: AsyncGenerator[list[Row], None], via: str, most: int) -> AsyncIterator[list[Family]]:
    """Rows grouped by their parent, each group once it is complete."""
    read, parent, rest = 0, "", list[Row]()
    async with aclosing(batches):
        async for batch in batches:
            read += len(batch)
            if read > most:
                raise TooManyChildren
            async for some in event_loop.batches(batch):
                *complete, (parent, rest) = raw.families([*rest, *some], via)
                yield complete
    if rest:
        yield [(parent, rest)]


async def _for_each(
    link: Many, collection: Collection, ids: list[str], pipeline: list[dict[str, Any]]
) -> dict[str, list[Row]]:
    """The result of `pipeline` over the children of each parent, by the parent's id, in one round trip."""
    parent = documents.by_kind(ids[0]) if ids else None
    if parent is None:
        return {}
    lookup = {
        "from": collection.name,
        "localField": "_id",
        "foreignField": link.via,
        "as": "rows",
        "pipeline": pipeline,
    }
    stages: list[dict[str, Any]] = [{"$match": {"_id": {"$in": ids}}}, {"$project": {"_id": 1}}, {"$lookup": lookup}]
    parents = collection_of(parent).with_options(codec_options=collection.codec_options)
    found = await parents.aggregate(stages, batchSize=BATCH)
    return {row["_id"]: row["rows"] async for row in found}


def _project(fields: Fields) -> list[dict[str, Any]]:
    return [{"$project": dict.fromkeys(fields, 1)}] if fields else []
