"""Edges between the nodes of a walk, from what the nodes' rows refer to and from joins."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import overload

from resolvers.concurrency import event_loop
from resolvers.provenance.lineage.frontier import Walk
from resolvers.provenance.references import DOWNSTREAM, UPSTREAM, LineageEdgeKind, Reference, by_document, references_on
from resolvers.reads.rows import Row

BATCH_NODES = 100
"""Nodes whose edges are found between pauses for other tasks: each may refer to 10,000 others."""


class Edges(Sequence[Row]):
    """Edges, each a LineageEdge as a row that is made when it is asked for: columns take a tenth of the memory."""

    def __init__(self) -> None:
        self._from_ids: list[str] = []
        self._to_ids: list[str] = []
        self._kinds: list[LineageEdgeKind] = []
        self._assumed: set[tuple[str, str]] = set()

    def add(self, from_ids: Iterable[str], to_ids: Iterable[str], kind: LineageEdgeKind) -> None:
        """Add edges of a kind, given by the ids of their ends."""
        self._from_ids += from_ids
        self._to_ids += to_ids
        self._kinds += [kind] * (len(self._to_ids) - len(self._kinds))

    def assume(self, ends: Iterable[tuple[str, str]]) -> None:
        """Mark the edges with these ends as assumed."""
        self._assumed.update(ends)

    def __len__(self) -> int:
        return len(self._kinds)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, int):
            start = range(len(self))[place]
            return self[start : start + 1][0]
        columns = zip(self._from_ids[place], self._to_ids[place], self._kinds[place], strict=True)
        assumed = self._assumed
        return [
            {"from_id": start, "to_id": end, "kind": kind, "assumed": bool(assumed) and (start, end) in assumed}
            for start, end, kind in columns
        ]


async def referred_edges(walk: Walk) -> Edges:
    """The edges between the nodes of a walk that their rows store. The answer is told how many there are."""
    edges, shown = Edges(), {id: id for id in walk.distances}
    async for ids in event_loop.batches(list(walk.distances), BATCH_NODES):
        for document, of_kind in by_document(ids).items():
            for reference in references_on(document):
                _add_edges_of_reference(edges, walk, reference, of_kind, shown)
        walk.request.selection.expect_objects(len(walk.distances) + len(edges))
    return edges


async def add_joined_edges(edges: Edges, walk: Walk) -> None:
    """Add the edges between the nodes of a walk that are rows of their own, once all of them were read."""
    if any(walk.graph.joined.values()):
        async for ids in event_loop.batches(list(walk.distances), BATCH_NODES):
            _add_edges_of_joins(edges, walk, ids)
            walk.request.selection.expect_objects(len(walk.distances) + len(edges))


def _add_edges_of_reference(
    edges: Edges, walk: Walk, reference: Reference, ids: list[str], shown: dict[str, str]
) -> None:
    """Add the edges that rows of these nodes store in a reference."""
    rows = [walk.graph.rows[id] for id in ids]
    lists = reference.ids(rows, shown)
    own: Iterable[str] = [id for id, found in zip(ids, lists, strict=True) for _ in found]
    others: Iterable[str] = chain.from_iterable(lists)
    from_ids, to_ids = (others, own) if reference.direction is UPSTREAM else (own, others)
    edges.add(from_ids, to_ids, reference.kind)
    if reference.assumed and walk.request.shows_assumed:
        assumed = zip(ids, reference.assumed_ids(rows), strict=True)
        pairs = ((other, id) for id, found in assumed for other in found if other in shown)
        edges.assume(pairs if reference.direction is UPSTREAM else ((id, other) for other, id in pairs))


def _add_edges_of_joins(edges: Edges, walk: Walk, ids: list[str]) -> None:
    """Add the edges that joins make downstream of these nodes, and those upstream of them known from no other."""
    shown, (upstream, downstream) = walk.distances, (walk.graph.joined[UPSTREAM], walk.graph.joined[DOWNSTREAM])
    found = [(id, other, kind) for id in ids for other, kind in downstream.get(id, {}).items()]
    for id in ids:
        # Joins may have been read from either end, or from both.
        found += [
            (other, id, kind) for other, kind in upstream.get(id, {}).items() if id not in downstream.get(other, ())
        ]
    for start, end, kind in found:
        if start in shown and end in shown:
            edges.add([start], [end], kind)
