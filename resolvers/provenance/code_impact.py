"""Code impact: the artifacts that runs of some code made, in any domain, oldest first.

The ids of runs are read a few thousand at a time, and of what these made the first artifacts of a page: neither many
runs nor many artifacts take memory here. A viewer finds what they may see of the runs that they may see: which code a
hidden run ran stays hidden as well.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of
from resolvers.limits import MAX_COUNTED_ROWS
from resolvers.provenance.code_search import CodeSearch, code_search
from resolvers.provenance.node_pages import ConnectionRead, page_rows
from resolvers.provenance.references import REFERENCES, UPSTREAM, LineageEdgeKind, Reference
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import Order, SortKey
from resolvers.reads.page_request import Page, PageRequest
from resolvers.reads.rows import Row, collection_of, find_rows
from resolvers.reads.semi_join import policy_filter

BY_TIME = Order.by(SortKey("created_at", datetime))
CURSOR_SCOPE = "codeImpact"
"""Binds cursors to lists of what some code made."""
GENERATED_BY = tuple(one for one in REFERENCES if one.kind is LineageEdgeKind.GENERATED and one.direction is UPSTREAM)
"""The references of artifacts to the activities that made them, which store their code."""
RUNS_AT_ONCE = 5_000
"""Runs whose artifacts are looked up by one find."""


async def code_impact(
    parents: list[Row],
    viewer: Viewer,
    *,
    fields_of: NodeSelection,
    repository: str,
    commits: list[str],
    path: str | None = None,
    **arguments: Any,
) -> list[Row]:
    """A page of the artifacts that runs of some code made, for each parent.

    `arguments` are those of a connection. Raises InvalidInput, LimitExceeded and BadCursor.
    """
    search, read = code_search(repository, commits, path), ConnectionRead(viewer, fields_of, arguments)
    request = read.page_request(CURSOR_SCOPE, BY_TIME, search.key)
    page = await _page(search, request, read)
    return page_rows(parents, [page] * len(parents), partial(_counts, search))


async def _page(search: CodeSearch, request: PageRequest, read: ConnectionRead) -> Page:
    """A page of the artifacts."""
    found = await asyncio.gather(*(_first_made(one, search, request, read) for one in GENERATED_BY))
    return request.page(request.reading_order.arrange(list(chain.from_iterable(found)))[: request.limit])


async def _first_made(
    reference: Reference, search: CodeSearch, request: PageRequest, read: ConnectionRead
) -> list[Row]:
    """The first artifacts of a kind, in reading order."""
    order, document = request.reading_order, reference.document
    fields, first = read.fields_of(document) | set(order.paths), list[Row]()
    async for made in _made_by_some(reference, search, read.viewer):
        match = all_of([made, *request.bounds()])
        rows = await find_rows(
            collection_of(document), match, fields, order.sort(), request.limit, index=reference.index
        )
        first = order.arrange([*first, *rows])[: request.limit]
    return first


async def _counts(search: CodeSearch, parents: list[Row], viewer: Viewer) -> list[int | None]:
    """The number of all artifacts for each parent, None beyond the cap."""
    count = sum(await asyncio.gather(*(_count(one, search, viewer) for one in GENERATED_BY)))
    return [count if count <= MAX_COUNTED_ROWS else None] * len(parents)


async def _count(reference: Reference, search: CodeSearch, viewer: Viewer) -> int:
    """The number of artifacts of a kind, or at least one more than the cap."""
    collection, count = collection_of(reference.document), 0
    async for made in _made_by_some(reference, search, viewer):
        count += await collection.count_documents(made, limit=MAX_COUNTED_ROWS + 1, hint=reference.index)
        if count > MAX_COUNTED_ROWS:
            break
    return count


async def _made_by_some(reference: Reference, search: CodeSearch, viewer: Viewer) -> AsyncIterator[Filter]:
    """Filters for the artifacts of a kind that the viewer may see, each for those of some runs of the code."""
    (activity,) = reference.targets
    runs = all_of([search.filter, await policy_filter(activity, viewer)])
    policy = await policy_filter(reference.document, viewer)
    async with collection_of(activity).find(runs, {"_id": 1}, batch_size=RUNS_AT_ONCE) as cursor:
        while rows := await cursor.to_list(RUNS_AT_ONCE):
            yield all_of([{reference.path: {"$in": [row["_id"] for row in rows]}}, policy])
