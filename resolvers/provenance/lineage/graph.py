"""The part of the provenance graph that a request has read."""

from collections import defaultdict
from collections.abc import Collection

from resolvers.provenance.references import (
    REFERENCES,
    Direction,
    LineageEdgeKind,
    Reference,
    by_document,
    references_on,
)
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row

JOINED = "joined"
"""The member of rows read through a join that lists the nodes from which it leads to them."""


class ProvenanceGraph:
    """The nodes that were read, and how they are connected. The walks of a request share it.

    A node is in `rows` once it was read, which only happens to nodes that the viewer may see. A single walk reaches all
    nodes that are read for it, so it does not matter from which of its nodes each was reached, unless somebody asks.
    """

    def __init__(self, directions: Collection[Direction], *, single_walk: bool) -> None:
        self.rows: dict[str, Row] = {}
        self.referred: dict[Reference, dict[str, list[str]]] = {
            one: {} for one in REFERENCES if one.direction in directions
        }
        """The ids that each row stores in a reference that walks follow, those of nodes among them that the viewer may
        not see."""
        self.referring: dict[Direction, defaultdict[str, list[str]]] = {one: defaultdict(list) for one in Direction}
        """The nodes in a direction whose rows refer to a node. One may be listed more than once."""
        self.reached: dict[Direction, list[str]] | None = {one: [] for one in Direction} if single_walk else None
        """Of a single walk, the nodes in a direction that were read in this round, being missing in `referring`."""
        self.joined: dict[Direction, defaultdict[str, dict[str, LineageEdgeKind]]] = {
            one: defaultdict(dict) for one in Direction
        }
        """The nodes in a direction to which a join leads from a node."""
        self.complete: dict[Direction, set[str]] = {one: set() for one in Direction}
        """The nodes all of whose referring and joined nodes in a direction were read."""
        self.looked_up: set[str] = set()
        """Ids that were looked up. Those that are not in `rows` belong to nodes that the viewer may not see."""
        self.truncated: dict[Direction, set[str]] = {one: set() for one in Direction}
        """The nodes that have more neighbours in a direction than are stored or read."""

    def add(self, document: Document, rows: list[Row]) -> list[str]:
        """Record rows of one kind with all of their fields, and return their ids."""
        self.rows.update(zip(ids := [row["_id"] for row in rows], rows, strict=True))
        self.add_references(document, ids, rows)
        return ids

    def add_references(self, document: Document, ids: list[str], rows: list[Row]) -> None:
        """Record the nodes to which rows of one kind with these ids refer. They may lack other fields."""
        for reference in references_on(document):
            if reference not in self.referred:
                continue
            self.referred[reference].update(zip(ids, reference.ids(rows), strict=True))
            if flag := reference.truncated:
                truncated = [id for id, row in zip(ids, rows, strict=True) if row.get(flag)]
                self.truncated[reference.direction].update(truncated)

    def add_referring(self, reference: Reference, rows: list[Row], wanted: Collection[str]) -> None:
        """Record rows that store a reference to some of the wanted nodes."""
        ids = self.add(reference.document, rows)
        if self.reached is not None:
            self.reached[reference.direction.opposite] += ids
        else:
            self._index_referring(reference, ids, rows, wanted)

    def index_referring(self) -> None:
        """Record in `referring` from which nodes a single walk has reached others."""
        if self.reached is not None:
            self.reached = None
            for document, ids in by_document(self.rows).items():
                for reference in references_on(document):
                    self._index_referring(reference, ids, [self.rows[id] for id in ids], self.rows)

    def _index_referring(self, reference: Reference, ids: list[str], rows: list[Row], wanted: Collection[str]) -> None:
        referring = self.referring[reference.direction.opposite]
        for id, others in zip(ids, reference.ids(rows), strict=True):
            for other in others:
                if other in wanted:
                    referring[other].append(id)

    def add_joined(self, document: Document, rows: list[Row], kind: LineageEdgeKind, direction: Direction) -> None:
        """Record rows that lie in a direction from the nodes that each lists, and from which a join leads to it."""
        for id, row in zip(self.add(document, rows), rows, strict=True):
            for other in row[JOINED]:
                self.joined[direction][other][id] = kind

    def next_nodes(self, frontier: Collection[str], direction: Direction) -> set[str]:
        """The neighbours of a walk's outermost nodes in a direction, which were read in this round or before."""
        found = self.referred_ids(frontier, direction) & self.rows.keys()
        if self.reached is None:
            return found | self.referring_nodes(frontier, direction)
        found.update(self.reached[direction])
        self.reached[direction] = []
        if joined := self.joined[direction]:
            found.update(*(joined[id] for id in frontier if id in joined))
        return found

    def referring_nodes(self, ids: Collection[str], direction: Direction) -> set[str]:
        """The nodes in a direction that refer to some nodes, or to which joins lead from them."""
        referring, joined = self.referring[direction], self.joined[direction]
        found = {other for id in ids if id in referring for other in referring[id]}
        if joined:
            found.update(*(joined[id] for id in ids if id in joined))
        return found

    def referred_ids(self, ids: Collection[str], direction: Direction) -> set[str]:
        """The ids in a direction to which rows of some nodes refer, those of hidden nodes among them."""
        found: set[str] = set()
        for reference, referred in self.referred.items():
            if reference.direction is direction and referred:
                found.update(*(referred[id] for id in ids if id in referred))
        return found
