"""Edges between the nodes of a walk, from what the nodes' rows refer to and from joins."""

from resolvers.concurrency import event_loop
from resolvers.provenance.frontier import Walk
from resolvers.provenance.references import DOWNSTREAM, UPSTREAM, LineageEdgeKind, Reference
from resolvers.reads.rows import Row


async def edges_between(walk: Walk) -> list[Row]:
    """All edges between the nodes of a walk, each a LineageEdge as a row. The answer is told how many there are."""
    edges: list[Row] = []
    async for ids in event_loop.batches(list(walk.distances)):
        for reference, referred in walk.graph.referred.items():
            if referred:
                edges += _referred_edges(walk, reference, [id for id in ids if id in referred])
        if any(walk.graph.joined.values()):
            edges += _joined_edges(walk, ids)
        walk.request.selection.expect_objects(len(walk.distances) + len(edges))
    return edges


def _referred_edges(walk: Walk, reference: Reference, ids: list[str]) -> list[Row]:
    """The edges that rows of these nodes store in a reference."""
    shown, referred, rows, kind = walk.distances, walk.graph.referred[reference], walk.graph.rows, reference.kind
    pairs = dict.fromkeys([(id, other) for id in ids for other in referred[id] if other in shown])
    assumed = {(id, other) for id in ids for other in reference.assumed_ids(rows[id])} if reference.assumed else set()
    if reference.direction is UPSTREAM:
        return [_edge(other, id, kind, (id, other) in assumed) for id, other in pairs]
    return [_edge(id, other, kind, (id, other) in assumed) for id, other in pairs]


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
