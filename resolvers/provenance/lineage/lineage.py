"""A lineage: the part of the provenance graph around some nodes, as rows of an answer."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from documents.base import EmbeddedModel
from resolvers.limits import MAX_LINEAGE_DEPTH, MAX_LINEAGE_NODES
from resolvers.provenance.references import DOWNSTREAM, UPSTREAM, Direction, LineageEdgeKind
from resolvers.reads.node_selection import NodeSelection
from resolvers.user_errors import InvalidInput


class LineageDirection(StrEnum):
    """The directions of a walk."""

    UPSTREAM = "UPSTREAM"
    DOWNSTREAM = "DOWNSTREAM"
    BOTH = "BOTH"

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions in which edges are followed."""
        return (UPSTREAM, DOWNSTREAM) if self is LineageDirection.BOTH else (Direction(self.value),)


class LineageTruncation(StrEnum):
    """A bound that may have kept nodes out of a lineage."""

    DEPTH = "DEPTH"
    LIMIT = "LIMIT"
    DEADLINE = "DEADLINE"
    DEGREE = "DEGREE"


class LineageNode(EmbeddedModel):
    """A node, and its distance from the nearest start, negative upstream. `node` is the row that was read."""

    node: dict[str, Any]
    distance: int
    has_more: bool


class LineageEdge(EmbeddedModel):
    """An edge between two nodes, in the direction of the data."""

    from_id: str
    to_id: str
    kind: LineageEdgeKind
    assumed: bool


class Lineage(EmbeddedModel):
    """The nodes, nearest first and then by id, and all edges between them.

    `restricted` is None when it was not asked for, for anonymous viewers, and where there was no time to count.
    """

    nodes: list[LineageNode]
    edges: list[LineageEdge]
    truncated_by: list[LineageTruncation]
    restricted: int | None
    as_of: datetime


@dataclass(frozen=True)
class LineageRequest:
    """The lineage to walk, and what an answer shows of it: the GraphQL names of its fields, and of its nodes."""

    direction: LineageDirection
    depth: int
    limit: int
    selection: NodeSelection

    @property
    def shows_edges(self) -> bool:
        """Whether edges are selected."""
        return "edges" in self.selection.names

    @property
    def shows_assumed(self) -> bool:
        """Whether it is selected of each edge whether it is assumed."""
        return "isAssumed" in self.selection.names

    @property
    def shows_has_more(self) -> bool:
        """Whether it is selected of each node whether it has more neighbours."""
        return "hasMore" in self.selection.names

    @property
    def shows_truncation(self) -> bool:
        """Whether it is selected which bounds were met."""
        return "truncatedBy" in self.selection.names

    @property
    def shows_restricted(self) -> bool:
        """Whether the number of hidden neighbours is selected."""
        return "restricted" in self.selection.names


def check_lineage_bounds(depth: int, limit: int) -> None:
    """Raise InvalidInput unless a lineage may be this deep and have this many nodes."""
    for name, value, most in (("depth", depth, MAX_LINEAGE_DEPTH), ("limit", limit, MAX_LINEAGE_NODES)):
        if not 1 <= value <= most:
            raise InvalidInput(f"{name} is {value:,}; it must be between 1 and {most:,}.", code="BAD_USER_INPUT")
