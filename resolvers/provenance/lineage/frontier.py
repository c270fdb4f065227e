"""One walk: the nodes that it has reached, and those from which it goes on."""

from collections.abc import Iterable

from resolvers.concurrency import event_loop
from resolvers.provenance.lineage.graph import ProvenanceGraph
from resolvers.provenance.lineage.lineage import LineageRequest, LineageTruncation
from resolvers.provenance.references import UPSTREAM, Direction

MIN_LOOKUPS = 100


class Walk:
    """A walk from some starts, breadth first; upstream and downstream it keeps apart which nodes it has visited."""

    def __init__(self, starts: Iterable[str], request: LineageRequest, graph: ProvenanceGraph) -> None:
        self.request, self.graph = request, graph
        self.directions = request.direction.directions
        reached = sorted(set(starts))
        self.distances: dict[str, int] = dict.fromkeys(reached[: request.limit], 0)
        """The nodes in order, with their signed distances."""
        self.visited: dict[Direction, set[str]] = {one: set(self.distances) for one in self.directions}
        self.frontiers: dict[Direction, list[str]] = {one: list(self.distances) for one in self.directions}
        """The outermost nodes, whose neighbours are read next."""
        self.expanded: dict[Direction, list[str]] = {one: [] for one in self.directions}
        """The nodes whose neighbours were read last."""
        self.depth = 0
        """The distance to which the walk has gone."""
        self.truncated_by: set[LineageTruncation] = set()
        if len(reached) > request.limit:
            self.truncated_by.add(LineageTruncation.LIMIT)
        self._lookups = 0

    @property
    def room(self) -> int:
        """The number of nodes that the limit still allows."""
        return self.request.limit - len(self.distances)

    @property
    def goes_on(self) -> bool:
        """Whether there are nodes from which to go on. With no room for more, they may still lead to known ones."""
        return LineageTruncation.LIMIT not in self.truncated_by and any(self.frontiers.values())

    @property
    def work(self) -> int:
        """The work that the outermost nodes are, in rows."""
        referred = self.graph.referred.values()
        nodes = set().union(*self.frontiers.values())
        return 1 + sum(event_loop.weight_of_ids(ids[id]) for ids in referred if ids for id in nodes if id in ids)

    def next_lookups(self) -> list[str]:
        """Ids to look up before the walk can advance; empty when those that it needs have been read.

        Of very many ids the first are looked up, and further ones only as long as too few of them are visible.
        """
        rows, candidates = self.graph.rows, set[str]()
        for direction in self.directions:
            candidates |= self.graph.referred_ids(self.frontiers[direction], direction) - self.visited[direction]
        unread = sorted(id for id in candidates if id not in rows and id not in self.graph.looked_up)
        # The rows are those of all walks, of which a level may have thousands: none of them goes through all rows.
        if (
            not unread
            or sum(id < unread[0] and id in rows and id not in self.distances for id in candidates) > self.room
        ):
            return []
        self._lookups += 1
        return unread[: max(MIN_LOOKUPS, self.room + 1) << self._lookups]

    def advance(self, distance: int) -> None:
        """Move to the neighbours of the outermost nodes, which are `distance` away."""
        self.depth, self._lookups = distance, 0
        reached = {one: self.graph.next_nodes(self.frontiers[one], one) - self.visited[one] for one in self.directions}
        new = sorted(set().union(*reached.values()) - self.distances.keys())
        if len(new) > self.room:
            self.truncated_by.add(LineageTruncation.LIMIT)
            del new[self.room :]
        upstream = reached.get(UPSTREAM, ())
        known = {one: ids & self.distances.keys() for one, ids in reached.items()}
        self.distances |= {id: -distance if id in upstream else distance for id in new}
        for direction, ids in reached.items():
            self.expanded[direction] = self.frontiers[direction]
            self.frontiers[direction] = [*known[direction], *(id for id in new if id in ids)]
            self.visited[direction].update(self.frontiers[direction])

    def open_nodes(self, direction: Direction) -> list[str]:
        """The nodes that may have visible neighbours in a direction that are not among the nodes."""
        if direction not in self.directions:
            return []
        is_cut = LineageTruncation.LIMIT in self.truncated_by
        return self.frontiers[direction] + self.expanded[direction] if is_cut else self.frontiers[direction]

    def deepest_nodes(self, direction: Direction) -> list[str]:
        """The nodes from which only the depth keeps the walk from going on in a direction."""
        is_deep = direction in self.directions and self.depth == self.request.depth
        return self.frontiers[direction] if is_deep else []
