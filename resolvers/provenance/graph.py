"""The part of the provenance graph that a request has read."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

import documents
from documents.base import kind_of
from resolvers.provenance.references import KINDS, Direction, Join, Reference, references_on
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row


class ProvenanceGraph:
    """The nodes that were read, and how they are connected. The walks of a request share it.

    A node is in `rows` once it was read, which only happens to nodes that the viewer may see.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.references: dict[str, list[tuple[Reference, str, bool]]] = {}
        """The references of each row: the declaration, the id that it leads to, and whether that is assumed."""
        self.referring: dict[Direction, defaultdict[str, dict[str, None]]] = {
            one: defaultdict(dict) for one in Direction
        }
        """The nodes in a direction from a node that store a reference to it."""
        self.joined: dict[Direction, defaultdict[str, dict[str, Join]]] = {one: defaultdict(dict) for one in Direction}
        """The nodes in a direction from a node to which a join leads, each with that join."""
        self.complete: dict[Direction, set[str]] = {one: set() for one in Direction}
        """The nodes all of whose referring and joined nodes in a direction were read."""
        self.looked_up: set[str] = set()
        """Ids that were looked up. Those that are not in `rows` belong to nodes that the viewer may not see."""
        self.truncated: dict[Direction, set[str]] = {one: set() for one in Direction}
        """Nodes that have more neighbours in a direction than are stored or read."""

    def add(self, row: Row) -> str:
        """Record a row with all of its fields, and return its id."""
        id: str = row["_id"]
        if id not in self.rows:
            self.rows[id] = row
            self.add_references(row)
        return id

    def add_references(self, row: Row) -> None:
        """Record the references of a row, which may lack other fields."""
        id: str = row["_id"]
        if id in self.references:
            return
        found = self.references[id] = []
        for reference in references_on(document_of(id)):
            found += [(reference, other, assumed) for other, assumed in reference.ids(row)]
            if reference.truncated and row.get(reference.truncated):
                self.truncated[reference.direction].add(id)

    def add_referring(self, reference: Reference, rows: list[Row], ids: Collection[str]) -> None:
        """Record rows that store a reference to some of the nodes with these ids."""
        referring = self.referring[reference.direction.opposite]
        for row in rows:
            id = self.add(row)
            for declared, other, _ in self.references[id]:
                if declared is reference and other in ids:
                    referring[other][id] = None

    def add_joined(self, join: Join, row: Row, others: list[str], direction: Direction) -> None:
        """Record a row to which a join leads from other nodes in this direction."""
        id = self.add(row)
        for other in others:
            self.joined[direction][other][id] = join

    def referenced(self, id: str, direction: Direction) -> list[str]:
        """The ids that a node's row refers to in a direction, those of hidden nodes among them."""
        return [other for reference, other, _ in self.references[id] if reference.direction is direction]

    def neighbours(self, id: str, direction: Direction) -> Iterator[str]:
        """The neighbours of a node in a direction that were read."""
        rows = self.rows
        for reference, other, _ in self.references[id]:
            if reference.direction is direction and other in rows:
                yield other
        yield from self.referring[direction].get(id, ())
        yield from self.joined[direction].get(id, ())


def document_of(id: str) -> Document:
    """The kind of a node. Raises KeyError for an id that is not a node's."""
    document = documents.by_kind(id)
    if document is None or document not in KINDS:
        raise KeyError(id)
    return document


def by_document(ids: Iterable[str]) -> dict[Document, list[str]]:
    """Ids by the kind of their nodes, without those of unknown kinds."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for id in ids:
        groups[kind_of(id)].append(id)
    found = ((documents.by_kind(of_kind[0]), of_kind) for of_kind in groups.values())
    return {document: of_kind for document, of_kind in found if document is not None and document in KINDS}
