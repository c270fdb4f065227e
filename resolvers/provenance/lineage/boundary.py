"""The boundary of walks: whether their outermost nodes have further neighbours that the viewer may see."""

from collections import defaultdict
from collections.abc import Iterator

from resolvers.filters import Filter, all_of
from resolvers.provenance.lineage.frontier import Walk
from resolvers.provenance.lineage.graph import JOINED
from resolvers.provenance.lineage.joins import join_stages
from resolvers.provenance.lineage.neighbours import ID_ONLY, NeighbourReader, Read, split
from resolvers.provenance.references import Direction, Join, Reference, by_document, joins_from
from resolvers.reads.relations import Document
from resolvers.reads.rows import BATCH_SIZE, Row

MAX_ROWS_PER_FIND = BATCH_SIZE - 1
"""Neighbours that are read for up to 1,000 nodes, and one more, in one reply. Where there are more, each node is asked
for one."""
FEW_ROWS = 100
"""Neighbours that are read for up to 1,000 nodes to see whether there are any new ones among them."""


class Boundary:
    """Visible neighbours, by id alone, of nodes whose neighbours were not all read as rows."""

    def __init__(self, reader: NeighbourReader, walks: list[Walk]) -> None:
        self.reader, self.graph, self.walks = reader, reader.graph, walks
        self._visible: set[str] = set()
        """Ids that rows of nodes refer to, and that are visible."""
        self._neighbours: dict[Direction, defaultdict[str, set[str]]] = {
            direction: defaultdict(set) for direction in Direction
        }
        """Nodes in a direction from a node that refer to it, or that a join leads to."""
        self._has_more: set[tuple[Walk, str]] = set()

    def reads(self) -> Iterator[Read]:
        """The reads that tell whether nodes have more neighbours. They may run side by side."""
        for document, ids in by_document(self._unread()).items():
            yield from (self._look_up(document, chunk) for chunk in split(ids))
        for direction in Direction:
            nodes = set[str]().union(*(self._nodes(walk, direction) for walk in self.walks))
            for document, ids in by_document(nodes - self.graph.complete[direction]).items():
                references = self.reader.used_references_to(document, direction)
                for chunk in split(ids):
                    yield from (self._expand(one, chunk) for one in references)
                    yield from (self._expand_join(one, chunk, direction) for one in joins_from(document, direction))

    def _nodes(self, walk: Walk, direction: Direction) -> list[str]:
        """The nodes of which it has to be known whether they have more neighbours in a direction."""
        shows_each = walk.request.shows_has_more
        return walk.open_nodes(direction) if shows_each else walk.deepest_nodes(direction)

    def has_more(self, walk: Walk, direction: Direction, id: str) -> bool:
        """Whether an open node of a walk has visible neighbours in a direction that are not among the walk's nodes."""
        shown, graph = walk.distances.keys(), self.graph
        if any(
            other not in shown and (other in graph.rows or other in self._visible)
            for other in graph.referred_ids([id], direction)
        ):
            return True
        if id in graph.complete[direction]:
            graph.index_referring()
            return not shown >= graph.referring_nodes([id], direction)
        return (walk, id) in self._has_more or not shown >= self._neighbours[direction].get(id, set())

    def _unread(self) -> set[str]:
        """Ids that rows of open nodes refer to, and that nobody looked up."""
        referred = set[str]()
        for walk in self.walks:
            for direction in walk.directions:
                referred |= self.graph.referred_ids(self._nodes(walk, direction), direction)
        return referred - self.graph.rows.keys() - self.graph.looked_up

    async def _look_up(self, document: Document, ids: list[str]) -> None:
        match = all_of([{"_id": {"$in": ids}}, await self.reader.policy(document)])
        self._visible.update(row["_id"] for row in await self.reader.find(document, match, ID_ONLY))

    async def _expand(self, reference: Reference, ids: list[str]) -> None:
        """Find which of these nodes have visible neighbours that refer to them, or whether any of them has."""
        if len(self.walks) == 1 and not self.walks[0].request.shows_has_more:
            few = await self._read(reference, ids, FEW_ROWS)
            if len(few) <= FEW_ROWS or not self.walks[0].distances.keys() >= set(few):
                return
        if len(await self._read(reference, ids, MAX_ROWS_PER_FIND)) > MAX_ROWS_PER_FIND:
            await self.reader.run(self._ask_each(reference, walk, ids) for walk in self.walks)

    async def _read(self, reference: Reference, ids: list[str], limit: int) -> list[str]:
        """Record visible neighbours that refer to these nodes, up to `limit` and one more; returns their ids."""
        fields = frozenset({"_id", reference.path})
        rows = await self.reader.referring_rows(reference, ids, limit + 1, in_order=False, fields=fields)
        neighbours, wanted = self._neighbours[reference.direction.opposite], set(ids)
        for row, others in zip(rows, reference.ids(rows), strict=True):
            for other in wanted.intersection(others):
                neighbours[other].add(row["_id"])
        return [row["_id"] for row in rows]

    async def _ask_each(self, reference: Reference, walk: Walk, ids: list[str]) -> None:
        """Find one visible neighbour of each node of a walk that is not among its nodes, unless one is known."""
        direction, document = reference.direction.opposite, reference.document
        own = [id for id in ids if id in walk.visited.get(direction, ()) and not self.has_more(walk, direction, id)]
        shown = by_document(walk.distances).get(document, [])
        is_new: Filter = all_of([await self.reader.policy(document), {"_id": {"$nin": shown}}])
        first = [{"$match": is_new}, {"$limit": 1}, {"$project": {"_id": 1}}]
        lookup = {"from": document.collection_name(), "localField": "_id", "foreignField": reference.path}
        for kind, of_kind in by_document(own).items():
            stages: list[Row] = [
                {"$match": {"_id": {"$in": of_kind}}},
                {"$project": {"_id": 1}},
                {"$lookup": lookup | {"pipeline": first, "as": "more"}},
                {"$match": {"more": {"$ne": []}}},
                {"$project": {"_id": 1}},
            ]
            self._has_more.update((walk, row["_id"]) for row in await self.reader.aggregate(kind, stages))

    async def _expand_join(self, join: Join, ids: list[str], direction: Direction) -> None:
        """Find the visible nodes that a join leads to. Those that were read get their edges from it as well."""
        document, _ = join.target(direction)
        stages = join_stages(join, ids, direction, await self.reader.policy(document), ID_ONLY)
        for row in await self.reader.aggregate(join.document, stages):
            for other in row[JOINED]:
                self._neighbours[direction][other].add(row["_id"])
                if row["_id"] in self.graph.rows:
                    self.graph.joined[direction][other][row["_id"]] = join.kind
