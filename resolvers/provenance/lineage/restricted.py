"""Restricted neighbours: how many neighbours of the nodes of a walk its viewer may not see."""

from collections import defaultdict
from collections.abc import Iterator

from resolvers.filters import Filter, all_of, none_of
from resolvers.limits import MAX_RESTRICTED_NEIGHBOURS
from resolvers.provenance.lineage.frontier import Walk
from resolvers.provenance.lineage.graph import JOINED
from resolvers.provenance.lineage.joins import join_stages
from resolvers.provenance.lineage.neighbours import ID_ONLY, NeighbourReader, Read, split
from resolvers.provenance.references import Direction, Join, Reference, by_document, joins_from
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row


class RestrictedNeighbours:
    """Ids of hidden neighbours, which are counted and never shown."""

    def __init__(self, reader: NeighbourReader, walks: list[Walk]) -> None:
        self.reader, self.graph, self.walks = reader, reader.graph, walks
        self._hidden: set[str] = set()
        """Ids that rows of nodes refer to, and that are hidden."""
        self._neighbours: dict[Direction, defaultdict[str, set[str]]] = {
            direction: defaultdict(set) for direction in Direction
        }
        """Hidden nodes in a direction from a node that refer to it, or that a join leads to."""

    def reads(self) -> Iterator[Read]:
        """The reads that find hidden neighbours. They may run side by side."""
        referred = set[str]()
        for direction in Direction:
            ids = set().union(*(walk.visited.get(direction, ()) for walk in self.walks))
            referred |= self.graph.referred_ids(ids, direction)
            for document, of_kind in by_document(ids).items():
                references = self.reader.used_references_to(document, direction)
                for chunk in split(of_kind):
                    yield from (self._expand(one, chunk) for one in references)
                    yield from (self._expand_join(one, chunk, direction) for one in joins_from(document, direction))
        for document, of_kind in by_document(referred - self.graph.rows.keys()).items():
            yield from (self._look_up(document, chunk) for chunk in split(of_kind))

    def count(self, walk: Walk) -> int:
        """The number of hidden neighbours of a walk's nodes, in its directions; at most MAX_RESTRICTED_NEIGHBOURS."""
        found: set[str] = set()
        for direction in walk.directions:
            found |= self.graph.referred_ids(walk.visited[direction], direction) & self._hidden
            neighbours = self._neighbours[direction]
            found.update(*(neighbours[id] for id in neighbours.keys() & walk.visited[direction]))
        return min(len(found), MAX_RESTRICTED_NEIGHBOURS)

    async def _hides(self, document: Document) -> Filter | None:
        """The filter for the nodes of a kind that the viewer may not see, None when it may see all."""
        policy = await self.reader.policy(document)
        return none_of(policy) if policy else None

    async def _look_up(self, document: Document, ids: list[str]) -> None:
        if (hides := await self._hides(document)) is not None:
            rows = await self.reader.find(document, all_of([{"_id": {"$in": ids}}, hides]), ID_ONLY)
            self._hidden.update(row["_id"] for row in rows)

    async def _expand(self, reference: Reference, ids: list[str]) -> None:
        if (hides := await self._hides(reference.document)) is None:
            return
        most = MAX_RESTRICTED_NEIGHBOURS * len(self.walks)
        rows = await self._referring(reference, ids, hides, most)
        if len(rows) == most and len(self.walks) > 1:
            # The neighbours of one walk may have taken the room of another's.
            parts = [sorted(walk.visited[reference.direction.opposite].intersection(ids)) for walk in self.walks]
            await self.reader.run(self._referring(reference, part, hides, MAX_RESTRICTED_NEIGHBOURS) for part in parts)

    async def _referring(self, reference: Reference, ids: list[str], hides: Filter, limit: int) -> list[Row]:
        """Record hidden nodes that refer to some of these; returns their rows."""
        match, fields = all_of([{reference.path: {"$in": ids}}, hides]), frozenset({"_id", reference.path})
        rows = await self.reader.find(reference.document, match, fields, limit=limit, index=reference.index)
        wanted, neighbours = set(ids), self._neighbours[reference.direction.opposite]
        for row, others in zip(rows, reference.ids(rows), strict=True):
            for other in wanted.intersection(others):
                neighbours[other].add(row["_id"])
        return rows

    async def _expand_join(self, join: Join, ids: list[str], direction: Direction) -> None:
        document, _ = join.target(direction)
        if (hides := await self._hides(document)) is not None:
            stages = join_stages(join, ids, direction, hides, ID_ONLY)
            for row in await self.reader.aggregate(join.document, stages):
                for other in row[JOINED]:
                    self._neighbours[direction][other].add(row["_id"])
