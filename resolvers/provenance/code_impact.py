"""Code impact: the artifacts that runs of some code made, in any domain, oldest first.

Ids and times of the artifacts on a page are found in one aggregation for each kind, which the database sorts in bounded
memory; the artifacts are then read by their ids. A viewer finds what they may see of the runs that they may see: which
code a hidden run ran stays hidden as well.
"""

import asyncio
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from resolvers.access.viewer import Viewer
from resolvers.filters import all_of
from resolvers.limits import MAX_COUNTED_ROWS
from resolvers.provenance.code_search import CodeSearch, code_search
from resolvers.provenance.node_pages import ConnectionRead, page_rows
from resolvers.provenance.node_rows import rows_by_id
from resolvers.provenance.references import REFERENCES, UPSTREAM, LineageEdgeKind, Reference
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import Order, SortKey
from resolvers.reads.page_request import Page, PageRequest
from resolvers.reads.rows import BATCH_SIZE, Row, collection_of, lookup_stage
from resolvers.reads.semi_join import policy_filter

BY_TIME = Order.by(SortKey("created_at", datetime))
CURSOR_SCOPE = "codeImpact"
"""Binds cursors to lists of what some code made."""
GENERATED_BY = tuple(one for one in REFERENCES if one.kind is LineageEdgeKind.GENERATED and one.direction is UPSTREAM)
"""The references of artifacts to the activities that made them, which store their code."""


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
    """A page of the artifacts, in two rounds of parallel reads."""
    order, bounds = request.reading_order, all_of(request.bounds())
    of_run, of_all = order.lookup_stages(bounds, request.limit), order.lookup_stages({}, request.limit)
    found = await asyncio.gather(*(_places(one, search, read.viewer, of_run, of_all) for one in GENERATED_BY))
    page = request.page(order.arrange(list(chain.from_iterable(found)))[: request.limit])
    ids, kinds = [place["_id"] for place in page.rows], [one.document for one in GENERATED_BY]
    fields = NodeSelection(lambda kind: read.fields_of(kind) | {"created_at"})
    rows = await rows_by_id(ids, kinds, fields, read.viewer)
    return page._replace(rows=[rows[id] for id in ids if id in rows])


async def _counts(search: CodeSearch, parents: list[Row], viewer: Viewer) -> list[int | None]:
    """The number of all artifacts for each parent, None beyond the cap."""
    enough: Row = {"$limit": MAX_COUNTED_ROWS + 1}
    stages: list[Row] = [enough, {"$count": "found"}]
    counted = await asyncio.gather(*(_places(one, search, viewer, [enough], stages) for one in GENERATED_BY))
    count = sum(row["found"] for rows in counted for row in rows)
    return [count if count <= MAX_COUNTED_ROWS else None] * len(parents)


async def _places(
    reference: Reference, search: CodeSearch, viewer: Viewer, of_run: list[Row], of_all: list[Row]
) -> list[Row]:
    """Ids and times of the artifacts of a kind that the viewer may see: stages for those of each run, and for all."""
    (activity,) = reference.targets
    runs = all_of([search.filter, await policy_filter(activity, viewer)])
    policy = await policy_filter(reference.document, viewer)
    of_each: list[Row] = [{"$match": policy}, *of_run, {"$project": {"created_at": 1}}]
    made = lookup_stage(reference.document, "_id", reference.path, "made", of_each)
    joined: list[Row] = [{"$match": runs}, {"$project": {"_id": 1}}, made, {"$unwind": "$made"}]
    stages: list[Row] = [*joined, {"$replaceWith": "$made"}, *of_all]
    return await (await collection_of(activity).aggregate(stages, batchSize=BATCH_SIZE)).to_list()
