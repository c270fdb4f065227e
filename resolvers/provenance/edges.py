"""Edges between the nodes of a walk, from what the nodes' rows refer to and from joins."""

from resolvers.concurrency import event_loop
from resolvers.provenance.frontier import Walk
from resolvers.provenance.graph import by_document
from resolvers.provenance.references import DOWNSTREAM, UPSTREAM, LineageEdgeKind, Reference, references_on
from resolvers.reads.rows import Row

BATCH_NODES = 100
"""Nodes whose edges are found between pauses for other tasks: each may refer to 10,000 others."""


async def edges_between(walk: Walk) -> list[Row]:
    """All edges between the nodes of a walk, each a LineageEdge as a row. The answer is told how many there are."""
    edges: list[Row] = []
    async for ids in event_loop.batches(list(walk.distances), BATCH_NODES):
        for document, of_kind in by_document(ids).items():
            for reference in references_on(document):
                edges += _referred_edges(walk, reference, of_kind)
        if any(walk.graph.joined.values()):
            edges += _joined_edges(walk, ids)
        walk.request.selection.expect_objects(len(walk.distances) + len(edges))
    return edges


def _referred_edges(walk: Walk, reference: Reference, ids: list[str]) -> list[Row]:
    """The edges that rows of these nodes store in a reference."""
    shown, rows, kind = walk.distances, [walk.graph.rows[id] for id in ids], reference.kind
    of, to = ("to_id", "from_id") if reference.direction is UPSTREAM else ("from_id", "to_id")
    edges = [
        {of: id, to: other, "kind": kind, "assumed": False}
        for id, others in zip(ids, reference.ids(rows), strict=True)
        for other in others
        if other in shown
    ]
    if reference.assumed and walk.request.shows_assumed:
        lists = reference.assumed_ids(rows)
        if assumed := {(id, other) for id, others in zip(ids, lists, strict=True) for other in others}:
            for edge in edges:
                edge["assumed"] = (edge[of], edge[to]) in assumed
    return edges


def _joined_edges(walk: Walk, ids: list[str]) -> list[Row]:
    """The edges that joins make downstream of these nodes, and those upstream of them that are known from no other."""
    shown, (upstream, downstream) = walk.distances, (walk.graph.joined[UPSTREAM], walk.graph.joined[DOWNSTREAM])
    edges = [(id, other, kind) for id in ids for other, kind in downstream.get(id, {}).items()]
    for id in ids:
        # Joins may have been read from either end, or from both.
        edges += [
            (other, id, kind) for other, kind in upstream.get(id, {}).items() if id not in downstream.get(other, ())
        ]
    return [_edge(start, end, kind, False) for start, end, kind in edges if start in shown and end in shown]


def _edge(from_id: str, to_id: str, kind: LineageEdgeKind, assumed: bool) -> Row:
    return {"from_id": from_id, "to_id": to_id, "kind": kind, "assumed": assumed}
