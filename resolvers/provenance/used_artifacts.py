"""Artifacts that activities used: those that steps and transforms read, and the archives that ingestions merged."""

from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from resolvers.access.viewer import ADMIN, Viewer
from resolvers.concurrency import event_loop
from resolvers.filters import Filter
from resolvers.provenance.kinds import ACTIVITIES
from resolvers.provenance.listed_artifacts import LISTED, Ids, count_listed, pages_of_listed
from resolvers.provenance.node_pages import ConnectionRead, count_linked, page_rows, pages_by_kind
from resolvers.provenance.node_rows import rows_by_id
from resolvers.reads import lookups
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import Order, SortKey
from resolvers.reads.page_request import Page
from resolvers.reads.pages import pages_of_children
from resolvers.reads.relations import Children, Document
from resolvers.reads.rows import Row

USED = "used"
"""Path of the artifacts that a step or transform used. It also binds cursors to lists of them."""
USED_PATHS: dict[Any, tuple[str, ...]] = {
    documents.Step: ("used", "used_truncated"),
    documents.Transform: ("used", "used_truncated"),
}
USED_FIELDS = frozenset({USED, "used_truncated"})
"""Fields that say what a step or transform used."""
ARCHIVE = "archiveRef"
BY_ARCHIVE = Order((SortKey(ARCHIVE),))
"""Of the parts of an ingestion or a generation, which has one for each archive: oldest first."""
MERGED: Filter = {"status": ActivityStatus.SUCCEEDED.value}
"""Parts of ingestions whose archives were merged."""
# An ingestion is as visible as its instance, and so are the archives of that.
PARTS = Children(documents.IngestionPart, "ingestionRef", BY_ARCHIVE, inherits_access=True)


def used_paths(activity: Any) -> tuple[str, ...]:
    """The fields of an activity that lead to what it used, by their Python names."""
    return USED_PATHS.get(activity, ())


async def used_artifacts(
    activities: list[Row], viewer: Viewer, *, fields_of: NodeSelection, **arguments: Any
) -> list[Row]:
    """A page of the artifacts that each activity used and the viewer may see, in the order of recording.

    `arguments` are those of a connection. Raises InvalidInput and BadCursor.
    """
    return await pages_by_kind(activities, _pages, ConnectionRead(viewer, fields_of, arguments))


async def _pages(activity: Document, activities: list[Row], read: ConnectionRead) -> list[Row]:
    if activity is documents.Ingestion:
        return await pages_of_archives(activities, read)
    return await _pages_of_recorded_inputs(activities, read)


async def _pages_of_recorded_inputs(activities: list[Row], read: ConnectionRead) -> list[Row]:
    """A page of what each step or transform used."""
    request = read.page_request(USED, LISTED)
    lists = await used_ids(activities)
    return page_rows(activities, await pages_of_listed(lists, request, read.fields_of, read.viewer), _counts_of_inputs)


async def pages_of_archives(
    parents: list[Row], read: ConnectionRead, link: Children = PARTS, filter: Filter = MERGED
) -> list[Row]:
    """A page of the archives in the parts that `link` finds for each parent."""
    request = read.page_request(link.document.collection_name(), link.order, filter)
    pages = await pages_of_children(link, request, parents, frozenset({ARCHIVE}), read.viewer)
    ids = {part[ARCHIVE] for page in pages for part in page.rows}
    archives = await lookups.by_ids(documents.Archive, ids, read.fields_of(documents.Archive), read.viewer)
    return page_rows(parents, [_of_archives(page, archives) for page in pages], count_linked(link, filter))


async def used_ids(activities: list[Row]) -> list[Ids]:
    """The ids of the artifacts that each step or transform used."""
    rows, found = await with_used(activities), list[Ids]()
    async for some in event_loop.weighted_batches(
        rows, (event_loop.weight_of_ids(row.get(USED) or ()) for row in rows)
    ):
        found += [[entry["ref"] for entry in row.get(USED) or []] for row in some]
    return found


async def with_used(activities: list[Row]) -> list[Row]:
    """Rows of the steps and transforms with what they used, which is read for those that lack it."""
    lacking = [row["_id"] for row in activities if USED not in row]
    # The activities themselves were read with the viewer's policy.
    found = await rows_by_id(lacking, ACTIVITIES, NodeSelection(lambda kind: USED_FIELDS), ADMIN)
    return [row | found.get(row["_id"], {}) for row in activities]


async def _counts_of_inputs(activities: list[Row], viewer: Viewer) -> list[int | None]:
    return await count_listed(await used_ids(activities), viewer)


def _of_archives(page: Page, archives: dict[str, Row]) -> Page:
    """The page of parts as a page of their archives. Cursors are made of the archives' ids."""
    return page._replace(
        rows=[archives[part[ARCHIVE]] | {ARCHIVE: part[ARCHIVE]} for part in page.rows if part[ARCHIVE] in archives]
    )
