"""Edges between the nodes of a walk, from what the nodes' rows refer to and from joins."""

from resolvers.provenance.frontier import Walk
from resolvers.provenance.references import UPSTREAM
from resolvers.reads.rows import Row


def edges_between(walk: Walk) -> list[Row]:
    """All edges between the nodes of a walk, each a LineageEdge as a row, in the order of the nodes."""
    graph, shown = walk.graph, walk.distances
    edges: dict[tuple[str, str, str], Row] = {}
    for id in shown:
        for reference, other, assumed in graph.references[id]:
            if other in shown:
                ends = (other, id) if reference.direction is UPSTREAM else (id, other)
                edges.setdefault((*ends, reference.kind), _edge(*ends, reference.kind, assumed))
        for direction, joined in graph.joined.items():
            for other, join in joined.get(id, {}).items():
                if other in shown:
                    ends = (other, id) if direction is UPSTREAM else (id, other)
                    edges.setdefault((*ends, join.kind), _edge(*ends, join.kind, False))
    return list(edges.values())


def _edge(from_id: str, to_id: str, kind: str, assumed: bool) -> Row:
    return {"from_id": from_id, "to_id": to_id, "kind": kind, "assumed": assumed}
