"""Lookups of artifacts and of activities by their ids, of several kinds at once."""

import asyncio
from collections.abc import Collection, Iterable

from resolvers.access.viewer import ADMIN, Viewer
from resolvers.provenance.references import SEEN_THROUGH_EDGES, by_document
from resolvers.reads import lookups
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.relations import Document
from resolvers.reads.rows import Fields, Row

MAX_IDS_PER_LOOKUP = 10_000


async def rows_by_id(
    ids: Iterable[str], kinds: Collection[Document], fields_of: NodeSelection, viewer: Viewer
) -> dict[str, Row]:
    """The rows of these kinds that have one of these ids and that the viewer may see, by id: one find for each kind.

    The viewer sees an edge that leads to each of them.
    """
    groups = by_document(sorted(set(ids)))
    found = await asyncio.gather(
        *(_rows(kind, of_kind, fields_of(kind), viewer) for kind, of_kind in groups.items() if kind in kinds)
    )
    return {id: row for rows in found for id, row in rows.items()}


async def _rows(document: Document, ids: list[str], fields: Fields, viewer: Viewer) -> dict[str, Row]:
    reader = ADMIN if document in SEEN_THROUGH_EDGES else viewer
    rows: dict[str, Row] = {}
    for start in range(0, len(ids), MAX_IDS_PER_LOOKUP):
        rows |= await lookups.by_ids(document, ids[start : start + MAX_IDS_PER_LOOKUP], fields, reader)
    return rows
