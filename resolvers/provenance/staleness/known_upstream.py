"""Whether everything upstream of an artifact is known: without that, nobody can call it fresh."""

from collections.abc import Collection, Mapping

import documents
from documents.base import kind_of
from resolvers.provenance.references import UPSTREAM, references_on
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row

REQUIRED: dict[Document, tuple[str, ...]] = {
    documents.Step: ("used", "code"),
    documents.Transform: ("used", "code"),
    documents.Distribution: ("transform_id",),
}
"""Stored fields that are missing where nobody said what an activity read or ran, or which activity made an artifact."""


def is_upstream_known(rows: Mapping[str, Row], artifact_id: str) -> bool:
    """Whether the rows, by id, are everything upstream of an artifact, and none was assumed.

    Where a row refers to another one that is missing, it is hidden from the viewer, gone, or out of bounds. What made
    data that lies elsewhere is not known here, so such an artifact is never known; what used it may be.
    """
    if kind_of(artifact_id) == documents.ExternalData.kind:
        return False
    ingested = {row.get("generationRef") for id, row in rows.items() if kind_of(id) == documents.Ingestion.kind}
    return all(_is_known(id, row, rows, ingested) for id, row in rows.items())


def _is_known(id: str, row: Row, rows: Mapping[str, Row], ingested: Collection[str | None]) -> bool:
    document = documents.by_kind(id)
    assert document is not None
    if document is documents.Generation and id not in ingested:
        return False
    for path in REQUIRED.get(document, ()):
        # A run that read nothing is known to have read nothing; one without code is unknown.
        if row.get(path) is None or (path == "code" and not row[path]):
            return False
    upstream = (reference for reference in references_on(document) if reference.direction is UPSTREAM)
    return all(
        not reference.assumed_ids([row])[0] and rows.keys() >= set(reference.ids([row])[0]) for reference in upstream
    )
