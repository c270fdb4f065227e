"""Artifacts that activities made: outputs of steps, distributions of transforms, generations of ingestions."""

from typing import Any

import documents
from resolvers.access.viewer import Viewer
from resolvers.provenance.kinds import ACTIVITIES
from resolvers.provenance.node_pages import ConnectionRead, count_linked, page_rows, pages_by_kind
from resolvers.provenance.references import DOWNSTREAM, LineageEdgeKind, Reference, references_on, references_to
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.pages import pages_of_children
from resolvers.reads.relations import Children, Document
from resolvers.reads.rows import Row


def generated_paths(activity: Any) -> tuple[str, ...]:
    """The fields of an activity that lead to what it made, by their Python names."""
    return ("generation_ref",) if activity is documents.Ingestion else ()


async def generated_artifacts(
    activities: list[Row], viewer: Viewer, *, fields_of: NodeSelection, **arguments: Any
) -> list[Row]:
    """A page of the artifacts that each activity made and the viewer may see, oldest first.

    Those of a step are the outputs of all its attempts. `arguments` are those of a connection. Raises InvalidInput and
    BadCursor.
    """
    return await pages_by_kind(activities, _pages, ConnectionRead(viewer, fields_of, arguments))


async def _pages(activity: Document, activities: list[Row], read: ConnectionRead) -> list[Row]:
    link = GENERATED[activity]
    request = read.page_request(link.document.collection_name(), link.order)
    pages = await pages_of_children(link, request, activities, read.fields_of(link.document), read.viewer)
    return page_rows(activities, pages, count_linked(link))


def _link(activity: Document) -> Children:
    """The link from activities of a kind to what they made: it is stored on either of them."""
    (stored,) = (one for one in (*references_on(activity), *references_to(activity, DOWNSTREAM)) if _is_generated(one))
    if stored.document is activity:
        return Children(stored.targets[0], "_id", of=stored.path)
    return Children(stored.document, stored.path)


def _is_generated(reference: Reference) -> bool:
    return reference.kind is LineageEdgeKind.GENERATED


GENERATED = {activity: _link(activity) for activity in ACTIVITIES}
