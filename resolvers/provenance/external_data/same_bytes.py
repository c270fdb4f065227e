"""Outputs and archives of ours that have the same bytes as data elsewhere."""

import documents
from resolvers.access.viewer import Viewer
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.relations import Document
from resolvers.reads.rows import BATCH_SIZE, Row, collection_of, lookup_stage, project_stages
from resolvers.reads.semi_join import policy_filter

KINDS: tuple[Document, ...] = (documents.Output, documents.Archive)
"""Kinds of artifacts whose bytes are of any format, in the order in which they are preferred."""


async def same_bytes(rows: list[Row], viewer: Viewer, *, fields_of: NodeSelection) -> list[Row | None]:
    """The oldest output with the hash of each row, or else the oldest archive, among those that the viewer may see. One
    round trip."""
    ids = [row["_id"] for row in rows if row.get("sha256") is not None]
    if not ids:
        return [None] * len(rows)
    lookups = [await _first_of_kind(kind, viewer, fields_of) for kind in KINDS]
    stages: list[Row] = [{"$match": {"_id": {"$in": ids}}}, *lookups]
    cursor = await collection_of(documents.ExternalData).aggregate(stages, batchSize=BATCH_SIZE)
    found = await cursor.to_list()
    first = {row["_id"]: next((same for kind in KINDS for same in row[kind.kind]), None) for row in found}
    return [first.get(row["_id"]) for row in rows]


async def _first_of_kind(kind: Document, viewer: Viewer, fields_of: NodeSelection) -> Row:
    """The stage that finds the oldest artifact of a kind."""
    stages: list[Row] = [{"$match": await policy_filter(kind, viewer)}, {"$sort": {"_id": 1}}, {"$limit": 1}]
    return lookup_stage(kind, "sha256", "sha256", kind.kind, [*stages, *project_stages(fields_of(kind))])
