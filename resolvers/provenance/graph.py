"""The part of the provenance graph that a request has read."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

import documents
from documents.base import kind_of
from resolvers.provenance.references import KINDS, Direction, EdgeKind, references_on
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row


class Referred(NamedTuple):
    """A node to which a row refers."""

    id: str
    kind: EdgeKind
    assumed: bool


class ProvenanceGraph:
    """The nodes that were read, and how they are connected. The walks of a request share it.

    A node is in `rows` once it was read, which only happens to nodes that the viewer may see.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.referred: dict[Direction, dict[str, list[Referred]]] = {one: {} for one in Direction}
        """The nodes in a direction to which a node's row refers, those among them that the viewer may not see."""
        self.referring: dict[Direction, defaultdict[str, list[str]]] = {one: defaultdict(list) for one in Direction}
        """The nodes in a direction whose rows refer to a node. One may be listed more than once."""
        self.joined: dict[Direction, defaultdict[str, dict[str, EdgeKind]]] = {
            one: defaultdict(dict) for one in Direction
        }
        """The nodes in a direction to which a join leads from a node."""
        self.complete: dict[Direction, set[str]] = {one: set() for one in Direction}
        """The nodes all of whose referring and joined nodes in a direction were read."""
        self.looked_up: set[str] = set()
        """Ids that were looked up. Those that are not in `rows` belong to nodes that the viewer may not see."""
        self.truncated: dict[Direction, set[str]] = {one: set() for one in Direction}
        """The nodes that have more neighbours in a direction than are stored or read."""

    def add(self, row: Row) -> str:
        """Record a row with all of its fields, and return its id."""
        id: str = row["_id"]
        if id not in self.rows:
            self.rows[id] = row
            self.add_references(row)
        return id

    def add_references(self, row: Row) -> None:
        """Record the nodes to which a row refers. It may lack other fields."""
        id: str = row["_id"]
        for reference in references_on(document_of(id)):
            kind = reference.kind
            if referred := {other: Referred(other, kind, assumed) for other, assumed in reference.ids(row)}:
                self.referred[reference.direction][id] = list(referred.values())
            if reference.truncated and row.get(reference.truncated):
                self.truncated[reference.direction].add(id)

    def add_referring(self, rows: list[Row], ids: Collection[str], direction: Direction) -> None:
        """Record rows that lie in a direction from nodes with these ids, and refer to some of them."""
        referring, referred = self.referring[direction], self.referred[direction.opposite]
        for row in rows:
            id = self.add(row)
            for other, _, _ in referred[id]:
                if other in ids:
                    referring[other].append(id)

    def add_joined(self, row: Row, others: list[str], kind: EdgeKind, direction: Direction) -> None:
        """Record a row that lies in a direction from other nodes, from which a join leads to it."""
        id = self.add(row)
        for other in others:
            self.joined[direction][other][id] = kind

    def neighbours(self, ids: Iterable[str], direction: Direction) -> set[str]:
        """The neighbours of some nodes in a direction that were read."""
        found: set[str] = set()
        referring, joined, referred = self.referring[direction], self.joined[direction], self.referred[direction]
        for id in ids:
            if others := referring.get(id):
                found.update(others)
            if id in joined:
                found.update(joined[id])
            if id in referred:
                found.update([other for other, _, _ in referred[id] if other in self.rows])
        return found

    def referred_ids(self, ids: Iterable[str], direction: Direction) -> set[str]:
        """The ids in a direction to which rows of some nodes refer, those of hidden nodes among them."""
        referred = self.referred[direction]
        return {other for id in ids if id in referred for other, _, _ in referred[id]} if referred else set()


def document_of(id: str) -> Document:
    """The kind of a node. Raises KeyError for an id that is not a node's."""
    document = documents.by_kind(id)
    if document is None or document not in KINDS:
        raise KeyError(id)
    return document


def by_document(ids: Iterable[str]) -> dict[Document, list[str]]:
    """The ids in order, by the kind of their nodes; without those of unknown kinds."""
    ordered, groups = sorted(ids), {}
    start = 0
    while start < len(ordered):
        # Ids of one kind follow each other: all begin with it and "_", which is followed by "`" in ASCII.
        end = bisect_left(ordered, f"{kind_of(ordered[start])}`", lo=start)
        document = documents.by_kind(ordered[start])
        if document is not None and document in KINDS:
            groups[document] = ordered[start:end]
        start = max(end, start + 1)
    return groups
