"""Staleness: whether what artifacts were made of or with has moved on since, as far as the viewer may see it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Any

import documents
from documents.base import EmbeddedModel
from resolvers.access.viewer import Viewer
from resolvers.concurrency import event_loop
from resolvers.limits import MAX_STALENESS_CAUSES, MAX_STALENESS_DEPTH, MAX_STALENESS_NODES
from resolvers.provenance.lineage.lineage import LineageDirection, LineageRequest
from resolvers.provenance.lineage.walk import lineages
from resolvers.provenance.staleness.causes import Causes, StalenessCauseKind
from resolvers.provenance.staleness.known_upstream import is_upstream_known
from resolvers.provenance.staleness.newer_code import STEP_FIELDS, TRANSFORM_FIELDS, step_causes, transform_causes
from resolvers.provenance.staleness.newer_dataset_versions import DISTRIBUTION_FIELDS, distribution_causes
from resolvers.provenance.staleness.newer_external_data import EXTERNAL_DATA_FIELDS, external_data_causes
from resolvers.provenance.staleness.newer_generations import (
    GENERATION_FIELDS,
    USE_FIELDS,
    generation_causes,
    grown_generation_causes,
)
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.relations import Document
from resolvers.reads.rows import Fields, Row

FIELDS: dict[Document, Fields] = {
    documents.Distribution: DISTRIBUTION_FIELDS,
    documents.ExternalData: EXTERNAL_DATA_FIELDS,
    documents.Generation: GENERATION_FIELDS,
    documents.Step: STEP_FIELDS | USE_FIELDS,
    documents.Transform: TRANSFORM_FIELDS | USE_FIELDS,
}
"""The stored fields of nodes from which is found whether they have moved on."""


class StalenessStatus(StrEnum):
    """The verdict on an artifact."""

    FRESH = "FRESH"
    STALE = "STALE"
    UNKNOWN = "UNKNOWN"


class StalenessCause(EmbeddedModel):
    """A node that has moved on, as the row that was read; what was used of it, and what there is now."""

    kind: StalenessCauseKind
    node: dict[str, Any]
    used: str | None
    latest: str | None


class Staleness(EmbeddedModel):
    """The verdict on an artifact, and what has moved on, the nearest first."""

    status: StalenessStatus
    causes: list[StalenessCause]


async def staleness(
    artifacts: list[Row], viewer: Viewer, *, reader_version: str, fields_of: NodeSelection
) -> list[Row]:
    """The staleness of each artifact as a row, where reports are read by `reader_version` now.

    The lineages of all artifacts are walked together; causes take at most three round trips more, whatever is upstream.
    """
    selection = NodeSelection(
        lambda document: fields_of(document) | FIELDS.get(document, frozenset()), names=frozenset({"truncatedBy"})
    )
    request = LineageRequest(LineageDirection.UPSTREAM, MAX_STALENESS_DEPTH, MAX_STALENESS_NODES, selection)
    walked = await lineages([[artifact] for artifact in artifacts], viewer, request)
    rows = {node["node"]["_id"]: node["node"] for lineage in walked for node in lineage["nodes"]}
    found = await _causes(rows, viewer, reader_version)
    verdicts = []
    async for ((artifact, lineage),) in event_loop.batches(list(zip(artifacts, walked, strict=True)), 1):
        verdicts.append(_verdict(artifact["_id"], lineage, found))
    return verdicts


def causes(verdicts: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The causes of each verdict."""
    return [verdict["causes"] for verdict in verdicts]


def _verdict(artifact_id: str, lineage: Row, found: Causes) -> Row:
    nodes = sorted(lineage["nodes"], key=lambda node: abs(node["distance"]))
    shown = list(islice(_causes_at(nodes, found), MAX_STALENESS_CAUSES))
    if shown:
        return {"status": StalenessStatus.STALE.value, "causes": shown}
    rows = {node["node"]["_id"]: node["node"] for node in nodes}
    is_known = not lineage["truncated_by"] and found.unknown.isdisjoint(rows) and is_upstream_known(rows, artifact_id)
    status = StalenessStatus.FRESH if is_known else StalenessStatus.UNKNOWN
    return {"status": status.value, "causes": []}


def _causes_at(nodes: list[Row], found: Causes) -> Iterator[Row]:
    rows = {node["node"]["_id"]: node["node"] for node in nodes}
    for node in nodes:
        id = node["node"]["_id"]
        for cause in found.by_id.get(id, ()):
            # Data that a node used may be out of bounds.
            row = rows.get(cause.node_id or id)
            # An artifact stays what it is when it has a later version: that matters to what was made of it.
            if row is not None and (node["distance"] or cause.kind is not StalenessCauseKind.NEWER_DATA):
                yield {"kind": cause.kind.value, "node": row, "used": cause.used, "latest": cause.latest}


async def _causes(rows: dict[str, Row], viewer: Viewer, reader_version: str) -> Causes:
    """How nodes, by their ids, have moved on."""
    of_kind: defaultdict[Document | None, list[Row]] = defaultdict(list)
    for id, row in rows.items():
        of_kind[documents.by_kind(id)].append(row)
    generations = of_kind[documents.Generation]
    found = await asyncio.gather(
        transform_causes(of_kind[documents.Transform], viewer),
        step_causes(of_kind[documents.Step], viewer),
        distribution_causes(of_kind[documents.Distribution], viewer),
        external_data_causes(of_kind[documents.ExternalData], viewer),
        grown_generation_causes(generations, of_kind[documents.Step] + of_kind[documents.Transform]),
    )
    causes = generation_causes(generations, reader_version)
    for of_others in found:
        causes.update(of_others)
    return causes
