"""Edges between the nodes of a walk, from what the nodes' rows refer to and from joins."""

from resolvers.concurrency import event_loop
from resolvers.provenance.frontier import Walk
from resolvers.provenance.references import DOWNSTREAM, UPSTREAM, EdgeKind
from resolvers.reads.rows import Row


async def edges_between(walk: Walk) -> list[Row]:
    """All edges between the nodes of a walk, each a LineageEdge as a row. The answer is told how many there are."""
    edges: list[Row] = []
    async for ids in event_loop.batches(list(walk.distances)):
        edges += _referred_edges(walk, ids)
        edges += _joined_edges(walk, ids)
        walk.request.selection.expect_objects(len(walk.distances) + len(edges))
    return edges


def _referred_edges(walk: Walk, ids: list[str]) -> list[Row]:
    """The edges that rows of these nodes refer to."""
    edges: list[Row] = []
    shown = walk.distances
    for direction, referred in walk.graph.referred.items():
        for id in ids:
            found = [one for one in referred.get(id, ()) if one.id in shown]
            if direction is UPSTREAM:
                edges += [_edge(other, id, kind, assumed) for other, kind, assumed in found]
            else:
                edges += [_edge(id, other, kind, assumed) for other, kind, assumed in found]
    return edges


def _joined_edges(walk: Walk, ids: list[str]) -> list[Row]:
    """The edges that joins make downstream of these nodes, and those upstream of them that are known from no other."""
    edges: list[Row] = []
    shown, (upstream, downstream) = walk.distances, (walk.graph.joined[UPSTREAM], walk.graph.joined[DOWNSTREAM])
    for id in ids:
        edges += [_edge(id, other, kind, False) for other, kind in downstream.get(id, {}).items() if other in shown]
        for other, kind in upstream.get(id, {}).items():
            if other in shown and id not in downstream.get(other, ()):
                edges.append(_edge(other, id, kind, False))
    return edges


def _edge(from_id: str, to_id: str, kind: EdgeKind, assumed: bool) -> Row:
    return {"from_id": from_id, "to_id": to_id, "kind": kind, "assumed": assumed}
