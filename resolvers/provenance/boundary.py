"""The boundary of walks: whether their outermost nodes have further neighbours that the viewer may see."""

from collections import defaultdict
from collections.abc import Awaitable, Iterator

from resolvers.filters import Filter, all_of
from resolvers.provenance.frontier import Walk
from resolvers.provenance.graph import by_document
from resolvers.provenance.neighbours import ID_ONLY, JOINED, NeighbourReader, join_stages, split
from resolvers.provenance.references import Direction, Join, Reference, joins_from, references_to
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row

ROWS_PER_ID = 4
"""Neighbours that are read for each node on average. Where there are more, each node is asked for one."""


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

    def reads(self) -> Iterator[Awaitable[None]]:
        """The reads that tell whether nodes have more neighbours. They may run side by side."""
        for document, ids in by_document(self._unread()).items():
            yield from (self._look_up(document, chunk) for chunk in split(ids))
        for direction in Direction:
            incomplete = {id for walk in self.walks for id in walk.open_nodes(direction)}
            for document, ids in by_document(incomplete - self.graph.complete[direction]).items():
                for chunk in split(ids):
                    yield from (self._expand(one, chunk) for one in references_to(document, direction))
                    yield from (self._expand_join(one, chunk, direction) for one in joins_from(document, direction))

    def has_more(self, walk: Walk, direction: Direction, id: str) -> bool:
        """Whether an open node of a walk has visible neighbours in a direction that are not among the walk's nodes."""
        shown, graph = walk.distances.keys(), self.graph
        return (
            (walk, id) in self._has_more
            or not shown >= self._neighbours[direction].get(id, set())
            or not shown >= graph.neighbours([id], direction)
            or not shown >= graph.referred_ids([id], direction) & self._visible
        )

    def _unread(self) -> set[str]:
        """Ids that rows of open nodes refer to, and that nobody looked up."""
        referred = set[str]()
        for walk in self.walks:
            for direction in walk.directions:
                referred |= self.graph.referred_ids(walk.open_nodes(direction), direction)
        return referred - self.graph.rows.keys() - self.graph.looked_up

    async def _look_up(self, document: Document, ids: list[str]) -> None:
        match = all_of([{"_id": {"$in": ids}}, await self.reader.policy(document)])
        self._visible.update(row["_id"] for row in await self.reader.find(document, match, ID_ONLY))

    async def _expand(self, reference: Reference, ids: list[str]) -> None:
        """Find which of these nodes have visible neighbours that refer to them."""
        most, fields = ROWS_PER_ID * max(len(ids), 100), frozenset({"_id", reference.path})
        rows = await self.reader.referring_rows(reference, ids, most + 1, in_order=False, fields=fields)
        neighbours, wanted = self._neighbours[reference.direction.opposite], set(ids)
        for row in rows:
            for other, _ in reference.ids(row):
                if other in wanted:
                    neighbours[other].add(row["_id"])
        if len(rows) > most:
            await self.reader.run(self._ask_each(reference, walk, ids) for walk in self.walks)

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
