"""The kinds of nodes of the provenance graph: artifacts, and the activities that take turns with them."""

import documents
from resolvers.reads.relations import Document

ARTIFACTS: tuple[Document, ...] = (
    documents.Archive,
    documents.Distribution,
    documents.ExternalData,
    documents.Generation,
    documents.Output,
    documents.Result,
)
"""Kinds of data in one exact state."""
ACTIVITIES: tuple[Document, ...] = (documents.Ingestion, documents.Step, documents.Transform)
"""Kinds of runs, which use artifacts and generate others."""
