"""Activities that read an artifact: steps and transforms that used it, and ingestions that merged an archive."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from itertools import chain
from typing import Any

from resolvers.access.viewer import Viewer
from resolvers.filters import all_of
from resolvers.limits import MAX_COUNTED_ROWS
from resolvers.provenance.kinds import ACTIVITIES
from resolvers.provenance.node_pages import ConnectionRead, page_rows
from resolvers.provenance.node_rows import rows_by_id
from resolvers.provenance.references import (
    DOWNSTREAM,
    Join,
    LineageEdgeKind,
    Reference,
    by_document,
    joins_from,
    references_to,
)
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import BY_ID, Order, SortKey
from resolvers.reads.page_request import Page
from resolvers.reads.relations import Document
from resolvers.reads.rows import BATCH_SIZE, Row, collection_of, lookup_stage, project_stages
from resolvers.reads.semi_join import policy_filter

OLDEST_FIRST = Order.by(SortKey("created_at", datetime), BY_ID)
PLACE = OLDEST_FIRST.paths
"""The fields that say where an activity stands in a list."""
CURSOR_SCOPE = "usedBy"
"""Binds cursors to lists of activities that read an artifact."""
Stages = list[Row]
StagesOf = Callable[[Document], Awaitable[Stages]]
"""The stages of an aggregation over the activities of a kind."""


async def using_activities(
    artifacts: list[Row], viewer: Viewer, *, fields_of: NodeSelection, **arguments: Any
) -> list[Row]:
    """A page of the activities that read exactly each artifact and that the viewer may see, oldest first.

    `arguments` are those of a connection. Two round trips for each kind of activity: where they stand in each list, and
    each of them once. Raises InvalidInput and BadCursor.
    """
    read = ConnectionRead(viewer, fields_of, arguments)
    request = read.page_request(CURSOR_SCOPE, OLDEST_FIRST)

    async def stages(activity: Document) -> Stages:
        match = all_of([await policy_filter(activity, viewer), *request.bounds()])
        return [*request.reading_order.lookup_stages(match, request.limit), *project_stages(frozenset(PLACE))]

    found = await _look_up(artifacts, stages)
    lists = (request.reading_order.arrange(found[artifact["_id"]])[: request.limit] for artifact in artifacts)
    pages = request.pages(lists)
    ids = (place["_id"] for page in pages for place in page.rows)
    selection = NodeSelection(lambda kind: fields_of(kind) | {"created_at"})
    rows = await rows_by_id(ids, ACTIVITIES, selection, viewer)
    return page_rows(artifacts, [_with_rows(page, rows) for page in pages], count_using)


async def count_using(artifacts: list[Row], viewer: Viewer) -> list[int | None]:
    """How many activities that the viewer may see read each artifact, None beyond the cap."""

    async def stages(activity: Document) -> Stages:
        match = await policy_filter(activity, viewer)
        return [{"$match": match}, {"$limit": MAX_COUNTED_ROWS + 1}, {"$count": "found"}]

    found = await _look_up(artifacts, stages)
    counts = (sum(row["found"] for row in found[artifact["_id"]]) for artifact in artifacts)
    return [count if count <= MAX_COUNTED_ROWS else None for count in counts]


def _with_rows(page: Page, rows: dict[str, Row]) -> Page:
    return page._replace(rows=[rows[place["_id"]] for place in page.rows if place["_id"] in rows])


async def _look_up(artifacts: Iterable[Row], stages_of: StagesOf) -> dict[str, list[Row]]:
    """The rows to which the stages for each kind turn the activities that read each artifact, by the artifact's id."""
    reads = [
        _look_up_one(kind, ids, lookup_stages(use, await stages_of(activity_of(use))))
        for kind, ids in by_document(dict.fromkeys(artifact["_id"] for artifact in artifacts)).items()
        for use in uses(kind)
    ]
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for id, rows in chain.from_iterable(pairs.items() for pairs in await asyncio.gather(*reads)):
        found[id] += rows
    return found


async def _look_up_one(kind: Document, ids: list[str], stages: Stages) -> dict[str, list[Row]]:
    of_ids: Stages = [{"$match": {"_id": {"$in": ids}}}, {"$project": {"_id": 1}}]
    cursor = await collection_of(kind).aggregate([*of_ids, *stages], batchSize=BATCH_SIZE)
    return {row["_id"]: row["rows"] async for row in cursor}


def uses(artifact: Document) -> list[Reference | Join]:
    """How activities refer to the artifacts of a kind that they read."""
    declared: list[Reference | Join] = [*references_to(artifact, DOWNSTREAM), *joins_from(artifact, DOWNSTREAM)]
    return [use for use in declared if use.kind is LineageEdgeKind.USED]


def activity_of(use: Reference | Join) -> Document:
    """The kind of activity that refers to artifacts in this way."""
    return use.downstream if isinstance(use, Join) else use.document


def lookup_stages(use: Reference | Join, stages: Stages) -> Stages:
    """Stages that store with an artifact, as `rows`, what `stages` make of the activities that read it."""
    if isinstance(use, Reference):
        return [lookup_stage(use.document, "_id", use.path, "rows", stages)]
    joining: Stages = [{"$match": use.filter}, {"$project": {use.downstream_path: 1}}]
    return [
        lookup_stage(use.document, "_id", use.upstream_path, "joining", joining),
        lookup_stage(use.downstream, f"joining.{use.downstream_path}", "_id", "rows", stages),
    ]
