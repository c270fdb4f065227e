"""How kinds of documents are connected in the provenance graph.

A reference leads from the document that stores it to another one, and is an edge between the two. Edges follow the
data: from an artifact to the activity that used it, and from an activity to the artifacts that it generated. To connect
another kind of document, add its references to REFERENCES.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from documents.base import kind_of
from documents.mongo import raw
from resolvers.filters import Filter
from resolvers.provenance.kinds import ARTIFACTS
from resolvers.reads.relations import Document
from resolvers.reads.rows import Fields, Row, Sort


class LineageEdgeKind(StrEnum):
    """The kinds of edges."""

    USED = "USED"
    GENERATED = "GENERATED"
    MEMBER = "MEMBER"
    DERIVED = "DERIVED"


class Direction(StrEnum):
    """A direction in which to follow edges."""

    UPSTREAM = "UPSTREAM"
    DOWNSTREAM = "DOWNSTREAM"

    @property
    def opposite(self) -> "Direction":
        """The other direction."""
        return Direction.DOWNSTREAM if self is Direction.UPSTREAM else Direction.UPSTREAM


UPSTREAM, DOWNSTREAM = Direction


@dataclass(frozen=True)
class Reference:
    """Ids of other nodes that documents of one kind store at `path`: one id, a list of ids, or a list of objects.

    The nodes lie in the `direction` from the document: upstream, unless the document made them. In lists of objects,
    `assumed` is the member that says whether the exact state is assumed. `truncated` is the path of a flag that says
    that there were more ids than could be stored.
    """

    document: Document
    path: str
    kind: LineageEdgeKind
    targets: tuple[Document, ...]
    direction: Direction = UPSTREAM
    assumed: str | None = None
    truncated: str | None = None

    @cached_property
    def fields(self) -> Fields:
        """The stored paths that the reference needs."""
        paths = (self.path, self.assumed and f"{self.name}.{self.assumed}", self.truncated)
        return frozenset(path for path in paths if path)

    @cached_property
    def name(self) -> str:
        """The top-level field that holds the ids."""
        return self.path.partition(".")[0]

    @cached_property
    def index(self) -> Sort:
        """The keys of the index that finds the documents with a reference to a node, in the order of their ids."""
        return [(self.path, 1), ("_id", 1)]

    @cached_property
    def member(self) -> str:
        """The member of objects in a list that holds the id; empty where the ids themselves are stored."""
        return self.path.partition(".")[2]

    def ids(self, rows: list[Row], known: dict[str, str] | None = None) -> list[list[str]]:
        """The ids that each row stores; with `known`, the values that it has for them."""
        if self.member:
            return raw.member_texts(rows, self.name, self.member, known=known)
        values: list[Any] = [row.get(self.name) for row in rows]
        lists = [[value] if isinstance(value, str) else list(dict.fromkeys(value or ())) for value in values]
        return lists if known is None else [[known[id] for id in ids if id in known] for ids in lists]

    def assumed_ids(self, rows: list[Row]) -> list[list[str]]:
        """The ids that each row stores and whose exact state is assumed."""
        if self.assumed is None:
            return [[] for _ in rows]
        return raw.member_texts(rows, self.name, self.member, self.assumed)


@dataclass(frozen=True)
class Join:
    """Edges that are documents of their own: rows that name an upstream and a downstream node at these paths.

    Each direction has an index that begins with the path of the node from which it leads.
    """

    document: Document
    upstream: Document
    upstream_path: str
    downstream: Document
    downstream_path: str
    kind: LineageEdgeKind
    filter: Filter = field(default_factory=dict, hash=False)

    def source(self, direction: Direction) -> tuple[Document, str]:
        """The kind of node from which the join leads in this direction, and the path of its id."""
        if direction is UPSTREAM:
            return self.downstream, self.downstream_path
        return self.upstream, self.upstream_path

    def target(self, direction: Direction) -> tuple[Document, str]:
        """The kind of node to which the join leads in this direction, and the path of its id."""
        return self.source(direction.opposite)


def _use(document: Document) -> Reference:
    """The artifacts that activities of a kind used."""
    return Reference(
        document, "used.ref", LineageEdgeKind.USED, ARTIFACTS, assumed="assumed", truncated="used_truncated"
    )


def _generation(document: Document, path: str, activity: Document) -> Reference:
    """The activity that generated an artifact."""
    return Reference(document, path, LineageEdgeKind.GENERATED, (activity,))


REFERENCES: tuple[Reference, ...] = (
    _use(documents.Step),
    _use(documents.Transform),
    _generation(documents.Output, "stepRef", documents.Step),
    _generation(documents.Distribution, "transform_id", documents.Transform),
    Reference(documents.Result, "output", LineageEdgeKind.MEMBER, (documents.Output,)),
    Reference(
        documents.Ingestion, "generationRef", LineageEdgeKind.GENERATED, (documents.Generation,), direction=DOWNSTREAM
    ),
)
JOINS: tuple[Join, ...] = (
    Join(
        documents.IngestionPart,
        upstream=documents.Archive,
        upstream_path="archiveRef",
        downstream=documents.Ingestion,
        downstream_path="ingestionRef",
        kind=LineageEdgeKind.USED,
        # The others have brought nothing into the generation.
        filter={"status": ActivityStatus.SUCCEEDED.value},
    ),
)
SEEN_THROUGH_EDGES: frozenset[Document] = frozenset({documents.ExternalData})
"""Kinds whose documents are visible to those who see an edge that leads to them, even where their policy hides them."""


KINDS: frozenset[Document] = frozenset(
    [reference.document for reference in REFERENCES]
    + [target for reference in REFERENCES for target in reference.targets]
    + [end for join in JOINS for end in (join.upstream, join.downstream)]
)
"""The kinds of nodes."""
_ON = {kind: tuple(one for one in REFERENCES if one.document is kind) for kind in KINDS}
_TO = {
    (kind, one): tuple(found for found in REFERENCES if kind in found.targets and found.direction is one.opposite)
    for kind in KINDS
    for one in Direction
}
_JOINS = {
    (kind, one): tuple(join for join in JOINS if join.source(one)[0] is kind) for kind in KINDS for one in Direction
}
_FIELDS = {kind: frozenset({"_id"}).union(*(one.fields for one in on)) for kind, on in _ON.items()}


def references_on(document: Document) -> tuple[Reference, ...]:
    """The references that documents of a kind store."""
    return _ON[document]


def references_to(document: Document, direction: Direction) -> tuple[Reference, ...]:
    """The references to documents of a kind by documents that lie in a direction from them."""
    return _TO[document, direction]


def joins_from(document: Document, direction: Direction) -> tuple[Join, ...]:
    """The joins that lead from documents of a kind in a direction."""
    return _JOINS[document, direction]


def reference_fields(document: Document) -> Fields:
    """The stored paths that a walk needs on documents of a kind."""
    return _FIELDS[document]


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
